/*
 * Dialing.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "dial.h"
#include "files.h"
#include "log.h"
#include "peer.h"

#define STEP_TIME    250 /* ms until the next address is tried, too */
#define CONNECT_TIME 5000 /* ms for each address */

struct attempt {
	struct dial *dial;
	unsigned int which;
	struct sockaddr_storage addr; /* the backend may get others */
	int fd;
	struct event *ev; /* NULL: not under way */
	uint64_t begun; /* ms */
};

struct dial {
	struct backend *backend;
	unsigned int left; /* bits of addresses to try */
	unsigned int open; /* attempts under way */
	struct event *timer;
	struct attempt attempt[BACKEND_ADDRS];
	dial_cb cb;
	void *arg;
};

static void dial_more(struct dial *);
static int dial_try(struct dial *, unsigned int);
static int dial_next(const struct dial *);
static void dial_timer(evutil_socket_t, short, void *);
static void dial_writable(evutil_socket_t, short, void *);
static void dial_over(struct dial *, int, unsigned int);
static void attempt_end(struct attempt *);
static socklen_t addr_len(const struct sockaddr_storage *);

static socklen_t
addr_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in)
				       : sizeof(struct sockaddr_in6);
}

struct dial *
dial_start(struct backend *b, unsigned int skip, dial_cb cb, void *arg)
{
	struct timeval now = {0, 0};
	struct dial *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->backend = b;
	d->left = ((1u << b->naddr) - 1) & ~skip;
	d->cb = cb;
	d->arg = arg;
	d->timer = event_new(peer_base(), -1, 0, dial_timer, d);
	if (d->timer == NULL) {
		free(d);
		return NULL;
	}
	dial_more(d);
	if (d->open == 0)
		event_add(d->timer, &now);
	return d;
}

/* The last good one, then in order. */
static int
dial_next(const struct dial *d)
{
	const struct backend *b = d->backend;
	unsigned int i;
	int next = -1;

	for (i = b->naddr; i-- > 0;) {
		if (!(d->left & 1u << i))
			continue;
		next = (int)i;
		if (memcmp(&b->addr[i], &b->good, sizeof(b->good)) == 0)
			break;
	}
	return next;
}

/* Tries the next that can be tried, and comes back for the one after it. */
static void
dial_more(struct dial *d)
{
	struct timeval step = {0, STEP_TIME * 1000};
	int i;

	while ((i = dial_next(d)) != -1) {
		d->left &= ~(1u << i);
		if (dial_try(d, (unsigned int)i) == 0)
			break;
	}
	if (d->open > 0)
		event_add(d->timer, &step);
}

static int
dial_try(struct dial *d, unsigned int i)
{
	const struct sockaddr_storage *sa = &d->backend->addr[i];
	struct attempt *a = &d->attempt[i];
	int one = 1;

	a->fd = socket(
	    sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd != -1 && files_scarce(a->fd)) {
		close(a->fd);
		a->fd = -1;
		errno = EMFILE;
	}
	if (a->fd == -1) {
		if (errno == EMFILE || errno == ENFILE)
			log_warn("backend %s", d->backend->conf.name);
		return -1;
	}
	setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(a->fd, (const struct sockaddr *)sa, addr_len(sa)) == -1 &&
	    errno != EINPROGRESS) {
		close(a->fd);
		return -1;
	}
	a->dial = d;
	a->which = i;
	a->addr = *sa;
	a->begun = mono_msec();
	a->ev = event_new(peer_base(), a->fd, EV_WRITE, dial_writable, a);
	if (a->ev == NULL || event_add(a->ev, NULL) == -1) {
		attempt_end(a);
		return -1;
	}
	d->open++;
	return 0;
}

static void
attempt_end(struct attempt *a)
{
	if (a->ev != NULL)
		event_free(a->ev);
	a->ev = NULL;
	close(a->fd);
}

static void
dial_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	uint64_t now = mono_msec();
	struct attempt *a;
	size_t i;

	(void)fd;
	(void)what;
	for (i = 0; i < BACKEND_ADDRS; i++) {
		a = &d->attempt[i];
		if (a->ev != NULL && now - a->begun >= CONNECT_TIME) {
			attempt_end(a);
			d->open--;
		}
	}
	dial_more(d);
	if (d->open == 0)
		dial_over(d, -1, 0);
}

static void
dial_writable(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *a = arg;
	struct dial *d = a->dial;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	    error == 0) {
		event_free(a->ev);
		a->ev = NULL;
		d->backend->good = a->addr;
		dial_over(d, fd, a->which);
		return;
	}
	attempt_end(a);
	d->open--;
	dial_more(d);
	if (d->open == 0)
		dial_over(d, -1, 0);
}

static void
dial_over(struct dial *d, int fd, unsigned int which)
{
	dial_cb cb = d->cb;
	void *arg = d->arg;

	dial_cancel(d);
	cb(arg, fd, which);
}

void
dial_cancel(struct dial *d)
{
	size_t i;

	for (i = 0; i < BACKEND_ADDRS; i++)
		if (d->attempt[i].ev != NULL)
			attempt_end(&d->attempt[i]);
	event_free(d->timer);
	free(d);
}
