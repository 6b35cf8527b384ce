/*
 * Rows to bytes and back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "log.h"
#include "row.h"

#define ROW_VERSION   1
#define GRANT_VERSION 2 /* 1 had no number before; it was n - 1 */

#define F(t, s, m, max)                                \
	{                                              \
		t, offsetof(struct s, m), max, 0, NULL \
	}
#define DEF(s)                          \
	const struct msgdef def_##s = { \
	    #s, sizeof(struct s), f_##s, sizeof(f_##s) / sizeof(f_##s[0])}

static const struct wire_field f_row_client[] = {
    F(W_STR, row_client, name, 256),
    {W_STRV, offsetof(struct row_client, redirect_uris), 2048, 32, NULL},
    F(W_STR, row_client, auth_method, 64),
    F(W_STR, row_client, application_type, 64),
    F(W_STR, row_client, client_uri, 2048),
    F(W_STR, row_client, scope, 1024),
    F(W_U8, row_client, grants, 0),
    F(W_U8, row_client, has_secret, 0),
    F(W_FIXED, row_client, secret, DIGEST_SIZE),
    F(W_I64, row_client, created, 0),
    F(W_I64, row_client, used, 0),
};
DEF(row_client);

static const struct wire_field f_row_user[] = {
    F(W_SECRET, row_user, hash, 512),
    F(W_I64, row_user, changed, 0),
};
DEF(row_user);

static const struct wire_field f_row_consent[] = {
    F(W_I64, row_consent, at, 0),
};
DEF(row_consent);

static const struct wire_field f_row_code[] = {
    F(W_U8, row_code, state, 0),
    F(W_FIXED, row_code, gid, ID_LEN),
    F(W_STR, row_code, client_id, 2048),
    F(W_STR, row_code, user, 256),
    F(W_STR, row_code, redirect_uri, 2048),
    F(W_STR, row_code, challenge, CHALLENGE_LEN),
    F(W_STR, row_code, resource, 2048),
    F(W_STR, row_code, scope, 1024),
    F(W_I64, row_code, expires, 0),
};
DEF(row_code);

static const struct wire_field f_row_grant[] = {
    F(W_STR, row_grant, client_id, 2048),
    F(W_STR, row_grant, user, 256),
    F(W_STR, row_grant, resource, 2048),
    F(W_STR, row_grant, scope, 1024),
    F(W_FIXED, row_grant, salt, ID_LEN),
    F(W_U32, row_grant, n, 0),
    F(W_U8, row_grant, seen, 0),
    F(W_I64, row_grant, seen_at, 0),
    F(W_I64, row_grant, rotated, 0),
    F(W_I64, row_grant, created, 0),
    F(W_I64, row_grant, renewed, 0),
    F(W_I64, row_grant, expires, 0),
    F(W_I64, row_grant, token_exp, 0),
    F(W_U32, row_grant, before, 0),
};
DEF(row_grant);

static const struct msgdef def_row_grant_1 = {"row_grant",
    sizeof(struct row_grant), f_row_grant,
    sizeof(f_row_grant) / sizeof(f_row_grant[0]) - 1};

static const struct wire_field f_row_revoked[] = {
    F(W_U8, row_revoked, kind, 0),
    F(W_FIXED, row_revoked, id, ID_LEN),
    F(W_I64, row_revoked, until, 0),
};
DEF(row_revoked);

static const struct wire_field f_row_sealkey[] = {
    F(W_FIXED, row_sealkey, key, 32),
    F(W_I64, row_sealkey, created, 0),
};
DEF(row_sealkey);

static uint8_t
version(const struct msgdef *def)
{
	return def == &def_row_grant ? GRANT_VERSION : ROW_VERSION;
}

int
row_decode(const struct msgdef *def, void *row, const uint8_t *p, size_t len)
{
	struct row_grant *g = row;

	if (def == &def_row_grant && len > 0 && p[0] == 1 &&
	    wire_decode(&def_row_grant_1, g, p + 1, len - 1) == 0) {
		g->before = g->n - 1;
		return 0;
	}
	if (len < 1 || p[0] != version(def) ||
	    wire_decode(def, row, p + 1, len - 1) == -1) {
		log_warnx("store: a %s of an unknown version", def->name);
		req_setfailed(EINVAL);
		return -1;
	}
	return 0;
}

int
row_get(enum table t, const void *key, size_t keylen, const struct msgdef *def,
    void *row)
{
	uint8_t *val;
	size_t len;
	int r;

	memset(row, 0, def->size);
	if ((r = store_get(t, key, keylen, &val, &len)) != 1)
		return r;
	r = row_decode(def, row, val, len) == -1 ? -1 : 1;
	freezero(val, len);
	return r;
}

int
row_put(enum table t, const void *key, size_t keylen, const struct msgdef *def,
    const void *row)
{
	uint8_t *wire, *val;
	size_t len;
	int r;

	if ((wire = wire_encode(def, row, &len)) == NULL) {
		req_setfailed(errno);
		return -1;
	}
	if ((val = malloc(len + 1)) == NULL) {
		freezero(wire, len);
		req_setfailed(ENOMEM);
		return -1;
	}
	val[0] = version(def);
	memcpy(val + 1, wire, len);
	r = store_put(t, key, keylen, val, len + 1);
	freezero(wire, len);
	freezero(val, len + 1);
	return r;
}
