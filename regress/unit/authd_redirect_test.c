/* RDR-2, RDR-3, RDR-4: redirect URIs that may be registered, and matching. */
#include "authd_fixture.h"
#include "test.h"

struct peer *
master_peer(void)
{
	return NULL;
}

static struct strv schemes, hosts;

static int
allowed(const char *uri)
{
	return redirect_allowed(uri, &schemes, &hosts);
}

static void
rdr_2(void)
{
	static const char *const bad[] = {"https://c.example/cb/",
	    "https://c.example/cb?x", "https://c.example/CB",
	    "HTTPS://c.example/cb", "https://c.example:443/cb",
	    "https://c.example/cb%2f..", "https://c.example/..;/cb",
	    "https://c.example@evil/", "https://a@@c.example/cb",
	    "https://c.example\\@evil", "https://c.example/cb%00",
	    "https://c.example/cb ", "https://c.example/cb\t",
	    "https://c.example/cb\n", "https://c\xef\xbc\x8e.example/cb",
	    "https://c.example/cb#", "https://C.example/cb", ""};
	size_t i;

	CHECK(redirect_match("https://c.example/cb", "https://c.example/cb"));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!redirect_match("https://c.example/cb", bad[i]));
}

static void
rdr_3(void)
{
	static const char *const good[] = {"http://127.0.0.1/cb",
	    "http://127.0.0.1:3000/cb", "http://127.0.0.1:65535/cb",
	    "http://127.0.0.1:1/cb"};
	static const char *const bad[] = {"http://localhost/cb",
	    "http://127.1/cb", "http://[::1]/cb", "http://127.0.0.1.nip.io/cb",
	    "http://127.0.0.1:3000/CB", "http://127.0.0.1:0/cb",
	    "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb",
	    "http://127.0.0.1:3000@evil.example/cb",
	    "http://127.0.0.1:3000/cb?x=1", "http://127.0.0.1:3000/cb#f",
	    "https://127.0.0.1:3000/cb", "http://127.0.0.1:30a0/cb",
	    "http://user@127.0.0.1:3000/cb", "HTTP://127.0.0.1:3000/cb",
	    "http://127.0.0.1:+300/cb", "http://127.0.0.1:3000"};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(redirect_match("http://127.0.0.1/cb", good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!redirect_match("http://127.0.0.1/cb", bad[i]));
	CHECK(redirect_match("http://localhost:8787/callback",
	    "http://localhost:3118/callback"));
	CHECK(redirect_match(
	    "http://localhost/callback", "http://localhost:3118/callback"));
	CHECK(!redirect_match(
	    "http://localhost/callback", "http://127.0.0.1:3118/callback"));
	CHECK(!redirect_match("http://localhost/cb", "http://LOCALHOST:1/cb"));
	CHECK(redirect_match("http://[::1]/cb", "http://[::1]:4000/cb"));
	CHECK(!redirect_match("http://[::1]/cb", "http://[::1]:4000/cc"));
	CHECK(redirect_match(
	    "http://127.0.0.1:33418/", "http://127.0.0.1:50000/"));
	/* Off loopback the port counts. */
	CHECK(!redirect_match("http://nas.lan/cb", "http://nas.lan:81/cb"));
	CHECK(
	    !redirect_match("https://localhost/cb", "https://localhost:81/cb"));
}

static void
rdr_4(void)
{
	static const char *const bad[] = {"javascript:alert(1)",
	    "JaVa\tScript:alert(1)", "JaVaScRiPt:x", "data:text/html,x",
	    "file:///etc/passwd", "vbscript:x", "blob:https://x/y",
	    "about:blank", "http://evil.example/", "vscode2://x/y",
	    "https://c.example/cb#f", "https://c.example/#",
	    "https://u@c.example/cb", "https://u:p@c.example/cb",
	    "https://*.example/cb", "https://c.example/*", "https:/c.example",
	    "https:c.example", "https:///cb", "https://:443/cb",
	    "https://c.example:/cb", "https://c.example:99x/cb", "//c.example",
	    "/cb", "cb", "", "https://c.example/a b", "https://c.example/\x7f",
	    "https://c\xc3\xa9.example/cb", "1a.b:/cb", "a.b", "http:/x.y",
	    "https://c.example\\@evil/", "https://[::1/cb",
	    "http://127.0.0.2/cb", "http://[::2]/cb", "http://localhost.x/cb"};
	static const char *const good[] = {"https://c.example/cb",
	    "https://c.example:8443/cb?x=y", "https://c.example",
	    "http://127.0.0.1/cb", "http://127.0.0.1:33418/",
	    "http://[::1]:1/cb", "http://localhost/callback",
	    "com.example.app:/cb", "com.example.app://oauth/cb",
	    "https://[2001:db8::1]/cb",
	    "https://claude.ai/api/mcp/auth_callback",
	    "https://vscode.dev/redirect"};
	char longuri[2100];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!allowed(bad[i]));
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(allowed(good[i]));
	CHECK(!allowed("cursor://anysphere.cursor-mcp/oauth/callback"));
	(void)strv_add(&schemes, "cursor");
	(void)strv_add(&schemes, "javascript");
	CHECK(allowed("cursor://anysphere.cursor-mcp/oauth/callback"));
	CHECK(!allowed("javascript:alert(1)"));
	CHECK(!allowed("http://nas.lan/cb"));
	(void)strv_add(&hosts, "nas.lan");
	CHECK(allowed("http://nas.lan/cb"));
	CHECK(allowed("http://nas.lan:8080/cb"));
	CHECK(!allowed("http://x.nas.lan/cb"));
	memset(longuri, 'a', sizeof(longuri));
	memcpy(longuri, "https://c.example/", 18);
	longuri[2049] = '\0';
	CHECK(!allowed(longuri));
	longuri[2048] = '\0';
	CHECK(allowed(longuri));
}

static void
sites(void)
{
	char s[128];

	redirect_site("http://127.0.0.1:3000/cb", s, sizeof(s));
	CHECK(strcmp(s, "http://127.0.0.1") == 0);
	redirect_site("https://c.example:8443/cb", s, sizeof(s));
	CHECK(strcmp(s, "https://c.example:8443") == 0);
	redirect_site("com.example.app:/cb", s, sizeof(s));
	CHECK(strcmp(s, "com.example.app:") == 0);
	CHECK(redirect_on_device("http://localhost:1/"));
	CHECK(redirect_on_device("com.example.app:/cb"));
	CHECK(!redirect_on_device("https://localhost/"));
	CHECK(!redirect_on_device("http://nas.lan/cb"));
}

int
main(void)
{
	rdr_2();
	rdr_3();
	rdr_4();
	sites();
	strv_free(&schemes);
	strv_free(&hosts);
	TEST_END();
}
