#ifndef DIAL_H
#define DIAL_H

/*
 * A TCP connection to a backend that may have several addresses: they are tried
 * 250 ms apart, the last good one first, and the first to answer is taken (RFC
 * 8305 without its sorting, which is the resolver's).
 */
#include "backend.h"

struct dial;

/* fd: connected, non-blocking, now the callee's; which: the index of its
 * address. -1: nobody answers. The dial is gone. */
typedef void (*dial_cb)(void *arg, int fd, unsigned int which);

/* skip: bits of addresses not to be tried. Calls back later, never from
 * inside. NULL when memory is out. */
struct dial *dial_start(
    struct backend *, unsigned int skip, dial_cb, void *arg);
void dial_cancel(struct dial *);

#endif
