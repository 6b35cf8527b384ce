#ifndef SOFT_H
#define SOFT_H

/*
 * The keeper's table of client sessions: which worker has the GET stream, the
 * log level, the resources watched. Soft: workers re-send what they hold.
 */
#include "peer.h"
#include "proto.h"

/* A GET stream has been opened; the one before, elsewhere, is released. */
void soft_claim(struct peer *, const struct k_claim *);
/* The owner of the session's stream, or NULL. */
struct peer *soft_owner(const uint8_t nonce[ID_LEN]);
void soft_level(const struct k_soft *);
void soft_subscribe(const struct k_soft *);
/* Fills level and uris for a session that is made anew; strings are
 * borrowed, uris->v is malloc'd. */
void soft_fill(
    const uint8_t nonce[ID_LEN], uint32_t backend, struct k_session *);
/* For mcpgwctl. */
struct soft_info {
	uint64_t worker; /* that has the GET stream; 0: none */
	const char *level; /* "" for none; borrowed */
	size_t nsubs;
};
void soft_info(const uint8_t nonce[ID_LEN], struct soft_info *);
/* Calls cb for every session; used is by mono_msec. */
void soft_walk(
    void (*cb)(void *, const uint8_t *nonce, uint64_t used), void *arg);
void soft_end(const uint8_t nonce[ID_LEN]);
/* A new worker: the log levels of all sessions. */
void soft_greet(struct peer *);
/* A worker's channel is gone. */
void soft_gone(struct peer *);
void soft_tick(void);

#endif
