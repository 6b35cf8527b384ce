/*
 * The probe: a session, all pages of all lists, the end of the session. What a
 * backend sends is checked item by item: one bad tool costs only itself, and
 * neither the number of pages nor that of items is its to choose.
 */
#include <event2/event.h>

#include <stdlib.h>
#include <string.h>

#include "askid.h"
#include "compat.h"
#include "handshake.h"
#include "log.h"
#include "notify.h"
#include "peer.h"
#include "probe.h"
#include "rpc.h"
#include "shape.h"
#include "upstream.h"

#define LIST_TIME 10 /* s for all lists together */
#define MAX_PAGES 50
#define MAX_NAME  512
#define MAX_BYTES (8 * 1024 * 1024) /* of all lists of a backend */
#define DROP_NAME 64 /* bytes of a name that is not taken */

struct probe {
	struct backend *backend;
	struct handshake *hs;
	struct upreq *up;
	struct event *timer;
	struct cat_entry entry;
	struct drops *drops; /* NULL: none */
	char session[512];
	char revision[16];
	int kind; /* list being asked for; CAT_KINDS: done */
	size_t bytes; /* of all items */
	int pages; /* of this kind */
	int got; /* this page has come */
	int borrowed; /* the session is of an earlier probe */
	char id[ASKID_LEN]; /* of the request for this page */
	char *cursor; /* JSON string, or NULL */
	char *body;
	size_t bodylen;
	const char *error;
	void (*cb)(void *, struct cat_entry *, const char *);
	void *arg;
};

static void probe_opened(void *, const struct handshake_result *);
static void probe_describe(struct probe *, const struct json_span *);
static void probe_lists(struct probe *);
static void probe_next(struct probe *);
static int probe_send(struct probe *);
static int probe_message(void *, const char *, size_t);
static void probe_done(void *, enum up_result, int);
static void probe_page(struct probe *, const struct json_span *);
static int probe_absent(const struct probe *, const struct rpc *);
static const char *probe_item(struct probe *, const struct json_span *);
static void probe_drop(struct probe *, const struct json_span *, const char *);
static void probe_finish(struct probe *, const char *);
static void probe_timeout(evutil_socket_t, short, void *);
static int has(const struct json_span *, const char *);

static const struct upreq_ops ops = {probe_message, probe_done};

static const struct {
	const char *method, *member, *key;
	uint32_t cap;
} lists[CAT_KINDS] = {
    {"tools/list", "tools", "name", CAP_TOOLS},
    {"prompts/list", "prompts", "name", CAP_PROMPTS},
    {"resources/list", "resources", "uri", CAP_RESOURCES},
    {"resources/templates/list", "resourceTemplates", "uriTemplate",
	CAP_RESOURCES},
};

struct probe *
probe_start(struct backend *b, uint8_t class, const struct cat_entry *old,
    const char *session, void (*cb)(void *, struct cat_entry *, const char *),
    void *arg)
{
	struct probe *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->backend = b;
	p->cb = cb;
	p->arg = arg;
	p->entry.backend = b->conf.id;
	p->entry.class = class;
	p->entry.state = CAT_UP;
	p->timer = event_new(peer_base(), -1, 0, probe_timeout, p);
	if (p->timer == NULL)
		goto fail;
	if (session == NULL) {
		p->hs = handshake_start(b, class, NULL, NULL, probe_opened, p);
		if (p->hs == NULL)
			goto fail;
		return p;
	}
	strlcpy(p->session, session, sizeof(p->session));
	strlcpy(p->revision, old->revision, sizeof(p->revision));
	p->borrowed = 1;
	p->entry.caps = old->caps;
	p->entry.server = strdup(old->server ? old->server : "");
	p->entry.instructions =
	    strdup(old->instructions ? old->instructions : "");
	p->entry.revision = strdup(old->revision);
	if (p->entry.server == NULL || p->entry.instructions == NULL ||
	    p->entry.revision == NULL)
		goto fail;
	probe_lists(p);
	return p;
fail:
	probe_cancel(p);
	return NULL;
}

const char *
probe_session(const struct probe *p)
{
	return p->session;
}

struct drops *
probe_drops(struct probe *p)
{
	struct drops *d = p->drops;

	p->drops = NULL;
	return d;
}

void
drops_free(struct drops *d)
{
	unsigned int i;

	for (i = 0; d != NULL && i < d->n; i++)
		free(d->v[i].name);
	free(d);
}

static void
probe_lists(struct probe *p)
{
	struct timeval tv = {LIST_TIME, 0};

	event_add(p->timer, &tv);
	p->kind = -1;
	probe_next(p);
}

static int
has(const struct json_span *caps, const char *key)
{
	struct json_span v;

	return json_member(caps, key, &v) == 0 && v.type == JSON_OBJECT;
}

static void
probe_opened(void *arg, const struct handshake_result *r)
{
	struct probe *p = arg;
	struct json_span s;

	p->hs = NULL;
	if (r->error != NULL) {
		probe_finish(p, r->error);
		return;
	}
	strlcpy(p->session, r->session, sizeof(p->session));
	strlcpy(p->revision, r->revision, sizeof(p->revision));
	s.p = r->result;
	s.len = r->resultlen;
	s.type = JSON_OBJECT;
	probe_describe(p, &s);
	probe_lists(p);
}

static void
probe_describe(struct probe *p, const struct json_span *result)
{
	struct cat_entry *e = &p->entry;
	struct json_span v, w, on;

	if (json_member(result, "capabilities", &v) == 0 &&
	    v.type == JSON_OBJECT) {
		e->caps |= has(&v, "tools") ? CAP_TOOLS : 0;
		e->caps |= has(&v, "prompts") ? CAP_PROMPTS : 0;
		e->caps |= has(&v, "resources") ? CAP_RESOURCES : 0;
		e->caps |= has(&v, "completions") ? CAP_COMPLETIONS : 0;
		e->caps |= has(&v, "logging") ? CAP_LOGGING : 0;
		if (json_member(&v, "resources", &w) == 0 &&
		    w.type == JSON_OBJECT &&
		    json_member(&w, "subscribe", &on) == 0 &&
		    on.type == JSON_TRUE)
			e->caps |= CAP_SUBSCRIBE;
	}
	if (json_member(result, "instructions", &v) == 0 && v.len < 65000)
		e->instructions = json_strdup(&v);
	if (json_member(result, "serverInfo", &v) == 0 &&
	    v.type == JSON_OBJECT && json_member(&v, "name", &w) == 0 &&
	    w.len < 250)
		e->server = json_strdup(&w);
	e->revision = strdup(p->revision);
}

/* The next list that the backend has. */
static void
probe_next(struct probe *p)
{
	free(p->cursor);
	p->cursor = NULL;
	p->pages = 0;
	do {
		p->kind++;
	} while (p->kind < CAT_KINDS && !(p->entry.caps & lists[p->kind].cap));
	if (p->kind == CAT_KINDS)
		probe_finish(p, NULL);
	else if (probe_send(p) == -1)
		probe_finish(p, "can not be asked: out of memory");
}

static int
probe_send(struct probe *p)
{
	struct upreq_head h = {"POST", p->session, p->revision, NULL, NULL};
	struct json_buf b = {0};

	askid(p->id);
	json_puts(&b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_putstr(&b, p->id);
	json_puts(&b, ",\"method\":\"");
	json_puts(&b, lists[p->kind].method);
	json_puts(&b, "\",\"params\":{");
	if (p->cursor != NULL) {
		json_puts(&b, "\"cursor\":");
		json_puts(&b, p->cursor);
	}
	json_puts(&b, "}}");
	free(p->body);
	if ((p->body = json_buf_take(&b, &p->bodylen)) == NULL)
		return -1;
	p->got = 0;
	p->error = NULL;
	p->up = upstream_send(p->backend, &h, p->body, p->bodylen, &ops, p);
	return p->up == NULL ? -1 : 0;
}

static int
probe_message(void *arg, const char *json, size_t len)
{
	struct probe *p = arg;
	struct rpc r;
	const char *why;
	int code;

	if (rpc_scan(&r, json, len, &code, &why) != RPC_RESPONSE ||
	    !json_equals(&r.id, p->id))
		return 0;
	p->got = 1;
	if (r.result != NULL && r.result->val.type == JSON_OBJECT)
		probe_page(p, &r.result->val);
	else if (!probe_absent(p, &r))
		p->error = "could not give one of its lists";
	return 1;
}

/* A list that it announces and does not have is an empty one. */
static int
probe_absent(const struct probe *p, const struct rpc *r)
{
	struct json_span code;

	return p->pages == 0 && r->error != NULL &&
	       r->error->val.type == JSON_OBJECT &&
	       json_member(&r->error->val, "code", &code) == 0 &&
	       code.len == 6 && memcmp(code.p, "-32601", 6) == 0;
}

static void
probe_page(struct probe *p, const struct json_span *result)
{
	struct json_span array, item, next;
	char *cursor = NULL;
	const char *why;
	size_t pos = 0;

	if (json_member(result, lists[p->kind].member, &array) == -1 ||
	    array.type != JSON_ARRAY) {
		p->error = "sent a list that is none";
		return;
	}
	while (json_next(&array, &pos, NULL, &item))
		if ((why = probe_item(p, &item)) != NULL)
			probe_drop(p, &item, why);
	if (json_member(result, "nextCursor", &next) == 0 &&
	    next.type == JSON_STRING && next.len < 16384)
		cursor = strndup(next.p, next.len);
	/* The same page for ever. */
	if (cursor != NULL && p->cursor != NULL &&
	    strcmp(cursor, p->cursor) == 0) {
		log_warnx("backend %s: %s: the same page again and again",
		    p->backend->conf.name, lists[p->kind].method);
		free(cursor);
		cursor = NULL;
	}
	free(p->cursor);
	p->cursor = cursor;
}

/* item: NULL for those that were not even seen. */
static void
probe_drop(struct probe *p, const struct json_span *item, const char *why)
{
	struct json_span key;
	struct drops *d;
	char name[CAT_MAX_NAME] = "";
	size_t n;

	if (item != NULL && item->type == JSON_OBJECT &&
	    json_member(item, lists[p->kind].key, &key) == 0 &&
	    json_decode(&key, name, sizeof(name)) < 0)
		name[0] = '\0';
	if ((n = strlen(name)) > DROP_NAME) {
		for (n = DROP_NAME; n > 0 && (name[n] & 0xc0) == 0x80;)
			n--;
		name[n] = '\0';
	}
	log_debug("backend %s: %s: '%s' is left out: %s", p->backend->conf.name,
	    lists[p->kind].method, name, why);
	if (p->kind != CAT_TOOLS ||
	    (p->drops == NULL &&
		(p->drops = calloc(1, sizeof(*p->drops))) == NULL))
		return;
	d = p->drops;
	if (d->n == DROPS_MAX || (d->v[d->n].name = strdup(name)) == NULL) {
		d->more++;
		return;
	}
	d->v[d->n++].why = why;
}

/* NULL, or why it is left out. */
static const char *
probe_item(struct probe *p, const struct json_span *item)
{
	struct vec *v = &p->entry.list[p->kind];
	struct cat_item *ci;
	struct json_span key;
	struct json_doc doc;
	const char *why;
	char name[CAT_MAX_NAME];
	size_t max = p->kind <= CAT_PROMPTS ? MAX_NAME : sizeof(name);
	ssize_t len;
	uint32_t n;

	if (item->type != JSON_OBJECT)
		return "left out: is no object";
	/* A reader that takes the last of two names would see another one. */
	if (json_scan(&doc, item->p, item->len, NULL) != JSON_OK)
		return "left out: a key of it is there twice or escaped";
	if (json_member(item, lists[p->kind].key, &key) == -1 ||
	    key.type != JSON_STRING)
		return "left out: has no name";
	if ((len = json_decode(&key, name, max)) == 0)
		return "left out: its name is empty";
	if (len < 0)
		return "left out: its name is too long or no valid text";
	if (item->len > CAT_MAX_ITEM)
		return "left out: is larger than 1 MiB";
	if (p->bytes + item->len > MAX_BYTES)
		return "left out: all of them together are larger than 8 MiB";
	for (ci = v->p, n = 0; n < v->n; n++)
		if (ci[n].raw.len == item->len &&
		    memcmp(ci[n].raw.p, item->p, item->len) == 0)
			return "left out: it is there already";
	if (v->n >= CAT_MAX_TOOLS)
		return "left out: is not among the first 1000";
	if ((why = shape_wrong(p->kind, item)) != NULL)
		return why;
	ci = reallocarray(v->p, v->n + 1, sizeof(*ci));
	if (ci == NULL)
		return "left out: memory is out";
	v->p = ci;
	ci += v->n;
	ci->name = strdup(name);
	ci->raw.p = malloc(item->len);
	if (ci->name == NULL || ci->raw.p == NULL) {
		free(ci->name);
		free(ci->raw.p);
		return "left out: memory is out";
	}
	memcpy(ci->raw.p, item->p, item->len);
	ci->raw.len = item->len;
	v->n++;
	p->bytes += item->len;
	return NULL;
}

static void
probe_done(void *arg, enum up_result res, int status)
{
	struct probe *p = arg;

	(void)status;
	p->up = NULL;
	if (res != UP_OK)
		probe_finish(p, up_strerror(p->backend, res));
	else if (!p->got)
		probe_finish(p, "did not answer a request for a list");
	else if (p->error != NULL)
		probe_finish(p, p->error);
	else if (p->cursor != NULL && ++p->pages < MAX_PAGES &&
		 p->entry.list[p->kind].n < CAT_MAX_TOOLS) {
		if (probe_send(p) == -1)
			probe_finish(p, "can not be asked: out of memory");
	} else {
		if (p->cursor != NULL) {
			log_warnx("backend %s: %s does not end; cut at %u "
				  "entries",
			    p->backend->conf.name, lists[p->kind].method,
			    p->entry.list[p->kind].n);
			probe_drop(p, NULL,
			    "left out: the rest of a list that does not end");
		}
		probe_next(p);
	}
}

static void
probe_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	probe_finish(arg, "did not send its lists in time");
}

static void
probe_finish(struct probe *p, const char *why)
{
	if (why != NULL && !p->borrowed && *p->session != '\0')
		notify_post(
		    p->backend, "DELETE", p->session, p->revision, NULL, 0);
	p->cb(p->arg, why == NULL ? &p->entry : NULL, why);
	probe_cancel(p);
}

void
probe_cancel(struct probe *p)
{
	if (p->hs != NULL)
		handshake_cancel(p->hs);
	if (p->up != NULL)
		upreq_cancel(p->up);
	if (p->timer != NULL)
		event_free(p->timer);
	wire_free(&def_cat_entry, &p->entry);
	drops_free(p->drops);
	free(p->cursor);
	free(p->body);
	free(p);
}
