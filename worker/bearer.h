#ifndef BEARER_H
#define BEARER_H

/*
 * Who calls: the access token of a request, verified once, then known by its
 * digest. Audience, scope, expiry and revocation are looked at every time.
 */
#include "jwt.h"
#include "request.h"

/* What a verified token proves. */
struct proof {
	char *sub;
	char *client;
	char *aud;
	char *scope;
	uint8_t gid[ID_LEN];
	uint8_t jti[ID_LEN];
	int64_t iat, exp;
	uint32_t n;
	int used; /* authd has been told of the first use */
};

enum bearer {
	BEARER_OK,
	BEARER_NONE, /* no token at all */
	BEARER_INVALID, /* malformed, unknown key, expired, revoked, other aud */
	BEARER_SCOPE, /* 403 */
	BEARER_TWICE, /* two Authorization headers: 400 */
	BEARER_DOWN, /* not joined yet: 503 */
};

/* Judges the request's token for a resource (audience). *proof stays valid
 * until the next call into the event loop. */
enum bearer bearer_check(
    const struct request *, const char *resource, const struct proof **proof);
/* Has it any token that verifies? For the size of what it may send. */
int bearer_known(const struct request *);
/* Sends 401, 403, 400 or 503 with the challenge for the request's endpoint. */
void bearer_refuse(struct request *, enum bearer);
/* Drops proofs that a revocation covers (RFC 7009; design 3). */
void bearer_forget(uint8_t kind, const uint8_t id[ID_LEN]);
/* Drops all: a key is gone, and each has to be verified again. */
void bearer_forget_all(void);

#endif
