/*
 * The HTTP client. Answers are read as strictly as requests; whatever is wrong
 * with one ends its connection, so that nothing of it reaches another call.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "json.h"
#include "log.h"
#include "peer.h"
#include "sse.h"
#include "stream.h"
#include "tls.h"
#include "upstream.h"

#define READ_SIZE    (64 * 1024)
#define MAX_IDLE     64
#define IDLE_TIME    4000 /* ms; many servers close after 5 s */
#define CONNECT_TIME 5000 /* ms for each address */
#define TLS_TIME     10000 /* ms for the handshake */
#define DRAIN_TIME   2000 /* ms for the rest of an answer nobody waits for */
#define MAX_INTERIM  8	  /* 1xx answers before the real one */

enum up_state { UP_CONNECTING, UP_HEAD, UP_BODY, UP_DRAIN, UP_IDLE };
enum up_kind { KIND_JSON, KIND_SSE, KIND_DROP };

struct upreq {
	struct upconn *conn;
	struct backend *backend;
	char *head;
	size_t headlen;
	const char *body;
	size_t bodylen;
	const struct upreq_ops *ops;
	void *arg;
	size_t nextaddr;
	int distrusted; /* TLS to an address failed: see the backend */
	char session[512];
	char last[256];	    /* id of the last event */
	unsigned int retry; /* ms the backend asked for */
	int status;
};

struct upconn {
	TAILQ_ENTRY(upconn) entry;
	struct stream s;
	struct backend *backend;
	struct upreq *req; /* NULL when idle or draining */
	enum up_state state;
	enum up_kind kind;
	uint64_t deadline; /* ms: connect, drain, idle; 0 none */
	char *in;	   /* an unfinished head, or a JSON body */
	size_t inlen, incap;
	struct http_chunk chunk;
	struct sse sse;
	int64_t left; /* of a body with a length; -1: until the end */
	int chunked;
	int keep;
	int interim;
	int busy; /* inside a callback: do not free */
	int dead;
};

static int up_connect(struct upreq *);
static int up_attach(struct upreq *, int, int);
static void up_next(struct upconn *);
static int up_refused(struct upconn *);
static void up_soon(void);
static void up_late(evutil_socket_t, short, void *);
static void up_transmit(struct upconn *);
static void up_read(void *);
static void up_writable(void *);
static int up_head(struct upconn *, char *, size_t);
static int up_kind(struct upconn *, const struct http_head *);
static void up_body(struct upconn *, char *, size_t);
static int up_content(struct upconn *, const char *, size_t);
static int up_event(void *, const struct sse_event *);
static void up_end(struct upconn *);
static void up_eof(struct upconn *);
static void up_message(struct upconn *, const char *, size_t);
static void up_finish(struct upconn *, enum up_result);
static void up_free(struct upconn *);
static void up_idle(struct upconn *);
static int up_append(struct upconn *, const char *, size_t);
static char *up_headtext(struct backend *, const struct upreq_head *, size_t,
    size_t *);
static void up_headline(struct json_buf *, const char *, const char *);
static void up_remember(struct upconn *);
static void up_over(struct upreq *, enum up_result);

/* Also takes what follows a head that came in pieces. */
static char readbuf[READ_SIZE + HTTP_MAX_HEAD];
static struct event *soon; /* tells failures from outside upstream_send */
static size_t body_max = 16 * 1024 * 1024;
static struct upconns working = TAILQ_HEAD_INITIALIZER(working);

void
upstream_limit(size_t n)
{
	body_max = n;
}

static char *
up_headtext(struct backend *b, const struct upreq_head *h, size_t len,
    size_t *outlen)
{
	struct json_buf t = {0};
	char num[24];

	json_puts(&t, h->method);
	json_puts(&t, " ");
	json_puts(&t, b->conf.target);
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
	struct upreq *r;
	struct upconn *c;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->backend = b;
	if ((r->head = up_headtext(b, h, len, &r->headlen)) == NULL) {
		free(r);
		return NULL;
	}
	r->body = body;
	r->bodylen = len;
	r->ops = ops;
	r->arg = arg;
	upstream_expire(b);
	if ((c = TAILQ_FIRST(&b->idle)) != NULL) {
		TAILQ_REMOVE(&b->idle, c, entry);
		b->nidle--;
		TAILQ_INSERT_TAIL(&working, c, entry);
		c->req = r;
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

/* Tries the addresses from r->nextaddr on; with none left the request waits
 * for the next tick to be told, never inside upstream_send. */
static int
up_connect(struct upreq *r)
{
	struct backend *b = r->backend;
	struct sockaddr *sa;
	int fd, one = 1;

	if (b->conf.tls && b->tls == NULL) {
		/* Our own side of it is not in order. */
		r->distrusted = 1;
		r->nextaddr = b->naddr;
	}
	while (r->nextaddr < b->naddr) {
		sa = (struct sockaddr *)&b->addr[r->nextaddr++];
		fd = socket(sa->sa_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE)
				log_warn("backend %s", b->conf.name);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(fd, sa,
			sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) :
						   sizeof(struct sockaddr_in6)) ==
			-1 &&
		    errno != EINPROGRESS) {
			close(fd);
			continue;
		}
		return up_attach(r, fd, 1);
	}
	return up_attach(r, -1, 0);
}

static int
up_attach(struct upreq *r, int fd, int connecting)
{
	struct upconn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	c->backend = r->backend;
	c->req = r;
	r->conn = c;
	c->state = UP_CONNECTING;
	c->s.fd = -1;
	c->deadline = mono_msec() + (connecting ? CONNECT_TIME : 0);
	if (fd != -1) {
		stream_open(&c->s, fd, up_read, up_writable, c);
		stream_pause(&c->s);
		stream_want_write(&c->s);
	}
	TAILQ_INSERT_TAIL(&working, c, entry);
	if (fd == -1)
		up_soon();
	return 0;
}

/* A request that can not even begin fails in the next turn of the loop. */
static void
up_soon(void)
{
	struct timeval now = {0, 0};

	if (soon == NULL &&
	    (soon = event_new(peer_base(), -1, 0, up_late, NULL)) == NULL)
		fatalx("out of memory");
	event_add(soon, &now);
}

static void
up_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	upstream_tick();
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

static void
up_writable(void *arg)
{
	struct upconn *c = arg;
	struct backend *b = c->backend;
	socklen_t len = sizeof(int);
	int error = 0;

	if (c->state != UP_CONNECTING)
		return;
	if (c->s.tls == NULL) {
		getsockopt(c->s.fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0) {
			up_next(c);
			return;
		}
		if (b->conf.tls) {
			c->deadline = mono_msec() + TLS_TIME;
			if (stream_tls_client(&c->s, b->tls, b->conf.host) ==
			    -1)
				up_next(c);
			return;
		}
	}
	stream_resume(&c->s);
	up_transmit(c);
}

/* Nothing was sent to this address; maybe the next. */
static void
up_next(struct upconn *c)
{
	struct upreq *r = c->req;

	c->req = NULL;
	up_free(c);
	if (up_connect(r) == -1)
		fatalx("out of memory");
}

/* Was it TLS that failed, before any answer? The reason is kept. */
static int
up_refused(struct upconn *c)
{
	struct backend *b = c->backend;
	char *why;

	if (c->s.tls == NULL || c->req == NULL ||
	    (c->state != UP_CONNECTING &&
		(c->state != UP_HEAD || !tls_refused(c->s.tls))))
		return 0;
	xasprintf(&why, "%s: %s",
	    tls_untrusted(c->s.tls) ? "is not trusted" :
				      "can not be reached by TLS",
	    tls_error(c->s.tls));
	free(b->trouble);
	b->trouble = why;
	c->req->distrusted = 1;
	return 1;
}

static void
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
		while (c->state == UP_HEAD && (used = up_head(c, p, len)) != 0) {
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
	if (up_kind(c, &h) == -1) {
		up_finish(c, UP_BAD);
		return -1;
	}
	return n;
}

/* What to do with the body. */
static int
up_kind(struct upconn *c, const struct http_head *h)
{
	const struct span *v = http_get(h, HDR_CONTENT_TYPE);
	size_t n;

	c->kind = KIND_DROP;
	if (h->status > 299 || h->status == 202 || h->status == 204)
		return 0;
	if (v == NULL)
		return c->left == 0 ? 0 : -1;
	for (n = 0; n < v->len && v->p[n] != ';' && v->p[n] != ' '; n++)
		;
	if (n == 16 && strncasecmp(v->p, "application/json", n) == 0)
		c->kind = KIND_JSON;
	else if (n == 17 && strncasecmp(v->p, "text/event-stream", n) == 0) {
		c->kind = KIND_SSE;
		sse_init(&c->sse, body_max);
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
		if (c->inlen + len > body_max)
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
	return c->dead;
}

/* Hands one text to whoever asked; the answer ends the exchange for it, while
 * the connection reads on to the end of the body. */
static void
up_message(struct upconn *c, const char *p, size_t len)
{
	struct upreq *r = c->req;

	if (r == NULL)
		return;
	if (r->ops->message(r->arg, p, len) != 1 || c->req != r)
		return;
	c->req = NULL;
	c->state = UP_DRAIN;
	c->deadline = mono_msec() + DRAIN_TIME;
	up_over(r, UP_OK);
}

static void
up_over(struct upreq *r, enum up_result res)
{
	if (res == UP_OK && (r->status < 200 || r->status > 299))
		res = UP_STATUS;
	r->ops->done(r->arg, res, r->status);
	freezero(r->head, r->headlen);
	free(r);
}

/* What is needed to come back for the rest of a stream. */
static void
up_remember(struct upconn *c)
{
	if (c->req == NULL || c->kind != KIND_SSE)
		return;
	strlcpy(c->req->last, c->sse.id, sizeof(c->req->last));
	c->req->retry = c->sse.retry;
}

/* The body is complete. */
static void
up_end(struct upconn *c)
{
	struct upreq *r = c->req;

	up_remember(c);
	c->req = NULL;
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

/* The connection is of no use any more. */
static void
up_finish(struct upconn *c, enum up_result res)
{
	struct upreq *r = c->req;

	up_remember(c);
	c->req = NULL;
	up_free(c);
	if (r != NULL)
		up_over(r, res);
}

static void
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

static void
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

void
upreq_cancel(struct upreq *r)
{
	struct upconn *c = r->conn;

	c->req = NULL;
	freezero(r->head, r->headlen);
	free(r);
	up_free(c);
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
	return r->last;
}

void
upreq_pause(struct upreq *r)
{
	if (r->conn->state != UP_CONNECTING)
		stream_pause(&r->conn->s);
}

void
upreq_resume(struct upreq *r)
{
	if (r->conn->state != UP_CONNECTING)
		stream_resume(&r->conn->s);
}

void
upstream_tick(void)
{
	struct upconn *c, *next;
	struct upreq *r;
	uint64_t now = mono_msec();

	for (c = TAILQ_FIRST(&working); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->deadline == 0 || now < c->deadline)
			continue;
		if (c->state != UP_CONNECTING || (r = c->req) == NULL) {
			up_free(c);
			continue;
		}
		c->req = NULL;
		up_free(c);
		if (r->nextaddr < r->backend->naddr) {
			if (up_connect(r) == -1)
				fatalx("out of memory");
			continue;
		}
		up_over(r,
		    r->backend->naddr == 0 ? UP_ADDRESS :
			r->distrusted	   ? UP_TLS :
					     UP_CONNECT);
		/* done may have changed the list. */
		next = TAILQ_FIRST(&working);
	}
}

void
upstream_expire(struct backend *b)
{
	struct upconn *c;
	uint64_t now = mono_msec();

	while ((c = TAILQ_LAST(&b->idle, upconns)) != NULL &&
	    c->deadline <= now)
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
	case UP_LARGE:
		return "sent an answer that is too large";
	}
	return "failed";
}
