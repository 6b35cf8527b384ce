/*
 * Fire and forget toward backends.
 */
#include <sys/queue.h>

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "notify.h"
#include "peer.h"
#include "splice.h"
#include "upstream.h"

#define NOTE_TIME   10 /* s */
#define NOTE_PAUSE  50 /* ms before the second try */
#define MAX_FLYING  64 /* of one backend at a time */
#define MAX_WAITING 1024 /* of one backend, behind those */
#define MAX_STEPS   64 /* progress messages that wait, of one asker */

struct note {
	TAILQ_ENTRY(note) entry; /* waiting or flying */
	enum note_kind kind;
	const void *order; /* whose it is; only compared */
	struct backend *backend;
	char method[8];
	char session[512];
	char revision[16];
	void (*done)(void *);
	void *arg;
	struct upreq *up;
	struct event *timer;
	int again; /* this is its second time */
	char *body;
	size_t len;
};

static int note_message(void *, const char *, size_t);
static void note_done(void *, enum up_result, int);
static void note_timeout(evutil_socket_t, short, void *);
static void note_free(struct note *);
static struct note *note_new(
    struct backend *, const char *, const char *, const char *, char *, size_t);
static int note_post(struct note *);
static int note_send(struct note *);
static int note_try(struct note *);
static int note_held(const struct note *);
static int note_blocks(const struct note *, const struct note *);
static unsigned int note_steps(const void *);
static void note_next(struct backend *);
static void note_landed(struct note *);

static const struct upreq_ops ops = {note_message, note_done};
static TAILQ_HEAD(, note) waiting = TAILQ_HEAD_INITIALIZER(waiting);
static TAILQ_HEAD(, note) flying = TAILQ_HEAD_INITIALIZER(flying);

void
notify_post(struct backend *b, const char *method, const char *session,
    const char *revision, char *body, size_t len)
{
	(void)notify_ask(b, method, session, revision, body, len, NULL, NULL);
}

int
notify_ask(struct backend *b, const char *method, const char *session,
    const char *revision, char *body, size_t len, void (*done)(void *),
    void *arg)
{
	struct note *n = note_new(b, method, session, revision, body, len);

	if (n == NULL)
		return -1;
	n->done = done;
	n->arg = arg;
	return note_post(n);
}

void
notify_in_order(struct backend *b, const void *order, enum note_kind kind,
    const char *session, const char *revision, char *body, size_t len)
{
	struct note *n;

	if (kind == NOTE_PROGRESS && note_steps(order) >= MAX_STEPS) {
		free(body);
		return;
	}
	if ((n = note_new(b, "POST", session, revision, body, len)) == NULL)
		return;
	n->kind = kind;
	n->order = order;
	(void)note_post(n);
}

/* NULL: body has been freed. */
static struct note *
note_new(struct backend *b, const char *method, const char *session,
    const char *revision, char *body, size_t len)
{
	struct note *n;

	if (b->notes_waiting >= MAX_WAITING ||
	    (n = calloc(1, sizeof(*n))) == NULL) {
		free(body);
		return NULL;
	}
	n->backend = b;
	strlcpy(n->method, method, sizeof(n->method));
	strlcpy(n->session, session, sizeof(n->session));
	strlcpy(n->revision, revision, sizeof(n->revision));
	n->body = body;
	n->len = len;
	return n;
}

static int
note_post(struct note *n)
{
	if (n->backend->notes_flying >= MAX_FLYING || note_held(n)) {
		TAILQ_INSERT_TAIL(&waiting, n, entry);
		n->backend->notes_waiting++;
		return 0;
	}
	if (note_send(n) == -1) {
		n->done = NULL;
		note_free(n);
		return -1;
	}
	return 0;
}

/*
 * Each note has a connection of its own, where one may be faster than another.
 * A question's answer must not come before its progress, nor progress in
 * another order, nor a refusal before the cancel that is its reason: the
 * backend's tool would end as if nobody had cancelled it.
 */
static int
note_held(const struct note *n)
{
	const struct note *m;

	if (n->kind != NOTE_PROGRESS && n->kind != NOTE_ANSWER)
		return 0;
	TAILQ_FOREACH (m, &flying, entry)
		if (note_blocks(m, n))
			return 1;
	for (m = TAILQ_FIRST(&waiting); m != NULL && m != n;
	     m = TAILQ_NEXT(m, entry))
		if (note_blocks(m, n))
			return 1;
	return 0;
}

static int
note_blocks(const struct note *m, const struct note *n)
{
	return m->order == n->order && m->backend == n->backend &&
	       (m->kind == NOTE_PROGRESS || m->kind == NOTE_CANCEL);
}

static unsigned int
note_steps(const void *order)
{
	const struct note *n;
	unsigned int steps = 0;

	TAILQ_FOREACH (n, &waiting, entry)
		steps += n->order == order && n->kind == NOTE_PROGRESS;
	return steps;
}

static int
note_send(struct note *n)
{
	struct timeval tv = {NOTE_TIME, 0};

	n->timer = event_new(peer_base(), -1, 0, note_timeout, n);
	if (n->timer == NULL || note_try(n) == -1)
		return -1;
	TAILQ_INSERT_TAIL(&flying, n, entry);
	n->backend->notes_flying++;
	event_add(n->timer, &tv);
	return 0;
}

static int
note_try(struct note *n)
{
	struct upreq_head h = {n->method, n->session, n->revision, NULL, NULL};

	n->up = upstream_send(n->backend, &h, n->body, n->len, &ops, n);
	return n->up == NULL ? -1 : 0;
}

/* One has landed: those of its backend that may go now. */
static void
note_next(struct backend *b)
{
	struct note *n, *next;

	for (n = TAILQ_FIRST(&waiting);
	     n != NULL && b->notes_flying < MAX_FLYING; n = next) {
		next = TAILQ_NEXT(n, entry);
		if (n->backend != b || note_held(n))
			continue;
		TAILQ_REMOVE(&waiting, n, entry);
		b->notes_waiting--;
		if (note_send(n) == -1)
			note_free(n);
	}
}

void
notify_forget(struct backend *b)
{
	struct note *n, *next;

	for (n = TAILQ_FIRST(&waiting); n != NULL; n = next) {
		next = TAILQ_NEXT(n, entry);
		if (n->backend != b)
			continue;
		TAILQ_REMOVE(&waiting, n, entry);
		b->notes_waiting--;
		note_free(n);
	}
}

static int
note_message(void *arg, const char *json, size_t len)
{
	(void)arg;
	(void)json;
	(void)len;
	return 1;
}

static void
note_done(void *arg, enum up_result res, int status)
{
	struct timeval tv = {0, NOTE_PAUSE * 1000};
	struct note *n = arg;

	(void)status;
	n->up = NULL;
	/* A backend that waits for an answer waits for ever without it; its id
	 * says what it answers, so that it may come twice. */
	if (n->kind == NOTE_ANSWER && !n->again &&
	    (res == UP_CLOSED || res == UP_CONNECT)) {
		n->again = 1;
		event_add(n->timer, &tv);
		return;
	}
	note_landed(n);
}

static void
note_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {NOTE_TIME, 0};
	struct note *n = arg;

	(void)fd;
	(void)what;
	if (n->up != NULL)
		upreq_cancel(n->up);
	else if (note_try(n) == 0) {
		event_add(n->timer, &tv);
		return;
	}
	note_landed(n);
}

static void
note_landed(struct note *n)
{
	struct backend *b = n->backend;

	TAILQ_REMOVE(&flying, n, entry);
	b->notes_flying--;
	note_free(n);
	note_next(b);
}

static void
note_free(struct note *n)
{
	if (n->timer != NULL)
		event_free(n->timer);
	if (n->done != NULL)
		n->done(n->arg);
	free(n->body);
	free(n);
}

void
notify_cancelled(const struct call *c, const struct json_span *reason)
{
	struct json_buf b = {0};
	size_t len;
	char id[48], *body;

	/* Runner tells a child when the request is dropped: a message that
	 * could be overtaken by that would be one about nothing. */
	if (c->backend->conf.stdio != 0)
		return;
	splice_id(id, c->id);
	json_puts(&b, "{\"jsonrpc\":\"2.0\",\"method\":"
		      "\"notifications/cancelled\",\"params\":{\"requestId\":");
	json_putstr(&b, id);
	if (reason != NULL) {
		json_puts(&b, ",\"reason\":");
		json_putspan(&b, reason);
	}
	json_puts(&b, "}}");
	if ((body = json_buf_take(&b, &len)) != NULL)
		notify_in_order(c->backend, &c->asker, NOTE_CANCEL, c->session,
		    c->revision, body, len);
}

/* Passed on as they are; the parser has refused anything that could end a
 * header line. */
char *
trace_headers(const struct http_head *h)
{
	const struct span *p = http_get(h, HDR_TRACEPARENT);
	const struct span *s = http_get(h, HDR_TRACESTATE);
	struct json_buf b = {0};

	if (p == NULL || p->len > 128)
		return NULL;
	json_puts(&b, "traceparent: ");
	json_put(&b, p->p, p->len);
	json_puts(&b, "\r\n");
	if (s != NULL && s->len <= 512) {
		json_puts(&b, "tracestate: ");
		json_put(&b, s->p, s->len);
		json_puts(&b, "\r\n");
	}
	return json_buf_take(&b, NULL);
}
