/* Registration (RFC 7591), its limits, and how clients go: DCR-1, DCR-2,
 * RDR-4. */
#include "authd_fixture.h"
#include "test.h"

struct peer *
master_peer(void)
{
	return NULL;
}

static struct a_registered ans;
static struct a_register req;

static void
reset(void)
{
	strv_free(&req.redirect_uris);
	memset(&req, 0, sizeof(req));
	req.addr = FIX_S("192.0.2.9");
	req.name = FIX_S("Claude");
	req.auth_method = req.application_type = req.client_uri = req.scope =
	    FIX_S("");
}

static const char *
go(void)
{
	wire_free(&def_a_registered, &ans);
	(void)fix_run(fix_j_register, &req, &ans);
	return ans.error != NULL ? ans.error : "";
}

static void
echoes(void)
{
	static const struct {
		const char *asked, *given;
		int secret;
	} methods[] = {
	    {"", "client_secret_basic", 1},
	    {"none", "none", 0},
	    {"client_secret_post", "client_secret_post", 1},
	    {"client_secret_basic", "client_secret_basic", 1},
	    {"private_key_jwt", "none", 0},
	    {"tls_client_auth", "none", 0},
	};
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		reset();
		(void)strv_add(&req.redirect_uris, FIX_CALLBACK);
		req.auth_method = FIX_S(methods[i].asked);
		CHECK(strcmp(go(), "") == 0);
		CHECK(strcmp(ans.auth_method, methods[i].given) == 0);
		CHECK((ans.client_secret != NULL) == methods[i].secret);
		CHECK(strlen(ans.client_id) == 22);
		CHECK(ans.issued_at == fix_wall);
		CHECK(strcmp(ans.application_type, "web") == 0);
		CHECK(ans.grants == (GRANT_CODE | GRANT_REFRESH));
		CHECK(strcmp(ans.scope, "mcp") == 0);
	}
	reset();
	(void)strv_add(&req.redirect_uris, "javascript:alert(1)");
	(void)strv_add(&req.redirect_uris, "cursor://x/y");
	(void)strv_add(&req.redirect_uris, "http://evil.example/");
	(void)strv_add(&req.redirect_uris, "http://localhost/callback");
	(void)strv_add(&req.redirect_uris, "http://localhost/callback");
	req.name = FIX_S("\xe2\x80\xae<b>");
	req.client_uri = FIX_S("javascript:alert(1)");
	req.grants = GRANT_CODE;
	CHECK(strcmp(go(), "") == 0);
	CHECK(ans.redirect_uris.n == 2);
	CHECK(strcmp(ans.redirect_uris.v[0], "cursor://x/y") == 0);
	CHECK(strcmp(ans.name, "<b>") == 0);
	CHECK(ans.client_uri[0] == '\0');
	CHECK(strcmp(ans.application_type, "native") == 0);
	CHECK(ans.grants == GRANT_CODE);
	/* RDR-4: none left. */
	reset();
	(void)strv_add(&req.redirect_uris, "javascript:alert(1)");
	CHECK(strcmp(go(), "invalid_redirect_uri") == 0);
	CHECK(!fix_changed);
	reset();
	CHECK(strcmp(go(), "invalid_redirect_uri") == 0);
	fix_slice.conf.registration = 0;
	(void)strv_add(&req.redirect_uris, FIX_CALLBACK);
	CHECK(strcmp(go(), "access_denied") == 0);
	fix_slice.conf.registration = 1;
}

static void
limits(void)
{
	int i;

	penalty_reset();
	reset();
	(void)strv_add(&req.redirect_uris, FIX_CALLBACK);
	for (i = 0; i < 60; i++)
		CHECK(strcmp(go(), "") == 0);
	CHECK(strcmp(go(), "slow_down") == 0);
	CHECK(ans.retry_after > 0 && ans.retry_after <= 3600);
	CHECK(!fix_changed);
	req.addr = FIX_S("192.0.2.10");
	CHECK(strcmp(go(), "") == 0);
	/* A network of one subscriber is one. */
	for (i = 0; i < 60; i++) {
		req.addr =
		    FIX_S(i % 2 ? "2001:db8:1:2::1" : "2001:db8:1:2:3:4:5:6");
		(void)go();
	}
	CHECK(strcmp(go(), "slow_down") == 0);
	req.addr = FIX_S("2001:db8:1:3::1");
	CHECK(strcmp(go(), "") == 0);
	/* Loopback is not limited. */
	req.addr = FIX_S("::ffff:127.0.0.1");
	for (i = 0; i < 100; i++)
		(void)go();
	CHECK(strcmp(go(), "") == 0);
}

static int
exists(const char *id)
{
	struct row_client row;
	int r;

	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	if ((r = client_get(id, &row)) == 1)
		wire_free(&def_row_client, &row);
	(void)req_end(0);
	turn_abort();
	return r;
}

/* DCR-1: at most 10,000 that were never used; a used one stays. */
static void
never_used(void)
{
	struct a_tokens t;
	char *first, *used, *code;
	int i, n;

	used = fix_client(FIX_CALLBACK, "none", NULL);
	code = fix_code(used, "mcp");
	CHECK(fix_redeem(used, code, &t) == 200);
	FREE_TOKENS(&t);
	fix_pass(1);
	first = fix_client(FIX_CALLBACK, "none", NULL);
	fix_pass(1);
	reset();
	req.addr = FIX_S("127.0.0.1");
	req.auth_method = FIX_S("none");
	(void)strv_add(&req.redirect_uris, FIX_CALLBACK);
	/* Many in one turn, as they would come. */
	for (i = 0; i < CLIENTS_UNUSED_MAX; i += 100) {
		if (turn_begin() != 0)
			exit(1);
		for (n = 0; n < 100; n++) {
			if (req_begin() != 0)
				exit(1);
			wire_free(&def_a_registered, &ans);
			(void)client_register(&fix_slice, &req, &ans);
			(void)req_end(1);
		}
		if (turn_commit() != 0)
			exit(1);
	}
	CHECK(client_count() == CLIENTS_UNUSED_MAX + 1);
	CHECK(exists(first) == 0);
	CHECK(exists(used) == 1);
	free(first);
	free(used);
	free(code);
}

int
main(void)
{
	fix_start();
	echoes();
	limits();
	never_used();
	strv_free(&req.redirect_uris);
	wire_free(&def_a_registered, &ans);
	fix_end();
	TEST_END();
}
