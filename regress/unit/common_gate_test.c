/*
 * network: loopback. Nanny is asked for each connect, bind and listen of its
 * child, whatever thread or process of it that is and whatever it does with
 * the address meanwhile.
 */
#include <netinet/in.h>

#include <linux/seccomp.h>

#include "common_nanny_harness.h"
#include "common_nanny_net.h"

static int servers[2] = {-1, -1}, quiet = -1, fillers[16], local = -1;
static char port[16], silent[16], ports[40];

static int
run_net(const char *what, const char *arg)
{
	struct started s;
	struct m_exec x;

	exec_try(&x, what, arg);
	x.network = NETWORK_LOOPBACK;
	return run_exec(&s, &x);
}

static int
listener(int family, uint16_t *at)
{
	struct sockaddr_storage ss;
	char text[16];
	socklen_t len;
	int fd, on = 1;

	snprintf(text, sizeof(text), "%u", *at);
	len = net_addr(&ss, family == AF_INET ? "127.0.0.1" : "::1", text);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (fd == -1 || bind(fd, (struct sockaddr *)&ss, len) == -1 ||
	    listen(fd, *at == 0 && family == AF_INET ? 0 : 1024) == -1 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return -1;
	*at = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	return fd;
}

static void
start_servers(void)
{
	struct sockaddr_storage ss;
	struct sockaddr_un un;
	uint16_t p = 0;
	socklen_t len;
	size_t i;

	CHECK((servers[0] = listener(AF_INET, &p)) != -1);
	CHECK(listen(servers[0], 1024) == 0);
	snprintf(port, sizeof(port), "%u", p);
	servers[1] = listener(AF_INET6, &p);
	p = 0;
	CHECK((quiet = listener(AF_INET, &p)) != -1);
	snprintf(silent, sizeof(silent), "%u", p);
	snprintf(ports, sizeof(ports), "%s %s", silent, port);
	/* Its queue is full: whoever connects to it waits. */
	len = net_addr(&ss, "127.0.0.1", silent);
	for (i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
		fillers[i] = socket(
		    AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fillers[i], (struct sockaddr *)&ss, len);
	}
	memset(&un, 0, sizeof(un));
	un.sun_family = AF_UNIX;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", home);
	local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(local, (struct sockaddr *)&un, sizeof(un)) == 0 &&
	      chmod(un.sun_path, 0777) == 0 && listen(local, 16) == 0);
}

static void
stop_servers(void)
{
	size_t i;

	close(servers[0]);
	if (servers[1] != -1)
		close(servers[1]);
	close(quiet);
	close(local);
	for (i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++)
		close(fillers[i]);
}

static void
test_here(void)
{
	CHECK(run_net("v4", port) == 0);
	CHECK(run_net("any", port) == 0);
	/* An address of this machine where nobody listens. */
	CHECK(run_net("v4 high", port) == ECONNREFUSED);
	if (servers[1] != -1) {
		CHECK(run_net("v6", port) == 0);
		CHECK(run_net("mapped", port) == 0);
		CHECK(run_net("any6", port) == 0);
		CHECK(run_net("bind", "::1") == 0);
	}
	CHECK(run_net("thread", port) == 0);
	CHECK(run_net("child", port) == 0);
	CHECK(run_net("bind", "127.0.0.1") == 0);
}

static void
test_elsewhere(void)
{
	static const char *const refused[] = {
	    "out", "out6", "out mapped", "almost"};
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		CHECK(run_net(refused[i], "9") == EPERM);
	CHECK(run_net("bind", "0.0.0.0") == EPERM);
	CHECK(run_net("bind", "::") == EPERM);
	CHECK(run_net("bind", OUTSIDE) == EPERM);
	CHECK(run_net("listen", NULL) == EPERM);
	CHECK(run_net("fastopen", OUTSIDE) == EPERM);
	CHECK(run_net("fastopen", "127.0.0.1") == EPERM);
	CHECK(run_net("datagram", "4") == EAFNOSUPPORT);
	CHECK(run_net("datagram", "6") == EAFNOSUPPORT);
	CHECK(run_net("race", port) == 0);
}

static void
test_local(void)
{
	char path[96];

	CHECK(run_net("serve", "127.0.0.1") == 0);
	snprintf(path, sizeof(path), "%s/s", home);
	CHECK(run_net("unix", path) == 0);
	CHECK(run_net("unix", "s") == 0); /* below its directory */
	CHECK(run_net("unix", "no-such") == ENOENT);
	CHECK(run_net("unix", "@name") == EPERM);
	snprintf(path, sizeof(path), "%s/new", outside);
	CHECK(run_net("unix bind", path) == EPERM);
	CHECK(access(path, F_OK) == -1);
	CHECK(run_net("unix bind", "@name") == EPERM);
}

/* What waits keeps nobody waiting, and goes when it is told to. */
static void
test_waiting(void)
{
	struct started s;
	struct m_exec x;
	long pid;

	CHECK(run_net("beside", ports) == 0);
	exec_try(&x, "stay", silent);
	x.network = NETWORK_LOOPBACK;
	start(&s, &x);
	wire_free(&def_m_exec, &x);
	pid = read_number(&s);
	CHECK(pid > 1);
	msleep(200);
	CHECK(kill(s.pid, 0) == 0);
	(void)kill(s.pid, SIGUSR1);
	finish(&s);
	CHECK(is_gone((pid_t)pid));
}

/* The processes of nanny's own that are below it: who makes calls, and the
 * child. */
static int
below(pid_t nanny)
{
	char path[64], line[4096] = "";
	FILE *fp;
	int n = 0;
	char *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)nanny,
	    (int)nanny);
	if ((fp = fopen(path, "r")) == NULL)
		return -1;
	if (fgets(line, sizeof(line), fp) == NULL)
		line[0] = '\0';
	fclose(fp);
	for (p = line; (p = strchr(p, ' ')) != NULL; p++)
		n++;
	return n;
}

/* A signal does not make a call twice, or leave somebody behind who waits. */
static void
test_signals(void)
{
	struct started s;
	struct m_exec x;

	/* Linux 5.19: it looks at the flags before it looks at the filter. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | 1U << 5, NULL) == -1 &&
	    errno == EFAULT)
		CHECK(run_net("once", port) == 0);
	else
		printf("gate: a signal may make a call twice here\n");
	exec_try(&x, "alarmed", silent);
	x.network = NETWORK_LOOPBACK;
	start(&s, &x);
	wire_free(&def_m_exec, &x);
	CHECK(read_number(&s) > 1);
	msleep(300);
	CHECK(below(s.pid) == 2);
	(void)kill(s.pid, SIGUSR1);
	finish(&s);
}

/* No more than 64 wait at a time, and who is gone does not count. */
static void
test_many(void)
{
	struct started s;
	struct m_exec x;

	exec_try(&x, "many", ports);
	x.network = NETWORK_LOOPBACK;
	start(&s, &x);
	wire_free(&def_m_exec, &x);
	CHECK(read_number(&s) == MANY - 64);
	CHECK(below(s.pid) == 1 + 64);
	CHECK(write(s.io, "\n", 1) == 1);
	finish(&s);
	CHECK(WIFEXITED(s.status) && WEXITSTATUS(s.status) == 0);
}

/* Nanny is killed: who waits in its place goes, too. */
static void
test_killed(void)
{
	struct started s;
	struct m_exec x;
	int n = 0;

	exec_try(&x, "stay", silent);
	x.network = NETWORK_LOOPBACK;
	start(&s, &x);
	wire_free(&def_m_exec, &x);
	CHECK(read_number(&s) > 1);
	msleep(200);
	CHECK(below(s.pid) == 2);
	(void)kill(s.pid, SIGKILL);
	finish(&s);
	/* They are ours now. */
	alarm(5);
	while (waitpid(-1, NULL, 0) > 0)
		n++;
	alarm(0);
	CHECK(n == 2);
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		_exit(net_try(argv[1], argv[2]));
	prepare();
	start_servers();
	test_here();
	test_elsewhere();
	test_local();
	test_waiting();
	test_signals();
	test_many();
	test_killed();
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
	stop_servers();
	clean();
	TEST_END();
}
