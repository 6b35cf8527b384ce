#ifndef SANDBOX_RULES_H
#define SANDBOX_RULES_H

/*
 * The tables of sandbox.c, which alone includes this: the system calls of
 * each role and why it has them.
 */

/* Stand for a process in a check. */
#define PID_SELF   0xfffffffeU
#define PID_NANNY  0xfffffffdU
#define PGRP_NANNY 0xfffffffcU /* as kill(2) names its group */
#define PID_ALL    0xffffffffU /* -1, to kill(2) */
#define VALS_MAX   6

/* Argument `arg`, of which only `mask` counts, is one of v[0..n). */
struct check {
	uint8_t arg;
	uint8_t high; /* look at the upper 32 bits */
	uint8_t n;
	uint32_t mask;
	uint32_t v[VALS_MAX];
};

/* Matches when the number and all checks do. */
struct rule {
	int nr;
	uint32_t ret;
	struct check c[3];
};

struct table {
	const struct rule *r;
	size_t n;
};

/* clang-format off */

#define TABLE(t)	{t, NELEM(t)}
#define ALLOW(name)	{SYS_##name, RET_ALLOW, {{0}}}
#define REFUSE(name)	{SYS_##name, RET_EPERM, {{0}}}
#define REFUSE_IF(name, ...) {SYS_##name, RET_EPERM, {__VA_ARGS__}}
#define NO_FAMILY(name)	{SYS_##name, SECCOMP_RET_ERRNO | EAFNOSUPPORT, {{0}}}
#define ASK(name)	{SYS_##name, RET_ASK, {{0}}}
#define NOSYS(name)	{SYS_##name, SECCOMP_RET_ERRNO | ENOSYS, {{0}}}
#define ONLY(name, ...)	{SYS_##name, RET_ALLOW, {__VA_ARGS__}}
/* Checks: argument a is one of these; its upper half is; its bits m are. */
#define COUNT(...)	(sizeof((uint32_t[]){__VA_ARGS__}) / 4)
#define IS(a, ...)	{a, 0, COUNT(__VA_ARGS__), ~0U, {__VA_ARGS__}}
#define HIGH_IS(a, ...)	{a, 1, COUNT(__VA_ARGS__), ~0U, {__VA_ARGS__}}
#define BITS(a, m, ...)	{a, 0, COUNT(__VA_ARGS__), m, {__VA_ARGS__}}

#define SOCK_FLAGS	(SOCK_NONBLOCK | SOCK_CLOEXEC)

/* Every role: its channels, its loop, its memory, its end. */
static const struct rule base[] = {
	ALLOW(read),		/* channels, connections */
	ALLOW(write),		/* log on standard error */
	ALLOW(readv),		/* connections */
	ALLOW(writev),		/* connections; libc's last words on abort */
	ALLOW(recvmsg),		/* imsg */
	ALLOW(sendmsg),		/* imsg */
	ALLOW(sendto),		/* syslog(3) on the descriptor it has */
	ALLOW(recvfrom),	/* libevent's signal channel; connections */
	ALLOW(close),
	ALLOW(shutdown),	/* end of a channel or connection */
	ALLOW(lseek),		/* stdio at exit */
	ALLOW(epoll_ctl),	/* libevent */
	ALLOW(epoll_pwait),	/* libevent */
	ALLOW(epoll_create1),	/* libevent */
	ALLOW(ppoll),		/* peer_flush */
#ifdef SYS_epoll_wait
	ALLOW(epoll_wait),	/* libevent */
#endif
#ifdef SYS_epoll_pwait2
	ALLOW(epoll_pwait2),	/* libevent 2.2 */
#endif
#ifdef SYS_poll
	ALLOW(poll),		/* peer_flush */
#endif
	ALLOW(munmap),		/* malloc */
	ALLOW(mremap),		/* malloc */
	ALLOW(madvise),		/* malloc */
	ALLOW(brk),		/* malloc */
	ALLOW(futex),		/* locks of libc and libcrypto */
	ALLOW(rseq),		/* libc */
	ALLOW(set_robust_list),	/* libc */
	ALLOW(sched_yield),	/* locks of libc and libdb */
	ALLOW(sched_getaffinity), /* malloc: number of arenas */
	ALLOW(sysinfo),		/* qsort: how much memory there is */
	ALLOW(uname),		/* libc and libdb name the machine */
	ALLOW(clock_gettime),	/* where the vdso cannot answer */
	ALLOW(clock_getres),
	ALLOW(gettimeofday),
#ifdef SYS_time
	ALLOW(time),
#endif
	ALLOW(clock_nanosleep),	/* libdb waits for a lock */
	ALLOW(nanosleep),
	ALLOW(restart_syscall),	/* a wait goes on after SIGSTOP, SIGCONT */
	ALLOW(getrandom),	/* arc4random, libcrypto */
	ALLOW(getpid),		/* imsg, log, libcrypto */
	ALLOW(getppid),
	ALLOW(gettid),		/* abort */
	ALLOW(getuid),		/* libcrypto: is this set-id? */
	ALLOW(geteuid),
	ALLOW(getgid),
	ALLOW(getegid),
	ALLOW(getrusage),	/* figures for mcpgwctl */
	ALLOW(rt_sigreturn),	/* end of a signal handler */
	ALLOW(rt_sigprocmask),	/* abort, libdb */
	ALLOW(rt_sigaction),	/* libevent, abort */
	ALLOW(sigaltstack),	/* ASan at the end of a thread */
	ALLOW(exit),
	ALLOW(exit_group),
	/* malloc and mapped catalogs; no new code ever. */
	ONLY(mmap, BITS(2, PROT_EXEC, 0)),
	ONLY(mprotect, BITS(2, PROT_EXEC, 0)),
	/* abort() signals its own thread group; nobody else's. */
	ONLY(tgkill, IS(0, PID_SELF)),
	/* Non-blocking, close-on-exec. */
	ONLY(fcntl, IS(1, F_GETFD, F_SETFD, F_GETFL, F_SETFL,
	    F_DUPFD_CLOEXEC)),
	/* How much can be read; non-blocking. No terminals, no devices. */
	ONLY(ioctl, IS(1, FIONREAD, FIONBIO)),
	/* A thread's or a mapping's name. */
	ONLY(prctl, IS(0, PR_SET_NAME, PR_GET_NAME, 0x53564d41)),
	/* Reading a limit: the pointer to a new one is NULL. */
	ONLY(prlimit64, IS(2, 0), HIGH_IS(2, 0)),
	/* fstat(3): on an open descriptor, not by name. */
	ALLOW(fstat),
	ONLY(newfstatat, BITS(3, AT_EMPTY_PATH, AT_EMPTY_PATH)),
};

/* What libc or a library tries by itself, and does without. Comes last. */
static const struct rule quiet[] = {
	REFUSE(openat),		/* time zone, openssl.cnf, /proc */
	REFUSE(openat2),
	REFUSE(newfstatat),
	REFUSE(statx),
	REFUSE(faccessat),
	REFUSE(faccessat2),
	REFUSE(readlinkat),
	REFUSE(statfs),
	REFUSE(getcwd),
#ifdef SYS_open
	REFUSE(open),
	REFUSE(stat),
	REFUSE(lstat),
	REFUSE(access),
	REFUSE(readlink),
#endif
	REFUSE(socket),		/* syslog(3) when its socket is gone */
	REFUSE(ioctl),		/* isatty */
	REFUSE(fcntl),
	REFUSE(prctl),
	REFUSE(mmap),
	REFUSE(mprotect),
	REFUSE(pkey_mprotect),
	REFUSE(prlimit64),
	REFUSE(memfd_create),
	REFUSE(mlock),		/* libcrypto's secure heap */
	REFUSE(mlock2),
	REFUSE(munlock),
	REFUSE(kill),
	REFUSE(tkill),
	REFUSE(tgkill),
	REFUSE(ptrace),
	REFUSE(setrlimit),
	NOSYS(clone3),		/* libc then tries clone */
};

/* Connections to backends. No other domain, no datagrams, no MPTCP: Landlock
 * does not see that. */
static const struct rule tcp[] = {
	ONLY(socket, IS(0, AF_INET, AF_INET6),
	    BITS(1, ~(uint32_t)SOCK_FLAGS, SOCK_STREAM),
	    IS(2, 0, IPPROTO_TCP)),
	ALLOW(connect),		/* to a backend */
	ALLOW(getsockopt),	/* SO_ERROR after connect */
	ALLOW(setsockopt),	/* TCP_NODELAY, SO_KEEPALIVE */
	ALLOW(getpeername),	/* address of a client */
	ALLOW(getsockname),	/* which listener */
};

static const struct rule worker[] = {
	ALLOW(accept4),		/* on listeners master gave */
	/* Are the catalog's seals on? */
	ONLY(fcntl, IS(1, F_GET_SEALS)),
};

static const struct rule keeper[] = {
	/* The catalog; never executable, no huge pages. */
	ONLY(memfd_create, BITS(1, ~0xbU, 0)),
	ALLOW(ftruncate),	/* its size */
	ALLOW(fallocate),
	ALLOW(pwrite64),	/* its contents */
	ONLY(fcntl, IS(1, F_ADD_SEALS, F_GET_SEALS)),
	/* Between two workers, for a stream that is resumed elsewhere. */
	ONLY(socketpair, IS(0, AF_UNIX)),
};

/* getaddrinfo and whatever nsswitch.conf names. Landlock says which files. */
static const struct rule resolver[] = {
	ONLY(socket, IS(0, AF_INET, AF_INET6),
	    BITS(1, ~(uint32_t)SOCK_FLAGS, SOCK_STREAM, SOCK_DGRAM),
	    IS(2, 0, IPPROTO_TCP, IPPROTO_UDP)),
	/* nscd, systemd-resolved; and the kernel's list of addresses. */
	ONLY(socket, IS(0, AF_UNIX)),
	ONLY(socket, IS(0, AF_NETLINK), IS(2, 0)),
	ALLOW(bind),		/* netlink */
	ALLOW(connect),
	ALLOW(sendmmsg),	/* A and AAAA at once */
	ALLOW(recvmmsg),
	ALLOW(getsockopt),
	ALLOW(setsockopt),	/* IP_RECVERR */
	ALLOW(getpeername),
	ALLOW(getsockname),	/* sorting by source address */
	ONLY(openat, BITS(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	ALLOW(pread64),		/* dlopen */
	ALLOW(newfstatat),	/* has resolv.conf changed? */
	ALLOW(statx),
	ALLOW(faccessat),
	ALLOW(faccessat2),
	ALLOW(readlinkat),
	ALLOW(getdents64),
#ifdef SYS_open
	ONLY(open, BITS(1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	ALLOW(stat),
	ALLOW(lstat),
	ALLOW(access),
	ALLOW(readlink),
#endif
	/* Modules of nsswitch.conf are code: mapped from a file and never
	 * writable, so not made here. */
	ONLY(mmap, BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
	    BITS(3, MAP_ANONYMOUS | MAP_SHARED, 0)),
	/* Modules of others, which we do not know: no kill. */
};

/* Berkeley DB, keys and pepper below one directory, which Landlock and, as
 * root, chroot hold it to. */
static const struct rule authd[] = {
	ALLOW(openat),
	ALLOW(newfstatat),
	ALLOW(statx),
	ALLOW(faccessat),
	ALLOW(faccessat2),
	ALLOW(pread64),		/* pages */
	ALLOW(pwrite64),	/* pages */
	ALLOW(preadv),
	ALLOW(pwritev),
	ALLOW(fsync),		/* before a reply */
	ALLOW(fdatasync),
	ALLOW(ftruncate),
	ALLOW(fallocate),	/* reserve for a full disk */
	ALLOW(unlinkat),	/* old logs */
	ALLOW(renameat2),	/* a new key in place of the old */
	ALLOW(mkdirat),
	ALLOW(fchmod),
	ALLOW(umask),		/* libdb gives its files a mode */
	ALLOW(getdents64),	/* recovery looks for logs */
	ALLOW(getcwd),		/* libdb removes old logs by full name */
	ALLOW(fstatfs),		/* how full is the disk? */
	ALLOW(pselect6),	/* libdb sleeps so */
#ifdef SYS_renameat
	ALLOW(renameat),
#endif
#ifdef SYS_open
	ALLOW(open),
	ALLOW(stat),
	ALLOW(lstat),
	ALLOW(access),
	ALLOW(unlink),
	ALLOW(rename),
	ALLOW(mkdir),
	ALLOW(select),
#endif
	/* The store's lock. */
	ONLY(fcntl, IS(1, F_SETLK, F_GETLK)),
};

/* Master only: powers that neither it nor what it starts has a use for. */
static const struct rule master[] = {
	REFUSE(ptrace),
	REFUSE(process_vm_readv),
	REFUSE(process_vm_writev),
	REFUSE(process_madvise),
	REFUSE(kcmp),
	/* Not pidfd_getfd: nanny, which inherits this, needs it. */
	REFUSE(bpf),
	REFUSE(perf_event_open),
	REFUSE(userfaultfd),
	REFUSE(io_uring_setup),
	REFUSE(io_uring_enter),
	REFUSE(io_uring_register),
	REFUSE(kexec_load),
	REFUSE(kexec_file_load),
	REFUSE(init_module),
	REFUSE(finit_module),
	REFUSE(delete_module),
	REFUSE(mount),
	REFUSE(umount2),
	REFUSE(pivot_root),
	REFUSE(move_mount),
	REFUSE(open_tree),
	REFUSE(fsopen),
	REFUSE(fsmount),
	REFUSE(fsconfig),
	REFUSE(fspick),
	REFUSE(mount_setattr),
	REFUSE(open_by_handle_at),
	REFUSE(keyctl),
	REFUSE(add_key),
	REFUSE(request_key),
	REFUSE(reboot),
	REFUSE(swapon),
	REFUSE(swapoff),
	REFUSE(acct),
	REFUSE(quotactl),
	REFUSE(syslog),
	REFUSE(settimeofday),
	REFUSE(clock_settime),
	REFUSE(clock_adjtime),
	REFUSE(adjtimex),
	REFUSE(sethostname),
	REFUSE(setdomainname),
	REFUSE(vhangup),
	REFUSE(lookup_dcookie),
#ifdef SYS_iopl
	REFUSE(iopl),
	REFUSE(ioperm),
	REFUSE(modify_ldt),
#endif
};

/* No sockets: channels and the ends of its children come from master. */
static const struct rule bodies[] = {
	/* Large bodies of stdio children; never executable, no huge pages. */
	ONLY(memfd_create, BITS(1, ~0xbU, 0)),
	ALLOW(ftruncate),	/* its size */
	ALLOW(pwrite64),	/* its contents */
	ALLOW(pread64),		/* the contents of one it was sent */
	ONLY(fcntl, IS(1, F_ADD_SEALS, F_GET_SEALS)),
};

/* Nanny, once its child runs: it waits, and in the end kills. */
static const struct rule nanny_own[] = {
	ALLOW(kill),		/* the tree; itself, as its child was */
	ALLOW(rt_sigtimedwait),	/* its loop */
	ALLOW(waitid),		/* has the child itself ended? */
	ALLOW(wait4),
	ALLOW(pread64),		/* the list of its children */
	/* The same, where that list has to be made from /proc. */
	ONLY(openat, BITS(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	ALLOW(getdents64),
};

/* The same, when its child has a gate. */
static const struct rule nanny_gate[] = {
	/* A question, is it still one, an answer. */
	ONLY(ioctl, IS(1, SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND,
	    SECCOMP_IOCTL_NOTIF_ID_VALID)),
	ONLY(clone, IS(0, SIGCHLD)), /* who makes the call may block */
	ONLY(prctl, IS(0, PR_SET_PDEATHSIG)), /* and goes with nanny */
	ALLOW(pidfd_open),	/* the child's descriptor */
	ALLOW(pidfd_getfd),
	ALLOW(connect),		/* what it asked for */
	ALLOW(bind),
	ALLOW(listen),		/* on the loopback interface alone: */
	ONLY(setsockopt, IS(1, SOL_SOCKET), IS(2, SO_BINDTODEVICE)),
	ALLOW(getsockopt),	/* which kind of socket is it? */
	ALLOW(getsockname),	/* where is it bound to? */
};

#define NEW_ANYTHING	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | \
			 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
			 CLONE_NEWCGROUP)

/* A stdio child, beside what master is refused: a deny-list, since nobody
 * knows what its program needs. */
static const struct rule child[] = {
	/* Nanny has its uid, and without nanny its tree would outlive it. -1 is
	 * everything of that uid. */
	REFUSE_IF(kill, IS(0, PID_NANNY, PGRP_NANNY, PID_ALL)),
	REFUSE_IF(tkill, IS(0, PID_NANNY)),
	REFUSE_IF(tgkill, IS(0, PID_NANNY)),
	REFUSE_IF(tgkill, IS(1, PID_NANNY)),
	REFUSE_IF(rt_sigqueueinfo, IS(0, PID_NANNY)),
	REFUSE_IF(rt_tgsigqueueinfo, IS(0, PID_NANNY)),
	REFUSE_IF(rt_tgsigqueueinfo, IS(1, PID_NANNY)),
	REFUSE_IF(pidfd_open, IS(0, PID_NANNY)),
	REFUSE(pidfd_getfd),
	/* A descriptor of /proc/PID will do for it, and does not say whose. Who
	 * finds it missing uses kill. */
	NOSYS(pidfd_send_signal),
	/* The owner of a descriptor gets a signal of one's choice, else SIGIO,
	 * which nanny blocks. */
	REFUSE_IF(fcntl, IS(1, F_SETSIG)),
	/* A limit on processor time kills, too: its own, or just look. */
	ONLY(prlimit64, IS(0, 0)),
	ONLY(prlimit64, IS(2, 0), HIGH_IS(2, 0)),
	REFUSE(prlimit64),
	/* Typing into a terminal. */
	REFUSE_IF(ioctl, IS(1, TIOCSTI, TIOCLINUX)),
	/* Name spaces, in which it would be root and reach more of the
	 * kernel. The flags of clone3 are out of sight; libc then uses clone. */
	ONLY(clone, BITS(0, NEW_ANYTHING, 0)),
	REFUSE(clone),
	NOSYS(clone3),
	REFUSE(unshare),
	REFUSE(setns),
	REFUSE(chroot),		/* a way out of other roots */
	/* Other rules for mappings (and no randomness); asking is allowed. */
	ONLY(personality, IS(0, 0xffffffff)),
	REFUSE(personality),
	REFUSE(quotactl_fd),
	REFUSE(nfsservctl),
#ifdef SYS_create_module
	REFUSE(create_module),
	REFUSE(uselib),
	REFUSE(_sysctl),
#endif
#ifdef SYS_open_tree_attr
	REFUSE(open_tree_attr),	/* a mount, like mount_setattr */
#endif
};

/* network: any. The families programs use; getifaddrs(3) asks by netlink, whose
 * other protocols reach far into the kernel. */
static const struct rule online[] = {
	ONLY(socket, IS(0, AF_UNIX, AF_INET, AF_INET6)),
	ONLY(socket, IS(0, AF_NETLINK), IS(2, 0)),
	NO_FAMILY(socket),
	ONLY(socketpair, IS(0, AF_UNIX)),
	NO_FAMILY(socketpair),
};

/* network: none. By family, so that no protocol is forgotten: MPTCP and
 * datagrams are not seen by Landlock. */
static const struct rule offline[] = {
	ONLY(socket, IS(0, AF_UNIX)),
	NO_FAMILY(socket),
	ONLY(socketpair, IS(0, AF_UNIX)),
	NO_FAMILY(socketpair),
};

/* network: loopback. Streams only, so that there is an address to look at in
 * connect alone; nanny looks (sandbox_gate.c). */
static const struct rule looped[] = {
	ONLY(socket, IS(0, AF_UNIX)),
	ONLY(socket, IS(0, AF_INET, AF_INET6),
	    BITS(1, ~(uint32_t)SOCK_FLAGS, SOCK_STREAM),
	    IS(2, 0, IPPROTO_TCP)),
	ONLY(socket, IS(0, AF_NETLINK), IS(2, 0)),
	NO_FAMILY(socket),
	ONLY(socketpair, IS(0, AF_UNIX)),
	NO_FAMILY(socketpair),
	ASK(connect),
	ASK(bind),
	ASK(listen),
	/* Connects, too. */
	REFUSE_IF(sendto, BITS(3, MSG_FASTOPEN, MSG_FASTOPEN)),
	REFUSE_IF(sendmsg, BITS(2, MSG_FASTOPEN, MSG_FASTOPEN)),
	REFUSE_IF(sendmmsg, BITS(3, MSG_FASTOPEN, MSG_FASTOPEN)),
};

/* jit: no. What is code comes from a file. */
static const struct rule nojit[] = {
	REFUSE_IF(mmap, BITS(2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC)),
	REFUSE_IF(mprotect, BITS(2, PROT_EXEC, PROT_EXEC)),
	REFUSE_IF(pkey_mprotect, BITS(2, PROT_EXEC, PROT_EXEC)),
	REFUSE_IF(shmat, BITS(2, SHM_EXEC, SHM_EXEC)),
};

/* clang-format on */

/* ---- Landlock ---- */

/* What the headers of Debian 12 lack. */
#define LL_FS_TRUNCATE    (1ULL << 14) /* ABI 3 */
#define LL_FS_IOCTL_DEV   (1ULL << 15) /* ABI 5 */
#define LL_NET_BIND       (1ULL << 0) /* ABI 4 */
#define LL_NET_CONNECT    (1ULL << 1) /* ABI 4 */
#define LL_SCOPE_ABSTRACT (1ULL << 0) /* ABI 6 */
#define LL_SCOPE_SIGNAL   (1ULL << 1) /* ABI 6 */

struct ll_path {
	const char *path;
	uint64_t access;
};

#define LL_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LL_STORE                                                             \
	(LL_READ | LANDLOCK_ACCESS_FS_WRITE_FILE |                           \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |      \
	    LANDLOCK_ACCESS_FS_REFER | LL_FS_TRUNCATE)

#define LL_RX (LL_READ | LANDLOCK_ACCESS_FS_EXECUTE)
/* What a rule on something else than a directory may name. */
#define LL_FILE                                                       \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	    LANDLOCK_ACCESS_FS_READ_FILE | LL_FS_TRUNCATE | LL_FS_IOCTL_DEV)
#define LL_DEV                                                          \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	    LL_FS_TRUNCATE | LL_FS_IOCTL_DEV)
/* Everything but to make devices, or to speak to those that there are. */
#define LL_OWN                                                            \
	(LL_STORE | LANDLOCK_ACCESS_FS_EXECUTE |                          \
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
	    LANDLOCK_ACCESS_FS_MAKE_SYM)

/* What any program wants to read. */
static const struct ll_path child_paths[] = {
    {"/usr", LL_RX},
    {"/lib", LL_RX},
    {"/lib64", LL_RX},
    {"/lib32", LL_RX},
    {"/bin", LL_RX},
    {"/sbin", LL_RX},
    {"/etc/ssl", LL_RX},
    {"/etc/pki", LL_RX},
    {"/etc/ca-certificates", LL_RX},
    /* A rule is on what is there now. Where these write, they write anew. */
    {"/etc/resolv.conf", LL_RX},
    {"/run/systemd/resolve", LL_READ},
    {"/run/resolvconf", LL_READ},
    {"/etc/hosts", LL_RX},
    {"/etc/host.conf", LL_RX},
    {"/etc/gai.conf", LL_RX},
    {"/etc/nsswitch.conf", LL_RX},
    {"/etc/services", LL_RX},
    {"/etc/protocols", LL_RX},
    {"/etc/ld.so.cache", LL_RX},
    {"/etc/ld.so.conf", LL_RX},
    {"/etc/ld.so.conf.d", LL_RX},
    {"/etc/alternatives", LL_RX},
    {"/etc/localtime", LL_RX},
    {"/etc/timezone", LL_RX},
    {"/etc/mime.types", LL_RX},
    {"/etc/passwd", LL_RX},
    {"/etc/group", LL_RX},
    {"/proc", LL_READ},
    {"/sys/devices/system/cpu", LL_READ},
    {"/dev/null", LL_DEV},
    {"/dev/zero", LL_DEV},
    {"/dev/full", LL_DEV},
    {"/dev/random", LL_DEV},
    {"/dev/urandom", LL_DEV},
    {"/dev/tty", LL_DEV},
};

#endif
