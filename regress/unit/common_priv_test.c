/*
 * How a child starts: M_START and not a byte more, nothing left open, nothing
 * left of root.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "imsg.h"
#include "log.h"
#include "priv.h"
#include "test.h"

#define OTHER_ID 65534

static char jail[] = "/tmp/priv_test."
		     "XX"
		     "XX"
		     "XX";

/* In the child; the number of the check that failed, or 0. */
static int
check_boot(struct m_start *start)
{
	struct sigaction sa;
	struct imsgbuf ib;
	struct imsg im;
	int fd, ret = 0;

	priv_boot(start, ROLE_KEEPER);
	if (start->worker != 77 || strcmp(start->jail, jail) != 0)
		return 1;
	for (fd = PROTO_CONTROL_FD + 1; fd < 256; fd++) {
		if (fcntl(fd, F_GETFD) != -1)
			return 2;
	}
	if (umask(0) != 077)
		return 3;
	if (sigaction(SIGPIPE, NULL, &sa) == -1 || sa.sa_handler != SIG_IGN ||
	    sigaction(SIGHUP, NULL, &sa) == -1 || sa.sa_handler != SIG_IGN ||
	    sigaction(SIGINT, NULL, &sa) == -1 || sa.sa_handler != SIG_IGN)
		return 4;
	/* The message behind it is whole and has its descriptor. */
	imsgbuf_init(&ib, PROTO_CONTROL_FD);
	imsgbuf_allow_fdpass(&ib);
	if (imsgbuf_read(&ib) != 1 || imsg_get(&ib, &im) != 1)
		return 5;
	if (im.hdr.type != M_CHANNEL || im.fd == -1)
		ret = 6;
	imsg_free(&im);
	imsgbuf_clear(&ib);
	return ret;
}

static int
check_drop(const struct m_start *start)
{
	struct rlimit rl;
	gid_t g[8];

	priv_drop(start);
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 10;
	if (getrlimit(RLIMIT_CORE, &rl) == -1 || rl.rlim_max != 0)
		return 11;
	if (!start->root)
		return 0;
	if (getuid() != OTHER_ID || geteuid() != OTHER_ID ||
	    getgid() != OTHER_ID || setuid(0) == 0)
		return 12;
	if (getgroups(8, g) != 1 || g[0] != OTHER_ID)
		return 13;
	if (access("/etc/passwd", F_OK) == 0 || access("/mark", F_OK) == -1)
		return 14;
	return 0;
}

static int
run(const struct m_start *start)
{
	struct m_channel ch = {ROLE_WORKER, 1, 1};
	struct m_start got;
	struct imsgbuf ib;
	uint8_t *p;
	size_t len;
	int sv[2], ret, status;
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (sv[1] != PROTO_CONTROL_FD)
			dup2(sv[1], PROTO_CONTROL_FD);
		log_setlevel(LOG_L_ERROR);
		/* fatal() says so on standard error; not part of this. */
		close(STDERR_FILENO);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		ret = check_boot(&got);
		_exit(ret != 0 ? ret : check_drop(&got));
	}
	close(sv[1]);
	imsgbuf_init(&ib, sv[0]);
	CHECK((p = wire_encode(&def_m_start, start, &len)) != NULL);
	CHECK(imsg_compose(&ib, M_START, 0, -1, p, len) == 1);
	free(p);
	CHECK((p = wire_encode(&def_m_channel, &ch, &len)) != NULL);
	CHECK(imsg_compose(&ib, M_CHANNEL, 0, dup(0), p, len) == 1);
	free(p);
	(void)imsgbuf_write(&ib);
	CHECK(waitpid(pid, &status, 0) == pid);
	imsgbuf_clear(&ib);
	if (!WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

int
main(void)
{
	struct m_start good = {.version = PROTO_VERSION,
	    .role = ROLE_KEEPER,
	    .debug = 1,
	    .uid = OTHER_ID,
	    .gid = OTHER_ID,
	    .worker = 77};
	struct m_start m;
	char mark[64];

	signal(SIGPIPE, SIG_IGN);
	CHECK(mkdtemp(jail) != NULL && chmod(jail, 0755) == 0);
	snprintf(mark, sizeof(mark), "%s/mark", jail);
	close(open(mark, O_CREAT | O_WRONLY, 0644));
	good.jail = jail;
	CHECK(run(&good) == 0);
	if (getuid() == 0) {
		good.root = 1;
		CHECK(run(&good) == 0);
		m = good;
		m.uid = 0;
		CHECK(run(&m) == 1);
		m = good;
		m.gid = 0;
		CHECK(run(&m) == 1);
		m = good;
		m.jail = NULL;
		CHECK(run(&m) == 1);
	}
	m = good;
	m.version++;
	CHECK(run(&m) == 1);
	m = good;
	m.role = ROLE_AUTHD;
	CHECK(run(&m) == 1);
	CHECK(unlink(mark) == 0 && rmdir(jail) == 0);
	TEST_END();
}
