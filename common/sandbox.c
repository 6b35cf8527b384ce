/*
 * What each process may still ask of the kernel once its loop runs: a seccomp
 * filter per role, Landlock where the kernel has it, and rlimits.
 *
 * A filter is a list of rules; the first that matches a system call decides.
 * What no rule names kills the process: it can only be a break-in or a bug.
 * What libc tries by itself and can live without is refused with EPERM.
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "proto.h"
#include "sandbox.h"
#include "sandbox_limits.h"

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

#if defined(__linux__)

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define X32_BIT  0x40000000U
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this architecture"
#endif

#define RET_ALLOW SECCOMP_RET_ALLOW
#define RET_EPERM (SECCOMP_RET_ERRNO | EPERM)
#define RET_KILL  SECCOMP_RET_KILL_PROCESS
#define RET_ASK   SECCOMP_RET_USER_NOTIF /* nanny, see sandbox_gate.c */
/* What the headers of Debian 12 may lack; Linux 5.19. */
#define WAIT_KILLABLE (1U << 5)
#ifdef SANITIZE
/* The run-time of the sanitizers asks for more than we list. */
#define RET_DEFAULT RET_EPERM
#else
#define RET_DEFAULT RET_KILL
#endif

#include "sandbox_rules.h"

/* ---- from rules to a filter ---- */

struct prog {
	struct sock_filter f[2048];
	size_t n;
	pid_t nanny; /* what PID_NANNY stands for */
	int full;
};

static void
emit(struct prog *p, uint16_t code, uint32_t k, size_t jt, size_t jf)
{
	if (p->n == NELEM(p->f) || jt > 255 || jf > 255) {
		p->full = 1;
		return;
	}
	p->f[p->n].code = code;
	p->f[p->n].k = k;
	p->f[p->n].jt = (uint8_t)jt;
	p->f[p->n].jf = (uint8_t)jf;
	p->n++;
}

static void
emit_load(struct prog *p, size_t off)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)off, 0, 0);
}

/* Instructions of a check: load, and, its values, one jump out. */
static size_t
check_len(const struct check *c)
{
	return c->n == 0 ? 0 : (size_t)c->n + 3;
}

static uint32_t
check_value(const struct prog *p, uint32_t v)
{
	switch (v) {
	case PID_SELF:
		return (uint32_t)getpid();
	case PID_NANNY:
		return (uint32_t)p->nanny;
	case PGRP_NANNY:
		return (uint32_t)-p->nanny;
	default:
		return v;
	}
}

/* rest: how many instructions of the rule come after this check. */
static void
emit_check(struct prog *p, const struct check *c, size_t rest)
{
	size_t i;

	if (c->n == 0)
		return;
	emit_load(p, offsetof(struct seccomp_data, args[0]) +
			 c->arg * sizeof(uint64_t) + (c->high ? 4 : 0));
	emit(p, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
	for (i = 0; i < c->n; i++) {
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, check_value(p, c->v[i]),
		    c->n - i, 0);
	}
	emit(p, BPF_JMP | BPF_JA, (uint32_t)rest, 0, 0);
}

/* The first test leaves the number in A, so that a system call that needs no
 * look at its arguments stays in the kernel's cache of such. */
static void
emit_rule(struct prog *p, const struct rule *r)
{
	size_t i, len = 1;

	for (i = 0; i < NELEM(r->c); i++)
		len += check_len(&r->c[i]);
	emit_load(p, offsetof(struct seccomp_data, nr));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->nr, 0, len);
	for (i = 0; i < NELEM(r->c); i++) {
		len -= check_len(&r->c[i]);
		emit_check(p, &r->c[i], len);
	}
	emit(p, BPF_RET | BPF_K, r->ret, 0, 0);
}

/* 0, or what flags ask for; -1 and errno. */
static int
seccomp(const struct table *tables, size_t n, uint32_t otherwise, pid_t nanny,
    unsigned int flags)
{
	static struct prog p;
	struct sock_fprog fprog;
	size_t i, j;
	int ret;

	p.n = 0;
	p.full = 0;
	p.nanny = nanny;
	emit_load(&p, offsetof(struct seccomp_data, arch));
	emit(&p, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	emit(&p, BPF_RET | BPF_K, RET_KILL, 0, 0);
#ifdef X32_BIT
	emit_load(&p, offsetof(struct seccomp_data, nr));
	emit(&p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	emit(&p, BPF_RET | BPF_K, RET_KILL, 0, 0);
#endif
	for (i = 0; i < n; i++) {
		for (j = 0; j < tables[i].n; j++)
			emit_rule(&p, &tables[i].r[j]);
	}
	emit(&p, BPF_RET | BPF_K, otherwise, 0, 0);
	if (p.full) {
		errno = E2BIG;
		return -1;
	}
	fprog.len = (unsigned short)p.n;
	fprog.filter = p.f;
	ret = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
	/* With TSYNC it may return the thread that could not follow. */
	return ret > 0 && flags == SECCOMP_FILTER_FLAG_TSYNC ? -1 : ret;
}

/* ---- Landlock ---- */

/* As of ABI 6; an older kernel takes it if what it does not know is 0. */
struct ll_ruleset {
	uint64_t fs, net, scoped;
};

struct ll {
	int fd; /* -1: this kernel has none */
	int abi;
	uint64_t handled;
};

/* A ruleset that denies the file system, and net (LL_NET_*) as the kernel
 * can. What it lacks is no error: -1 and errno is one nonetheless. */
static int
ll_open(struct ll *l, uint64_t net)
{
	struct ll_ruleset rs;

	l->fd = -1;
	l->abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (l->abi < 1) {
		l->abi = 0;
		return 0;
	}
	memset(&rs, 0, sizeof(rs));
	rs.fs = LANDLOCK_ACCESS_FS_REFER - 1;
	if (l->abi >= 2)
		rs.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (l->abi >= 3)
		rs.fs |= LL_FS_TRUNCATE;
	if (l->abi >= 4)
		rs.net = net;
	if (l->abi >= 5)
		rs.fs |= LL_FS_IOCTL_DEV;
	if (l->abi >= 6)
		rs.scoped = LL_SCOPE_ABSTRACT | LL_SCOPE_SIGNAL;
	l->handled = rs.fs;
	l->fd = (int)syscall(SYS_landlock_create_ruleset, &rs, sizeof(rs), 0);
	return l->fd == -1 ? -1 : 0;
}

/* Closes fd. */
static int
ll_add(const struct ll *l, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr rule;
	struct stat st;
	int ret, saved;

	memset(&rule, 0, sizeof(rule));
	rule.allowed_access = access & l->handled;
	rule.parent_fd = fd;
	if ((ret = fstat(fd, &st)) == 0) {
		if (!S_ISDIR(st.st_mode))
			rule.allowed_access &= LL_FILE;
		ret = (int)syscall(SYS_landlock_add_rule, l->fd,
		    LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

static int
is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES ||
	       error == ELOOP;
}

/* /lib64 and the like are not everywhere. */
static int
ll_allow(const struct ll *l, const char *path, uint64_t access)
{
	int fd;

	if (l->fd == -1)
		return 0;
	if ((fd = open(path, O_PATH | O_CLOEXEC)) != -1)
		return ll_add(l, fd, access);
	return is_absent(errno) ? 0 : -1;
}

static int
ll_enter(struct ll *l)
{
	int ret, saved;

	if (l->fd == -1)
		return 0;
	ret = (int)syscall(SYS_landlock_restrict_self, l->fd, 0);
	saved = errno;
	close(l->fd);
	l->fd = -1;
	errno = saved;
	return ret;
}

/* For a role; returns the ABI in force, 0 if there is none. */
static int
landlock(const struct ll_path *paths, size_t n, uint64_t net)
{
	struct ll l;
	size_t i;

	if (ll_open(&l, net) == -1) {
		log_warn("landlock_create_ruleset");
		return 0;
	}
	for (i = 0; i < n; i++) {
		if (ll_allow(&l, paths[i].path, paths[i].access) == -1)
			fatal("sandbox: %s", paths[i].path);
	}
	if (ll_enter(&l) == -1) {
		log_warn("landlock_restrict_self");
		return 0;
	}
	return l.abi;
}

int
sandbox_has_files(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		   LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

/* ---- roles ---- */

static int entered;

static void
no_new_privs(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("PR_SET_DUMPABLE");
}

/* The filter, then the line: it says what is so, not what was asked for. */
static void
enter(const struct table *t, size_t n, uint32_t otherwise, const char *kind,
    int abi)
{
	char ll[16];
	int nnp, dumpable;

	nnp = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;
	if (seccomp(t, n, otherwise, 0, SECCOMP_FILTER_FLAG_TSYNC) == -1)
		fatal("seccomp");
	entered = 1;
	if (abi > 0)
		snprintf(ll, sizeof(ll), "abi%d", abi);
	else
		strlcpy(ll, "none", sizeof(ll));
	log_info("sandbox: seccomp=%s landlock=%s no_new_privs=%s dumpable=%s "
		 "uid=%u",
	    kind, ll, nnp ? "yes" : "no", dumpable ? "yes" : "no",
	    (unsigned int)getuid());
}

void
sandbox_master(void)
{
	static const struct table t[] = {TABLE(master)};

	limits(0, 0);
	no_new_privs();
	/* What a nanny that is killed leaves behind is ours to end. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		log_warn("PR_SET_CHILD_SUBREAPER");
	/* It opens the config again at each reload, and execs. */
	enter(t, NELEM(t), RET_ALLOW, "deny-list", 0);
}

void
sandbox_worker(void)
{
	static const struct table t[] = {TABLE(base), TABLE(tcp), TABLE(worker),
	    TABLE(bodies), TABLE(quiet)};
	int abi;

	limits(LIM_NPROC | LIM_FSIZE, BODY_FSIZE);
	no_new_privs();
	abi = landlock(NULL, 0, LL_NET_BIND);
	enter(t, NELEM(t), RET_DEFAULT, "allow-list", abi);
}

void
sandbox_keeper(void)
{
	static const struct table t[] = {TABLE(base), TABLE(tcp), TABLE(keeper),
	    TABLE(bodies), TABLE(quiet)};
	int abi;

	limits(LIM_NPROC | LIM_FSIZE, KEEPER_FSIZE);
	no_new_privs();
	abi = landlock(NULL, 0, LL_NET_BIND);
	enter(t, NELEM(t), RET_DEFAULT, "allow-list", abi);
}

void
sandbox_resolver(void)
{
	static const struct table t[] = {
	    TABLE(base), TABLE(resolver), TABLE(quiet)};
	static const struct ll_path paths[] = {
	    {"/etc", LL_READ},
	    {"/usr", LL_READ | LANDLOCK_ACCESS_FS_EXECUTE},
	    {"/lib", LL_READ | LANDLOCK_ACCESS_FS_EXECUTE},
	    {"/lib64", LL_READ | LANDLOCK_ACCESS_FS_EXECUTE},
	    {"/run", LL_READ},
	};
	int abi;

	limits(LIM_NPROC | LIM_FSIZE, 0);
	no_new_privs();
	abi = landlock(paths, NELEM(paths), LL_NET_BIND);
	/* Modules of nsswitch.conf are not ours: what they try is refused,
	 * but the process lives on. */
	enter(t, NELEM(t), RET_EPERM, "allow-list", abi);
}

void
sandbox_authd(const char *dir)
{
	static const struct table t[] = {
	    TABLE(base), TABLE(authd), TABLE(quiet)};
	struct ll_path store = {dir, LL_STORE};
	int abi;

	limits(LIM_NPROC, 0);
	no_new_privs();
	abi = landlock(&store, 1, LL_NET_BIND | LL_NET_CONNECT);
	enter(t, NELEM(t), RET_DEFAULT, "allow-list", abi);
}

void
sandbox_hasher(void)
{
	static const struct table t[] = {TABLE(base), TABLE(quiet)};
	int abi;

	limits(LIM_NPROC | LIM_FSIZE, 0);
	no_new_privs();
	abi = landlock(NULL, 0, LL_NET_BIND | LL_NET_CONNECT);
	enter(t, NELEM(t), RET_DEFAULT, "allow-list", abi);
}

void
sandbox_runner(void)
{
	static const struct table t[] = {
	    TABLE(base), TABLE(bodies), TABLE(quiet)};
	int abi;

	limits(LIM_NPROC | LIM_FSIZE, BODY_FSIZE);
	no_new_privs();
	abi = landlock(NULL, 0, LL_NET_BIND | LL_NET_CONNECT);
	enter(t, NELEM(t), RET_DEFAULT, "allow-list", abi);
}

/* No Landlock: its scope would keep it from ending what it has started. */
int
sandbox_nanny(int gated)
{
	static const struct table t[] = {TABLE(base), TABLE(nanny_own),
	    TABLE(quiet)},
				  g[] = {TABLE(nanny_gate), TABLE(base),
				      TABLE(nanny_own), TABLE(quiet)};

	/* A system call that only another libc makes must not end the one who
	 * keeps the tree. */
	if (seccomp(gated ? g : t, gated ? NELEM(g) : NELEM(t), RET_EPERM, 0,
		SECCOMP_FILTER_FLAG_TSYNC) == -1)
		return -1;
	entered = 1;
	return 0;
}

/* ---- a stdio child: the last thing before it is executed ---- */

/* Closes dir. What may lead back or elsewhere is ELOOP. */
static int
open_part(int dir, const char *name, size_t len)
{
	char part[NAME_MAX + 1];
	struct stat st;
	int fd = -1;

	if (len >= sizeof(part))
		errno = ENAMETOOLONG;
	else {
		memcpy(part, name, len);
		part[len] = '\0';
		fd = openat(dir, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	close(dir);
	if (fd != -1 && (strcmp(part, "..") == 0 || fstat(fd, &st) == -1 ||
			    S_ISLNK(st.st_mode))) {
		close(fd);
		fd = -1;
		errno = ELOOP;
	}
	return fd;
}

static int
open_real(const char *path)
{
	size_t len;
	int fd;

	fd = open("/", O_PATH | O_CLOEXEC);
	for (; fd != -1 && *(path += strspn(path, "/")) != '\0'; path += len) {
		len = strcspn(path, "/");
		fd = open_part(fd, path, len);
	}
	return fd;
}

/* What master has found is opened as it is: a child before may have put a link
 * there meanwhile, to anywhere. */
static int
child_list(const struct ll *l, const struct strv *sv, uint64_t access, int must,
    const char **what)
{
	uint32_t i;
	int fd;

	for (i = 0; l->fd != -1 && i < sv->n; i++) {
		*what = sv->v[i];
		if ((fd = open_real(sv->v[i])) != -1) {
			if (ll_add(l, fd, access) == -1)
				return -1;
		} else if (must || !is_absent(errno))
			return -1;
	}
	return 0;
}

static int
child_landlock(const struct m_exec *x, const char **what)
{
	struct ll l;
	size_t i;

	*what = "landlock";
	if (ll_open(&l, x->network != NETWORK_ANY ? LL_NET_BIND | LL_NET_CONNECT
						  : 0) == -1)
		return -1;
	for (i = 0; i < NELEM(child_paths); i++) {
		*what = child_paths[i].path;
		if (ll_allow(&l, child_paths[i].path, child_paths[i].access) ==
		    -1)
			return -1;
	}
	if (child_list(&l, &x->program, LL_RX, 0, what) == -1 ||
	    child_list(&l, &x->read, LL_RX, !x->lax, what) == -1 ||
	    child_list(&l, &x->write, LL_OWN, !x->lax, what) == -1)
		return -1;
	*what = "landlock";
	return ll_enter(&l);
}

int
sandbox_child(const struct m_exec *x, pid_t nanny, int sock, const char **what)
{
	static const struct table networks[] = {
	    [NETWORK_ANY] = TABLE(online),
	    [NETWORK_NONE] = TABLE(offline),
	    [NETWORK_LOOPBACK] = TABLE(looped),
	};
	struct table t[4] = {TABLE(child), TABLE(master)};
	unsigned int flags = SECCOMP_FILTER_FLAG_TSYNC;
	size_t n = 2;
	int gate;

	*what = "network";
	if (x->network >= NELEM(networks)) {
		errno = EINVAL;
		return -1;
	}
	*what = "PR_SET_NO_NEW_PRIVS";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	if (child_landlock(x, what) == -1)
		return -1;
	t[n++] = networks[x->network];
	if (!x->jit) {
		t[n].r = nojit;
		t[n++].n = NELEM(nojit);
	}
	if (x->network == NETWORK_LOOPBACK)
		flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE;
	*what = "seccomp";
	gate = seccomp(t, n, RET_ALLOW, nanny, flags);
	if (gate == -1 && errno == EINVAL && (flags & WAIT_KILLABLE))
		gate = seccomp(t, n, RET_ALLOW, nanny, flags & ~WAIT_KILLABLE);
	if (gate == -1)
		return -1;
	if (x->network != NETWORK_LOOPBACK)
		return 0;
	*what = "the way to nanny";
	if (sandbox_gate_send(sock, gate) == -1)
		return -1;
	close(gate);
	close(sock);
	return 0;
}

#ifdef SANITIZE
int __lsan_is_turned_off(void);

/* The leak checker traces its own process, which no role may do. */
int
__lsan_is_turned_off(void)
{
	return entered;
}
#endif

#endif
