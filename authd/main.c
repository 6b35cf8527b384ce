/*
 * authd: owns users, clients, grants and keys, and answers workers about them;
 * with -p, a password hasher.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authd.h"
#include "compat.h"
#include "log.h"
#include "peer.h"
#include "priv.h"
#include "sandbox.h"

#define TICK_MS    1000
#define EXPIRE_MAX 500
#define CLOCK_IDLE 3600

static struct peer *master;
static struct loop_timer *ticker;

static void on_channel(struct peer *, uint32_t, void *, int);
static void on_prepare(struct peer *, uint32_t, void *, int);
static void on_auth(struct peer *, uint32_t, void *, int);
static void on_endpoint(struct peer *, uint32_t, void *, int);
static void on_end(struct peer *, uint32_t, void *, int);
static void on_commit(struct peer *, uint32_t, void *, int);
static void on_forget(struct peer *, uint32_t, void *, int);
static void on_reaped(struct peer *, uint32_t, void *, int);
static void on_loglevel(struct peer *, uint32_t, void *, int);
static void on_ctl(struct peer *, uint32_t, void *, int);
static void on_gone(struct peer *);
static void tick(void);

static const struct peer_rule rules[] = {
    {M_CHANNEL, &def_m_channel, PEER_ANY, 1, on_channel},
    {M_PREPARE, &def_m_gen, PEER_ANY, 0, on_prepare},
    {M_CONF_AUTH, &def_conf_auth, PEER_ANY, 0, on_auth},
    {M_CONF_ENDPOINT, &def_conf_endpoint, PEER_ANY, 0, on_endpoint},
    {M_CONF_END, &def_m_gen, PEER_ANY, 0, on_end},
    {M_COMMIT, &def_m_gen, PEER_ANY, 0, on_commit},
    {M_FORGET, &def_m_gen, PEER_ANY, 0, on_forget},
    {M_REAPED, &def_m_reaped, PEER_ANY, 0, on_reaped},
    {M_LOGLEVEL, &def_m_loglevel, PEER_ANY, 0, on_loglevel},
    {M_CTL, &def_ctl_req, PEER_ANY, 0, on_ctl},
};
static const struct peer_class class = {
    .name = "master",
    .rules = rules,
    .nrules = sizeof(rules) / sizeof(rules[0]),
    .fdpass = 1,
    .gone = on_gone,
};

struct peer *
master_peer(void)
{
	return master;
}

static void
on_channel(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_channel *m = msg;

	(void)p;
	(void)id;
	switch (m->role) {
	case ROLE_WORKER:
		worker_channel(m->worker, m->gen, fd);
		break;
	case ROLE_HASHER:
		hashq_channel(fd);
		break;
	default:
		log_warnx("a channel to %s is not wanted", role_name(m->role));
		close(fd);
	}
}

static void
on_prepare(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	conf_prepare(((const struct m_gen *)msg)->gen);
}

static void
on_auth(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	conf_auth(msg);
}

static void
on_endpoint(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	conf_endpoint(msg);
}

static void
on_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_gen *m = msg;
	struct m_prepared ans;
	const char *error;

	(void)fd;
	memset(&ans, 0, sizeof(ans));
	ans.gen = m->gen;
	error = conf_end(m->gen);
	ans.error = xstrdup(error != NULL ? error : "");
	/* When master is gone on_gone follows. */
	if (peer_send(p, M_PREPARED, id, &def_m_prepared, &ans, -1) == -1 &&
	    errno != EPIPE)
		fatalx("master does not read");
	wire_free(&def_m_prepared, &ans);
}

static void
on_commit(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	conf_commit(((const struct m_gen *)msg)->gen);
	workers_open();
	loop_timer_set(ticker, TICK_MS);
}

static void
on_forget(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	conf_forget(((const struct m_gen *)msg)->gen);
}

static void
on_reaped(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	worker_reaped(((const struct m_reaped *)msg)->worker);
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
	ctl_request(id, msg);
}

static void
on_gone(struct peer *p)
{
	(void)p;
	master = NULL;
	turn_flush();
	store_close();
	exit(0);
}

/* ---- what happens by itself ---- */

static int
work_tick(void *arg)
{
	int *changed = arg;
	struct slice *sl = conf_current();

	if (sl == NULL)
		return -1;
	if (clock_corrected() && grants_settle() == -1)
		return -1;
	if (expire_run(sl, EXPIRE_MAX) == -1 || clock_save(CLOCK_IDLE) == -1 ||
	    sealkey_turn(sl->conf.session_ttl, changed) == -1)
		return -1;
	return 0;
}

static void
tick(void)
{
	int changed = 0, e;

	txn_age();
	turn_flush();
	workers_clock();
	turn_work(work_tick, &changed);
	turn_flush();
	if (changed)
		workers_sealkeys();
	if ((e = store_checkpoint(clock_mono())) != 0)
		log_warnx("store: no checkpoint: %s", strerror(e));
	loop_timer_set(ticker, TICK_MS);
}

/* ---- start ---- */

static int
work_start(void *arg)
{
	return clock_load() == -1 || client_recount() == -1 ||
		       revoke_load() == -1 ||
		       sealkey_turn(UINT32_MAX, arg) == -1
		   ? -1
		   : 0;
}

static void
open_all(const char *dir, const char *shown)
{
	int changed, e;

	if (store_open(dir, shown) == -1 || secret_init(dir) == -1 ||
	    keys_init(dir) == -1)
		exit(1);
	if (turn_begin() != 0 || req_begin() != 0)
		fatalx("store: no transaction");
	if (work_start(&changed) == -1 || req_failed() != 0)
		fatalx("store: can not be read");
	if ((e = req_end(1)) == 0)
		e = turn_commit();
	if (e != 0)
		fatalx("store: can not be written: %s", strerror(e));
	txn_reset();
}

static void
start_authd(const struct m_start *start)
{
	const char *dir = start->root ? "/" : start->state;

	open_all(dir, start->root ? start->jail : dir);
	loop_init();
	turn_init();
	ticker = loop_timer_new(tick);
	master = peer_new(PROTO_CONTROL_FD, &class, ROLE_MASTER, 0, 0, NULL);
	if (master == NULL ||
	    peer_send(master, M_READY, 0, NULL, NULL, -1) == -1)
		fatalx("no control channel");
	sandbox_authd(dir);
}

int
main(int argc, char *argv[])
{
	int hasher = argc == 2 && strcmp(argv[1], "-p") == 0;
	struct m_start start;

	if (argc > 1 && !hasher) {
		fprintf(stderr, "usage: authd [-p]\n");
		return 2;
	}
	log_init(hasher ? "authd -p" : "authd", 1);
	priv_boot(&start, hasher ? ROLE_HASHER : ROLE_AUTHD);
	priv_drop(&start);
	setproctitle_init(argc, argv, environ);
	setproctitle("%s", hasher ? "password hasher" : "authorization");
	if (hasher) {
		loop_init();
		passwd_main();
		sandbox_hasher();
	} else {
		start_authd(&start);
	}
	loop_run();
	return 0;
}
