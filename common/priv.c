/*
 * The start of every child of master, and how it gives up its privileges.
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "imsg.h"
#include "log.h"
#include "priv.h"

static void
read_exact(void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = read(PROTO_CONTROL_FD, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			fatal("control channel");
		/* Master gave up before it came to this one. */
		if (n == 0)
			exit(0);
		p += n;
		len -= (size_t)n;
	}
}

/* Not a byte more than the message is read: the next may carry descriptors,
 * which come with the bytes they were sent with. */
static void
read_start(struct m_start *start)
{
	struct imsg_hdr hdr;
	uint8_t *data;
	size_t len;

	read_exact(&hdr, sizeof(hdr));
	if (hdr.type != M_START || hdr.len < sizeof(hdr) ||
	    hdr.len > MAX_IMSGSIZE)
		fatalx("control channel: no start message");
	len = hdr.len - sizeof(hdr);
	data = xmalloc(len);
	read_exact(data, len);
	if (wire_decode(&def_m_start, start, data, len) == -1)
		fatalx("control channel: bad start message");
	freezero(data, len);
}

static void
ignore(int sig)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_IGN;
	if (sigaction(sig, &sa, NULL) == -1)
		fatal("sigaction");
}

void
priv_boot(struct m_start *start, enum role role)
{
	struct stat st;

	if (fstat(PROTO_CONTROL_FD, &st) == -1 || !S_ISSOCK(st.st_mode))
		fatalx("this program is started by mcpgwd, not by hand");
	close_from(PROTO_CONTROL_FD + 1);
	umask(077);
	ignore(SIGPIPE);
	/* A terminal sends these to the whole group: master decides. */
	ignore(SIGHUP);
	ignore(SIGINT);
	if (fcntl(PROTO_CONTROL_FD, F_SETFD, FD_CLOEXEC) == -1)
		fatal("control channel");
	read_start(start);
	if (start->version != PROTO_VERSION)
		fatalx("master speaks version %u, this program %d: "
		       "they are not of the same build",
		    start->version, PROTO_VERSION);
	if (start->role != role)
		fatalx("started as %s by mistake", role_name(start->role));
	log_init(role_name(start->role), start->debug);
	log_setjson(start->json);
	log_setlevel(start->loglevel <= LOG_L_DEBUG
			 ? (enum log_level)start->loglevel
			 : LOG_L_INFO);
}

static void
drop_root(const struct m_start *start)
{
	gid_t gid = start->gid;

	if (start->uid == 0 || start->gid == 0)
		fatalx("%s must not run as root", role_name(start->role));
	/* The resolver needs the system's files: Landlock is its jail. */
	if (start->jail[0] != '/' && start->role != ROLE_RESOLVER)
		fatalx("no directory to chroot to");
	if (start->jail[0] == '/' && chroot(start->jail) == -1)
		fatal("chroot %s", start->jail);
	if (chdir("/") == -1)
		fatal("chdir");
	if (setgroups(1, &gid) == -1)
		fatal("setgroups");
	if (setresgid(start->gid, start->gid, start->gid) == -1)
		fatal("setresgid");
	if (setresuid(start->uid, start->uid, start->uid) == -1)
		fatal("setresuid");
	if (setuid(0) != -1 || seteuid(0) != -1 || setgid(0) != -1 ||
	    setegid(0) != -1 || setgroups(0, NULL) != -1)
		fatalx("privileges were given up but came back");
}

void
priv_drop(const struct m_start *start)
{
	struct rlimit none = {0, 0};

	if (start->root)
		drop_root(start);
#ifdef __linux__
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("PR_SET_DUMPABLE");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("PR_SET_NO_NEW_PRIVS");
#endif
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		fatal("RLIMIT_CORE");
}
