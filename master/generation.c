/*
 * Generations of the config: the first start, reloads (PREPARE, COMMIT, new
 * workers, drain the old, FORGET), what happens when a process dies in the
 * middle of one, and the end of everything.
 */
#include <sys/types.h>
#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "peer.h"
#include "reach.h"
#include "slice.h"

#define PREPARE_TIMEOUT 5 /* s for authd and the keeper to accept a slice */
#define START_TIMEOUT   60 /* s for the new workers, or the first start */
#define DEATHS_MAX      3 /* of new workers, then the reload is undone */
#define DRAINING_MAX    4
#define SURPLUS_DRAIN   10 /* s, for a generation beyond these */
#define STOP_DRAIN      30 /* s */
#define HASHERS         2

struct generations generations = TAILQ_HEAD_INITIALIZER(generations);

static uint32_t last_gen;
static struct generation *pending; /* of a reload that is not over */
static uint64_t pending_client;
static struct event *pending_timer;

static struct generation *gen_new(struct conf *);
static void gen_free(struct generation *);
static unsigned int workers_of(const struct generation *, int);
static void tell(uint8_t, uint32_t, uint32_t);
static void commit(struct generation *);
static void start_workers(struct generation *);
static void check_ready(struct generation *);
static void make_current(struct generation *);
static void drain_old(struct generation *);
static void push_access(const struct generation *);
static void abort_reload(const char *);
static void reload_over(int, const char *);
static void on_timeout(evutil_socket_t, short, void *);
static void forget(struct generation *);
static void stop_services(void);
static int has_slice(uint8_t);
static void tell_all(uint32_t, uint32_t);

struct generation *
gen_current(void)
{
	struct generation *g;

	TAILQ_FOREACH (g, &generations, entry)
		if (g->state == GEN_CURRENT)
			return g;
	return NULL;
}

static struct generation *
gen_new(struct conf *conf)
{
	struct generation *g;

	slice_ids(conf);
	g = xcalloc(1, sizeof *g);
	g->gen = ++last_gen;
	g->conf = conf;
	reach_remember(conf);
	TAILQ_INSERT_TAIL(&generations, g, entry);
	return g;
}

static void
gen_free(struct generation *g)
{
	const struct generation *other;

	TAILQ_REMOVE(&generations, g, entry);
	slice_mark();
	TAILQ_FOREACH (other, &generations, entry)
		slice_keep(other->conf);
	slice_sweep();
	conf_free(g->conf);
	free(g);
}

/* How many workers of it live, or are READY. */
static unsigned int
workers_of(const struct generation *g, int ready)
{
	const struct proc *p;
	unsigned int n = 0;

	TAILQ_FOREACH (p, &procs, entry)
		if (p->role == ROLE_WORKER && p->gen == g && p->pid > 0 &&
		    (!ready || p->state == PROC_READY))
			n++;
	return n;
}

/* The long-lived that keep a slice of every living generation. */
static int
has_slice(uint8_t role)
{
	return role == ROLE_AUTHD || role == ROLE_KEEPER || role == ROLE_RUNNER;
}

/* Sends COMMIT or FORGET to one of them. */
static void
tell(uint8_t role, uint32_t type, uint32_t gen)
{
	struct m_gen m = {gen};
	struct proc *p;

	TAILQ_FOREACH (p, &procs, entry) {
		if (p->role != role || p->peer == NULL)
			continue;
		if (peer_send(p->peer, type, 0, &def_m_gen, &m, -1) == -1)
			proc_kill(p, "its queue is full");
		else if (type == M_COMMIT && p->committed < gen)
			p->committed = gen;
	}
}

static void
tell_all(uint32_t type, uint32_t gen)
{
	tell(ROLE_AUTHD, type, gen);
	tell(ROLE_RUNNER, type, gen);
	tell(ROLE_KEEPER, type, gen);
}

static void
set_timer(int seconds)
{
	struct timeval tv = {seconds, 0};

	if (pending_timer == NULL)
		pending_timer = evtimer_new(master.base, on_timeout, NULL);
	if (pending_timer == NULL || event_add(pending_timer, &tv) == -1)
		log_warnx("no timer");
}

/* ---- starting ---- */

int
gen_feed(struct proc *p)
{
	struct generation *g;

	if (p->role == ROLE_WORKER)
		return slice_send(p->peer, p->role, p->gen->gen, p->gen->conf);
	if (!has_slice(p->role))
		return 0;
	TAILQ_FOREACH (g, &generations, entry) {
		if (slice_send(p->peer, p->role, g->gen, g->conf) == -1)
			return -1;
		if (g->state != GEN_PREPARING)
			tell(p->role, M_COMMIT, g->gen);
	}
	/* Behind it may stand a reload that was undone. */
	if (pending == NULL && (g = gen_current()) != NULL &&
	    TAILQ_NEXT(g, entry) != NULL)
		tell(p->role, M_COMMIT, g->gen);
	return 0;
}

static int
start_one(uint8_t role, unsigned int inst, struct generation *g)
{
	struct proc *p;

	p = proc_new(role, inst, g);
	if (proc_spawn(p) == -1)
		return -1;
	return gen_feed(p);
}

int
gen_boot(struct conf *conf)
{
	struct generation *g;
	unsigned int i;

	g = gen_new(conf);
	pending = g;
	set_timer(START_TIMEOUT);
	if (start_one(ROLE_AUTHD, 0, NULL) == -1)
		return -1;
	for (i = 1; i <= HASHERS; i++)
		if (start_one(ROLE_HASHER, i, NULL) == -1)
			return -1;
	if (start_one(ROLE_RUNNER, 0, NULL) == -1 ||
	    start_one(ROLE_KEEPER, 0, NULL) == -1 ||
	    start_one(ROLE_RESOLVER, 0, NULL) == -1)
		return -1;
	/* The workers get going beside authd, which has most to do; they are
	 * introduced to it when it has accepted its slice. */
	for (i = 1; i <= conf->workers; i++)
		if (start_one(ROLE_WORKER, i, g) == -1)
			return -1;
	return 0;
}

static void
start_workers(struct generation *g)
{
	unsigned int i;

	for (i = 1; i <= g->conf->workers; i++)
		proc_later(proc_new(ROLE_WORKER, i, g));
}

/* Users and access rules hold for workers of every generation. */
static void
push_access(const struct generation *g)
{
	struct proc *p;

	TAILQ_FOREACH (p, &procs, entry)
		if (p->role == ROLE_WORKER && p->peer != NULL &&
		    slice_access(p->peer, g->conf) == -1)
			proc_kill(p, "its queue is full");
}

static void
commit(struct generation *g)
{
	g->state = GEN_STARTING;
	if (g->gen > 1)
		push_access(g);
	tell_all(M_COMMIT, g->gen);
	channel_update();
	if (g->gen > 1) {
		set_timer(START_TIMEOUT);
		start_workers(g);
	}
	check_ready(g);
}

void
gen_prepared(struct proc *p, const struct m_prepared *m)
{
	struct generation *g;
	char *why;

	TAILQ_FOREACH (g, &generations, entry)
		if (g->gen == m->gen)
			break;
	if (*m->error != '\0') {
		xasprintf(
		    &why, "%s refuses the config: %s", proc_name(p), m->error);
		if (!master.started)
			master_fail(why, 0);
		else if (g != NULL && g == pending && g->state == GEN_PREPARING)
			abort_reload(why);
		else if (g != NULL)
			proc_kill(p, why);
		free(why);
		return;
	}
	if (g == NULL || g->state != GEN_PREPARING || p->role == ROLE_WORKER)
		return;
	g->prepared |= 1u << p->role;
	if (g->prepared ==
	    (1u << ROLE_AUTHD | 1u << ROLE_KEEPER | 1u << ROLE_RUNNER))
		commit(g);
}

/* All workers of g are there, and whoever they need. */
static void
check_ready(struct generation *g)
{
	const struct proc *p;

	if (g->state != GEN_STARTING || workers_of(g, 1) < g->conf->workers)
		return;
	TAILQ_FOREACH (p, &procs, entry)
		if (p->role != ROLE_WORKER && p->state != PROC_READY)
			return;
	make_current(g);
}

void
gen_ready(struct proc *p)
{
	struct generation *g;

	if (master.stopping)
		return;
	if (p->role == ROLE_WORKER && p->gen->state == GEN_CURRENT &&
	    listen_send(p->peer, p->gen->conf) == -1)
		proc_kill(p, "it can not be given its listeners");
	g = pending;
	if (g != NULL)
		check_ready(g);
}

static void
make_current(struct generation *g)
{
	struct generation *old = gen_current();
	struct proc *p;
	char *msg;

	if (pending_timer != NULL)
		event_del(pending_timer);
	pending = NULL;
	TAILQ_FOREACH (p, &procs, entry)
		if (p->role == ROLE_WORKER && p->gen == g && p->peer != NULL &&
		    listen_send(p->peer, g->conf) == -1)
			proc_kill(p, "it can not be given its listeners");
	if (old != NULL)
		old->state = GEN_DRAINING;
	g->state = GEN_CURRENT;
	listen_keep(g->conf);
	if (old == NULL) {
		master_ready();
		return;
	}
	master_loglevel(g->conf->loglevel + (uint32_t)master.verbose);
	log_setjson(g->conf->logjson != 0);
	drain_old(g);
	xasprintf(&msg, "generation %u serves", g->gen);
	reload_over(0, msg);
	free(msg);
}

/* Every generation but g drains. One too many ends its streams at once and the
 * rest soon: longer than clients keep an idle connection for their next
 * request, which would meet its end. */
static void
drain_old(struct generation *g)
{
	struct generation *old, *next;
	struct proc *p, *pnext;
	unsigned int n = 0;

	TAILQ_FOREACH (old, &generations, entry)
		n += old->state == GEN_DRAINING;
	for (old = TAILQ_FIRST(&generations); old != NULL; old = next) {
		next = TAILQ_NEXT(old, entry);
		if (old->state != GEN_DRAINING)
			continue;
		for (p = TAILQ_FIRST(&procs); p != NULL; p = pnext) {
			pnext = TAILQ_NEXT(p, entry);
			if (p->gen != old)
				continue;
			if (p->pid <= 0)
				proc_free(p);
			else if (n > 2 * DRAINING_MAX)
				proc_drain(p, 0, 1);
			else if (n > DRAINING_MAX)
				proc_drain(p, SURPLUS_DRAIN, 1);
			else if (p->state != PROC_DRAINING &&
				 p->state != PROC_ENDING)
				proc_drain(p, g->conf->drain, 0);
		}
		if (n > DRAINING_MAX)
			n--;
		if (workers_of(old, 0) == 0)
			forget(old);
	}
}

static void
forget(struct generation *g)
{
	log_debug("generation %u is over", g->gen);
	tell_all(M_FORGET, g->gen);
	gen_free(g);
}

/* ---- reload ---- */

static void
reload_over(int failed, const char *msg)
{
	uint64_t client = pending_client;

	pending_client = 0;
	if (failed)
		log_warnx("reload: nothing is changed: %s", msg);
	else
		log_info("reload: %s", msg);
	control_done(client, failed, msg);
}

static const char *
not_now(void)
{
	const struct generation *g;
	const struct proc *p;
	unsigned int n = 0;

	if (master.stopping)
		return "mcpgwd is about to end";
	if (!master.started)
		return "mcpgwd is still starting; try again";
	if (pending != NULL)
		return "a reload is already in progress; try again";
	TAILQ_FOREACH (g, &generations, entry)
		n++;
	if (n >= MAX_GENS)
		return "too many configurations before are still in use; try "
		       "again in some seconds";
	TAILQ_FOREACH (p, &procs, entry)
		/* Its channel ends before it is reaped. */
		if (has_slice(p->role) &&
		    (p->state != PROC_READY || p->peer == NULL))
			return p->role == ROLE_AUTHD
				   ? "authd is not ready; try again"
			       : p->role == ROLE_KEEPER
				   ? "the keeper is not ready; try again"
				   : "the runner is not ready; try again";
	return NULL;
}

void
gen_reload(uint64_t client)
{
	struct generation *g;
	struct proc *p;
	struct conf *conf;
	const char *why;
	char *err;

	if ((why = not_now()) != NULL) {
		log_warnx("reload: %s", why);
		control_done(client, 1, why);
		return;
	}
	pending_client = client;
	if ((conf = reload_read(&err)) == NULL) {
		reload_over(1, err);
		free(err);
		return;
	}
	g = gen_new(conf);
	pending = g;
	set_timer(PREPARE_TIMEOUT);
	TAILQ_FOREACH (p, &procs, entry)
		if (has_slice(p->role) &&
		    slice_send(p->peer, p->role, g->gen, conf) == -1) {
			abort_reload("a slice could not be sent");
			return;
		}
}

/* Everything is as before. The long-lived hear of the old generation again, so
 * that its access rules are in force, before they forget the new one. */
static void
abort_reload(const char *why)
{
	struct generation *g = pending, *old = gen_current();
	struct proc *p, *next;

	pending = NULL;
	if (pending_timer != NULL)
		event_del(pending_timer);
	listen_undo();
	for (p = TAILQ_FIRST(&procs); p != NULL; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->gen != g)
			continue;
		if (p->pid > 0)
			proc_end(p);
		else
			proc_free(p);
	}
	if (g->state == GEN_STARTING && old != NULL) {
		tell_all(M_COMMIT, old->gen);
		push_access(old);
	}
	g->state = GEN_DRAINING;
	if (workers_of(g, 0) == 0)
		forget(g);
	reload_over(1, why);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	const struct proc *p;
	char *why;

	(void)fd, (void)what, (void)arg;
	if (pending == NULL)
		return;
	TAILQ_FOREACH (p, &procs, entry)
		if (pending->state == GEN_PREPARING
			? has_slice(p->role) &&
			      !(pending->prepared & 1u << p->role)
			: p->state == PROC_STARTING)
			break;
	xasprintf(&why, "%s did not answer in time",
	    p != NULL ? proc_name(p) : "a process");
	if (!master.started)
		master_fail(why, 0);
	else
		abort_reload(why);
	free(why);
}

/* ---- deaths ---- */

static void
worker_reaped(struct proc *p, const char *how)
{
	struct m_reaped m = {p->worker};
	struct generation *g = p->gen;
	struct proc *q;
	char *why;

	TAILQ_FOREACH (q, &procs, entry)
		if ((q->role == ROLE_AUTHD || q->role == ROLE_KEEPER) &&
		    q->peer != NULL &&
		    peer_send(q->peer, M_REAPED, 0, &def_m_reaped, &m, -1) ==
			-1)
			proc_kill(q, "its queue is full");
	if (master.stopping || g->state == GEN_DRAINING) {
		proc_free(p);
		if (!master.stopping && workers_of(g, 0) == 0)
			forget(g);
		return;
	}
	if (g == pending && ++g->deaths >= DEATHS_MAX) {
		p->state = PROC_DOWN;
		xasprintf(
		    &why, "new workers do not stay up: the last one %s", how);
		abort_reload(why);
		free(why);
		return;
	}
	proc_later(p);
}

void
gen_reaped(struct proc *p, const char *how, int said)
{
	char *why;

	if (!master.started && !master.stopping) {
		xasprintf(&why, "%s %s before it was ready%s", proc_name(p),
		    how, said ? "; syslog has its own message" : "");
		p->state = PROC_DOWN;
		master_fail(why, said);
		free(why);
	} else if (p->role == ROLE_WORKER)
		worker_reaped(p, how);
	else if (master.stopping)
		p->state = PROC_DOWN;
	else {
		/* Nobody reads what they say any more. */
		if (p->role == ROLE_RUNNER)
			spawn_end_all();
		if (pending != NULL && pending->state == GEN_PREPARING &&
		    has_slice(p->role))
			abort_reload("a process died in the middle of it");
		proc_later(p);
	}
	if (master.stopping)
		stop_services();
}

/* ---- the end ---- */

void
gen_stop(void)
{
	struct generation *g = gen_current();
	struct proc *p;
	uint32_t drain = STOP_DRAIN;

	if (pending_timer != NULL)
		event_del(pending_timer);
	if (pending != NULL && master.started)
		reload_over(1, "mcpgwd ends");
	pending = NULL;
	if (g != NULL && g->conf->drain < drain)
		drain = g->conf->drain;
	listen_close();
	TAILQ_FOREACH (p, &procs, entry) {
		if (p->role != ROLE_WORKER)
			continue;
		if (g == NULL)
			proc_end(p);
		else
			proc_drain(p, drain, 1);
	}
	stop_services();
}

/* When the last worker is gone the others are told to end; when the last of
 * them is gone so is the loop. */
void
gen_children_gone(void)
{
	if (master.stopping)
		stop_services();
}

static void
stop_services(void)
{
	struct proc *p;
	unsigned int left = 0;

	if (proc_count(ROLE_WORKER) > 0)
		return;
	TAILQ_FOREACH (p, &procs, entry) {
		if (p->pid <= 0)
			continue;
		left++;
		if (p->peer != NULL)
			proc_end(p);
	}
	/* Children have been told by the end of their input, with runner. */
	if (left == 0 && spawn_count() > 0)
		spawn_stop();
	else if (left == 0)
		event_base_loopbreak(master.base);
}
