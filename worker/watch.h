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
/* The backend has none, or the session is gone. */
int watch_dead(const struct watch *);
struct backend *watch_backend(const struct watch *);
const char *watch_session(const struct watch *);
const char *watch_revision(const struct watch *);

#endif
