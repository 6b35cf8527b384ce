#ifndef CGROUP_H
#define CGROUP_H

/*
 * A control group of Linux (v2) for each stdio child, where ours has been
 * delegated to us: whatever its nanny leaves behind, as when it is killed
 * itself, goes at one blow. Elsewhere there are none, and all of this does
 * nothing.
 */
#include <sys/types.h>

#include <stdint.h>

/* fork(2), but the child begins in group n of ours, which is made. */
pid_t cgroup_fork(uint64_t n);
/* Kills all that is in group n. 0; -1: there is no such group. */
int cgroup_kill(uint64_t n);
/* Kills whatever is left in group n, and removes it. 0: it is gone; -1: who was
 * killed is still there, to be tried again. */
int cgroup_end(uint64_t n);

#endif
