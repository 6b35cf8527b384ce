/*
 * The pages: hostile names and addresses stay text, the headers are those of
 * CONS-4 and HDR-8, the authorization response is built right (RDR-6, ISS-1).
 * With a folder as argument, sample pages are written there to be looked at.
 */
#include "worker_oauth_fake.h"

#include <time.h>

#include "../../worker/form.h"
#include "../../worker/page.h"
#include "test.h"

static char EMPTY[] = "";

static void page_init(struct a_page *);
static void set(char **, const char *);
static void test_escape(void);
static void test_hostile(void);
static void test_targets(void);
static void test_location(void);
static void test_consent(void);
static void test_signin(void);
static void test_errors(void);
static void test_headers(void);
static void samples(const char *);

/* Every string empty, as after decoding. */
static void
page_init(struct a_page *p)
{
	memset(p, 0, sizeof(*p));
	p->txn = p->csrf = p->set_cookie = p->client_id = p->client_name =
	    p->user = p->scope = p->redirect_uri = p->notice = p->code =
		p->state = p->error = p->description = EMPTY;
}

static void
set(char **field, const char *value)
{
	static char store[64][8192];
	static size_t next;
	char *s = store[next++ % 64];

	strlcpy(s, value, sizeof(store[0]));
	*field = s;
}

static char *
render(void (*page)(struct json_buf *, const struct a_page *),
    const struct a_page *p)
{
	struct json_buf b = {0};
	char *s;

	page(&b, p);
	s = json_buf_take(&b, NULL);
	if (s == NULL)
		abort();
	return s;
}

static void
test_escape(void)
{
	struct json_buf b = {0};
	char *s;

	page_put(&b, "<p title=\"%s\">%s</p>", "\"'<>&",
	    "a\xe2\x80\xae"
	    "b\x01\xff\xe2\x80\x8b"
	    "c\r\n");
	s = json_buf_take(&b, NULL);
	CHECK(strcmp(s, "<p title=\"&quot;&#39;&lt;&gt;&amp;\">"
			"a\xef\xbf\xbd"
			"b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
			"c\xef\xbf\xbd\xef\xbf\xbd</p>") == 0);
	free(s);
}

/* CONS-5: whatever a client calls itself, a page has the same tags. */
static void
test_hostile(void)
{
	static const char *const bad[] = {"<script>alert(1)</script>",
	    "\"><img src=x onerror=y>", "' autofocus onfocus='x",
	    "</h1><form action=//evil>", "%s%n%d", "a\r\nLocation: x",
	    "\xe2\x80\xae"
	    "elgooG",
	    "&lt;b&gt;",
	    "\xc0\xbc"
	    "b\xc0\xbe"};
	struct a_page p, clean;
	char *s, *ref;
	size_t i, n, m;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		page_init(&clean);
		set(&clean.client_name, "x");
		set(&clean.redirect_uri, "https://c.example/cb");
		set(&clean.scope, "mcp");
		set(&clean.user, "x");
		p = clean;
		set(&p.client_name, bad[i]);
		set(&p.client_id, bad[i]);
		set(&p.user, bad[i]);
		set(&p.txn, bad[i]);
		set(&p.csrf, bad[i]);
		s = render(page_consent, &p);
		ref = render(page_consent, &clean);
		n = (size_t)count(s, "<");
		m = (size_t)count(ref, "<");
		CHECK(n == m);
		CHECK(count(s, "\"") == count(ref, "\""));
		CHECK(strstr(s, "<script") == NULL);
		CHECK(strstr(s, "<img") == NULL);
		CHECK(strchr(s, '\r') == NULL);
		CHECK(strstr(s, "\xe2\x80\xae") == NULL);
		free(s);
		free(ref);
		s = render(page_signin, &p);
		CHECK(strstr(s, "<script") == NULL);
		CHECK(count(s, "<form") == 1);
		CHECK(strchr(s, '\'') == NULL);
		free(s);
	}
}

static void
test_targets(void)
{
	static const struct {
		const char *uri;
		int ok;
		const char *host;
		const char *source;
	} t[] = {
	    {"https://claude.ai/api/mcp/auth_callback", 1, "claude.ai",
		"https://claude.ai"},
	    {"http://localhost:3118/callback", 1, "localhost",
		"http://localhost:3118"},
	    {"http://[::1]:3118/callback", 1, "[::1]", "http:"},
	    {"HTTPS://c.example", 1, "c.example", "https://c.example"},
	    {"cursor://anysphere.cursor-mcp/oauth/callback", 1, "", "cursor:"},
	    {"com.example.app:/cb", 1, "", "com.example.app:"},
	    {"https://c.example@evil/", 0, "", ""},
	    {"https://a@@c.example/cb", 0, "", ""},
	    {"https://c.example\\@evil", 0, "", ""},
	    {"https://c.example/#x", 0, "", ""},
	    {"https://c.example/a b", 0, "", ""},
	    {"https://c.example/\r\nX: y", 0, "", ""},
	    {"https://c.example;script-src *", 0, "", ""},
	    {"https://c.ex,ample/", 0, "", ""},
	    {"https://c.example:8x/", 0, "", ""},
	    {"https:///cb", 0, "", ""},
	    {"https:c.example", 0, "", ""},
	    {"/relative", 0, "", ""},
	    {"", 0, "", ""},
	    {":x", 0, "", ""},
	};
	struct target x;
	char src[400];
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		CHECK((target_parse(&x, t[i].uri) == 0) == t[i].ok);
		if (!t[i].ok)
			continue;
		CHECK(strcmp(x.host, t[i].host) == 0);
		CHECK(target_source(&x, src, sizeof(src)) == 0);
		CHECK(strcmp(src, t[i].source) == 0);
	}
}

/* RDR-6: error, state and iss exactly once, values percent-encoded, never a
 * second header. ISS-1: iss is the issuer, byte for byte. */
static void
test_location(void)
{
	static const char issuer[] = "https://gw.example";
	struct a_page p;
	char *s;

	page_init(&p);
	set(&p.redirect_uri, "https://c.example/cb");
	set(&p.code, "mgc_abc");
	set(&p.state, "a&b=c\r\nX: y\"<script>\xc3\xa9");
	s = target_location(&p, issuer);
	CHECK(s != NULL &&
	      strcmp(s, "https://c.example/cb?code=mgc_abc&state="
			"a%26b%3Dc%0D%0AX%3A%20y%22%3Cscript%3E%C3%A9"
			"&iss=https%3A%2F%2Fgw.example") == 0);
	free(s);
	set(&p.redirect_uri, "https://c.example/cb?x=1");
	set(&p.error, "access_denied");
	set(&p.description, "no & no");
	s = target_location(&p, issuer);
	CHECK(s != NULL &&
	      strcmp(s, "https://c.example/cb?x=1&error="
			"access_denied&error_description=no%20%26%20no&state="
			"a%26b%3Dc%0D%0AX%3A%20y%22%3Cscript%3E%C3%A9"
			"&iss=https%3A%2F%2Fgw.example") == 0);
	CHECK(s != NULL && count(s, "iss=") == 1 && count(s, "state=") == 1);
	CHECK(s != NULL && strstr(s, "code=") == NULL);
	free(s);
	page_init(&p);
	set(&p.redirect_uri, "cursor://x/cb?");
	set(&p.code, "c");
	s = target_location(&p, issuer);
	CHECK(s != NULL && strcmp(s, "cursor://x/cb?code=c"
				     "&iss=https%3A%2F%2Fgw.example") == 0);
	free(s);
	set(&p.redirect_uri, "https://c.example/cb\r\nSet-Cookie: a=b");
	CHECK(target_location(&p, issuer) == NULL);
}

/* CONS-5: the host stands out, and a program on this device is named so. */
static void
test_consent(void)
{
	struct a_page p;
	char *s;

	page_init(&p);
	set(&p.client_name, "Claude");
	set(&p.client_id, "mgcl_7Q2F");
	set(&p.user, "owner");
	set(&p.scope, "mcp reports offline_access");
	set(&p.redirect_uri, "https://claude.ai/api/mcp/auth_callback");
	s = render(page_consent, &p);
	CHECK(strstr(s, "<p class=\"host\">claude.ai</p>") != NULL);
	CHECK(strstr(s, "home, files and erp") != NULL);
	CHECK(strstr(s, "read &lt;reports&gt;") != NULL);
	CHECK(strstr(s, "class=\"warn\"") == NULL);
	CHECK(count(s, "stay connected until you disconnect it") == 1);
	CHECK(strstr(s, "offline_access") == NULL);
	CHECK(strstr(s, "never") != NULL);
	CHECK(count(s, "value=\"approve\"") == 1);
	free(s);
	set(&p.redirect_uri, "http://localhost:3118/callback");
	p.device = 1;
	s = render(page_consent, &p);
	CHECK(strstr(s, "<p class=\"host\">localhost</p>") != NULL);
	CHECK(strstr(s, "on the device in front of you") != NULL);
	free(s);
	set(&p.redirect_uri, "cursor://anysphere.cursor-mcp/oauth/callback");
	s = render(page_consent, &p);
	CHECK(strstr(s, "<p class=\"host\">cursor://</p>") != NULL);
	CHECK(strstr(s, "class=\"warn\"") != NULL);
	free(s);
	set(&p.redirect_uri, "http://nas.lan/cb");
	p.device = 0;
	s = render(page_consent, &p);
	CHECK(strstr(s, "not encrypted") != NULL);
	free(s);
}

static void
test_signin(void)
{
	struct a_page p;
	char *s;

	page_init(&p);
	set(&p.client_name, "Claude");
	set(&p.user, "owner");
	set(&p.redirect_uri, "https://claude.ai/cb");
	set(&p.notice, NOTICE_WRONG);
	s = render(page_signin, &p);
	CHECK(strstr(s, "role=\"alert\"") != NULL);
	CHECK(strstr(s, "do not match") != NULL);
	CHECK(strstr(s, "autocomplete=\"current-password\"") != NULL);
	CHECK(strstr(s, "autocomplete=\"username\"") != NULL);
	free(s);
	set(&p.notice, NOTICE_WAIT);
	p.retry_after = 180;
	s = render(page_signin, &p);
	CHECK(strstr(s, "Wait 3 minutes") != NULL);
	free(s);
	p.no_password = 1;
	s = render(page_signin, &p);
	CHECK(strstr(s, "mcpgwctl user passwd owner") != NULL);
	CHECK(strstr(s, "type=\"password\"") == NULL);
	free(s);
}

static void
test_errors(void)
{
	static const char *const clients[] = {"Claude Code", "claude.ai",
	    "VS Code", "Cursor", "ChatGPT", "mcp-remote"};
	struct json_buf b = {0};
	char *s;
	size_t i;

	page_error(&b, PAGE_E_CLIENT, "");
	s = json_buf_take(&b, NULL);
	for (i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
		CHECK(strstr(s, clients[i]) != NULL);
	free(s);
	page_error(&b, "no such word", "<b>");
	s = json_buf_take(&b, NULL);
	CHECK(strstr(s, "invalid_request: &lt;b&gt;") != NULL);
	free(s);
}

static void
test_return(void)
{
	struct json_buf b = {0};
	struct a_page p;
	char *s;

	memset(&p, 0, sizeof(p));
	p.redirect_uri = xstrdup("https://c.example:8/cb?\"'");
	p.error = xstrdup("login_required");
	p.description = xstrdup("nobody <b>");
	page_return(&b, &p, "https://c.example/cb?error=a&state=\"><script>");
	s = json_buf_take(&b, NULL);
	CHECK(strstr(s, "login_required: nobody &lt;b&gt;") != NULL);
	CHECK(strstr(s, "href=\"https://c.example/cb?error=a&amp;state=&quot;"
			"&gt;&lt;script&gt;\"") != NULL);
	CHECK(strstr(s, "<script") == NULL && strstr(s, "<form") == NULL);
	free(s);
	free(p.redirect_uri);
	free(p.error);
	free(p.description);
}

/* CONS-4, HDR-8. nosniff and HSTS are added to every reply elsewhere. */
static void
test_headers(void)
{
	struct json_buf b = {0};

	fake_request("GET /oauth/authorize HTTP/1.1", "");
	page_error(&b, PAGE_E_EXPIRED, "");
	page_reply(&rq, 400, "http://localhost:3118/callback", &b);
	CHECK(fake_header_is("Content-Security-Policy",
	    "default-src 'none'; style-src 'self'; form-action 'self' "
	    "http://localhost:3118; frame-ancestors 'none'; base-uri 'none'"));
	CHECK(fake_header_is("X-Frame-Options", "DENY"));
	CHECK(fake_header_is("Referrer-Policy", "same-origin"));
	CHECK(fake_header_is("Cache-Control", "no-store"));
	CHECK(got.status == 400 && b.p == NULL);
	fake_request("GET /oauth/authorize HTTP/1.1", "");
	page_error(&b, PAGE_E_EXPIRED, "");
	page_reply(&rq, 400, "https://x.example;script-src *", &b);
	CHECK(fake_header_is("Content-Security-Policy",
	    "default-src 'none'; style-src 'self'; form-action 'self'; "
	    "frame-ancestors 'none'; base-uri 'none'"));
	fake_request("GET /mcp HTTP/1.1", "");
	oauth_browser_page(&rq, "Bearer scope=\"mcp\"");
	CHECK(got.status == 401);
	CHECK(fake_header_is("WWW-Authenticate", "Bearer scope=\"mcp\""));
	CHECK(strstr(got.body, "https://gw.example/mcp") != NULL);
	fake_request("GET /oauth/style.css HTTP/1.1", "");
	oauth_style(&rq);
	CHECK(got.status == 200 && strstr(got.body, "url(") == NULL);
	CHECK(strncmp(style_url(), "/oauth/style.css?v=", 19) == 0);
}

/* ---- pages to look at ---- */

static void
save(const char *dir, const char *file, char *text)
{
	char path[1024], *p;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (text == NULL || (f = fopen(path, "w")) == NULL) {
		perror(path);
		exit(1);
	}
	/* Opened as a file, the sheet lies beside the page. */
	if ((p = strstr(text, style_url())) != NULL) {
		fwrite(text, 1, (size_t)(p - text), f);
		fputs("style.css", f);
		text = p + strlen(style_url());
	}
	fputs(text, f);
	fclose(f);
}

static void
save_error(const char *dir, const char *file, const char *error,
    const char *description)
{
	struct json_buf b = {0};
	char *s;

	page_error(&b, error, description);
	s = json_buf_take(&b, NULL);
	save(dir, file, s);
	free(s);
}

static void
save_page(const char *dir, const char *file,
    void (*page)(struct json_buf *, const struct a_page *),
    const struct a_page *p)
{
	char *s = render(page, p);

	save(dir, file, s);
	free(s);
}

static void
samples(const char *dir)
{
	struct json_buf b = {0};
	struct a_page p;
	char *s;

	fake_request("GET /oauth/style.css HTTP/1.1", "");
	oauth_style(&rq);
	save(dir, "style.css", got.body);
	page_init(&p);
	set(&p.client_name, "Claude Code");
	set(&p.client_id, "mgcl_7Q2Fh1mX0cUq3yVd9kR2Lw");
	set(&p.user, "owner");
	set(&p.scope, "mcp");
	set(&p.redirect_uri, "http://localhost:3118/callback");
	p.registered = (int64_t)time(NULL) - 5;
	p.device = 1;
	save_page(dir, "signin.html", page_signin, &p);
	save_page(dir, "consent-local.html", page_consent, &p);
	set(&p.notice, NOTICE_WRONG);
	save_page(dir, "signin-wrong.html", page_signin, &p);
	set(&p.notice, NOTICE_WAIT);
	p.retry_after = 40;
	save_page(dir, "signin-wait.html", page_signin, &p);
	set(&p.notice, "");
	p.no_password = 1;
	save_page(dir, "signin-first.html", page_signin, &p);
	p.no_password = 0;
	set(&p.client_name, "Cursor");
	set(&p.redirect_uri, "cursor://anysphere.cursor-mcp/oauth/callback");
	save_page(dir, "consent-scheme.html", page_consent, &p);
	p.device = 0;
	set(&p.client_name, "Claude");
	set(&p.redirect_uri, "https://claude.ai/api/mcp/auth_callback");
	p.registered = (int64_t)time(NULL) - 3 * 86400;
	p.approved = (int64_t)time(NULL) - 2 * 86400;
	save_page(dir, "consent-web.html", page_consent, &p);
	set(&p.client_name, "<b>A very long name that goes on and on and "
			    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d on</b>");
	set(&p.scope, "mcp reports offline_access");
	set(&p.redirect_uri,
	    "https://accounts.google.com.sign-in.a-very-long-"
	    "name-of-a-host.evil.example/oauth2/callback/with/a/long/path?and="
	    "a&query=that&does=not&end=1234567890123456789012345678901234567");
	save_page(dir, "consent-hostile.html", page_consent, &p);
	save_error(dir, "error-client.html", PAGE_E_CLIENT, "");
	save_error(dir, "error-redirect.html", PAGE_E_REDIRECT, "");
	save_error(dir, "error-expired.html", PAGE_E_EXPIRED, "");
	save_error(dir, "error-browser.html", PAGE_E_BROWSER, "");
	save_error(dir, "error-down.html", PAGE_E_DOWN, "");
	save_error(dir, "error-request.html", PAGE_E_REQUEST,
	    "a parameter came twice");
	page_paste(&b, worker_resource());
	s = json_buf_take(&b, NULL);
	save(dir, "paste.html", s);
	free(s);
	fake_worker("http://localhost:4444");
	page_paste(&b, worker_resource());
	s = json_buf_take(&b, NULL);
	save(dir, "paste-local.html", s);
	free(s);
}

int
main(int argc, char **argv)
{
	fake_worker("https://gw.example");
	test_escape();
	test_hostile();
	test_targets();
	test_location();
	test_consent();
	test_signin();
	test_errors();
	test_return();
	test_headers();
	if (argc == 2) {
		fake_worker("https://mcp.example.net");
		samples(argv[1]);
	}
	fake_reset();
	TEST_END();
}
