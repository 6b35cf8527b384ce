#ifndef COMMON_NANNY_TRIES_H
#define COMMON_NANNY_TRIES_H

/*
 * What common_nanny_test.c does when it is nanny's child: its first argument
 * says what to try. A try ends with its errno as exit status, or 0.
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
result(long ret)
{
	return ret == -1 ? errno : 0;
}

static int
try_memory(int prot, int later)
{
	void *p;

	p = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return errno;
	return later == 0 ? 0 : result(mprotect(p, 4096, later));
}

/* How many more processes there can be. */
static int
count_forks(const char *arg)
{
	pid_t pids[64];
	int i, n = 0;

	(void)arg;
	while (n < 64 && (pids[n] = fork()) != -1) {
		if (pids[n] == 0) {
			pause();
			_exit(0);
		}
		n++;
	}
	for (i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	return n;
}

static int
kill_own_child(const char *arg)
{
	pid_t pid;
	int status;

	(void)arg;
	if ((pid = fork()) == 0) {
		for (;;)
			pause();
	}
	if (kill(pid, SIGKILL) == -1)
		return errno;
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? 0 : 255;
}

static void
say(long n, const char *end)
{
	dprintf(STDOUT_FILENO, "%ld%s", n, end);
}

static void wait_for_end(void) __attribute__((noreturn));

static void
wait_for_end(void)
{
	for (;;)
		pause();
}

/* Leaves a daemon in a session of its own that hears no SIGTERM. */
static int
leave_daemon(const char *arg)
{
	int p[2];
	char c;

	(void)arg;
	if (pipe(p) == -1)
		return errno;
	if (fork() == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		say((long)getpid(), "\n");
		close(0);
		close(1);
		close(2);
		close(p[0]);
		close(p[1]);
		wait_for_end();
	}
	close(p[1]);
	return read(p[0], &c, 1) == 0 ? 7 : 1;
}

/* Never the same process for long, each in a session of its own. */
static int
run_away(const char *arg)
{
	(void)arg;
	say((long)getpid(), "\n");
	if (fork() != 0)
		wait_for_end();
	for (;;) {
		setsid();
		if (fork() != 0)
			_exit(0);
	}
}

/* What needs no argument and has no answer but its errno. */
static int
try_call(const char *what)
{
	static const struct {
		const char *name;
		int domain, type, proto;
	} sockets[] = {{"inet", AF_INET, SOCK_STREAM, 0},
	    {"inet6", AF_INET6, SOCK_DGRAM, 0},
	    {"mptcp", AF_INET, SOCK_STREAM, 262},
	    {"netlink", AF_NETLINK, SOCK_RAW, 0},
	    {"netfilter", AF_NETLINK, SOCK_RAW, 12},
	    {"packet", AF_PACKET, SOCK_RAW, 0},
	    {"vsock", AF_VSOCK, SOCK_STREAM, 0},
	    {"unix", AF_UNIX, SOCK_STREAM, 0}};
	static const char none[] = "none", place[] = "/no/such", fs[] = "tmpfs";
	long self = getpid(), nanny = getppid();
	struct rlimit rl = {0, 0};
	char params[256] = {0};
	siginfo_t si = {.si_code = SI_QUEUE, .si_signo = SIGUSR1};
	const struct {
		const char *name;
		long nr, a[5];
	} calls[] = {{"kill nanny", SYS_kill, {nanny, 0}},
	    {"kill its group", SYS_kill, {-nanny, 0}},
	    {"kill all", SYS_kill, {-1, 0}}, {"tkill", SYS_tkill, {nanny, 0}},
	    {"tgkill", SYS_tgkill, {nanny, nanny, 0}},
	    {"sigqueue", SYS_rt_sigqueueinfo, {nanny, SIGUSR1, (long)&si}},
	    {"pidfd", SYS_pidfd_open, {nanny, 0}},
	    {"limit nanny", SYS_prlimit64, {nanny, RLIMIT_CPU, (long)&rl, 0}},
	    {"F_SETSIG", SYS_fcntl, {0, F_SETSIG, SIGKILL}},
	    {"ptrace", SYS_ptrace, {PTRACE_SEIZE, nanny, 0, 0}},
	    {"traceme", SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	    {"unshare", SYS_unshare, {CLONE_NEWUSER}},
	    {"clone", SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0}},
	    {"clone3", SYS_clone3, {0, 0}},
	    {"mount", SYS_mount, {(long)none, (long)place, (long)fs, 0, 0}},
	    {"io_uring", SYS_io_uring_setup, {4, (long)params}},
	    {"keyctl", SYS_keyctl, {0, -3, 1}},
	    {"personality", SYS_personality, {0x0040000}},
	    {"ask personality", SYS_personality, {0xffffffff}},
	    {"signal by pidfd", SYS_pidfd_send_signal, {-1, SIGTERM, 0, 0}},
	    {"signal itself", SYS_tgkill, {self, self, 0}}};
	size_t i;

	for (i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		if (strcmp(what, sockets[i].name) == 0)
			return result(socket(sockets[i].domain, sockets[i].type,
			    sockets[i].proto));
	}
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(what, calls[i].name) == 0)
			return result(
			    syscall(calls[i].nr, calls[i].a[0], calls[i].a[1],
				calls[i].a[2], calls[i].a[3], calls[i].a[4]));
	}
	return 255;
}

static int
map_code(const char *arg)
{
	(void)arg;
	return try_memory(PROT_WRITE | PROT_EXEC, 0);
}

static int
make_code(const char *arg)
{
	(void)arg;
	return try_memory(PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC);
}

static int
open_read(const char *path)
{
	return result(open(path, O_RDONLY));
}

static int
open_write(const char *path)
{
	return result(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
}

static int
privilege(const char *arg)
{
	(void)arg;
	return geteuid() == 0 || getegid() == 0;
}

static int
limits(const char *arg)
{
	static const int which[] = {
	    RLIMIT_NOFILE, RLIMIT_DATA, RLIMIT_CPU, RLIMIT_CORE};
	struct rlimit rl;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		if (getrlimit(which[i], &rl) == -1)
			return errno;
		say((long)rl.rlim_cur, i == 3 ? "\n" : " ");
	}
	return 0;
}

static int
state(const char *arg)
{
	struct sigaction sa;
	sigset_t set;

	(void)arg;
	sigprocmask(SIG_SETMASK, NULL, &set);
	sigaction(SIGPIPE, NULL, &sa);
	say((long)umask(0), " ");
	say(sigismember(&set, SIGTERM), " ");
	say(sa.sa_handler == SIG_DFL, " ");
	say(getsid(0) == getpid(), "\n");
	return 0;
}

/* As a helper again, of another mode. */
static int
exec_privilege(const char *path)
{
	char name[] = "helper", what[] = "privilege";
	char *argv[] = {name, what, NULL};

	execv(path, argv);
	return errno;
}

static int
deaf(const char *arg)
{
	(void)arg;
	signal(SIGTERM, SIG_IGN);
	say((long)getpid(), "\n");
	wait_for_end();
}

static int
wait_here(const char *arg)
{
	(void)arg;
	say((long)getpid(), "\n");
	wait_for_end();
}

static int
exit_with(const char *arg)
{
	return atoi(arg);
}

static int
raise_it(const char *arg)
{
	return result(kill(getpid(), atoi(arg)));
}

static int
helper(char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *);
	} modes[] = {{"map code", map_code}, {"make code", make_code},
	    {"read", open_read}, {"write", open_write}, {"forks", count_forks},
	    {"own child", kill_own_child}, {"daemon", leave_daemon},
	    {"runaway", run_away}, {"privilege", privilege}, {"limits", limits},
	    {"state", state}, {"exec", exec_privilege}, {"deaf", deaf},
	    {"wait", wait_here}, {"exit", exit_with}, {"raise", raise_it}};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[0], modes[i].name) == 0)
			return modes[i].run(argv[1]);
	}
	return try_call(argv[0]);
}

#endif
