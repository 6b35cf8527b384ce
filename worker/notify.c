/*
 * Fire and forget toward backends.
 */
#include <event2/event.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "notify.h"
#include "peer.h"
#include "splice.h"
#include "upstream.h"

#define NOTE_TIME 10 /* s */

struct note {
	void (*done)(void *);
	void *arg;
	struct upreq *up;
	struct event *timer;
	char *body;
};

static int note_message(void *, const char *, size_t);
static void note_done(void *, enum up_result, int);
static void note_timeout(evutil_socket_t, short, void *);
static void note_free(struct note *);

static const struct upreq_ops ops = {note_message, note_done};

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
	struct upreq_head h = {method, session, revision, NULL, NULL};
	struct timeval tv = {NOTE_TIME, 0};
	struct note *n;

	if ((n = calloc(1, sizeof(*n))) == NULL) {
		free(body);
		return -1;
	}
	n->done = done;
	n->arg = arg;
	n->body = body;
	n->timer = event_new(peer_base(), -1, 0, note_timeout, n);
	n->up = upstream_send(b, &h, body, len, &ops, n);
	if (n->timer == NULL || n->up == NULL) {
		if (n->up != NULL)
			upreq_cancel(n->up);
		n->done = NULL;
		note_free(n);
		return -1;
	}
	event_add(n->timer, &tv);
	return 0;
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
	note_free(arg);
}

static void
note_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct note *n = arg;

	(void)fd;
	(void)what;
	upreq_cancel(n->up);
	note_free(n);
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
		notify_post(c->backend, "POST", c->session, c->revision, body,
		    len);
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
