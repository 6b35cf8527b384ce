#ifndef SPLICE_H
#define SPLICE_H

/* Requests and answers written anew: our envelope, the client's values. */
#include "call.h"

/* The request upstream for a call; sets c->body. -1 if memory is out. */
int splice_request(struct call *, const struct call_start *);
/* The answer of the backend under the client's own id. */
void splice_answer(struct json_buf *, const struct call *, const struct rpc *);
/* A progress notification of the backend with the client's own token; -1 when
 * it is none for this call. */
int splice_progress(struct json_buf *, const struct call *, const struct rpc *);
/* A notification with another value (JSON) for one member of params, which
 * stands first then. */
void splice_note(struct json_buf *, const struct rpc *, const char *key,
    const char *value, size_t len);
/* A request of a backend under an id of ours, which stands for its progress
 * token, too, as the client's revision knows it. -1: it does not. */
int splice_question(
    struct json_buf *, enum project, const struct rpc *, const char *id);
/* "worker.call" as it stands in upstream ids and progress tokens. */
void splice_id(char dst[48], uint64_t id);
/* Reads such an id from a JSON string: 0, or -1. */
int splice_readid(const struct json_span *, uint64_t *wid, uint64_t *id);

#endif
