/*
 * Whose a resource is. A URI is listed by a backend, named by one of its tools
 * (_meta.ui.resourceUri), or matches a template of it; else the backend is the
 * only one with resources. A scheme is no proof: file: may be anybody's.
 */
#include <stdlib.h>
#include <string.h>

#include "view.h"

/* Every resource that is listed, by URI; of those with the same one the backend
 * that the config has first is first. */
struct uri_index {
	size_t n;
	struct uri_entry {
		const char *uri;
		struct backend *backend;
		size_t order;
	} v[];
};

static struct backend *by_list(const struct view *, enum cat_kind,
    int (*)(const struct cat_item *, const char *), const char *);
static int by_uri(const void *, const void *);
static int is_named(const struct cat_item *, const char *);
static int is_matched(const struct cat_item *, const char *);
static int is_shown(const struct cat_item *, const char *);
static struct backend *only(const struct view *);

static int
is_named(const struct cat_item *ci, const char *uri)
{
	return strcmp(ci->name, uri) == 0;
}

static int
is_matched(const struct cat_item *ci, const char *uri)
{
	return uri_match(ci->name, uri);
}

/* The page of a tool (MCP Apps), in its place or its older one. */
static int
is_shown(const struct cat_item *ci, const char *uri)
{
	struct json_span def, meta, ui, v;

	def.p = (const char *)ci->raw.p;
	def.len = ci->raw.len;
	def.type = JSON_OBJECT;
	if (json_member(&def, "_meta", &meta) == -1 || meta.type != JSON_OBJECT)
		return 0;
	if (json_member(&meta, "ui", &ui) == 0 && ui.type == JSON_OBJECT &&
	    json_member(&ui, "resourceUri", &v) == 0 && json_equals(&v, uri))
		return 1;
	return json_member(&meta, "ui/resourceUri", &v) == 0 &&
	       json_equals(&v, uri);
}

static struct backend *
by_list(const struct view *v, enum cat_kind kind,
    int (*is)(const struct cat_item *, const char *), const char *uri)
{
	const struct cat_entry *ce;
	const struct cat_item *ci;
	struct backend *be;
	size_t i;
	uint32_t n;

	for (i = 0;; i++) {
		ce = view_entry(v, i, &be);
		if (be == NULL)
			return NULL;
		if (ce == NULL)
			continue;
		ci = ce->list[kind].p;
		for (n = 0; n < ce->list[kind].n; n++)
			if (is(&ci[n], uri))
				return be;
	}
}

/* NULL: none has resources, or several. */
static struct backend *
only(const struct view *v)
{
	struct backend *be, *one = NULL;
	const struct cat_entry *ce;
	size_t i;

	for (i = 0;; i++) {
		ce = view_entry(v, i, &be);
		if (be == NULL)
			return one;
		if (ce == NULL || !(ce->caps & CAP_RESOURCES))
			continue;
		if (one != NULL)
			return NULL;
		one = be;
	}
}

static int
by_uri(const void *a, const void *b)
{
	const struct uri_entry *x = a, *y = b;
	int order = strcmp(x->uri, y->uri);

	return order != 0 ? order
			  : (x->order > y->order) - (x->order < y->order);
}

struct uri_index *
uri_index(const struct view *v)
{
	const struct cat_entry *ce;
	const struct cat_item *ci;
	struct uri_index *x;
	struct backend *be;
	size_t i, n = 0;
	uint32_t k;

	for (i = 0; ce = view_entry(v, i, &be), be != NULL; i++)
		n += ce == NULL ? 0 : ce->list[CAT_RESOURCES].n;
	if ((x = calloc(1, sizeof(*x) + n * sizeof(x->v[0]))) == NULL)
		return NULL;
	for (i = 0; ce = view_entry(v, i, &be), be != NULL; i++) {
		ci = ce == NULL ? NULL : ce->list[CAT_RESOURCES].p;
		for (k = 0; ci != NULL && k < ce->list[CAT_RESOURCES].n; k++) {
			x->v[x->n].uri = ci[k].name;
			x->v[x->n].backend = be;
			x->v[x->n].order = x->n;
			x->n++;
		}
	}
	qsort(x->v, x->n, sizeof(x->v[0]), by_uri);
	return x;
}

struct backend *
view_listed(const struct view *v, const char *uri)
{
	const struct uri_index *x = view_uris(v);
	size_t from = 0, to = x->n, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (strcmp(x->v[mid].uri, uri) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from < x->n && strcmp(x->v[from].uri, uri) == 0
		   ? x->v[from].backend
		   : NULL;
}

struct backend *
view_uri(const struct view *v, const char *uri)
{
	struct backend *be;

	if ((be = view_listed(v, uri)) != NULL ||
	    (be = by_list(v, CAT_TOOLS, is_shown, uri)) != NULL ||
	    (be = by_list(v, CAT_TEMPLATES, is_matched, uri)) != NULL)
		return be;
	return only(v);
}

struct backend *
view_template(const struct view *v, const char *template)
{
	return by_list(v, CAT_TEMPLATES, is_named, template);
}

int
uri_match(const char *t, const char *uri)
{
	const char *end, *next, *hit;
	size_t lit;
	int reserved;

	while (*t != '\0') {
		lit = strcspn(t, "{");
		if (strncmp(t, uri, lit) != 0)
			return 0;
		t += lit;
		uri += lit;
		if (*t == '\0')
			return *uri == '\0';
		if ((end = strchr(t, '}')) == NULL)
			return 0;
		reserved = strchr("+#./;?&", t[1]) != NULL ||
			   memchr(t, '*', end - t) != NULL;
		next = end + 1;
		if (!reserved && *uri == '\0')
			return 0;
		lit = strcspn(next, "{");
		if (*next == '\0')
			return reserved || strchr(uri, '/') == NULL;
		if (lit == 0)
			hit = uri + strcspn(uri, "/");
		else {
			for (hit = uri + !reserved;
			     *hit != '\0' && strncmp(hit, next, lit) != 0;
			     hit++)
				if (!reserved && *hit == '/')
					return 0;
		}
		t = next;
		uri = hit;
	}
	return *uri == '\0';
}
