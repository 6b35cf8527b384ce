#ifndef HANDSHAKE_H
#define HANDSHAKE_H

/* Opening a legacy session with a backend: initialize, initialized. */
#include "backend.h"
#include "json.h"

struct handshake;

struct handshake_result {
	const char *error; /* NULL, or why not, for the log and the user */
	enum { HS_OK, HS_DOWN, HS_REFUSED, HS_BAD } kind;
	const char *session; /* "" when the backend keeps none */
	const char *revision; /* negotiated */
	const char *result; /* the InitializeResult, JSON */
	size_t resultlen;
};

/* Takes conf.opening at most, which is less than the life of a lease.
 * class: DECLARE_* bits to declare. nonce, subject: of the client's session and
 * who it is (stdio children may be one's own); NULL: nobody's. cb is called
 * once, never from inside; the result's strings are valid for the call. NULL
 * when memory is out. */
struct handshake *handshake_start(struct backend *, uint8_t class,
    const uint8_t *nonce, const char *subject,
    void (*cb)(void *, const struct handshake_result *), void *arg);
void handshake_cancel(struct handshake *);

#endif
