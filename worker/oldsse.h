#ifndef OLDSSE_H
#define OLDSSE_H

/*
 * HTTP+SSE of 2024-11-05 toward backends (ref/protocol.md 1.4). One GET stream
 * is the session: its first event names the address that messages are posted
 * to, and all answers come on it. Toward the rest of the program it is one
 * more upstream session, with an id of our own that no backend can give and
 * that upstream_send knows: a POST to it is answered by what the stream says,
 * a GET hears what belongs to no request, a DELETE ends it. The stream lives
 * in one process, so the id is of use only there.
 */
#include "backend.h"
#include "upstream.h"

struct oldsse;

/* Is it the id of such a session? */
int oldsse_is(const char *session);
/* Opens one. cb is called once, never from inside, with its id, or with NULL
 * and why not. NULL when memory or descriptors are out. */
struct oldsse *oldsse_open(struct backend *,
    void (*cb)(void *, const char *session, enum up_result, int status),
    void *arg);
/* Before cb has been called: it will not be. */
void oldsse_cancel(struct oldsse *);
/* Ends a session of this process; nothing where there is none (any more). */
void oldsse_close(const char *session);
int oldsse_alive(const char *session);
/* Each second. */
void oldsse_tick(void);

/*
 * Where the backend wants its messages: the URI reference of its endpoint
 * event as a request target, malloc'd. NULL if it is none, leads to another
 * scheme, host or port than the configured, or memory is out.
 */
char *oldsse_target(const struct backend *, const char *uri, size_t len);

/* From upstream.c. */
struct upreq *oldsse_send(struct backend *, const struct upreq_head *,
    const char *body, size_t len, const struct upreq_ops *, void *arg);
void oldsse_drop(struct upreq *);
void oldsse_forget(struct backend *);

#endif
