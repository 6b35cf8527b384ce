/*
 * Client connections. One request at a time; what a client sends ahead waits
 * in the buffer, and beyond a bound in the kernel. The buffer that holds a
 * complete request goes to that request, so its spans stay where they are.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "conn.h"
#include "listener.h"
#include "log.h"
#include "peer.h"
#include "route.h"
#include "tls.h"
#include "unread.h"
#include "worker.h"

#define READ_SIZE  (64 * 1024)
#define AHEAD_MAX  (64 * 1024) /* pipelined bytes held for a busy client */
#define BEHIND_MAX (64 * 1024) /* unsent answers before the next request */
#define HEAD_TIME  10000 /* ms for a head, once it has begun */
#define BODY_TIME  30000 /* ms for a small body */
#define BODY_RATE  500 /* bytes a second of a large one, over as many ms */
#define TLS_TIME   10000 /* ms for its handshake */
#define SMALL_BODY (64 * 1024) /* what anybody may send */

static void conn_read(void *);
static void conn_drained(void *);
static void conn_input(struct conn *);
static int conn_head(struct conn *);
static int conn_body(struct conn *);
static int conn_dispatch(struct conn *, size_t);
static int conn_grow(struct conn *, size_t);
static void conn_refuse(struct conn *, int);
static void conn_close_idle(void);
static void conn_last(struct conn *);
static void conn_linger(struct conn *);
static void conn_close(struct conn *);
static void conn_tick(evutil_socket_t, short, void *);
static struct request *request_new(struct conn *);
static void request_free(struct request *);

static TAILQ_HEAD(, conn) conns = TAILQ_HEAD_INITIALIZER(conns);
static size_t nconns;
static struct event *ticker;
static struct request *spare; /* one kept, so that none is made per call */
static char readbuf[READ_SIZE];

void
conn_start(void)
{
	struct timeval tv = {1, 0};

	if (ticker != NULL)
		return;
	ticker = event_new(peer_base(), -1, EV_PERSIST, conn_tick, NULL);
	if (ticker == NULL || event_add(ticker, &tv) == -1)
		fatalx("out of memory");
}

void
conn_new(int fd, const struct sockaddr_storage *ss, int loopback,
    struct tls_config *tls)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)ss;
	struct conn *c;
	int one = 1;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ss->ss_family == AF_INET) {
		inet_ntop(AF_INET, &sin->sin_addr, c->addr, sizeof(c->addr));
		c->loopback_peer = (ntohl(sin->sin_addr.s_addr) >> 24) == 127;
	} else if (ss->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &sin6->sin6_addr, c->addr, sizeof(c->addr));
		c->loopback_peer = IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
	}
	c->loopback_listener = loopback;
	c->deadline = mono_msec() + worker.conf.keepalive_timeout * 1000;
	stream_open(&c->s, fd, conn_read, conn_drained, c);
	if (tls != NULL) {
		c->deadline = mono_msec() + TLS_TIME;
		if (stream_tls_server(&c->s, tls) == -1) {
			stream_close(&c->s);
			free(c);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&conns, c, entry);
	nconns++;
	worker.connections = nconns;
}

struct request *
conn_pipe(int fd)
{
	struct conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return NULL;
	}
	stream_open(&c->s, fd, conn_read, conn_drained, c);
	TAILQ_INSERT_TAIL(&conns, c, entry);
	nconns++;
	if ((c->rq = request_new(c)) == NULL) {
		conn_close(c);
		return NULL;
	}
	c->state = CONN_BUSY;
	c->close_after = 1;
	c->rq->streaming = 1;
	return c->rq;
}

size_t
conn_unread(void)
{
	const struct conn *c;
	size_t n = 0;

	TAILQ_FOREACH (c, &conns, entry)
		n += stream_queued(&c->s);
	return n;
}

size_t
conn_count(void)
{
	return nconns;
}

static void
conn_read(void *arg)
{
	struct conn *c = arg;
	ssize_t n;

	n = stream_recv(&c->s, readbuf, sizeof(readbuf));
	if (n == STREAM_AGAIN) {
		conn_input(c);
		return;
	}
	if (n == 0 && c->state == CONN_HEAD &&
	    (c->inlen > 0 || stream_queued(&c->s) > 0)) {
		/* It says no more, and still reads. */
		c->eof = 1;
		stream_pause(&c->s);
		conn_input(c);
		return;
	}
	if (n <= 0) {
		if (n == STREAM_ERROR && c->s.tls != NULL)
			log_debug("%s: TLS: %s", c->addr, tls_error(c->s.tls));
		conn_abort(c);
		return;
	}
	if (c->state == CONN_LINGER)
		return;
	if (conn_grow(c, n) == -1) {
		conn_abort(c);
		return;
	}
	memcpy(c->in + c->inlen, readbuf, n);
	c->inlen += n;
	c->rate_bytes += n;
	if (c->state == CONN_BUSY) {
		if (c->inlen > AHEAD_MAX)
			stream_pause(&c->s);
		return;
	}
	conn_input(c);
}

static int
conn_grow(struct conn *c, size_t n)
{
	size_t cap;
	char *p;

	if (c->inlen + n <= c->incap)
		return 0;
	cap = c->incap ? c->incap : 1024;
	while (cap < c->inlen + n)
		cap *= 2;
	if ((p = realloc(c->in, cap)) == NULL)
		return -1;
	c->in = p;
	c->incap = cap;
	return 0;
}

/* As many requests as the buffer holds, one after the other. */
static void
conn_input(struct conn *c)
{
	int r = 1;

	if (c->in_handler)
		return;
	while (r == 1) {
		if (c->state == CONN_HEAD &&
		    stream_queued(&c->s) > BEHIND_MAX) {
			/* Who does not read is not served more. */
			stream_pause(&c->s);
			r = 0;
		} else if (c->state == CONN_HEAD)
			r = c->inlen > 0 ? conn_head(c) : 0;
		else if (c->state == CONN_BODY)
			r = conn_body(c);
		else
			r = 0;
	}
	if (r == 0 && c->eof && c->state == CONN_HEAD &&
	    stream_queued(&c->s) <= BEHIND_MAX)
		conn_last(c);
}

/* What is left can not become a request any more. */
static void
conn_last(struct conn *c)
{
	if (stream_queued(&c->s) == 0) {
		conn_abort(c);
		return;
	}
	if (c->rq != NULL)
		request_free(c->rq);
	c->rq = NULL;
	c->inlen = 0;
	c->close_after = 1;
}

/* 1: go on, 0: wait, -1: the connection may be gone. */
static int
conn_head(struct conn *c)
{
	struct request *rq;
	ssize_t n;
	int status;

	if (c->rq == NULL && (c->rq = request_new(c)) == NULL) {
		conn_abort(c);
		return -1;
	}
	rq = c->rq;
	n = http_request(&rq->head, c->in, c->inlen);
	if (n == 0) {
		if (c->inlen >= HTTP_MAX_HEAD) {
			conn_refuse(c, 431);
			return -1;
		}
		if (!c->head_begun)
			c->deadline = mono_msec() + HEAD_TIME;
		c->head_begun = 1;
		return 0;
	}
	if (n < 0) {
		conn_refuse(c, (int)-n);
		return -1;
	}
	rq->headlen = n;
	if (!rq->head.keepalive)
		c->close_after = 1;
	if ((status = route_head(rq, SMALL_BODY)) != 0) {
		conn_refuse(c, status);
		return -1;
	}
	c->state = CONN_BODY;
	c->bodylen = 0;
	c->rate_bytes = 0;
	c->rate_at = mono_msec();
	/* What anybody may send: one who sends nearly all of it at once must
	 * not have the rate on his side for the rest. */
	c->deadline = rq->limit > SMALL_BODY ? 0 : c->rate_at + BODY_TIME;
	http_chunk_init(&c->chunk);
	if (rq->head.expect && rq->head.minor == 1 &&
	    (rq->head.chunked || rq->head.length > 0) &&
	    c->inlen == rq->headlen &&
	    stream_send(&c->s, "HTTP/1.1 100 Continue\r\n\r\n", 25) == -1) {
		conn_abort(c);
		return -1;
	}
	return 1;
}

static int
conn_body(struct conn *c)
{
	struct request *rq = c->rq;
	size_t have, in, out, end;
	int r;

	end = rq->headlen + c->bodylen;
	if (rq->head.chunked) {
		in = c->inlen - end;
		r = http_chunk(&c->chunk, c->in + end, &in, c->in + end, &out);
		if (r == CHUNK_BAD) {
			conn_refuse(c, 400);
			return -1;
		}
		if (c->bodylen + out > rq->limit ||
		    c->chunk.left > rq->limit - c->bodylen - out) {
			conn_refuse(c, 413);
			return -1;
		}
		memmove(
		    c->in + end + out, c->in + end + in, c->inlen - end - in);
		c->inlen -= in - out;
		c->bodylen += out;
		if (r == CHUNK_MORE)
			return 0;
	} else {
		have = c->inlen - rq->headlen;
		if (rq->head.length > 0 && have < (size_t)rq->head.length)
			return 0;
		c->bodylen = rq->head.length > 0 ? rq->head.length : 0;
	}
	return conn_dispatch(c, rq->headlen + c->bodylen);
}

/*
 * The request in in[0..used) is complete: it gets the buffer, what follows is
 * moved to a new one, and the handler is called. 1 when it has answered at once
 * and the next request may be read.
 */
static int
conn_dispatch(struct conn *c, size_t used)
{
	struct request *rq = c->rq;
	size_t rest = c->inlen - used;
	char *next = NULL;

	if (rest > 0) {
		if ((next = malloc(rest)) == NULL) {
			conn_abort(c);
			return -1;
		}
		memcpy(next, c->in + used, rest);
	}
	rq->buf = c->in;
	rq->body = rq->buf + rq->headlen;
	rq->bodylen = c->bodylen;
	c->in = next;
	c->inlen = c->incap = rest;
	/* The buffer may have moved while the body came. */
	if (http_request(&rq->head, rq->buf, rq->headlen) <= 0) {
		conn_abort(c);
		return -1;
	}
	c->state = CONN_BUSY;
	c->deadline = 0;
	worker.requests++;
	c->in_handler = 1;
	route_dispatch(rq);
	c->in_handler = 0;
	if (c->s.fd == -1) {
		conn_close(c);
		return -1;
	}
	return c->state == CONN_HEAD ? 1 : -1;
}

/* An answer to a request that can not be taken, after which nothing more of
 * this connection is read. */
static void
conn_refuse(struct conn *c, int status)
{
	struct request *rq = c->rq;

	/* The buffer may have moved since the head was read. */
	if (rq->headlen > 0)
		(void)http_request(&rq->head, c->in, rq->headlen);
	c->close_after = 1;
	c->state = CONN_BUSY;
	c->deadline = 0;
	c->inlen = 0;
	c->in_handler = 1;
	route_refuse(rq, status);
	c->in_handler = 0;
	if (c->s.fd == -1)
		conn_close(c);
}

void
conn_done(struct conn *c)
{
	request_free(c->rq);
	c->rq = NULL;
	/* Its head may have been sent before the end was known. */
	if (worker.stopping)
		c->close_after = 1;
	if (c->close_after || (c->eof && c->inlen == 0)) {
		c->close_after = 1;
		if (stream_queued(&c->s) == 0)
			conn_linger(c);
		else
			c->deadline = 0;
		return;
	}
	c->state = CONN_HEAD;
	c->head_begun = 0;
	/* The time between requests begins when the answer is out. */
	c->deadline = stream_queued(&c->s) > 0
			  ? 0
			  : mono_msec() + worker.conf.keepalive_timeout * 1000;
	if (c->inlen == 0) {
		free(c->in);
		c->in = NULL;
		c->incap = 0;
	}
	if (!c->eof)
		stream_resume(&c->s);
	/* What came ahead is read in the next turn: whoever has answered here
	 * must not find another request begun when it goes on. */
	if (c->inlen > 0 && !c->in_handler)
		event_active(&c->s.rev, EV_READ, 0);
}

static void
conn_drained(void *arg)
{
	struct conn *c = arg;

	if (c->rq != NULL && c->rq->drained != NULL)
		c->rq->drained(c->rq);
	else if (c->rq == NULL && c->close_after && c->state != CONN_LINGER)
		conn_linger(c);
	else if (c->state == CONN_HEAD) {
		/* An answer is out, or a TLS handshake has ended. */
		if (!c->head_begun)
			c->deadline =
			    mono_msec() + worker.conf.keepalive_timeout * 1000;
		if (!c->eof)
			stream_resume(&c->s);
		conn_input(c);
	}
}

/* Close so that the client gets all of the answer: no reset while its last
 * bytes are under way. */
static void
conn_linger(struct conn *c)
{
	stream_shutdown(&c->s);
	c->state = CONN_LINGER;
	c->deadline = mono_msec() + LINGER_TIME;
	c->inlen = 0;
	stream_resume(&c->s);
}

void
conn_abort(struct conn *c)
{
	if (c->rq != NULL) {
		if (c->rq->gone != NULL)
			c->rq->gone(c->rq);
		request_free(c->rq);
		c->rq = NULL;
	}
	stream_close(&c->s);
	if (!c->in_handler)
		conn_close(c);
}

static void
conn_close(struct conn *c)
{
	stream_close(&c->s);
	TAILQ_REMOVE(&conns, c, entry);
	nconns--;
	worker.connections = nconns;
	if (c->extra != NULL) {
		json_buf_free(c->extra);
		free(c->extra);
	}
	free(c->in);
	free(c);
	listeners_again();
}

/* Once a second: whoever is late goes. */
static void
conn_tick(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c, *next;
	uint64_t now = mono_msec();

	(void)fd;
	(void)what;
	(void)arg;
	listeners_again();
	unread_begin();
	for (c = TAILQ_FIRST(&conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->state == CONN_BODY && now - c->rate_at >= BODY_TIME) {
			if (c->rate_bytes <
			    BODY_RATE * (now - c->rate_at) / 1000) {
				conn_refuse(c, 408);
				continue;
			}
			c->rate_at = now;
			c->rate_bytes = 0;
		}
		if (unread_late(c, now)) {
			conn_abort(c);
			continue;
		}
		if (c->deadline != 0 && now >= c->deadline) {
			if (c->state == CONN_BODY ||
			    (c->state == CONN_HEAD && c->inlen > 0))
				conn_refuse(c, 408);
			else if (c->state == CONN_HEAD && !c->eof &&
				 !c->s.handshake)
				/* A request may be under way just now. */
				conn_linger(c);
			else
				conn_abort(c);
		}
	}
	if ((c = unread_most()) != NULL)
		conn_abort(c);
	if (worker.draining)
		worker_idle();
}

void
conn_drain(int stop)
{
	listeners_close();
	if (stop)
		conn_close_idle();
}

static void
conn_close_idle(void)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->state == CONN_HEAD && c->inlen == 0 &&
		    stream_queued(&c->s) == 0) {
			if (c->eof || c->s.handshake)
				conn_abort(c);
			else
				conn_linger(c);
		}
	}
}

void
conn_end_all(void)
{
	struct conn *c, *next;

	conn_close_idle();
	for (c = TAILQ_FIRST(&conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->rq != NULL &&
		    (c->state == CONN_HEAD || c->state == CONN_BODY))
			conn_refuse(c, 503);
	}
}

static struct request *
request_new(struct conn *c)
{
	struct request *rq = spare;

	spare = NULL;
	if (rq == NULL && (rq = malloc(sizeof(*rq))) == NULL)
		return NULL;
	memset(rq, 0, sizeof(*rq));
	rq->conn = c;
	strlcpy(rq->addr, c->addr, sizeof(rq->addr));
	rq->loopback_listener = c->loopback_listener;
	rq->loopback_peer = c->loopback_peer;
	return rq;
}

static void
request_free(struct request *rq)
{
	if (rq->buf != NULL)
		free(rq->buf);
	if (spare == NULL)
		spare = rq;
	else
		free(rq);
}
