/*
 * Listening sockets: one per address, bound here and shared by the workers of
 * all generations.
 */
#include <sys/types.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "peer.h"
#include "slice.h"

#define BACKLOG 4096

struct listener {
	TAILQ_ENTRY(listener) entry;
	struct conf_addr addr;
	int fd;
	int fresh; /* of the listen_open that is not decided yet */
	int keep;
};

static TAILQ_HEAD(, listener) listeners = TAILQ_HEAD_INITIALIZER(listeners);

static struct listener *find(const struct conf_addr *);
static int bind_one(const struct conf_addr *);
static int open_one(const struct conf_addr *);
static void drop(struct listener *);
static int have_port(const struct conf_listen *);
static unsigned int port_of(const struct conf_addr *);
static const char *advice(int, const struct conf_listen *);

static struct listener *
find(const struct conf_addr *a)
{
	struct listener *ln;

	TAILQ_FOREACH (ln, &listeners, entry)
		if (ln->addr.len == a->len &&
		    memcmp(&ln->addr.ss, &a->ss, a->len) == 0)
			return ln;
	return NULL;
}

static void
drop(struct listener *ln)
{
	TAILQ_REMOVE(&listeners, ln, entry);
	close(ln->fd);
	free(ln);
}

static int
bind_one(const struct conf_addr *a)
{
	int fd, on = 1, saved;

	fd = socket(
	    a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    (a->ss.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) ==
		    -1) ||
	    bind(fd, (const struct sockaddr *)&a->ss, a->len) == -1 ||
	    listen(fd, BACKLOG) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* 0 if it is bound now. */
static int
open_one(const struct conf_addr *a)
{
	struct listener *ln;
	int fd;

	if (find(a) != NULL)
		return 0;
	if ((fd = bind_one(a)) == -1)
		return -1;
	ln = xcalloc(1, sizeof *ln);
	ln->addr = *a;
	ln->fd = fd;
	ln->fresh = 1;
	TAILQ_INSERT_TAIL(&listeners, ln, entry);
	return 0;
}

/* A machine without IPv6 can still serve "localhost" and "*". */
static int
absent(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* Nobody could bind the wider address while the narrower one listens, or the
 * other way about. */
static int
have_port(const struct conf_listen *cl)
{
	const struct listener *ln;

	TAILQ_FOREACH (ln, &listeners, entry)
		if (!ln->fresh && port_of(&ln->addr) == cl->port)
			return 1;
	return 0;
}

static unsigned int
port_of(const struct conf_addr *a)
{
	const struct sockaddr_in6 *six = (const void *)&a->ss;
	const struct sockaddr_in *sin = (const void *)&a->ss;

	return ntohs(
	    a->ss.ss_family == AF_INET6 ? six->sin6_port : sin->sin_port);
}

static const char *
advice(int error, const struct conf_listen *cl)
{
	switch (error) {
	case EADDRINUSE:
		if (have_port(cl))
			return " (mcpgwd itself listens at this port, and its "
			       "address can not be changed while it runs: "
			       "start it anew, or take another port)";
		return " (is another mcpgwd running? see who has it with: "
		       "ss -ltnp)";
	case EACCES:
		return " (ports below 1024 need root)";
	case EADDRNOTAVAIL:
		return " (no interface has this address)";
	default:
		return "";
	}
}

int
listen_open(const struct conf *c, struct strv *err)
{
	const struct conf_listen *cl;
	char *msg;
	size_t i, bound;
	int error;

	TAILQ_FOREACH (cl, &c->listens, entry) {
		bound = 0;
		error = 0;
		for (i = 0; i < cl->naddr; i++) {
			if (open_one(&cl->addr[i]) == 0)
				bound++;
			else if (error == 0 || !absent(errno))
				error = errno;
		}
		if (bound == cl->naddr || (bound > 0 && absent(error)))
			continue;
		xasprintf(&msg, "%s:%d: listen: %s: %s%s", cl->pos.file,
		    cl->pos.line, cl->text, strerror(error), advice(error, cl));
		(void)strv_add(err, msg);
		free(msg);
		listen_undo();
		return -1;
	}
	return 0;
}

void
listen_undo(void)
{
	struct listener *ln, *next;

	for (ln = TAILQ_FIRST(&listeners); ln != NULL; ln = next) {
		next = TAILQ_NEXT(ln, entry);
		if (ln->fresh)
			drop(ln);
	}
}

void
listen_keep(const struct conf *c)
{
	const struct conf_listen *cl;
	struct listener *ln, *next;
	size_t i;

	TAILQ_FOREACH (ln, &listeners, entry)
		ln->fresh = ln->keep = 0;
	TAILQ_FOREACH (cl, &c->listens, entry)
		for (i = 0; i < cl->naddr; i++)
			if ((ln = find(&cl->addr[i])) != NULL)
				ln->keep = 1;
	for (ln = TAILQ_FIRST(&listeners); ln != NULL; ln = next) {
		next = TAILQ_NEXT(ln, entry);
		if (!ln->keep)
			drop(ln);
	}
}

int
listen_send(struct peer *peer, const struct conf *c)
{
	const struct conf_listen *cl;
	struct listener *ln;
	struct m_listener m;
	size_t i;
	int fd;

	TAILQ_FOREACH (ln, &listeners, entry)
		ln->keep = 0;
	TAILQ_FOREACH (cl, &c->listens, entry) {
		m.loopback = cl->loopback;
		m.port = cl->port;
		m.address = cl->text;
		m.tls = slice_tls(c, cl);
		for (i = 0; i < cl->naddr; i++) {
			if ((ln = find(&cl->addr[i])) == NULL || ln->keep)
				continue;
			ln->keep = 1;
			if ((fd = fcntl(ln->fd, F_DUPFD_CLOEXEC, 0)) == -1) {
				log_warn("listener %s", cl->text);
				return -1;
			}
			if (peer_send(peer, M_LISTENER, 0, &def_m_listener, &m,
				fd) == -1) {
				close(fd);
				return -1;
			}
		}
	}
	return 0;
}

void
listen_close(void)
{
	struct listener *ln;

	while ((ln = TAILQ_FIRST(&listeners)) != NULL)
		drop(ln);
}
