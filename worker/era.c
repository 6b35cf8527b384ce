/*
 * The era classifier.
 */
#include <string.h>

#include "era.h"

#define CLAIM  "io.modelcontextprotocol/protocolVersion"
#define MODERN "2026-07-28"

enum era
era_classify(const struct rpc *r, const struct http_head *h)
{
	const struct span *v = http_get(h, HDR_MCP_PROTOCOL_VERSION);

	if (rpc_meta(r, CLAIM) != NULL)
		return ERA_MODERN;
	/* An ISO date that is not one of the legacy revisions, or later. */
	if (v != NULL && v->len == sizeof(MODERN) - 1 &&
	    memcmp(v->p, MODERN, v->len) >= 0)
		return ERA_MODERN;
	return ERA_LEGACY;
}
