/*
 * Sealed memory.
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "memfd.h"

#ifdef __linux__

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int
memfd_new(void)
{
	return memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static int
memfd_close(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL);
}

static int
memfd_closed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & SEALS) == SEALS;
}

#else

/* Without seals the reader's own copy is what counts. */
static int
memfd_new(void)
{
	char name[] = "/tmp/mcpgwd.XXXXXXXXXX";
	int fd;

	if ((fd = shm_mkstemp(name)) != -1)
		(void)shm_unlink(name);
	return fd;
}

static int
memfd_close(int fd)
{
	(void)fd;
	return 0;
}

static int
memfd_closed(int fd)
{
	(void)fd;
	return 1;
}

#endif

int
memfd_seal(const void *data, size_t len)
{
	const char *p = data;
	size_t done = 0;
	ssize_t n;
	int fd;

	if ((fd = memfd_new()) == -1)
		return -1;
	while (done < len) {
		n = pwrite(fd, p + done, len - done, (off_t)done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			goto fail;
		done += (size_t)n;
	}
	if (memfd_close(fd) == -1)
		goto fail;
	return fd;
fail:
	close(fd);
	return -1;
}

void *
memfd_take(int fd, size_t len)
{
	struct stat st;
	char *p;
	size_t done = 0;
	ssize_t n;

	if (!memfd_closed(fd) || fstat(fd, &st) == -1 || st.st_size < 0 ||
	    (size_t)st.st_size != len || (p = malloc(len + 1)) == NULL)
		return NULL;
	while (done < len) {
		n = pread(fd, p + done, len - done, (off_t)done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(p);
			return NULL;
		}
		done += (size_t)n;
	}
	return p;
}
