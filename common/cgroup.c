/*
 * Control groups.
 */
#include <sys/types.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"

#if defined(__linux__)

#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define NAME_LEN    96
#define SWEEP_TIMES 20
#define SWEEP_WAIT  5 /* ms until who has been killed is looked for */

static int find_mount(char *, size_t);
static int find_own(char *, size_t);
static int delegated(const char *, const char *);
static int start(void);
static void sweep(void);
static void name_of(char[NAME_LEN], uint64_t);
static unsigned long long pid_space(void);
static int kill_all(const char *);

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

/* Which processes a number names: another's of our group can be another. */
static unsigned long long
pid_space(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0
		   ? (unsigned long long)st.st_ino
		   : 0;
}

static int
kill_all(const char *name)
{
	char file[NAME_LEN + 16];
	int fd;

	(void)snprintf(file, sizeof(file), "%.*s/cgroup.kill", NAME_LEN, name);
	if ((fd = openat(base, file, O_WRONLY | O_CLOEXEC)) == -1)
		return -1;
	(void)!write(fd, "1", 1);
	close(fd);
	return 0;
}

/* Those of a master that was killed, with whoever did not end with it. */
static void
sweep(void)
{
	const struct timespec ts = {0, SWEEP_WAIT * 1000000L};
	const struct dirent *de;
	int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), i;
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	unsigned long long space, ours = pid_space();
	long pid;

	if (d == NULL && fd != -1)
		close(fd);
	while (d != NULL && (de = readdir(d)) != NULL) {
		if (sscanf(de->d_name, "mcpgwd-%ld-%llu-", &pid, &space) != 2 ||
		    pid <= 1 || space != ours || kill((pid_t)pid, 0) != -1 ||
		    errno != ESRCH)
			continue;
		for (i = 0; i < SWEEP_TIMES; i++) {
			if (unlinkat(base, de->d_name, AT_REMOVEDIR) == 0 ||
			    errno != EBUSY || kill_all(de->d_name) == -1)
				break;
			(void)nanosleep(&ts, NULL);
		}
	}
	if (d != NULL)
		closedir(d);
}

/* Once; 1 where our own group may be divided. */
static int
start(void)
{
	static int done;
	char mount[PATH_MAX], own[PATH_MAX], path[PATH_MAX * 2];

	if (done)
		return base != -1;
	done = 1;
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
	(void)snprintf(name, NAME_LEN, "mcpgwd-%ld-%llu-%llu", (long)getpid(),
	    pid_space(), (unsigned long long)n);
}

/*
 * Begun in the group and not moved there: to move a process takes a lock for
 * which every fork and exit of the machine waits.
 */
pid_t
cgroup_fork(uint64_t n)
{
	struct clone_args args;
	char name[NAME_LEN];
	long pid = -1;
	int fd = -1;

	name_of(name, n);
	if (start() && mkdirat(base, name, 0755) == 0)
		fd = openat(base, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1) {
		memset(&args, 0, sizeof(args));
		args.flags = CLONE_INTO_CGROUP;
		args.exit_signal = SIGCHLD;
		args.cgroup = (uint64_t)fd;
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid == 0)
			return 0;
		close(fd);
	}
	if (pid == -1) {
		if (base != -1)
			(void)unlinkat(base, name, AT_REMOVEDIR);
		return fork();
	}
	return (pid_t)pid;
}

int
cgroup_kill(uint64_t n)
{
	char name[NAME_LEN];

	name_of(name, n);
	return base == -1 ? -1 : kill_all(name);
}

int
cgroup_end(uint64_t n)
{
	char name[NAME_LEN];

	name_of(name, n);
	if (base == -1 || unlinkat(base, name, AT_REMOVEDIR) == 0 ||
	    errno != EBUSY)
		return 0;
	(void)kill_all(name);
	return unlinkat(base, name, AT_REMOVEDIR);
}

#else

pid_t
cgroup_fork(uint64_t n)
{
	(void)n;
	return fork();
}

int
cgroup_kill(uint64_t n)
{
	(void)n;
	return -1;
}

int
cgroup_end(uint64_t n)
{
	(void)n;
	return 0;
}

#endif
