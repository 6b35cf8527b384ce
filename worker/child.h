#ifndef CHILD_H
#define CHILD_H

/*
 * Backends that are stdio children of runner, as one more kind of upstream
 * session: a POST is answered by what the child says to it, a GET hears what
 * belongs to no request, a DELETE ends the session.
 */
#include "backend.h"
#include "upstream.h"

struct stdio_open;

/* The channel to runner; the one before is gone. */
void stdio_channel(int fd);
int stdio_up(void);
/* Each second; see master_missed(). */
void stdio_tick(void);
/* For the keeper: the lists of this backend may be others now. */
void stdio_onlook(void (*)(uint32_t backend));
/* Opens a session. cb is called once, never from inside: session NULL and why
 * (after the backend's name) when there is none; result is the child's
 * InitializeResult. nonce: of the client's session, NULL for none; subject ""
 * for nobody. NULL when memory is out. */
struct stdio_open *stdio_open(struct backend *, uint8_t class,
    const uint8_t *nonce, const char *subject,
    void (*cb)(void *, const char *why, const char *session,
	const char *revision, const char *result, size_t len),
    void *arg);
/* cb will not be called. */
void stdio_open_cancel(struct stdio_open *);

/* From upstream.c. */
struct upreq *stdio_send(struct backend *, const struct upreq_head *,
    const char *body, size_t len, const struct upreq_ops *, void *arg);
void stdio_drop(struct upreq *);
void stdio_hold(struct upreq *, int on);
/* Ends what is under way with a backend that is about to be freed. */
void stdio_forget(struct backend *);

#endif
