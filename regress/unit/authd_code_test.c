/* PKCE-3, PKCE-4, CODE-1 to CODE-4, client authentication, RFC 7009. */
#include "authd_fixture.h"
#include "test.h"

struct peer *
master_peer(void)
{
	return NULL;
}

static struct a_tokens ans;

static int
is(const struct a_tokens *t, int status, const char *error)
{
	return t->status == status && t->error != NULL &&
	       strcmp(t->error, error) == 0;
}

/* One redemption with one thing changed; the answer is in ans. */
static int
try_with(const char *client, const char *code, const char *verifier,
    const char *uri, const char *resource)
{
	struct a_token req;
	int status;

	FREE_TOKENS(&ans);
	fix_token_req(&req, client);
	req.code = FIX_S(code);
	req.verifier = FIX_S(verifier);
	req.redirect_uri = FIX_S(uri);
	if (resource != NULL)
		(void)strv_add(&req.resources, resource);
	status = fix_token(&req, &ans);
	strv_free(&req.resources);
	return status;
}

static void
good(const char *client)
{
	char *code = fix_code(client, "mcp extra");
	struct jwt_claims *cl = calloc(1, sizeof(*cl));

	CHECK(code != NULL && strncmp(code, "mgc_", 4) == 0);
	CHECK(strlen(code) == 4 + 43); /* CODE-3: 256 bits */
	CHECK(try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL) == 200);
	CHECK(fix_claims(ans.access_token, cl) == 0);
	CHECK(strcmp(cl->iss, FIX_ISSUER) == 0);
	CHECK(strcmp(cl->sub, OWNER) == 0);
	CHECK(strcmp(cl->client_id, client) == 0);
	CHECK(strcmp(cl->aud, FIX_ISSUER "/mcp") == 0);
	CHECK(strcmp(cl->scope, "mcp extra") == 0);
	CHECK(strcmp(ans.scope, "mcp extra") == 0);
	CHECK(cl->exp - cl->iat == 3600 && cl->iat == fix_wall);
	CHECK(cl->n == 1);
	CHECK(ans.expires_in == 3600);
	CHECK(strncmp(ans.refresh_token, "mgr_", 4) == 0);
	FREE_TOKENS(&ans);
	free(code);
	free(cl);
}

/* CODE-1: a second use fails and revokes what the first gave. */
static void
code_1(const char *client)
{
	char *code = fix_code(client, "mcp"), *rt;

	CHECK(try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL) == 200);
	rt = strdup(ans.refresh_token);
	(void)try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 400, "invalid_grant"));
	CHECK(fix_changed && fix_need > 0);
	FREE_TOKENS(&ans);
	CHECK(fix_refresh(client, rt, &ans) == 400);
	CHECK(is(&ans, 400, "invalid_grant"));
	/* And a third time there is nothing left to revoke. */
	(void)try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 400, "invalid_grant"));
	CHECK(!fix_changed);
	free(code);
	free(rt);

	/* A day later it is still known to have been used. */
	code = fix_code(client, "mcp");
	CHECK(try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL) == 200);
	rt = strdup(ans.refresh_token);
	fix_pass(86000);
	CHECK(turn_begin() == 0 && req_begin() == 0);
	CHECK(expire_run(&fix_slice, 500) >= 0);
	CHECK(req_end(1) == 0 && turn_commit() == 0);
	(void)try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(fix_changed);
	FREE_TOKENS(&ans);
	CHECK(fix_refresh(client, rt, &ans) == 400);
	free(code);
	free(rt);
}

/* CODE-2: a code that was never issued, or is a neighbour of one. */
static void
code_2(const char *client)
{
	char *code = fix_code(client, "mcp"), bad[64];

	strcpy(bad, code);
	bad[20] = bad[20] == 'A' ? 'B' : 'A';
	(void)try_with(client, bad, FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 400, "invalid_grant"));
	CHECK(!fix_changed); /* DOS-8 */
	CHECK(try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL) == 200);
	(void)try_with(client, "", FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 400, "invalid_request"));
	free(code);
}

/* CODE-3 and PKCE-3: what leaves the code good, and what burns it. */
static void
code_3(const char *client, const char *other)
{
	char *code = fix_code(client, "mcp");

	(void)try_with(other, code, FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 400, "invalid_grant"));
	(void)try_with(client, code, FIX_VERIFIER, "https://c.example/x", NULL);
	CHECK(is(&ans, 400, "invalid_grant"));
	(void)try_with(
	    client, code, FIX_VERIFIER, FIX_CALLBACK, FIX_ISSUER "/home/mcp");
	CHECK(is(&ans, 400, "invalid_target"));
	(void)try_with("nobody", code, FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 401, "invalid_client"));
	CHECK(try_with(client, code, FIX_VERIFIER, "", FIX_ISSUER "/mcp/") ==
	      200);
	free(code);

	code = fix_code(client, "mcp");
	fix_pass(61);
	(void)try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 400, "invalid_grant"));
	free(code);
	code = fix_code(client, "mcp");
	fix_pass(59);
	CHECK(try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL) == 200);
	free(code);
}

static void
pkce_3(const char *client)
{
	static const char *const bad[] = {"",
	    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl",
	    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX",
	    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX+", FIX_CHALLENGE};
	char longv[130], *code;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		code = fix_code(client, "mcp");
		(void)try_with(client, code, bad[i], FIX_CALLBACK, NULL);
		CHECK(is(&ans, 400, "invalid_grant"));
		CHECK(fix_changed);
		/* Burnt. */
		(void)try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL);
		CHECK(is(&ans, 400, "invalid_grant"));
		CHECK(!fix_changed);
		free(code);
	}
	memset(longv, 'a', sizeof(longv));
	longv[129] = '\0';
	code = fix_code(client, "mcp");
	(void)try_with(client, code, longv, FIX_CALLBACK, NULL);
	CHECK(is(&ans, 400, "invalid_grant"));
	free(code);
}

/* CODE-4: fifty at once are fifty in a row. */
static void
code_4(const char *client)
{
	char *code = fix_code(client, "mcp");
	int i, won = 0;

	for (i = 0; i < 50; i++)
		won += try_with(client, code, FIX_VERIFIER, FIX_CALLBACK,
			   NULL) == 200;
	CHECK(won == 1);
	free(code);
}

static int
auth(uint8_t method, const char *id, const char *secret, const char *id2,
    const char *secret2)
{
	struct a_token req;

	FREE_TOKENS(&ans);
	fix_token_req(&req, id);
	req.method = method;
	req.secret = FIX_S(secret);
	req.client_id2 = FIX_S(id2);
	req.secret2 = FIX_S(secret2);
	req.code = FIX_S("mgc_none");
	return fix_token(&req, &ans);
}

static void
client_proofs(void)
{
	char *secret, *id, *pub;

	id = fix_client(FIX_CALLBACK, "client_secret_post", &secret);
	pub = fix_client(FIX_CALLBACK, "none", NULL);
	CHECK(secret != NULL && strncmp(secret, "mgs_", 4) == 0);
	CHECK(strncmp(id, "https://", 8) != 0);
	/* 400: the client is who it says, only the code is wrong. */
	CHECK(auth(CAUTH_POST, id, secret, "", "") == 400);
	CHECK(auth(CAUTH_BASIC, id, secret, id, secret) == 400);
	CHECK(auth(CAUTH_BASIC, "x%", "y", id, secret) == 400);
	CHECK(auth(CAUTH_BASIC, id, secret, "x", "y") == 400);
	CHECK(auth(CAUTH_NONE, id, "", "", "") == 401);
	CHECK(auth(CAUTH_NONE, id, secret, "", "") == 401);
	CHECK(auth(CAUTH_POST, id, "mgs_wrong", "", "") == 401);
	CHECK(is(&ans, 401, "invalid_client"));
	CHECK(!fix_changed);
	CHECK(auth(CAUTH_BASIC, id, "", id, "") == 401);
	CHECK(auth(CAUTH_NONE, "", "", "", "") == 401);
	CHECK(auth(CAUTH_NONE, pub, "", "", "") == 400);
	CHECK(auth(CAUTH_BASIC, pub, "", pub, "") == 400);
	CHECK(auth(CAUTH_POST, pub, "whatever", "", "") == 400);
	free(secret);
	free(id);
	free(pub);
}

static void
grant_types(const char *client)
{
	struct a_token req;

	fix_token_req(&req, client);
	req.grant_type = FIX_S("password");
	FREE_TOKENS(&ans);
	(void)fix_token(&req, &ans);
	CHECK(is(&ans, 400, "unsupported_grant_type"));
	req.grant_type = FIX_S("");
	FREE_TOKENS(&ans);
	(void)fix_token(&req, &ans);
	CHECK(is(&ans, 400, "invalid_request"));
	FREE_TOKENS(&ans);
}

static int
revoke_token(const char *client, const char *token)
{
	struct a_revoke req;
	struct a_done done;
	int status;

	memset(&req, 0, sizeof(req));
	memset(&done, 0, sizeof(done));
	req.addr = FIX_S(FIX_ADDR);
	req.client_id = req.client_id2 = FIX_S(client);
	req.secret = req.secret2 = FIX_S("");
	req.token = FIX_S(token);
	(void)fix_run(fix_j_revoke, &req, &done);
	status = done.status;
	wire_free(&def_a_done, &done);
	return status;
}

/* REV-1 */
static void
rev_1(const char *client, const char *other)
{
	char *code = fix_code(client, "mcp"), *rt, *at;

	CHECK(try_with(client, code, FIX_VERIFIER, FIX_CALLBACK, NULL) == 200);
	rt = strdup(ans.refresh_token);
	at = strdup(ans.access_token);
	CHECK(revoke_token(client, "nonsense") == 200 && !fix_changed);
	CHECK(revoke_token(client, "mgr_AAAA") == 200 && !fix_changed);
	CHECK(revoke_token(other, rt) == 200 && !fix_changed);
	CHECK(revoke_token(other, at) == 200 && !fix_changed);
	CHECK(revoke_token("nobody", at) == 401 && !fix_changed);
	CHECK(revoke_token(client, "") == 400);
	CHECK(revoke_token(client, at) == 200 && fix_changed && fix_need > 0);
	/* Again: nothing new, but the answer still waits for the workers. */
	CHECK(revoke_token(client, at) == 200 && !fix_changed && fix_need > 0);
	FREE_TOKENS(&ans);
	CHECK(fix_refresh(client, rt, &ans) == 200);
	CHECK(revoke_token(client, rt) == 200 && fix_changed);
	FREE_TOKENS(&ans);
	CHECK(fix_refresh(client, rt, &ans) == 400);
	/* The grant is gone by now, and with it the token's row: still. */
	CHECK(revoke_token(client, rt) == 200 && !fix_changed && fix_need > 0);
	FREE_TOKENS(&ans);
	free(code);
	free(rt);
	free(at);
}

/* auth_failures_per_ip: failures count, successes never, and they are not
 * refused for the failures of others. */
static void
windows(const char *client)
{
	char *code = fix_code(client, "mcp"), *rt;
	struct a_token req, good;
	struct a_revoke rev;
	struct a_done done;
	int i;

	penalty_reset();
	FREE_TOKENS(&ans);
	CHECK(fix_redeem(client, code, &ans) == 200);
	rt = strdup(ans.refresh_token);
	free(code);
	code = fix_code(client, "mcp");
	fix_token_req(&req, client);
	req.addr = FIX_S("198.51.100.7");
	for (i = 0; i < 10; i++) {
		req.code = FIX_S("mgc_x");
		FREE_TOKENS(&ans);
		CHECK(fix_token(&req, &ans) == 400);
	}
	FREE_TOKENS(&ans);
	CHECK(fix_token(&req, &ans) == 429);
	CHECK(ans.retry_after > 0 && ans.retry_after <= 60);
	CHECK(ans.access_token == NULL && !fix_changed);
	fix_token_req(&good, client);
	good.addr = FIX_S("198.51.100.7");
	good.grant_type = FIX_S("refresh_token");
	good.refresh_token = rt;
	FREE_TOKENS(&ans);
	CHECK(fix_token(&good, &ans) == 200);
	good.grant_type = FIX_S("authorization_code");
	good.code = code;
	FREE_TOKENS(&ans);
	CHECK(fix_token(&good, &ans) == 200);
	/* What a stolen one sets off is done, whatever is said. */
	FREE_TOKENS(&ans);
	CHECK(fix_token(&good, &ans) == 429 && fix_changed && fix_need > 0);
	memset(&rev, 0, sizeof(rev));
	memset(&done, 0, sizeof(done));
	rev.addr = good.addr;
	rev.client_id = rev.client_id2 = FIX_S("nobody");
	rev.secret = rev.secret2 = FIX_S("");
	rev.token = rt;
	(void)fix_run(fix_j_revoke, &rev, &done);
	CHECK(done.status == 429);
	wire_free(&def_a_done, &done);
	rev.client_id = rev.client_id2 = FIX_S(client);
	(void)fix_run(fix_j_revoke, &rev, &done);
	CHECK(done.status == 200 && fix_changed && fix_need > 0);
	wire_free(&def_a_done, &done);
	free(code);
	free(rt);
	req.addr = FIX_S("198.51.100.8");
	FREE_TOKENS(&ans);
	CHECK(fix_token(&req, &ans) == 400);
	req.addr = FIX_S("198.51.100.7");
	fix_pass(61);
	FREE_TOKENS(&ans);
	CHECK(fix_token(&req, &ans) == 400);
	FREE_TOKENS(&ans);
	penalty_reset();
}

int
main(void)
{
	char *client, *other;

	fix_start();
	client = fix_client(FIX_CALLBACK, "none", NULL);
	other = fix_client(FIX_CALLBACK, "none", NULL);
	good(client);
	code_1(client);
	code_2(client);
	code_3(client, other);
	pkce_3(client);
	code_4(client);
	client_proofs();
	grant_types(client);
	rev_1(client, other);
	windows(client);
	FREE_TOKENS(&ans);
	free(client);
	free(other);
	fix_end();
	TEST_END();
}
