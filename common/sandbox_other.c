/*
 * The sandboxes of systems other than Linux: pledge and unveil, or none.
 */
#include <sys/types.h>

#include <errno.h>
#include <unistd.h>

#include "log.h"
#include "proto.h"
#include "sandbox.h"
#include "sandbox_limits.h"

#if defined(__OpenBSD__)

#define CHILD_PROMISES                                                \
	"error stdio rpath wpath cpath dpath fattr flock getpw unix " \
	"tty proc exec"

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

void
sandbox_runner(void)
{
	limits(LIM_NPROC | LIM_FSIZE, BODY_FSIZE);
	/* Bodies: there is no memfd. */
	if (unveil("/tmp", "rwc") == -1 || unveil(NULL, NULL) == -1)
		fatal("unveil");
	enter("stdio rpath wpath cpath recvfd sendfd");
}

int
sandbox_nanny(int gated)
{
	(void)gated;
	return pledge("stdio proc", "");
}

/* A view of the file system does not outlive exec; promises do. */
int
sandbox_child(const struct m_exec *x, pid_t nanny, int sock, const char **what)
{
	char promises[256];

	(void)nanny;
	(void)sock;
	*what = "pledge";
	strlcpy(promises, CHILD_PROMISES, sizeof(promises));
	if (x->network == NETWORK_ANY)
		strlcat(promises, " inet dns mcast", sizeof(promises));
	if (x->jit)
		strlcat(promises, " prot_exec", sizeof(promises));
	return pledge(NULL, promises);
}

#elif !defined(__linux__)

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

void
sandbox_runner(void)
{
	enter(LIM_NPROC);
}

int
sandbox_nanny(int gated)
{
	(void)gated;
	return 0;
}

int
sandbox_child(const struct m_exec *x, pid_t nanny, int sock, const char **what)
{
	(void)x;
	(void)nanny;
	(void)sock;
	*what = "sandbox";
	return 0;
}

#endif

#if !defined(__linux__)

int
sandbox_has_files(void)
{
	return 0;
}

#endif
