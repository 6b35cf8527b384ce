/*
 * Requests and progress messages written anew: our ids and tokens, the client's
 * values byte for byte, and nothing that is only about the client's own hop.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/splice.h"
#include "test.h"

#define BEGIN "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\","

struct row {
	const char *params; /* of the client */
	const char *key, *value;
	int ref;
	const char *token; /* the client's, JSON */
	const char *out;
};

static const struct row rows[] = {
    {"{}", NULL, NULL, 0, NULL, "{}"},
    {"{\"name\":\"a_x\",\"arguments\":{\"n\":1.0e+02,\"s\":\"\\u00e9\\/\"}}",
	"name", "x", 0, NULL,
	"{\"name\":\"x\",\"arguments\":{\"n\":1.0e+02,\"s\":\"\\u00e9\\/\"}}"},
    /* a name that must be escaped */
    {"{\"name\":\"a\"}", "name", "x\"\\\n", 0, NULL,
	"{\"name\":\"x\\\"\\\\\\n\"}"},
    /* deeper members of that name are the client's */
    {"{\"arguments\":{\"name\":\"a\"},\"name\":\"a\"}", "name", "x", 0, NULL,
	"{\"arguments\":{\"name\":\"a\"},\"name\":\"x\"}"},
    /* completion */
    {"{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"a_p\"},\"name\":\"z\"}",
	"name", "p", 1, NULL,
	"{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"p\"},\"name\":\"z\"}"},
    {"{\"ref\":{\"uri\":\"a:b\"}}", NULL, NULL, 1, NULL,
	"{\"ref\":{\"uri\":\"a:b\"}}"},
    /* _meta: vendor keys and traces go on, reserved ones and the client's
     * token do not */
    {"{\"_meta\":{\"progressToken\":1,\"x.y/z\":[1],\"traceparent\":\"t\","
     "\"io.modelcontextprotocol/clientInfo\":{}}}",
	NULL, NULL, 0, "1",
	"{\"_meta\":{\"progressToken\":\"5.9\",\"x.y/z\":[1],"
	"\"traceparent\":\"t\"}}"},
    {"{\"_meta\":{\"progressToken\":{}}}", NULL, NULL, 0, NULL,
	"{\"_meta\":{}}"},
    {"{\"_meta\":7,\"a\":1}", NULL, NULL, 0, NULL, "{\"a\":1}"},
    /* who does not declare tasks ignores what is said of them */
    {"{\"task\":{\"ttl\":1},\"arguments\":{\"task\":1},\"name\":\"a\"}", "name",
	"x", 0, NULL, "{\"arguments\":{\"task\":1},\"name\":\"x\"}"},
};

static void
test_requests(void)
{
	struct call_start cs;
	struct call c;
	struct rpc r;
	char in[1024], out[1024];
	const char *why;
	size_t i;
	int code;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(in, sizeof(in), BEGIN "\"x\":1,\"params\":%s}",
		    rows[i].params);
		snprintf(out, sizeof(out),
		    "{\"jsonrpc\":\"2.0\",\"id\":\"5.9\",\"method\":"
		    "\"tools/call\",\"params\":%s}",
		    rows[i].out);
		CHECK(rpc_scan(&r, in, strlen(in), &code, &why) == RPC_REQUEST);
		memset(&c, 0, sizeof(c));
		memset(&cs, 0, sizeof(cs));
		c.id = 9;
		c.token = rows[i].token ? strdup(rows[i].token) : NULL;
		cs.rpc = &r;
		cs.key = rows[i].key;
		cs.value = rows[i].value;
		cs.ref = rows[i].ref;
		CHECK(splice_request(&c, &cs) == 0);
		CHECK(c.body != NULL && c.bodylen == strlen(out) &&
		      memcmp(c.body, out, c.bodylen) == 0);
		if (c.body != NULL && c.bodylen != strlen(out))
			printf("row %zu: %.*s\n", i, (int)c.bodylen, c.body);
		free(c.body);
		free(c.token);
	}
}

static void
test_ids(void)
{
	static const char *const bad[] = {"\"\"", "\"5\"", "\"5.\"", "\".5\"",
	    "\"5.9x\"", "\"-5.9\"", "\"5.-9\"", "\" 5.9\"", "\"5. 9\"", "5.9",
	    "null", "\"5.9.1\"",
	    "\"0000000000000000000000000000000000000000000000000.1\""};
	char id[48], text[64];
	struct json_span s;
	uint64_t w, n;
	size_t i;

	splice_id(id, UINT64_MAX);
	snprintf(text, sizeof(text), "\"%s\"", id);
	s.p = text;
	s.len = strlen(text);
	s.type = JSON_STRING;
	CHECK(splice_readid(&s, &w, &n) == 0);
	CHECK(w == worker.id && n == UINT64_MAX);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s.p = bad[i];
		s.len = strlen(bad[i]);
		s.type = *bad[i] == '"' ? JSON_STRING : JSON_NUMBER;
		CHECK(splice_readid(&s, &w, &n) == -1);
	}
}

/* Only progress of this call, of this worker, that was asked for. */
static void
test_progress(void)
{
	static const struct {
		const char *params, *token, *out;
	} t[] = {
	    {"{\"progressToken\":\"5.9\",\"progress\":0.50,\"total\":1}", "17",
		"{\"progressToken\":17,\"progress\":0.50,\"total\":1}"},
	    {"{\"progress\":1,\"progressToken\":\"5.9\"}", "\"a\"",
		"{\"progressToken\":\"a\",\"progress\":1}"},
	    {"{\"progressToken\":\"5.9\",\"progress\":1}", NULL, NULL},
	    {"{\"progressToken\":\"5.8\",\"progress\":1}", "1", NULL},
	    {"{\"progressToken\":\"6.9\",\"progress\":1}", "1", NULL},
	    {"{\"progressToken\":1,\"progress\":1}", "1", NULL},
	    {"{\"progress\":1}", "1", NULL},
	};
	struct json_buf b;
	struct call c;
	struct rpc r;
	char in[512], out[512];
	const char *why;
	size_t i;
	int code, rv;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(in, sizeof(in),
		    "{\"jsonrpc\":\"2.0\",\"method\":"
		    "\"notifications/progress\",\"params\":%s}",
		    t[i].params);
		snprintf(out, sizeof(out),
		    "{\"jsonrpc\":\"2.0\",\"method\":"
		    "\"notifications/progress\",\"params\":%s}",
		    t[i].out ? t[i].out : "");
		CHECK(rpc_scan(&r, in, strlen(in), &code, &why) ==
		      RPC_NOTIFICATION);
		memset(&c, 0, sizeof(c));
		memset(&b, 0, sizeof(b));
		c.id = 9;
		if (t[i].token != NULL) {
			c.token = strdup(t[i].token);
			c.tokenlen = strlen(t[i].token);
		}
		rv = splice_progress(&b, &c, &r);
		CHECK(rv == (t[i].out ? 0 : -1));
		CHECK(rv == -1 ||
		      (b.len == strlen(out) && memcmp(b.p, out, b.len) == 0));
		json_buf_free(&b);
		free(c.token);
	}
}

int
main(void)
{
	worker.id = 5;
	test_requests();
	test_ids();
	test_progress();
	TEST_END();
}
