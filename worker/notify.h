#ifndef NOTIFY_H
#define NOTIFY_H

/* Small messages to backends for which nobody waits, and what every request
 * takes along from the client's head. */
#include "call.h"

/* Posts body (taken, malloc'd) on an upstream session; the answer is dropped.
 * method "DELETE" with body NULL ends the session. */
void notify_post(struct backend *, const char *method, const char *session,
    const char *revision, char *body, size_t len);
/* The same for a request: done is called once it is answered, failed or out of
 * time, never from inside. -1: it is not called. */
int notify_ask(struct backend *, const char *method, const char *session,
    const char *revision, char *body, size_t len, void (*done)(void *),
    void *arg);
/* What an asker (question.h) has to say: progress comes before what follows it,
 * and a cancel before answers. An answer is tried once more where the connection
 * ends. order is compared, never followed. */
enum note_kind { NOTE_OTHER, NOTE_ANSWER, NOTE_PROGRESS, NOTE_CANCEL };
void notify_in_order(struct backend *, const void *order, enum note_kind,
    const char *session, const char *revision, char *body, size_t len);
/* Drops what waits for a backend that is about to be freed. */
void notify_forget(struct backend *);
/* notifications/cancelled for the call's request upstream; reason: the client's,
 * or NULL. */
void notify_cancelled(const struct call *, const struct json_span *reason);
/* traceparent and tracestate as header lines, malloc'd; NULL if there are
 * none. */
char *trace_headers(const struct http_head *);

#endif
