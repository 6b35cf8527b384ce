/*
 * The OAuth endpoints of a worker, with authd played by the test: what is
 * asked of it, and what its verdicts become on the wire.
 */
#include "worker_oauth_fake.h"

#include "test.h"

#define AUTHORIZE "GET /oauth/authorize?"
#define FORM      "\r\nContent-Type: application/x-www-form-urlencoded"
#define JSON      "\r\nContent-Type: application/json; charset=utf-8"

static char EMPTY[] = "";

static int is_json(void);
static int has(const char *);
static void test_server_metadata(void);
static void test_resource_metadata(void);
static void test_jwks(void);
static void test_register(void);
static void test_register_refused(void);
static void test_authorize(void);
static void test_authorize_refused(void);
static void test_forms(void);
static void test_redirect(void);
static void test_cookie(void);
static void test_gone(void);

static int
is_json(void)
{
	struct json_doc d;

	return json_scan(&d, got.body, got.len, NULL) == JSON_OK &&
	       d.root == JSON_OBJECT;
}

static int
has(const char *s)
{
	return got.body != NULL && strstr(got.body, s) != NULL;
}

/* A2-A6: exactly what is built, issuer byte for byte. */
static void
test_server_metadata(void)
{
	int i;

	for (i = 0; i < 2; i++) { /* the second from the cache */
		fake_request(
		    "GET /.well-known/oauth-authorization-server HTTP/1.1", "");
		oauth_server_metadata(&rq);
		CHECK(got.status == 200 && is_json());
		CHECK(has("\"issuer\":\"https://gw.example\","));
		CHECK(has("\"registration_endpoint\":"
			  "\"https://gw.example/oauth/register\""));
		CHECK(has("\"code_challenge_methods_supported\":[\"S256\"]"));
		CHECK(has("\"authorization_response_iss_parameter_supported\":"
			  "true"));
		CHECK(has("[\"none\",\"client_secret_post\","
			  "\"client_secret_basic\"]"));
		CHECK(has("\"offline_access\"]"));
		CHECK(!has("mcp:admin") && !has("private_key_jwt"));
		CHECK(!has("client_id_metadata_document"));
		CHECK(!has("subject_types_supported"));
		CHECK(fake_header_is("Cache-Control", "public, max-age=300"));
	}
	fake_request("GET /.well-known/openid-configuration HTTP/1.1", "");
	oauth_openid_metadata(&rq);
	CHECK(got.status == 200 && is_json());
	CHECK(has("\"subject_types_supported\":[\"public\"]"));
	CHECK(has("\"id_token_signing_alg_values_supported\":[\"ES256\"]"));
}

static void
test_resource_metadata(void)
{
	fake_request("GET /.well-known/oauth-protected-resource HTTP/1.1", "");
	oauth_resource_metadata(&rq);
	CHECK(got.status == 200 && is_json());
	CHECK(has("\"resource\":\"https://gw.example/mcp\""));
	CHECK(has("\"authorization_servers\":[\"https://gw.example\"]"));
	CHECK(has("\"scopes_supported\":[\"mcp\",\"reports\"]"));
	CHECK(has("\"resource_name\":\"mcpgwd at gw.example\""));
	CHECK(!has("offline_access") && !has("mcp:admin"));

	fake_request("GET /.well-known/oauth-protected-resource/home/mcp "
		     "HTTP/1.1",
	    "");
	oauth_resource_metadata(&rq);
	CHECK(has("\"resource\":\"https://gw.example/home/mcp\""));

	fake_request(
	    "GET /.well-known/oauth-protected-resource/nope HTTP/1.1", "");
	oauth_resource_metadata(&rq);
	CHECK(got.status == 404 && is_json());

	/* One of `hosts`: the resource carries that name, the issuer stays. */
	fake_request("GET /.well-known/oauth-protected-resource/ HTTP/1.1\r\n"
		     "Host: GW.lan:8443",
	    "");
	oauth_resource_metadata(&rq);
	CHECK(has("\"resource\":\"https://gw.lan:8443/mcp\""));
	CHECK(has("\"authorization_servers\":[\"https://gw.example\"]"));

	/* HDR-1: any other Host changes nothing. */
	fake_request("GET /.well-known/oauth-protected-resource HTTP/1.1\r\n"
		     "Host: evil.example",
	    "");
	oauth_resource_metadata(&rq);
	CHECK(has("\"resource\":\"https://gw.example/mcp\""));
}

static void
test_jwks(void)
{
	fake_request("GET /oauth/jwks HTTP/1.1", "");
	oauth_jwks(&rq);
	CHECK(got.status == 200 && is_json());
	CHECK(fake_header_is("Cache-Control", "public, max-age=300"));
	jwks = "";
	fake_request("GET /oauth/jwks HTTP/1.1", "");
	oauth_jwks(&rq);
	CHECK(got.status == 503);
	jwks = "{\"keys\":[]}";
}

static void
registered_init(struct a_registered *r)
{
	memset(r, 0, sizeof(*r));
	r->error = r->description = r->client_id = r->client_secret = r->name =
	    r->auth_method = r->application_type = r->client_uri = r->scope =
		EMPTY;
}

static void
test_register(void)
{
	static char id[] = "mgcl_1", cname[] = "A \"name\"", none[] = "none",
		    uri[] = "http://localhost/cb", scope[] = "mcp",
		    native[] = "native", secret[] = "s3cret";
	static char *uris[] = {uri};
	struct a_registered r;
	struct a_register *q;

	fake_request("POST /oauth/register HTTP/1.1" JSON,
	    "{\"client_name\":\"A \\\"name\\\"\",\"redirect_uris\":["
	    "\"http://localhost/cb\",5,null,\"https://c.example/\\u0000\"],"
	    "\"grant_types\":[\"authorization_code\",\"urn:x\","
	    "\"refresh_token\"],\"token_endpoint_auth_method\":\"none\","
	    "\"application_type\":\"native\",\"logo_uri\":null,"
	    "\"client_id\":\"https://evil\",\"x\":{\"y\":[1.5e9]}}");
	oauth_register(&rq);
	CHECK(got.n == 0 && asked.type == A_REGISTER);
	q = asked.msg;
	CHECK(strcmp(q->addr, "192.0.2.7") == 0);
	CHECK(strcmp(q->name, "A \"name\"") == 0);
	CHECK(q->redirect_uris.n == 1);
	CHECK(q->grants == (GRANT_CODE | GRANT_REFRESH));
	CHECK(strcmp(q->auth_method, "none") == 0);
	CHECK(strcmp(q->application_type, "native") == 0);

	registered_init(&r);
	r.client_id = id;
	r.issued_at = 1700000000;
	r.name = cname;
	r.redirect_uris.v = uris;
	r.redirect_uris.n = 1;
	r.auth_method = none;
	r.scope = scope;
	r.application_type = native;
	r.grants = GRANT_CODE | GRANT_REFRESH;
	fake_answer(&r);
	CHECK(got.n == 1 && got.status == 201 && is_json());
	CHECK(strcmp(got.body,
		  "{\"client_id\":\"mgcl_1\","
		  "\"client_id_issued_at\":1700000000,"
		  "\"client_name\":\"A \\\"name\\\"\","
		  "\"redirect_uris\":[\"http://localhost/cb\"],"
		  "\"grant_types\":[\"authorization_code\","
		  "\"refresh_token\"],\"response_types\":[\"code\"],"
		  "\"token_endpoint_auth_method\":\"none\",\"scope\":\"mcp\","
		  "\"application_type\":\"native\"}") == 0);
	CHECK(fake_header_is("Cache-Control", "no-store"));

	fake_request("POST /oauth/register HTTP/1.1" JSON,
	    "{\"redirect_uris\":[\"https://c.example/cb\"]}");
	oauth_register(&rq);
	CHECK(((struct a_register *)asked.msg)->grants == 0);
	r.client_secret = secret;
	fake_answer(&r);
	CHECK(has("\"client_secret\":\"s3cret\","
		  "\"client_secret_expires_at\":0,"));
}

/* DCR-2, and what RFC 7591 3.2.2 calls it. */
static void
test_register_refused(void)
{
	static const struct {
		const char *body;
		const char *error;
	} bad[] = {
	    {"", "invalid_client_metadata"},
	    {"[]", "invalid_client_metadata"},
	    {"{\"redirect_uris\":[\"a\"]} x", "invalid_client_metadata"},
	    {"{\"redirect_uris\":[],\"redirect_uris\":[]}",
		"invalid_client_metadata"},
	    {"{\"client_name\":\"x\"}", "invalid_redirect_uri"},
	    {"{\"redirect_uris\":\"https://c.example\"}",
		"invalid_redirect_uri"},
	};
	static char slow[] = "slow_down", denied[] = "access_denied",
		    uri[] = "invalid_redirect_uri";
	struct a_registered r;
	static char big[80 * 1024];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_request("POST /oauth/register HTTP/1.1" JSON, bad[i].body);
		oauth_register(&rq);
		CHECK(got.n == 1 && got.status == 400 && is_json());
		CHECK(has(bad[i].error) && asked.msg == NULL);
	}
	memset(big, ' ', 70 * 1024);
	strlcpy(big + 70 * 1024, "{}", 3);
	fake_request("POST /oauth/register HTTP/1.1" JSON, big);
	oauth_register(&rq);
	CHECK(got.status == 400 && has("too large"));
	strlcpy(big, "{\"redirect_uris\":[\"x\"", sizeof(big));
	for (i = 0; i < 1000; i++)
		strlcat(big, ",\"https://c.example/cb\"", sizeof(big));
	strlcat(big, "]}", sizeof(big));
	fake_request("POST /oauth/register HTTP/1.1" JSON, big);
	oauth_register(&rq);
	CHECK(got.status == 400 && asked.msg == NULL);
	fake_request("POST /oauth/register HTTP/1.1" FORM, "a=b");
	oauth_register(&rq);
	CHECK(got.status == 415 && has("invalid_client_metadata"));

	registered_init(&r);
	fake_request("POST /oauth/register HTTP/1.1" JSON,
	    "{\"redirect_uris\":[\"x\"]}");
	oauth_register(&rq);
	r.error = slow;
	r.retry_after = 60;
	fake_answer(&r);
	CHECK(got.status == 429 && fake_header_is("Retry-After", "60"));
	fake_request("POST /oauth/register HTTP/1.1" JSON,
	    "{\"redirect_uris\":[\"x\"]}");
	oauth_register(&rq);
	r.error = denied;
	fake_answer(&r);
	CHECK(got.status == 403);
	fake_request("POST /oauth/register HTTP/1.1" JSON,
	    "{\"redirect_uris\":[\"x\"]}");
	oauth_register(&rq);
	r.error = uri;
	fake_answer(&r);
	CHECK(got.status == 400 && has("invalid_redirect_uri"));
	fake_request("POST /oauth/register HTTP/1.1" JSON,
	    "{\"redirect_uris\":[\"x\"]}");
	oauth_register(&rq);
	fake_answer(NULL);
	CHECK(got.status == 503);
}

static void
page_init(struct a_page *p, int kind)
{
	memset(p, 0, sizeof(*p));
	p->kind = (uint8_t)kind;
	p->txn = p->csrf = p->set_cookie = p->client_id = p->client_name =
	    p->user = p->scope = p->redirect_uri = p->notice = p->code =
		p->state = p->error = p->description = EMPTY;
}

static void
test_authorize(void)
{
	static char uri[] = "http://127.0.0.1:33418/";
	struct a_authorize *q;
	struct a_page p;

	fake_request(AUTHORIZE
	    "response_type=code&client_id=c%201&redirect_uri=http%3A%2F%2F"
	    "127.0.0.1%3A33418%2F&state=a+b&code_challenge=xyz&"
	    "code_challenge_method=S256&scope=mcp+x&prompt=consent&"
	    "resource=https%3A%2F%2Fgw.example%2Fmcp&resource=https://o/ "
	    "HTTP/1.1",
	    "");
	oauth_authorize(&rq);
	CHECK(got.n == 0 && asked.type == A_AUTHORIZE);
	q = asked.msg;
	CHECK(strcmp(q->client_id, "c 1") == 0);
	CHECK(strcmp(q->state, "a b") == 0 && strcmp(q->scope, "mcp x") == 0);
	CHECK(!q->has_request);
	CHECK(q->resources.n == 2 && strcmp(q->cookie, "") == 0);
	page_init(&p, PAGE_SIGNIN);
	p.redirect_uri = uri;
	fake_answer(&p);
	CHECK(got.status == 200 && has("name=\"password\""));
	CHECK(strstr(got.headers,
		  "form-action 'self' http://127.0.0.1:33418;") != NULL);
	CHECK(fake_header("Location", NULL, 0) == 0);

	/* RDR-8: seen, never fetched. */
	fake_request(
	    AUTHORIZE "client_id=c&request_uri=https://x HTTP/1.1", "");
	oauth_authorize(&rq);
	CHECK(((struct a_authorize *)asked.msg)->has_request);

	/* The same request as a form. */
	fake_request("POST /oauth/authorize HTTP/1.1" FORM,
	    "client_id=c&response_type=code&txn=x");
	oauth_authorize(&rq);
	CHECK(asked.type == A_AUTHORIZE);
	fake_answer(NULL);
	CHECK(got.status == 503 && has("not available"));
	CHECK(fake_header_is("Retry-After", "1"));
}

/* RDR-1, RDR-5: an error page, never a redirect. */
static void
test_authorize_refused(void)
{
	static const struct {
		char error[24];
		int status;
	} e[] = {{PAGE_E_CLIENT, 400}, {PAGE_E_REDIRECT, 400},
	    {PAGE_E_EXPIRED, 400}, {PAGE_E_BROWSER, 403}, {PAGE_E_REQUEST, 400},
	    {PAGE_E_DOWN, 503}, {"?", 400}};
	static const char *const twice[] = {"client_id=a&client_id=a",
	    "client_id=a&redirect_uri=b&redirect_uri=b", "state=%00",
	    "state=%zz"};
	char word[24];
	static char line[8192];
	struct a_page p;
	size_t i;

	for (i = 0; i < sizeof(e) / sizeof(e[0]); i++) {
		fake_request(AUTHORIZE "client_id=x HTTP/1.1", "");
		oauth_authorize(&rq);
		page_init(&p, PAGE_ERROR);
		strlcpy(word, e[i].error, sizeof(word));
		p.error = word;
		fake_answer(&p);
		CHECK(got.n == 1 && got.status == e[i].status);
		CHECK(has("<!doctype html>"));
		CHECK(fake_header("Location", NULL, 0) == 0);
		CHECK(fake_header("Content-Security-Policy", NULL, 0) == 1);
	}
	for (i = 0; i < sizeof(twice) / sizeof(twice[0]); i++) {
		snprintf(line, sizeof(line), AUTHORIZE "%s HTTP/1.1", twice[i]);
		fake_request(line, "");
		oauth_authorize(&rq);
		CHECK(got.status == 400 && asked.msg == NULL);
		CHECK(has("invalid_request"));
	}
	strlcpy(line, AUTHORIZE "client_id=a&state=", sizeof(line));
	memset(line + strlen(line), 'a', 5000);
	strlcat(line, " HTTP/1.1", sizeof(line));
	fake_request(line, "");
	oauth_authorize(&rq);
	CHECK(got.status == 400 && has("too long") && asked.msg == NULL);
	fake_request("POST /oauth/authorize HTTP/1.1" JSON, "{}");
	oauth_authorize(&rq);
	CHECK(got.status == 415 && asked.msg == NULL);
}

/* CONS-6 is authd's: the word goes there as it came. */
static void
test_forms(void)
{
	static char word[] = NOTICE_WAIT, txn[] = "T";
	struct a_form *q;
	struct a_page p;

	fake_request("POST /oauth/authorize HTTP/1.1" FORM
		     "\r\nCookie: __Host-mcpgw=browser",
	    "txn=T&csrf=C&user=owner&password=p%26w&decision=signin");
	oauth_authorize(&rq);
	q = asked.msg;
	CHECK(asked.type == A_SIGNIN && strcmp(q->password, "p&w") == 0);
	CHECK(strcmp(q->cookie, "browser") == 0);
	CHECK(strcmp(q->user, "owner") == 0 && strcmp(q->csrf, "C") == 0);
	/* The password is gone from the connection's buffer. */
	CHECK(memmem(fake_buf, sizeof(fake_buf), "p%26w", 5) == NULL);
	page_init(&p, PAGE_SIGNIN);
	p.notice = word;
	p.retry_after = 40;
	fake_answer(&p);
	CHECK(got.status == 429 && fake_header_is("Retry-After", "40"));
	CHECK(has("Wait 40 seconds"));

	fake_request("POST /oauth/authorize HTTP/1.1" FORM,
	    "txn=T&csrf=C&decision=Approve");
	oauth_authorize(&rq);
	q = asked.msg;
	CHECK(asked.type == A_DECIDE && strcmp(q->decision, "Approve") == 0);
	fake_request("POST /oauth/authorize HTTP/1.1" FORM, "txn=T&csrf=C");
	oauth_authorize(&rq);
	q = asked.msg;
	CHECK(asked.type == A_DECIDE && strcmp(q->decision, "") == 0);

	fake_request(AUTHORIZE "txn=T&decision=approve HTTP/1.1", "");
	oauth_authorize(&rq);
	q = asked.msg;
	CHECK(asked.type == A_RESUME && strcmp(q->decision, "") == 0);
	page_init(&p, PAGE_AGAIN);
	p.txn = txn;
	fake_answer(&p);
	CHECK(got.status == 303);
	CHECK(fake_header_is("Location", "/oauth/authorize?txn=T"));
}

/* RDR-6, RDR-7, ISS-1. */
static void
test_redirect(void)
{
	static char uri[] = "https://c.example/cb", code[] = "K",
		    state[] = "\r\nSet-Cookie: a=b\r\n\r\n<script>",
		    denied[] = "access_denied", bad[] = "https://c/\r\nX: y";
	struct a_page p;
	char to[1024];

	page_init(&p, PAGE_REDIRECT);
	p.redirect_uri = uri;
	p.code = code;
	p.state = state;
	fake_request(AUTHORIZE "client_id=c HTTP/1.1", "");
	oauth_authorize(&rq);
	fake_answer(&p);
	CHECK(got.status == 302);
	CHECK(fake_header("Location", to, sizeof(to)) == 1);
	CHECK(strcmp(to,
		  "https://c.example/cb?code=K&state=%0D%0ASet-Cookie%3A%20"
		  "a%3Db%0D%0A%0D%0A%3Cscript%3E&iss=https%3A%2F%2F"
		  "gw.example") == 0);
	CHECK(fake_header("Set-Cookie", NULL, 0) == 0);
	CHECK(fake_header_is("Cache-Control", "no-store"));

	p.kind = PAGE_RETURN;
	p.code = EMPTY;
	p.error = denied;
	fake_request(AUTHORIZE "client_id=c HTTP/1.1", "");
	oauth_authorize(&rq);
	fake_answer(&p);
	CHECK(got.status == 400 && has("c.example"));
	CHECK(has("href=\"https://c.example/cb?error=access_denied"));
	CHECK(fake_header("Location", NULL, 0) == 0);
	p.kind = PAGE_REDIRECT;

	p.error = denied;
	fake_request("POST /oauth/authorize HTTP/1.1" FORM,
	    "txn=T&csrf=C&decision=deny");
	oauth_authorize(&rq);
	fake_answer(&p);
	CHECK(got.status == 303);
	CHECK(fake_header("Location", to, sizeof(to)) == 1);
	CHECK(
	    strncmp(to, "https://c.example/cb?error=access_denied&", 41) == 0);
	CHECK(count(to, "iss=") == 1 && count(to, "state=") == 1);
	CHECK(strstr(to, "code=") == NULL);

	p.redirect_uri = bad;
	fake_request(AUTHORIZE "client_id=c HTTP/1.1", "");
	oauth_authorize(&rq);
	fake_answer(&p);
	CHECK(got.status == 400 && fake_header("Location", NULL, 0) == 0);
}

/* CONS-7: name and Secure follow the issuer's scheme. */
static void
test_cookie(void)
{
	static char value[] = "v4lue";
	struct a_page p;

	page_init(&p, PAGE_SIGNIN);
	p.set_cookie = value;
	fake_request(AUTHORIZE "client_id=c HTTP/1.1\r\n"
			       "Cookie: mcpgw=wrong; a=b",
	    "");
	oauth_authorize(&rq);
	CHECK(strcmp(((struct a_authorize *)asked.msg)->cookie, "") == 0);
	fake_answer(&p);
	CHECK(fake_header_is("Set-Cookie",
	    "__Host-mcpgw=v4lue; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; "
	    "Secure"));
	fake_worker("http://localhost:4444");
	fake_request(
	    AUTHORIZE "client_id=c HTTP/1.1\r\nCookie: mcpgw=mine", "");
	oauth_authorize(&rq);
	CHECK(strcmp(((struct a_authorize *)asked.msg)->cookie, "mine") == 0);
	fake_answer(&p);
	CHECK(fake_header_is("Set-Cookie",
	    "mcpgw=v4lue; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"));
	fake_worker("https://gw.example");
}

/* A client that hangs up takes its question with it. */
static void
test_gone(void)
{
	fake_request("POST /oauth/revoke HTTP/1.1" FORM, "token=x");
	oauth_revoke(&rq);
	CHECK(rq.gone != NULL);
	if (rq.gone != NULL)
		rq.gone(&rq);
	rq.gone = NULL;
	CHECK(asked.cancelled && got.n == 0);
}

int
main(void)
{
	fake_worker("https://gw.example");
	test_server_metadata();
	test_resource_metadata();
	test_jwks();
	test_register();
	test_register_refused();
	test_authorize();
	test_authorize_refused();
	test_forms();
	test_redirect();
	test_cookie();
	test_gone();
	fake_reset();
	TEST_END();
}
