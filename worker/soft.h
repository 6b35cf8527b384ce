#ifndef SOFT_H
#define SOFT_H

/*
 * The table of client sessions: the log level, the resources watched, and in
 * the keeper which worker has the GET stream. Soft: every worker has a copy of
 * what clients have said, and re-sends it when the keeper has died.
 */
#include "peer.h"
#include "proto.h"

#define SOFT_URIS 64 /* watched, of a session and backend */

/* A GET stream has been opened; of two the older one is released. */
void soft_claim(struct peer *, const struct k_claim *);
/* It is no more. Nothing happens when the session has another by now. */
void soft_unclaim(const struct peer *, const struct k_claim *);
/* The owner of the session's stream, or NULL. */
struct peer *soft_owner(const uint8_t nonce[ID_LEN]);
void soft_level(const struct k_soft *);
void soft_subscribe(const struct k_soft *);
/* May it watch this one (too)? */
int soft_room(const uint8_t nonce[ID_LEN], uint32_t backend, const char *uri);
/* NULL: none was set. */
const char *soft_levelof(const uint8_t nonce[ID_LEN]);
/* The session is in use. */
void soft_touch(const uint8_t nonce[ID_LEN]);
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
/* Tells a new worker of all sessions: what does not fit into its channel now, in
 * later ticks. */
void soft_greet(struct peer *worker);
/* The same to a new keeper (K_REMIND); and what it does with it: whatever a
 * client has said meanwhile is newer. */
void soft_remind(struct peer *keeper);
void soft_reminded(const struct k_soft *);
/* A worker's channel is gone. */
void soft_gone(struct peer *);
void soft_tick(void);

#endif
