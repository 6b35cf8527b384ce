#ifndef COMMON_SANDBOX_TRIES_H
#define COMMON_SANDBOX_TRIES_H

/*
 * What common_sandbox_test.c tries in each role. Each returns 0 when it got
 * what it wanted, else -1 and errno.
 */
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "compat.h"
#include "log.h"
#include "memfd.h"

#define OTHER_UID 65534

static pid_t parent, sibling;
static int listener = -1; /* on loopback */
static struct sockaddr_in listen_addr;
static int memfd = -1; /* sealed by its maker */
static char store[] = "/tmp/sandbox_test."
		      "XX"
		      "XX"
		      "XX";
static char outside[64]; /* a file beside the store */
static uid_t uid; /* to become before entering */

static int
open_passwd(void)
{
	return open("/etc/passwd", O_RDONLY) == -1 ? -1 : 0;
}

static int
open_hosts(void)
{
	return open("/etc/hosts", O_RDONLY) == -1 ? -1 : 0;
}

static int
open_proc_parent(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)parent);
	return open(path, O_RDWR) == -1 ? -1 : 0;
}

static int
open_outside(void)
{
	return open(outside, O_RDONLY) == -1 ? -1 : 0;
}

static int
create_tmp(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s.new", store);
	if ((fd = open(path, O_CREAT | O_WRONLY, 0600)) == -1)
		return -1;
	close(fd);
	return unlink(path);
}

static int
do_exec(void)
{
	char prog[] = "/bin/true";
	char *argv[] = {prog, NULL};

	return execv(prog, argv);
}

static int
do_fork(void)
{
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(0);
	if (pid == -1)
		return -1;
	waitpid(pid, NULL, 0);
	return 0;
}

static int
do_thread(void)
{
	long pid;

	/* It has our stack: it must not return from here. */
	pid = syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL,
	    NULL, NULL);
	if (pid == 0)
		_exit(0);
	return pid == -1 ? -1 : 0;
}

static int
ptrace_parent(void)
{
	return ptrace(PTRACE_SEIZE, parent, NULL, NULL) == -1 ? -1 : 0;
}

static int
ptrace_traceme(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 ? -1 : 0;
}

static int
read_parent(void)
{
	char c;
	struct iovec l = {&c, 1}, r = {&parent, 1};

	return process_vm_readv(parent, &l, 1, &r, 1, 0) == -1 ? -1 : 0;
}

static int
kill_sibling(void)
{
	return kill(sibling, SIGUSR1);
}

static int
kill_parent(void)
{
	return kill(parent, 0);
}

static int
tgkill_parent(void)
{
	return (int)syscall(SYS_tgkill, parent, parent, 0);
}

static int
sock(int domain, int type, int proto)
{
	return socket(domain, type | SOCK_CLOEXEC, proto) == -1 ? -1 : 0;
}

static int
tcp_socket(void)
{
	return sock(AF_INET, SOCK_STREAM, 0);
}

static int
udp_socket(void)
{
	return sock(AF_INET, SOCK_DGRAM, 0);
}

static int
udp6_socket(void)
{
	return sock(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
}

static int
mptcp_socket(void)
{
	return sock(AF_INET, SOCK_STREAM, 262);
}

static int
raw_socket(void)
{
	return sock(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int
packet_socket(void)
{
	return sock(AF_PACKET, SOCK_RAW, 0);
}

static int
unix_socket(void)
{
	return sock(AF_UNIX, SOCK_STREAM, 0);
}

static int
netlink_socket(void)
{
	return sock(AF_NETLINK, SOCK_RAW, 0);
}

static int
netfilter_socket(void)
{
	return sock(AF_NETLINK, SOCK_RAW, 12);
}

static int
vsock_socket(void)
{
	return sock(AF_VSOCK, SOCK_STREAM, 0);
}

static int
tcp_listen(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1)
		return -1;
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		return -1;
	return listen(fd, 1);
}

static int
tcp_connect(void)
{
	int fd, error;
	socklen_t len = sizeof(error);

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&listen_addr, sizeof(listen_addr)) ==
		-1 &&
	    errno != EINPROGRESS)
		return -1;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

static int
tcp_accept(void)
{
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK) == -1 &&
		       errno != EAGAIN
		   ? -1
		   : 0;
}

/* What libc does for getaddrinfo, by hand: no failure of libc's own, for want
 * of a file, stands in for a refusal. */
static int
ask_nameserver(void)
{
	static const char query[] = "\0\1\1\0\0\1\0\0\0\0\0\0"
				    "\4name\7invalid\0\0\1\0\1";
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int fd;

	sin.sin_port = htons(53);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		return -1;
	return send(fd, query, sizeof(query) - 1, 0) == -1 ? -1 : 0;
}

/* It need not run here: ENOENT would be no refusal. */
static int
ask_nscd(void)
{
	struct sockaddr_un sun = {
	    .sun_family = AF_UNIX, .sun_path = "/run/nscd/socket"};
	int fd;

	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	return connect(fd, (struct sockaddr *)&sun, sizeof(sun));
}

/* All ways that nsswitch.conf names. Any failure will do, as this name can be
 * resolved wherever the sandbox lets one. */
static int
resolve_local(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *res;

	if (getaddrinfo("localhost", "80", &hints, &res) != 0) {
		errno = EPERM;
		return -1;
	}
	freeaddrinfo(res);
	return 0;
}

static int
map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		   ? -1
		   : 0;
}

static int
map_rx(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		   ? -1
		   : 0;
}

static int
protect_code(void)
{
	void *p;

	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int
make_memfd(void)
{
	return memfd_create("x", MFD_CLOEXEC) == -1 ? -1 : 0;
}

static int
exec_memfd(void)
{
	char arg[] = "x", empty[] = "";
	char *argv[] = {arg, NULL}, *env[] = {NULL};

	return (int)syscall(
	    SYS_execveat, memfd, empty, argv, env, AT_EMPTY_PATH);
}

static int
socket_pair(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

static int
raise_core(void)
{
	struct rlimit rl = {1, RLIM_INFINITY};

	return setrlimit(RLIMIT_CORE, &rl);
}

static int
do_chroot(void)
{
	return chroot("/");
}

static int
do_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
do_mount(void)
{
	return (int)syscall(SYS_mount, "none", "/no/such", "tmpfs", 0, NULL);
}

static int
do_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0) == -1 ? -1 : 0;
}

static int
do_uring(void)
{
	char params[256] = {0};

	return (int)syscall(SYS_io_uring_setup, 4, params) == -1 ? -1 : 0;
}

static int
do_userfault(void)
{
	return (int)syscall(SYS_userfaultfd, 1) == -1 ? -1 : 0;
}

static int
do_perf(void)
{
	char attr[128] = {0};

	return (int)syscall(SYS_perf_event_open, attr, 0, -1, -1, 0) == -1 ? -1
									   : 0;
}

static int
do_keyctl(void)
{
	return (int)syscall(SYS_keyctl, 0, -3, 1) == -1 ? -1 : 0;
}

static int
do_setuid(void)
{
	return setuid(uid != 0 ? 0 : OTHER_UID);
}

static int
type_into_tty(void)
{
	char c = 'x';

	return ioctl(STDIN_FILENO, TIOCSTI, &c);
}

static int
no_such_call(void)
{
	return (int)syscall(4000);
}

#ifdef __x86_64__
/* getpid of the x32 ABI and of i386 (int 0x80). */
static int
x32_call(void)
{
	return syscall(0x40000000L + SYS_getpid) > 0 ? 0 : -1;
}

static int
i386_call(void)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(20L)
			 : "r8", "r9", "r10", "r11", "memory");
	return ret > 0 ? 0 : -1;
}
#endif

/* ---- what must work ---- */

static int
common_work(void)
{
	struct epoll_event ev = {.events = EPOLLIN}, got;
	struct timespec ts;
	struct stat st;
	char buf[16], *p;
	int ep, i;

	if ((ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		return -1;
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	if (epoll_wait(ep, &got, 1, 1) == -1)
		return -1;
	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1 ||
	    fstat(STDERR_FILENO, &st) == -1 ||
	    fcntl(STDERR_FILENO, F_GETFL) == -1)
		return -1;
	arc4random_buf(buf, sizeof(buf));
	for (i = 1; i < 4000; i++) {
		if ((p = malloc((size_t)i * 100)) == NULL)
			return -1;
		free(p);
	}
	log_debug("here");
	return 0;
}

static int
use_catalog(void)
{
	char *p;

	if ((fcntl(memfd, F_GET_SEALS) & F_SEAL_WRITE) == 0)
		return -1;
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, memfd, 0);
	return p == MAP_FAILED || strcmp(p, "catalog") != 0 ? -1 : 0;
}

static int
make_catalog(void)
{
	char *p;
	int fd;

	fd = memfd_create("catalog", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1 || ftruncate(fd, 8 << 20) == -1)
		return -1;
	p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	memset(p, 'x', 8 << 20);
	if (munmap(p, 8 << 20) == -1 || pwrite(fd, "y", 1, 5) != 1)
		return -1;
	return fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

/* As the runner does: a body that it makes, and one that it was sent. */
static int
pass_body(void)
{
	static const char body[] = "a large one";
	char *p;
	int fd;

	if ((fd = memfd_seal(body, sizeof(body))) == -1)
		return -1;
	if ((p = memfd_take(fd, sizeof(body))) == NULL)
		return -1;
	if (strcmp(p, body) != 0 || write(fd, "x", 1) != -1)
		return -1;
	free(p);
	p = mmap(NULL, sizeof(body), PROT_READ, MAP_SHARED, fd, 0);
	return p == MAP_FAILED || strcmp(p, body) != 0 ? -1 : 0;
}

static int
use_store(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char a[64], b[64], buf[4];
	struct stat st;
	int fd;

	snprintf(a, sizeof(a), "%s/new", store);
	snprintf(b, sizeof(b), "%s/key", store);
	if ((fd = open(a, O_RDWR | O_CREAT | O_EXCL, 0600)) == -1)
		return -1;
	if (fcntl(fd, F_SETLK, &fl) == -1 || pwrite(fd, "key", 3, 0) != 3 ||
	    pread(fd, buf, 3, 0) != 3 || ftruncate(fd, 2) == -1 ||
	    fsync(fd) == -1 || fdatasync(fd) == -1 || fchmod(fd, 0400) == -1)
		return -1;
	if (rename(a, b) == -1 || stat(b, &st) == -1 || st.st_size != 2 ||
	    unlink(b) == -1)
		return -1;
	snprintf(a, sizeof(a), "%s/dir", store);
	if (mkdir(a, 0700) == -1)
		return -1;
	if ((fd = open(store, O_RDONLY | O_DIRECTORY)) == -1)
		return -1;
	/* The name of a new file is synced too. */
	return fsync(fd);
}

static int
use_memory(void)
{
	char *p;
	size_t n = 64 << 20;

	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);
	if (p == MAP_FAILED)
		return -1;
	memset(p, 1, n);
	return munmap(p, n);
}

static int
resolve(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *res;
	int error;

	if ((error = getaddrinfo("localhost", "80", &hints, &res)) != 0)
		return -1;
	freeaddrinfo(res);
	/* Goes to the network, where there is one; it must come back. */
	error = getaddrinfo("name.invalid", "80", &hints, &res);
	if (error == 0)
		freeaddrinfo(res);
	return error == EAI_SYSTEM && errno == EPERM ? -1 : 0;
}

#endif
