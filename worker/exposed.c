/*
 * Tools and their names toward clients, by the rules of view.c.
 */
#include <sys/queue.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "compat.h"
#include "exposed.h"
#include "keeper.h"
#include "log.h"
#include "master.h"
#include "names.h"
#include "policy.h"
#include "probe.h"

#define DESCRIPTION 60
#define WHY_LEN     300

/* What a generation's config says. */
struct rules {
	TAILQ_ENTRY(rules) entry;
	uint32_t gen;
	struct conf_keeper conf;
	struct u32v backends; /* in config order */
	struct conf_endpoint *endpoint;
	size_t nendpoint;
};

struct tool {
	const struct backend *backend;
	const struct cat_item *item;
	unsigned int shown, hidden; /* endpoints */
	char *why; /* of the first it is hidden at */
};

/* A tool at one endpoint. */
struct place {
	char name[NAME_MAX_EXPOSED + 1];
	struct tool *tool;
	size_t at; /* in the endpoint's order */
};

/* A resource at one endpoint. */
struct held {
	const char *uri;
	const struct backend *backend;
	size_t at; /* in the endpoint's order */
};

struct tools {
	struct tool *v;
	size_t n;
};

static struct rules *rules_find(uint32_t);
static struct rules *rules_get(uint32_t);
static void rules_free(struct rules *);
static struct tools collect(const struct rules *);
static void judge(
    const struct rules *, const struct conf_endpoint *, struct tools *);
static void judge_names(const struct conf_endpoint *, struct place *, size_t);
static void hide(struct tool *, const struct conf_endpoint *, const char *, ...)
    __attribute__((format(printf, 3, 4)));
static int by_name(const void *, const void *);
static char *description(const struct cat_item *);
static int show_tool(uint32_t, const struct rules *, const struct tool *);
static int show_drops(uint32_t, const char *, const struct drops *);
static size_t hold(const struct conf_endpoint *, struct held *);
static int by_uri(const void *, const void *);
static int show_resources(uint32_t, const char *, const struct conf_endpoint *);

static TAILQ_HEAD(, rules) all = TAILQ_HEAD_INITIALIZER(all);
static uint32_t current; /* generation in force */

/* ---- what the config says ---- */

static struct rules *
rules_find(uint32_t gen)
{
	struct rules *r;

	TAILQ_FOREACH (r, &all, entry)
		if (r->gen == gen)
			return r;
	return NULL;
}

static struct rules *
rules_get(uint32_t gen)
{
	struct rules *r = rules_find(gen);

	if (r == NULL) {
		r = xcalloc(1, sizeof(*r));
		r->gen = gen;
		TAILQ_INSERT_TAIL(&all, r, entry);
	}
	return r;
}

static void
rules_free(struct rules *r)
{
	size_t i;

	TAILQ_REMOVE(&all, r, entry);
	for (i = 0; i < r->nendpoint; i++)
		wire_free(&def_conf_endpoint, &r->endpoint[i]);
	wire_free(&def_conf_keeper, &r->conf);
	free(r->endpoint);
	free(r->backends.v);
	free(r);
}

/* The first part of a slice: one that was refused may have had its number. */
void
exposed_conf(uint32_t gen, struct conf_keeper *conf)
{
	struct rules *r = rules_find(gen);

	if (r != NULL)
		rules_free(r);
	r = rules_get(gen);
	r->conf = *conf;
	memset(conf, 0, sizeof(*conf));
}

void
exposed_backend(uint32_t gen, uint32_t backend)
{
	struct rules *r = rules_get(gen);

	r->backends.v = xrealloc(
	    r->backends.v, (r->backends.n + 1) * sizeof(*r->backends.v));
	r->backends.v[r->backends.n++] = backend;
}

void
exposed_endpoint(uint32_t gen, struct conf_endpoint *conf)
{
	struct rules *r = rules_get(gen);

	r->endpoint =
	    xrealloc(r->endpoint, (r->nendpoint + 1) * sizeof(*r->endpoint));
	r->endpoint[r->nendpoint++] = *conf;
	memset(conf, 0, sizeof(*conf));
}

void
exposed_commit(uint32_t gen)
{
	current = gen;
}

void
exposed_forget(uint32_t gen)
{
	struct rules *r = rules_find(gen);

	if (r != NULL)
		rules_free(r);
}

/* ---- what becomes of each tool ---- */

/* Every tool of every backend, in config order. */
static struct tools
collect(const struct rules *r)
{
	struct tools t = {NULL, 0};
	struct shelf_offer o;
	const struct vec *list;
	uint32_t i, k, n = 0;

	for (i = 0; i < r->backends.n; i++)
		if (shelf_offer(r->backends.v[i], &o) == 0)
			n += o.entry->list[CAT_TOOLS].n;
	t.v = xcalloc(n + 1, sizeof(*t.v));
	for (i = 0; i < r->backends.n; i++) {
		if (shelf_offer(r->backends.v[i], &o) == -1)
			continue;
		list = &o.entry->list[CAT_TOOLS];
		for (k = 0; k < list->n; k++) {
			t.v[t.n].backend = o.backend;
			t.v[t.n++].item = (struct cat_item *)list->p + k;
		}
	}
	return t;
}

static void
hide(struct tool *t, const struct conf_endpoint *e, const char *fmt, ...)
{
	char text[WHY_LEN];
	va_list ap;

	t->hidden++;
	if (t->why != NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	xasprintf(&t->why, "%s\n%s", e->path, text);
}

static int
by_name(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r != 0 ? r : x->at < y->at ? -1 : 1;
}

/* One endpoint, all its tools. */
static void
judge(
    const struct rules *r, const struct conf_endpoint *e, struct tools *all_of)
{
	const char *prefix, *why;
	struct place *p;
	struct tool *t;
	size_t i, n = 0;
	uint32_t k;

	p = xcalloc(all_of->n + 1, sizeof(*p));
	for (k = 0; k < e->backends.n; k++)
		for (i = 0; i < all_of->n; i++) {
			t = &all_of->v[i];
			if (t->backend->conf.id != e->backends.v[k])
				continue;
			prefix = e->prefix == PREFIX_NONE
				     ? NULL
				     : t->backend->conf.name;
			why = policy_refusal(t->backend, t->item->name);
			if (why != NULL)
				hide(t, e, "%s", why);
			else if (name_expose(p[n].name, prefix,
				     r->conf.separator, t->item->name,
				     r->conf.names_max) == -1)
				hide(t, e, "no name of it fits names.max");
			else {
				p[n].tool = t;
				p[n].at = n;
				n++;
			}
		}
	judge_names(e, p, n);
	free(p);
}

static void
judge_names(const struct conf_endpoint *e, struct place *p, size_t n)
{
	const struct backend *owner;
	size_t i, k, end;

	qsort(p, n, sizeof(*p), by_name);
	for (i = 0; i < n; i = end) {
		owner = p[i].tool->backend;
		for (end = i + 1;
		     end < n && strcmp(p[end].name, p[i].name) == 0; end++)
			continue;
		if (end == i + 1 || p[i + 1].tool->backend != owner)
			p[i].tool->shown++;
		else
			hide(p[i].tool, e,
			    "another tool of this backend is "
			    "called %s, too",
			    p[i].name);
		for (k = i + 1; k < end; k++)
			if (p[k].tool->backend == owner)
				hide(p[k].tool, e,
				    "another tool of this "
				    "backend is called %s, too",
				    p[i].name);
			else
				hide(p[k].tool, e,
				    "a tool of backend %s is "
				    "called %s, too",
				    owner->conf.name, p[i].name);
	}
}

/* ---- rows ---- */

/* The start of it; malloc'd, or NULL. */
static char *
description(const struct cat_item *ci)
{
	struct json_span def, v;
	char *text;
	size_t n = DESCRIPTION;

	def.p = (const char *)ci->raw.p;
	def.len = ci->raw.len;
	def.type = JSON_OBJECT;
	if (json_member(&def, "description", &v) == -1 ||
	    (text = json_strdup(&v)) == NULL)
		return NULL;
	if (strlen(text) > n) {
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		text[n] = '\0';
	}
	return text;
}

/* The name is that of endpoints with a prefix, unless it has no such. */
static const char *
exposed_name(const struct rules *r, const struct tool *t, char *dst)
{
	const struct conf_endpoint *e;
	const char *prefix = NULL;
	size_t i;
	uint32_t k, any = 0;

	for (i = 0; i < r->nendpoint; i++) {
		e = &r->endpoint[i];
		for (k = 0; k < e->backends.n; k++)
			if (e->backends.v[k] == t->backend->conf.id) {
				any = 1;
				if (e->prefix == PREFIX_BACKEND)
					prefix = t->backend->conf.name;
			}
	}
	if (!any)
		prefix = t->backend->conf.name;
	return name_expose(dst, prefix, r->conf.separator, t->item->name,
		   r->conf.names_max) == -1
		   ? ""
		   : dst;
}

/* Hidden everywhere for one reason, or at some endpoints only. */
static void
reason(const struct tool *t, char *dst, size_t size)
{
	const char *text;
	int pathlen;

	dst[0] = '\0';
	if (t->hidden == 0) {
		if (t->shown == 0)
			(void)strlcpy(
			    dst, "no endpoint has this backend", size);
		return;
	}
	text = strchr(t->why, '\n') + 1;
	pathlen = (int)(text - 1 - t->why);
	if (t->shown == 0)
		(void)strlcpy(dst, text, size);
	else if (t->hidden == 1)
		snprintf(dst, size, "at %.*s: %s", pathlen, t->why, text);
	else
		snprintf(dst, size, "at %.*s and %u more: %s", pathlen, t->why,
		    t->hidden - 1, text);
}

/* -1: there is no room for more. */
static int
show_tool(uint32_t id, const struct rules *r, const struct tool *t)
{
	char name[NAME_MAX_EXPOSED + 1], why[2048 + WHY_LEN], *text;

	if (!master_room())
		return -1;
	text = description(t->item);
	reason(t, why, sizeof(why));
	master_row(id, "name", exposed_name(r, t, name), "backend",
	    t->backend->conf.name, "tool", t->item->name, "hidden", why,
	    "description", text, NULL);
	free(text);
	return 0;
}

static int
show_drops(uint32_t id, const char *backend, const struct drops *d)
{
	char text[64];
	unsigned int i;

	for (i = 0; d != NULL && i < d->n; i++) {
		if (!master_room())
			return -1;
		master_row(id, "name", "", "backend", backend, "tool",
		    d->v[i].name, "hidden", d->v[i].why, "description", "",
		    NULL);
	}
	if (d == NULL || d->more == 0)
		return 0;
	snprintf(text, sizeof(text), "left out: %u more", d->more);
	master_row(id, "name", "", "backend", backend, "tool", "", "hidden",
	    text, "description", "", NULL);
	return 0;
}

/* Resources of an endpoint; h NULL: how many there are. */
static size_t
hold(const struct conf_endpoint *e, struct held *h)
{
	const struct cat_item *ci;
	struct shelf_offer o;
	uint32_t k, i;
	size_t n = 0;

	for (k = 0; k < e->backends.n; k++) {
		if (shelf_offer(e->backends.v[k], &o) == -1)
			continue;
		ci = o.entry->list[CAT_RESOURCES].p;
		for (i = 0; i < o.entry->list[CAT_RESOURCES].n; i++, n++)
			if (h != NULL) {
				h[n].uri = ci[i].name;
				h[n].backend = o.backend;
				h[n].at = n;
			}
	}
	return n;
}

static int
by_uri(const void *a, const void *b)
{
	const struct held *x = a, *y = b;
	int r = strcmp(x->uri, y->uri);

	return r != 0 ? r : x->at < y->at ? -1 : 1;
}

/* Those that an earlier backend has, too: it is the one that is read. */
static int
show_resources(uint32_t id, const char *backend, const struct conf_endpoint *e)
{
	struct held *h;
	size_t i, first = 0, n = hold(e, NULL);
	char *why;
	int rv = 0;

	h = xcalloc(n + 1, sizeof(*h));
	(void)hold(e, h);
	qsort(h, n, sizeof(*h), by_uri);
	for (i = 1; rv == 0 && i < n; i++) {
		if (strcmp(h[i].uri, h[first].uri) != 0) {
			first = i;
			continue;
		}
		if (backend != NULL &&
		    strcmp(backend, h[i].backend->conf.name) != 0)
			continue;
		if (!master_room()) {
			rv = -1;
			break;
		}
		xasprintf(&why, "at %s: this resource of backend %s is served",
		    e->path, h[first].backend->conf.name);
		master_row(id, "name", "", "backend", h[i].backend->conf.name,
		    "tool", h[i].uri, "hidden", why, "description", "", NULL);
		free(why);
	}
	free(h);
	return rv;
}

void
exposed_show(uint32_t id, const char *backend)
{
	const struct rules *r = rules_find(current);
	struct shelf_offer o;
	struct tools t;
	uint32_t k;
	size_t i;
	int rv = 0;

	if (backend != NULL && !shelf_known(backend)) {
		master_end(id, 1, "no such backend");
		return;
	}
	if (r == NULL) {
		master_end(id, 0, "");
		return;
	}
	t = collect(r);
	for (i = 0; i < r->nendpoint; i++)
		judge(r, &r->endpoint[i], &t);
	for (k = 0; rv == 0 && k < r->backends.n; k++) {
		if (shelf_offer(r->backends.v[k], &o) == -1 ||
		    (backend != NULL &&
			strcmp(backend, o.backend->conf.name) != 0))
			continue;
		for (i = 0; rv == 0 && i < t.n; i++)
			if (t.v[i].backend == o.backend)
				rv = show_tool(id, r, &t.v[i]);
		if (rv == 0)
			rv = show_drops(id, o.backend->conf.name, o.drops);
	}
	for (i = 0; rv == 0 && i < r->nendpoint; i++)
		rv = show_resources(id, backend, &r->endpoint[i]);
	for (i = 0; i < t.n; i++)
		free(t.v[i].why);
	free(t.v);
	master_end(id, 0,
	    rv == 0 ? "" : "there are more; name a backend to see all of it");
}
