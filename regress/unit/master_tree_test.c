/*
 * What is ended when a nanny was killed, and what else lives as our child and
 * is not. We are master, and what loses its parent below us comes to us.
 */
#include <sys/types.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../master/master.h"
#include "compat.h"
#include "test.h"

#define BACKEND 65534
#define OTHER   65533
#define TICK    20 /* ms, more than one of the kernel's */

static uid_t user; /* of the backend */
static pid_t known;

static void
msleep(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static void
confine(void)
{
	struct sock_filter f[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog filter = {1, f};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == -1)
		_exit(1);
}

static void
become(uid_t uid)
{
	if (getuid() != uid && setresuid(uid, uid, uid) == -1)
		_exit(1);
}

static void
wait_for_end(void)
{
	for (;;)
		pause();
}

/* Says on fd who it is, once it is what it is to be. */
static void
say_self(int fd)
{
	pid_t self = getpid();

	if (write(fd, &self, sizeof self) != sizeof self)
		_exit(1);
	wait_for_end();
}

static pid_t
hear(int fd)
{
	pid_t pid = -1;

	CHECK(read(fd, &pid, sizeof pid) == sizeof pid && pid > 1);
	return pid;
}

/* A child of ours that no nanny has started. */
static pid_t
other(int confined, uid_t uid)
{
	int p[2];
	pid_t pid;

	CHECK(pipe(p) == 0);
	if ((pid = fork()) == 0) {
		if (confined)
			confine();
		become(uid);
		say_self(p[1]);
	}
	CHECK(hear(p[0]) == pid);
	close(p[0]);
	close(p[1]);
	return pid;
}

/* What a nanny has started, with a child of its own; when nanny began. */
static uint64_t
left_by_nanny(pid_t *orphan, pid_t *below)
{
	int p[2], status;
	uint64_t born;
	pid_t nanny;

	CHECK(pipe(p) == 0);
	if ((nanny = fork()) == 0) {
		if (fork() != 0)
			wait_for_end();
		confine();
		become(user);
		if (fork() == 0)
			say_self(p[1]);
		say_self(p[1]);
	}
	*orphan = hear(p[0]);
	*below = hear(p[0]);
	close(p[0]);
	close(p[1]);
	born = tree_born(nanny);
	CHECK(born != 0);
	CHECK(kill(nanny, SIGKILL) == 0 && waitpid(nanny, &status, 0) == nanny);
	return born;
}

static int
is_known(pid_t pid)
{
	return pid == known;
}

/* Reaps it. */
static int
is_killed(pid_t pid)
{
	int status, i;

	for (i = 0; i < 100; i++, msleep(TICK))
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) &&
			       WTERMSIG(status) == SIGKILL;
	return 0;
}

static void
take(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, WNOHANG) == 0);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
}

static void
test_orphans(void)
{
	pid_t before, plain, foreign = 0, orphan, below;
	uint64_t born;

	/* As a side-car of the script that became mcpgwd. */
	before = other(1, user);
	msleep(TICK);
	born = left_by_nanny(&orphan, &below);
	/* As what has lost its parent in a container that we are first in. */
	plain = other(0, user);
	if (getuid() == 0)
		foreign = other(1, OTHER);
	known = other(1, user);
	tree_orphans(user, born, is_known);
	CHECK(is_killed(orphan));
	CHECK(is_killed(below));
	take(before);
	take(plain);
	take(known);
	if (foreign != 0)
		take(foreign);
	/* When nothing is known of nanny. */
	known = 0;
	plain = other(1, user);
	tree_orphans(user, 0, is_known);
	take(plain);
}

int
main(void)
{
	user = getuid() == 0 ? BACKEND : getuid();
	alarm(60);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	test_orphans();
	/* The filter that a container has is not one of ours. */
	confine();
	test_orphans();
	TEST_END();
}
