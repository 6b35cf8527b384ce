#ifndef SPREAD_H
#define SPREAD_H

/* What a client says to its session is said to every upstream session of it. */
#include "peer.h"
#include "proto.h"

/* logging/setLevel; the worker is told when all have answered. */
void level_spread(struct peer *, uint32_t id, const struct k_soft *);
/* notifications/roots/list_changed, to those that roots were declared to. */
void roots_spread(const uint8_t nonce[ID_LEN]);
/* The worker that asked is gone. */
void level_gone(struct peer *);

#endif
