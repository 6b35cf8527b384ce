#ifndef MASTER_H
#define MASTER_H

/* The channel to master, as worker, keeper and resolver have it. */
#include "peer.h"
#include "proto.h"

/* Opens the channel on fd 3. rules: the role's own; end of file exits. */
void master_open(const struct peer_rule *, size_t);
/* Reports M_READY, M_PREPARED, M_IDLE. */
void master_ready(void);
void master_prepared(uint32_t gen, const char *error);
void master_idle(void);
/* A peer broke the contract. */
void master_badpeer(uint8_t role, uint64_t id, const char *why);
/* Each second: the channel to that role has ended at *lost, by mono_msec; 0: it
 * has not. Where its process lives on master does not know of it, and is told. */
void master_missed(uint8_t role, uint64_t *lost);
/* Handlers that every role lists in its rules. */
void master_loglevel(struct peer *, uint32_t, void *, int);
/* Answers an M_CTL: rows of name, value pairs ended by NULL, then the end. */
void master_row(uint32_t id, ...) __attribute__((sentinel));
/* Is there room for another row? What does not fit is lost. */
int master_room(void);
void master_end(uint32_t id, int failed, const char *message);

#endif
