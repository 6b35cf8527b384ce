#ifndef SANDBOX_LIMITS_H
#define SANDBOX_LIMITS_H

/* The rlimits of every role; for sandbox.c and sandbox_other.c only. */
#include <sys/types.h>
#include <sys/resource.h>

/* No catalog comes near: the keeper's memfd is what this bounds. */
#define KEEPER_FSIZE (256UL * 1024 * 1024)
/* A body is at most 16 MiB; what is made of one can be longer. */
#define BODY_FSIZE (64UL * 1024 * 1024)

#define LIM_NPROC 0x01 /* may not make processes or threads */
#define LIM_FSIZE 0x02 /* may not write to files */

/* which: LIM_*; fsize: bytes that LIM_FSIZE leaves. Fatal when they can not be
 * set. Also no core, and all the descriptors there are. */
void limits(int which, rlim_t fsize);

#endif
