/*
 * Heads of requests and responses: rows SMG-1 to SMG-4, SMG-6 to SMG-13 and
 * DOS-4 as bytes. Every input is also given cut at every byte, with the same
 * answer.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/http.h"
#include "test.h"

#define S(s)  s, sizeof(s) - 1
#define START "POST /mcp HTTP/1.1\r\nHost: gw.test:8443\r\n"
#define R(s)  START s "\r\n\r\n"
#define OK    0 /* taken, and all of it is head */

struct row {
	const char *name;
	const char *p;
	size_t len;
	int status; /* minus the answer, or OK */
};

static const struct row requests[] = {
    {"plain", S("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), OK},
    {"SMG-1 both", S(R("Content-Length: 5\r\nTransfer-Encoding: chunked")),
	-400},
    {"SMG-1 other order",
	S(R("Transfer-Encoding: chunked\r\nContent-Length: 5")), -400},
    {"SMG-2 equal", S(R("Content-Length: 5\r\nContent-Length: 5")), -400},
    {"SMG-2 different", S(R("Content-Length: 5\r\nContent-Length: 6")), -400},
    {"SMG-2 list", S(R("Content-Length: 5, 5")), -400},
    {"SMG-2 empty", S(R("Content-Length: \r\nContent-Length: 43")), -400},
    {"SMG-2 case", S(R("Content-Length: 5\r\ncontent-length: 5")), -400},
    {"SMG-3", S(R("Content-Length: ")), -400},
    {"SMG-3", S(R("Content-Length:")), -400},
    {"SMG-3", S(R("Content-Length: +5")), -400},
    {"SMG-3", S(R("Content-Length: -48")), -400},
    {"SMG-3", S(R("Content-Length: 0x10")), -400},
    {"SMG-3", S(R("Content-Length: 1_0")), -400},
    {"SMG-3", S(R("Content-Length: 010")), OK},
    {"SMG-3", S(R("Content-Length: 5 ")), -400},
    {"SMG-3", S(R("Content-Length: 5\t")), -400},
    {"SMG-3", S(R("Content-Length: 5 5")), -400},
    {"SMG-3", S(R("Content-Length: 1Z")), -400},
    {"SMG-3", S(R("Content-Length: 99999999999999999999")), -400},
    {"SMG-3", S(R("Content-Length: 999999999999999")), OK},
    {"SMG-3", S(R("Content-Length: 1000000000000000")), -400},
    {"SMG-4", S(R("Transfer-Encoding: chunked")), OK},
    {"SMG-4", S(R("Transfer-Encoding: CHUNKED")), OK},
    {"SMG-4", S(R("Transfer-Encoding:")), -400},
    {"SMG-4", S(R("Transfer-Encoding: ,chunked")), -400},
    {"SMG-4", S(R("Transfer-Encoding: chunked,")), -400},
    {"SMG-4", S(R("Transfer-Encoding: chunked, chunked")), -400},
    {"SMG-4", S(R("Transfer-Encoding: xchunked")), -501},
    {"SMG-4", S(R("Transfer-Encoding: identity")), -501},
    {"SMG-4", S(R("Transfer-Encoding: gzip, chunked")), -400},
    {"SMG-4",
	S(R("Transfer-Encoding: \x0b"
	    "chunked")),
	-400},
    {"SMG-4",
	S(R("Transfer-Encoding: \xa0"
	    "chunked\xa0")),
	-400},
    {"SMG-4", S(R("Transfer-Encoding: chunked\x00")), -400},
    {"SMG-4", S(R("Transfer-Encoding: chunked ")), -400},
    {"SMG-4", S(R("Transfer-Encoding: \"chunked\"")), -400},
    {"SMG-4", S(R("Transfer-Encoding: chunked;a=b")), -400},
    {"SMG-4 two",
	S(R("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")), -400},
    {"SMG-4 two",
	S(R("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
	-400},
    {"SMG-4 1.0",
	S("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
	-400},
    {"SMG-6", S(R("Content-Length : 5")), -400},
    {"SMG-6", S(R("Content-Length\t: 5")), -400},
    {"SMG-6", S("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"), -400},
    {"SMG-6", S("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), -400},
    {"SMG-6 fold", S(R("X: a\r\n b")), -400},
    {"SMG-6 fold", S(R("X: a\r\n\tb: c")), -400},
    {"SMG-6", S(R("no colon")), -400},
    {"SMG-6", S(R("nocolon")), -400},
    {"SMG-6", S(R(": x")), -400},
    {"SMG-6", S(R("X: a\0b")), -400},
    {"SMG-6", S(R("X: a\rb")), -400},
    {"SMG-6", S(R("X: a\r")), -400},
    {"SMG-6", S(R("X: a\nb: c")), -400},
    {"SMG-6", S(R("X: a\x7f")), -400},
    {"SMG-6", S(R("X: caf\xc3\xa9")), -400},
    {"SMG-6", S(R("X: eight bytes and then\x01")), -400},
    {"SMG-6", S(R("X: eight bytes\x80 and then")), -400},
    {"SMG-6", S(R("X\x01: a")), -400},
    {"SMG-6", S(R("X\xc3\xa9: a")), -400},
    {"SMG-6", S(R("X(y): a")), -400},
    {"SMG-6", S(R("Content-Length\x85: 10")), -400},
    {"SMG-6", S(R("X:a\tb \t ")), OK},
    {"SMG-6", S(R("!#$%&'*+-.^_`|~09azAZ: a")), OK},
    {"SMG-6 LF end", S("GET / HTTP/1.1\r\nHost: a\r\n\n"), -400},
    {"SMG-7", S("GET /\nHTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET / HTTP/1.32\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET / HTTP/4294967295.255\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), -505},
    {"SMG-7", S("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), -505},
    {"SMG-7", S("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), -505},
    {"SMG-7", S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), -505},
    {"SMG-7", S("GET / HTTP/1.x\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET / http/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7 0.9", S("GET /\r\n\r\n"), -400},
    {"SMG-7", S("get / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("G3T / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET / x HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /a<b> HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), -400},
    {"SMG-7", S("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), OK},
    {"SMG-7", S("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET http://a:1/x HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET https:/ HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"SMG-7", S("GET http://a/x?y HTTP/1.1\r\nHost: A\r\n\r\n"), OK},
    {"SMG-7", S("GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n"), OK},
    {"SMG-8 none", S("GET / HTTP/1.1\r\n\r\n"), -400},
    {"SMG-8 none", S("GET / HTTP/1.0\r\n\r\n"), -400},
    {"SMG-8 two", S("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: \r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: u@gw.test\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: gw.test/x\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: gw.test\0\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: gw.test:8443, evil\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: gw.test evil\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: gw.test:8443.evil\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: gw.test:\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: a:8:8\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), -400},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n"), OK},
    {"SMG-8", S("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n"), OK},
    {"SMG-9 garbage", S("\x16\x03\x01\x02\n"), -400},
    {"SMG-11", S(R("Expect: 100-continue")), OK},
    {"SMG-11", S(R("Expect: 100-Continue")), OK},
    {"SMG-11", S(R("Expect: x")), -417},
    {"SMG-11", S(R("Expect: 100-continue, x")), -417},
    {"SMG-11", S(R("Expect: 100-continue\r\nExpect: x")), -417},
    {"SMG-11 1.0", S("POST / HTTP/1.0\r\nHost: a\r\nExpect: x\r\n\r\n"), OK},
    {"SMG-12", S(R("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings")), OK},
    {"SMG-12", S(R("Connection: close, X-Forwarded-For")), OK},
    {"one CRLF first", S("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), OK},
    {"two CRLF first", S("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
    {"LF first", S("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -400},
};

/* SMG-13: what a backend may say. */
static const struct row responses[] = {
    {"plain", S("HTTP/1.1 200 OK\r\n\r\n"), OK},
    {"empty reason", S("HTTP/1.0 404 \r\nContent-Length: 3\r\n\r\n"), OK},
    {"reason", S("HTTP/1.1 200 caf\xc3\xa9\r\n\r\n"), OK},
    {"1xx", S("HTTP/1.1 100 Continue\r\n\r\n"), OK},
    {"chunked", S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), OK},
    {"CL and TE",
	S("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n"),
	-502},
    {"two CL",
	S("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1"
	  "\r\n\r\n"),
	-502},
    {"LF", S("HTTP/1.1 200\nfoo"), -502},
    {"LF", S("HTTP/1.1 200 OK\n\n"), -502},
    {"bare CR", S("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"), -502},
    {"no SP", S("HTTP/1.1 200\r\n\r\n"), -502},
    {"two digits", S("HTTP/1.1 20 OK\r\n\r\n"), -502},
    {"four digits", S("HTTP/1.1 2000 OK\r\n\r\n"), -502},
    {"low", S("HTTP/1.1 099 OK\r\n\r\n"), -502},
    {"high", S("HTTP/1.1 600 OK\r\n\r\n"), -502},
    {"version", S("HTTP/2.0 200 OK\r\n\r\n"), -502},
    {"version", S("ICY 200 OK of music\r\n\r\n"), -502},
    {"reason", S("HTTP/1.1 200 O\0K\r\n\r\n"), -502},
    {"first line empty", S("\r\nHTTP/1.1 200 OK\r\n\r\n"), -502},
    {"gzip", S("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), -502},
    {"1.0 TE", S("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	-502},
    {"fold", S("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"), -502},
};

static struct http_head head;

typedef ssize_t parser(struct http_head *, const char *, size_t);

static ssize_t exact(parser *, const char *, size_t);
static void test_rows(parser *, const struct row *, size_t);
static void test_fields(void);
static void test_target(void);
static void test_keepalive(void);
static void test_limits(void);
static void test_pipeline(void);
static void test_lists(void);
static void test_values(void);
static void test_accepts(void);

int
main(void)
{
	test_rows(
	    http_request, requests, sizeof(requests) / sizeof(requests[0]));
	test_rows(
	    http_response, responses, sizeof(responses) / sizeof(responses[0]));
	test_fields();
	test_target();
	test_keepalive();
	test_limits();
	test_pipeline();
	test_lists();
	test_values();
	test_accepts();
	TEST_END();
}

/* From a buffer of exactly len bytes, so that a sanitizer sees one more. */
static ssize_t
exact(parser *parse, const char *p, size_t len)
{
	static char *copy;

	free(copy);
	if ((copy = malloc(len ? len : 1)) == NULL)
		exit(1);
	memcpy(copy, p, len);
	return parse(&head, copy, len);
}

static void
test_rows(parser *parse, const struct row *rows, size_t n)
{
	const struct row *r;
	ssize_t want, got;
	size_t i;

	for (r = rows; r < rows + n; r++) {
		want = r->status == OK ? (ssize_t)r->len : r->status;
		got = exact(parse, r->p, r->len);
		if (got != want)
			printf("%s: %zd, not %zd: %.*s\n", r->name, got, want,
			    (int)r->len, r->p);
		CHECK(got == want);
		for (i = 0; i < r->len; i++) {
			got = exact(parse, r->p, i);
			CHECK(got == 0 || got == r->status);
			if (r->status == OK)
				CHECK(got == 0);
		}
	}
}

static void
test_fields(void)
{
	static const char text[] =
	    "DELETE /mcp?a=1&b HTTP/1.1\r\nhost: gw.test:8443\r\n"
	    "ACCEPT: text/event-stream\r\nauthorization:Bearer  x \r\n"
	    "Connection: close\r\nContent-Length: 010\r\nContent-Type: a/b\r\n"
	    "Cookie: c=d\r\nLast-Event-ID: 7\r\nMcp-Method: m\r\nMcp-Name: "
	    "n\r\n"
	    "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: s\r\n"
	    "Origin: null\r\nRetry-After: 1\r\nSec-Fetch-Site: none\r\n"
	    "Forwarded: for=1\r\ntraceparent: 00\r\ntracestate: "
	    "x\r\nX-Forwarded-For: 1\r\n"
	    "X-Other: y\r\nCookie: e=f\r\n\r\nbody";
	enum http_hdr id;

	CHECK(http_request(&head, S(text)) == (ssize_t)sizeof(text) - 5);
	CHECK(head.method == HTTP_DELETE && head.minor == 1);
	CHECK(span_eq(&head.target, "/mcp?a=1&b"));
	CHECK(span_eq(&head.path, "/mcp") && span_eq(&head.query, "a=1&b"));
	CHECK(span_eq(&head.host, "gw.test:8443"));
	CHECK(head.length == 10 && !head.chunked && !head.expect);
	CHECK(head.nfields == 21);
	for (id = HDR_UNKNOWN + 1; id < HDR_MAX; id++)
		CHECK(
		    http_count(&head, id) ==
		    (id == HDR_COOKIE                                     ? 2
			: id == HDR_TRANSFER_ENCODING || id == HDR_EXPECT ? 0
									  : 1));
	CHECK(span_eq(http_get(&head, HDR_AUTHORIZATION), "Bearer  x"));
	CHECK(span_eq(http_get(&head, HDR_COOKIE), "c=d"));
	CHECK(span_eq(http_get(&head, HDR_MCP_SESSION_ID), "s"));
	CHECK(http_get(&head, HDR_EXPECT) == NULL);

	CHECK(http_request(&head, S(R("Expect: 100-continue"))) > 0);
	CHECK(head.expect == 1 && head.length == -1);
	CHECK(http_request(&head, S(R("Transfer-Encoding: Chunked"))) > 0);
	CHECK(head.chunked == 1 && head.expect == 0);
	CHECK(http_response(&head, S("HTTP/1.1 503 X\r\nRetry-After: 5\r\n"
				     "Content-Length: 0\r\n\r\n")) > 0);
	CHECK(head.status == 503 && head.length == 0 && head.keepalive);
	CHECK(span_eq(http_get(&head, HDR_RETRY_AFTER), "5"));
	CHECK(strcmp(http_reason(421), "Misdirected Request") == 0);
}

static void
test_target(void)
{
	CHECK(http_request(
		  &head, S("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n")) > 0);
	CHECK(span_eq(&head.path, "/") && head.query.p == NULL);
	CHECK(http_request(&head, S("GET http://a?q HTTP/1.1\r\nHost: a\r\n"
				    "\r\n")) > 0);
	CHECK(span_eq(&head.path, "/") && span_eq(&head.query, "q"));
	CHECK(
	    http_request(&head, S("GET /x? HTTP/1.1\r\nHost: a\r\n\r\n")) > 0);
	CHECK(span_eq(&head.path, "/x") && head.query.p != NULL &&
	      head.query.len == 0);
	CHECK(http_request(&head, S("GET /?a?b HTTP/1.1\r\nHost: a\r\n\r\n")) >
	      0);
	CHECK(span_eq(&head.path, "/") && span_eq(&head.query, "a?b"));
	CHECK(http_request(&head, S("GET //b/x HTTP/1.1\r\nHost: a\r\n\r\n")) >
	      0);
	CHECK(span_eq(&head.path, "//b/x"));
	CHECK(
	    http_request(&head, S("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n")) > 0);
	CHECK(head.method == HTTP_OTHER);
}

static void
test_keepalive(void)
{
	static const struct {
		const char *text;
		int keep;
	} t[] = {
	    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
	    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", 0},
	    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n", 0},
	    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close"
	     "\r\n\r\n",
		0},
	    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", 1},
	    {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 0},
	    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", 1},
	    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n"
	     "\r\n",
		0},
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		CHECK(http_request(&head, t[i].text, strlen(t[i].text)) > 0);
		CHECK(head.keepalive == t[i].keep);
	}
}

/* DOS-4 */
static void
test_limits(void)
{
	static char buf[2 * HTTP_MAX_HEAD];
	size_t n, i, line;
	ssize_t r;

	/* A line of exactly the limit, and one more. */
	for (i = 0; i < 2; i++) {
		n = (size_t)sprintf(buf, START "X: ");
		line = HTTP_MAX_LINE - 3 + i;
		memset(buf + n, 'x', line);
		memcpy(buf + n + line, "\r\n\r\n", 4);
		n += line + 4;
		CHECK(exact(http_request, buf, n) ==
		      (i == 0 ? (ssize_t)n : -431));
		r = exact(http_request, buf, n - 4);
		CHECK(r == 0);
		CHECK(exact(http_request, buf, n - 3) == (i == 0 ? 0 : -431));
	}
	/* A target without end. */
	n = (size_t)sprintf(buf, "GET /");
	memset(buf + n, 'x', 9000);
	CHECK(exact(http_request, buf, 9000) == -431);
	CHECK(exact(http_request, buf, 8192) == 0);
	/* 100 headers, and one more. */
	for (i = 100; i <= 101; i++) {
		n = (size_t)sprintf(buf, "GET / HTTP/1.1\r\nHost: a\r\n");
		for (line = 1; line < i; line++)
			n += (size_t)sprintf(buf + n, "X-%zu: y\r\n", line);
		n += (size_t)sprintf(buf + n, "\r\n");
		CHECK(exact(http_request, buf, n) ==
		      (i == 100 ? (ssize_t)n : -431));
	}
	/* 64 KiB in all; the limit itself fits. */
	n = (size_t)sprintf(buf, START);
	while (n + 1000 < sizeof(buf)) {
		line = (size_t)sprintf(buf + n, "X: ");
		memset(buf + n + line, 'y', 995);
		n += 998;
		n += (size_t)sprintf(buf + n, "\r\n");
	}
	CHECK(exact(http_request, buf, n) == -431);
	CHECK(exact(http_request, buf, HTTP_MAX_HEAD) == -431);
	CHECK(exact(http_request, buf, HTTP_MAX_HEAD - 1) == 0);
	CHECK(exact(http_response, buf, sizeof(buf)) == -502);
}

/* SMG-9, SMG-10: what follows is left alone. */
static void
test_pipeline(void)
{
	static const char two[] = "GET / HTTP/1.1\r\nHost: a\r\n"
				  "Content-Length: 10\r\n\r\n0123456789"
				  "POST /b HTTP/1.1\r\nHost: b\r\n\r\n";
	static const char bad[] =
	    "GET / HTTP/1.1\r\nHost: a\r\n\r\n\x01garbage\r\n";
	ssize_t n;

	n = http_request(&head, S(two));
	CHECK(n == 47 && head.length == 10 && head.method == HTTP_GET);
	n += 10;
	CHECK(http_request(&head, two + n, sizeof(two) - 1 - (size_t)n) ==
	      (ssize_t)sizeof(two) - 1 - n);
	CHECK(head.method == HTTP_POST && span_eq(&head.host, "b"));
	CHECK(head.length == -1);
	n = http_request(&head, S(bad));
	CHECK(n == 27);
	CHECK(
	    http_request(&head, bad + n, sizeof(bad) - 1 - (size_t)n) == -400);
}

static void
test_lists(void)
{
	struct span v = {S("a, Close ,\tb;q=1,,\"close, x\"")};

	CHECK(http_has_token(&v, "close") && http_has_token(&v, "a"));
	CHECK(!http_has_token(&v, "b") && !http_has_token(&v, "x"));
	CHECK(!http_has_token(&v, "clos"));
	v.len = 0;
	CHECK(!http_has_token(&v, "a"));
	CHECK(http_tchar('-') && !http_tchar(' ') && !http_tchar('\0') &&
	      !http_tchar('\x80') && !http_tchar('"') && !http_tchar('/'));
}

/* Of a header in several lines every one can be had. */
static void
test_values(void)
{
	static const char text[] =
	    "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nHost: a\r\n"
	    "x-forwarded-for:\r\nX-Forwarded-Fox: 2\r\n"
	    "X-FORWARDED-FOR:\t3, 4 \t\r\nX-Forwarded-For:5\r\n\r\n"
	    "X-Forwarded-For: 6\r\n";
	static const char *const want[] = {"1", "", "3, 4", "5"};
	struct span v;
	int i;

	CHECK(exact(http_request, S(text)) > 0);
	CHECK(http_count(&head, HDR_X_FORWARDED_FOR) == 4);
	for (i = 0; i < 4; i++)
		CHECK(http_value(&head, HDR_X_FORWARDED_FOR, i, &v) == 0 &&
		      span_eq(&v, want[i]));
	CHECK(http_value(&head, HDR_X_FORWARDED_FOR, 4, &v) == -1);
	CHECK(http_value(&head, HDR_X_FORWARDED_FOR, -1, &v) == -1);
	CHECK(http_value(&head, HDR_HOST, 0, &v) == 0 && span_eq(&v, "a"));
	CHECK(http_value(&head, HDR_COOKIE, 0, &v) == -1);
}

static void
test_accepts(void)
{
	static const struct {
		const char *accept;
		int json, sse;
	} t[] = {
	    {"application/json, text/event-stream", 1, 1},
	    {"application/json", 1, 0},
	    {"*/*", 1, 1},
	    {"text/*", 0, 1},
	    {"Text/Event-Stream;q=0.1 , APPLICATION/JSON", 1, 1},
	    {"*/*, text/event-stream;q=0", 1, 0},
	    {"text/event-stream;q=0, */*", 1, 0},
	    {"text/*;q=0.000, */*;q=0.5", 1, 0},
	    {"text/event-stream; q=0.5, text/*;q=0", 0, 1},
	    {"application/json;charset=utf-8;Q=0.2", 1, 0},
	    {"application/json;charset=\"a,b\", text/event-stream", 1, 1},
	    {"application/json;q=0.0", 0, 0},
	    {"application/jsonx, application/jso, xtext/event-stream", 0, 0},
	    {"application", 0, 0},
	    {"application/", 0, 0},
	    {"*", 0, 0},
	    {"", 0, 0},
	    {",,;,/,*/,;q=1", 0, 0},
	    {"text/html,application/xhtml+xml,*/*;q=0.8", 1, 1},
	};
	static const char lines[] = "GET / HTTP/1.1\r\nHost: a\r\n"
				    "Accept: application/json\r\nX: y\r\n"
				    "accept:text/event-stream;q=0.1\r\n\r\n";
	struct http_head h;
	size_t i;

	memset(&h, 0, sizeof(h));
	CHECK(http_accepts(&h, "application/json"));
	h.count[HDR_ACCEPT] = 1;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		h.value[HDR_ACCEPT].p = t[i].accept;
		h.value[HDR_ACCEPT].len = strlen(t[i].accept);
		CHECK(http_accepts(&h, "application/json") == t[i].json);
		CHECK(http_accepts(&h, "text/event-stream") == t[i].sse);
	}
	/* In several lines it is one list (RFC 9110 5.3). */
	CHECK(http_request(&h, lines, sizeof(lines) - 1) > 0);
	CHECK(http_accepts(&h, "application/json"));
	CHECK(http_accepts(&h, "text/event-stream"));
	CHECK(!http_accepts(&h, "text/html"));
}
