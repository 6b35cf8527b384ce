#ifndef WHOSE_H
#define WHOSE_H

/*
 * The keeper's memory of resources that answers of backends have named and that
 * are on no list (resource_link). reslink.h is the workers' side.
 */
#include "peer.h"
#include "proto.h"

void whose_named(const struct k_soft *);
/* Sends K_OWNER with that id, a little later. */
void whose_ask(struct peer *, uint32_t id, const struct k_soft *);
/* A session has ended; a worker's channel is gone. */
void whose_end(const uint8_t nonce[ID_LEN]);
void whose_gone(struct peer *);
void whose_tick(void);

#endif
