/*
 * runner: stdin, stdout and stderr of stdio children. It starts none itself:
 * it asks master, by the id of a backend.
 */
#include <event2/event.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "memfd.h"
#include "priv.h"
#include "runner.h"
#include "sandbox.h"

/*
 * A peer that does not read what it is sent holds up the children that speak
 * to it, others not; after HOLD_TIME those neither, for they may be shared:
 * then it loses progress and log lines, and answers once its queue is full
 * (PEER_QUEUE_MAX), of which it hears when it reads again. After REPORT_TIME
 * master ends it.
 */
#define QUEUE_HIGH  (512 * 1024)
#define QUEUE_LOW   (128 * 1024)
#define FAR_HIGH    (64 * 1024 * 1024) /* in descriptors that are queued */
#define HOLD_TIME   1000 /* ms */
#define REPORT_TIME 5000 /* ms */
#define RECHECK     2 /* ms */

extern char **environ;

struct link {
	LIST_ENTRY(link) entry;
	struct peer *peer;
	uint64_t slow; /* ms: since when it does not read; 0: it does */
	uint64_t reported; /* ms */
	size_t far; /* bytes in descriptors since its queue was empty */
};

static void on_prepare(struct peer *, uint32_t, void *, int);
static void on_stdio(struct peer *, uint32_t, void *, int);
static void on_end(struct peer *, uint32_t, void *, int);
static void on_commit(struct peer *, uint32_t, void *, int);
static void on_forget(struct peer *, uint32_t, void *, int);
static void on_channel(struct peer *, uint32_t, void *, int);
static void on_loglevel(struct peer *, uint32_t, void *, int);
static void on_ctl(struct peer *, uint32_t, void *, int);
static void on_child(struct peer *, uint32_t, void *, int);
static void on_child_log(struct peer *, uint32_t, void *, int);
static void on_exited(struct peer *, uint32_t, void *, int);
static void on_open(struct peer *, uint32_t, void *, int);
static void on_send(struct peer *, uint32_t, void *, int);
static void on_send_fd(struct peer *, uint32_t, void *, int);
static void on_cancel(struct peer *, uint32_t, void *, int);
static void master_gone(struct peer *);
static void link_gone(struct peer *);
static void link_bad(struct peer *, const char *);
static void on_tick(evutil_socket_t, short, void *);
static int link_full(const struct link *);
static int link_reads(struct link *, uint64_t);
static void on_recheck(evutil_socket_t, short, void *);

static const struct peer_rule master_rules[] = {
    {M_PREPARE, &def_m_gen, PEER_ANY, 0, on_prepare},
    {M_CONF_STDIO, &def_conf_stdio, PEER_ANY, 0, on_stdio},
    {M_CONF_END, &def_m_gen, PEER_ANY, 0, on_end},
    {M_COMMIT, &def_m_gen, PEER_ANY, 0, on_commit},
    {M_FORGET, &def_m_gen, PEER_ANY, 0, on_forget},
    {M_CHANNEL, &def_m_channel, PEER_ANY, 1, on_channel},
    {M_LOGLEVEL, &def_m_loglevel, PEER_ANY, 0, on_loglevel},
    {M_CTL, &def_ctl_req, PEER_ANY, 0, on_ctl},
    {M_CHILD, &def_m_child, PEER_ANY, 1, on_child},
    {M_CHILD_LOG, &def_m_child, PEER_ANY, 1, on_child_log},
    {M_EXITED, &def_m_exited, PEER_ANY, 0, on_exited},
};
static const struct peer_rule link_rules[] = {
    {N_OPEN, &def_n_open, PEER_ANY, 0, on_open},
    {N_SEND, &def_n_send, PEER_ANY, 0, on_send},
    {N_SEND_FD, &def_n_send, PEER_ANY, 1, on_send_fd},
    {N_CANCEL, NULL, PEER_ANY, 0, on_cancel},
};
static const struct peer_class master_class = {"master", master_rules,
    sizeof(master_rules) / sizeof(master_rules[0]), 1, master_gone, NULL};
static const struct peer_class link_class = {"worker", link_rules,
    sizeof(link_rules) / sizeof(link_rules[0]), 1, link_gone, link_bad};

static LIST_HEAD(, link) links = LIST_HEAD_INITIALIZER(links);
static struct peer *master;
static struct event *recheck;
static uint32_t preparing; /* generation whose slice is coming */

/* ---- config ---- */

static void
on_prepare(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	preparing = ((const struct m_gen *)msg)->gen;
}

static void
on_stdio(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	backend_add(preparing, msg);
}

static void
on_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_prepared m;
	char none[] = "";

	(void)msg, (void)fd;
	m.gen = preparing;
	m.error = none;
	/* When master is gone its own event says so. */
	if (peer_send(p, M_PREPARED, id, &def_m_prepared, &m, -1) == -1 &&
	    errno != EPIPE)
		fatalx("master does not read");
}

static void
on_commit(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	backend_commit(((const struct m_gen *)msg)->gen);
}

static void
on_forget(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	backend_forget(((const struct m_gen *)msg)->gen);
}

static void
on_loglevel(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_loglevel *m = msg;

	(void)p, (void)id, (void)fd;
	if (m->level <= LOG_L_DEBUG)
		log_setlevel((enum log_level)m->level);
}

static void
on_ctl(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)fd;
	backend_ctl(id, msg);
}

/* ---- children, by way of master ---- */

int
master_spawn(uint32_t backend, uint64_t child)
{
	struct m_spawn m = {backend, child};

	return peer_send(master, M_SPAWN, 0, &def_m_spawn, &m, -1);
}

void
master_kill(uint64_t child, int hard)
{
	struct m_child_kill m = {child, hard != 0};

	if (peer_send(master, M_CHILD_KILL, 0, &def_m_child_kill, &m, -1) == -1)
		fatalx("master does not read");
}

static void
on_child(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_child *m = msg;

	(void)p, (void)id;
	child_io(m->child, m->pid, m->uid, fd);
}

static void
on_child_log(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id;
	child_err(((const struct m_child *)msg)->child, fd);
}

static void
on_exited(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_exited *m = msg;

	(void)p, (void)id, (void)fd;
	child_exited(m->child, m->status, m->error);
}

/* ---- mcpgwctl, by way of master ---- */

void
master_row(uint32_t id, ...)
{
	struct ctl_row row;
	const char *name, *value;
	va_list ap;

	memset(&row, 0, sizeof(row));
	va_start(ap, id);
	while ((name = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		if (strv_add(&row.names, name) == -1 ||
		    strv_add(&row.values, value != NULL ? value : "") == -1)
			break;
	}
	va_end(ap);
	if (row.names.n == row.values.n)
		(void)peer_send(master, M_CTL_ROW, id, &def_ctl_row, &row, -1);
	wire_free(&def_ctl_row, &row);
}

void
master_end(uint32_t id, int failed, const char *message)
{
	struct ctl_end m;
	char text[512];

	(void)strlcpy(text, message, sizeof(text));
	m.failed = failed != 0;
	m.message = text;
	(void)peer_send(master, M_CTL_END, id, &def_ctl_end, &m, -1);
}

/* ---- workers and the keeper ---- */

int
is_keeper(const struct peer *p)
{
	return peer_role(p) == ROLE_KEEPER;
}

void
runner_look(uint32_t backend)
{
	struct link *l;

	/* One that is lost is made good by its own looks, later. */
	LIST_FOREACH (l, &links, entry)
		if (is_keeper(l->peer))
			(void)peer_send(
			    l->peer, N_LOOK, backend, NULL, NULL, -1);
}

static void
on_channel(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_channel *m = msg;
	struct link *l;

	(void)p, (void)id;
	if ((m->role != ROLE_WORKER && m->role != ROLE_KEEPER) ||
	    (l = calloc(1, sizeof(*l))) == NULL) {
		log_warnx("a channel to %s was refused", role_name(m->role));
		close(fd);
		return;
	}
	l->peer = peer_new(fd, &link_class, m->role, m->worker, m->gen, l);
	if (l->peer == NULL) {
		free(l);
		return;
	}
	LIST_INSERT_HEAD(&links, l, entry);
}

static void
link_gone(struct peer *p)
{
	struct link *l = peer_ctx(p);

	sessions_gone(p);
	exchanges_gone(p);
	LIST_REMOVE(l, entry);
	pipes_release(p);
	free(l);
}

static void
link_bad(struct peer *p, const char *why)
{
	struct m_badpeer m;
	char text[256];

	(void)strlcpy(text, why, sizeof(text));
	m.role = peer_role(p);
	m.worker = peer_id(p);
	m.why = text;
	(void)peer_send(master, M_BADPEER, 0, &def_m_badpeer, &m, -1);
}

static void
on_open(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)fd;
	session_open(p, id, msg);
}

static void
on_send(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_send *m = msg;

	(void)fd;
	exchange_send(p, id, m, (const char *)m->body.p, m->body.len);
}

static void
on_send_fd(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_send *m = msg;
	struct n_done done;
	char why[] = "can not be asked: its body is lost";
	char *body = NULL;

	if (m->size <= N_BODY)
		body = memfd_take(fd, m->size);
	close(fd);
	if (body == NULL) {
		done.end = N_END_BUSY;
		done.why = why;
		(void)peer_send(p, N_DONE, id, &def_n_done, &done, -1);
		return;
	}
	exchange_send(p, id, m, body, m->size);
	freezero(body, m->size);
}

static void
on_cancel(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)msg, (void)fd;
	session_cancel(p, id);
	exchange_cancel(p, id);
}

/* ---- peers that do not read ---- */

static int
link_full(const struct link *l)
{
	return peer_queued(l->peer) >= QUEUE_HIGH || l->far >= FAR_HIGH;
}

void
runner_far(struct peer *p, size_t len)
{
	struct link *l = peer_ctx(p);

	if (peer_queued(p) == 0)
		l->far = 0;
	l->far += len;
}

void
runner_sent(struct peer *p, struct child *c)
{
	struct timeval tv = {0, RECHECK * 1000};
	struct link *l = peer_ctx(p);

	if (l->slow == 0 && !link_full(l))
		return;
	if (l->slow == 0) {
		l->slow = mono_msec();
		event_add(recheck, &tv);
	}
	if (c != NULL && !runner_deaf(p))
		pipe_hold(c, p);
}

int
runner_deaf(const struct peer *p)
{
	const struct link *l = peer_ctx(p);

	return l->slow != 0 && mono_msec() - l->slow >= HOLD_TIME;
}

static int
link_reads(struct link *l, uint64_t now)
{
	size_t queued = peer_queued(l->peer);

	if (queued == 0)
		l->far = 0;
	if (queued <= QUEUE_LOW && l->far < FAR_HIGH &&
	    !exchanges_owed(l->peer) && !openers_owed(l->peer)) {
		l->slow = 0;
		return 1;
	}
	if (now - l->slow >= REPORT_TIME && now - l->reported >= REPORT_TIME) {
		link_bad(l->peer, "does not read");
		l->reported = now;
	}
	return 0;
}

static void
on_recheck(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {0, RECHECK * 1000};
	uint64_t now = mono_msec();
	struct link *l;
	int slow = 0;

	(void)fd, (void)what, (void)arg;
	LIST_FOREACH (l, &links, entry) {
		if (l->slow == 0)
			continue;
		if (link_reads(l, now) || runner_deaf(l->peer))
			pipes_release(l->peer);
		slow |= l->slow != 0;
	}
	if (slow)
		event_add(recheck, &tv);
}

/* ---- life ---- */

/* Children end with the descriptors that we have of them, and by master. */
static void
master_gone(struct peer *p)
{
	(void)p;
	exit(0);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	backend_tick(mono_msec());
}

int
main(int argc, char *argv[])
{
	struct timeval tv = {1, 0};
	struct event_base *base;
	struct event *tick;
	struct m_start start;

	if (argc != 1) {
		fprintf(stderr, "usage: runner\nstarted by mcpgwd only\n");
		return 2;
	}
	log_init("runner", 1);
	setproctitle_init(argc, argv, environ);
	priv_boot(&start, ROLE_RUNNER);
	priv_drop(&start);
	setproctitle("%s", "stdio servers");
	if ((base = event_base_new()) == NULL)
		fatalx("can not make an event loop");
	peer_setbase(base);
	tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	recheck = event_new(base, -1, 0, on_recheck, NULL);
	if (tick == NULL || recheck == NULL || event_add(tick, &tv) == -1)
		fatalx("out of memory");
	master =
	    peer_new(PROTO_CONTROL_FD, &master_class, ROLE_MASTER, 0, 0, NULL);
	if (master == NULL ||
	    peer_send(master, M_READY, 0, NULL, NULL, -1) == -1)
		fatalx("no control channel");
	sandbox_runner();
	event_base_dispatch(base);
	fatalx("event loop ended");
}
