#ifndef REFUSAL_H
#define REFUSAL_H

/*
 * What a backend says with an HTTP status that is an error: the body MAY be a
 * JSON-RPC error, with the id of the request or without (2025-11-25, basic/
 * transports), or any text.
 */
#include "rpc.h"
#include "upstream.h"

struct refusal {
	int status;
	struct rpc rpc;
	int whole; /* rpc is an error response, with the id of a request */
	struct json_span error; /* an object, or JSON_NONE */
	const char *text; /* of the body; NULL: none to be read; 404 */
	size_t len;
};

/* In done of r, and valid as long as r. */
void refusal_read(struct refusal *, const struct upreq *r, int status);
/* Does it mean that the session is not known (any more)? 404 says so; many say
 * 400, with words, with nothing, or with more than is read. */
int refusal_session(const struct refusal *);
/* "answered HTTP status N", and the backend's own message where it has one; cut
 * to what fits. */
void refusal_say(const struct refusal *, char *dst, size_t size);

#endif
