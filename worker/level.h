#ifndef LEVEL_H
#define LEVEL_H

/* logging/setLevel: the keeper remembers it and sets it on every upstream
 * session the client has; the client is answered when that is done. */
#include "mcp.h"

void mcp_set_level(const struct mcp *);
/* Is a notifications/message of this level one that the client wants? All are
 * as long as it has not set a level. */
int level_passes(const uint8_t nonce[ID_LEN], const struct rpc *);

/* From keeperc.c. */
void level_done(uint32_t id);
void level_keeper_gone(void);
void level_tick(void);

#endif
