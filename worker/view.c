/*
 * Views of the catalog. Built on first use after a catalog has come and thrown
 * away with the next, so nothing in them ever changes.
 */
#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "compat.h"
#include "digest.h"
#include "log.h"
#include "names.h"
#include "peer.h"
#include "policy.h"
#include "view.h"

#define BUCKETS          512
#define MAX_INSTRUCTIONS (16 * 1024)
/* Of a list; few clients ask for a second page, so pages are large. */
#define PAGE_ITEMS 1000
#define PAGE_BYTES (1024 * 1024)

/* JSON, and where its pages begin: the first after the bracket. */
struct list {
	char *p;
	size_t len;
	size_t *page;
	size_t npage;
	int digested;
	uint8_t digest[DIGEST_LEN];
};

struct view {
	const struct endpoint *endpoint;
	uint8_t class;
	int complete;
	uint32_t caps;
	struct view_item *name[2][BUCKETS]; /* CAT_TOOLS, CAT_PROMPTS */
	struct uri_index *uris; /* CAT_RESOURCES */
	/* The newest is there from the start, others on first use. */
	struct list list[PROJECTS][CAT_KINDS];
	struct view *next;
};

struct view_wait {
	TAILQ_ENTRY(view_wait) entry;
	struct event *timer;
	unsigned int gen; /* catalogs that had come when it began */
	void (*cb)(void *);
	void *arg;
};

static struct view *view_make(const struct endpoint *, uint8_t);
static int view_names(struct view *, enum cat_kind);
static int view_merge(struct view *, enum cat_kind, enum project);
static const struct view_item *view_shown(const struct view *, enum cat_kind,
    struct backend *, const struct cat_item *);
static int view_add(
    struct view *, enum cat_kind, struct backend *, const struct cat_item *);
static void view_render(struct json_buf *, enum project, enum cat_kind,
    const struct cat_item *, const struct view_item *);
static struct json_span raw_span(const struct cat_item *);
static int list_page(struct list *, size_t, size_t *);
static void view_free(struct view *);
static unsigned int bucket(const char *);
static void wait_timeout(evutil_socket_t, short, void *);
static const struct cat_entry *entry_of(const struct view *, struct backend *);

static struct view *views;
static unsigned int generation;
static TAILQ_HEAD(, view_wait) waits = TAILQ_HEAD_INITIALIZER(waits);

static unsigned int
bucket(const char *s)
{
	unsigned int h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h % BUCKETS;
}

uint8_t
view_class(const struct backend *b, uint8_t class)
{
	return class & b->conf.declare;
}

static const struct cat_entry *
entry_of(const struct view *v, struct backend *b)
{
	int exact;

	return catalog_find(b->conf.id, view_class(b, v->class), &exact);
}

struct view *
view_get(const struct endpoint *e, uint8_t class)
{
	class &= DECLARE_LISTS;
	struct view *v;

	for (v = views; v != NULL; v = v->next)
		if (v->endpoint == e && v->class == class)
			return v;
	if (!catalog_ready())
		return NULL;
	return view_make(e, class);
}

static struct view *
view_make(const struct endpoint *e, uint8_t class)
{
	const struct cat_entry *ce;
	struct view *v;
	size_t i;
	int k, exact;

	if ((v = calloc(1, sizeof(*v))) == NULL)
		return NULL;
	v->endpoint = e;
	v->class = class;
	v->complete = 1;
	for (i = 0; i < e->nbackend; i++) {
		ce = catalog_find(e->backend[i]->conf.id,
		    view_class(e->backend[i], class), &exact);
		v->caps |=
		    ce == NULL || ce->state == CAT_NEVER ? CAP_ANY : ce->caps;
		if (!exact && ce != NULL && ce->state == CAT_UP) {
			v->complete = 0;
			catalog_want(view_class(e->backend[i], class));
		}
	}
	v->uris = uri_index(v);
	for (k = 0; k < CAT_KINDS; k++)
		if (v->uris == NULL ||
		    (k <= CAT_PROMPTS && view_names(v, k) == -1) ||
		    view_merge(v, k, PROJECT_NEWEST) == -1) {
			view_free(v);
			return NULL;
		}
	v->next = views;
	views = v;
	return v;
}

/* The way back from each name. */
static int
view_names(struct view *v, enum cat_kind kind)
{
	const struct cat_entry *ce;
	struct cat_item *ci;
	struct backend *be;
	uint32_t n;
	size_t i;

	for (i = 0; i < v->endpoint->nbackend; i++) {
		be = v->endpoint->backend[i];
		if ((ce = entry_of(v, be)) == NULL)
			continue;
		ci = ce->list[kind].p;
		for (n = 0; n < ce->list[kind].n; n++)
			if (view_add(v, kind, be, &ci[n]) == -1)
				return -1;
	}
	return 0;
}

/* One list of all backends in config order. */
static int
view_merge(struct view *v, enum cat_kind kind, enum project p)
{
	const struct view_item *it = NULL;
	const struct cat_entry *ce;
	struct cat_item *ci;
	struct json_buf b = {0};
	struct backend *be;
	struct list *l = &v->list[p][kind];
	uint32_t n;
	size_t i, items = 0;

	json_puts(&b, "[");
	for (i = 0; i < v->endpoint->nbackend; i++) {
		be = v->endpoint->backend[i];
		if ((ce = entry_of(v, be)) == NULL)
			continue;
		ci = ce->list[kind].p;
		for (n = 0; n < ce->list[kind].n; n++) {
			if (kind <= CAT_PROMPTS) {
				it = view_shown(v, kind, be, &ci[n]);
				if (it == NULL)
					continue;
			} else if (kind == CAT_RESOURCES &&
				   view_listed(v, ci[n].name) != be) {
				log_debug("backend %s: the resource %s is "
					  "another's",
				    be->conf.name, ci[n].name);
				continue;
			}
			json_puts(&b, b.len > 1 ? "," : "");
			if (list_page(l, b.len, &items) == -1) {
				json_buf_free(&b);
				return -1;
			}
			view_render(&b, p, kind, &ci[n], it);
		}
	}
	json_puts(&b, "]");
	l->p = json_buf_take(&b, &l->len);
	return l->p == NULL ? -1 : 0;
}

/* The next item is at `at`: does a page begin there? items: of this one. */
static int
list_page(struct list *l, size_t at, size_t *items)
{
	size_t *q;

	if (l->npage > 0 && ++*items < PAGE_ITEMS &&
	    at - l->page[l->npage - 1] < PAGE_BYTES)
		return 0;
	q = realloc(l->page, (l->npage + 1) * sizeof(*q));
	if (q == NULL)
		return -1;
	l->page = q;
	l->page[l->npage++] = at;
	*items = 0;
	return 0;
}

/* What is shown of an item that has a name; NULL: it is hidden. */
static const struct view_item *
view_shown(const struct view *v, enum cat_kind kind, struct backend *be,
    const struct cat_item *ci)
{
	const struct view_item *it;
	char name[NAME_MAX_EXPOSED + 1];

	if (name_expose(name,
		v->endpoint->conf.prefix == PREFIX_NONE ? NULL : be->conf.name,
		worker.conf.separator, ci->name, worker.conf.names_max) == -1)
		return NULL;
	it = v->name[kind][bucket(name)];
	while (it != NULL && it->item != ci)
		it = it->next;
	return it == NULL || it->hidden ? NULL : it;
}

/*
 * A collision inside a backend hides both; across backends the first in config
 * order is served and the later hidden.
 */
static int
view_add(struct view *v, enum cat_kind kind, struct backend *be,
    const struct cat_item *ci)
{
	char name[NAME_MAX_EXPOSED + 1];
	struct json_span def = raw_span(ci);
	struct view_item *it, *other;
	unsigned int h;

	if (kind == CAT_TOOLS && !policy_tool(be, ci->name))
		return 0;
	if (name_expose(name,
		v->endpoint->conf.prefix == PREFIX_NONE ? NULL : be->conf.name,
		worker.conf.separator, ci->name, worker.conf.names_max) == -1)
		return 0;
	if ((it = calloc(1, sizeof(*it))) == NULL ||
	    (it->name = strdup(name)) == NULL) {
		free(it);
		return -1;
	}
	it->backend = be;
	it->item = ci;
	it->wrap = kind == CAT_TOOLS && project_wraps(&def);
	h = bucket(name);
	for (other = v->name[kind][h]; other != NULL; other = other->next) {
		if (strcmp(other->name, name) != 0)
			continue;
		if (other->backend == be)
			other->hidden = 1;
		it->hidden = 1;
		log_debug(
		    "backend %s: the name %s is taken", be->conf.name, name);
	}
	it->next = v->name[kind][h];
	v->name[kind][h] = it;
	return 0;
}

static struct json_span
raw_span(const struct cat_item *ci)
{
	struct json_span s;

	s.p = (const char *)ci->raw.p;
	s.len = ci->raw.len;
	s.type = JSON_OBJECT;
	return s;
}

/* The definition as it came, with the exposed name in place of its own (it:
 * NULL for what has none) and nothing that the revision does not know. */
static void
view_render(struct json_buf *b, enum project p, enum cat_kind kind,
    const struct cat_item *ci, const struct view_item *it)
{
	struct json_span def = raw_span(ci), name;

	if (p != PROJECT_NEWEST || (it != NULL && it->wrap)) {
		project_item(b, p, kind, &def, it ? it->name : NULL);
		return;
	}
	if (it == NULL || json_member(&def, "name", &name) == -1) {
		json_putspan(b, &def);
		return;
	}
	json_put(b, def.p, name.p - def.p);
	json_putstr(b, it->name);
	json_put(b, name.p + name.len, def.p + def.len - (name.p + name.len));
}

static void
view_free(struct view *v)
{
	struct view_item *it;
	size_t i;
	int k;

	for (k = 0; k < 2; k++)
		for (i = 0; i < BUCKETS; i++)
			while ((it = v->name[k][i]) != NULL) {
				v->name[k][i] = it->next;
				free(it->name);
				free(it);
			}
	for (i = 0; i < PROJECTS; i++)
		for (k = 0; k < CAT_KINDS; k++) {
			free(v->list[i][k].p);
			free(v->list[i][k].page);
		}
	free(v->uris);
	free(v);
}

int
view_complete(const struct view *v)
{
	return v->complete;
}

const char *
view_list(struct view *v, enum cat_kind kind, enum project p, size_t *len)
{
	struct list *l = &v->list[p][kind];

	if (l->p == NULL) {
		free(l->page);
		memset(l, 0, sizeof(*l));
		if (view_merge(v, kind, p) == -1)
			return NULL;
	}
	*len = l->len;
	return l->p;
}

const uint8_t *
view_digest(struct view *v, enum cat_kind kind)
{
	struct list *l = &v->list[PROJECT_NEWEST][kind];
	const char *p;
	size_t len;

	if ((p = view_list(v, kind, PROJECT_NEWEST, &len)) == NULL)
		return NULL;
	if (!l->digested)
		sha256(l->digest, p, len);
	l->digested = 1;
	return l->digest;
}

const char *
view_page(struct view *v, enum cat_kind kind, enum project p, uint32_t page,
    size_t *len, int *more)
{
	const struct list *l = &v->list[p][kind];
	const char *json = view_list(v, kind, p, len);

	*more = 0;
	if (json == NULL)
		return NULL;
	if (page >= l->npage) {
		/* None, or the list has become shorter meanwhile. */
		*len = 0;
		return json;
	}
	*more = page + 1 < l->npage;
	*len = (*more ? l->page[page + 1] : l->len) - 1 - l->page[page];
	return json + l->page[page];
}

const struct cat_entry *
view_entry(const struct view *v, size_t i, struct backend **be)
{
	*be = i < v->endpoint->nbackend ? v->endpoint->backend[i] : NULL;
	return *be == NULL ? NULL : entry_of(v, *be);
}

const struct uri_index *
view_uris(const struct view *v)
{
	return v->uris;
}

const struct view_item *
view_find(const struct view *v, enum cat_kind kind, const char *name)
{
	const struct view_item *it;

	for (it = v->name[kind][bucket(name)]; it != NULL; it = it->next)
		if (!it->hidden && strcmp(it->name, name) == 0)
			return it;
	return NULL;
}

uint32_t
view_caps(const struct view *v)
{
	return v->caps;
}

void
view_instructions(const struct view *v, struct json_buf *b)
{
	const struct cat_entry *ce;
	size_t i;

	for (i = 0; i < v->endpoint->nbackend; i++) {
		ce = entry_of(v, v->endpoint->backend[i]);
		if (ce == NULL || *ce->instructions == '\0')
			continue;
		if (b->len + strlen(ce->instructions) > MAX_INSTRUCTIONS)
			continue;
		if (v->endpoint->nbackend > 1) {
			json_puts(b, b->len ? "\n\n# " : "# ");
			json_puts(b, v->endpoint->backend[i]->conf.name);
			json_puts(b, "\n\n");
		}
		json_puts(b, ce->instructions);
	}
}

struct view_wait *
view_wait(int ms, void (*cb)(void *), void *arg)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	struct view_wait *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->cb = cb;
	w->arg = arg;
	w->gen = generation;
	w->timer = event_new(peer_base(), -1, 0, wait_timeout, w);
	if (w->timer == NULL) {
		free(w);
		return NULL;
	}
	event_add(w->timer, &tv);
	TAILQ_INSERT_TAIL(&waits, w, entry);
	return w;
}

void
view_wait_cancel(struct view_wait *w)
{
	TAILQ_REMOVE(&waits, w, entry);
	event_free(w->timer);
	free(w);
}

static void
wait_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct view_wait *w = arg;
	void (*cb)(void *) = w->cb;
	void *a = w->arg;

	(void)fd;
	(void)what;
	view_wait_cancel(w);
	cb(a);
}

void
views_drop(void)
{
	struct view *v;

	while ((v = views) != NULL) {
		views = v->next;
		view_free(v);
	}
}

/* Whoever waited looks again, and may wait once more. */
void
views_ready(void)
{
	struct view_wait *w;
	void (*cb)(void *);
	void *arg;

	generation++;
	while ((w = TAILQ_FIRST(&waits)) != NULL && w->gen != generation) {
		cb = w->cb;
		arg = w->arg;
		view_wait_cancel(w);
		cb(arg);
	}
}
