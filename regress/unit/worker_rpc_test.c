/*
 * JSON-RPC messages: what is taken as what, the errors that are written, and to
 * which era a message belongs.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/era.h"
#include "rpc.h"
#include "test.h"

#define REST "\"jsonrpc\":\"2.0\""

struct row {
	const char *text;
	enum rpc_kind kind;
	int code; /* of RPC_BAD */
	int id; /* usable */
};

static const struct row rows[] = {
    {"{" REST ",\"id\":1,\"method\":\"a\"}", RPC_REQUEST, 0, 1},
    {"{" REST ",\"id\":\"1\",\"method\":\"a\",\"params\":{}}", RPC_REQUEST, 0,
	1},
    {"{" REST ",\"method\":\"a\"}", RPC_NOTIFICATION, 0, 0},
    {"{" REST ",\"id\":1,\"result\":{}}", RPC_RESPONSE, 0, 1},
    {"{" REST ",\"id\":1,\"result\":null}", RPC_RESPONSE, 0, 1},
    {"{" REST ",\"id\":1,\"error\":{}}", RPC_RESPONSE, 0, 1},
    {" {" REST ",\"id\":-1.5e3,\"method\":\"a\",\"x\":[]} ", RPC_REQUEST, 0, 1},
    /* no JSON */
    {"", RPC_BAD, RPC_PARSE, 0},
    {"{", RPC_BAD, RPC_PARSE, 0},
    {"{" REST ",\"id\":1,\"method\":\"a\"}x", RPC_BAD, RPC_PARSE, 0},
    {"{" REST ",\"id\":1,\"id\":2,\"method\":\"a\"}", RPC_BAD, RPC_PARSE, 0},
    {"{" REST ",\"id\":1,\"m\\u0065thod\":\"a\"}", RPC_BAD, RPC_PARSE, 0},
    {"{" REST ",\"id\":1,\"method\":\"a\",\"params\":{\"name\":\"x\","
     "\"name\":\"y\"}}",
	RPC_BAD, RPC_PARSE, 0},
    {"{" REST ",\"id\":1,\"method\":\"a\",\"params\":{\"_meta\":{\"a\":1,"
     "\"a\":2}}}",
	RPC_BAD, RPC_PARSE, 0},
    /* JSON, but no message */
    {"[]", RPC_BAD, RPC_INVALID, 0},
    {"\"x\"", RPC_BAD, RPC_INVALID, 0},
    {"null", RPC_BAD, RPC_INVALID, 0},
    {"{}", RPC_BAD, RPC_INVALID, 0},
    {"{\"id\":1,\"method\":\"a\"}", RPC_BAD, RPC_INVALID, 1},
    {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"a\"}", RPC_BAD, RPC_INVALID,
	1},
    {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}", RPC_BAD, RPC_INVALID, 1},
    {"{" REST ",\"id\":null,\"method\":\"a\"}", RPC_BAD, RPC_INVALID, 0},
    {"{" REST ",\"id\":{},\"method\":\"a\"}", RPC_BAD, RPC_INVALID, 0},
    {"{" REST ",\"id\":true,\"method\":\"a\"}", RPC_BAD, RPC_INVALID, 0},
    {"{" REST ",\"id\":1,\"method\":\"\"}", RPC_BAD, RPC_INVALID, 1},
    {"{" REST ",\"id\":1,\"method\":7}", RPC_BAD, RPC_INVALID, 1},
    {"{" REST ",\"id\":1,\"method\":\"a\\u0000b\"}", RPC_BAD, RPC_INVALID, 1},
    {"{" REST ",\"id\":1,\"method\":"
     "\"0123456789012345678901234567890123456789012345678901234567890123\"}",
	RPC_BAD, RPC_INVALID, 1},
    {"{" REST ",\"id\":1,\"method\":\"a\",\"params\":[]}", RPC_BAD, RPC_INVALID,
	1},
    {"{" REST ",\"id\":1,\"method\":\"a\",\"params\":null}", RPC_BAD,
	RPC_INVALID, 1},
    {"{" REST ",\"id\":1,\"method\":\"a\",\"result\":{}}", RPC_BAD, RPC_INVALID,
	1},
    {"{" REST ",\"id\":1,\"result\":{},\"error\":{}}", RPC_BAD, RPC_INVALID, 1},
    {"{" REST ",\"id\":1}", RPC_BAD, RPC_INVALID, 1},
    {"{" REST ",\"result\":{}}", RPC_BAD, RPC_INVALID, 0},
};

static void
test_rows(void)
{
	const char *why;
	struct rpc r;
	enum rpc_kind k;
	size_t i;
	int code;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		why = NULL;
		k = rpc_scan(
		    &r, rows[i].text, strlen(rows[i].text), &code, &why);
		CHECK(k == rows[i].kind);
		CHECK(k != RPC_BAD || (code == rows[i].code && why != NULL));
		CHECK((r.id.type != JSON_NONE) == rows[i].id);
		if (k != rows[i].kind)
			printf("row %zu: %s\n", i, rows[i].text);
	}
}

/* An id is kept to answer with: not without bound. */
static void
test_long_id(void)
{
	char text[2200];
	const char *why;
	struct rpc r;
	int code;
	size_t n;

	for (n = 1000; n < 2000; n += 900) {
		snprintf(text, sizeof(text),
		    "{" REST ",\"method\":\"a\",\"id\":\"%0*d\"}", (int)n, 0);
		CHECK(rpc_scan(&r, text, strlen(text), &code, &why) ==
		      (n < 1024 ? RPC_REQUEST : RPC_BAD));
	}
}

static void
test_members(void)
{
	static const char text[] =
	    "{" REST ",\"id\":1,\"method\":\"tools\\/call\",\"params\":"
	    "{\"name\":\"x\",\"deep\":{\"name\":\"y\"},\"_meta\":"
	    "{\"progressToken\":7}}}";
	const char *why;
	struct rpc r;
	int code;

	CHECK(rpc_scan(&r, text, sizeof(text) - 1, &code, &why) == RPC_REQUEST);
	CHECK(strcmp(r.method, "tools/call") == 0);
	CHECK(rpc_param(&r, "name") != NULL &&
	      json_equals(rpc_param(&r, "name"), "x"));
	CHECK(rpc_meta(&r, "progressToken") != NULL &&
	      rpc_meta(&r, "progressToken")->type == JSON_NUMBER);
	CHECK(rpc_param(&r, "progressToken") == NULL);
	CHECK(rpc_meta(&r, "name") == NULL);
}

static void
test_written(void)
{
	struct json_span id = {"\"a\\n\"", 5, JSON_STRING};
	struct json_buf b = {0};

	rpc_puterror(&b, &id, -32602, "no \"x\"");
	json_put(&b, "", 1);
	CHECK(
	    strcmp(b.p, "{" REST ",\"id\":\"a\\n\",\"error\":{\"code\":-32602,"
			"\"message\":\"no \\\"x\\\"\"}}") == 0);
	b.len = 0;
	rpc_puterror(&b, NULL, -32700, "x");
	json_put(&b, "", 1);
	CHECK(strstr(b.p, "\"id\"") == NULL);
	b.len = 0;
	rpc_putresult(&b, "17", 2);
	json_put(&b, "", 1);
	CHECK(strcmp(b.p, "{" REST ",\"id\":17,\"result\":") == 0);
	json_buf_free(&b);
}

static void
test_revisions(void)
{
	CHECK(rpc_legacy_revision("2025-11-25", 10));
	CHECK(rpc_legacy_revision("2025-06-18", 10));
	CHECK(rpc_legacy_revision("2025-03-26", 10));
	CHECK(!rpc_legacy_revision("2026-07-28", 10));
	CHECK(!rpc_legacy_revision("2025-11-2", 9));
	CHECK(!rpc_legacy_revision("2025-11-255", 11));
	CHECK(!rpc_legacy_revision("", 0));
}

/* The body decides; a header alone only when it names a later revision. */
static void
test_era(void)
{
	static const struct {
		const char *meta, *header;
		enum era era;
	} t[] = {
	    {"", NULL, ERA_LEGACY},
	    {"", "2025-11-25", ERA_LEGACY},
	    {"", "2026-07-28", ERA_MODERN},
	    {"", "2027-01-01", ERA_MODERN},
	    {"", "junk", ERA_LEGACY},
	    {"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"", NULL,
		ERA_MODERN},
	    {"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"",
		"2025-11-25", ERA_MODERN},
	    {"\"protocolVersion\":\"2026-07-28\"", NULL, ERA_LEGACY},
	};
	char text[256], head[256];
	struct http_head h;
	const char *why;
	struct rpc r;
	size_t i;
	int code;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text),
		    "{" REST ",\"id\":1,\"method\":\"ping\",\"params\":"
		    "{\"_meta\":{%s}}}",
		    t[i].meta);
		snprintf(head, sizeof(head),
		    "POST / HTTP/1.1\r\nHost: a\r\n%s%s%s"
		    "Content-Length: 0\r\n\r\n",
		    t[i].header ? "MCP-Protocol-Version: " : "",
		    t[i].header ? t[i].header : "", t[i].header ? "\r\n" : "");
		CHECK(http_request(&h, head, strlen(head)) > 0);
		CHECK(rpc_scan(&r, text, strlen(text), &code, &why) ==
		      RPC_REQUEST);
		CHECK(era_classify(&r, &h) == t[i].era);
	}
}

int
main(void)
{
	test_rows();
	test_long_id();
	test_members();
	test_written();
	test_revisions();
	test_era();
	TEST_END();
}
