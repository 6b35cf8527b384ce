#ifndef SSE_H
#define SSE_H

/*
 * Server-sent events, the reader (WHATWG HTML 9.2): bytes in, events out.
 * An event longer than the limit is an error, not a buffer without bound.
 */
#include <stddef.h>

struct sse {
	char *line; /* unfinished line */
	size_t llen, lcap;
	char *data; /* of the event in the making */
	size_t dlen, dcap;
	char event[64];
	char id[256];
	size_t max;
	unsigned int retry; /* ms asked for before coming back; 0: none */
	int cr; /* last byte was CR */
	int bom;
	int any; /* the event has a data line */
};

struct sse_event {
	const char *event; /* "message" when none was named */
	const char *id; /* last event id, may be empty */
	const char *data; /* lines joined by LF */
	size_t len;
};

void sse_init(struct sse *, size_t max);
/* cb per event; non-zero from it stops and is returned. 0, or -1 when an event
 * is too long or memory is out. The struct may be freed inside cb only if cb
 * then returns non-zero. */
int sse_feed(struct sse *, const char *p, size_t len,
    int (*cb)(void *, const struct sse_event *), void *arg);
void sse_free(struct sse *);

#endif
