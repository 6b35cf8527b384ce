#ifndef MEMFD_H
#define MEMFD_H

/*
 * Large bodies between processes: a piece of memory behind a descriptor that
 * nobody can change any more once it is sent.
 */
#include <stddef.h>

/* A sealed copy of data, or -1. */
int memfd_seal(const void *data, size_t len);
/* What is behind fd, exactly len bytes, malloc'd; NULL when it is not sealed,
 * has another size, or memory is out. fd stays the caller's. */
void *memfd_take(int fd, size_t len);

#endif
