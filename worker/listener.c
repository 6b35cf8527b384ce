/*
 * Listeners.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "conn.h"
#include "files.h"
#include "listener.h"
#include "log.h"
#include "peer.h"
#include "worker.h"

#define MAX_LISTENERS 64

static void listener_accept(evutil_socket_t, short, void *);
static void listeners_set(int);
static size_t limit(void);

static struct listener {
	struct event ev;
	int fd;
	int loopback;
	struct tls_config *tls; /* NULL: plain */
} listeners[MAX_LISTENERS];
static size_t nlisteners;
static int accepting = 1;

void
listener_add(int fd, int loopback, struct tls_config *tls)
{
	struct listener *l;

	if (nlisteners == MAX_LISTENERS) {
		log_warnx("more than %d listening addresses", MAX_LISTENERS);
		close(fd);
		return;
	}
	conn_start();
	l = &listeners[nlisteners++];
	l->fd = fd;
	l->loopback = loopback;
	l->tls = tls;
	event_assign(
	    &l->ev, peer_base(), fd, EV_READ | EV_PERSIST, listener_accept, l);
	event_add(&l->ev, NULL);
}

static void
listener_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct listener *l = arg;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	(void)what;
	fd = accept4(
	    lfd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS) {
			log_warn("accept");
			listeners_set(0);
		}
		return;
	}
	conn_new(fd, &ss, l->loopback, l->tls);
	if (conn_count() >= limit() || files_scarce(fd))
		listeners_set(0);
}

/* Connections that this worker may have. */
static size_t
limit(void)
{
	size_t n;

	if (worker.conf.connections == 0)
		return SIZE_MAX;
	n = worker.conf.connections /
	    (worker.conf.workers ? worker.conf.workers : 1);
	return n ? n : 1;
}

static void
listeners_set(int on)
{
	size_t i;

	accepting = on;
	for (i = 0; i < nlisteners; i++) {
		if (listeners[i].fd == -1)
			continue;
		if (on)
			event_add(&listeners[i].ev, NULL);
		else
			event_del(&listeners[i].ev);
	}
}

void
listeners_again(void)
{
	if (!accepting && !worker.draining && conn_count() < limit() &&
	    files_room())
		listeners_set(1);
}

void
listeners_close(void)
{
	size_t i;

	for (i = 0; i < nlisteners; i++) {
		if (listeners[i].fd == -1)
			continue;
		event_del(&listeners[i].ev);
		close(listeners[i].fd);
		listeners[i].fd = -1;
	}
}
