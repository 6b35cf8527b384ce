/*
 * Nanny, started by hand as master would: what its child gets, what it is
 * refused, and that nothing of its tree outlives nanny. As root the child is
 * another user. The program in the child is mostly this one.
 */
#include <sys/statvfs.h>

#include <grp.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "compat.h"

#include "common_nanny_harness.h"
#include "common_nanny_tries.h"

#define PROCESSES 12

/* ---- an older kernel ---- */

static void
without(uint32_t nr)
{
	struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
				      offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog filter = {sizeof(f) / sizeof(f[0]), f};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == -1)
		_exit(1);
}

/* One without Landlock, for live tests. */
static int
without_landlock(char **argv)
{
	without(SYS_landlock_create_ruleset);
	execv(argv[0], argv);
	return 1;
}

/* ---- what the child gets ---- */

static void
test_given(void)
{
	static const uint8_t networks[] = {
	    NETWORK_ANY, NETWORK_LOOPBACK, NETWORK_NONE};
	struct started s;
	struct m_exec x;
	size_t i;

	exec_init(&x, "/usr/bin/printf", "%s\\n", "$(id);x");
	CHECK(run_exec(&s, &x) == 0);
	CHECK(strcmp(s.out, "$(id);x\n") == 0 && s.errout[0] == '\0');

	exec_init(&x, "/usr/bin/env", NULL, NULL);
	CHECK(run_exec(&s, &x) == 0 && s.out[0] == '\0');
	exec_init(&x, "/usr/bin/env", NULL, NULL);
	exec_env(&x, "PATH", "/usr/bin");
	exec_env(&x, "TOKEN", "a b=c;$(d)");
	CHECK(run_exec(&s, &x) == 0);
	CHECK(strcmp(s.out, "PATH=/usr/bin\nTOKEN=a b=c;$(d)\n") == 0);

	/* 3 is the directory that ls reads. With the loopback interface alone
	 * there was a socket to nanny until now. */
	for (i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
		exec_init(&x, "/bin/ls", "/proc/self/fd", NULL);
		x.network = networks[i];
		CHECK(run_exec(&s, &x) == 0);
		CHECK(strcmp(s.out, "0\n1\n2\n3\n") == 0);
	}

	exec_init(&x, "/bin/pwd", NULL, NULL);
	CHECK(run_exec(&s, &x) == 0);
	CHECK(strncmp(s.out, home, strlen(home)) == 0);

	exec_try(&x, "state", NULL);
	CHECK(run_exec(&s, &x) == 0);
	CHECK(strcmp(s.out, "63 0 1 1\n") == 0); /* 63 is 077 */

	exec_try(&x, "limits", NULL);
	x.cpu = 100;
#ifndef SANITIZE
	x.memory = 1 << 30;
	CHECK(run_exec(&s, &x) == 0);
	CHECK(strcmp(s.out, "64 1073741824 100 0\n") == 0);
#else
	CHECK(run_exec(&s, &x) == 0);
#endif

	exec_init(&x, "/usr/bin/id", "-u", NULL);
	CHECK(run_exec(&s, &x) == 0);
	CHECK((uid_t)atoi(s.out) ==
	      (geteuid() == 0 ? (uid_t)OTHER_UID : geteuid()));
	exec_init(&x, "/usr/bin/id", "-G", NULL);
	x.groups.v = calloc(1, sizeof(uint32_t));
	x.groups.v[0] = 12345;
	x.groups.n = 1;
	CHECK(run_exec(&s, &x) == 0);
	CHECK(geteuid() != 0 || strcmp(s.out, "65534 12345\n") == 0);
}

static void
test_status(void)
{
	struct started s;
	struct m_exec x;

	CHECK(run_try("exit", "0") == 0);
	CHECK(run_try("exit", "42") == 42);
	exec_try(&x, "raise", "15");
	CHECK(run_exec(&s, &x) == -1 && WTERMSIG(s.status) == SIGTERM);
	exec_try(&x, "raise", "9");
	CHECK(run_exec(&s, &x) == -1 && WTERMSIG(s.status) == SIGKILL);
	exec_init(&x, "/bin/sh", "-c", "kill -SEGV $$");
	CHECK(run_exec(&s, &x) == -1 && WTERMSIG(s.status) == SIGSEGV);

	exec_init(&x, "/no/such/command", NULL, NULL);
	CHECK(run_exec(&s, &x) == 127);
	CHECK(strcmp(s.errout,
		  "nanny: /no/such/command: No such file or directory\n") == 0);
	exec_init(&x, "/bin/true", NULL, NULL);
	free(x.cwd);
	x.cwd = strdup("/no/such/place");
	CHECK(run_exec(&s, &x) == 126);
	CHECK(strcmp(s.errout,
		  "nanny: /no/such/place: No such file or directory\n") == 0);
	exec_init(&x, "/bin/true", NULL, NULL);
	strv_add(&x.read, "/no/such/file");
	CHECK(run_exec(&s, &x) == (have_landlock ? 126 : 0));
	exec_init(&x, "/bin/true", NULL, NULL);
	strv_add(&x.read, "/no/such/file");
	x.lax = 1;
	CHECK(run_exec(&s, &x) == 0);
	exec_init(&x, "true", NULL, NULL);
	CHECK(run_exec(&s, &x) == 126);
	exec_init(&x, "/bin/true", NULL, NULL);
	if (geteuid() == 0) {
		x.uid = 0;
		CHECK(run_exec(&s, &x) == 126);
		CHECK(strstr(s.errout, "must not be root") != NULL);
		exec_init(&x, "/bin/true", NULL, NULL);
		x.root = 0;
		CHECK(run_exec(&s, &x) == 126);
	} else {
		wire_free(&def_m_exec, &x);
	}
}

/* ---- ends ---- */

static void
test_signals(void)
{
	struct started s;
	struct m_exec x;
	pid_t pid;
	int status;

	exec_try(&x, "wait", NULL);
	start(&s, &x);
	pid = (pid_t)read_number(&s);
	CHECK(getpgid(pid) == pid && getpgid(s.pid) == s.pid);
	kill(s.pid, SIGHUP);
	kill(s.pid, SIGINT);
	msleep(20);
	CHECK(waitpid(s.pid, &status, WNOHANG) == 0);
	kill(s.pid, SIGTERM);
	finish(&s);
	CHECK(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGTERM);
	CHECK(is_gone(pid));

	/* Stopped: it hears of SIGTERM all the same. */
	start(&s, &x);
	pid = (pid_t)read_number(&s);
	kill(pid, SIGSTOP);
	kill(s.pid, SIGTERM);
	finish(&s);
	CHECK(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGTERM);
	wire_free(&def_m_exec, &x);

	exec_try(&x, "deaf", NULL);
	start(&s, &x);
	pid = (pid_t)read_number(&s);
	kill(s.pid, SIGTERM);
	msleep(100);
	CHECK(waitpid(s.pid, &status, WNOHANG) == 0 && !is_gone(pid));
	kill(s.pid, SIGUSR1);
	finish(&s);
	CHECK(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGKILL);
	CHECK(is_gone(pid));
	wire_free(&def_m_exec, &x);

	/* At once, wherever nanny is. */
	exec_try(&x, "deaf", NULL);
	start(&s, &x);
	msleep(1);
	kill(s.pid, SIGUSR1);
	finish(&s);
	CHECK(WIFSIGNALED(s.status) || WEXITSTATUS(s.status) == 126);
	wire_free(&def_m_exec, &x);
}

static void
test_tree(void)
{
	struct started s;
	struct m_exec x;
	pid_t pid;
	int i;

	for (i = 0; i < 5; i++) {
		exec_try(&x, "daemon", NULL);
		start(&s, &x);
		pid = (pid_t)read_number(&s);
		finish(&s);
		CHECK(WIFEXITED(s.status) && WEXITSTATUS(s.status) == 7);
		CHECK(is_gone(pid));
		wire_free(&def_m_exec, &x);
	}
	for (i = 0; i < 3; i++) {
		exec_try(&x, "runaway", NULL);
		start(&s, &x);
		CHECK(read_number(&s) > 1);
		msleep(20);
		kill(s.pid, SIGUSR1);
		/* All of them have it: its end is the end of the last. */
		finish(&s);
		CHECK(WIFSIGNALED(s.status));
		wire_free(&def_m_exec, &x);
	}
	exec_init(&x, "/bin/sh", "-c",
	    "for i in 1 2 3 4 5 6 7 8; do setsid sleep 100 & done; exit 3");
	CHECK(run_exec(&s, &x) == 3);
}

/* Whoever starts nanny dies. */
static void
test_parent(const char *what)
{
	struct started s;
	struct m_exec x;
	pid_t middle, nanny, pid;
	int p[2], status;

	exec_try(&x, what, NULL);
	CHECK(pipe(p) == 0);
	fflush(stdout);
	if ((middle = fork()) == 0) {
		start(&s, &x);
		pid = (pid_t)read_number(&s);
		if (write(p[1], &s.pid, sizeof(pid)) != sizeof(pid) ||
		    write(p[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		wait_for_end();
	}
	CHECK(read(p[0], &nanny, sizeof(nanny)) == sizeof(nanny));
	CHECK(read(p[0], &pid, sizeof(pid)) == sizeof(pid));
	CHECK(!is_gone(nanny) && !is_gone(pid));
	kill(middle, SIGKILL);
	CHECK(waitpid(middle, &status, 0) == middle);
	/* It is ours now. */
	CHECK(dies_within(nanny, 2000, &status));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(is_gone(pid));
	close(p[0]);
	close(p[1]);
	wire_free(&def_m_exec, &x);

	/* Before it had said what to do. */
	exec_try(&x, "exit", "0");
	if ((middle = fork()) == 0) {
		int ctl[2];
		char name[] = "nanny";
		char *argv[] = {name, NULL}, *env[] = {NULL};

		if (pipe(ctl) == -1 || dup2(ctl[0], 3) == -1)
			_exit(1);
		close(ctl[1]);
		execve(nanny_path, argv, env);
		_exit(1);
	}
	CHECK(waitpid(middle, &status, 0) == middle);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 126);
	wire_free(&def_m_exec, &x);
}

/* ---- what is refused ---- */

static int
is_refusal(int error)
{
	return error == EPERM || error == EACCES || error == EAFNOSUPPORT;
}

static int
run_offline(const char *what)
{
	struct started s;
	struct m_exec x;

	exec_try(&x, what, NULL);
	x.network = NETWORK_NONE;
	return run_exec(&s, &x);
}

static void
test_network(void)
{
	static const char *const none[] = {"inet", "inet6", "mptcp", "netlink",
	    "netfilter", "packet", "vsock"};
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CHECK(run_offline(none[i]) == EAFNOSUPPORT);
	CHECK(run_offline("unix") == 0);
	CHECK(run_try("inet", NULL) == 0);
	CHECK(run_try("netlink", NULL) == 0);
	CHECK(run_try("unix", NULL) == 0);
	CHECK(run_try("netfilter", NULL) == EAFNOSUPPORT);
	CHECK(run_try("packet", NULL) == EAFNOSUPPORT);
	CHECK(run_try("vsock", NULL) == EAFNOSUPPORT);
}

/* Whether the file of root would give anybody privileges: else that a child
 * gets none by it says nothing. */
static int
setuid_works(void)
{
	struct statvfs sv;

	return geteuid() == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 &&
	       statvfs(setuid_prog, &sv) == 0 && !(sv.f_flag & ST_NOSUID);
}

/* What it says of its privileges as the child's user, without nanny. */
static int
run_bare(const char *path)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (setgroups(0, NULL) == -1 ||
		    setresgid(OTHER_UID, OTHER_UID, OTHER_UID) == -1 ||
		    setresuid(OTHER_UID, OTHER_UID, OTHER_UID) == -1)
			_exit(254);
		_exit(exec_privilege(path));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_refused(void)
{
	static const char *const tries[] = {"kill nanny", "kill its group",
	    "kill all", "tkill", "tgkill", "pidfd", "sigqueue", "limit nanny",
	    "F_SETSIG", "ptrace", "traceme", "unshare", "clone", "mount",
	    "io_uring", "keyctl", "personality"};
	struct started s;
	struct m_exec x;
	size_t i;
	int error;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		error = run_try(tries[i], NULL);
		if (error != EPERM)
			printf("%s: %d\n", tries[i], error);
		CHECK(error == EPERM);
	}
	CHECK(run_try("own child", NULL) == 0);
	CHECK(run_try("signal itself", NULL) == 0);
	CHECK(run_try("ask personality", NULL) == 0);
	CHECK(run_try("clone3", NULL) == ENOSYS);
	CHECK(run_try("signal by pidfd", NULL) == ENOSYS);

	exec_init(&x, "/bin/grep", "NoNewPrivs", "/proc/self/status");
	CHECK(run_exec(&s, &x) == 0 && strstr(s.out, "\t1\n") != NULL);
	exec_try(&x, "exec", setuid_prog);
	CHECK(run_exec(&s, &x) == 0);
	CHECK(!setuid_works() || run_bare(setuid_prog) == 1);
}

static void
test_code(void)
{
	struct started s;
	struct m_exec x;

	CHECK(run_try("map code", NULL) == 0);
	CHECK(run_try("make code", NULL) == 0);
	exec_try(&x, "map code", NULL);
	x.jit = 0;
	CHECK(run_exec(&s, &x) == EPERM);
	exec_try(&x, "make code", NULL);
	x.jit = 0;
	CHECK(run_exec(&s, &x) == EPERM);
}

static int
run_file(const char *what, const char *where, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", where, name);
	return run_try(what, path);
}

static void
test_files(void)
{
	struct started s;
	struct m_exec x;
	char path[128];

	CHECK(run_file("write", home, "new") == 0);
	CHECK(run_file("read", home, "new") == 0);
	CHECK(run_file("write", own, "new") == 0);
	CHECK(run_file("write", shared, "new") == 0);
	CHECK(run_try("read", "/etc/passwd") == 0);
	CHECK(run_try("write", "/dev/null") == 0);
	CHECK(is_refusal(run_file("write", "/usr", "new")));
	CHECK(is_refusal(run_try("read", "/etc/shadow")));
	if (!have_landlock)
		return;
	CHECK(run_file("read", outside, "file") == EACCES);
	CHECK(run_file("write", outside, "new") == EACCES);
	CHECK(run_file("write", "/tmp", "nanny_test.new") == EACCES);

	/* One file by name is readable, and what is beside it is not. */
	snprintf(path, sizeof(path), "%s/file", outside);
	exec_try(&x, "read", path);
	strv_add(&x.read, path);
	CHECK(run_exec(&s, &x) == 0);
	exec_try(&x, "write", path);
	strv_add(&x.read, path);
	CHECK(run_exec(&s, &x) == EACCES);
	exec_try(&x, "write", path);
	strv_add(&x.write, path);
	CHECK(run_exec(&s, &x) == 0);
	snprintf(path, sizeof(path), "%s/other", outside);
	exec_try(&x, "read", path);
	snprintf(path, sizeof(path), "%s/file", outside);
	strv_add(&x.read, path);
	CHECK(run_exec(&s, &x) == EACCES);
}

/* Its program alone, or with what is beside it. */
static void
test_beside(void)
{
	struct started s;
	struct m_exec x;

	if (!have_landlock)
		return;
	CHECK(run_try("read", setuid_prog) == 0);
	exec_init(&x, prog, "read", setuid_prog);
	exec_env(&x, "ASAN_OPTIONS", "detect_leaks=0");
	CHECK(run_exec(&s, &x) == EACCES);
}

/* How nanny ends when it is given this. */
static int
run_given(const char *path, int write, int lax)
{
	char file[128];
	struct started s;
	struct m_exec x;
	int status;

	CHECK(snprintf(file, sizeof(file), "%s/file", outside) > 0);
	exec_try(&x, "read", file);
	CHECK(strv_add(write ? &x.write : &x.read, path) == 0);
	x.lax = (uint8_t)lax;
	status = run_exec(&s, &x);
	if (status == 126)
		CHECK(strstr(s.errout, path) != NULL &&
		      strstr(s.errout, "goes by a link") != NULL);
	return status;
}

/* A child before may have put a link in the place of what it was to be given:
 * what it leads to is never given. */
static void
test_links(void)
{
	struct started s;
	struct m_exec x;
	char link[128], inner[160], file[128];
	int write;

	if (!have_landlock)
		return;
	CHECK(snprintf(link, sizeof(link), "%s/to", shared) > 0);
	CHECK(snprintf(file, sizeof(file), "%s/file", outside) > 0);
	CHECK(symlink(outside, link) == 0);
	for (write = 0; write < 2; write++) {
		CHECK(run_given(outside, write, 0) == 0);
		CHECK(run_given(link, write, 0) == 126);
		CHECK(run_given(link, write, 1) == EACCES);
		CHECK(snprintf(inner, sizeof(inner), "%s/file", link) > 0);
		CHECK(run_given(inner, write, 0) == 126);
		CHECK(snprintf(inner, sizeof(inner), "%s/../outside", shared) >
		      0);
		CHECK(run_given(inner, write, 0) == 126);
		CHECK(snprintf(inner, sizeof(inner), "%s//file", outside) > 0);
		CHECK(run_given(inner, write, 0) == 0);
	}
	exec_init(&x, prog, "read", file);
	exec_env(&x, "ASAN_OPTIONS", "detect_leaks=0");
	CHECK(strv_add(&x.program, link) == 0);
	CHECK(run_exec(&s, &x) == EACCES);
	CHECK(unlink(link) == 0);
}

/* It makes the one for temporary files as its user. A link that the child has
 * left in its place leads nowhere. */
static void
test_tmp(void)
{
	struct started s;
	struct m_exec x;
	struct stat st;
	char path[128], to[160];
	uid_t uid = geteuid() == 0 ? (uid_t)OTHER_UID : geteuid();
	int i;

	CHECK(snprintf(path, sizeof(path), "%s/t", own) < (int)sizeof(path));
	for (i = 0; i < 2; i++) {
		CHECK(snprintf(to, sizeof(to), "%s/new%d", path, i) > 0);
		exec_try(&x, "write", to);
		free(x.tmp);
		x.tmp = strdup(path);
		free(x.cwd);
		x.cwd = strdup("/");
		CHECK(run_exec(&s, &x) == 0);
		CHECK(lstat(path, &st) == 0 && S_ISDIR(st.st_mode));
		CHECK((st.st_mode & 07777) == 0700 && st.st_uid == uid);
	}
	if (!have_landlock)
		return;
	CHECK(snprintf(path, sizeof(path), "%s/link", own) > 0);
	CHECK(symlink(outside, path) == 0);
	CHECK(snprintf(to, sizeof(to), "%s/new", path) > 0);
	exec_try(&x, "write", to);
	free(x.tmp);
	x.tmp = strdup(path);
	CHECK(run_exec(&s, &x) == EACCES);
}

static void
test_processes(void)
{
	struct started s;
	struct m_exec x;
	int n;

	if (geteuid() != 0)
		return;
	exec_try(&x, "forks", NULL);
	/* Nobody else's processes count. */
	x.uid = x.gid = 65531;
	strv_free(&x.write);
	free(x.cwd);
	x.cwd = strdup("/");
	x.processes = PROCESSES;
	n = run_exec(&s, &x);
	/* It and nanny are two. */
	CHECK(n == PROCESSES - 2);
}

/* ---- nanny itself ---- */

static void
test_size(void)
{
	struct started s;
	struct m_exec x;
	char path[64], line[256];
	long kb = 0;
	FILE *fp;

	exec_try(&x, "wait", NULL);
	exec_env(&x, "BIG", "0123456789012345678901234567890123456789");
	start(&s, &x);
	CHECK(read_number(&s) > 1);
	msleep(20);
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)s.pid);
	/* Nobody but root may look. */
	if ((fp = fopen(path, "r")) != NULL) {
		while (fgets(line, sizeof(line), fp) != NULL) {
			if (strncmp(line, "Private_", 8) == 0)
				kb += atol(strchr(line, ':') + 1);
		}
		fclose(fp);
		printf("nanny: %ld KiB of private memory\n", kb);
#ifndef SANITIZE
		CHECK(kb > 0 && kb < 150);
#endif
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)s.pid);
	if ((fp = fopen(path, "r")) != NULL) {
		CHECK(fgets(line, sizeof(line), fp) != NULL);
		CHECK(strcmp(line, "nanny: unit\n") == 0);
		fclose(fp);
	}
	kill(s.pid, SIGUSR1);
	finish(&s);
	wire_free(&def_m_exec, &x);
}

/* The end of file passes while the child still runs. */
static void
test_eof(void)
{
	struct started s;
	struct m_exec x;
	char buf[64];
	int status;

	exec_init(&x, "/bin/sh", "-c", "exec <&- >&- 2>&-; sleep 100");
	start(&s, &x);
	CHECK(read(s.io, buf, sizeof(buf)) == 0);
	CHECK(read(s.err, buf, sizeof(buf)) == 0);
	CHECK(waitpid(s.pid, &status, WNOHANG) == 0);
	kill(s.pid, SIGTERM);
	finish(&s);
	CHECK(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGTERM);
	wire_free(&def_m_exec, &x);
}

/* ---- the place ---- */

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "without landlock") == 0)
		_exit(without_landlock(argv + 2));
	if (argc > 1)
		_exit(helper(argv + 1));
	prepare();
	test_given();
	test_status();
	test_signals();
	test_tree();
	test_parent("deaf");
	test_parent("runaway");
	test_network();
	test_refused();
	test_code();
	test_files();
	test_beside();
	test_links();
	test_tmp();
	test_processes();
	test_size();
	test_eof();
	/* Nothing is left of it all. */
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	clean();
	printf("nanny: landlock %s, %s\n", have_landlock ? "yes" : "no",
	    geteuid() == 0 ? "as root" : "not root");
	TEST_END();
}
