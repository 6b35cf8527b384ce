#ifndef WATCH_H
#define WATCH_H

/*
 * The GET stream of an upstream session: held open, reopened from its last
 * event when it breaks, given up where the backend offers none.
 */
#include "backend.h"

struct watch;

/* cb gets each JSON message; it must not stop the watch. NULL when memory is
 * out. */
struct watch *watch_start(struct backend *, const char *session,
    const char *revision, void (*cb)(void *, const char *, size_t), void *arg);
void watch_stop(struct watch *);
/* gone (with cb's argument) is called when the backend knows the session no
 * more; the watch rests until watch_retry, which asks the same again after a
 * while, ever longer, or watch_stop. It must not stop the watch from inside. */
void watch_ongone(struct watch *, void (*gone)(void *));
void watch_retry(struct watch *);
/* It has been open once, on this session. */
int watch_opened(const struct watch *);
int watch_gone(const struct watch *);
/* The backend has none, or the session is gone. */
int watch_dead(const struct watch *);
struct backend *watch_backend(const struct watch *);
const char *watch_session(const struct watch *);
const char *watch_revision(const struct watch *);

#endif
