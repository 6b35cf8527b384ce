#ifndef ERA_H
#define ERA_H

/* Which era of MCP a message belongs to (ref/protocol.md 1.1): the body decides
 * and the header is only compared. */
#include "http.h"
#include "rpc.h"

enum era { ERA_LEGACY, ERA_MODERN };

enum era era_classify(const struct rpc *, const struct http_head *);

#endif
