#ifndef NOTIFY_H
#define NOTIFY_H

/* Small messages to backends for which nobody waits, and what every request
 * takes along from the client's head. */
#include "call.h"

/* Posts body (taken, malloc'd) on an upstream session; the answer is dropped.
 * method "DELETE" with body NULL ends the session. */
void notify_post(struct backend *, const char *method, const char *session,
    const char *revision, char *body, size_t len);
/* notifications/cancelled for the call's request upstream. */
void notify_cancelled(const struct call *);
/* traceparent and tracestate as header lines, malloc'd; NULL if there are
 * none. */
char *trace_headers(const struct http_head *);
/* One event with JSON data on a streamed reply. */
int sse_send(struct request *, const char *json, size_t len);

#endif
