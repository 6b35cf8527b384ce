/*
 * rlimits.
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_limits.h"

static void
set_limit(int what, rlim_t cur, rlim_t max)
{
	struct rlimit rl = {cur, max};

	if (setrlimit(what, &rl) == -1)
		fatal("setrlimit");
}

void
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
