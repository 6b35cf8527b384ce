/*
 * network: loopback. A filter can not see addresses, so the kernel asks nanny
 * about each connect, bind and listen of the child (SECCOMP_RET_USER_NOTIF).
 * Nanny does not tell the kernel to go on, since what it has looked at may
 * change before the kernel looks: it takes a copy of the address and of the
 * descriptor and makes the call itself, in a process of its own that may block.
 * No signal but one that ends it interrupts whoever has asked (Linux 5.19): to
 * ask again would be to make the call twice.
 */
#include <sys/types.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"

#if defined(__linux__)

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINE_MAX_STATUS 4096
#define LOOPBACK        "lo"
#define CALLS_MAX       64 /* calls that wait at a time */
#define CALLS_WAIT      20 /* ms that those who were killed may take to go */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage any;
};

static pid_t leader(pid_t);
static int valid(int, uint64_t);
static int alive(int, const struct seccomp_notif *);
static int take_descriptor(pid_t, int);
static int take_address(
    pid_t, const struct seccomp_notif *, union address *, socklen_t *);
static int is_loopback(const union address *, int);
static int unix_path(pid_t, union address *, socklen_t *);
static int permitted(pid_t, int, int, union address *, socklen_t *);
static int may_listen(int);
static int do_it(int, const struct seccomp_notif *);
static void answer(int, uint64_t, int);
static void make_call(int, const struct seccomp_notif *, pid_t)
    __attribute__((noreturn));
static unsigned int drop_calls(int, unsigned int *);
static int room_for_call(int);

/* The processes that make calls, by the question that each answers. They are
 * not the child's, whose limit does not count them. */
static struct call {
	pid_t pid; /* 0: none */
	uint64_t id;
} calls[CALLS_MAX];

int
sandbox_gate_send(int sock, int fd)
{
	struct msghdr m;
	char c = 0, buf[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&c, 1};
	struct cmsghdr *cm;

	memset(&m, 0, sizeof(m));
	memset(buf, 0, sizeof(buf));
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = buf;
	m.msg_controllen = sizeof(buf);
	cm = CMSG_FIRSTHDR(&m);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	return sendmsg(sock, &m, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int
sandbox_gate_take(int sock)
{
	struct msghdr m;
	char c, buf[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&c, 1};
	struct cmsghdr *cm;
	ssize_t n;
	int fd = -1;

	memset(&m, 0, sizeof(m));
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = buf;
	m.msg_controllen = sizeof(buf);
	do {
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == 1 && (cm = CMSG_FIRSTHDR(&m)) != NULL &&
	    cm->cmsg_type == SCM_RIGHTS &&
	    cm->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(cm), sizeof(int));
	return fd;
}

/* The question names a thread; descriptors are asked of its process. */
static pid_t
leader(pid_t tid)
{
	char path[64], buf[LINE_MAX_STATUS], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	/* Its name is on the first line and may hold anything but a newline. */
	p = strstr(buf, "\nTgid:");
	return p == NULL ? -1 : (pid_t)strtol(p + 6, NULL, 10);
}

/* Does whoever asked still wait? If not its number may be another's now. */
static int
valid(int gate, uint64_t id)
{
	return ioctl(gate, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static int
alive(int gate, const struct seccomp_notif *q)
{
	return valid(gate, q->id);
}

static int
take_descriptor(pid_t pid, int theirs)
{
	int pidfd, fd;

	if ((pidfd = (int)syscall(SYS_pidfd_open, pid, 0)) == -1)
		return -1;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	close(pidfd);
	return fd;
}

static int
take_address(
    pid_t pid, const struct seccomp_notif *q, union address *a, socklen_t *len)
{
	char path[64];
	ssize_t n;
	int fd;

	memset(a, 0, sizeof(*a));
	*len = (socklen_t)q->data.args[2];
	if (q->data.args[2] > sizeof(*a) || *len < sizeof(a->sa.sa_family)) {
		errno = EINVAL;
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	n = pread(fd, a, *len, (off_t)q->data.args[1]);
	close(fd);
	if (n == (ssize_t)*len)
		return 0;
	errno = EFAULT;
	return -1;
}

/* any: the address of no interface, which is this machine to connect(2) and
 * every interface to bind(2). */
static int
is_loopback(const union address *a, int any)
{
	const uint8_t *b;
	uint32_t v4;

	if (a->sa.sa_family == AF_INET)
		v4 = ntohl(a->in.sin_addr.s_addr);
	else if (a->sa.sa_family != AF_INET6)
		return 0;
	else if (IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr))
		return 1;
	else if (IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr))
		return any;
	else if (!IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return 0;
	else {
		b = a->in6.sin6_addr.s6_addr + 12;
		v4 = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
		     (uint32_t)b[2] << 8 | b[3];
	}
	return v4 == INADDR_ANY ? any : v4 >> 24 == 127;
}

/* From where the child stands. Names without a file are out of its reach by
 * Landlock, and would be in ours. */
static int
unix_path(pid_t pid, union address *a, socklen_t *len)
{
	char name[sizeof(a->un.sun_path) + 1];
	size_t n = *len - offsetof(struct sockaddr_un, sun_path);
	int made;

	if (*len <= offsetof(struct sockaddr_un, sun_path) ||
	    n >= sizeof(name) || a->un.sun_path[0] == '\0')
		return -1;
	memcpy(name, a->un.sun_path, n);
	name[n] = '\0';
	if (name[0] == '/')
		return 0;
	made = snprintf(a->un.sun_path, sizeof(a->un.sun_path),
	    "/proc/%d/cwd/%s", (int)pid, name);
	*len = sizeof(a->un);
	return made < (int)sizeof(a->un.sun_path) ? 0 : -1;
}

/* By what the socket is, not by what the address says that it be. */
static int
permitted(pid_t pid, int fd, int nr, union address *a, socklen_t *len)
{
	socklen_t size = sizeof(int);
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == -1)
		return 0;
	/* A file that is made here would be made without Landlock. */
	if (domain == AF_UNIX)
		return nr == SYS_connect && unix_path(pid, a, len) == 0;
	if (domain != AF_INET && domain != AF_INET6)
		return nr == SYS_bind && domain == AF_NETLINK;
	if (nr == SYS_connect && a->sa.sa_family == AF_UNSPEC)
		return 1;
	return is_loopback(a, nr == SYS_connect);
}

/*
 * One that is not bound would be bound to every interface, and another call on
 * it, which fails or takes it apart, may do that between our look and listen():
 * so it is first tied to the loopback interface, which only root unties.
 */
static int
may_listen(int fd)
{
	char device[IFNAMSIZ] = "";
	union address a;
	socklen_t len = sizeof(a), size = sizeof(device);

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.sa, &len) == -1)
		return 0;
	if (a.sa.sa_family == AF_UNIX)
		return 1;
	if (!is_loopback(&a, 0))
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, LOOPBACK,
		sizeof(LOOPBACK)) == 0)
		return 1;
	/* It has listened before. */
	return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size) ==
		   0 &&
	       strcmp(device, LOOPBACK) == 0;
}

/* 0 or an errno. */
static int
do_it(int gate, const struct seccomp_notif *q)
{
	int nr = q->data.nr, fd, bad;
	pid_t pid = leader((pid_t)q->pid);
	union address a;
	socklen_t len;

	if (pid <= 0 || !alive(gate, q))
		return EPERM;
	if ((fd = take_descriptor(pid, (int)q->data.args[0])) == -1)
		return errno == EBADF ? EBADF : EPERM;
	if (nr == SYS_listen) {
		if (!alive(gate, q) || !may_listen(fd))
			return EPERM;
		return listen(fd, (int)q->data.args[1]) == -1 ? errno : 0;
	}
	if (take_address(pid, q, &a, &len) == -1)
		return errno;
	if (!alive(gate, q) || !permitted(pid, fd, nr, &a, &len))
		return EPERM;
	if (nr == SYS_bind)
		bad = bind(fd, &a.sa, len);
	else
		bad = connect(fd, &a.sa, len);
	return bad == -1 ? errno : 0;
}

static void
answer(int gate, uint64_t id, int error)
{
	struct seccomp_notif_resp r;

	memset(&r, 0, sizeof(r));
	r.id = id;
	r.error = -error;
	(void)ioctl(gate, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

/* It ends with nanny, whatever it waits for. */
static void
make_call(int gate, const struct seccomp_notif *q, pid_t nanny)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() == nanny)
		answer(gate, q->id, do_it(gate, q));
	_exit(0);
}

/* Whoever asked may be gone, and the one who makes its call wait on: it is
 * killed. How many there are; *doomed of them have been. */
static unsigned int
drop_calls(int gate, unsigned int *doomed)
{
	unsigned int n = 0;
	struct call *c;

	*doomed = 0;
	for (c = calls; c < calls + CALLS_MAX; c++) {
		if (c->pid == 0)
			continue;
		if (waitpid(c->pid, NULL, WNOHANG) == c->pid) {
			c->pid = 0;
			continue;
		}
		n++;
		if (!valid(gate, c->id)) {
			(void)kill(c->pid, SIGKILL);
			++*doomed;
		}
	}
	return n;
}

static int
room_for_call(int gate)
{
	const struct timespec ts = {0, 1000000L};
	unsigned int doomed, i;

	for (i = 0; drop_calls(gate, &doomed) == CALLS_MAX; i++) {
		if (doomed == 0 || i == CALLS_WAIT)
			return 0;
		(void)nanosleep(&ts, NULL);
	}
	return 1;
}

void
sandbox_gate_reaped(pid_t pid)
{
	struct call *c;

	for (c = calls; c < calls + CALLS_MAX; c++)
		if (c->pid == pid)
			c->pid = 0;
}

int
sandbox_gate_serve(int gate)
{
	struct seccomp_notif q;
	struct call *c;
	pid_t nanny = getpid();
	long pid;

	memset(&q, 0, sizeof(q));
	/* Whoever asked may be gone already. */
	if (ioctl(gate, SECCOMP_IOCTL_NOTIF_RECV, &q) == -1)
		return errno == ENOENT || errno == EINTR ? 0 : -1;
	if (!room_for_call(gate)) {
		answer(gate, q.id, EAGAIN);
		return 0;
	}
	/* Not libc's fork, which needs more system calls than we have. */
	pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0)
		make_call(gate, &q, nanny);
	if (pid == -1) {
		answer(gate, q.id, EAGAIN);
		return 0;
	}
	for (c = calls; c->pid != 0; c++)
		continue;
	c->pid = (pid_t)pid;
	c->id = q.id;
	return 0;
}

#else

int
sandbox_gate_send(int sock, int fd)
{
	(void)sock;
	(void)fd;
	errno = ENOSYS;
	return -1;
}

int
sandbox_gate_take(int sock)
{
	(void)sock;
	return -1;
}

int
sandbox_gate_serve(int gate)
{
	(void)gate;
	return -1;
}

void
sandbox_gate_reaped(pid_t pid)
{
	(void)pid;
}

#endif
