#ifndef PRIV_H
#define PRIV_H

/*
 * How every child starts: read M_START from fd 3, set up the log, give up
 * every privilege. Order: chroot, chdir, setgroups, setresgid, setresuid,
 * check that none comes back, not dumpable, no_new_privs, rlimits.
 */
#include "proto.h"

/* Blocks for M_START on PROTO_CONTROL_FD; fatal when it is not for this role
 * or of another version. Closes every descriptor above it. */
void priv_boot(struct m_start *, enum role);
/* As said above, from *start. Fatal on any failure. */
void priv_drop(const struct m_start *);

#endif
