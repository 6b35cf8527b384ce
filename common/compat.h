#ifndef COMPAT_H
#define COMPAT_H

/*
 * What OpenBSD's libc has and an older glibc lacks. Each is defined under its
 * own name only where the system does not declare it.
 */
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __linux__
/* glibc has strlcpy and strlcat from 2.38 on. */
#if !defined(__GLIBC__) || __GLIBC__ < 2 || \
    (__GLIBC__ == 2 && __GLIBC_MINOR__ < 38)
size_t strlcpy(char *, const char *, size_t);
size_t strlcat(char *, const char *, size_t);
#endif
long long strtonum(const char *, long long, long long, const char **);
void freezero(void *, size_t);
int timingsafe_bcmp(const void *, const void *, size_t);
void setproctitle_init(int, char **, char **);
void setproctitle(const char *, ...) __attribute__((format(printf, 1, 2)));
#else
#define setproctitle_init(c, v, e) ((void)0)
#endif

/* Closes this descriptor and all above it. */
void close_from(int);

/* Seconds and milliseconds of a clock that never jumps. */
uint64_t mono_sec(void);
uint64_t mono_msec(void);

/* xmalloc and friends: out of memory at start or for a small object is fatal.
 * What a peer can make large is allocated with plain malloc and checked. */
void *xmalloc(size_t);
void *xcalloc(size_t, size_t);
void *xrealloc(void *, size_t);
char *xstrdup(const char *);
int xasprintf(char **, const char *, ...) __attribute__((format(printf, 2, 3)));

#endif
