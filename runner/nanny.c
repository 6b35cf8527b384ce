/*
 * Keeps one stdio child. Master forks and execs it with the child's standard
 * input, output and error as its own and, on descriptor 3, one message that
 * says what to execute and how confined. It becomes the child's user, starts
 * it, and stays as the one who inherits whatever the child leaves behind: it
 * ends when the child has ended, in the way the child did, and by then nothing
 * of the child's tree lives any more. It ends it all when master dies.
 *
 *	SIGTERM	is passed on to the child's process group
 *	SIGUSR1	ends the tree at once; the kernel sends it when master dies
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#ifdef __linux__
#include <link.h>
#include <poll.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "imsg.h"
#include "proto.h"
#include "sandbox.h"

#define EXIT_START 126 /* the command could not be started */
#define EXIT_EXEC  127 /* it could not be executed */

#define SWEEP_WAIT 5 /* ms between two looks at what is left */

/* Where the child has its socket to us until it executes the command. */
#define GATE_FD (STDERR_FILENO + 1)

/* Seconds of processor time between SIGXCPU and SIGKILL. */
#define CPU_GRACE 2

#ifdef __linux__
static int signals = -1; /* to be read, when there is a gate */
#endif

static void die(int, const char *, const char *) __attribute__((noreturn));
static void run(const struct m_exec *, pid_t, int) __attribute__((noreturn));

/* The log does not run here: the runner reads our standard error as the
 * child's, and logs it. */
static void
die(int status, const char *what, const char *why)
{
	dprintf(STDERR_FILENO, "nanny: %s: %s\n", what, why);
	_exit(status);
}

static void
die_errno(const char *what)
{
	die(EXIT_START, what, strerror(errno));
}

static void *
allocate(size_t n, size_t size)
{
	void *p;

	if ((p = calloc(n, size)) == NULL)
		die_errno("memory");
	return p;
}

/* ---- the message ---- */

static void
read_exact(void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = read(PROTO_CONTROL_FD, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			die_errno("control channel");
		/* Master is gone, or thought better of it. */
		if (n == 0)
			_exit(EXIT_START);
		p += n;
		len -= (size_t)n;
	}
}

/* Returns the pid of the sender. */
static pid_t
read_exec(struct m_exec *x)
{
	struct imsg_hdr hdr;
	struct stat st;
	uint8_t *data;
	size_t len;

	if (fstat(PROTO_CONTROL_FD, &st) == -1 ||
	    (!S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode) &&
		st.st_nlink != 0))
		die(EXIT_START, "this program",
		    "is started by mcpgwd, not by hand");
	read_exact(&hdr, sizeof(hdr));
	if (hdr.type != M_EXEC || hdr.len < sizeof(hdr) ||
	    hdr.len > MAX_IMSGSIZE)
		die(EXIT_START, "control channel", "no message to start with");
	len = hdr.len - sizeof(hdr);
	data = allocate(len + 1, 1);
	read_exact(data, len);
	if (wire_decode(&def_m_exec, x, data, len) == -1 || x->argv.n == 0 ||
	    x->argv.v[0][0] != '/')
		die(EXIT_START, "control channel", "bad message");
	freezero(data, len + 1);
	close_from(PROTO_CONTROL_FD);
	return (pid_t)hdr.pid;
}

/* ---- what nanny makes of itself ---- */

static void
default_signals(void)
{
	struct sigaction sa;
	int sig;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL);
}

static void
become(const struct m_exec *x)
{
	gid_t *groups;
	uint32_t i;

	if (!x->root) {
		if (geteuid() == 0 || getuid() == 0)
			die(EXIT_START, "user", "a child must not be root");
		return;
	}
	if (x->uid == 0 || x->gid == 0)
		die(EXIT_START, "user", "a child must not be root");
	groups = allocate(x->groups.n + 1, sizeof(*groups));
	groups[0] = x->gid;
	for (i = 0; i < x->groups.n; i++)
		groups[i + 1] = x->groups.v[i];
	if (setgroups(x->groups.n + 1, groups) == -1)
		die_errno("setgroups");
	free(groups);
	if (setresgid(x->gid, x->gid, x->gid) == -1)
		die_errno("setresgid");
	if (setresuid(x->uid, x->uid, x->uid) == -1)
		die_errno("setresuid");
	if (setuid(0) != -1 || seteuid(0) != -1 || setgid(0) != -1 ||
	    setegid(0) != -1 || setgroups(0, NULL) != -1)
		die(EXIT_START, "user", "privileges came back");
}

#ifdef __linux__

/* After the change of user, which would undo some of it. */
static void
settle(pid_t master)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		die_errno("PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		die_errno("PR_SET_DUMPABLE");
	/* Capabilities that a service manager gave to an unprivileged master
	 * would outlive exec. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0) == -1)
		die_errno("PR_SET_PDEATHSIG");
	/* It may have died before that. */
	if (getppid() != master)
		_exit(EXIT_START);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		die_errno("PR_SET_CHILD_SUBREAPER");
}

static void
show_name(const struct m_exec *x)
{
	char name[16];

	snprintf(name, sizeof(name), "nanny: %s", x->name);
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

static void
die_with(pid_t nanny)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		die_errno("PR_SET_PDEATHSIG");
	if (getppid() != nanny)
		_exit(EXIT_START);
}

#else

static void
settle(pid_t master)
{
	if (getppid() != master)
		_exit(EXIT_START);
}

static void
show_name(const struct m_exec *x)
{
	(void)x;
}

static void
die_with(pid_t nanny)
{
	(void)nanny;
}

#endif

static void
limit(int what, rlim_t soft, rlim_t hard, const char *name)
{
	struct rlimit rl;

	if (getrlimit(what, &rl) == -1)
		die_errno(name);
	if (hard < rl.rlim_max)
		rl.rlim_max = hard;
	rl.rlim_cur = soft < rl.rlim_max ? soft : rl.rlim_max;
	if (setrlimit(what, &rl) == -1)
		die_errno(name);
}

/* ---- the child ---- */

static void
child_limits(const struct m_exec *x)
{
	limit(RLIMIT_CORE, 0, 0, "RLIMIT_CORE");
	if (x->files != 0)
		limit(RLIMIT_NOFILE, x->files, x->files, "RLIMIT_NOFILE");
#ifdef RLIMIT_NPROC
	/* Counted for the user: without one of its own it would count what is
	 * not the child's. */
	if (x->root && x->processes != 0)
		limit(RLIMIT_NPROC, x->processes, x->processes, "RLIMIT_NPROC");
#endif
	/* Private writable memory: a runtime reserves far more address space
	 * than it ever uses. */
	if (x->memory != 0)
		limit(RLIMIT_DATA, x->memory, x->memory, "RLIMIT_DATA");
	if (x->cpu != 0)
		limit(RLIMIT_CPU, x->cpu, (rlim_t)x->cpu + CPU_GRACE,
		    "RLIMIT_CPU");
}

static char **
make_env(const struct m_exec *x)
{
	const struct kv *kv = x->env.p;
	char **env;
	uint32_t i;

	env = allocate((size_t)x->env.n + 1, sizeof(*env));
	for (i = 0; i < x->env.n; i++) {
		if (asprintf(&env[i], "%s=%s", kv[i].name, kv[i].value) == -1)
			die_errno("memory");
	}
	return env;
}

static void
run(const struct m_exec *x, pid_t nanny, int sock)
{
	const char *what;
	char **argv, **env;
	sigset_t none;

	die_with(nanny);
	if (setsid() == -1)
		die_errno("setsid");
	umask(077);
	if (sock != -1 && dup2(sock, GATE_FD) == -1)
		die_errno("descriptors");
	close_from(sock == -1 ? STDERR_FILENO + 1 : GATE_FD + 1);
	if (x->cwd[0] != '\0' && chdir(x->cwd) == -1)
		die_errno(x->cwd);
	argv = allocate((size_t)x->argv.n + 1, sizeof(*argv));
	memcpy(argv, x->argv.v, x->argv.n * sizeof(*argv));
	env = make_env(x);
	child_limits(x);
	if (sandbox_child(x, nanny, GATE_FD, &what) == -1)
		die(EXIT_START, what,
		    errno == ELOOP ? "goes by a link where a child could have "
				     "put it; name where it leads"
				   : strerror(errno));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(argv[0], argv, env);
	die(EXIT_EXEC, argv[0], strerror(errno));
}

/* ---- the end of a tree ---- */

#ifdef __linux__

/* Kills what the kernel lists as our children, where it lists them. */
static int
kill_listed(const char *path)
{
	char buf[4096], *p;
	size_t keep = 0;
	ssize_t n;
	pid_t pid;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	/* Each number is followed by a space; one may be cut in two. */
	while ((n = read(fd, buf + keep, sizeof(buf) - keep - 1)) > 0) {
		buf[keep + (size_t)n] = '\0';
		for (p = buf; strchr(p, ' ') != NULL; p = strchr(p, ' ') + 1) {
			if ((pid = (pid_t)strtol(p, NULL, 10)) > 1)
				kill(pid, SIGKILL);
		}
		keep = strlen(p);
		memmove(buf, p, keep);
	}
	close(fd);
	return 0;
}

static pid_t
parent_of(const char *name)
{
	char path[64], buf[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	/* pid (name) state ppid: the name may hold anything. */
	if ((p = strrchr(buf, ')')) == NULL || strlen(p) < 4)
		return -1;
	return (pid_t)strtol(p + 4, NULL, 10);
}

static void
kill_found(void)
{
	struct dirent *de;
	pid_t self = getpid();
	DIR *d;

	if ((d = opendir("/proc")) == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] > '0' && de->d_name[0] <= '9' &&
		    parent_of(de->d_name) == self)
			kill((pid_t)strtol(de->d_name, NULL, 10), SIGKILL);
	}
	closedir(d);
}

static void
kill_children(void)
{
	char path[64];

	snprintf(
	    path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	if (kill_listed(path) == -1)
		kill_found();
}

#else

static void
kill_children(void)
{
}

#endif

/*
 * What a killed process leaves becomes our child, so that in the end there is
 * none: each round kills those there are and reaps those that are dead. The
 * group goes first and at once; its number is safe while its leader is ours
 * to wait for.
 */
static int
end_tree(pid_t child)
{
	const struct timespec ts = {0, SWEEP_WAIT * 1000000L};
	sigset_t chld;
	pid_t pid;
	int status, result = 0;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	/* Not yet a group of its own, if it has only just been forked. */
	kill(-child, SIGKILL);
	kill(child, SIGKILL);
	for (;;) {
		kill_children();
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == child)
				result = status;
		}
		if (pid == -1 && errno == ECHILD)
			return result;
#ifdef __linux__
		sigtimedwait(&chld, NULL, &ts);
#else
		nanosleep(&ts, NULL);
#endif
	}
}

/* ---- the loop ---- */

/* Reaps what the child has left to us while it lives; true once it has ended
 * itself, unreaped. */
static int
has_ended(pid_t child)
{
	siginfo_t si;

	for (;;) {
		si.si_pid = 0;
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1)
			return errno != EINTR;
		if (si.si_pid == 0)
			return 0;
		if (si.si_pid == child)
			return 1;
		if (waitpid(si.si_pid, NULL, WNOHANG) == si.si_pid)
			sandbox_gate_reaped(si.si_pid);
	}
}

#ifdef __linux__

/* The next signal for us; until then the child's questions are answered. */
static int
next_signal(const sigset_t *set, int *gate)
{
	struct signalfd_siginfo si;
	struct pollfd pfd[2];
	int sig;

	if (*gate == -1)
		return sigwait(set, &sig) == 0 ? sig : 0;
	pfd[0].fd = signals;
	pfd[1].fd = *gate;
	pfd[0].events = pfd[1].events = POLLIN;
	if (poll(pfd, 2, -1) <= 0)
		return 0;
	/* -1: nobody is left who could ask. */
	if ((pfd[1].revents & POLLIN) ? sandbox_gate_serve(*gate) == -1
				      : pfd[1].revents != 0) {
		close(*gate);
		*gate = -1;
	}
	if (!(pfd[0].revents & POLLIN) ||
	    read(signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return 0;
	return (int)si.ssi_signo;
}

#else

static int
next_signal(const sigset_t *set, int *gate)
{
	int sig;

	(void)gate;
	return sigwait(set, &sig) == 0 ? sig : 0;
}

#endif

static void
watch(pid_t child, const sigset_t *set, int gate)
{
	int sig;

	for (;;) {
		sig = next_signal(set, &gate);
		if (sig == SIGUSR1)
			return;
		if (sig == SIGTERM) {
			if (kill(-child, SIGTERM) == -1)
				kill(child, SIGTERM);
			/* One that is stopped would not hear of it. */
			kill(-child, SIGCONT);
		}
		if (sig == SIGCHLD && has_ended(child))
			return;
	}
}

/* Ends as the child did. */
static void
pass_on(int status)
{
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	sig = WTERMSIG(status);
	kill(getpid(), sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	_exit(128 + sig);
}

/* The other ends must see the end of file when the child closes its own. */
static void
let_go(void)
{
	int fd, i;

	fd = open("/dev/null", O_RDWR);
	for (i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
		if (fd == -1 || dup2(fd, i) == -1)
			close(i);
	}
	if (fd > STDERR_FILENO)
		close(fd);
}

#if defined(__linux__) && !defined(SANITIZE)

static int
drop_pages(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;
	int i;

	(void)size;
	(void)arg;
	for (i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_LOAD ||
		    (info->dlpi_phdr[i].p_flags & PF_W) != 0)
			continue;
		from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		to = from + info->dlpi_phdr[i].p_memsz;
		from &= ~(page - 1);
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

#else
#define dl_iterate_phdr(f, arg) ((void)0)
#endif

/* From here on it only waits: what it has read of its message is not needed
 * again, and what it has seen of files soon neither; it comes back if it is. */
static void
shrink(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	dl_iterate_phdr(drop_pages, NULL);
}

/* Where the child's questions come from; -1: it ended before it could ask. */
static int
open_gate(const int sock[2], const sigset_t *set)
{
	int gate;

	close(sock[1]);
	gate = sandbox_gate_take(sock[0]);
	close(sock[0]);
#ifdef __linux__
	if (gate != -1 && (signals = signalfd(-1, set, SFD_CLOEXEC)) == -1) {
		close(gate);
		return -1;
	}
#else
	(void)set;
#endif
	return gate;
}

int
main(void)
{
	struct m_exec x;
	sigset_t all, ours;
	pid_t child, master, parent = getppid(), self = getpid();
	int sock[2] = {-1, -1}, gate = -1;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	default_signals();
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGUSR1);
	sigaddset(&ours, SIGCHLD);
	limit(RLIMIT_CORE, 0, 0, "RLIMIT_CORE");
	if ((master = read_exec(&x)) == 0)
		master = parent;
	show_name(&x);
	become(&x);
	settle(master);
	/* By its user, who owns what is above. */
	if (x.tmp[0] != '\0' && mkdir(x.tmp, 0700) == -1 && errno != EEXIST)
		die_errno(x.tmp);
	/* No signal that is for a terminal's or the child's group is for us. */
	if (setsid() == -1)
		die_errno("setsid");
	if (x.network == NETWORK_LOOPBACK &&
	    socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == -1)
		die_errno("socketpair");
	child = fork();
	if (child == -1)
		die_errno("fork");
	if (child == 0)
		run(&x, self, sock[1]);
	wire_free(&def_m_exec, &x);
	if (sock[0] != -1)
		gate = open_gate(sock, &ours);
	let_go();
	/* Best effort: it takes input from nobody any more. */
	(void)sandbox_nanny(gate != -1);
	shrink();
	watch(child, &ours, gate);
	pass_on(end_tree(child));
}
