/*
 * Which processes talk to each other. One function compares what should be
 * with what is, and makes the missing channels; it is called after anything
 * has changed.
 */
#include <sys/types.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <stdlib.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "peer.h"

struct channel {
	TAILQ_ENTRY(channel) entry;
	const struct proc *a, *b;
};

static TAILQ_HEAD(, channel) channels = TAILQ_HEAD_INITIALIZER(channels);

static struct channel *find(const struct proc *, const struct proc *);
static int wanted(const struct proc *, const struct proc *);
static int hand_out(struct proc *, const struct proc *, int);
static int make(struct proc *, struct proc *);

/* The servers of each pair, and who asks them. */
static const struct pair {
	uint8_t server, client;
} pairs[] = {
    {ROLE_AUTHD, ROLE_HASHER},
    {ROLE_KEEPER, ROLE_RESOLVER},
    {ROLE_AUTHD, ROLE_WORKER},
    {ROLE_KEEPER, ROLE_WORKER},
    {ROLE_RUNNER, ROLE_WORKER},
    {ROLE_RUNNER, ROLE_KEEPER},
};

static struct channel *
find(const struct proc *a, const struct proc *b)
{
	struct channel *c;

	TAILQ_FOREACH (c, &channels, entry)
		if ((c->a == a && c->b == b) || (c->a == b && c->b == a))
			return c;
	return NULL;
}

int
channel_exists(const struct proc *a, const struct proc *b)
{
	return find(a, b) != NULL;
}

/* A server must have a config before anybody is introduced to it, and that of
 * a worker's generation before that worker is. */
static int
wanted(const struct proc *server, const struct proc *client)
{
	uint32_t need = client->gen != NULL ? client->gen->gen : 1;

	return server->peer != NULL && client->peer != NULL &&
	       server->committed >= need;
}

/* Gives p its end of a channel to other. */
static int
hand_out(struct proc *p, const struct proc *other, int fd)
{
	const struct proc *w = p->role == ROLE_WORKER ? p : other;
	struct m_channel m;

	m.role = other->role;
	m.worker = w->role == ROLE_WORKER ? w->worker : other->inst;
	m.gen = w->gen != NULL ? w->gen->gen : 0;
	return peer_send(p->peer, M_CHANNEL, 0, &def_m_channel, &m, fd);
}

static int
make(struct proc *a, struct proc *b)
{
	struct channel *c;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		fds) == -1) {
		log_warn("socketpair");
		return -1;
	}
	if (hand_out(a, b, fds[0]) == -1) {
		close(fds[0]);
		close(fds[1]);
		proc_kill(a, "its queue is full");
		return -1;
	}
	if (hand_out(b, a, fds[1]) == -1) {
		close(fds[1]);
		proc_kill(b, "its queue is full");
		return -1;
	}
	c = xcalloc(1, sizeof *c);
	c->a = a;
	c->b = b;
	TAILQ_INSERT_TAIL(&channels, c, entry);
	return 0;
}

void
channel_update(void)
{
	struct proc *server, *client;
	size_t i;

	if (master.stopping)
		return;
	for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
		TAILQ_FOREACH (server, &procs, entry) {
			if (server->role != pairs[i].server)
				continue;
			TAILQ_FOREACH (client, &procs, entry)
				if (client->role == pairs[i].client &&
				    wanted(server, client) &&
				    find(server, client) == NULL)
					(void)make(server, client);
		}
}

void
channel_drop(const struct proc *p)
{
	struct channel *c, *next;

	for (c = TAILQ_FIRST(&channels); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->a == p || c->b == p) {
			TAILQ_REMOVE(&channels, c, entry);
			free(c);
		}
	}
}

void
channel_reset(const struct proc *a, const struct proc *b)
{
	struct channel *c;

	if ((c = find(a, b)) != NULL) {
		TAILQ_REMOVE(&channels, c, entry);
		free(c);
	}
}
