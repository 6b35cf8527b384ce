#ifndef CGROUP_H
#define CGROUP_H

/*
 * A control group of Linux (v2) for each stdio child, where ours has been
 * delegated to us: everything in it can be killed at one blow. Elsewhere there
 * is none, and nanny does it process by process.
 */
#include <stdint.h>

/* Looks for our own. 1: it may be divided; 0: there are no groups. */
int cgroup_start(void);
/* Makes number n. *procs: who writes "0" to it joins; *kill: "1" kills all that
 * are in it. -1: there is none. */
int cgroup_make(uint64_t n, int *procs, int *kill);
/* Once it is empty. */
void cgroup_remove(uint64_t n);

#endif
