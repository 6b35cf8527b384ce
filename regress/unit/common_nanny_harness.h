#ifndef COMMON_NANNY_HARNESS_H
#define COMMON_NANNY_HARNESS_H

/* Starts nanny as master would, and what the tests of it share. The child is
 * the test itself, with arguments; main() looks for them first. */
#include <sys/types.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "imsg.h"
#include "proto.h"
#include "test.h"

#define OTHER_UID 65534

static char dir[] = "/tmp/nanny_test."
		    "XX"
		    "XX"
		    "XX";
static char bin[64], prog[64], setuid_prog[64], home[64], own[64], shared[64],
    outside[64], nanny_path[PATH_MAX];
static int have_landlock;

struct started {
	pid_t pid;
	int io, err;
	char out[4096], errout[1024];
	int status;
};

static void
exec_init(struct m_exec *x, const char *argv0, const char *a1, const char *a2)
{
	memset(x, 0, sizeof(*x));
	x->name = strdup("unit");
	strv_add(&x->argv, argv0);
	if (a1 != NULL)
		strv_add(&x->argv, a1);
	if (a2 != NULL)
		strv_add(&x->argv, a2);
	x->cwd = strdup(home);
	x->tmp = strdup("");
	strv_add(&x->program, argv0);
	strv_add(&x->write, home);
	strv_add(&x->write, own);
	strv_add(&x->write, shared);
	x->root = geteuid() == 0;
	if (x->root)
		x->uid = x->gid = OTHER_UID;
	x->jit = 1;
	x->files = 64;
}

static void
exec_env(struct m_exec *x, const char *name, const char *value)
{
	struct kv *kv;

	x->env.p = realloc(x->env.p, (x->env.n + 1) * sizeof(*kv));
	kv = (struct kv *)x->env.p + x->env.n++;
	kv->name = strdup(name);
	kv->value = strdup(value);
}

static void
send_frame(int fd, const struct m_exec *x)
{
	struct imsg_hdr hdr = {.type = M_EXEC, .pid = (uint32_t)getpid()};
	uint8_t *data;
	size_t len;

	data = wire_encode(&def_m_exec, x, &len);
	hdr.len = (uint32_t)(sizeof(hdr) + len);
	CHECK(write(fd, &hdr, sizeof(hdr)) == sizeof(hdr));
	CHECK(write(fd, data, len) == (ssize_t)len);
	free(data);
}

static void
start(struct started *s, const struct m_exec *x)
{
	char name[] = "nanny";
	char *argv[] = {name, NULL}, *env[] = {NULL};
	int io[2], err[2], ctl[2];

	memset(s, 0, sizeof(*s));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, io) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, err) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctl) == 0);
	fflush(stdout);
	if ((s->pid = fork()) == 0) {
		/* As master's: this one ignores it. */
		signal(SIGPIPE, SIG_IGN);
		/* High first: the ends may be where they are to go. */
		io[1] = fcntl(io[1], F_DUPFD, 100);
		err[1] = fcntl(err[1], F_DUPFD, 100);
		ctl[1] = fcntl(ctl[1], F_DUPFD, 100);
		dup2(io[1], 0);
		dup2(io[1], 1);
		dup2(err[1], 2);
		dup2(ctl[1], 3);
		execve(nanny_path, argv, env);
		_exit(125);
	}
	close(io[1]);
	close(err[1]);
	close(ctl[1]);
	send_frame(ctl[0], x);
	close(ctl[0]);
	s->io = io[0];
	s->err = err[0];
}

/* One line, or what there is within 5 s. */
static long
read_number(struct started *s)
{
	struct pollfd pfd = {.fd = s->io, .events = POLLIN};
	char buf[64];
	size_t n = 0;

	while (n < sizeof(buf) - 1 && poll(&pfd, 1, 5000) == 1 &&
	       read(s->io, buf + n, 1) == 1 && buf[n] != '\n')
		n++;
	buf[n] = '\0';
	return atol(buf);
}

static void
read_all(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size - 1 && (got = read(fd, buf + n, size - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = '\0';
	close(fd);
}

static void
finish(struct started *s)
{
	read_all(s->io, s->out, sizeof(s->out));
	read_all(s->err, s->errout, sizeof(s->errout));
	CHECK(waitpid(s->pid, &s->status, 0) == s->pid);
}

static int
run_exec(struct started *s, struct m_exec *x)
{
	start(s, x);
	wire_free(&def_m_exec, x);
	finish(s);
	return WIFEXITED(s->status) ? WEXITSTATUS(s->status) : -1;
}

static void
exec_try(struct m_exec *x, const char *what, const char *arg)
{
	exec_init(x, prog, what, arg);
	strv_add(&x->program, bin);
	exec_env(x, "ASAN_OPTIONS", "detect_leaks=0");
}

static inline int
run_try(const char *what, const char *arg)
{
	struct started s;
	struct m_exec x;

	exec_try(&x, what, arg);
	return run_exec(&s, &x);
}

static int
is_gone(pid_t pid)
{
	return pid > 1 && kill(pid, 0) == -1 && errno == ESRCH;
}

static void
msleep(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static inline int
dies_within(pid_t pid, int ms, int *status)
{
	for (; ms > 0; ms -= 10) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return 1;
		msleep(10);
	}
	return 0;
}

static void
make_dir(char *path, size_t size, const char *name, mode_t mode)
{
	snprintf(path, size, "%s/%s", dir, name);
	CHECK(mkdir(path, 0700) == 0 && chmod(path, mode) == 0);
	if (geteuid() == 0 && mode == 0700)
		CHECK(chown(path, OTHER_UID, OTHER_UID) == 0);
}

static void
make_file(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", outside, name);
	if ((fd = open(path, O_CREAT | O_WRONLY, 0600)) != -1)
		CHECK(fchmod(fd, 0666) == 0);
	close(fd);
}

static void
copy_self(const char *to, mode_t mode)
{
	char buf[65536];
	ssize_t n;
	int in, out;

	in = open("/proc/self/exe", O_RDONLY);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0700);
	while ((n = read(in, buf, sizeof(buf))) > 0) {
		if (write(out, buf, (size_t)n) != n)
			break;
	}
	CHECK(n == 0 && fchmod(out, mode) == 0);
	close(in);
	close(out);
}

static void
prepare(void)
{
	char cwd[PATH_MAX];
	const char *obj;

	if ((obj = getenv("OBJ")) == NULL)
		obj = "obj";
	if (obj[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		cwd[0] = '\0';
	CHECK(snprintf(nanny_path, sizeof(nanny_path), "%s%s%s/nanny", cwd,
		  obj[0] == '/' ? "" : "/", obj) < (int)sizeof(nanny_path));
	CHECK(access(nanny_path, X_OK) == 0);
	CHECK(mkdtemp(dir) != NULL && chmod(dir, 0755) == 0);
	make_dir(bin, sizeof(bin), "bin", 0755);
	make_dir(home, sizeof(home), "home", 0700);
	make_dir(own, sizeof(own), "own", 0700);
	make_dir(shared, sizeof(shared), "shared", 0700);
	make_dir(outside, sizeof(outside), "outside", 0777);
	make_file("file");
	make_file("other");
	CHECK(snprintf(prog, sizeof(prog), "%s/bin/helper", dir) <
	      (int)sizeof(prog));
	CHECK(snprintf(setuid_prog, sizeof(setuid_prog), "%s/bin/setuid", dir) <
	      (int)sizeof(setuid_prog));
	copy_self(prog, 0755);
	copy_self(setuid_prog, 06755);
	have_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0,
			    LANDLOCK_CREATE_RULESET_VERSION) > 0;
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
}

static void
clean(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK(system(cmd) == 0);
}

#endif
