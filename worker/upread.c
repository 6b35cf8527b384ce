/*
 * Answers of backends, read as strictly as requests; whatever is wrong with one
 * ends its connection, so that nothing of it reaches another call.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compat.h"
#include "log.h"
#include "rpc.h"
#include "upconn.h"

#define READ_SIZE    (64 * 1024)
#define MAX_INTERIM  8 /* 1xx answers before the real one */
#define MAX_REFUSAL  (8 * 1024) /* bytes of the body of an error */
#define REFUSAL_TIME 500 /* ms for it */

static int up_head(struct upconn *, char *, size_t);
static void up_refusal(struct upconn *);
static int up_kind(struct upconn *, const struct http_head *);
static void up_body(struct upconn *, char *, size_t);
static int up_content(struct upconn *, const char *, size_t);
static int up_event(void *, const struct sse_event *);
static void up_end(struct upconn *);
static void up_eof(struct upconn *);
static void up_message(struct upconn *, const char *, size_t);
static int up_one(struct upconn *, const char *, size_t);
static int up_append(struct upconn *, const char *, size_t);

/* Also takes what follows a head that came in pieces. */
static char readbuf[READ_SIZE + HTTP_MAX_HEAD];
size_t up_body_max = 16 * 1024 * 1024;

void
up_read(void *arg)
{
	struct upconn *c = arg;
	ssize_t n;
	char *p = readbuf;
	size_t len;
	int used;

	n = stream_recv(&c->s, readbuf, READ_SIZE);
	if (n == STREAM_AGAIN)
		return;
	if (n <= 0) {
		if (n == 0)
			up_eof(c);
		else if (!up_refused(c))
			up_finish(c, UP_CLOSED);
		else if (c->state == UP_CONNECTING)
			up_next(c);
		else
			up_finish(c, UP_TLS);
		return;
	}
	len = n;
	if (c->state == UP_IDLE) {
		up_finish(c, UP_BAD);
		return;
	}
	if (c->state == UP_HEAD) {
		if (c->inlen > 0) {
			if (up_append(c, p, len) == -1) {
				up_finish(c, UP_LARGE);
				return;
			}
			p = c->in;
			len = c->inlen;
		}
		while (
		    c->state == UP_HEAD && (used = up_head(c, p, len)) != 0) {
			if (used == -1)
				return;
			p += used;
			len -= used;
		}
		if (c->state == UP_HEAD) {
			if (p == c->in)
				return;
			if (c->inlen > 0) {
				memmove(c->in, p, len);
				c->inlen = len;
			} else if (up_append(c, p, len) == -1)
				up_finish(c, UP_LARGE);
			return;
		}
		if (c->inlen > 0) {
			/* The rest is body: it moves out of the buffer that
			 * may now collect it. */
			memcpy(readbuf, p, len);
			p = readbuf;
			c->inlen = 0;
		}
	}
	up_body(c, p, len);
}

/* Bytes of head consumed, 0 for more, -1 when the connection is gone. */
static int
up_head(struct upconn *c, char *p, size_t len)
{
	static struct http_head h;
	const struct span *v;
	ssize_t n;
	size_t i;

	if (len == 0)
		return 0;
	n = http_response(&h, p, len);
	if (n == 0 && len < HTTP_MAX_HEAD)
		return 0;
	if (n <= 0 || c->interim > MAX_INTERIM || h.status == 101) {
		up_finish(c, UP_BAD);
		return -1;
	}
	if (h.status < 200) {
		c->interim++;
		return n;
	}
	c->keep = h.keepalive;
	c->chunked = h.chunked;
	c->left = h.chunked ? -1 : h.length;
	if (h.status == 204 || h.status == 304)
		c->left = c->chunked = 0;
	if (c->left == -1 && !c->chunked)
		c->keep = 0;
	http_chunk_init(&c->chunk);
	if (c->req != NULL) {
		c->req->status = h.status;
		c->req->session[0] = '\0';
		v = http_get(&h, HDR_MCP_SESSION_ID);
		if (v != NULL && v->len < sizeof(c->req->session)) {
			memcpy(c->req->session, v->p, v->len);
			c->req->session[v->len] = '\0';
			for (i = 0; i < v->len; i++)
				if (v->p[i] < 0x21 || v->p[i] > 0x7e)
					c->req->session[0] = '\0';
		}
	}
	c->state = UP_BODY;
	if (h.status > 299 && c->req != NULL) {
		up_refusal(c);
		return n;
	}
	if (up_kind(c, &h) == -1) {
		up_finish(c, UP_BAD);
		return -1;
	}
	return n;
}

/* The body may say why, and may never end. That of 404 says nothing more. */
static void
up_refusal(struct upconn *c)
{
	struct upreq *r = c->req;

	if (r->status != 404) {
		c->kind = KIND_REFUSAL;
		c->deadline = mono_msec() + REFUSAL_TIME;
		return;
	}
	c->req = NULL;
	c->state = UP_DRAIN;
	c->deadline = mono_msec() + UP_DRAIN_TIME;
	c->kind = KIND_DROP;
	up_over(r, UP_OK);
}

/* What to do with the body. */
static int
up_kind(struct upconn *c, const struct http_head *h)
{
	const struct span *v = http_get(h, HDR_CONTENT_TYPE);
	size_t n;

	c->kind = KIND_DROP;
	if (h->status == 202 || h->status == 204 ||
	    (c->req != NULL && c->req->drop))
		return 0;
	if (v == NULL)
		return c->left == 0 ? 0 : -1;
	for (n = 0; n < v->len && v->p[n] != ';' && v->p[n] != ' '; n++)
		;
	if (n == 16 && strncasecmp(v->p, "application/json", n) == 0)
		c->kind = KIND_JSON;
	else if (n == 17 && strncasecmp(v->p, "text/event-stream", n) == 0) {
		c->kind = KIND_SSE;
		sse_init(&c->sse, up_body_max);
	} else
		return c->left == 0 ? 0 : -1;
	return 0;
}

static void
up_body(struct upconn *c, char *p, size_t len)
{
	size_t in, out;
	int r = CHUNK_MORE;

	if (c->chunked) {
		in = len;
		out = 0;
		r = http_chunk(&c->chunk, p, &in, p, &out);
		if (r == CHUNK_BAD || (r == CHUNK_END && in < len)) {
			up_finish(c, UP_BAD);
			return;
		}
	} else {
		out = len;
		if (c->left >= 0) {
			if ((uint64_t)c->left < len) {
				up_finish(c, UP_BAD);
				return;
			}
			c->left -= len;
			if (c->left == 0)
				r = CHUNK_END;
		}
	}
	c->busy = 1;
	if (c->kind == KIND_JSON && c->inlen == 0 && r == CHUNK_END)
		up_message(c, p, out);
	else if (out > 0 && up_content(c, p, out) == -1)
		r = CHUNK_BAD;
	else if (r == CHUNK_END && c->kind == KIND_JSON)
		up_message(c, c->in, c->inlen);
	c->busy = 0;
	if (c->dead) {
		up_free(c);
		return;
	}
	if (r == CHUNK_BAD)
		up_finish(c, UP_LARGE);
	else if (r == CHUNK_END)
		up_end(c);
}

static int
up_content(struct upconn *c, const char *p, size_t len)
{
	switch (c->kind) {
	case KIND_JSON:
		if (c->inlen + len > up_body_max)
			return -1;
		return up_append(c, p, len);
	case KIND_REFUSAL:
		if (c->inlen + len > MAX_REFUSAL)
			return -1;
		return up_append(c, p, len);
	case KIND_SSE:
		return sse_feed(&c->sse, p, len, up_event, c) == -1 ? -1 : 0;
	default:
		return 0;
	}
}

static int
up_event(void *arg, const struct sse_event *ev)
{
	struct upconn *c = arg;

	if (strcmp(ev->event, "message") == 0 && ev->len > 0)
		up_message(c, ev->data, ev->len);
	else if (strcmp(ev->event, "endpoint") == 0 && c->req != NULL &&
		 c->req->endpoint != NULL)
		c->req->endpoint(c->req->arg, ev->data, ev->len);
	return c->dead;
}

/* Hands a text to whoever asked; the answer ends the exchange for it, while
 * the connection reads on to the end of the body. */
static void
up_message(struct upconn *c, const char *p, size_t len)
{
	struct upreq *r = c->req;
	struct json_span all, item;
	size_t pos = 0;

	if (r == NULL)
		return;
	if (!r->batches || !rpc_array(&all, p, len)) {
		(void)up_one(c, p, len);
		return;
	}
	while (json_next(&all, &pos, NULL, &item))
		if (up_one(c, item.p, item.len) == -1)
			return;
}

/* -1: nobody waits for more. */
static int
up_one(struct upconn *c, const char *p, size_t len)
{
	struct upreq *r = c->req;

	if (r->ops->message(r->arg, p, len) != 1 || c->req != r)
		return c->req == r ? 0 : -1;
	c->req = NULL;
	c->state = UP_DRAIN;
	c->deadline = mono_msec() + UP_DRAIN_TIME;
	up_over(r, UP_OK);
	return -1;
}

/* The body is complete. */
static void
up_end(struct upconn *c)
{
	struct upreq *r = c->req;

	up_remember(c);
	c->req = NULL;
	if (r != NULL && c->kind == KIND_REFUSAL) {
		r->refusal = c->in;
		r->refusallen = c->inlen;
		c->in = NULL;
		c->inlen = c->incap = 0;
	} else if (r != NULL && c->kind != KIND_DROP)
		/* It held no answer: who knows what comes next. */
		c->keep = 0;
	if (c->kind == KIND_SSE)
		sse_free(&c->sse);
	c->kind = KIND_DROP;
	if (c->keep)
		up_idle(c);
	else
		up_free(c);
	if (r != NULL)
		up_over(r, UP_OK);
}

static void
up_eof(struct upconn *c)
{
	int whole;

	whole = c->state == UP_BODY && !c->chunked && c->left == -1;
	if (whole && c->kind == KIND_REFUSAL) {
		up_end(c);
		return;
	}
	if (whole && c->kind == KIND_JSON) {
		c->busy = 1;
		up_message(c, c->in, c->inlen);
		c->busy = 0;
		if (c->dead) {
			up_free(c);
			return;
		}
	}
	up_finish(c, whole ? UP_OK : UP_CLOSED);
}
static int
up_append(struct upconn *c, const char *p, size_t len)
{
	size_t cap = c->incap ? c->incap : 2048;
	char *q;

	while (cap < c->inlen + len)
		cap *= 2;
	if (cap != c->incap) {
		if ((q = realloc(c->in, cap)) == NULL)
			return -1;
		c->in = q;
		c->incap = cap;
	}
	memcpy(c->in + c->inlen, p, len);
	c->inlen += len;
	return 0;
}
