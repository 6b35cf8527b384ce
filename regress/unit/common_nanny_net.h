#ifndef COMMON_NANNY_NET_H
#define COMMON_NANNY_NET_H

/*
 * What a child with "network: loopback" tries; its argument is the port of
 * somebody who listens on 127.0.0.1 and ::1, another's who does not answer, or
 * a path. A try ends with its errno as exit status, or 0.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTSIDE  "192.0.2.1" /* TEST-NET-1: nobody is there */
#define OUTSIDE6 "2001:db8::1"

static socklen_t
net_addr(struct sockaddr_storage *ss, const char *host, const char *port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	in->sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		ss->ss_family = AF_INET;
		return sizeof(*in);
	}
	ss->ss_family = AF_INET6;
	return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? sizeof(*in6)
							       : 0;
}

static int
net_connect(const char *host, const char *port)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr(&ss, host, port);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0), ret;

	if (fd == -1)
		return errno;
	ret = connect(fd, (struct sockaddr *)&ss, len) == -1 ? errno : 0;
	close(fd);
	return ret;
}

static void *
net_thread(void *port)
{
	static int ret;

	ret = net_connect("127.0.0.1", port);
	return &ret;
}

static int
net_in_thread(const char *port)
{
	pthread_t t;
	void *ret;

	if (pthread_create(&t, NULL, net_thread, (char *)(uintptr_t)port) !=
		0 ||
	    pthread_join(t, &ret) != 0)
		return 255;
	return *(int *)ret;
}

static int
net_in_child(const char *port)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(net_connect("127.0.0.1", port));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
		   ? WEXITSTATUS(status)
		   : 255;
}

static struct sockaddr_storage flip;
static volatile int flipping = 1;

static void *
net_flip(void *arg)
{
	struct in_addr *at = &((struct sockaddr_in *)&flip)->sin_addr;
	struct in_addr out;

	(void)arg;
	(void)inet_pton(AF_INET, OUTSIDE, &out);
	while (flipping) {
		*(volatile in_addr_t *)&at->s_addr = out.s_addr;
		*(volatile in_addr_t *)&at->s_addr = htonl(INADDR_LOOPBACK);
	}
	return NULL;
}

/* The address changes all the time: what is connected to is ours, or nothing
 * is. */
static int
net_race(const char *port)
{
	struct sockaddr_in from;
	socklen_t len;
	pthread_t t;
	int fd, i, ret = 0, got = 0, refused = 0;

	(void)net_addr(&flip, "127.0.0.1", port);
	if (pthread_create(&t, NULL, net_flip, NULL) != 0)
		return 255;
	for (i = 0; i < 300 && ret == 0; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fd, (struct sockaddr *)&flip,
			sizeof(struct sockaddr_in)) == -1 &&
		    errno != EINPROGRESS) {
			refused++;
			if (errno != EPERM)
				ret = errno;
		} else {
			len = sizeof(from);
			got++;
			if (getsockname(fd, (struct sockaddr *)&from, &len) ==
				-1 ||
			    from.sin_addr.s_addr != htonl(INADDR_LOOPBACK))
				ret = 254;
		}
		close(fd);
	}
	flipping = 0;
	(void)pthread_join(t, NULL);
	return ret != 0 ? ret : got == 0 || refused == 0 ? 253 : 0;
}

static void *
net_stuck(void *port)
{
	(void)net_connect("127.0.0.1", port);
	return NULL;
}

/* "silent port": one that waits keeps nobody else waiting. */
static int
net_beside(const char *ports)
{
	const char *second = strchr(ports, ' ') + 1;
	char first[16] = {0};
	pthread_t t;

	memcpy(first, ports, (size_t)(second - 1 - ports));
	if (pthread_create(&t, NULL, net_stuck, first) != 0)
		return 255;
	usleep(200000);
	return net_connect("127.0.0.1", second);
}

static int
net_stay(const char *port)
{
	dprintf(STDOUT_FILENO, "%ld\n", (long)getpid());
	return net_connect("127.0.0.1", port);
}

static volatile sig_atomic_t alarms;

static void
net_on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A signal as often as can be; a call that one interrupts is made again. */
static void
net_alarms(int us)
{
	struct sigaction sa;
	struct itimerval it = {{0, us}, {0, us}};

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = net_on_alarm;
	sa.sa_flags = SA_RESTART;
	(void)sigaction(SIGALRM, &sa, NULL);
	(void)setitimer(ITIMER_REAL, &it, NULL);
}

/* Each call is made once, whatever signals come. */
static int
net_once(const char *port)
{
	struct sockaddr_storage to, any;
	socklen_t len = net_addr(&to, "127.0.0.1", port), alen;
	int fd, i, ret = 0;

	alen = net_addr(&any, "127.0.0.1", "0");
	net_alarms(50);
	for (i = 0; i < 500 && ret == 0; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&any, alen) == -1 ||
		    connect(fd, (struct sockaddr *)&to, len) == -1)
			ret = errno;
		close(fd);
	}
	return ret != 0 ? ret : alarms == 0 ? 253 : 0;
}

/* Waits for somebody who never answers, under signals. */
static int
net_stay_alarmed(const char *port)
{
	dprintf(STDOUT_FILENO, "%ld\n", (long)getpid());
	net_alarms(1000);
	return net_connect("127.0.0.1", port);
}

#define MANY 80

/* "silent port": of 80 processes that want to wait says how many are refused
 * with EAGAIN; told to by a line ends them all, and connects where somebody
 * answers. */
static int
net_many(const char *ports)
{
	const char *second = strchr(ports, ' ') + 1;
	char first[16] = {0};
	pid_t pids[MANY];
	int i, status, round, refused = 0;
	char c;

	memcpy(first, ports, (size_t)(second - 1 - ports));
	for (i = 0; i < MANY; i++)
		if ((pids[i] = fork()) == 0)
			_exit(net_connect("127.0.0.1", first));
	/* More than expected would come soon after. */
	for (round = 0; round < 100 && refused < MANY - 64; round++) {
		usleep(50000);
		for (i = 0; i < MANY; i++) {
			if (pids[i] == 0 ||
			    waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			pids[i] = 0;
			refused +=
			    WIFEXITED(status) && WEXITSTATUS(status) == EAGAIN;
		}
	}
	dprintf(STDOUT_FILENO, "%d\n", refused);
	if (read(STDIN_FILENO, &c, 1) != 1)
		return 252;
	for (i = 0; i < MANY; i++)
		if (pids[i] != 0)
			kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		continue;
	return net_connect("127.0.0.1", second);
}

static int
net_bind(const char *host)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr(&ss, host, "0");
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&ss, len) == -1 ||
	    listen(fd, 1) == -1)
		return errno;
	return 0;
}

static int
net_listen(const char *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	return listen(fd, 1) == -1 ? errno : 0;
}

/* 0: what listens there hears the loopback interface and nothing else, and the
 * child can not change that. */
static int
net_tied(int fd)
{
	char device[IFNAMSIZ] = "";
	socklen_t len = sizeof(device);

	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len) == -1)
		return errno;
	if (strcmp(device, "lo") != 0)
		return ENODEV;
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 1) == -1 &&
		       errno == EPERM
		   ? 0
		   : EISCONN;
}

static int
net_serve(const char *host)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr(&ss, host, "0");
	int fd = socket(ss.ss_family, SOCK_STREAM, 0), to;

	if (bind(fd, (struct sockaddr *)&ss, len) == -1 ||
	    listen(fd, 4) == -1 || listen(fd, 8) == -1 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return errno;
	to = socket(ss.ss_family, SOCK_STREAM, 0);
	if (connect(to, (struct sockaddr *)&ss, len) == -1 ||
	    accept(fd, NULL, NULL) == -1)
		return errno;
	return net_tied(fd);
}

static int
net_fastopen(const char *host)
{
	struct sockaddr_storage ss;
	socklen_t len = net_addr(&ss, host, "9");
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	return sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&ss, len) ==
		       -1
		   ? errno
		   : 0;
}

static int
net_unix(const char *path, int (*call)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un un;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memset(&un, 0, sizeof(un));
	un.sun_family = AF_UNIX;
	strncpy(un.sun_path, path, sizeof(un.sun_path) - 1);
	/* Names without a file begin with a zero. */
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	return call(fd, (struct sockaddr *)&un, sizeof(un)) == -1 ? errno : 0;
}

static int
net_unix_connect(const char *path)
{
	return net_unix(path, connect);
}

static int
net_unix_bind(const char *path)
{
	return net_unix(path, bind);
}

#define NET_TO(name, host)                      \
	static int name(const char *port)       \
	{                                       \
		return net_connect(host, port); \
	}
NET_TO(net_v4, "127.0.0.1")
NET_TO(net_v4_high, "127.9.8.7")
NET_TO(net_v6, "::1")
NET_TO(net_mapped, "::ffff:127.0.0.1")
NET_TO(net_any, "0.0.0.0")
NET_TO(net_any6, "::")
NET_TO(net_out, OUTSIDE)
NET_TO(net_out6, OUTSIDE6)
NET_TO(net_out_mapped, "::ffff:" OUTSIDE)
NET_TO(net_almost, "128.0.0.1")
#undef NET_TO

static int
net_type(const char *arg)
{
	int fd = socket(atoi(arg) == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);

	return fd == -1 ? errno : 0;
}

static int
net_try(const char *what, const char *arg)
{
	static const struct {
		const char *name;
		int (*run)(const char *);
	} tries[] = {{"v4", net_v4}, {"v4 high", net_v4_high}, {"v6", net_v6},
	    {"mapped", net_mapped}, {"any", net_any}, {"any6", net_any6},
	    {"out", net_out}, {"out6", net_out6},
	    {"out mapped", net_out_mapped}, {"almost", net_almost},
	    {"thread", net_in_thread}, {"child", net_in_child},
	    {"race", net_race}, {"beside", net_beside}, {"stay", net_stay},
	    {"alarmed", net_stay_alarmed}, {"once", net_once},
	    {"many", net_many}, {"bind", net_bind}, {"listen", net_listen},
	    {"serve", net_serve}, {"fastopen", net_fastopen},
	    {"datagram", net_type}, {"unix", net_unix_connect},
	    {"unix bind", net_unix_bind}};
	size_t i;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		if (strcmp(what, tries[i].name) == 0)
			return tries[i].run(arg);
	return 255;
}

#endif
