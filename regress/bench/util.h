#ifndef UTIL_H
#define UTIL_H

/*
 * What the load generator and the two servers of the benchmark share: buffers,
 * a JSON scanner that allocates nothing, the clock. It is not the gateway's own
 * scanner, whose faults must not hide themselves here.
 */
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *p;
	size_t n, cap;
};

struct span {
	const char *p;
	size_t n;
};

uint64_t now_ns(void);
__attribute__((noreturn)) void die(const char *);

/* Room for so many bytes more. */
void buf_need(struct buf *, size_t);
void buf_add(struct buf *, const void *, size_t);
void buf_str(struct buf *, const char *);
__attribute__((format(printf, 2, 3))) void buf_fmt(
    struct buf *, const char *, ...);
/* Takes so many bytes off the front. */
void buf_eat(struct buf *, size_t);
void buf_free(struct buf *);

int span_is(struct span, const char *);
/* The value of a member of an object: 1 found, 0 absent, -1 malformed. */
int json_member(struct span, const char *, struct span *);
/* The first element of an array: 1 found, 0 empty, -1 malformed. */
int json_first(struct span, struct span *);

#endif
