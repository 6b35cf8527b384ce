/*
 * Refresh tokens (design 3, "Refresh"). Token n of a family is
 *	mgr_ + base64url(family id, n, HMAC(pepper, salt, n))
 * so that nothing but the number is stored. n is the newest number, and it was
 * given for another, the one before:
 *
 *	n	rotates, but not within refresh_grace of the last rotation: then
 *		the same n is given again. Either way the idle time is renewed.
 *	before	gives n within refresh_grace of the rotation. Later, as long as
 *		nobody is known to have got n (n was presented, or an access
 *		token minted with it was used), that reply was lost: n + 1 is
 *		given, which is another token than n. Once n is known to have
 *		been got, gives n for refresh_grace more.
 *	between	those whose reply was lost. Whoever has one after all, or an
 *		access token minted with it, is not who asked again: two hold
 *		this family, and it goes.
 *	older	was stolen, or this client has forgotten: the family goes.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "log.h"

#define PREFIX "mgr_"

static void token_mac(uint8_t[DIGEST_SIZE], const struct row_grant *, uint32_t);
static enum verdict judge_number(const struct token_ctx *,
    const uint8_t[ID_LEN], uint32_t, struct row_grant *, const char *,
    struct a_tokens *);

static void
token_mac(uint8_t mac[DIGEST_SIZE], const struct row_grant *g, uint32_t n)
{
	uint8_t be[4];

	put_be32(be, n);
	secret_mac(mac, g->salt, sizeof(g->salt), be, sizeof(be));
}

char *
refresh_make(const uint8_t gid[ID_LEN], const struct row_grant *g, uint32_t n)
{
	uint8_t raw[REFRESH_RAW];
	char *s;

	memcpy(raw, gid, ID_LEN);
	put_be32(raw + ID_LEN, n);
	token_mac(raw + ID_LEN + 4, g, n);
	s = xmalloc(sizeof(PREFIX) + B64URL_LEN(sizeof(raw)));
	memcpy(s, PREFIX, sizeof(PREFIX));
	b64url_encode(s + sizeof(PREFIX) - 1, raw, sizeof(raw));
	explicit_bzero(raw, sizeof(raw));
	return s;
}

int
refresh_parse(
    const char *token, uint8_t gid[ID_LEN], uint32_t *n, struct row_grant *g)
{
	uint8_t raw[REFRESH_RAW], mac[DIGEST_SIZE];
	size_t len = strlen(token);
	int r;

	if (len != sizeof(PREFIX) - 1 + B64URL_LEN(REFRESH_RAW) ||
	    strncmp(token, PREFIX, sizeof(PREFIX) - 1) != 0 ||
	    b64url_decode(raw, sizeof(raw), token + sizeof(PREFIX) - 1,
		len - sizeof(PREFIX) + 1) != REFRESH_RAW)
		return 0;
	memcpy(gid, raw, ID_LEN);
	*n = get_be32(raw + ID_LEN);
	if ((r = grant_get(gid, g)) != 1)
		return r;
	token_mac(mac, g, *n);
	if (timingsafe_bcmp(mac, raw + ID_LEN + 4, sizeof(mac)) == 0)
		return 1;
	wire_free(&def_row_grant, g);
	return 0;
}

static enum verdict
stolen(const struct token_ctx *ctx, const uint8_t gid[ID_LEN],
    struct a_tokens *ans)
{
	log_warnx("AUTH client %s from %s showed an old refresh token: its "
		  "grant is revoked",
	    ctx->client_id, ctx->req->addr);
	(void)token_error(ans, 400, "invalid_grant",
	    "this refresh token was replaced before");
	return grant_revoke(gid) == -1 ? J_DROP : J_KEEP;
}

static enum verdict
give(const struct token_ctx *ctx, const uint8_t gid[ID_LEN],
    struct row_grant *g, const char *scope, struct a_tokens *ans)
{
	g->renewed = clock_now();
	if (token_answer(ctx, gid, g, scope, 1, ans) == -1 ||
	    grant_save(ctx->slice, gid, g) == -1 ||
	    client_touch(ctx->slice, ctx->client_id, ctx->client) == -1)
		return J_DROP;
	return J_KEEP;
}

static enum verdict
judge_number(const struct token_ctx *ctx, const uint8_t gid[ID_LEN], uint32_t n,
    struct row_grant *g, const char *scope, struct a_tokens *ans)
{
	int64_t now = clock_now(), grace = ctx->slice->conf.refresh_grace;

	if (n > g->n) {
		log_warnx("AUTH a refresh token is newer than the store: was "
			  "an old backup put back?");
		return token_error(
		    ans, 400, "invalid_grant", "unknown refresh token");
	}
	if (n == g->n) {
		if (!g->seen) {
			g->seen = 1;
			g->seen_at = now;
		}
		if (now - g->rotated >= grace) {
			g->before = g->n++;
			g->seen = 0;
			g->rotated = now;
		}
		return give(ctx, gid, g, scope, ans);
	}
	if (n != g->before || (g->seen && now - g->seen_at >= grace))
		return stolen(ctx, gid, ans);
	if (!g->seen && now - g->rotated >= grace) {
		g->n++;
		g->rotated = now;
	}
	return give(ctx, gid, g, scope, ans);
}

/* Scope and resource may only become less, and asking for more changes
 * nothing (RT-4). NULL and the answer filled when refused. */
static char *
judge_extent(const struct token_ctx *ctx, const struct row_grant *g,
    struct a_tokens *ans)
{
	const struct a_token *req = ctx->req;
	char *resource, *scope;
	int same;

	if (req->resources.n > 0) {
		resource = resource_judge(ctx->slice, &req->resources);
		same = resource != NULL && strcmp(resource, g->resource) == 0;
		free(resource);
		if (!same) {
			(void)token_error(ans, 400, "invalid_target",
			    "resource is not that of the grant");
			return NULL;
		}
	}
	if ((scope = scope_known(ctx->slice, req->scope)) == NULL)
		return xstrdup(g->scope);
	if (scope_within(scope, g->scope))
		return scope;
	free(scope);
	(void)token_error(
	    ans, 400, "invalid_scope", "scope is wider than that of the grant");
	return NULL;
}

enum verdict
refresh_use(const struct token_ctx *ctx, struct a_tokens *ans)
{
	uint8_t gid[ID_LEN];
	struct row_grant g;
	enum verdict v;
	char *scope;
	uint32_t n;
	int r;

	if (ctx->req->refresh_token[0] == '\0')
		return token_error(
		    ans, 400, "invalid_request", "refresh_token is missing");
	if ((r = refresh_parse(ctx->req->refresh_token, gid, &n, &g)) == -1)
		return J_DROP;
	if (r == 0)
		return token_error(
		    ans, 400, "invalid_grant", "unknown refresh token");
	if (strcmp(g.client_id, ctx->client_id) != 0)
		v = token_error(ans, 400, "invalid_grant",
		    "the refresh token is not this client's");
	else if (!grant_alive(ctx->slice, &g))
		v = token_error(
		    ans, 400, "invalid_grant", "the refresh token has expired");
	else if ((scope = judge_extent(ctx, &g, ans)) == NULL)
		v = J_DROP;
	else {
		v = judge_number(ctx, gid, n, &g, scope, ans);
		free(scope);
	}
	wire_free(&def_row_grant, &g);
	return v;
}

enum verdict
refresh_used(const struct a_used *used)
{
	struct row_grant g;
	enum verdict v = J_DROP;

	if (grant_get(used->gid, &g) != 1)
		return J_DROP;
	if (used->n == g.n && !g.seen) {
		g.seen = 1;
		g.seen_at = clock_now();
		if (row_put(T_GRANT, used->gid, ID_LEN, &def_row_grant, &g) ==
		    0)
			v = J_KEEP;
	} else if (used->n > g.before && used->n < g.n) {
		log_warnx("AUTH an access token of client %s is used that came "
			  "with a refresh token taken for lost: its grant is "
			  "revoked",
		    g.client_id);
		if (grant_revoke(used->gid) == 1)
			v = J_KEEP;
	}
	wire_free(&def_row_grant, &g);
	return v;
}
