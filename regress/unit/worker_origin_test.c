/*
 * Whom a request is from: HDR-1 and HDR-2, and every form of an address that
 * proxies write.
 */
#include <stdio.h>
#include <string.h>

#include "../../worker/origin.h"
#include "../../worker/worker.h"
#include "compat.h"
#include "test.h"

#define NOBODY "unknown"

static struct request rq;

/* Of a request by peer with these header lines. */
static const char *
client(const char *peer, const char *lines)
{
	static char text[1024];
	int n;

	memset(&rq, 0, sizeof(rq));
	strlcpy(rq.addr, peer, sizeof(rq.addr));
	n = snprintf(text, sizeof(text),
	    "GET /mcp HTTP/1.1\r\nHost: localhost\r\n%s\r\n", lines);
	CHECK(http_request(&rq.head, text, (size_t)n) == n);
	origin_client(&rq);
	return rq.addr;
}

static const char *
client_xff(const char *value)
{
	char lines[512];

	snprintf(lines, sizeof(lines), "X-Forwarded-For: %s\r\n", value);
	return client("127.0.0.1", lines);
}

static int
is(const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		printf("%s instead of %s\n", got, want);
	return strcmp(got, want) == 0;
}

static void
test_untrusted(void)
{
	CHECK(is(client("10.0.0.1", "X-Forwarded-For: 203.0.113.9\r\n"),
	    "10.0.0.1"));
	CHECK(is(client("::1", ""), "::1"));
}

/* A client may send lines of its own; what the proxy adds is last. */
static void
test_lines(void)
{
	CHECK(is(client_xff("203.0.113.9"), "203.0.113.9"));
	CHECK(is(client_xff("198.51.100.1, 203.0.113.9"), "203.0.113.9"));
	CHECK(is(client("127.0.0.1", "X-Forwarded-For: 1.2.3.4\r\n"
				     "X-Forwarded-For: 203.0.113.9\r\n"),
	    "203.0.113.9"));
	CHECK(
	    is(client("127.0.0.1", "X-Forwarded-For: x\r\nAccept: */*\r\n"
				   "x-forwarded-for: 5.6.7.8,203.0.113.9\r\n"),
		"203.0.113.9"));
	CHECK(is(client("127.0.0.1",
		     "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: "
		     "\r\n"),
	    "203.0.113.9"));
}

static void
test_chain(void)
{
	CHECK(is(client_xff("203.0.113.9, 127.0.0.1"), "203.0.113.9"));
	CHECK(is(client_xff("1.2.3.4, 203.0.113.9 ,127.0.0.1, 10.1.2.3"),
	    "203.0.113.9"));
	CHECK(is(
	    client_xff("203.0.113.9, fd00::7, [fd00::8]:99"), "203.0.113.9"));
	CHECK(is(client("fd00::1", "X-Forwarded-For: 203.0.113.9\r\n"
				   "X-Forwarded-For: 127.0.0.1\r\n"),
	    "203.0.113.9"));
	/* A proxy elsewhere has its own loopback. */
	CHECK(is(client("10.1.2.3", "X-Forwarded-For: ::1\r\n"), NOBODY));
	CHECK(is(client_xff("203.0.113.9, 127.0.0.2"), NOBODY));
}

/* It is somebody, but never this machine. */
static void
test_unknown(void)
{
	static const char *const t[] = {"", ",", "x", "unknown", "_hidden",
	    "203.0.113.9, x", "203.0.113.256", "203.0.113",
	    "203.0.113.9:", "203.0.113.9:x", "203.0.113.9:123456", "[::2", "[]",
	    "::2]", "[::2]80", "[::2]:", "127.0.0.1", "127.0.0.1, 127.0.0.1",
	    "::1", "[::1]:80", "::ffff:127.0.0.1", "127.0.0.1:80", "127.1",
	    "1.2.3.4 5.6.7.8", "\"1.2.3.4\"", "for=1.2.3.4",
	    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (!is(client_xff(t[i]), NOBODY)) {
			printf("%s\n", t[i]);
			CHECK(0);
		}
	CHECK(is(client("127.0.0.1", ""), NOBODY));
	CHECK(is(client("127.0.0.1", "Forwarded: for=1.2.3.4\r\n"), NOBODY));
}

static void
test_forms(void)
{
	CHECK(is(client_xff("203.0.113.9:4711"), "203.0.113.9"));
	CHECK(is(client_xff("2001:DB8::9"), "2001:db8::9"));
	CHECK(is(client_xff("2001:db8:0:0::9"), "2001:db8::9"));
	CHECK(is(client_xff("[2001:db8::9]"), "2001:db8::9"));
	CHECK(is(client_xff("[2001:db8::9]:4711"), "2001:db8::9"));
	CHECK(is(client_xff("::ffff:203.0.113.9"), "203.0.113.9"));
	CHECK(is(client_xff("[::ffff:203.0.113.9]:1"), "203.0.113.9"));
	CHECK(is(client_xff(" , 203.0.113.9 ,, "), "203.0.113.9"));
}

/* Host, more lines, and whether somebody of this machine asks. */
static void
test_local(void)
{
	static const struct {
		const char *host, *lines;
		int local;
	} t[] = {
	    {"localhost:4444", "", 1},
	    {"LocalHost", "", 1},
	    {"127.0.0.1:4444", "", 1},
	    {"127.9.8.7", "", 1},
	    {"[::1]:4444", "", 1},
	    {"[::1]", "X-Real-IP: 1.2.3.4\r\n", 1},
	    {"mcp.example.net", "", 0},
	    {"localhost.example.net", "", 0},
	    {"127.0.0.1.example.net", "", 0},
	    {"128.0.0.1", "", 0},
	    {"0.0.0.0", "", 0},
	    {"[::2]", "", 0},
	    {"localhost:4444", "X-Forwarded-For: 203.0.113.9\r\n", 0},
	    {"localhost:4444", "X-Forwarded-For:\r\n", 0},
	    {"localhost:4444", "x-forwarded-for: 127.0.0.1\r\n", 0},
	    {"localhost:4444", "Forwarded: for=203.0.113.9\r\n", 0},
	};
	char text[512];
	size_t i;
	int n;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(&rq, 0, sizeof(rq));
		rq.loopback_listener = rq.loopback_peer = 1;
		n = snprintf(text, sizeof(text),
		    "GET /mcp HTTP/1.1\r\nHost: %s\r\n%s\r\n", t[i].host,
		    t[i].lines);
		CHECK(http_request(&rq.head, text, (size_t)n) == n);
		if (origin_local(&rq) != t[i].local)
			printf("%s %s\n", t[i].host, t[i].lines);
		CHECK(origin_local(&rq) == t[i].local);
		rq.loopback_peer = 0;
		CHECK(!origin_local(&rq));
		rq.loopback_peer = 1;
		rq.loopback_listener = 0;
		CHECK(!origin_local(&rq));
	}
}

int
main(void)
{
	static char *proxies[] = {"127.0.0.1/32", "10.0.0.0/8", "fd00::/8"};

	worker.conf.trusted_proxies.v = proxies;
	worker.conf.trusted_proxies.n = 1;
	test_untrusted();
	worker.conf.trusted_proxies.n = 3;
	test_lines();
	test_chain();
	test_unknown();
	test_forms();
	test_local();
	TEST_END();
}
