/*
 * The token and revocation endpoints (OAuth 2.1 4.1.3 and 4.3, RFC 7009), and
 * what a token says (RFC 9068).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "jwt.h"
#include "log.h"

#define SLACK 300 /* clocks of workers may be behind ours */

static int is_bad_try(const struct a_tokens *);
static enum verdict revoke_it(const char *, const char *);

enum verdict
token_error(struct a_tokens *ans, uint16_t status, const char *error,
    const char *description)
{
	ans->status = status;
	ans->error = xstrdup(error);
	ans->description = xstrdup(description);
	return J_DROP;
}

static int
fits(char *dst, size_t size, const char *src)
{
	return strlcpy(dst, src, size) < size;
}

int
token_answer(const struct token_ctx *ctx, const uint8_t gid[ID_LEN],
    struct row_grant *g, const char *scope, int with, struct a_tokens *ans)
{
	const struct conf_auth *c = &ctx->slice->conf;
	struct jwt_claims *cl = xcalloc(1, sizeof(*cl));

	if (!fits(cl->iss, sizeof(cl->iss), c->issuer) ||
	    !fits(cl->sub, sizeof(cl->sub), g->user) ||
	    !fits(cl->client_id, sizeof(cl->client_id), g->client_id) ||
	    !fits(cl->aud, sizeof(cl->aud), g->resource) ||
	    !fits(cl->scope, sizeof(cl->scope), scope)) {
		free(cl);
		req_setfailed(EMSGSIZE);
		return -1;
	}
	memcpy(cl->gid, gid, ID_LEN);
	random_bytes(cl->jti, sizeof(cl->jti));
	cl->iat = clock_now();
	cl->exp = cl->iat + c->access_token_ttl;
	cl->n = g->n;
	if (g->token_exp < cl->exp)
		g->token_exp = cl->exp;
	ans->access_token = keys_mint(cl);
	free(cl);
	if (ans->access_token == NULL) {
		req_setfailed(EIO);
		return -1;
	}
	ans->status = 200;
	ans->scope = xstrdup(scope);
	ans->expires_in = c->access_token_ttl;
	if (with)
		ans->refresh_token = refresh_make(gid, g, g->n);
	return 0;
}

static int
is_bad_try(const struct a_tokens *ans)
{
	return ans->error != NULL &&
	       (strcmp(ans->error, "invalid_client") == 0 ||
		   strcmp(ans->error, "invalid_grant") == 0);
}

static enum verdict
by_grant_type(const struct token_ctx *ctx, struct a_tokens *ans)
{
	const char *type = ctx->req->grant_type;

	if (strcmp(type, "authorization_code") == 0)
		return code_redeem(ctx, ans);
	if (strcmp(type, "refresh_token") == 0) {
		if ((ctx->client->grants & GRANT_REFRESH) == 0)
			return token_error(ans, 400, "unauthorized_client",
			    "this client did not register refresh_token");
		return refresh_use(ctx, ans);
	}
	if (type[0] == '\0')
		return token_error(
		    ans, 400, "invalid_request", "grant_type is missing");
	return token_error(ans, 400, "unsupported_grant_type",
	    "authorization_code and refresh_token are supported");
}

/* Of tries that fail an address has so many; what is right is answered in any
 * case, since others may use the address too. Judging costs no more than saying
 * no. */
static void
count_bad(struct slice *sl, const struct a_token *req, struct a_tokens *ans)
{
	uint32_t wait = window_check(
	    WIN_FAIL, req->addr, sl->conf.fail_count, sl->conf.fail_window);

	if (wait == 0) {
		window_add(WIN_FAIL, req->addr, sl->conf.fail_window);
		log_info("AUTH token request from %s refused: %s, %s",
		    req->addr, ans->error, ans->description);
		return;
	}
	wire_free(&def_a_tokens, ans);
	(void)token_error(
	    ans, 429, "temporarily_unavailable", "too many failed tries");
	ans->retry_after = wait;
}

enum verdict
token_judge(struct slice *sl, const struct a_token *req, struct a_tokens *ans)
{
	struct client_proof proof = {req->method, req->client_id, req->secret,
	    req->client_id2, req->secret2};
	struct token_ctx ctx = {.slice = sl, .req = req};
	struct row_client client;
	enum verdict v;
	int r;

	if ((r = client_auth(&proof, &ctx.client_id, &client)) == -1)
		return J_DROP;
	if (r == 0) {
		v = token_error(ans, 401, "invalid_client",
		    "unknown client, or wrong client secret");
	} else {
		ctx.client = &client;
		v = by_grant_type(&ctx, ans);
		wire_free(&def_row_client, &client);
	}
	if (is_bad_try(ans))
		count_bad(sl, req, ans);
	return v;
}

/* ---- revocation ---- */

int
token_revoke_access(const char *token, const char *client)
{
	struct jwt_claims *cl = xcalloc(1, sizeof(*cl));
	int r = 0;

	if (keys_verify(token, cl) == 0 &&
	    (client == NULL || strcmp(cl->client_id, client) == 0) &&
	    cl->exp + SLACK > clock_now())
		r = revoke_add(REV_TOKEN, cl->jti, cl->exp + SLACK) == -1 ? -1
									  : 1;
	free(cl);
	return r;
}

/* RFC 7009: what is unknown, or another client's, is no error. What is unknown
 * may have been revoked a moment ago: then every worker must know. */
static enum verdict
revoke_it(const char *token, const char *client)
{
	uint8_t gid[ID_LEN];
	struct row_grant g;
	enum verdict v = J_DROP;
	uint32_t n;
	int r;

	if ((r = refresh_parse(token, gid, &n, &g)) == -1)
		return J_DROP;
	if (r == 0) {
		if (token_revoke_access(token, client) == 1)
			return J_KEEP;
		revoke_wait();
		return J_DROP;
	}
	if (strcmp(g.client_id, client) == 0 && grant_revoke(gid) == 1)
		v = J_KEEP;
	wire_free(&def_row_grant, &g);
	return v;
}

enum verdict
token_revoke(struct slice *sl, const struct a_revoke *req, struct a_done *ans)
{
	struct client_proof proof = {req->method, req->client_id, req->secret,
	    req->client_id2, req->secret2};
	struct row_client client;
	const char *id;
	enum verdict v;
	int r;

	ans->status = 200;
	if ((r = client_auth(&proof, &id, &client)) == -1)
		return J_DROP;
	if (r == 0 && window_check(WIN_FAIL, req->addr, sl->conf.fail_count,
			  sl->conf.fail_window) > 0) {
		ans->status = 429;
		ans->error = xstrdup("temporarily_unavailable");
		return J_DROP;
	}
	if (r == 0) {
		window_add(WIN_FAIL, req->addr, sl->conf.fail_window);
		ans->status = 401;
		ans->error = xstrdup("invalid_client");
		return J_DROP;
	}
	if (req->token[0] == '\0') {
		ans->status = 400;
		ans->error = xstrdup("invalid_request");
		v = J_DROP;
	} else {
		v = revoke_it(req->token, id);
	}
	wire_free(&def_row_client, &client);
	return v;
}

enum verdict
session_end(struct slice *sl, const struct a_revoked *req, struct a_done *ans)
{
	int64_t until = req->until, now = clock_now();

	ans->status = 200;
	if (until > now + sl->conf.session_ttl)
		until = now + sl->conf.session_ttl;
	if (until <= now)
		return J_DROP;
	return revoke_add(REV_SESSION, req->id, until) == 0 ? J_KEEP : J_DROP;
}
