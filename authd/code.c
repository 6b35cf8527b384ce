/*
 * Authorization codes: 256 random bits, stored as a digest, good for 60 s and
 * one use. A second use revokes what the first one gave (RFC 6749 4.1.2); the
 * row stays as long as that lives.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "digest.h"
#include "log.h"

#define CODE_LABEL "code"

static int verifier_ok(const char *, const char *);
static enum verdict redeem(const struct token_ctx *, const uint8_t[DIGEST_SIZE],
    struct row_code *, struct a_tokens *);

char *
code_issue(const struct txn *t)
{
	uint8_t digest[DIGEST_SIZE];
	struct row_code row;
	char *code;
	int r;

	memset(&row, 0, sizeof(row));
	random_bytes(row.gid, sizeof(row.gid));
	row.client_id = t->client_id;
	row.user = t->user;
	row.redirect_uri = t->redirect_uri;
	row.challenge = t->challenge;
	row.resource = t->resource;
	row.scope = t->scope;
	row.expires = clock_now() + CODE_TTL;
	code = secret_make("mgc_");
	secret_digest_str(digest, CODE_LABEL, code);
	r = row_put(T_CODE, digest, sizeof(digest), &def_row_code, &row);
	if (r == -1 ||
	    expire_at(EXP_CODE, row.expires, digest, sizeof(digest)) == -1) {
		free(code);
		return NULL;
	}
	return code;
}

static int
verifier_ok(const char *verifier, const char *challenge)
{
	char text[B64URL_LEN(DIGEST_LEN) + 1];
	uint8_t hash[DIGEST_LEN];
	size_t len = strlen(verifier);

	if (len < 43 || len > 128 ||
	    strspn(verifier,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789-._~") != len)
		return 0;
	sha256(hash, verifier, len);
	b64url_encode(text, hash, sizeof(hash));
	return secret_equal(text, challenge);
}

static enum verdict
burn(const uint8_t digest[DIGEST_SIZE], struct row_code *row,
    struct a_tokens *ans)
{
	row->state = CODE_BURNT;
	(void)row_put(T_CODE, digest, DIGEST_SIZE, &def_row_code, row);
	(void)token_error(ans, 400, "invalid_grant",
	    "code_verifier does not match; the code is void now");
	return J_KEEP;
}

static enum verdict
replayed(
    const struct token_ctx *ctx, struct row_code *row, struct a_tokens *ans)
{
	(void)token_error(
	    ans, 400, "invalid_grant", "the code was used before");
	if (row->state != CODE_USED)
		return J_DROP;
	log_warnx("AUTH client %s from %s used a code twice: its grant is "
		  "revoked",
	    ctx->client_id, ctx->req->addr);
	return grant_revoke(row->gid) == 1 ? J_KEEP : J_DROP;
}

static enum verdict
grant_it(const struct token_ctx *ctx, const uint8_t digest[DIGEST_SIZE],
    struct row_code *row, struct a_tokens *ans)
{
	struct row_grant g;
	enum verdict v = J_DROP;

	memset(&g, 0, sizeof(g));
	g.client_id = xstrdup(row->client_id);
	g.user = xstrdup(row->user);
	g.resource = xstrdup(row->resource);
	g.scope = xstrdup(row->scope);
	row->state = CODE_USED;
	if (row_put(T_CODE, digest, DIGEST_SIZE, &def_row_code, row) == 0 &&
	    grant_create(row->gid, &g) == 0 &&
	    token_answer(ctx, row->gid, &g, g.scope,
		(ctx->client->grants & GRANT_REFRESH) != 0, ans) == 0 &&
	    grant_save(ctx->slice, row->gid, &g) == 0 &&
	    expire_at(EXP_GRANT, g.expires, row->gid, ID_LEN) == 0 &&
	    client_touch(ctx->slice, ctx->client_id, ctx->client) == 0)
		v = J_KEEP;
	wire_free(&def_row_grant, &g);
	return v;
}

static enum verdict
redeem(const struct token_ctx *ctx, const uint8_t digest[DIGEST_SIZE],
    struct row_code *row, struct a_tokens *ans)
{
	const struct a_token *req = ctx->req;
	int64_t now = clock_now();
	char *resource;
	int same;

	if (strcmp(row->client_id, ctx->client_id) != 0)
		return token_error(
		    ans, 400, "invalid_grant", "the code is not this client's");
	if (row->state != CODE_FRESH)
		return replayed(ctx, row, ans);
	/* Or made while the clock was ahead. */
	if (now >= row->expires || row->expires > now + CODE_TTL + CLOCK_SKEW)
		return token_error(
		    ans, 400, "invalid_grant", "the code has expired");
	/* OAuth 2.1 has no redirect_uri here any more; one that comes must
	 * be right. */
	if (req->redirect_uri[0] != '\0' &&
	    strcmp(req->redirect_uri, row->redirect_uri) != 0)
		return token_error(ans, 400, "invalid_grant",
		    "redirect_uri is not that of the authorization request");
	if (req->resources.n > 0) {
		resource = resource_judge(ctx->slice, &req->resources);
		same = resource != NULL && strcmp(resource, row->resource) == 0;
		free(resource);
		if (!same)
			return token_error(ans, 400, "invalid_target",
			    "resource is not that of the authorization "
			    "request");
	}
	if (!verifier_ok(req->verifier, row->challenge))
		return burn(digest, row, ans);
	return grant_it(ctx, digest, row, ans);
}

enum verdict
code_redeem(const struct token_ctx *ctx, struct a_tokens *ans)
{
	uint8_t digest[DIGEST_SIZE];
	struct row_code row;
	enum verdict v;
	int r;

	if (ctx->req->code[0] == '\0')
		return token_error(
		    ans, 400, "invalid_request", "code is missing");
	secret_digest_str(digest, CODE_LABEL, ctx->req->code);
	r = row_get(T_CODE, digest, sizeof(digest), &def_row_code, &row);
	if (r == -1)
		return J_DROP;
	if (r == 0)
		return token_error(ans, 400, "invalid_grant",
		    "no such code, or it has expired");
	v = redeem(ctx, digest, &row, ans);
	wire_free(&def_row_code, &row);
	return v;
}

int64_t
code_expire(const uint8_t digest[DIGEST_SIZE])
{
	struct row_code row;
	struct row_grant g;
	int64_t next = 0;

	if (row_get(T_CODE, digest, DIGEST_SIZE, &def_row_code, &row) != 1)
		return 0;
	if (row.state == CODE_USED && grant_get(row.gid, &g) == 1) {
		next = g.expires;
		wire_free(&def_row_grant, &g);
	}
	wire_free(&def_row_code, &row);
	if (next == 0)
		(void)store_del(T_CODE, digest, DIGEST_SIZE);
	return next;
}
