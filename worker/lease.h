#ifndef LEASE_H
#define LEASE_H

/*
 * The keeper's table of legacy upstream sessions, by (client session, backend).
 * The making of each is leased to exactly one worker at a time.
 */
#include "backend.h"
#include "peer.h"
#include "proto.h"

#define LEASE_SLACK 1000 /* ms beyond what opening a session takes */

/* A worker asks; it is answered now, or when whoever makes it is done. */
void lease_ask(struct peer *, uint32_t id, const struct k_lease *);
/* It has been made, by whoever held the lease or in the keeper's absence. */
void lease_put(struct peer *, const struct k_lease *);
void lease_fail(struct peer *, const struct k_lease *);
/* The client's session has ended: its upstream sessions are closed. */
void lease_end(const uint8_t nonce[ID_LEN], uint32_t backend_or_0);
/* The channel to a worker is gone: its leases pass on. */
void lease_gone(struct peer *);
/* A worker has the client's GET stream now: it is told of every session. */
void lease_claimed(const uint8_t nonce[ID_LEN]);
/* Calls cb for each upstream session of a client session. */
void lease_each(const uint8_t nonce[ID_LEN],
    void (*cb)(
	void *, uint32_t backend, const char *session, const char *revision),
    void *arg);
/* Calls cb for every upstream session there is; used is when the keeper heard
 * of it last, by mono_msec. */
void lease_walk(
    void (*cb)(void *, const uint8_t *nonce, uint64_t used), void *arg);
/* Each second: leases that ran out, sessions nobody has used. */
void lease_tick(void);
size_t lease_count(uint32_t backend);

/* Given by keeper.c: closes an upstream session. */
void keeper_close(uint32_t backend, const char *session, const char *revision);

#endif
