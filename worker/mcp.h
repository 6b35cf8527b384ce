#ifndef MCP_H
#define MCP_H

/*
 * The MCP endpoint: POST, GET and DELETE of Streamable HTTP, legacy revisions
 * 2025-03-26 to 2025-11-25.
 */
#include "request.h"
#include "rpc.h"
#include "session.h"

/* Route handler of every endpoint. */
void mcp_request(struct request *);

/* One request of a session, as the method table gives it to its handler. */
struct mcp {
	struct request *rq;
	const struct proof *proof;
	const struct session *session;
	struct rpc *rpc;
};

/* Answers with an error in the body; id from the message. */
void mcp_error(struct request *, int status, const struct json_span *id,
    int code, const char *message);
/* Answers with a result: JSON text. */
void mcp_result(struct request *, const struct json_span *id,
    const char *result, size_t len);

/*
 * Puts the request aside until a newer catalog has come, and then handles it
 * from the beginning. 0 when it has waited long enough already (or memory is
 * out): answer with what there is.
 */
int mcp_wait(struct request *);

/* initialize.c */
void mcp_initialize(struct request *, const struct proof *, struct rpc *);
/* lists.c */
void mcp_tools_list(const struct mcp *);
void mcp_prompts_list(const struct mcp *);
void mcp_resources_list(const struct mcp *);
void mcp_templates_list(const struct mcp *);
/* calls.c */
void mcp_tools_call(const struct mcp *);
void mcp_prompts_get(const struct mcp *);
void mcp_resources_read(const struct mcp *);
void mcp_complete(const struct mcp *);
void mcp_subscribe(const struct mcp *);
void mcp_unsubscribe(const struct mcp *);
void mcp_cancelled(const struct mcp *);
void mcp_progress(const struct mcp *);

#endif
