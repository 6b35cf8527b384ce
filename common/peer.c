/*
 * Channels between processes on the event loop: what may come in is decided
 * by a table, what goes out is gathered and written once per loop turn.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "compat.h"
#include "imsg.h"
#include "log.h"
#include "peer.h"

struct peer {
	const struct peer_class *class;
	struct imsgbuf ib;
	struct event *rev; /* readable; persistent */
	struct event *wev; /* writable: the socket was full */
	struct event *flush; /* activated, never added: end of the turn */
	uint64_t id;
	void *ctx;
	uint32_t gen;
	unsigned int state;
	int busy; /* callbacks of this peer on the stack */
	uint8_t role;
	uint8_t dead; /* freed while busy */
	uint8_t held;
	uint8_t eof; /* the end came while messages were held back */
	uint8_t broken; /* nothing more can be written */
	uint8_t flushing;
};

static struct event_base *base;

static void on_read(evutil_socket_t, short, void *);
static void on_write(evutil_socket_t, short, void *);

void
peer_setbase(struct event_base *b)
{
	base = b;
}

struct event_base *
peer_base(void)
{
	return base;
}

static void
destroy(struct peer *p)
{
	if (p->rev != NULL)
		event_free(p->rev);
	if (p->wev != NULL)
		event_free(p->wev);
	if (p->flush != NULL)
		event_free(p->flush);
	imsgbuf_clear(&p->ib);
	free(p);
}

struct peer *
peer_new(int fd, const struct peer_class *class, uint8_t role, uint64_t id,
    uint32_t gen, void *ctx)
{
	struct peer *p;

	if ((p = calloc(1, sizeof(*p))) == NULL) {
		close(fd);
		return NULL;
	}
	p->class = class;
	p->role = role;
	p->id = id;
	p->gen = gen;
	p->ctx = ctx;
	p->state = PEER_S0;
	imsgbuf_init(&p->ib, fd);
	if (class->fdpass)
		imsgbuf_allow_fdpass(&p->ib);
	if (evutil_make_socket_nonblocking(fd) == -1 ||
	    evutil_make_socket_closeonexec(fd) == -1)
		goto fail;
	p->rev = event_new(base, fd, EV_READ | EV_PERSIST, on_read, p);
	p->wev = event_new(base, fd, EV_WRITE, on_write, p);
	p->flush = event_new(base, -1, 0, on_write, p);
	if (p->rev == NULL || p->wev == NULL || p->flush == NULL ||
	    event_add(p->rev, NULL) == -1)
		goto fail;
	return p;
fail:
	destroy(p);
	return NULL;
}

void
peer_free(struct peer *p)
{
	if (p == NULL || p->dead)
		return;
	if (p->busy == 0) {
		destroy(p);
		return;
	}
	p->dead = 1;
	event_del(p->rev);
	event_del(p->wev);
	event_del(p->flush);
}

static void
enter(struct peer *p)
{
	p->busy++;
}

static void
leave(struct peer *p)
{
	if (--p->busy == 0 && p->dead)
		destroy(p);
}

/* The other end is gone. Only called between enter and leave. */
static void
end(struct peer *p)
{
	if (p->dead)
		return;
	event_del(p->rev);
	p->broken = 1;
	if (p->class->gone != NULL)
		p->class->gone(p);
	peer_free(p);
}

static void
bad(struct peer *p, uint32_t type, const char *why)
{
	char text[128];

	if (p->dead)
		return;
	snprintf(text, sizeof(text), "message %u: %s", type, why);
	log_warnx("%s broke the contract: %s", p->class->name, text);
	event_del(p->rev);
	p->broken = 1;
	if (p->class->bad != NULL)
		p->class->bad(p, text);
	end(p);
}

/* ---- reading ---- */

/* The rule for a message, or NULL and why there is none. */
static const struct peer_rule *
find_rule(const struct peer *p, const struct imsg *im, const char **why)
{
	const struct peer_rule *r;
	size_t i;

	*why = "not allowed";
	for (i = 0; i < p->class->nrules; i++) {
		r = &p->class->rules[i];
		if (r->type != im->hdr.type)
			continue;
		if ((r->states & p->state) != 0)
			return r;
		*why = "not allowed in this state";
	}
	return NULL;
}

static void
dispatch(struct peer *p, struct imsg *im)
{
	const struct peer_rule *r;
	const char *why;
	void *msg = NULL;

	if ((r = find_rule(p, im, &why)) == NULL) {
		bad(p, im->hdr.type, why);
		return;
	}
	if ((im->fd != -1) != (r->wants_fd != 0)) {
		bad(p, im->hdr.type,
		    r->wants_fd ? "without a descriptor" : "with a descriptor");
		return;
	}
	if (r->def == NULL) {
		if (im->datalen != 0) {
			bad(p, im->hdr.type, "with a payload");
			return;
		}
	} else {
		if ((msg = malloc(r->def->size)) == NULL) {
			log_warn("%s: message dropped", p->class->name);
			end(p);
			return;
		}
		if (wire_decode(r->def, msg, im->data, im->datalen) == -1) {
			free(msg);
			bad(p, im->hdr.type, "malformed");
			return;
		}
	}
	r->handler(p, im->hdr.peerid, msg, imsg_get_fd(im));
	if (msg != NULL) {
		wire_free(r->def, msg);
		free(msg);
	}
}

/* Every complete message; 0, or -1 when the framing is broken. */
static int
dispatch_all(struct peer *p)
{
	struct imsg im;
	int n;

	while (!p->dead && !p->held) {
		if ((n = imsg_get(&p->ib, &im)) != 1)
			return n;
		dispatch(p, &im);
		imsg_free(&im);
	}
	return 0;
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	int n = 0, error = 0;

	(void)fd;
	(void)what;
	enter(p);
	if (!p->eof) {
		n = imsgbuf_read(&p->ib);
		error = errno;
		if (n != 1)
			p->eof = 1;
	}
	if (n == -1 && error == EBADMSG) {
		bad(p, 0, "bad framing");
	} else {
		if (n == -1)
			log_debug("%s: %s", p->class->name, strerror(error));
		if (dispatch_all(p) == -1)
			bad(p, 0, "bad framing");
		else if (p->eof && !p->held)
			end(p);
	}
	leave(p);
}

void
peer_hold(struct peer *p)
{
	if (p->dead || p->held)
		return;
	p->held = 1;
	event_del(p->rev);
}

void
peer_resume(struct peer *p)
{
	if (p->dead || !p->held)
		return;
	p->held = 0;
	if (event_add(p->rev, NULL) == -1)
		log_warn("%s: event_add", p->class->name);
	/* Messages may be waiting in the buffer. */
	event_active(p->rev, EV_READ, 1);
}

/* ---- writing ---- */

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;

	(void)fd;
	(void)what;
	p->flushing = 0;
	if (p->broken)
		return;
	if (imsgbuf_write(&p->ib) == -1) {
		/* What it sent before it went is still read: the end of the
		 * channel is seen there. */
		log_debug("%s: write: %s", p->class->name, strerror(errno));
		p->broken = 1;
		shutdown(p->ib.fd, SHUT_RDWR);
		return;
	}
	if (imsgbuf_queuelen(&p->ib) > 0 && event_add(p->wev, NULL) == -1)
		log_warn("%s: event_add", p->class->name);
}

int
peer_send(struct peer *p, uint32_t type, uint32_t id, const struct msgdef *def,
    const void *msg, int fd)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int ret = -1;

	if (p->dead || p->broken) {
		errno = EPIPE;
		return -1;
	}
	if (def != NULL && (data = wire_encode(def, msg, &len)) == NULL) {
		log_warn("%s: cannot encode %s", p->class->name, def->name);
		return -1;
	}
	if (imsgbuf_queuelen(&p->ib) + IMSG_HEADER_SIZE + len > PEER_QUEUE_MAX)
		errno = ENOBUFS;
	else if (imsg_compose(&p->ib, type, id, fd, data, len) == 1)
		ret = 0;
	freezero(data, len);
	if (ret == 0 && !p->flushing &&
	    !event_pending(p->wev, EV_WRITE, NULL)) {
		p->flushing = 1;
		event_active(p->flush, EV_WRITE, 1);
	}
	return ret;
}

size_t
peer_queued(const struct peer *p)
{
	return imsgbuf_queuelen(&p->ib);
}

void
peer_flush(struct peer *p, int ms)
{
	struct pollfd pfd = {.fd = p->ib.fd, .events = POLLOUT};
	uint64_t now, until = mono_msec() + (uint64_t)(ms > 0 ? ms : 0);

	while (!p->dead && !p->broken) {
		if (imsgbuf_write(&p->ib) == -1) {
			p->broken = 1;
			shutdown(p->ib.fd, SHUT_RDWR);
			return;
		}
		if (imsgbuf_queuelen(&p->ib) == 0)
			return;
		if ((now = mono_msec()) >= until)
			return;
		if (poll(&pfd, 1, (int)(until - now)) == -1 && errno != EINTR)
			return;
	}
}

/* ---- the caller's own ---- */

uint8_t
peer_role(const struct peer *p)
{
	return p->role;
}

uint64_t
peer_id(const struct peer *p)
{
	return p->id;
}

uint32_t
peer_gen(const struct peer *p)
{
	return p->gen;
}

void *
peer_ctx(const struct peer *p)
{
	return p->ctx;
}

void
peer_setstate(struct peer *p, unsigned int state)
{
	p->state = state;
}
