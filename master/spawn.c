/*
 * Stdio children. Runner names a backend; what to execute, as whom and with
 * what is in our config alone. Each child has a nanny, which ends with us and
 * takes its child along.
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "cgroup.h"
#include "compat.h"
#include "imsg.h"
#include "log.h"
#include "master.h"
#include "peer.h"
#include "reach.h"
#include "sandbox.h"

#define STOP_TIME    2 /* s from SIGTERM to SIGKILL at the end of all */
#define HARD_TIME    1 /* s that nanny has to end its tree */
#define LAST_TIME    3 /* s from SIGKILL until nobody is waited for */
#define LEFT_TIME    50000 /* us until who has been killed is looked for */
#define CHILDREN_MAX 2000

struct kid {
	LIST_ENTRY(kid) entry;
	pid_t pid; /* of its nanny; 0: reaped */
	uint64_t born; /* its nanny, as tree_born */
	uid_t uid; /* whom it runs as */
	uint64_t child; /* runner's number */
	struct event *timer; /* of a hard end */
	int tries;
};

static const struct conf_be *backend_of(uint32_t);
static int open_above(const char *, char **);
static int make_state(int, const char *, const struct m_exec *);
static int make_dirs(const struct conf_be *, char **);
static int write_exec(const struct m_exec *, pid_t);
static pid_t spawn(const struct conf_be *, uint64_t, int *, int *, char **);
static int what_to_exec(const struct conf_be *, pid_t);
static void nanny(const struct conf_be *, pid_t, int, int)
    __attribute__((noreturn));
static void tell_exit(uint64_t, int, const char *);
static int give(struct peer *, uint32_t, const struct m_child *, int);
static void warn_once(const struct conf_be *);
static void end_soft(const struct kid *);
static void end_hard(struct kid *);
static void on_hard(evutil_socket_t, short, void *);
static int is_ours(pid_t);
static void forget(struct kid *);
static void drop(struct kid *);
static void on_left(evutil_socket_t, short, void *);
static void on_stop(evutil_socket_t, short, void *);
static void on_last(evutil_socket_t, short, void *);

static LIST_HEAD(, kid) kids = LIST_HEAD_INITIALIZER(kids);
static unsigned int nkids;
static struct event *stop_timer, *left_timer;

/* Of the newest config, which says best what is not for it. */
static const struct conf_be *
backend_of(uint32_t id)
{
	const struct generation *g;
	const struct conf_be *be, *newest = NULL;

	TAILQ_FOREACH (g, &generations, entry)
		TAILQ_FOREACH (be, &g->conf->backends, entry)
			if (be->b.id == id && be->b.stdio != 0)
				newest = be;
	return newest;
}

/* ---- its directories ---- */

/* Where those of all backends are: ours, so that nobody can put another in
 * the place of one. */
static int
open_above(const char *path, char **err)
{
	struct stat st;
	int fd;

	if (mkdir(path, master.root ? 0711 : 0700) == -1 && errno != EEXIST) {
		xasprintf(err, "%s: %s", path, strerror(errno));
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		xasprintf(err, "%s: %s", path, strerror(errno));
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (st.st_uid == geteuid() && !(st.st_mode & 022))
		return fd;
	xasprintf(err, "%s must belong to %s, and nobody else may write to it",
	    path, master.root ? "root" : "you");
	close(fd);
	return -1;
}

/* -1 and errno; EPERM: it is another's. What is in it is nothing for us: it is
 * its user's. */
static int
make_state(int above, const char *name, const struct m_exec *x)
{
	struct stat st;
	int fd, rv = -1, made = mkdirat(above, name, 0700) == 0;

	if (!made && errno != EEXIST)
		return -1;
	fd = openat(
	    above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if (made && x->root)
		rv = fchown(fd, x->uid, x->gid);
	else if (fstat(fd, &st) == 0) {
		rv = x->root && st.st_uid != x->uid ? -1 : 0;
		errno = EPERM;
	}
	close(fd);
	return rv;
}

static int
make_dirs(const struct conf_be *be, char **err)
{
	const char *state = be->child.state, *slash = strrchr(state, '/');
	char *above;
	int fd, rv;

	xasprintf(&above, "%.*s", (int)(slash - state), state);
	fd = open_above(above, err);
	free(above);
	if (fd == -1)
		return -1;
	rv = make_state(fd, slash + 1, &be->child.x);
	if (rv == -1 && errno == EPERM)
		xasprintf(err, "%s does not belong to its user", state);
	else if (rv == -1)
		xasprintf(err, "%s: %s", state, strerror(errno));
	close(fd);
	return rv;
}

/* ---- start ---- */

/* What nanny reads, in memory: it may be more than a pipe takes. */
static int
write_exec(const struct m_exec *x, pid_t from)
{
	struct imsg_hdr h;
	uint8_t *data;
	size_t len;
	int fd, ok;

	if ((data = wire_encode(&def_m_exec, x, &len)) == NULL)
		return -1;
	memset(&h, 0, sizeof h);
	h.type = M_EXEC;
	h.len = (uint32_t)(sizeof h + len);
	h.pid = (uint32_t)from;
	fd = memfd_create("exec", 0);
	ok = fd != -1 && write(fd, &h, sizeof h) == (ssize_t)sizeof h &&
	     write(fd, data, len) == (ssize_t)len &&
	     lseek(fd, 0, SEEK_SET) == 0;
	freezero(data, len);
	if (ok)
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

/* In the child, since a file system may not answer. What is wrong goes to the
 * log of the backend. */
static int
what_to_exec(const struct conf_be *be, pid_t from)
{
	struct m_exec x = be->child.x;
	struct strv notes = {NULL, 0};
	char *why = NULL;
	uint32_t i;
	int fd;

	/* The kernel counts those of a user: of all instances and nannies. */
	if (x.processes != 0)
		x.processes = (x.processes + 1) * be->child.s.max_instances;
	if (reach_given(&x, &be->child, &notes, &why) == -1) {
		dprintf(STDERR_FILENO, "mcpgwd: %s\n", why);
		return -1;
	}
	for (i = 0; i < notes.n; i++)
		dprintf(STDERR_FILENO, "mcpgwd: %s\n", notes.v[i]);
	if ((fd = write_exec(&x, from)) == -1)
		dprintf(STDERR_FILENO, "mcpgwd: %s\n", strerror(errno));
	return fd;
}

/* In the child. */
static void
nanny(const struct conf_be *be, pid_t from, int io, int err)
{
	char *argv[] = {NULL, NULL}, *env[] = {NULL}, *path;

	proc_signals();
	/* Away from where they are to go. */
	io = fcntl(io, F_DUPFD, 10);
	err = fcntl(err, F_DUPFD, 10);
	if (io == -1 || err == -1 || dup2(io, STDIN_FILENO) == -1 ||
	    dup2(io, STDOUT_FILENO) == -1 || dup2(err, STDERR_FILENO) == -1)
		_exit(126);
	proc_apart(PROTO_CONTROL_FD, from);
	/* The first that is free. */
	if (what_to_exec(be, from) != PROTO_CONTROL_FD)
		_exit(126);
	xasprintf(&path, "%s/nanny", master.libexec);
	argv[0] = xstrdup("nanny");
	execve(path, argv, env);
	_exit(127);
}

/* -1 and *err; else *io and *log are runner's ends. */
static pid_t
spawn(const struct conf_be *be, uint64_t child, int *io, int *log, char **err)
{
	int a[2] = {-1, -1}, b[2] = {-1, -1};
	pid_t pid = -1, self = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b) == -1 ||
	    (pid = cgroup_fork(child)) == -1)
		xasprintf(err, "%s", strerror(errno));
	if (pid == 0)
		nanny(be, self, a[1], b[1]);
	if (a[1] != -1)
		close(a[1]);
	if (b[1] != -1)
		close(b[1]);
	if (pid == -1) {
		if (a[0] != -1)
			close(a[0]);
		if (b[0] != -1)
			close(b[0]);
		return -1;
	}
	*io = a[0];
	*log = b[0];
	return pid;
}

static int
give(struct peer *p, uint32_t type, const struct m_child *m, int fd)
{
	if (peer_send(p, type, 0, &def_m_child, m, fd) == 0)
		return 0;
	close(fd);
	return -1;
}

static void
warn_once(const struct conf_be *be)
{
	static int said;

	if (!said && !sandbox_has_files())
		log_warnx(
		    "backend %s: this kernel has no Landlock: stdio "
		    "servers can read and change all that their users can",
		    be->b.name);
	said = 1;
}

void
spawn_child(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_spawn *m = msg;
	const struct conf_be *be = backend_of(m->backend);
	struct m_child out;
	struct kid *k;
	char *err = NULL;
	pid_t pid;
	int io, log;

	(void)id, (void)fd;
	if (be == NULL || master.stopping || nkids >= CHILDREN_MAX) {
		tell_exit(m->child, 0,
		    be == NULL        ? "its backend is gone"
		    : master.stopping ? "mcpgwd ends"
				      : "too many children");
		return;
	}
	warn_once(be);
	if (make_dirs(be, &err) == -1 ||
	    (pid = spawn(be, m->child, &io, &log, &err)) == -1) {
		log_warnx("backend %s: %s", be->b.name, err);
		tell_exit(m->child, 0, err);
		free(err);
		return;
	}
	k = xcalloc(1, sizeof *k);
	k->pid = pid;
	k->born = tree_born(pid);
	k->uid = be->child.x.root ? be->child.x.uid : geteuid();
	k->child = m->child;
	LIST_INSERT_HEAD(&kids, k, entry);
	nkids++;
	out.child = m->child;
	out.pid = (uint32_t)pid;
	out.uid = k->uid;
	if (give(p, M_CHILD, &out, io) == -1 ||
	    give(p, M_CHILD_LOG, &out, log) == -1)
		end_hard(k);
}

/* ---- end ---- */

static void
tell_exit(uint64_t child, int status, const char *error)
{
	struct proc *p = proc_find(ROLE_RUNNER, 0);
	struct m_exited m;
	char text[1000];

	if (p == NULL || p->peer == NULL)
		return;
	(void)strlcpy(text, error, sizeof text);
	m.child = child;
	m.status = (uint32_t)status;
	m.error = text;
	if (peer_send(p->peer, M_EXITED, 0, &def_m_exited, &m, -1) == -1)
		proc_kill(p, "its queue is full");
}

/* Whoever has its user's id can stop a nanny, which then would not hear. */
static void
end_soft(const struct kid *k)
{
	(void)kill(k->pid, SIGTERM);
	(void)kill(k->pid, SIGCONT);
}

static void
end_hard(struct kid *k)
{
	struct timeval tv = {HARD_TIME, 0};

	(void)kill(k->pid, SIGUSR1);
	(void)kill(k->pid, SIGCONT);
	if (k->timer != NULL)
		return;
	k->timer = evtimer_new(master.base, on_hard, k);
	if (k->timer == NULL || event_add(k->timer, &tv) == -1)
		(void)kill(k->pid, SIGKILL);
}

/* Nanny has not done it. */
static void
on_hard(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {HARD_TIME, 0};
	struct kid *k = arg;

	(void)fd, (void)what;
	if (k->tries++ == 0 && cgroup_kill(k->child) == -1) {
		(void)kill(k->pid, SIGUSR1);
		(void)kill(k->pid, SIGCONT);
		(void)event_add(k->timer, &tv);
		return;
	}
	log_warnx("nanny %ld does not end what it keeps: killed", (long)k->pid);
	tree_end(k->pid);
	(void)kill(k->pid, SIGKILL);
}

void
spawn_kill(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_child_kill *m = msg;
	struct kid *k;

	(void)p, (void)id, (void)fd;
	LIST_FOREACH (k, &kids, entry) {
		if (k->child != m->child || k->pid == 0)
			continue;
		if (m->hard)
			end_hard(k);
		else
			end_soft(k);
	}
}

static int
is_ours(pid_t pid)
{
	const struct kid *k;

	LIST_FOREACH (k, &kids, entry)
		if (k->pid == pid)
			return 1;
	return proc_is(pid);
}

void
spawn_reaped(pid_t pid, int status)
{
	struct kid *k;

	LIST_FOREACH (k, &kids, entry)
		if (k->pid == pid)
			break;
	if (k == NULL)
		return;
	tell_exit(k->child, status, "");
	k->pid = 0;
	/* Nanny ends with the signal of its child, or was killed itself. */
	if (WIFSIGNALED(status))
		tree_orphans(k->uid, k->born, is_ours);
	if (k->timer != NULL)
		event_free(k->timer);
	k->timer = NULL;
	forget(k);
}

static void
drop(struct kid *k)
{
	if (k->timer != NULL)
		event_free(k->timer);
	LIST_REMOVE(k, entry);
	nkids--;
	free(k);
}

/* Nanny has ended its tree, unless it was killed itself. */
static void
forget(struct kid *k)
{
	struct timeval tv = {0, LEFT_TIME};

	if (cgroup_end(k->child) == -1) {
		if (left_timer == NULL)
			left_timer = evtimer_new(master.base, on_left, NULL);
		if (left_timer != NULL && event_add(left_timer, &tv) == 0)
			return;
	}
	drop(k);
	if (nkids == 0)
		gen_children_gone();
}

static void
on_left(evutil_socket_t fd, short what, void *arg)
{
	struct kid *k, *next;

	(void)fd, (void)what, (void)arg;
	for (k = LIST_FIRST(&kids); k != NULL; k = next) {
		next = LIST_NEXT(k, entry);
		if (k->pid == 0)
			forget(k);
	}
}

void
spawn_end_all(void)
{
	struct kid *k;

	LIST_FOREACH (k, &kids, entry)
		if (k->pid != 0)
			end_hard(k);
}

void
spawn_stop(void)
{
	struct timeval tv = {STOP_TIME, 0};
	const struct kid *k;

	if (stop_timer != NULL)
		return;
	LIST_FOREACH (k, &kids, entry)
		if (k->pid != 0)
			end_soft(k);
	stop_timer = evtimer_new(master.base, on_stop, NULL);
	if (stop_timer == NULL || event_add(stop_timer, &tv) == -1)
		on_stop(-1, 0, NULL);
}

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {LAST_TIME, 0};

	(void)fd, (void)what, (void)arg;
	if (event_base_once(master.base, -1, EV_TIMEOUT, on_last, NULL, &tv) ==
	    -1)
		log_warnx("no timer: stdio servers are waited for");
	spawn_end_all();
}

/* A process that a device holds does not go. */
static void
on_last(evutil_socket_t fd, short what, void *arg)
{
	struct kid *k;

	(void)fd, (void)what, (void)arg;
	while ((k = LIST_FIRST(&kids)) != NULL) {
		log_warnx("child %llu of the stdio servers does not end: left",
		    (unsigned long long)k->child);
		drop(k);
	}
	gen_children_gone();
}

unsigned int
spawn_count(void)
{
	return nkids;
}
