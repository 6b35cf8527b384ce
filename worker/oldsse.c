/*
 * Sessions with backends of 2024-11-05. What comes on the stream is told apart
 * by id: answers and progress by that of their request. Questions go to a call
 * that is open, everything else to whoever listens.
 */
#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "log.h"
#include "notify.h"
#include "oldsse.h"
#include "peer.h"
#include "rpc.h"
#include "splice.h"
#include "upconn.h"

/* No backend can give it: not a visible character. */
#define PREFIX    "\001sse:"
#define OPEN_TIME 5000 /* ms for the first event */
#define IDLE_TIME (1800 * 1000ull) /* ms without a message */

/* A request of somebody. Its POST may outlive it. */
struct oldreq {
	TAILQ_ENTRY(oldreq) entry;
	struct oldsse *sse; /* NULL: its end is only to be told, or has been */
	struct upreq up; /* what its owner holds */
	struct upreq *post; /* under way */
	char *body;
	char *id; /* JSON, in body; NULL: it will not be answered */
	size_t idlen;
	int watch; /* a GET */
	int over; /* its owner has been told, or has left */
	enum up_result result; /* while it waits to be told */
};

TAILQ_HEAD(oldreqs, oldreq);

struct oldsse {
	LIST_ENTRY(oldsse) entry;
	struct backend *backend;
	char id[64];
	char *target; /* NULL until the endpoint event */
	struct upreq *get;
	struct oldreqs reqs; /* oldest first */
	struct oldreq *current; /* being told something */
	void (*opened)(void *, const char *, enum up_result, int);
	void *arg;
	uint64_t used; /* ms */
	int busy; /* inside a callback: do not free */
	int dead;
};

static struct oldsse *sse_find(const char *);
static void sse_fail(struct oldsse *, enum up_result, int);
static void sse_end(struct oldsse *);
static void sse_leave(struct oldsse *);
static int get_message(void *, const char *, size_t);
static void get_endpoint(void *, const char *, size_t);
static void get_done(void *, enum up_result, int);
static void sse_tell(
    struct oldsse *, const struct rpc *, enum rpc_kind, const char *, size_t);
static struct oldreq *req_of(struct oldsse *, const struct json_span *);
static struct oldreq *req_call(struct oldsse *);
static struct oldreq *req_watch(struct oldsse *);
static int req_post(
    struct oldreq *, const struct upreq_head *, const char *, size_t);
static void req_done(struct oldreq *, enum up_result, int);
static void req_late(struct oldreq *, enum up_result, int);
static void req_free(struct oldreq *);
static int post_message(void *, const char *, size_t);
static void post_done(void *, enum up_result, int);
static void late_tell(evutil_socket_t, short, void *);
static void refuse(struct oldsse *, const struct rpc *);

static const struct upreq_ops get_ops = {get_message, get_done};
static const struct upreq_ops post_ops = {post_message, post_done};
static LIST_HEAD(, oldsse) sessions = LIST_HEAD_INITIALIZER(sessions);
static struct oldreqs late = TAILQ_HEAD_INITIALIZER(late);
static struct event *late_timer;

int
oldsse_is(const char *session)
{
	return strncmp(session, PREFIX, sizeof(PREFIX) - 1) == 0;
}

static struct oldsse *
sse_find(const char *id)
{
	struct oldsse *s;

	LIST_FOREACH (s, &sessions, entry)
		if (strcmp(s->id, id) == 0)
			return s;
	return NULL;
}

/* ---- the stream ---- */

struct oldsse *
oldsse_open(struct backend *b,
    void (*cb)(void *, const char *, enum up_result, int), void *arg)
{
	struct upreq_head h = {"GET", NULL, NULL, NULL, NULL};
	static uint64_t serial;
	struct oldsse *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->backend = b;
	s->opened = cb;
	s->arg = arg;
	s->used = mono_msec();
	TAILQ_INIT(&s->reqs);
	snprintf(s->id, sizeof(s->id), PREFIX "%llu.%llu",
	    (unsigned long long)worker.id, (unsigned long long)++serial);
	s->get = upstream_raw(b, &h, b->conf.target, NULL, 0, &get_ops, s);
	if (s->get == NULL) {
		free(s);
		return NULL;
	}
	s->get->endpoint = get_endpoint;
	LIST_INSERT_HEAD(&sessions, s, entry);
	return s;
}

void
oldsse_cancel(struct oldsse *s)
{
	s->opened = NULL;
	sse_end(s);
}

void
oldsse_close(const char *session)
{
	struct oldsse *s = sse_find(session);

	if (s != NULL)
		sse_end(s);
}

int
oldsse_alive(const char *session)
{
	return sse_find(session) != NULL;
}

/* It could not be opened. */
static void
sse_fail(struct oldsse *s, enum up_result res, int status)
{
	void (*opened)(void *, const char *, enum up_result, int) = s->opened;
	void *arg = s->arg;

	s->opened = NULL;
	sse_end(s);
	if (opened != NULL)
		opened(arg, NULL, res, status);
}

static void
sse_end(struct oldsse *s)
{
	struct oldreq *o;

	if (s->dead)
		return;
	s->dead = 1;
	s->current = NULL;
	LIST_REMOVE(s, entry);
	if (s->get != NULL)
		upreq_cancel(s->get);
	s->get = NULL;
	s->busy++;
	while ((o = TAILQ_FIRST(&s->reqs)) != NULL)
		req_done(o, UP_CLOSED, 0);
	s->busy--;
	sse_leave(s);
}

/* The last one out of a dead session frees it. */
static void
sse_leave(struct oldsse *s)
{
	if (!s->dead || s->busy)
		return;
	free(s->target);
	free(s);
}

static void
get_done(void *arg, enum up_result res, int status)
{
	struct oldsse *s = arg;

	s->get = NULL;
	if (s->target == NULL)
		sse_fail(s, res == UP_OK ? UP_BAD : res, status);
	else
		sse_end(s);
}

static void
get_endpoint(void *arg, const char *data, size_t len)
{
	struct oldsse *s = arg;
	void (*opened)(void *, const char *, enum up_result, int) = s->opened;

	if (s->target != NULL)
		return;
	if ((s->target = oldsse_target(s->backend, data, len)) == NULL) {
		log_warnx("backend %s: names an endpoint that is not its own",
		    s->backend->conf.name);
		sse_fail(s, UP_BAD, 0);
		return;
	}
	s->opened = NULL;
	opened(s->arg, s->id, UP_OK, 0);
}

static int
get_message(void *arg, const char *json, size_t len)
{
	struct oldsse *s = arg;
	enum rpc_kind kind;
	struct rpc r;
	const char *why;
	int code;

	if (s->target == NULL) {
		sse_fail(s, UP_BAD, 0);
		return 0;
	}
	s->used = mono_msec();
	kind = rpc_scan(&r, json, len, &code, &why);
	s->busy++;
	sse_tell(s, &r, kind, json, len);
	s->busy--;
	sse_leave(s);
	return 0;
}

/* To whom it belongs. */
static void
sse_tell(struct oldsse *s, const struct rpc *r, enum rpc_kind kind,
    const char *json, size_t len)
{
	struct oldreq *o = NULL;
	const struct json_span *token;

	switch (kind) {
	case RPC_RESPONSE:
		o = req_of(s, &r->id);
		break;
	case RPC_NOTIFICATION:
		if (strcmp(r->method, "notifications/progress") == 0) {
			token = rpc_param(r, "progressToken");
			o = token == NULL ? NULL : req_of(s, token);
		} else if ((o = req_watch(s)) == NULL)
			o = req_call(s);
		break;
	case RPC_REQUEST:
		if (strcmp(r->method, "ping") == 0 ||
		    ((o = req_call(s)) == NULL && (o = req_watch(s)) == NULL)) {
			refuse(s, r);
			return;
		}
		break;
	case RPC_BAD:
		break;
	}
	if (o == NULL) {
		if (kind == RPC_RESPONSE || kind == RPC_BAD)
			s->backend->dropped++;
		return;
	}
	s->current = o;
	if (o->up.ops->message(o->up.arg, json, len) == 1 &&
	    kind == RPC_RESPONSE && s->current == o)
		req_done(o, UP_OK, 200);
	s->current = NULL;
}

/* A ping is answered; nobody can be asked anything else. */
static void
refuse(struct oldsse *s, const struct rpc *r)
{
	struct json_buf b = {0};
	char *body;
	size_t len;

	if (strcmp(r->method, "ping") == 0) {
		rpc_putresult(&b, r->id.p, r->id.len);
		json_puts(&b, "{}}");
	} else
		rpc_puterror(&b, &r->id, RPC_NO_METHOD,
		    "the client can not be asked now");
	if ((body = json_buf_take(&b, &len)) != NULL)
		notify_post(s->backend, "POST", s->id, "", body, len);
}

/* ---- requests ---- */

static struct oldreq *
req_of(struct oldsse *s, const struct json_span *id)
{
	struct oldreq *o;

	TAILQ_FOREACH (o, &s->reqs, entry)
		if (o->id != NULL && o->idlen == id->len &&
		    memcmp(o->id, id->p, id->len) == 0)
			return o;
	return NULL;
}

/* The newest call of the client: it is the one that knows how to ask. */
static struct oldreq *
req_call(struct oldsse *s)
{
	struct json_span id;
	struct oldreq *o;
	uint64_t w, n;

	TAILQ_FOREACH_REVERSE(o, &s->reqs, oldreqs, entry)
	{
		if (o->id == NULL)
			continue;
		id.p = o->id;
		id.len = o->idlen;
		id.type = JSON_STRING;
		if (splice_readid(&id, &w, &n) == 0)
			return o;
	}
	return NULL;
}

static struct oldreq *
req_watch(struct oldsse *s)
{
	struct oldreq *o;

	TAILQ_FOREACH_REVERSE(o, &s->reqs, oldreqs, entry)
	if (o->watch)
		return o;
	return NULL;
}

struct upreq *
oldsse_send(struct backend *b, const struct upreq_head *h, const char *body,
    size_t len, const struct upreq_ops *ops, void *arg)
{
	struct oldsse *s = sse_find(h->session);
	struct oldreq *o;

	if ((o = calloc(1, sizeof(*o))) == NULL)
		return NULL;
	o->up.backend = b;
	o->up.ops = ops;
	o->up.arg = arg;
	o->up.old = o;
	strlcpy(o->up.session, h->session, sizeof(o->up.session));
	if (s == NULL || s->target == NULL || s->backend != b) {
		/* As a backend says it that knows no such session. */
		req_late(o, UP_STATUS, 404);
		return &o->up;
	}
	s->used = mono_msec();
	if (strcmp(h->method, "DELETE") == 0) {
		sse_end(s);
		req_late(o, UP_OK, 200);
		return &o->up;
	}
	o->watch = strcmp(h->method, "GET") == 0;
	if (!o->watch && req_post(o, h, body, len) == -1) {
		req_free(o);
		return NULL;
	}
	o->sse = s;
	TAILQ_INSERT_TAIL(&s->reqs, o, entry);
	return &o->up;
}

static int
req_post(
    struct oldreq *o, const struct upreq_head *h, const char *body, size_t len)
{
	struct upreq_head head = {"POST", NULL, h->revision, NULL, h->extra};
	struct oldsse *s = sse_find(h->session);
	struct rpc r;
	const char *why;
	int code;

	if ((o->body = malloc(len + 1)) == NULL)
		return -1;
	memcpy(o->body, body, len);
	if (rpc_scan(&r, o->body, len, &code, &why) == RPC_REQUEST) {
		o->idlen = r.id.len;
		o->id = o->body + (r.id.p - o->body);
	}
	o->post = upstream_raw(
	    s->backend, &head, s->target, o->body, len, &post_ops, o);
	if (o->post == NULL)
		return -1;
	o->post->drop = 1;
	return 0;
}

/* What the answer to a POST says is of no interest. */
static int
post_message(void *arg, const char *json, size_t len)
{
	(void)arg;
	(void)json;
	(void)len;
	return 0;
}

static void
post_done(void *arg, enum up_result res, int status)
{
	struct oldreq *o = arg;

	o->post = NULL;
	if (o->over)
		req_free(o);
	else if (res != UP_OK || o->id == NULL)
		req_done(o, res, status);
}

static void
req_done(struct oldreq *o, enum up_result res, int status)
{
	struct oldsse *s = o->sse;

	TAILQ_REMOVE(s != NULL ? &s->reqs : &late, o, entry);
	if (s != NULL && s->current == o)
		s->current = NULL;
	o->sse = NULL;
	o->over = 1;
	o->up.ops->done(o->up.arg, res, status);
	if (o->post == NULL)
		req_free(o);
}

static void
req_free(struct oldreq *o)
{
	free(o->body);
	free(o);
}

void
oldsse_drop(struct upreq *r)
{
	struct oldreq *o = r->old;

	TAILQ_REMOVE(o->sse != NULL ? &o->sse->reqs : &late, o, entry);
	if (o->sse != NULL && o->sse->current == o)
		o->sse->current = NULL;
	o->sse = NULL;
	o->over = 1;
	if (o->post == NULL)
		req_free(o);
}

/* ---- ends that are told in the next turn of the loop ---- */

static void
req_late(struct oldreq *o, enum up_result res, int status)
{
	struct timeval now = {0, 0};

	if (late_timer == NULL && (late_timer = event_new(peer_base(), -1, 0,
				       late_tell, NULL)) == NULL)
		fatalx("out of memory");
	o->result = res;
	o->up.status = status;
	TAILQ_INSERT_TAIL(&late, o, entry);
	event_add(late_timer, &now);
}

static void
late_tell(evutil_socket_t fd, short what, void *arg)
{
	struct oldreq *o, *last = TAILQ_LAST(&late, oldreqs);
	int more = last != NULL;

	(void)fd;
	(void)what;
	(void)arg;
	while (more && (o = TAILQ_FIRST(&late)) != NULL) {
		more = o != last;
		req_done(o, o->result, o->up.status);
	}
	if (!TAILQ_EMPTY(&late))
		event_add(late_timer, &(struct timeval){0, 0});
}

void
oldsse_forget(struct backend *b)
{
	struct oldsse *s, *next;
	struct oldreq *o;

	for (s = LIST_FIRST(&sessions); s != NULL; s = next) {
		next = LIST_NEXT(s, entry);
		if (s->backend == b) {
			sse_fail(s, UP_CLOSED, 0);
			next = LIST_FIRST(&sessions);
		}
	}
	do {
		TAILQ_FOREACH (o, &late, entry)
			if (o->up.backend == b)
				break;
		if (o != NULL)
			req_done(o, o->result, o->up.status);
	} while (o != NULL);
}

void
oldsse_tick(void)
{
	struct oldsse *s, *next;
	uint64_t now = mono_msec();

	for (s = LIST_FIRST(&sessions); s != NULL; s = next) {
		next = LIST_NEXT(s, entry);
		if (s->target == NULL
			? now - s->used < OPEN_TIME
			: !TAILQ_EMPTY(&s->reqs) || now - s->used < IDLE_TIME)
			continue;
		sse_fail(s, UP_BAD, 0);
		next = LIST_FIRST(&sessions);
	}
}
