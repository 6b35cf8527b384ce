/*
 * How many descriptors are left.
 */
#include <sys/resource.h>

#include <fcntl.h>
#include <unistd.h>

#include "files.h"

#define SPARE 48 /* of the 64 that master reckons with for the rest */

/* The lowest that is free is the next one. */
int
files_scarce(int fd)
{
	static int max;
	struct rlimit rl;

	if (max == 0)
		max =
		    getrlimit(RLIMIT_NOFILE, &rl) == -1 || rl.rlim_cur > 1 << 30
			? 1 << 30
			: (int)rl.rlim_cur - SPARE;
	return fd >= max;
}

int
files_room(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (fd == -1)
		return 0;
	close(fd);
	return !files_scarce(fd);
}
