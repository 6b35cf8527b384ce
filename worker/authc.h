#ifndef AUTHC_H
#define AUTHC_H

/*
 * The worker's side of the channel to authd: joining, keys, revocations, and
 * asking. Never waits: the answer comes by callback.
 */
#include <stdint.h>

#include "jwt.h"
#include "proto.h"
#include "seal.h"

struct authd_call;

/* msg is the answer (its def belongs to the type asked for, see proto.h) or
 * NULL when authd is away, died meanwhile or its queue is full: answer 503.
 * msg is freed after cb returns. */
typedef void (*authd_cb)(void *arg, void *msg);

/* Sends; cb is called exactly once, unless authd_cancel comes first. NULL (and
 * cb is not called) when nothing could be sent. */
struct authd_call *authd_ask(uint32_t type, const struct msgdef *,
    const void *msg, authd_cb cb, void *arg);
void authd_cancel(struct authd_call *);
/* No answer is wanted (A_USED). */
void authd_tell(uint32_t type, const struct msgdef *, const void *msg);

/* Joined once: keys and revocations are here, tokens can be judged. */
int authc_ready(void);
/* authd lives and this worker counts with it. */
int authc_up(void);
/* The time that expiry is judged by: the wall clock, but never less than what
 * authd has seen, so that no token and no session comes back to life. */
int64_t authc_now(void);
/* The verification key of this id, or NULL. */
struct jwt_key *authc_key(const char *kid);
/* The key to seal with, or one to open with; NULL if there is none. */
const struct seal_key *authc_seal(void);
const struct seal_key *authc_unseal(uint32_t kid);
/* The end of a channel to authd, from master; joins. */
void authc_channel(int fd);
/* Fails the calls that authd has not answered in 20 s. */
void authc_tick(void);

/* The public keys as a JWKS text, "" before the join. */
const char *authc_jwks(void);

#endif
