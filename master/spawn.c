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

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

#define STOP_TIME    2 /* s from SIGTERM to SIGKILL at the end of all */
#define LEFT_TIME    50000 /* us until who has been killed is looked for */
#define CHILDREN_MAX 2000

struct kid {
	LIST_ENTRY(kid) entry;
	pid_t pid; /* of its nanny; 0: reaped */
	uint64_t child; /* runner's number */
};

static const struct conf_be *backend_of(uint32_t);
static int make_dir(const char *, const struct m_exec *, char **);
static int make_dirs(const struct conf_be *, char **);
static int write_exec(const struct m_exec *);
static pid_t spawn(const struct conf_be *, uint64_t, int *, int *, char **);
static void nanny(int, int, int) __attribute__((noreturn));
static void tell_exit(uint64_t, int, const char *);
static int give(struct peer *, uint32_t, const struct m_child *, int);
static void forget(struct kid *);
static void on_left(evutil_socket_t, short, void *);
static void on_stop(evutil_socket_t, short, void *);

static LIST_HEAD(, kid) kids = LIST_HEAD_INITIALIZER(kids);
static unsigned int nkids;
static struct event *stop_timer, *left_timer;

static const struct conf_be *
backend_of(uint32_t id)
{
	const struct generation *g;
	const struct conf_be *be;

	TAILQ_FOREACH (g, &generations, entry)
		TAILQ_FOREACH (be, &g->conf->backends, entry)
			if (be->b.id == id && be->b.stdio != 0)
				return be;
	return NULL;
}

/* ---- its directories ---- */

static int
make_dir(const char *path, const struct m_exec *x, char **err)
{
	struct stat st;

	if (mkdir(path, 0700) == 0) {
		if (!x->root || lchown(path, x->uid, x->gid) == 0)
			return 0;
	} else if (errno == EEXIST && lstat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode) && (!x->root || st.st_uid == x->uid))
			return 0;
		xasprintf(err, "%s does not belong to its user", path);
		return -1;
	}
	xasprintf(err, "%s: %s", path, strerror(errno));
	return -1;
}

/* The one above is root's, so that nobody can put another in its place. */
static int
make_dirs(const struct conf_be *be, char **err)
{
	const struct conf_child *c = &be->child;
	char *above, *slash;
	int rv;

	above = xstrdup(c->state);
	if ((slash = strrchr(above, '/')) != NULL && slash != above)
		*slash = '\0';
	rv = mkdir(above, master.root ? 0711 : 0700);
	if (rv == -1 && errno != EEXIST) {
		xasprintf(err, "%s: %s", above, strerror(errno));
		free(above);
		return -1;
	}
	if (rv == 0 && master.root)
		(void)chmod(above, 0711);
	free(above);
	if (make_dir(c->state, &c->x, err) == -1)
		return -1;
	return make_dir(c->x.tmp, &c->x, err);
}

/* ---- start ---- */

/* What nanny reads, in memory: it may be more than a pipe takes. */
static int
write_exec(const struct m_exec *x)
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
	h.pid = (uint32_t)getpid();
	fd = memfd_create("exec", MFD_CLOEXEC);
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

/* In the child. */
static void
nanny(int io, int err, int exec)
{
	char *argv[] = {NULL, NULL}, *env[] = {NULL}, *path;
	sigset_t none;
	int sig;

	/* Away from where they are to go. */
	io = fcntl(io, F_DUPFD, 10);
	err = fcntl(err, F_DUPFD, 10);
	exec = fcntl(exec, F_DUPFD, 10);
	if (io == -1 || err == -1 || exec == -1 ||
	    dup2(io, STDIN_FILENO) == -1 || dup2(io, STDOUT_FILENO) == -1 ||
	    dup2(err, STDERR_FILENO) == -1 ||
	    dup2(exec, PROTO_CONTROL_FD) == -1)
		_exit(126);
#ifdef CLOSE_RANGE_CLOEXEC
	(void)close_range(PROTO_CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
#endif
	for (sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	xasprintf(&path, "%s/nanny", master.libexec);
	argv[0] = xstrdup("nanny");
	execve(path, argv, env);
	_exit(127);
}

/* -1 and *err; else *io and *log are runner's ends. */
static pid_t
spawn(const struct conf_be *be, uint64_t child, int *io, int *log, char **err)
{
	int a[2] = {-1, -1}, b[2] = {-1, -1}, exec = -1;
	struct m_exec x = be->child.x;
	pid_t pid = -1;

	/* The kernel counts those of a user: of all instances and nannies. */
	if (x.processes != 0)
		x.processes = (x.processes + 1) * be->child.s.max_instances;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b) == -1 ||
	    (exec = write_exec(&x)) == -1 || (pid = cgroup_fork(child)) == -1)
		xasprintf(err, "%s", strerror(errno));
	if (pid == 0)
		nanny(a[1], b[1], exec);
	if (a[1] != -1)
		close(a[1]);
	if (b[1] != -1)
		close(b[1]);
	if (exec != -1)
		close(exec);
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
	if (make_dirs(be, &err) == -1 ||
	    (pid = spawn(be, m->child, &io, &log, &err)) == -1) {
		log_warnx("backend %s: %s", be->b.name, err);
		tell_exit(m->child, 0, err);
		free(err);
		return;
	}
	k = xcalloc(1, sizeof *k);
	k->pid = pid;
	k->child = m->child;
	LIST_INSERT_HEAD(&kids, k, entry);
	nkids++;
	out.child = m->child;
	out.pid = (uint32_t)pid;
	out.uid = be->child.x.root ? be->child.x.uid : (uint32_t)geteuid();
	if (give(p, M_CHILD, &out, io) == -1 ||
	    give(p, M_CHILD_LOG, &out, log) == -1)
		(void)kill(pid, SIGUSR1);
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

void
spawn_kill(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_child_kill *m = msg;
	const struct kid *k;

	(void)p, (void)id, (void)fd;
	LIST_FOREACH (k, &kids, entry)
		if (k->child == m->child && k->pid != 0)
			(void)kill(k->pid, m->hard ? SIGUSR1 : SIGTERM);
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
	forget(k);
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
	LIST_REMOVE(k, entry);
	nkids--;
	free(k);
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
	const struct kid *k;

	LIST_FOREACH (k, &kids, entry)
		if (k->pid != 0)
			(void)kill(k->pid, SIGUSR1);
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
			(void)kill(k->pid, SIGTERM);
	stop_timer = evtimer_new(master.base, on_stop, NULL);
	if (stop_timer == NULL || event_add(stop_timer, &tv) == -1)
		spawn_end_all();
}

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	spawn_end_all();
}

unsigned int
spawn_count(void)
{
	return nkids;
}
