#ifndef JWT_H
#define JWT_H

/*
 * Access tokens: JWS compact (RFC 7515), ES256, typ at+jwt (RFC 9068). The
 * algorithm belongs to the key, never to the token: a header that says
 * anything but ES256, or carries crit, jku, jwk, x5u or x5c, is refused.
 */
#include <stddef.h>
#include <stdint.h>

#include "proto.h"

struct jwt_key; /* a public key to verify with */

struct jwt_claims {
	char iss[256];
	char sub[128];
	char client_id[128];
	char aud[512];
	char scope[512];
	uint8_t gid[ID_LEN];
	uint8_t jti[ID_LEN];
	int64_t iat, exp;
	uint32_t n; /* number of the refresh token it was minted with */
};

#define JWT_MAX 4096 /* no longer token is looked at */

struct jwt_key *jwt_key_new(
    const char *kid, const uint8_t x[32], const uint8_t y[32]);
void jwt_key_free(struct jwt_key *);
const char *jwt_key_kid(const struct jwt_key *);

/* Finds the key id of a token without trusting anything else in it; -1 if it
 * has not the shape of one of our tokens. */
int jwt_kid(const char *token, size_t len, char *kid, size_t kidsize);
/* Verifies the signature and decodes the claims; exp and aud are the caller's
 * to judge. 0 or -1. */
int jwt_verify(
    const struct jwt_key *, const char *token, size_t len, struct jwt_claims *);

/* The signing input "header.payload" for these claims, to be signed by whoever
 * has the private key (authd/keys.c). malloc'd, NULL if memory is out. */
char *jwt_unsigned(const char *kid, const struct jwt_claims *);
/* "input.signature" from a raw 64-byte ES256 signature. malloc'd. */
char *jwt_join(const char *input, const uint8_t sig[64]);

#endif
