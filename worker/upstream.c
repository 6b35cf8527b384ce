/*
 * The HTTP client: requests, connections and the pool. A connection is used
 * again only after an answer that was framed without doubt.
 */
#include <sys/socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "compat.h"
#include "dial.h"
#include "json.h"
#include "log.h"
#include "oldsse.h"
#include "peer.h"
#include "rpc.h"
#include "tls.h"
#include "upconn.h"

#define RETRY_LEAST 100 /* ms, whatever a backend says */
#define MAX_IDLE    512 /* with fewer than calls at a time, all dial anew */
#define DISTRUST    60000 /* ms without reuse after a close unannounced */
#define IDLE_TIME   4000 /* ms; many servers close after 5 s */
#define TLS_TIME    10000 /* ms for the handshake */

static int up_connect(struct upreq *);
static void up_dialed(void *, int, unsigned int);
static void up_attach(struct upreq *, int);
static void up_transmit(struct upconn *);
static void up_writable(void *);
static char *up_headtext(struct backend *, const struct upreq_head *,
    const char *, size_t, size_t *);
static void up_headline(struct json_buf *, const char *, const char *);

static TAILQ_HEAD(, upreq) dialing = TAILQ_HEAD_INITIALIZER(dialing);
static struct upconns working = TAILQ_HEAD_INITIALIZER(working);

void
upstream_limit(size_t n)
{
	up_body_max = n;
}

static char *
up_headtext(struct backend *b, const struct upreq_head *h, const char *target,
    size_t len, size_t *outlen)
{
	struct json_buf t = {0};
	char num[24];

	json_puts(&t, h->method);
	json_puts(&t, " ");
	json_puts(&t, target);
	json_puts(&t, " HTTP/1.1\r\n");
	json_puts(&t, b->fixed);
	if (strcmp(h->method, "POST") == 0) {
		snprintf(num, sizeof(num), "%zu", len);
		json_puts(&t, "Accept: application/json, text/event-stream\r\n"
			      "Content-Type: application/json\r\n"
			      "Content-Length: ");
		json_puts(&t, num);
		json_puts(&t, "\r\n");
	} else if (strcmp(h->method, "GET") == 0)
		json_puts(&t, "Accept: text/event-stream\r\n");
	up_headline(&t, "Mcp-Session-Id: ", h->session);
	up_headline(&t, "MCP-Protocol-Version: ", h->revision);
	up_headline(&t, "Last-Event-ID: ", h->last);
	json_puts(&t, h->extra ? h->extra : "");
	json_puts(&t, "\r\n");
	return json_buf_take(&t, outlen);
}

static void
up_headline(struct json_buf *t, const char *name, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	json_puts(t, name);
	json_puts(t, value);
	json_puts(t, "\r\n");
}

struct upreq *
upstream_send(struct backend *b, const struct upreq_head *h, const char *body,
    size_t len, const struct upreq_ops *ops, void *arg)
{
	if (b->conf.stdio != 0)
		return stdio_send(b, h, body, len, ops, arg);
	if (h->session != NULL && oldsse_is(h->session))
		return oldsse_send(b, h, body, len, ops, arg);
	return upstream_raw(b, h, b->conf.target, body, len, ops, arg);
}

struct upreq *
upstream_raw(struct backend *b, const struct upreq_head *h, const char *target,
    const char *body, size_t len, const struct upreq_ops *ops, void *arg)
{
	struct upreq *r;
	struct upconn *c;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->backend = b;
	r->head = up_headtext(b, h, target, len, &r->headlen);
	if (r->head == NULL) {
		free(r);
		return NULL;
	}
	r->batches = rpc_batches(h->revision);
	r->body = body;
	r->bodylen = len;
	r->ops = ops;
	r->arg = arg;
	upstream_expire(b);
	if (b->noreuse > mono_msec())
		upstream_close_idle(b);
	if ((c = TAILQ_FIRST(&b->idle)) != NULL) {
		TAILQ_REMOVE(&b->idle, c, entry);
		b->nidle--;
		TAILQ_INSERT_TAIL(&working, c, entry);
		c->req = r;
		c->reused = 1;
		r->conn = c;
		up_transmit(c);
		return r;
	}
	if (up_connect(r) == -1) {
		freezero(r->head, r->headlen);
		free(r);
		return NULL;
	}
	return r;
}

/* Dials the addresses that have not been tried. */
static int
up_connect(struct upreq *r)
{
	struct backend *b = r->backend;

	r->conn = NULL;
	if (b->conf.tls && b->tls == NULL) {
		/* Our own side of it is not in order. */
		r->distrusted = 1;
		r->tried = ~0u;
	}
	if ((r->dial = dial_start(b, r->tried, up_dialed, r)) == NULL)
		return -1;
	TAILQ_INSERT_TAIL(&dialing, r, entry);
	return 0;
}

static void
up_dialed(void *arg, int fd, unsigned int which)
{
	struct upreq *r = arg;
	struct backend *b = r->backend;

	TAILQ_REMOVE(&dialing, r, entry);
	r->dial = NULL;
	if (fd == -1) {
		up_over(r, b->naddr == 0   ? UP_ADDRESS
			   : r->distrusted ? UP_TLS
					   : UP_CONNECT);
		return;
	}
	r->tried |= 1u << which;
	up_attach(r, fd);
}

static void
up_attach(struct upreq *r, int fd)
{
	struct upconn *c = xcalloc(1, sizeof(*c));
	struct backend *b = r->backend;

	c->backend = b;
	c->req = r;
	r->conn = c;
	c->state = UP_CONNECTING;
	stream_open(&c->s, fd, up_read, up_writable, c);
	TAILQ_INSERT_TAIL(&working, c, entry);
	if (!b->conf.tls) {
		up_transmit(c);
		return;
	}
	stream_pause(&c->s);
	c->deadline = mono_msec() + TLS_TIME;
	if (stream_tls_client(&c->s, b->tls, b->conf.host) == -1)
		up_next(c);
}

static void
up_transmit(struct upconn *c)
{
	struct upreq *r = c->req;
	struct iovec iov[2];
	int n = 1;

	c->state = UP_HEAD;
	c->deadline = 0;
	c->inlen = 0;
	c->interim = 0;
	iov[0].iov_base = r->head;
	iov[0].iov_len = r->headlen;
	if (r->bodylen > 0) {
		memcpy(&iov[1].iov_base, &r->body, sizeof(r->body));
		iov[1].iov_len = r->bodylen;
		n = 2;
	}
	if (stream_sendv(&c->s, iov, n) == 0)
		return;
	/* Nothing was sent: an idle connection that the backend has closed
	 * meanwhile, or one that broke at once. */
	c->req = NULL;
	up_free(c);
	if (up_connect(r) == -1)
		fatalx("out of memory");
}

/* The handshake is done. */
static void
up_writable(void *arg)
{
	struct upconn *c = arg;

	if (c->state != UP_CONNECTING)
		return;
	stream_resume(&c->s);
	up_transmit(c);
}

void
up_next(struct upconn *c)
{
	struct upreq *r = c->req;

	c->req = NULL;
	up_free(c);
	if (up_connect(r) == -1)
		fatalx("out of memory");
}

int
up_refused(struct upconn *c)
{
	struct backend *b = c->backend;
	char *why;

	if (c->s.tls == NULL || c->req == NULL ||
	    (c->state != UP_CONNECTING &&
		(c->state != UP_HEAD || !tls_refused(c->s.tls))))
		return 0;
	xasprintf(&why, "%s: %s",
	    tls_untrusted(c->s.tls) ? "is not trusted"
				    : "can not be reached by TLS",
	    tls_error(c->s.tls));
	free(b->trouble);
	b->trouble = why;
	c->req->distrusted = 1;
	return 1;
}

void
up_over(struct upreq *r, enum up_result res)
{
	/* Whatever has become of the body of a refusal. */
	if (r->status > 299 || (res == UP_OK && r->status < 200))
		res = UP_STATUS;
	r->ops->done(r->arg, res, r->status);
	free(r->refusal);
	freezero(r->head, r->headlen);
	free(r);
}

/* What is needed to come back for the rest of a stream. */
void
up_remember(struct upconn *c)
{
	if (c->req == NULL || c->kind != KIND_SSE)
		return;
	strlcpy(c->req->last, c->sse.id, sizeof(c->req->last));
	c->req->retry = c->sse.retry;
}

/* The connection is of no use any more. */
void
up_finish(struct upconn *c, enum up_result res)
{
	struct upreq *r = c->req;

	/* It closes between answers and does not say so. */
	if (c->reused && c->state == UP_HEAD && c->inlen == 0 &&
	    res == UP_CLOSED)
		c->backend->noreuse = mono_msec() + DISTRUST;
	up_remember(c);
	c->req = NULL;
	up_free(c);
	if (r != NULL)
		up_over(r, res);
}

void
up_free(struct upconn *c)
{
	if (c->busy) {
		c->dead = 1;
		stream_close(&c->s);
		return;
	}
	if (c->state == UP_IDLE) {
		TAILQ_REMOVE(&c->backend->idle, c, entry);
		c->backend->nidle--;
	} else
		TAILQ_REMOVE(&working, c, entry);
	stream_close(&c->s);
	if (c->kind == KIND_SSE)
		sse_free(&c->sse);
	free(c->in);
	free(c);
}

void
up_idle(struct upconn *c)
{
	if (c->backend->nidle >= MAX_IDLE || stream_queued(&c->s) > 0) {
		up_free(c);
		return;
	}
	TAILQ_REMOVE(&working, c, entry);
	c->state = UP_IDLE;
	c->deadline = mono_msec() + IDLE_TIME;
	free(c->in);
	c->in = NULL;
	c->inlen = c->incap = 0;
	stream_resume(&c->s);
	TAILQ_INSERT_HEAD(&c->backend->idle, c, entry);
	c->backend->nidle++;
}

void
upreq_cancel(struct upreq *r)
{
	struct upconn *c = r->conn;

	if (r->child != NULL) {
		stdio_drop(r);
		return;
	}
	if (r->old != NULL) {
		oldsse_drop(r);
		return;
	}
	if (r->dial != NULL) {
		TAILQ_REMOVE(&dialing, r, entry);
		dial_cancel(r->dial);
	} else {
		c->req = NULL;
		up_free(c);
	}
	freezero(r->head, r->headlen);
	free(r);
}

const char *
upreq_session(const struct upreq *r)
{
	return r->session;
}

const char *
upreq_last(const struct upreq *r, unsigned int *retry)
{
	*retry = r->retry ? r->retry : 1000;
	if (*retry < RETRY_LEAST)
		*retry = RETRY_LEAST;
	return r->last;
}

const char *
upreq_refusal(const struct upreq *r, size_t *len)
{
	*len = r->refusallen;
	return r->refusal;
}

void
upreq_pause(struct upreq *r)
{
	if (r->child != NULL)
		stdio_hold(r, 1);
	else if (r->conn != NULL && r->conn->state != UP_CONNECTING)
		stream_pause(&r->conn->s);
}

void
upreq_resume(struct upreq *r)
{
	if (r->child != NULL)
		stdio_hold(r, 0);
	else if (r->conn != NULL && r->conn->state != UP_CONNECTING)
		stream_resume(&r->conn->s);
}

void
upreq_drop(struct upreq *r)
{
	r->drop = 1;
}

void
upstream_tick(void)
{
	struct upconn *c, *next;
	uint64_t now = mono_msec();

	for (c = TAILQ_FIRST(&working); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->deadline == 0 || now < c->deadline)
			continue;
		if (c->state == UP_CONNECTING && c->req != NULL)
			up_next(c);
		else
			up_finish(c, UP_CLOSED);
	}
}

void
upstream_expire(struct backend *b)
{
	struct upconn *c;
	uint64_t now = mono_msec();

	while (
	    (c = TAILQ_LAST(&b->idle, upconns)) != NULL && c->deadline <= now)
		up_free(c);
}

void
upstream_close_idle(struct backend *b)
{
	struct upconn *c;

	while ((c = TAILQ_FIRST(&b->idle)) != NULL)
		up_free(c);
}

void
upstream_forget(struct backend *b)
{
	struct upconn *c, *next;
	struct upreq *r, *rnext;

	oldsse_forget(b);
	stdio_forget(b);
	for (r = TAILQ_FIRST(&dialing); r != NULL; r = rnext) {
		rnext = TAILQ_NEXT(r, entry);
		if (r->backend != b)
			continue;
		TAILQ_REMOVE(&dialing, r, entry);
		dial_cancel(r->dial);
		up_over(r, UP_CLOSED);
		rnext = TAILQ_FIRST(&dialing);
	}
	for (c = TAILQ_FIRST(&working); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->backend == b) {
			up_finish(c, UP_CLOSED);
			next = TAILQ_FIRST(&working);
		}
	}
	upstream_close_idle(b);
}

const char *
up_strerror(const struct backend *b, enum up_result r)
{
	switch (r) {
	case UP_OK:
		return "ok";
	case UP_STATUS:
		return "refused the request";
	case UP_CONNECT:
		return "can not be reached";
	case UP_ADDRESS:
		return "has no known address";
	case UP_TLS:
		return b->trouble != NULL ? b->trouble : "is not trusted";
	case UP_CLOSED:
		return "closed the connection before it had answered";
	case UP_BAD:
		return "sent an answer that is not MCP";
	case UP_CHILD:
		return b->trouble != NULL ? b->trouble : "has ended";
	case UP_LARGE:
		return "sent an answer that is too large";
	}
	return "failed";
}
