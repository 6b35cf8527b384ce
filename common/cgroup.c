/*
 * Control groups.
 */
#include <sys/types.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"

#if defined(__linux__)

#include <sys/stat.h>
#include <sys/xattr.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

#define NAME_LEN 64

static int find_mount(char *, size_t);
static int find_own(char *, size_t);
static int delegated(const char *, const char *);
static void sweep(void);
static void name_of(char[NAME_LEN], uint64_t);

static int base = -1; /* our own group */

/* Where the one hierarchy of v2 is mounted, with its root at the top. */
static int
find_mount(char *dst, size_t size)
{
	char line[PATH_MAX * 2], point[PATH_MAX], root[PATH_MAX];
	FILE *f;
	int found = 0;

	if ((f = fopen("/proc/self/mountinfo", "re")) == NULL)
		return 0;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, " - cgroup2 ") != NULL &&
		    sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) ==
			2 &&
		    strcmp(root, "/") == 0)
			found = snprintf(dst, size, "%s", point) < (int)size;
	fclose(f);
	return found;
}

static int
find_own(char *dst, size_t size)
{
	char line[PATH_MAX];
	FILE *f;
	int found = 0;

	if ((f = fopen("/proc/self/cgroup", "re")) == NULL)
		return 0;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "0::/", 4) == 0) {
			line[strcspn(line, "\n")] = '\0';
			found = snprintf(dst, size, "%s", line + 3) < (int)size;
		}
	fclose(f);
	return found;
}

/* Root may write everywhere: then systemd must have said so, or it is the top
 * one of what we can see, as in a container. */
static int
delegated(const char *path, const char *own)
{
	struct stat st;
	char yes = '0';

	if (geteuid() != 0)
		return stat(path, &st) == 0 && st.st_uid == geteuid() &&
		       access(path, W_OK) == 0;
	return strcmp(own, "/") == 0 ||
	       (getxattr(path, "trusted.delegate", &yes, 1) == 1 &&
		   yes == '1') ||
	       (getxattr(path, "user.delegate", &yes, 1) == 1 && yes == '1');
}

/* Those of a master that was killed. */
static void
sweep(void)
{
	const struct dirent *de;
	int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	long pid;

	if (d == NULL && fd != -1)
		close(fd);
	while (d != NULL && (de = readdir(d)) != NULL)
		if (sscanf(de->d_name, "mcpgwd-%ld-", &pid) == 1 && pid > 1 &&
		    kill((pid_t)pid, 0) == -1 && errno == ESRCH)
			(void)unlinkat(base, de->d_name, AT_REMOVEDIR);
	if (d != NULL)
		closedir(d);
}

int
cgroup_start(void)
{
	char mount[PATH_MAX], own[PATH_MAX], path[PATH_MAX * 2];

	if (base != -1)
		return 1;
	if (!find_mount(mount, sizeof(mount)) || !find_own(own, sizeof(own)))
		return 0;
	(void)snprintf(path, sizeof(path), "%s%s", mount, own);
	if (!delegated(path, own))
		return 0;
	base = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base != -1)
		sweep();
	return base != -1;
}

/* More than one mcpgwd may be in a group. */
static void
name_of(char name[NAME_LEN], uint64_t n)
{
	(void)snprintf(name, NAME_LEN, "mcpgwd-%ld-%llu", (long)getpid(),
	    (unsigned long long)n);
}

int
cgroup_make(uint64_t n, int *procs, int *kill)
{
	char name[NAME_LEN], file[NAME_LEN + 16];

	name_of(name, n);
	if (base == -1 || mkdirat(base, name, 0755) == -1)
		return -1;
	(void)snprintf(file, sizeof(file), "%s/cgroup.procs", name);
	*procs = openat(base, file, O_WRONLY | O_CLOEXEC);
	(void)snprintf(file, sizeof(file), "%s/cgroup.kill", name);
	*kill = openat(base, file, O_WRONLY | O_CLOEXEC);
	if (*procs != -1 && *kill != -1)
		return 0;
	/* Linux before 5.14 has no cgroup.kill. */
	if (*procs != -1)
		close(*procs);
	if (*kill != -1)
		close(*kill);
	cgroup_remove(n);
	return -1;
}

void
cgroup_remove(uint64_t n)
{
	char name[NAME_LEN];

	name_of(name, n);
	if (base != -1)
		(void)unlinkat(base, name, AT_REMOVEDIR);
}

#else

int
cgroup_start(void)
{
	return 0;
}

int
cgroup_make(uint64_t n, int *procs, int *kill)
{
	(void)n;
	(void)procs;
	(void)kill;
	return -1;
}

void
cgroup_remove(uint64_t n)
{
	(void)n;
}

#endif
