#ifndef SESSION_H
#define SESSION_H

/*
 * Legacy MCP sessions. Nothing is stored: the id that the client carries is the
 * session, sealed (design 3), so any worker opens it and it survives a restart
 * of everything. What has ended is a revocation of its nonce.
 */
#include "bearer.h"
#include "proto.h"
#include "worker.h"

struct session {
	char *subject; /* "" on an endpoint without sign-in */
	char *client;
	char *endpoint; /* its path */
	char *revision; /* negotiated */
	uint8_t class; /* DECLARE_* the client declared */
	struct strv extensions;
	char *client_name;
	char *client_version;
	int64_t created;
	uint8_t nonce[ID_LEN];
};

#define SESSION_MAX_ID 1024

/* Sealed id of a new session (nonce and created are filled in); malloc'd. NULL
 * when memory is out, there is no key yet, or it would be too long. */
char *session_seal(struct session *);
/*
 * The session of this id, if it belongs to whoever asks, on this endpoint, and
 * lives: valid until the next turn of the loop. NULL otherwise, whatever the
 * reason, so that nothing is told about another's session.
 */
const struct session *session_open(
    const char *id, size_t len, const struct proof *, const struct endpoint *);

#endif
