/*
 * Each role's sandbox from inside: what the role must not do is refused or
 * ends the process, what it must do works. Every try is a process of its own.
 * As root it all runs a second time as another user, since what root is
 * refused only for want of a privilege proves nothing.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "sandbox.h"
#include "test.h"

#include "common_sandbox_tries.h"

#define WORKER   0x01
#define KEEPER   0x02
#define RESOLVER 0x04
#define AUTHD    0x08
#define HASHER   0x10
#define MASTER   0x20
#define RUNNER   0x40
#define CHILDREN (WORKER | KEEPER | RESOLVER | AUTHD | HASHER | RUNNER)
#define ALL      (CHILDREN | MASTER)

static int have_landlock;
static unsigned int n_refused, n_killed, n_moot, n_worked;

/* ---- the harness ---- */

struct attempt {
	const char *name;
	int (*try)(void);
	unsigned int refused; /* roles that must not */
	unsigned int works; /* roles that must */
	int landlock; /* refused by Landlock, where there is one */
};

static const struct attempt attempts[] = {
    {"open /etc/passwd", open_passwd, CHILDREN & ~RESOLVER, MASTER | RESOLVER,
	0},
    {"open memory of the parent", open_proc_parent, CHILDREN, 0, 0},
    {"open a file outside", open_outside, CHILDREN, 0, 1},
    {"create a file in /tmp", create_tmp, CHILDREN, 0, 1},
    {"exec", do_exec, CHILDREN, MASTER, 0},
    {"fork", do_fork, CHILDREN, MASTER, 0},
    {"clone", do_thread, CHILDREN, 0, 0},
    {"ptrace the parent", ptrace_parent, ALL, 0, 0},
    {"ptrace traceme", ptrace_traceme, ALL, 0, 0},
    {"read the parent's memory", read_parent, ALL, 0, 0},
    {"signal a sibling", kill_sibling, CHILDREN, 0, 0},
    {"signal the parent", kill_parent, CHILDREN, 0, 0},
    {"tgkill the parent", tgkill_parent, CHILDREN, 0, 0},
    {"TCP socket", tcp_socket, AUTHD | HASHER | RUNNER,
	WORKER | KEEPER | RESOLVER, 0},
    {"UDP socket", udp_socket, CHILDREN & ~RESOLVER, RESOLVER, 0},
    {"UDP over IPv6", udp6_socket, CHILDREN & ~RESOLVER, 0, 0},
    {"MPTCP socket", mptcp_socket, CHILDREN, 0, 0},
    {"raw socket", raw_socket, CHILDREN, 0, 0},
    {"packet socket", packet_socket, CHILDREN, 0, 0},
    {"unix socket", unix_socket, CHILDREN & ~RESOLVER, RESOLVER, 0},
    {"netlink socket", netlink_socket, CHILDREN & ~RESOLVER, RESOLVER, 0},
    {"netfilter socket", netfilter_socket, CHILDREN, 0, 0},
    {"vsock socket", vsock_socket, CHILDREN, 0, 0},
    {"listen", tcp_listen, CHILDREN, 0, 0},
    {"connect", tcp_connect, AUTHD | HASHER | RUNNER, WORKER | KEEPER, 0},
    {"accept", tcp_accept, CHILDREN & ~WORKER, WORKER, 0},
    {"open /etc/hosts", open_hosts, CHILDREN & ~(RESOLVER | AUTHD), RESOLVER,
	0},
    {"open /etc/hosts below a store", open_hosts, AUTHD, 0, 1},
    {"ask a name server", ask_nameserver, CHILDREN & ~RESOLVER, RESOLVER, 0},
    {"ask nscd", ask_nscd, CHILDREN & ~RESOLVER, 0, 0},
    {"resolve a name", resolve_local, CHILDREN & ~(RESOLVER | AUTHD), RESOLVER,
	0},
    {"resolve a name below a store", resolve_local, AUTHD, 0, 1},
    {"map code", map_code, CHILDREN, 0, 0},
    {"map code read-only", map_rx, CHILDREN, 0, 0},
    {"make memory code", protect_code, CHILDREN, 0, 0},
    {"socket pair", socket_pair, CHILDREN & ~KEEPER, KEEPER | MASTER, 0},
    {"memfd", make_memfd, CHILDREN & ~(WORKER | KEEPER | RUNNER),
	WORKER | KEEPER | RUNNER, 0},
    {"executable memfd", exec_memfd, CHILDREN, 0, 0},
    {"raise a limit", raise_core, CHILDREN, 0, 0},
    {"chroot", do_chroot, CHILDREN, 0, 0},
    {"unshare", do_unshare, CHILDREN, 0, 0},
    {"mount", do_mount, ALL, 0, 0},
    {"bpf", do_bpf, ALL, 0, 0},
    {"io_uring", do_uring, ALL, 0, 0},
    {"userfaultfd", do_userfault, ALL, 0, 0},
    {"perf_event_open", do_perf, ALL, 0, 0},
    {"keyctl", do_keyctl, ALL, 0, 0},
    {"setuid", do_setuid, CHILDREN, 0, 0},
    {"TIOCSTI", type_into_tty, CHILDREN, 0, 0},
    {"unknown system call", no_such_call, CHILDREN, 0, 0},
#ifdef __x86_64__
    {"x32 system call", x32_call, ALL, 0, 0},
    {"i386 system call", i386_call, ALL, 0, 0},
#endif
    {"loop, clock, memory, log", common_work, 0, ALL, 0},
    {"map a sealed catalog", use_catalog, 0, WORKER, 0},
    {"make a sealed catalog", make_catalog, 0, KEEPER, 0},
    {"pass a large body", pass_body, 0, RUNNER, 0},
    {"store", use_store, 0, AUTHD, 0},
    {"64 MiB", use_memory, 0, HASHER, 0},
    {"resolve", resolve, 0, RESOLVER, 0},
};

static void
enter_role(unsigned int role)
{
	switch (role) {
	case WORKER:
		sandbox_worker();
		break;
	case KEEPER:
		sandbox_keeper();
		break;
	case RESOLVER:
		sandbox_resolver();
		break;
	case AUTHD:
		sandbox_authd(store);
		break;
	case HASHER:
		sandbox_hasher();
		break;
	case RUNNER:
		sandbox_runner();
		break;
	default:
		sandbox_master();
		break;
	}
}

static int
in_role(unsigned int role, int (*try)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		/* The parent is to be seen; not everything else of it. */
		if (uid != getuid() && (setresgid(uid, uid, uid) == -1 ||
					   setresuid(uid, uid, uid) == -1))
			_exit(3);
		/* A sanitizer would make an exit of it. */
		signal(SIGSEGV, SIG_DFL);
		if (role != 0)
			enter_role(role);
		errno = 0;
		_exit(try() == 0 ? 0 : errno != 0 ? errno : 255);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static int
is_refusal(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS;
	return WEXITSTATUS(status) == EPERM || WEXITSTATUS(status) == EACCES;
}

static void
clean_store(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/dir", store);
	rmdir(path);
}

/* without: how the same ended outside of any sandbox. */
static void
attempt(const char *role_text, unsigned int role, const struct attempt *a,
    int without)
{
	int status, ok;

	if (((a->refused | a->works) & role) == 0)
		return;
	if ((a->refused & role) && a->landlock && !have_landlock)
		return;
	status = in_role(role, a->try);
	if (a->refused & role) {
		ok = is_refusal(status);
		n_killed += WIFSIGNALED(status) != 0;
		n_refused += WIFEXITED(status) != 0;
		n_moot += is_refusal(without) != 0;
	} else {
		ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		n_worked += (unsigned int)ok;
	}
	if (!ok)
		printf("%s, uid %u: %s: status %#x\n", role_text,
		    (unsigned int)uid, a->name, (unsigned int)status);
	CHECK(ok);
	clean_store();
}

static void
all_roles(void)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} roles[] = {{"worker", WORKER}, {"keeper", KEEPER},
	    {"resolver", RESOLVER}, {"authd", AUTHD}, {"hasher", HASHER},
	    {"runner", RUNNER}, {"master", MASTER}};
	size_t i, j;
	int without;

	for (j = 0; j < sizeof(attempts) / sizeof(attempts[0]); j++) {
		without = in_role(0, attempts[j].try);
		clean_store();
		/* A kernel without this ABI. */
		if (WIFSIGNALED(without))
			continue;
		for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
			attempt(
			    roles[i].name, roles[i].bit, &attempts[j], without);
	}
}

static int
status_field(const char *name)
{
	char line[256];
	int n, value = -1;
	FILE *fp;

	if ((fp = fopen("/proc/self/status", "r")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), fp) != NULL) {
		n = (int)strlen(name);
		if (strncmp(line, name, (size_t)n) == 0)
			value = atoi(line + n);
	}
	fclose(fp);
	return value;
}

/* Only master can still read what the kernel says of it. */
static int
kernel_agrees(void)
{
	return status_field("NoNewPrivs:") == 1 && status_field("Seccomp:") == 2
		   ? 0
		   : -1;
}

/* One line, and it says what is in force. */
static void
test_line(void)
{
	char buf[512], want[64];
	int p[2], saved;
	ssize_t n;

	CHECK(pipe(p) == 0);
	saved = dup(STDERR_FILENO);
	dup2(p[1], STDERR_FILENO);
	log_setlevel(LOG_L_INFO);
	CHECK(in_role(WORKER, common_work) == 0);
	log_setlevel(LOG_L_WARN);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(p[1]);
	n = read(p[0], buf, sizeof(buf) - 1);
	close(p[0]);
	buf[n > 0 ? n : 0] = '\0';
	CHECK(strstr(buf, have_landlock
			      ? "sandbox: seccomp=allow-list landlock=abi"
			      : "sandbox: seccomp=allow-list landlock=none") !=
	      NULL);
	snprintf(want, sizeof(want), "no_new_privs=yes dumpable=no uid=%u\n",
	    (unsigned int)uid);
	CHECK(strstr(buf, want) != NULL);
	CHECK(n > 0 && strchr(buf, '\n') == buf + n - 1);
}

static void
prepare(void)
{
	socklen_t len = sizeof(listen_addr);

	parent = getpid();
	/* What libc reads once, it has: the sandbox is what keeps a role from
	 * resolving, not that libc could not begin. */
	CHECK(resolve_local() == 0);
	if ((sibling = fork()) == 0) {
		signal(SIGUSR1, SIG_IGN);
		for (;;)
			pause();
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	listen_addr.sin_family = AF_INET;
	listen_addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(listener, (struct sockaddr *)&listen_addr,
		  sizeof(listen_addr)) == 0);
	CHECK(listen(listener, 64) == 0);
	CHECK(
	    getsockname(listener, (struct sockaddr *)&listen_addr, &len) == 0);
	memfd = memfd_create("catalog", MFD_ALLOW_SEALING);
	CHECK(write(memfd, "catalog", 8) == 8 && ftruncate(memfd, 4096) == 0);
	CHECK(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
	CHECK(mkdtemp(store) != NULL);
	snprintf(outside, sizeof(outside), "%s.out", store);
	close(open(outside, O_CREAT | O_WRONLY, 0644));
	CHECK(chmod(outside, 0644) == 0);
	have_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0,
			    LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

int
main(void)
{
	log_init("test", 1);
	log_setlevel(LOG_L_WARN);
	prepare();
	uid = getuid();
	all_roles();
	test_line();
	CHECK(in_role(MASTER, kernel_agrees) == 0);
	if (uid == 0) {
		uid = OTHER_UID;
		CHECK(chown(store, uid, uid) == 0);
		all_roles();
		test_line();
	}
	kill(sibling, SIGKILL);
	waitpid(sibling, NULL, 0);
	CHECK(rmdir(store) == 0);
	CHECK(unlink(outside) == 0);
	printf("sandbox: %u refused, %u killed (%u of them no user may do "
	       "anyway), %u allowed as they must be, "
	       "landlock %s\n",
	    n_refused, n_killed, n_moot, n_worked,
	    have_landlock ? "yes" : "no");
	TEST_END();
}
