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
#define MAX_FLYING  64 /* of one backend at a time */
#define MAX_WAITING 1024 /* of one backend, behind those */

struct note {
	TAILQ_ENTRY(note) entry; /* while it waits */
	struct backend *backend;
	char method[8];
	char session[512];
	char revision[16];
	void (*done)(void *);
	void *arg;
	struct upreq *up;
	struct event *timer;
	char *body;
	size_t len;
};

static int note_message(void *, const char *, size_t);
static void note_done(void *, enum up_result, int);
static void note_timeout(evutil_socket_t, short, void *);
static void note_free(struct note *);
static int note_send(struct note *);
static void note_next(struct backend *);
static void note_landed(struct note *);

static const struct upreq_ops ops = {note_message, note_done};
static TAILQ_HEAD(, note) waiting = TAILQ_HEAD_INITIALIZER(waiting);

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
	struct note *n;

	if (b->notes_waiting >= MAX_WAITING ||
	    (n = calloc(1, sizeof(*n))) == NULL) {
		free(body);
		return -1;
	}
	n->backend = b;
	strlcpy(n->method, method, sizeof(n->method));
	strlcpy(n->session, session, sizeof(n->session));
	strlcpy(n->revision, revision, sizeof(n->revision));
	n->done = done;
	n->arg = arg;
	n->body = body;
	n->len = len;
	if (b->notes_flying >= MAX_FLYING) {
		TAILQ_INSERT_TAIL(&waiting, n, entry);
		b->notes_waiting++;
		return 0;
	}
	if (note_send(n) == -1) {
		n->done = NULL;
		note_free(n);
		return -1;
	}
	return 0;
}

static int
note_send(struct note *n)
{
	struct upreq_head h = {n->method, n->session, n->revision, NULL, NULL};
	struct timeval tv = {NOTE_TIME, 0};

	n->timer = event_new(peer_base(), -1, 0, note_timeout, n);
	if (n->timer == NULL)
		return -1;
	n->up = upstream_send(n->backend, &h, n->body, n->len, &ops, n);
	if (n->up == NULL)
		return -1;
	n->backend->notes_flying++;
	event_add(n->timer, &tv);
	return 0;
}

/* One has landed: the next of its backend. */
static void
note_next(struct backend *b)
{
	struct note *n;

	TAILQ_FOREACH (n, &waiting, entry)
		if (n->backend == b)
			break;
	if (n == NULL)
		return;
	TAILQ_REMOVE(&waiting, n, entry);
	b->notes_waiting--;
	if (note_send(n) == -1)
		note_free(n);
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
	(void)res;
	(void)status;
	note_landed(arg);
}

static void
note_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct note *n = arg;

	(void)fd;
	(void)what;
	upreq_cancel(n->up);
	note_landed(n);
}

static void
note_landed(struct note *n)
{
	struct backend *b = n->backend;

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
notify_cancelled(const struct call *c)
{
	struct json_buf b = {0};
	size_t len;
	char id[48], *body;

	splice_id(id, c->id);
	json_puts(&b, "{\"jsonrpc\":\"2.0\",\"method\":"
		      "\"notifications/cancelled\",\"params\":{\"requestId\":");
	json_putstr(&b, id);
	json_puts(&b, "}}");
	if ((body = json_buf_take(&b, &len)) != NULL)
		notify_post(
		    c->backend, "POST", c->session, c->revision, body, len);
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
