/*
 * worker -k, the keeper: the catalog of every backend, the table of upstream
 * sessions, and the way between workers. It serves no client.
 */
#include <event2/event.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "child.h"
#include "compat.h"
#include "exposed.h"
#include "keeper.h"
#include "lease.h"
#include "spread.h"
#include "log.h"
#include "oldsse.h"
#include "master.h"
#include "priv.h"
#include "roles.h"
#include "sandbox.h"
#include "sessions.h"
#include "soft.h"
#include "whose.h"
#include "tls.h"
#include "upstream.h"
#include "worker.h"

struct link {
	LIST_ENTRY(link) entry;
	struct peer *peer;
	uint64_t catalog; /* version in use there */
};

static void on_prepare(struct peer *, uint32_t, void *, int);
static void on_conf(struct peer *, uint32_t, void *, int);
static void on_conf_backend(struct peer *, uint32_t, void *, int);
static void on_conf_endpoint(struct peer *, uint32_t, void *, int);
static void on_conf_end(struct peer *, uint32_t, void *, int);
static void on_commit(struct peer *, uint32_t, void *, int);
static void on_forget(struct peer *, uint32_t, void *, int);
static void on_channel(struct peer *, uint32_t, void *, int);
static void on_reaped(struct peer *, uint32_t, void *, int);
static void on_ctl(struct peer *, uint32_t, void *, int);
static void on_lease(struct peer *, uint32_t, void *, int);
static void on_put(struct peer *, uint32_t, void *, int);
static void on_fail(struct peer *, uint32_t, void *, int);
static void on_end(struct peer *, uint32_t, void *, int);
static void on_trouble(struct peer *, uint32_t, void *, int);
static void on_count(struct peer *, uint32_t, void *, int);
static void on_class(struct peer *, uint32_t, void *, int);
static void on_relay(struct peer *, uint32_t, void *, int);
static void on_relay_fd(struct peer *, uint32_t, void *, int);
static void is_old(void *, uint32_t, const char *, const char *);
static void tell_old(
    const uint8_t *, uint32_t, const struct msgdef *, const void *);
static void on_ack(struct peer *, uint32_t, void *, int);
static void on_claim(struct peer *, uint32_t, void *, int);
static void on_unclaim(struct peer *, uint32_t, void *, int);
static void on_lists(struct peer *, uint32_t, void *, int);
static void on_level(struct peer *, uint32_t, void *, int);
static void on_subscribe(struct peer *, uint32_t, void *, int);
static void on_remind(struct peer *, uint32_t, void *, int);
static void on_link(struct peer *, uint32_t, void *, int);
static void on_whose(struct peer *, uint32_t, void *, int);
static void on_roots(struct peer *, uint32_t, void *, int);
static void on_resume(struct peer *, uint32_t, void *, int);
static struct peer *link_find(uint64_t);
static void on_addrs(struct peer *, uint32_t, void *, int);
static void keeper_acked(void);
static void worker_gone(struct peer *);
static void worker_bad(struct peer *, const char *);
static void resolver_gone(struct peer *);
static void on_tick(evutil_socket_t, short, void *);

static const struct peer_rule master_rules[] = {
    {M_PREPARE, &def_m_gen, PEER_ANY, 0, on_prepare},
    {M_CONF_KEEPER, &def_conf_keeper, PEER_ANY, 0, on_conf},
    {M_CONF_BACKEND, &def_conf_backend, PEER_ANY, 0, on_conf_backend},
    {M_CONF_ENDPOINT, &def_conf_endpoint, PEER_ANY, 0, on_conf_endpoint},
    {M_CONF_END, &def_m_gen, PEER_ANY, 0, on_conf_end},
    {M_COMMIT, &def_m_gen, PEER_ANY, 0, on_commit},
    {M_FORGET, &def_m_gen, PEER_ANY, 0, on_forget},
    {M_CHANNEL, &def_m_channel, PEER_ANY, 1, on_channel},
    {M_REAPED, &def_m_reaped, PEER_ANY, 0, on_reaped},
    {M_LOGLEVEL, &def_m_loglevel, PEER_ANY, 0, master_loglevel},
    {M_CTL, &def_ctl_req, PEER_ANY, 0, on_ctl},
};
static const struct peer_rule worker_rules[] = {
    {K_ACK, &def_k_catalog, PEER_ANY, 0, on_ack},
    {K_CLASS, &def_k_class, PEER_ANY, 0, on_class},
    {K_LEASE, &def_k_lease, PEER_ANY, 0, on_lease},
    {K_PUT, &def_k_lease, PEER_ANY, 0, on_put},
    {K_FAIL, &def_k_lease, PEER_ANY, 0, on_fail},
    {K_END, &def_k_end, PEER_ANY, 0, on_end},
    {K_TROUBLE, &def_k_trouble, PEER_ANY, 0, on_trouble},
    {K_COUNT, &def_k_count, PEER_ANY, 0, on_count},
    {K_RELAY, &def_k_relay, PEER_ANY, 0, on_relay},
    {K_RELAY_FD, &def_k_relay, PEER_ANY, 1, on_relay_fd},
    {K_CLAIM, &def_k_claim, PEER_ANY, 0, on_claim},
    {K_UNCLAIM, &def_k_claim, PEER_ANY, 0, on_unclaim},
    {K_LISTS, &def_k_trouble, PEER_ANY, 0, on_lists},
    {K_LEVEL, &def_k_soft, PEER_ANY, 0, on_level},
    {K_SUBSCRIBE, &def_k_soft, PEER_ANY, 0, on_subscribe},
    {K_REMIND, &def_k_soft, PEER_ANY, 0, on_remind},
    {K_LINK, &def_k_soft, PEER_ANY, 0, on_link},
    {K_WHOSE, &def_k_soft, PEER_ANY, 0, on_whose},
    {K_ROOTS, &def_k_end, PEER_ANY, 0, on_roots},
    {K_RESUME, &def_k_resume, PEER_ANY, 0, on_resume},
};
static const struct peer_rule resolver_rules[] = {
    {R_ADDRS, &def_k_addrs, PEER_ANY, 0, on_addrs},
};
static const struct peer_class worker_class = {"worker", worker_rules,
    sizeof(worker_rules) / sizeof(worker_rules[0]), 1, worker_gone, worker_bad};
static const struct peer_class resolver_class = {
    "resolver", resolver_rules, 1, 0, resolver_gone, NULL};

static LIST_HEAD(, link) links = LIST_HEAD_INITIALIZER(links);
static struct peer *resolver;
static uint32_t preparing; /* generation whose slice is coming */
static uint64_t told; /* catalog whose changes clients know of */

void
keeper_main(const struct m_start *start)
{
	struct timeval tv = {1, 0};
	struct event *tick;

	tls_init();
	priv_drop(start);
	master_open(
	    master_rules, sizeof(master_rules) / sizeof(master_rules[0]));
	tick = event_new(peer_base(), -1, EV_PERSIST, on_tick, NULL);
	if (tick == NULL)
		fatalx("out of memory");
	event_add(tick, &tv);
	sandbox_keeper();
	master_ready();
	event_base_dispatch(peer_base());
	fatalx("event loop ended");
}

static void
on_prepare(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	preparing = ((struct m_gen *)msg)->gen;
}

static void
on_conf(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	exposed_conf(preparing, msg);
}

static void
on_conf_backend(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	exposed_backend(preparing, ((struct conf_backend *)msg)->id);
	shelf_add(preparing, msg);
}

static void
on_conf_endpoint(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	exposed_endpoint(preparing, msg);
}

static void
on_conf_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)msg;
	(void)fd;
	master_prepared(preparing, NULL);
}

static void
on_commit(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	exposed_commit(((struct m_gen *)msg)->gen);
	shelf_commit(((struct m_gen *)msg)->gen);
}

static void
on_forget(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	exposed_forget(((struct m_gen *)msg)->gen);
	shelf_forget(((struct m_gen *)msg)->gen);
}

static void
on_channel(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_channel *m = msg;
	struct link *l;

	(void)p;
	(void)id;
	if (m->role == ROLE_RESOLVER) {
		if (resolver != NULL)
			peer_free(resolver);
		resolver =
		    peer_new(fd, &resolver_class, ROLE_RESOLVER, 0, 0, NULL);
		shelf_unresolved();
		return;
	}
	if (m->role == ROLE_RUNNER) {
		stdio_onlook(shelf_look);
		stdio_channel(fd);
		shelf_runner();
		return;
	}
	if (m->role != ROLE_WORKER || (l = calloc(1, sizeof(*l))) == NULL) {
		log_warnx("a channel to %s was refused", role_name(m->role));
		close(fd);
		return;
	}
	l->peer =
	    peer_new(fd, &worker_class, ROLE_WORKER, m->worker, m->gen, l);
	if (l->peer == NULL) {
		free(l);
		return;
	}
	LIST_INSERT_HEAD(&links, l, entry);
	shelf_greet(l->peer);
	soft_greet(l->peer);
}

static void
worker_gone(struct peer *p)
{
	struct link *l = peer_ctx(p);

	lease_gone(p);
	soft_gone(p);
	whose_gone(p);
	level_gone(p);
	LIST_REMOVE(l, entry);
	free(l);
	keeper_acked();
}

static void
worker_bad(struct peer *p, const char *why)
{
	master_badpeer(ROLE_WORKER, peer_id(p), why);
}

static void
resolver_gone(struct peer *p)
{
	if (p == resolver)
		resolver = NULL;
}

/* The end of its channel has said so already. */
static void
on_reaped(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)msg;
	(void)fd;
}

static void
on_lease(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)fd;
	lease_ask(p, id, msg);
}

static void
on_put(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id;
	(void)fd;
	lease_put(p, msg);
}

static void
on_fail(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id;
	(void)fd;
	lease_fail(p, msg);
}

static void
on_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	lease_end(((struct k_end *)msg)->nonce, 0);
	soft_end(((struct k_end *)msg)->nonce);
	whose_end(((struct k_end *)msg)->nonce);
}

static void
on_trouble(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_trouble *m = msg;

	(void)p;
	(void)id;
	(void)fd;
	shelf_trouble(m->backend, m->unreachable);
}

static void
on_count(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	shelf_count(msg);
}

static void
on_class(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	shelf_class(((struct k_class *)msg)->class);
}

static void
on_ack(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct link *l = peer_ctx(p);

	(void)id;
	(void)fd;
	l->catalog = ((struct k_catalog *)msg)->version;
	keeper_acked();
}

/* Clients are told of a change once no worker can show them the old lists. */
static void
keeper_acked(void)
{
	struct k_catalog m = {shelf_version(), 0};
	struct link *l;

	if (told == m.version)
		return;
	LIST_FOREACH (l, &links, entry)
		if (l->catalog < m.version)
			return;
	told = m.version;
	keeper_all(K_CHANGED, &def_k_catalog, &m, -1);
}

static void
on_claim(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_claim *m = msg;

	(void)id;
	(void)fd;
	soft_claim(p, m);
	lease_claimed(m->nonce);
}

static void
on_unclaim(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id;
	(void)fd;
	soft_unclaim(p, msg);
}

static void
on_lists(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	shelf_lists(((struct k_trouble *)msg)->backend);
}

static void
on_level(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)fd;
	soft_level(msg);
	keeper_all(K_LEVEL, &def_k_soft, msg, -1);
	level_spread(p, id, msg);
}

static void
is_old(void *arg, uint32_t backend, const char *session, const char *revision)
{
	int *old = arg;

	(void)backend;
	(void)revision;
	*old |= oldsse_is(session);
}

/* Sessions that can not be reached from here: each worker tells its own. */
static void
tell_old(const uint8_t *nonce, uint32_t type, const struct msgdef *def,
    const void *msg)
{
	int old = 0;

	lease_each(nonce, is_old, &old);
	if (old)
		keeper_all(type, def, msg, -1);
}

static void
on_subscribe(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	soft_subscribe(msg);
	keeper_all(K_SUBSCRIBE, &def_k_soft, msg, -1);
}

static void
on_remind(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	soft_reminded(msg);
}

static void
on_link(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	whose_named(msg);
}

static void
on_whose(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)fd;
	whose_ask(p, id, msg);
}

static void
on_roots(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	roots_spread(((struct k_end *)msg)->nonce);
	tell_old(((struct k_end *)msg)->nonce, K_ROOTS, &def_k_end, msg);
}

static struct peer *
link_find(uint64_t wid)
{
	struct link *l;

	LIST_FOREACH (l, &links, entry)
		if (peer_id(l->peer) == wid)
			return l->peer;
	return NULL;
}

/* A pair of sockets between two workers: bulk does not go through here. */
static void
on_resume(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_resume *m = msg;
	struct peer *other = link_find(m->worker);
	int sv[2];

	(void)fd;
	if (other == NULL ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		sv) == -1) {
		(void)peer_send(p, K_NOPIPE, id, NULL, NULL, -1);
		return;
	}
	if (peer_send(other, K_RESUME, 0, &def_k_resume, m, sv[0]) == -1) {
		close(sv[0]);
		close(sv[1]);
		(void)peer_send(p, K_NOPIPE, id, NULL, NULL, -1);
	} else if (peer_send(p, K_PIPE, id, NULL, NULL, sv[1]) == -1)
		close(sv[1]);
}

/* To the worker it names, or to all others. */
static void
on_relay(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_relay *m = msg;
	struct link *l;

	(void)id;
	(void)fd;
	LIST_FOREACH (l, &links, entry)
		if (l->peer != p &&
		    (m->worker == 0 || m->worker == peer_id(l->peer)))
			(void)peer_send(
			    l->peer, K_RELAY, 0, &def_k_relay, m, -1);
}

static void
on_relay_fd(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_relay *m = msg;
	struct peer *other = link_find(m->worker);

	(void)p;
	(void)id;
	if (other == NULL ||
	    peer_send(other, K_RELAY_FD, 0, &def_k_relay, m, fd) == -1)
		close(fd);
}

static void
on_addrs(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	shelf_addrs(msg);
}

void
keeper_all(uint32_t type, const struct msgdef *def, const void *msg, int fd)
{
	struct link *l;
	int copy = -1;

	LIST_FOREACH (l, &links, entry) {
		if (fd != -1 && (copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1) {
			log_warn("catalog");
			return;
		}
		if (peer_send(l->peer, type, 0, def, msg, copy) == -1 &&
		    copy != -1)
			close(copy);
	}
}

int
keeper_resolve(const struct r_resolve *r)
{
	return resolver == NULL
		   ? -1
		   : peer_send(resolver, R_RESOLVE, 0, &def_r_resolve, r, -1);
}

static void
on_ctl(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct ctl_req *c = msg;
	const char *backend = c->args.n > 0 ? c->args.v[0] : NULL;

	(void)p;
	(void)fd;
	switch (c->verb) {
	case CTL_SHOW_BACKENDS:
		shelf_show(id);
		master_end(id, 0, "");
		break;
	case CTL_SHOW_TOOLS:
		exposed_show(id, backend);
		break;
	case CTL_SHOW_SESSIONS:
		sessions_show(id, backend);
		break;
	default:
		master_end(id, 1, "the keeper does not do that");
		break;
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	upstream_tick();
	oldsse_tick();
	lease_tick();
	shelf_tick();
	soft_tick();
	whose_tick();
}
