/*
 * Who stands below whom, from /proc: what the tree of a nanny uses, whether a
 * process that asks for something is one of ours, and the end of a tree whose
 * nanny does not do it.
 */
#include <sys/types.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "master.h"

#define FRESH  500 /* ms that one look is good for: a row after the other */
#define ROUNDS 20 /* looks until nothing is found to be left */

#define FILTERS "\nSeccomp_filters:"

struct usage {
	pid_t pid, parent;
	uint64_t ticks; /* of processor time, with that of reaped children */
	uint64_t pages; /* resident */
	unsigned long long born; /* ticks since boot */
	char state;
};

static void read_proc(pid_t, const char *, char *, size_t);
static int read_one(pid_t, struct usage *);
static void look(void);
static int below(pid_t, pid_t);
static int by_pid(const void *, const void *);
static int end_one(const struct usage *);
static unsigned long number_of(const char *, const char *, unsigned long);
static int is_confined(const struct usage *, uid_t, unsigned long);

static struct usage *all;
static size_t nall, room;
static uint64_t looked; /* ms */

/* The text of one of its files; "": there is none. */
static void
read_proc(pid_t pid, const char *file, char *buf, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, buf, size - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
}

/* pid (name) state ppid …: the name may hold anything. */
static int
read_one(pid_t pid, struct usage *u)
{
	unsigned long long utime, stime;
	long long cutime, cstime, rss;
	char buf[1024], *p;
	int parent;

	read_proc(pid, "stat", buf, sizeof buf);
	if ((p = strrchr(buf, ')')) == NULL ||
	    sscanf(p + 1,
		" %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld "
		"%lld %*d %*d %*d %*d %llu %*u %lld",
		&u->state, &parent, &utime, &stime, &cutime, &cstime, &u->born,
		&rss) != 8)
		return -1;
	u->pid = pid;
	u->parent = parent;
	u->ticks = utime + stime + (uint64_t)cutime + (uint64_t)cstime;
	u->pages = rss > 0 ? (uint64_t)rss : 0;
	return 0;
}

static int
by_pid(const void *a, const void *b)
{
	const struct usage *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void
look(void)
{
	const struct dirent *de;
	DIR *d;

	nall = 0;
	looked = mono_msec();
	if ((d = opendir("/proc")) == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9')
			continue;
		if (nall == room) {
			room = room == 0 ? 256 : room * 2;
			all = xrealloc(all, room * sizeof *all);
		}
		if (read_one((pid_t)strtol(de->d_name, NULL, 10), &all[nall]) ==
		    0)
			nall++;
	}
	closedir(d);
	qsort(all, nall, sizeof *all, by_pid);
}

/* 1; 0: it is not, up to the first process of all; -1: that can not be told,
 * since somebody in between has gone while we looked. */
static int
below(pid_t pid, pid_t root)
{
	struct usage key, *u;
	size_t steps;

	memset(&key, 0, sizeof key);
	for (steps = 0; steps <= nall; steps++) {
		key.pid = pid;
		u = bsearch(&key, all, nall, sizeof *all, by_pid);
		if (u == NULL)
			return -1;
		if (u->parent == root)
			return 1;
		if (u->parent == 0)
			return 0;
		pid = u->parent;
	}
	return -1;
}

pid_t
tree_usage(pid_t nanny, uint64_t *kib, uint64_t *ms)
{
	const struct usage *first = NULL;
	uint64_t pages = 0, ticks = 0;
	long hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
	size_t i;

	if (looked == 0 || mono_msec() - looked > FRESH)
		look();
	for (i = 0; i < nall; i++) {
		if (below(all[i].pid, nanny) != 1)
			continue;
		pages += all[i].pages;
		ticks += all[i].ticks;
		/* What it has inherited came later. */
		if (all[i].parent == nanny &&
		    (first == NULL || all[i].born < first->born))
			first = &all[i];
	}
	*kib = pages * (uint64_t)page / 1024;
	*ms = hz > 0 ? ticks * 1000 / (uint64_t)hz : 0;
	return first == NULL ? 0 : first->pid;
}

#ifdef __linux__

/* By a descriptor, so that it is the one that was seen and no other that has
 * its number by now. */
static int
end_one(const struct usage *u)
{
	struct usage now;
	int fd, rv = -1;

	if ((fd = (int)syscall(SYS_pidfd_open, u->pid, 0)) == -1)
		return -1;
	if (read_one(u->pid, &now) == 0 && now.born == u->born)
		rv = (int)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	close(fd);
	return rv;
}

#else

static int
end_one(const struct usage *u)
{
	(void)u;
	return -1;
}

#endif

/* While its nanny lives, even if it is stopped, all that loses its parent is
 * its child. */
void
tree_end(pid_t nanny)
{
	unsigned int round, n = 1;
	size_t i;

	for (round = 0; n > 0 && round < ROUNDS; round++) {
		look();
		for (i = n = 0; i < nall; i++)
			if (all[i].state != 'Z' && all[i].state != 'X' &&
			    below(all[i].pid, nanny) == 1 &&
			    end_one(&all[i]) == 0)
				n++;
	}
}

uint64_t
tree_born(pid_t pid)
{
	struct usage u;

	return read_one(pid, &u) == 0 ? u.born : 0;
}

/* The number behind key, which is "\nName:". */
static unsigned long
number_of(const char *status, const char *key, unsigned long otherwise)
{
	const char *s = strstr(status, key);

	return s == NULL ? otherwise : strtoul(s + strlen(key), NULL, 10);
}

/*
 * Our children may be others' as well: what a script has started that became
 * mcpgwd, or, where mcpgwd is the first process of a container, whatever there
 * has lost its parent. What a nanny has started has no new privileges, a filter
 * of system calls more than we have, and the user of its backend, and none of
 * it can be shed; a kernel before Linux 5.9 does not count filters.
 */
static int
is_confined(const struct usage *u, uid_t uid, unsigned long filters)
{
	char status[4096];

	read_proc(u->pid, "status", status, sizeof status);
	return number_of(status, "\nUid:", (unsigned long)-1) == uid &&
	       number_of(status, "\nNoNewPrivs:", 0) == 1 &&
	       number_of(status, "\nSeccomp:", 0) == 2 &&
	       number_of(status, FILTERS, filters + 1) > filters;
}

void
tree_orphans(uid_t uid, uint64_t born, int (*ours)(pid_t))
{
	unsigned int round, n = 1;
	unsigned long filters;
	const struct usage *u;
	char status[4096];
	size_t i, k;

	read_proc(getpid(), "status", status, sizeof status);
	filters = number_of(status, FILTERS, 0);
	for (round = 0; born != 0 && n > 0 && round < ROUNDS; round++) {
		look();
		for (i = n = 0; i < nall; i++) {
			u = &all[i];
			if (u->parent != getpid() || u->state == 'Z' ||
			    u->state == 'X' || ours(u->pid) || u->born < born ||
			    !is_confined(u, uid, filters))
				continue;
			for (k = 0; k < nall; k++)
				if (below(all[k].pid, u->pid) == 1 &&
				    is_confined(&all[k], uid, filters))
					(void)end_one(&all[k]);
			n += end_one(u) == 0;
		}
	}
}

int
tree_foreign(pid_t pid)
{
#ifdef __linux__
	look();
	return pid != getpid() && below(pid, getpid()) == 0;
#else
	(void)pid;
	return 1;
#endif
}
