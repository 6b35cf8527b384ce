/*
 * Children: fork and exec with the control channel on descriptor 3, their
 * messages, their deaths, and when they are started again.
 */
#include <sys/types.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "peer.h"

#define DELAY_FIRST 100 /* ms before the second start of a failing child */
#define DELAY_MAX   10000
#define LIFE_SHORT  500 /* ms after READY in which a death is a failure */
#define DRAIN_EXTRA 10 /* s beyond what a draining worker was given */

struct procs procs = TAILQ_HEAD_INITIALIZER(procs);

static uint64_t last_worker;
static struct event *ev_chld;

static int send_start(struct proc *);
static void on_chld(evutil_socket_t, short, void *);
static void on_timer(evutil_socket_t, short, void *);
static void on_ready(struct peer *, uint32_t, void *, int);
static void on_prepared(struct peer *, uint32_t, void *, int);
static void on_badpeer(struct peer *, uint32_t, void *, int);
static void on_ctl_row(struct peer *, uint32_t, void *, int);
static void on_ctl_end(struct peer *, uint32_t, void *, int);
static void on_idle(struct peer *, uint32_t, void *, int);
static void on_gone(struct peer *);
static void on_bad(struct peer *, const char *);

/* PEER_S0: before READY, PEER_S1: after it. */
static const struct peer_rule service_rules[] = {
    {M_READY, NULL, PEER_S0, 0, on_ready},
    {M_PREPARED, &def_m_prepared, PEER_ANY, 0, on_prepared},
    {M_BADPEER, &def_m_badpeer, PEER_ANY, 0, on_badpeer},
    {M_CTL_ROW, &def_ctl_row, PEER_S1, 0, on_ctl_row},
    {M_CTL_END, &def_ctl_end, PEER_S1, 0, on_ctl_end},
};
static const struct peer_rule worker_rules[] = {
    {M_READY, NULL, PEER_S0, 0, on_ready},
    {M_PREPARED, &def_m_prepared, PEER_S0, 0, on_prepared},
    {M_BADPEER, &def_m_badpeer, PEER_ANY, 0, on_badpeer},
    {M_CTL_ROW, &def_ctl_row, PEER_ANY, 0, on_ctl_row},
    {M_CTL_END, &def_ctl_end, PEER_ANY, 0, on_ctl_end},
    {M_IDLE, NULL, PEER_ANY, 0, on_idle},
};
static const struct peer_rule runner_rules[] = {
    {M_READY, NULL, PEER_S0, 0, on_ready},
    {M_PREPARED, &def_m_prepared, PEER_ANY, 0, on_prepared},
    {M_BADPEER, &def_m_badpeer, PEER_ANY, 0, on_badpeer},
    {M_CTL_ROW, &def_ctl_row, PEER_S1, 0, on_ctl_row},
    {M_CTL_END, &def_ctl_end, PEER_S1, 0, on_ctl_end},
    {M_SPAWN, &def_m_spawn, PEER_S1, 0, spawn_child},
    {M_CHILD_KILL, &def_m_child_kill, PEER_S1, 0, spawn_kill},
};
/* The resolver and the hashers have nothing to say but that they are there. */
static const struct peer_rule helper_rules[] = {
    {M_READY, NULL, PEER_S0, 0, on_ready},
    {M_BADPEER, &def_m_badpeer, PEER_ANY, 0, on_badpeer},
};

#define CLASS(name, rules)                                               \
	{                                                                \
		name, rules, sizeof rules / sizeof rules[0], 1, on_gone, \
		    on_bad                                               \
	}
/* Indexed by enum role: how a child is started and spoken with. */
static const struct kind {
	const char *program;
	const char *option;
	const char *name;
	struct peer_class class;
} kinds[] = {
    [ROLE_WORKER] = {"worker", NULL, "worker", CLASS("worker", worker_rules)},
    [ROLE_KEEPER] = {"worker", "-k", "keeper", CLASS("keeper", service_rules)},
    [ROLE_RESOLVER] = {"worker", "-r", "resolver",
	CLASS("resolver", helper_rules)},
    [ROLE_AUTHD] = {"authd", NULL, "authd", CLASS("authd", service_rules)},
    [ROLE_HASHER] = {"authd", "-p", "authd -p", CLASS("hasher", helper_rules)},
    [ROLE_RUNNER] = {"runner", NULL, "runner", CLASS("runner", runner_rules)},
    /* Not one of the children that stay: see certs.c. */
    [ROLE_CHECKER] = {"worker", "-c", "worker -c",
	CLASS("checker", helper_rules)},
};

const char *
proc_name(const struct proc *p)
{
	static char name[64];

	if (p->role == ROLE_WORKER)
		snprintf(name, sizeof name, "worker %llu",
		    (unsigned long long)p->worker);
	else if (p->role == ROLE_HASHER)
		snprintf(name, sizeof name, "authd -p %u", p->inst);
	else
		return kinds[p->role].name;
	return name;
}

const char *
proc_state_name(const struct proc *p)
{
	static const char *const names[] = {[PROC_DOWN] = "down",
	    [PROC_STARTING] = "starting",
	    [PROC_READY] = "ready",
	    [PROC_DRAINING] = "draining",
	    [PROC_ENDING] = "ending"};

	return names[p->state];
}

int
proc_init(void)
{
	ev_chld = evsignal_new(master.base, SIGCHLD, on_chld, NULL);
	return ev_chld != NULL && event_add(ev_chld, NULL) == 0 ? 0 : -1;
}

int
proc_check(char **err)
{
	static const char *const programs[] = {
	    "worker", "authd", "runner", "nanny"};
	char *path;
	size_t i;
	int rv = 0;

	for (i = 0; i < sizeof programs / sizeof programs[0] && rv == 0; i++) {
		xasprintf(&path, "%s/%s", master.libexec, programs[i]);
		if (access(path, X_OK) == -1) {
			xasprintf(err,
			    "%s: %s; install mcpgwd, or give the directory of "
			    "its programs with -L",
			    path, strerror(errno));
			rv = -1;
		}
		free(path);
	}
	return rv;
}

struct proc *
proc_new(uint8_t role, unsigned int inst, struct generation *gen)
{
	struct proc *p;

	p = xcalloc(1, sizeof *p);
	p->role = role;
	p->inst = inst;
	p->gen = gen;
	if ((p->timer = evtimer_new(master.base, on_timer, p)) == NULL)
		fatalx("out of memory");
	TAILQ_INSERT_TAIL(&procs, p, entry);
	return p;
}

void
proc_free(struct proc *p)
{
	channel_drop(p);
	TAILQ_REMOVE(&procs, p, entry);
	peer_free(p->peer);
	event_free(p->timer);
	free(p);
}

struct proc *
proc_find(uint8_t role, uint64_t worker)
{
	struct proc *p;

	TAILQ_FOREACH (p, &procs, entry)
		if (p->role == role && p->pid > 0 &&
		    (role == ROLE_WORKER      ? p->worker == worker
			: role == ROLE_HASHER ? p->inst == worker
					      : 1))
			return p;
	return NULL;
}

unsigned int
proc_count(uint8_t role)
{
	const struct proc *p;
	unsigned int n = 0;

	TAILQ_FOREACH (p, &procs, entry)
		n += p->role == role && p->pid > 0;
	return n;
}

/* ---- starting ---- */

void
proc_signals(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void
proc_apart(int fd, pid_t parent)
{
	close_from(fd);
#ifdef __linux__
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(126);
#else
	(void)parent;
#endif
}

/* In the child. Nothing but descriptors 0 to 3 crosses the exec. */
void
proc_exec(uint8_t role, int fd)
{
	static const char *const keep[] = {
	    "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", NULL};
	const struct kind *k = &kinds[role];
	char *argv[3], *env[8], *path;
	const char *v;
	size_t i, n = 0;
	int null;

	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		fatal("/dev/null");
	if (dup2(null, STDIN_FILENO) == -1 ||
	    (!master.debug && (dup2(null, STDOUT_FILENO) == -1 ||
				  dup2(null, STDERR_FILENO) == -1)))
		fatal("dup2");
	if (fd == PROTO_CONTROL_FD) {
		if (fcntl(fd, F_SETFD, 0) == -1)
			fatal("fcntl");
	} else if (dup2(fd, PROTO_CONTROL_FD) == -1)
		fatal("dup2");
#ifdef CLOSE_RANGE_CLOEXEC
	(void)close_range(PROTO_CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
#endif
	proc_signals();
	env[n++] = xstrdup("LANG=C");
	for (i = 0; keep[i] != NULL; i++)
		if ((v = getenv(keep[i])) != NULL)
			xasprintf(&env[n++], "%s=%s", keep[i], v);
	env[n] = NULL;
	n = 0;
	argv[n++] = xstrdup(k->program);
	if (k->option != NULL)
		argv[n++] = xstrdup(k->option);
	argv[n] = NULL;
	xasprintf(&path, "%s/%s", master.libexec, k->program);
	execve(path, argv, env);
	log_warn("%s", path);
	_exit(127);
}

static int
send_start(struct proc *p)
{
	struct m_start m;
	int authd = p->role == ROLE_AUTHD;
	char root[] = "/", none[] = "";

	memset(&m, 0, sizeof m);
	m.version = PROTO_VERSION;
	m.role = p->role;
	m.debug = master.debug != 0;
	m.json = (gen_current() != NULL
			 ? gen_current()->conf->logjson
			 : TAILQ_FIRST(&generations)->conf->logjson) != 0;
	m.root = master.root != 0;
	m.loglevel = log_getlevel();
	m.worker = p->worker;
	m.gen = p->gen != NULL ? p->gen->gen : 0;
	if (authd || p->role == ROLE_HASHER) {
		m.uid = master.auth.uid;
		m.gid = master.auth.gid;
	} else if (p->role == ROLE_RUNNER) {
		m.uid = master.run.uid;
		m.gid = master.run.gid;
	} else {
		m.uid = master.gw.uid;
		m.gid = master.gw.gid;
	}
	m.jail = m.state = none;
	if (master.root)
		/* The resolver needs /etc: its chroot is none. */
		m.jail = authd                      ? master.state
			 : p->role == ROLE_RESOLVER ? root
						    : master.jail;
	else if (authd)
		m.state = master.state;
	return peer_send(p->peer, M_START, 0, &def_m_start, &m, -1);
}

int
proc_spawn(struct proc *p)
{
	int fds[2];
	pid_t pid;

	if (p->role == ROLE_WORKER)
		p->worker = ++last_worker;
	p->committed = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1) {
		log_warn("socketpair");
		return -1;
	}
	if ((pid = fork()) == -1) {
		log_warn("fork");
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid == 0)
		proc_exec(p->role, fds[1]);
	close(fds[1]);
	p->pid = pid;
	p->state = PROC_STARTING;
	p->started = mono_msec();
	p->ready = 0;
	p->peer = peer_new(fds[0], &kinds[p->role].class, p->role, p->worker,
	    p->gen != NULL ? p->gen->gen : 0, p);
	if (p->peer == NULL || send_start(p) == -1) {
		proc_kill(p, "out of memory");
		return -1;
	}
	log_debug("%s is process %ld", proc_name(p), (long)pid);
	return 0;
}

static void
longer(struct proc *p)
{
	p->delay = p->delay == 0 ? DELAY_FIRST : p->delay * 2;
	if (p->delay > DELAY_MAX)
		p->delay = DELAY_MAX;
}

/* Starts a child and gives it all it must know; later if that fails. */
static void
start(struct proc *p)
{
	if (proc_spawn(p) == -1) {
		if (p->pid <= 0) {
			longer(p);
			proc_later(p);
		}
		return;
	}
	if (gen_feed(p) == -1)
		proc_kill(p, "it can not be told its config");
	channel_update();
}

void
proc_later(struct proc *p)
{
	struct timeval tv;

	p->state = PROC_DOWN;
	p->started = 0;
	if (p->delay == 0) {
		start(p);
		return;
	}
	tv.tv_sec = p->delay / 1000;
	tv.tv_usec = p->delay % 1000 * 1000;
	if (event_add(p->timer, &tv) == -1)
		log_warnx("%s: no timer", proc_name(p));
}

/* Back-off is over, or a draining or ending worker took too long. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct proc *p = arg;

	(void)fd, (void)what;
	if (p->pid > 0)
		proc_kill(p, "it did not end in time");
	else if (!master.stopping)
		start(p);
}

/* ---- ending ---- */

void
proc_end(struct proc *p)
{
	struct timeval tv = {3, 0};

	event_del(p->timer);
	peer_free(p->peer);
	p->peer = NULL;
	if (p->pid <= 0)
		return;
	p->state = PROC_ENDING;
	if (event_add(p->timer, &tv) == -1)
		(void)kill(p->pid, SIGKILL);
}

void
proc_kill(struct proc *p, const char *why)
{
	if (p->pid <= 0)
		return;
	log_warnx(
	    "%s (process %ld) is killed: %s", proc_name(p), (long)p->pid, why);
	if (kill(p->pid, SIGKILL) == -1)
		log_warn("kill");
}

void
proc_drain(struct proc *p, uint32_t seconds, int streams)
{
	struct m_drain m = {
	    seconds, streams || master.stopping, master.stopping != 0};
	struct timeval tv = {0, 0};

	if (p->peer == NULL)
		return;
	if (p->state == PROC_STARTING) {
		proc_end(p);
		return;
	}
	p->state = PROC_DRAINING;
	if (peer_send(p->peer, M_DRAIN, 0, &def_m_drain, &m, -1) == -1) {
		proc_kill(p, "its queue is full");
		return;
	}
	tv.tv_sec = (time_t)seconds + (master.stopping ? 3 : DRAIN_EXTRA);
	if (event_add(p->timer, &tv) == -1)
		log_warnx("%s: no timer", proc_name(p));
}

static void
back_off(struct proc *p)
{
	uint64_t now = mono_msec();

	if (p->ready == 0 || now - p->ready < LIFE_SHORT)
		longer(p);
	else
		p->delay = 0;
}

static void
reaped(struct proc *p, int status)
{
	char how[64];
	int expected = p->state == PROC_ENDING || p->state == PROC_DRAINING ||
		       master.stopping;

	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "was killed by signal %d",
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) == 127)
		snprintf(how, sizeof how, "could not be executed");
	else
		snprintf(how, sizeof how, "exited with status %d",
		    WEXITSTATUS(status));
	/* Before the first READY the reason to give up names it. */
	if (master.started && (!expected || status != 0))
		log_warnx(
		    "%s (process %ld) %s", proc_name(p), (long)p->pid, how);
	else
		log_debug(
		    "%s (process %ld) %s", proc_name(p), (long)p->pid, how);
	p->pid = 0;
	event_del(p->timer);
	peer_free(p->peer);
	p->peer = NULL;
	channel_drop(p);
	control_lost(p);
	back_off(p);
	/* fatal(3) of ours and proc_exec have said why. */
	gen_reaped(p, how,
	    WIFEXITED(status) &&
		(WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 127));
}

int
proc_is(pid_t pid)
{
	const struct proc *p;

	TAILQ_FOREACH (p, &procs, entry)
		if (p->pid == pid)
			return 1;
	return 0;
}

static void
on_chld(evutil_socket_t fd, short what, void *arg)
{
	struct proc *p;
	pid_t pid;
	int status;

	(void)fd, (void)what, (void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		TAILQ_FOREACH (p, &procs, entry)
			if (p->pid == pid)
				break;
		if (p != NULL)
			reaped(p, status);
		else
			spawn_reaped(pid, status);
	}
}

/* ---- messages ---- */

static void
on_ready(struct peer *peer, uint32_t id, void *msg, int fd)
{
	struct proc *p = peer_ctx(peer);

	(void)id, (void)msg, (void)fd;
	peer_setstate(peer, PEER_S1);
	p->state = PROC_READY;
	p->ready = mono_msec();
	log_debug("%s is ready after %llu ms", proc_name(p),
	    (unsigned long long)(p->ready - p->started));
	gen_ready(p);
}

static void
on_prepared(struct peer *peer, uint32_t id, void *msg, int fd)
{
	(void)id, (void)fd;
	gen_prepared(peer_ctx(peer), msg);
}

/* authd, the keeper and the runner may have the other end of one of their channels killed.
 * A worker may not: its word only gets it a new channel. */
static void
on_badpeer(struct peer *peer, uint32_t id, void *msg, int fd)
{
	const struct m_badpeer *m = msg;
	struct proc *p = peer_ctx(peer), *other;
	char from[64];

	(void)id, (void)fd;
	strlcpy(from, proc_name(p), sizeof from);
	other = proc_find(m->role, m->worker);
	if (other == NULL || !channel_exists(p, other)) {
		log_debug(
		    "%s complains of a process that is gone: %s", from, m->why);
		return;
	}
	log_warnx("%s complains of %s: %s", from, proc_name(other), m->why);
	if (p->role == ROLE_AUTHD || p->role == ROLE_KEEPER ||
	    p->role == ROLE_RUNNER)
		proc_kill(other, "it broke the contract or was silent");
	else {
		channel_reset(p, other);
		channel_update();
	}
}

static void
on_ctl_row(struct peer *peer, uint32_t id, void *msg, int fd)
{
	(void)fd;
	control_row(peer_ctx(peer), id, msg);
}

static void
on_ctl_end(struct peer *peer, uint32_t id, void *msg, int fd)
{
	(void)fd;
	control_end(peer_ctx(peer), id, msg);
}

static void
on_idle(struct peer *peer, uint32_t id, void *msg, int fd)
{
	(void)id, (void)msg, (void)fd;
	log_debug("%s is drained", proc_name(peer_ctx(peer)));
}

/* The end of its control channel is the end of a child; SIGCHLD follows, or it
 * is helped. */
static void
on_gone(struct peer *peer)
{
	struct proc *p = peer_ctx(peer);
	struct timeval tv = {1, 0};

	p->peer = NULL;
	if (p->pid > 0 && event_add(p->timer, &tv) == -1)
		(void)kill(p->pid, SIGKILL);
}

static void
on_bad(struct peer *peer, const char *why)
{
	proc_kill(peer_ctx(peer), why);
}
