/*
 * The address in the endpoint event of a backend of 2024-11-05: it must not
 * lead anywhere else.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/oldsse.h"
#include "test.h"

struct row {
	const char *uri, *target; /* NULL: refused */
};

/* of http://files.lan:8080/a/sse?x=1 */
static const struct row rows[] = {
    {"/messages?sessionId=1", "/messages?sessionId=1"},
    {"messages?sessionId=1", "/a/messages?sessionId=1"},
    {"?sessionId=1", "/a/sse?sessionId=1"},
    {"./m", "/a/./m"},
    {"http://files.lan:8080/m?s=1", "/m?s=1"},
    {"HTTP://FILES.lan:8080/m", "/m"},
    {"http://files.lan:8080", "/"},
    {"http://files.lan:8080?s=1", "/?s=1"},
    {"//files.lan:8080/m", "/m"},
    {"m?u=http://x/", "/a/m?u=http://x/"},
    /* another scheme, host or port */
    {"https://files.lan:8080/m", NULL},
    {"http://files.lan/m", NULL},
    {"http://files.lan:80/m", NULL},
    {"http://files.lan:08080000/m", NULL},
    {"http://files.lan:808/m", NULL},
    {"http://files.lan:/m", NULL},
    {"http://files.lan.evil:8080/m", NULL},
    {"http://evil/m", NULL},
    {"//evil/m", NULL},
    {"//evil:8080/m", NULL},
    {"http://user@files.lan:8080/m", NULL},
    {"http://files.lan:8080@evil/m", NULL},
    {"file:///etc/passwd", NULL},
    {"javascript:x", NULL},
    {"a:b", NULL},
    /* no URI */
    {"", NULL},
    {"/m#f", NULL},
    {"/m HTTP/1.1", NULL},
    {"/m\r\nX: y", NULL},
    {"/m\x7f", NULL},
    {"/\xc3\xa9", NULL},
};

static void
check(const struct backend *b, const char *uri, const char *want)
{
	char *t = oldsse_target(b, uri, strlen(uri));

	CHECK((t == NULL) == (want == NULL));
	CHECK(t == NULL || want == NULL || strcmp(t, want) == 0);
	if (t != NULL && (want == NULL || strcmp(t, want) != 0))
		printf("%s: %s\n", uri, t);
	free(t);
}

int
main(void)
{
	char host[] = "files.lan", literal[] = "::1", target[] = "/a/sse?x=1";
	char root[] = "/", big[5000];
	struct backend b;
	size_t i;

	memset(&b, 0, sizeof(b));
	b.conf.host = host;
	b.conf.port = 8080;
	b.conf.target = target;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(&b, rows[i].uri, rows[i].target);
	memset(big, 'a', sizeof(big));
	CHECK(oldsse_target(&b, big, sizeof(big)) == NULL);
	/* default ports, IPv6 */
	b.conf.port = 443;
	b.conf.tls = 1;
	b.conf.target = root;
	check(&b, "https://files.lan/m", "/m");
	check(&b, "https://files.lan:443/m", "/m");
	check(&b, "http://files.lan:443/m", NULL);
	check(&b, "m", "/m");
	b.conf.host = literal;
	check(&b, "https://[::1]/m", "/m");
	check(&b, "https://[::1]:443/m", "/m");
	check(&b, "https://[::1]:44/m", NULL);
	check(&b, "https://::1/m", NULL);
	check(&b, "https://[::1", NULL);
	CHECK(!oldsse_is("") && !oldsse_is("sse:1") && oldsse_is("\001sse:1"));
	TEST_END();
}
