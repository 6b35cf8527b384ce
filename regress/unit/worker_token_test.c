/*
 * The token and revocation endpoints of a worker, with authd played by the
 * test.
 */
#include "worker_oauth_fake.h"

#include "test.h"

#define JSON "\r\nContent-Type: application/json"
#define FORM "\r\nContent-Type: application/x-www-form-urlencoded"

static char EMPTY[] = "";

static int has(const char *);
static void test_token(void);
static void test_token_answers(void);
static void test_basic(void);
static void test_resources(void);
static void test_revoke(void);

static int
has(const char *s)
{
	return got.body != NULL && strstr(got.body, s) != NULL;
}

static void
test_token(void)
{
	struct a_token *q;

	fake_request("POST /oauth/token HTTP/1.1" FORM,
	    "grant_type=authorization_code&client_id=c&code=K&"
	    "redirect_uri=http%3A%2F%2Flocalhost%2F&code_verifier=V&"
	    "resource=https://gw.example/mcp&resource=https://b/");
	oauth_token(&rq);
	q = asked.msg;
	CHECK(got.n == 0 && asked.type == A_TOKEN);
	CHECK(q->method == CAUTH_NONE && strcmp(q->client_id, "c") == 0);
	CHECK(strcmp(q->grant_type, "authorization_code") == 0);
	CHECK(strcmp(q->code, "K") == 0 && strcmp(q->verifier, "V") == 0);
	CHECK(strcmp(q->redirect_uri, "http://localhost/") == 0);
	CHECK(q->resources.n == 2);

	fake_request("POST /oauth/token HTTP/1.1" FORM,
	    "grant_type=refresh_token&client_id=c&client_secret=s&"
	    "refresh_token=R&scope=mcp");
	oauth_token(&rq);
	q = asked.msg;
	CHECK(q->method == CAUTH_POST && strcmp(q->secret, "s") == 0);
	CHECK(strcmp(q->refresh_token, "R") == 0);

	/* RDR-5: no parameter twice; other media types; nothing asked. */
	fake_request(
	    "POST /oauth/token HTTP/1.1" FORM, "grant_type=a&grant_type=b");
	oauth_token(&rq);
	CHECK(got.status == 400 && has("invalid_request") && !asked.msg);
	fake_request("POST /oauth/token HTTP/1.1" JSON, "{}");
	oauth_token(&rq);
	CHECK(got.status == 415 && has("invalid_request") && !asked.msg);
	fake_request("POST /oauth/token HTTP/1.1", "grant_type=a");
	oauth_token(&rq);
	CHECK(got.status == 415 && !asked.msg);
	fake_request("POST /oauth/token HTTP/1.1" FORM, "grant_type=a");
	asked.away = 1;
	oauth_token(&rq);
	CHECK(got.n == 1 && got.status == 503);
}

static void
tokens_init(struct a_tokens *t, int status)
{
	memset(t, 0, sizeof(*t));
	t->status = (uint16_t)status;
	t->error = t->description = t->access_token = t->refresh_token =
	    t->scope = EMPTY;
}

/* A19, A21. */
static void
test_token_answers(void)
{
	static char at[] = "AT", rt[] = "RT", scope[] = "mcp",
		    ic[] = "invalid_client", ig[] = "invalid_grant";
	static const char basic[] =
	    "POST /oauth/token HTTP/1.1" FORM "\r\nAuthorization: basic YTpi";
	struct a_tokens t;

	tokens_init(&t, 200);
	t.access_token = at;
	t.refresh_token = rt;
	t.scope = scope;
	t.expires_in = 3600;
	fake_request("POST /oauth/token HTTP/1.1" FORM, "grant_type=x");
	oauth_token(&rq);
	fake_answer(&t);
	CHECK(got.status == 200);
	CHECK(strcmp(got.body,
		  "{\"access_token\":\"AT\",\"token_type\":\"Bearer\","
		  "\"expires_in\":3600,\"refresh_token\":\"RT\","
		  "\"scope\":\"mcp\"}") == 0);
	CHECK(fake_header_is("Cache-Control", "no-store"));
	CHECK(fake_header_is("Pragma", "no-cache"));
	CHECK(fake_header_is("Content-Type", "application/json"));

	tokens_init(&t, 401);
	t.error = ic;
	fake_request("POST /oauth/token HTTP/1.1" FORM, "client_id=gone");
	oauth_token(&rq);
	fake_answer(&t);
	CHECK(got.status == 401 && has("\"error\":\"invalid_client\""));
	CHECK(fake_header("WWW-Authenticate", NULL, 0) == 0);
	fake_request(basic, "grant_type=x");
	oauth_token(&rq);
	fake_answer(&t);
	CHECK(fake_header_is("WWW-Authenticate", "Basic realm=\"mcpgwd\""));

	tokens_init(&t, 400);
	t.error = ig;
	fake_request("POST /oauth/token HTTP/1.1" FORM, "grant_type=x");
	oauth_token(&rq);
	fake_answer(&t);
	CHECK(got.status == 400 && has("invalid_grant"));
	tokens_init(&t, 429);
	t.retry_after = 7;
	fake_request("POST /oauth/token HTTP/1.1" FORM, "grant_type=x");
	oauth_token(&rq);
	fake_answer(&t);
	CHECK(got.status == 429 && fake_header_is("Retry-After", "7"));
}

/* A20: raw and form-encoded. */
static void
test_basic(void)
{
	struct a_token *q;

#define BASIC(v) "POST /oauth/token HTTP/1.1" FORM "\r\nAuthorization: " v
	/* a:p%2Bw */
	fake_request(BASIC("Basic YTpwJTJCdw=="), "grant_type=x&client_id=a");
	oauth_token(&rq);
	q = asked.msg;
	CHECK(q->method == CAUTH_BASIC && strcmp(q->client_id, "a") == 0);
	CHECK(strcmp(q->secret, "p%2Bw") == 0);
	CHECK(strcmp(q->client_id2, "a") == 0);
	CHECK(strcmp(q->secret2, "p+w") == 0);
	/* a:b:c, nothing to decode */
	fake_request(BASIC("Basic YTpiOmM="), "grant_type=x");
	oauth_token(&rq);
	q = asked.msg;
	CHECK(strcmp(q->secret, "b:c") == 0 && strcmp(q->secret2, "") == 0);
	/* a:100% is no form encoding */
	fake_request(BASIC("Basic YToxMDAl"), "grant_type=x");
	oauth_token(&rq);
	q = asked.msg;
	CHECK(strcmp(q->secret, "100%") == 0 && strcmp(q->secret2, "") == 0);

	fake_request(BASIC("Basic YTpi"), "client_id=a&client_secret=b");
	oauth_token(&rq);
	CHECK(got.status == 400 && has("invalid_request") && !asked.msg);
	fake_request(BASIC("Basic YTpi"), "client_id=other");
	oauth_token(&rq);
	CHECK(got.status == 400 && !asked.msg);
	/* no colon; no base64; a NUL */
	fake_request(BASIC("Basic YWJj"), "grant_type=x");
	oauth_token(&rq);
	CHECK(got.status == 401 && has("invalid_client") && !asked.msg);
	CHECK(fake_header("WWW-Authenticate", NULL, 0) == 1);
	fake_request(BASIC("Basic !!!!"), "grant_type=x");
	oauth_token(&rq);
	CHECK(got.status == 401 && !asked.msg);
	fake_request(BASIC("Basic YQA6Yg=="), "grant_type=x");
	oauth_token(&rq);
	CHECK(got.status == 401 && !asked.msg);
	fake_request(
	    BASIC("Basic YTpi\r\nAuthorization: Basic YTpi"), "grant_type=x");
	oauth_token(&rq);
	CHECK(got.status == 400 && !asked.msg);
}

static const char *
resource_of(const char *value)
{
	static char body[512];

	snprintf(body, sizeof(body), "grant_type=x&resource=%s", value);
	fake_request("POST /oauth/token HTTP/1.1" FORM, body);
	rq.loopback_listener = 1;
	oauth_token(&rq);
	return ((struct a_token *)asked.msg)->resources.v[0];
}

/* MIX-1: other names of ours become the issuer; everything else goes to authd
 * as it came. */
static void
test_resources(void)
{
	static const char *const same[] = {"https://evil.example/mcp",
	    "http://gw.lan:8443/mcp", "https://gw.lan/mcp", "/mcp",
	    "https://gw.example/mcp/", "https://GW.example/mcp",
	    "https://gw.lan:8443.evil/mcp", "https://localhost/mcp", "x"};
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		CHECK(strcmp(resource_of(same[i]), same[i]) == 0);
	CHECK(strcmp(resource_of("https://gw.lan:8443/home/mcp"),
		  "https://gw.example/home/mcp") == 0);
	fake_worker("http://localhost:4444");
	CHECK(strcmp(resource_of("http://127.0.0.1:4444/mcp"),
		  "http://localhost:4444/mcp") == 0);
	CHECK(strcmp(resource_of("http://[::1]:4444/mcp"),
		  "http://localhost:4444/mcp") == 0);
	/* The next port is somebody else. */
	CHECK(strcmp(resource_of("http://127.0.0.1:4445/mcp"),
		  "http://127.0.0.1:4445/mcp") == 0);
	CHECK(strcmp(resource_of("http://127.0.0.1/mcp"),
		  "http://127.0.0.1/mcp") == 0);
	fake_worker("https://gw.example");
}

static void
test_revoke(void)
{
	struct a_done d;

	fake_request("POST /oauth/revoke HTTP/1.1" FORM,
	    "token=mgr_x&token_type_hint=wrong&client_id=c");
	oauth_revoke(&rq);
	CHECK(asked.type == A_REVOKE);
	CHECK(strcmp(((struct a_revoke *)asked.msg)->token, "mgr_x") == 0);
	memset(&d, 0, sizeof(d));
	d.status = 200;
	d.error = EMPTY;
	fake_answer(&d);
	CHECK(got.status == 200 && got.len == 0);
	CHECK(fake_header_is("Cache-Control", "no-store"));
	fake_request("POST /oauth/revoke HTTP/1.1" FORM, "token=x");
	oauth_revoke(&rq);
	fake_answer(NULL);
	CHECK(got.status == 503);
}

int
main(void)
{
	fake_worker("https://gw.example");
	test_token();
	test_token_answers();
	test_basic();
	test_resources();
	test_revoke();
	fake_reset();
	TEST_END();
}
