/*
 * Standard input and output of a child: lines. What goes to it is gathered and
 * written at the end of the loop's turn; what comes is cut at line ends.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "runner.h"

#define READ_SIZE (64 * 1024)
#define OUT_MAX   (4 * 1024 * 1024) /* waiting for a child that does not read */
#define FLOOD_MAX (128u * 1024 * 1024) /* without a line end */
#define KEEP_HEAD 4096 /* of a line that is too long */

static void pipe_read(evutil_socket_t, short, void *);
static int pipe_take(struct child *);
static int pipe_lines(struct child *);
static void pipe_release(struct child *);
static void pipe_skip(struct child *, const char *, size_t);
static void pipe_ready(evutil_socket_t, short, void *);
static void pipe_flush(struct child *);

static char buf[READ_SIZE];

int
pipe_open(struct child *c, int fd)
{
	struct pipe *p = &c->pipe;

	if (p->fd != -1 || evutil_make_socket_nonblocking(fd) == -1)
		return -1;
	p->rev = event_new(peer_base(), fd, EV_READ | EV_PERSIST, pipe_read, c);
	p->wev = event_new(peer_base(), fd, EV_WRITE, pipe_ready, c);
	if (p->rev == NULL || p->wev == NULL || event_add(p->rev, NULL) == -1) {
		if (p->rev != NULL)
			event_free(p->rev);
		if (p->wev != NULL)
			event_free(p->wev);
		p->rev = p->wev = NULL;
		return -1;
	}
	p->fd = fd;
	return 0;
}

void
pipe_close(struct child *c)
{
	struct pipe *p = &c->pipe;

	if (p->rev != NULL)
		event_free(p->rev);
	if (p->wev != NULL)
		event_free(p->wev);
	p->rev = p->wev = NULL;
	p->held = NULL;
	if (p->fd != -1)
		close(p->fd);
	p->fd = -1;
	free(p->in);
	free(p->out);
	p->in = p->out = NULL;
	p->inlen = p->incap = p->outpos = p->outlen = p->outcap = 0;
}

void
pipe_shut(struct child *c)
{
	if (c->pipe.fd == -1)
		return;
	pipe_flush(c);
	if (c->pipe.fd != -1)
		(void)shutdown(c->pipe.fd, SHUT_WR);
}

void
pipe_hold(struct child *c, struct peer *peer)
{
	if (c->pipe.rev == NULL || c->pipe.held != NULL || c->pipe.draining)
		return;
	c->pipe.held = peer;
	event_del(c->pipe.rev);
}

static void
pipe_release(struct child *c)
{
	struct pipe *p = &c->pipe;

	p->held = NULL;
	if (p->inlen > 0 && p->skipped == 0)
		(void)pipe_lines(c);
	if (p->fd != -1 && p->held == NULL && event_add(p->rev, NULL) == -1)
		child_kill(c, "was ended: out of memory");
}

void
pipes_release(struct peer *peer)
{
	struct sbackend *b;
	struct child *c;

	for (b = backend_first(); b != NULL; b = TAILQ_NEXT(b, entry))
		TAILQ_FOREACH (c, &b->children, entry)
			if (c->pipe.held == peer)
				pipe_release(c);
}

/* ---- reading ---- */

static void
pipe_read(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;

	(void)fd;
	(void)what;
	(void)pipe_take(c);
}

/* Reads once. 1: there was something; 0: not now, or never more. */
static int
pipe_take(struct child *c)
{
	struct pipe *p = &c->pipe;
	size_t cap;
	ssize_t n;
	char *q;

	if (p->fd == -1)
		return 0;
	n = read(p->fd, buf, sizeof(buf));
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		/* Master will tell of its end, if it is that. */
		event_del(p->rev);
		child_mute(c);
		return 0;
	}
	if (p->skipped > 0) {
		pipe_skip(c, buf, (size_t)n);
		return 1;
	}
	if (p->inlen + (size_t)n > p->incap) {
		cap = p->incap ? p->incap : READ_SIZE;
		while (cap < p->inlen + (size_t)n)
			cap *= 2;
		if ((q = realloc(p->in, cap)) == NULL) {
			child_kill(c, "was ended: out of memory");
			return 0;
		}
		p->in = q;
		p->incap = cap;
	}
	memcpy(p->in + p->inlen, buf, (size_t)n);
	p->inlen += (size_t)n;
	return pipe_lines(c);
}

static int
pipe_lines(struct child *c)
{
	struct pipe *p = &c->pipe;
	char *start = p->in, *nl;
	size_t len;

	while (p->fd != -1 && p->held == NULL &&
	       (nl = memchr(start + p->seen, '\n',
		    p->inlen - (size_t)(start - p->in) - p->seen)) != NULL) {
		p->seen = 0;
		len = (size_t)(nl - start);
		mux_line(c, start, len);
		if (p->in == NULL)
			return 0;
		start = nl + 1;
	}
	if (p->fd == -1)
		return 0;
	len = p->inlen - (size_t)(start - p->in);
	memmove(p->in, start, len);
	p->inlen = len;
	p->seen = p->held == NULL ? len : 0;
	if (len == 0 && p->incap > READ_SIZE) {
		free(p->in);
		p->in = NULL;
		p->incap = 0;
	}
	if (len > N_BODY && p->held == NULL) {
		/* Only its ends are kept, to know whose answer it was. */
		p->skipped = len - KEEP_HEAD;
		p->inlen = KEEP_HEAD;
		p->taillen = 0;
		pipe_skip(c, p->in + KEEP_HEAD, len - KEEP_HEAD);
	}
	return 1;
}

static void
pipe_skip(struct child *c, const char *q, size_t len)
{
	struct pipe *p = &c->pipe;
	const char *nl = memchr(q, '\n', len);
	size_t n = nl == NULL ? len : (size_t)(nl - q), over, rest;
	char *in;

	p->skipped += n;
	if (n >= sizeof(p->tail)) {
		memcpy(p->tail, q + n - sizeof(p->tail), sizeof(p->tail));
		p->taillen = sizeof(p->tail);
	} else {
		over = p->taillen + n > sizeof(p->tail)
			   ? p->taillen + n - sizeof(p->tail)
			   : 0;
		memmove(p->tail, p->tail + over, p->taillen - over);
		memcpy(p->tail + p->taillen - over, q, n);
		p->taillen += n - over;
	}
	if (nl == NULL) {
		if (p->skipped > FLOOD_MAX)
			child_kill(c, "was ended: it wrote without an end");
		return;
	}
	p->skipped = 0;
	mux_giant(c, p->in, p->inlen, p->tail, p->taillen);
	if (p->fd == -1)
		return;
	rest = len - n - 1;
	if ((in = malloc(READ_SIZE + rest)) == NULL) {
		child_kill(c, "was ended: out of memory");
		return;
	}
	memcpy(in, nl + 1, rest);
	free(p->in);
	p->in = in;
	p->incap = READ_SIZE + rest;
	p->inlen = rest;
	p->seen = 0;
	(void)pipe_lines(c);
}

void
pipe_drain(struct child *c)
{
	c->pipe.draining = 1;
	c->pipe.held = NULL;
	if (c->pipe.inlen > 0 && c->pipe.skipped == 0)
		(void)pipe_lines(c);
	while (pipe_take(c) == 1)
		continue;
}

/* ---- writing ---- */

int
pipe_write(struct child *c, const char *data, size_t len)
{
	/* One that has come is let through whatever its size. */
	if (c->pipe.outlen > 0 && c->pipe.outlen + len > OUT_MAX)
		return -1;
	return pipe_put(c, data, len);
}

int
pipe_put(struct child *c, const char *data, size_t len)
{
	struct pipe *p = &c->pipe;
	size_t cap;
	char *q;

	if (p->fd == -1 || c->state == CHILD_ENDING)
		return -1;
	if (p->outpos > 0 && p->outpos + p->outlen + len > p->outcap) {
		memmove(p->out, p->out + p->outpos, p->outlen);
		p->outpos = 0;
	}
	if (p->outlen + len > p->outcap) {
		cap = p->outcap ? p->outcap : 16 * 1024;
		while (cap < p->outlen + len)
			cap *= 2;
		if ((q = realloc(p->out, cap)) == NULL)
			return -1;
		p->out = q;
		p->outcap = cap;
	}
	memcpy(p->out + p->outpos + p->outlen, data, len);
	p->outlen += len;
	if (!p->flushing) {
		p->flushing = 1;
		event_active(p->wev, EV_WRITE, 1);
	}
	return 0;
}

static void
pipe_ready(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;

	(void)fd;
	(void)what;
	c->pipe.flushing = 0;
	pipe_flush(c);
}

static void
pipe_flush(struct child *c)
{
	struct pipe *p = &c->pipe;
	ssize_t n;

	while (p->fd != -1 && p->outlen > 0) {
		n = write(p->fd, p->out + p->outpos, p->outlen);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			p->flushing = 1;
			if (event_add(p->wev, NULL) == -1)
				log_warn("event_add");
			return;
		}
		if (n == -1) {
			/* It has closed its input; its end follows. */
			p->outlen = p->outpos = 0;
			return;
		}
		p->outpos += (size_t)n;
		p->outlen -= (size_t)n;
	}
	p->outpos = 0;
	if (p->outlen == 0 && p->outcap > 64 * 1024) {
		free(p->out);
		p->out = NULL;
		p->outcap = 0;
	}
}
