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
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "sandbox.h"

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* No catalog comes near: the keeper's memfd is what this bounds. */
#define KEEPER_FSIZE (256UL * 1024 * 1024)

#define LIM_NPROC 0x01 /* may not make processes or threads */
#define LIM_FSIZE 0x02 /* may not write to files */

static void
set_limit(int what, rlim_t cur, rlim_t max)
{
	struct rlimit rl = {cur, max};

	if (setrlimit(what, &rl) == -1)
		fatal("setrlimit");
}

static void
limits(int which, rlim_t fsize)
{
	struct sigaction sa;
	struct rlimit rl;
	struct stat st;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_IGN;
	if (sigaction(SIGXFSZ, &sa, NULL) == -1)
		fatal("sigaction");
	set_limit(RLIMIT_CORE, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("getrlimit");
	set_limit(RLIMIT_NOFILE, rl.rlim_max, rl.rlim_max);
#ifndef SANITIZE
	if (which & LIM_NPROC)
		set_limit(RLIMIT_NPROC, 0, 0);
#endif
	/* The limit would silence a log that goes to a file. */
	if ((which & LIM_FSIZE) &&
	    (fstat(STDERR_FILENO, &st) == -1 || !S_ISREG(st.st_mode)))
		set_limit(RLIMIT_FSIZE, fsize, fsize);
}

#if defined(__linux__)

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <netinet/in.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define X32_BIT  0x40000000U
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this architecture"
#endif

/* What the headers of Debian 12 lack. */
#define LL_FS_TRUNCATE    (1ULL << 14) /* ABI 3 */
#define LL_FS_IOCTL_DEV   (1ULL << 15) /* ABI 5 */
#define LL_NET_BIND       (1ULL << 0) /* ABI 4 */
#define LL_NET_CONNECT    (1ULL << 1) /* ABI 4 */
#define LL_SCOPE_ABSTRACT (1ULL << 0) /* ABI 6 */
#define LL_SCOPE_SIGNAL   (1ULL << 1) /* ABI 6 */

#define RET_ALLOW SECCOMP_RET_ALLOW
#define RET_EPERM (SECCOMP_RET_ERRNO | EPERM)
#define RET_KILL  SECCOMP_RET_KILL_PROCESS
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
};

static void
emit(struct prog *p, uint16_t code, uint32_t k, size_t jt, size_t jf)
{
	if (p->n == NELEM(p->f) || jt > 255 || jf > 255)
		fatalx("sandbox: filter too long");
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

/* rest: how many instructions of the rule come after this check. */
static void
emit_check(struct prog *p, const struct check *c, size_t rest)
{
	size_t i;
	uint32_t v;

	if (c->n == 0)
		return;
	emit_load(p, offsetof(struct seccomp_data, args[0]) +
			 c->arg * sizeof(uint64_t) + (c->high ? 4 : 0));
	emit(p, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
	for (i = 0; i < c->n; i++) {
		v = c->v[i] == PID_SELF ? (uint32_t)getpid() : c->v[i];
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, v, c->n - i, 0);
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

static void
seccomp(const struct table *tables, size_t n, uint32_t otherwise)
{
	static struct prog p;
	struct sock_fprog fprog;
	size_t i, j;

	p.n = 0;
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
	fprog.len = (unsigned short)p.n;
	fprog.filter = p.f;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_TSYNC, &fprog) != 0)
		fatal("seccomp");
}

/* ---- Landlock ---- */

/* As of ABI 6; an older kernel takes it if what it does not know is 0. */
struct ll_ruleset {
	uint64_t fs, net, scoped;
};

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

static void
ll_allow(int ruleset, const struct ll_path *lp, uint64_t handled)
{
	struct landlock_path_beneath_attr rule;

	memset(&rule, 0, sizeof(rule));
	rule.allowed_access = lp->access & handled;
	rule.parent_fd = open(lp->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd == -1) {
		/* /lib64 and the like are not everywhere. */
		if (errno == ENOENT)
			return;
		fatal("sandbox: %s", lp->path);
	}
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&rule, 0) == -1)
		fatal("landlock_add_rule %s", lp->path);
	close(rule.parent_fd);
}

/* Denies the file system but for paths, and net (LL_NET_*) as the kernel can;
 * returns its ABI, 0 if it has none. */
static int
landlock(const struct ll_path *paths, size_t n, uint64_t net)
{
	struct ll_ruleset rs;
	size_t i;
	long abi;
	int fd;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return 0;
	memset(&rs, 0, sizeof(rs));
	rs.fs = LANDLOCK_ACCESS_FS_REFER - 1;
	if (abi >= 2)
		rs.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		rs.fs |= LL_FS_TRUNCATE;
	if (abi >= 4)
		rs.net = net;
	if (abi >= 5)
		rs.fs |= LL_FS_IOCTL_DEV;
	if (abi >= 6)
		rs.scoped = LL_SCOPE_ABSTRACT | LL_SCOPE_SIGNAL;
	fd = (int)syscall(SYS_landlock_create_ruleset, &rs, sizeof(rs), 0);
	if (fd == -1) {
		log_warn("landlock_create_ruleset");
		return 0;
	}
	for (i = 0; i < n; i++)
		ll_allow(fd, &paths[i], rs.fs);
	if (syscall(SYS_landlock_restrict_self, fd, 0) == -1) {
		log_warn("landlock_restrict_self");
		abi = 0;
	}
	close(fd);
	return (int)abi;
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
	seccomp(t, n, otherwise);
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
	/* It opens the config again at each reload, and execs. */
	enter(t, NELEM(t), RET_ALLOW, "deny-list", 0);
}

void
sandbox_worker(void)
{
	static const struct table t[] = {
	    TABLE(base), TABLE(tcp), TABLE(worker), TABLE(quiet)};
	int abi;

	limits(LIM_NPROC | LIM_FSIZE, 0);
	no_new_privs();
	abi = landlock(NULL, 0, LL_NET_BIND);
	enter(t, NELEM(t), RET_DEFAULT, "allow-list", abi);
}

void
sandbox_keeper(void)
{
	static const struct table t[] = {
	    TABLE(base), TABLE(tcp), TABLE(keeper), TABLE(quiet)};
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

#ifdef SANITIZE
int __lsan_is_turned_off(void);

/* The leak checker traces its own process, which no role may do. */
int
__lsan_is_turned_off(void)
{
	return entered;
}
#endif

#elif defined(__OpenBSD__)

static void
enter(const char *promises)
{
	if (pledge(promises, "") == -1)
		fatal("pledge");
	log_info(
	    "sandbox: pledge=\"%s\" uid=%u", promises, (unsigned int)getuid());
}

void
sandbox_master(void)
{
	limits(0, 0);
	enter("stdio rpath wpath cpath fattr inet unix sendfd recvfd getpw "
	      "id proc exec");
}

void
sandbox_worker(void)
{
	limits(LIM_NPROC | LIM_FSIZE, 0);
	enter("stdio inet recvfd");
}

void
sandbox_keeper(void)
{
	limits(LIM_NPROC | LIM_FSIZE, KEEPER_FSIZE);
	enter("stdio inet recvfd sendfd");
}

void
sandbox_resolver(void)
{
	limits(LIM_NPROC | LIM_FSIZE, 0);
	enter("stdio dns recvfd");
}

void
sandbox_authd(const char *dir)
{
	limits(LIM_NPROC, 0);
	if (unveil(dir, "rwc") == -1 || unveil(NULL, NULL) == -1)
		fatal("unveil %s", dir);
	enter("stdio rpath wpath cpath fattr flock recvfd");
}

void
sandbox_hasher(void)
{
	limits(LIM_NPROC | LIM_FSIZE, 0);
	enter("stdio recvfd");
}

#else

static void
enter(int which)
{
	limits(which, 0);
	log_warnx("sandbox: this system has none that mcpgwd knows");
}

void
sandbox_master(void)
{
	enter(0);
}

void
sandbox_worker(void)
{
	enter(LIM_NPROC | LIM_FSIZE);
}

void
sandbox_keeper(void)
{
	enter(LIM_NPROC);
}

void
sandbox_resolver(void)
{
	enter(LIM_NPROC | LIM_FSIZE);
}

void
sandbox_authd(const char *dir)
{
	(void)dir;
	enter(LIM_NPROC);
}

void
sandbox_hasher(void)
{
	enter(LIM_NPROC | LIM_FSIZE);
}

#endif
