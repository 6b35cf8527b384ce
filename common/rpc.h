#ifndef RPC_H
#define RPC_H

/*
 * JSON-RPC as the gateway reads and writes it. Messages are scanned, never
 * built into trees, and the envelope is always written anew (design 6).
 */
#include "json.h"

#define RPC_PARSE       (-32700)
#define RPC_INVALID     (-32600)
#define RPC_NO_METHOD   (-32601)
#define RPC_PARAMS      (-32602)
#define RPC_INTERNAL    (-32603)
#define RPC_NO_RESOURCE (-32002) /* legacy revisions */
#define RPC_SERVER      (-32000)
#define RPC_NO_SESSION  (-32001)

#define MCP_LATEST_LEGACY "2025-11-25"

/* A message, scanned with levels root, params, params._meta. */
struct rpc {
	struct json_doc doc;
	char method[64]; /* "" for a response */
	struct json_span id; /* type JSON_NONE: a notification */
	struct json_span params; /* JSON_NONE if absent */
	const struct json_member *result, *error;
};

enum rpc_kind { RPC_BAD, RPC_REQUEST, RPC_NOTIFICATION, RPC_RESPONSE };

/* Scans text. On RPC_BAD *code and *why say how to answer; *id is set if the
 * message had a usable one. */
enum rpc_kind rpc_scan(
    struct rpc *, const char *text, size_t len, int *code, const char **why);
/* Member of params, or NULL; of params._meta, or NULL. */
const struct json_span *rpc_param(const struct rpc *, const char *key);
const struct json_span *rpc_meta(const struct rpc *, const char *key);

/* An initialize request that declares class (DECLARE_*) to a server, under id
 * (JSON); malloc'd, NULL when memory is out. */
char *rpc_initialize(uint8_t class, const char *id, size_t *len);

/* Has the revision batches (arrays of messages)? NULL or "": no. */
int rpc_batches(const char *revision);
/* Is the text an array that can be walked with json_next? */
int rpc_array(struct json_span *, const char *text, size_t len);

/* Is this a legacy revision that is spoken here? */
int rpc_legacy_revision(const char *, size_t);

/* {"jsonrpc":"2.0","id":ID,"error":{…}}; without id when it is not known. */
void rpc_puterror(struct json_buf *, const struct json_span *id, int code,
    const char *message);
/* The start of a result up to and with "result": */
void rpc_putresult(struct json_buf *, const char *id, size_t idlen);

#endif
