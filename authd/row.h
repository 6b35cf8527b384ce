#ifndef ROW_H
#define ROW_H

/*
 * The rows of the store. On disk a row is one version byte and the wire form
 * of its struct; a row of another version is an error, never a guess.
 */
#include "be.h"
#include "proto.h"
#include "store.h"

#define DIGEST_SIZE   32
#define CHALLENGE_LEN 43 /* base64url of a SHA-256 */

struct row_client {
	char *name;
	struct strv redirect_uris;
	char *auth_method;
	char *application_type;
	char *client_uri;
	char *scope;
	uint8_t grants; /* GRANT_* */
	uint8_t has_secret;
	uint8_t secret[DIGEST_SIZE]; /* HMAC of it */
	int64_t created;
	int64_t used; /* 0: never */
};
struct row_user {
	char *hash; /* crypt(3) */
	int64_t changed;
};
struct row_consent {
	int64_t at;
};

#define CODE_FRESH 0
#define CODE_USED  1
#define CODE_BURNT 2 /* a wrong verifier was shown */

struct row_code {
	uint8_t state;
	uint8_t gid[ID_LEN]; /* of the grant it becomes */
	char *client_id;
	char *user;
	char *redirect_uri;
	char *challenge;
	char *resource;
	char *scope;
	int64_t expires;
};
/* A grant is a refresh family: see refresh.c. */
struct row_grant {
	char *client_id;
	char *user;
	char *resource;
	char *scope;
	uint8_t salt[ID_LEN];
	uint32_t n; /* number of the newest refresh token */
	uint32_t before; /* that it was given for; any between were lost */
	uint8_t seen; /* n was presented, or a token minted with it used */
	int64_t seen_at;
	int64_t rotated; /* when n was made */
	int64_t created;
	int64_t renewed; /* idle time runs from here */
	int64_t expires; /* the store may forget it then */
	int64_t token_exp; /* no access token of it lives longer */
};
struct row_revoked {
	uint8_t kind; /* REV_* */
	uint8_t id[ID_LEN];
	int64_t until;
};
struct row_sealkey {
	uint8_t key[32];
	int64_t created;
};

extern const struct msgdef def_row_client, def_row_user, def_row_consent,
    def_row_code, def_row_grant, def_row_revoked, def_row_sealkey;

/* 1 and *row filled (wire_free it), 0 none, -1 failure. */
int row_get(enum table, const void *key, size_t keylen, const struct msgdef *,
    void *row);
/* 0 or -1. */
int row_put(enum table, const void *key, size_t keylen, const struct msgdef *,
    const void *row);
/* From the bytes an iteration shows. 0 or -1. */
int row_decode(const struct msgdef *, void *row, const uint8_t *p, size_t len);

#endif
