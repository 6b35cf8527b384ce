/*
 * The pages of the authorization server: sign-in, consent, errors, and what a
 * browser sees at an MCP endpoint. No script, no image, nothing from
 * elsewhere. The host that will get the code is the biggest thing on the
 * consent page; every warning says what to do.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "compat.h"
#include "oauth.h"
#include "oauth_util.h"
#include "page.h"
#include "request.h"
#include "utf8.h"
#include "worker.h"

#define BACKENDS_SHOWN 8
/* Unquoted, since values are escaped. */
#define ATTR_FOCUS " autofocus"
#define ATTR_ERROR " aria-describedby=notice aria-invalid=true"

static void escape(struct json_buf *, const char *);
static int invisible(const char *, size_t);
static void form_begin(struct json_buf *, const struct a_page *);
static void notice(struct json_buf *, const struct a_page *);
static void duration(char *, size_t, int64_t);
static void ago(struct json_buf *, int64_t);
static void name(struct json_buf *, const struct a_page *);
static void target(struct json_buf *, const struct target *, const char *);
static void caution(
    struct json_buf *, const struct a_page *, const struct target *);
static void may(struct json_buf *, const char *);
static void scope(struct json_buf *, const char *);
static void backends(struct json_buf *);
static void facts(struct json_buf *, const struct a_page *);
static void forget(struct json_buf *);

/* How each client is made to drop a registration it has kept. */
static const struct {
	const char *client;
	const char *how;
} forgets[] = {
    {"Claude Code",
	"Type <code>/mcp</code>, choose this server, then \xe2\x80\x9c"
	"Clear authentication\xe2\x80\x9d and \xe2\x80\x9c"
	"Authenticate\xe2\x80\x9d."},
    {"claude.ai and Claude Desktop",
	"Settings, Connectors: remove the connector and add it again."},
    {"ChatGPT",
	"Settings, Connectors (or Apps): delete the connector and create it "
	"again."},
    {"VS Code",
	"Command Palette: \xe2\x80\x9c"
	"Authentication: Remove Dynamic Authentication Providers\xe2\x80\x9d, "
	"choose this address, then restart the server."},
    {"Cursor", "Command Palette: \xe2\x80\x9c"
	       "Clear All MCP Tokens\xe2\x80\x9d, then connect again."},
    {"mcp-remote",
	"Delete the folder <code>~/.mcp-auth</code> and start it again."},
    {"Anything else", "Remove this server from the app and add it again."},
};

static const struct {
	const char *error;
	const char *title;
	const char *text;
	int stale; /* the client keeps something that has to go */
} errors[] = {
    {PAGE_E_CLIENT, "This app is not registered here",
	"It uses a registration that this gateway does not know, or has "
	"dropped because it was not used. Nothing was shared. Make the app "
	"forget the old registration and connect again:",
	1},
    {PAGE_E_REDIRECT, "The app gave an address it has not registered",
	"It asked to send you somewhere it never announced, so you were not "
	"sent there and nothing was shared. If you trust the app, make it "
	"register again:",
	1},
    {PAGE_E_EXPIRED, "This page has expired",
	"Nothing was shared. Go back to the app and connect again.", 0},
    {PAGE_E_BROWSER, "This sign-in was not started here",
	"It belongs to another browser, or this browser does not keep "
	"cookies for this address. Nothing was shared. Go back to the app and "
	"connect again, in this browser.",
	0},
    {PAGE_E_DOWN, "Sign-in is not available right now",
	"Nothing is wrong with the app or your password. Wait a few seconds "
	"and reload this page.",
	0},
    {PAGE_E_REQUEST, "The app sent a request that cannot be used",
	"Nothing was shared. Going back and trying again seldom helps; the "
	"app's makers can use this:",
	0},
};

/* ---- text ---- */

void
page_put(struct json_buf *b, const char *fmt, ...)
{
	const char *p;
	va_list ap;

	va_start(ap, fmt);
	while ((p = strstr(fmt, "%s")) != NULL) {
		json_put(b, fmt, (size_t)(p - fmt));
		escape(b, va_arg(ap, const char *));
		fmt = p + 2;
	}
	va_end(ap);
	json_puts(b, fmt);
}

static void
escape(struct json_buf *b, const char *s)
{
	size_t n, len = strlen(s);

	for (; len > 0; s += n, len -= n) {
		n = utf8_seq(s, len);
		if (n == 0 || invisible(s, n)) {
			json_puts(b, "\xef\xbf\xbd");
			n = n == 0 ? 1 : n;
		} else if (*s == '&')
			json_puts(b, "&amp;");
		else if (*s == '<')
			json_puts(b, "&lt;");
		else if (*s == '>')
			json_puts(b, "&gt;");
		else if (*s == '"')
			json_puts(b, "&quot;");
		else if (*s == '\'')
			json_puts(b, "&#39;");
		else
			json_put(b, s, n);
	}
}

/* Control characters, zero-width ones and those that turn the direction of
 * writing: a name must not be able to look like another. */
static int
invisible(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;

	if (n == 1)
		return u[0] < 0x20 || u[0] == 0x7f;
	if (n == 2)
		return (u[0] == 0xc2 && u[1] < 0xa0) ||
		       (u[0] == 0xc2 && u[1] == 0xad) ||
		       (u[0] == 0xd8 && u[1] == 0x9c);
	if (n == 3 && u[0] == 0xe2 && u[1] == 0x80)
		return (u[2] >= 0x8b && u[2] <= 0x8f) ||
		       (u[2] >= 0xa8 && u[2] <= 0xae);
	if (n == 3 && u[0] == 0xe2 && u[1] == 0x81)
		return u[2] >= 0xa0 && u[2] <= 0xaf;
	if (n == 3)
		return memcmp(u, "\xef\xbb\xbf", 3) == 0;
	return u[0] == 0xf3 && u[1] == 0xa0; /* tags and selectors */
}

/* "40 seconds", rounded so that it reads well. */
static void
duration(char *dst, size_t size, int64_t s)
{
	const char *unit = "second";

	if (s >= 172800) {
		s /= 86400;
		unit = "day";
	} else if (s >= 7200) {
		s /= 3600;
		unit = "hour";
	} else if (s >= 120) {
		s /= 60;
		unit = "minute";
	}
	snprintf(dst, size, "%" PRId64 " %s%s", s, unit, s == 1 ? "" : "s");
}

static void
ago(struct json_buf *b, int64_t when)
{
	int64_t s = (int64_t)time(NULL) - when;
	char text[48];

	if (s < 90) {
		json_puts(b, "just now");
		return;
	}
	duration(text, sizeof(text), s);
	page_put(b, "%s ago", text);
}

/* ---- around every page ---- */

void
page_begin(struct json_buf *b, const char *title, const char *user)
{
	page_put(b,
	    "<!doctype html>\n<html lang=\"en\">\n<head>\n"
	    "<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" "
	    "content=\"width=device-width,initial-scale=1\">\n"
	    "<meta name=\"robots\" content=\"noindex\">\n"
	    "<title>%s \xc2\xb7 %s</title>\n"
	    "<link rel=\"stylesheet\" href=\"%s\">\n</head>\n<body>\n<main>\n"
	    "<p class=\"gate\"><b>%s</b>",
	    title, oauth_host(), style_url(), oauth_host());
	if (user[0] != '\0')
		page_put(b, " \xc2\xb7 signed in as <bdi>%s</bdi>", user);
	json_puts(b, "</p>\n<div class=\"card\">\n");
}

void
page_end(struct json_buf *b)
{
	json_puts(b, "</div>\n</main>\n</body>\n</html>\n");
}

void
page_reply(struct request *rq, int status, const char *redirect_uri,
    struct json_buf *b)
{
	char csp[512], source[400];
	struct target t;

	source[0] = '\0';
	if (redirect_uri != NULL &&
	    (target_parse(&t, redirect_uri) == -1 ||
		target_source(&t, source, sizeof(source)) == -1))
		source[0] = '\0';
	snprintf(csp, sizeof(csp),
	    "default-src 'none'; style-src 'self'; form-action 'self'%s%s; "
	    "frame-ancestors 'none'; base-uri 'none'",
	    source[0] == '\0' ? "" : " ", source);
	reply_header(rq, "Content-Security-Policy", csp);
	reply_header(rq, "X-Frame-Options", "DENY");
	/* no-referrer would make the Origin of our own forms null. */
	reply_header(rq, "Referrer-Policy", "same-origin");
	reply_header(rq, "Cache-Control", "no-store");
	if (b->err)
		reply_unavailable(rq, 1);
	else
		reply(rq, status, "text/html; charset=utf-8", b->p, b->len);
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	json_buf_free(b);
}

static void
form_begin(struct json_buf *b, const struct a_page *p)
{
	page_put(b,
	    "<form method=\"post\" action=\"/oauth/authorize\">\n"
	    "<input type=\"hidden\" name=\"txn\" value=\"%s\">\n"
	    "<input type=\"hidden\" name=\"csrf\" value=\"%s\">\n",
	    p->txn, p->csrf);
}

static void
name(struct json_buf *b, const struct a_page *p)
{
	if (p->client_name[0] == '\0')
		json_puts(b, "a program without a name");
	else
		page_put(
		    b, "\xe2\x80\x9c<bdi>%s</bdi>\xe2\x80\x9d", p->client_name);
}

/* ---- sign-in ---- */

void
page_signin(struct json_buf *b, const struct a_page *p)
{
	struct target t;

	page_begin(b, "Sign in", "");
	json_puts(b, "<h1>Sign in to connect ");
	name(b, p);
	json_puts(b, "</h1>\n<p class=\"soft\">You will see what it asks for "
		     "before anything is shared.");
	if (target_parse(&t, p->redirect_uri) == 0 && t.web)
		page_put(b, " Afterwards it takes you to <b>%s</b>.", t.host);
	json_puts(b, "</p>\n");
	if (p->no_password) {
		page_put(b,
		    "<p class=\"warn\">No password has been set yet. On the "
		    "machine that runs this gateway, type:</p>\n"
		    "<code class=\"copy\">mcpgwctl user passwd %s</code>\n"
		    "<div class=\"row\"><a class=\"button go\" "
		    "href=\"/oauth/authorize?txn=%s\">I have set one</a>"
		    "</div>\n",
		    p->user[0] == '\0' ? "owner" : p->user, p->txn);
		page_end(b);
		return;
	}
	notice(b, p);
	form_begin(b, p);
	page_put(b,
	    "<label for=\"user\">Name</label>\n"
	    "<input id=\"user\" type=\"text\" name=\"user\" value=\"%s\" "
	    "autocomplete=\"username\" autocapitalize=\"none\" "
	    "autocorrect=\"off\" spellcheck=\"false\" maxlength=\"128\" "
	    "required%s>\n"
	    "<label for=\"password\">Password</label>\n"
	    "<input id=\"password\" type=\"password\" name=\"password\" "
	    "autocomplete=\"current-password\" maxlength=\"512\" required%s%s>"
	    "\n<div class=\"row\"><button class=\"go\" name=\"decision\" "
	    "value=\"signin\">Sign in</button></div>\n</form>\n",
	    p->user, p->user[0] == '\0' ? ATTR_FOCUS : "",
	    p->user[0] == '\0' ? "" : ATTR_FOCUS,
	    p->notice[0] == '\0' ? "" : ATTR_ERROR);
	page_end(b);
}

static void
notice(struct json_buf *b, const struct a_page *p)
{
	char wait[48];

	if (p->notice[0] == '\0')
		return;
	json_puts(b, "<p class=\"error\" role=\"alert\" id=\"notice\">");
	if (strcmp(p->notice, NOTICE_WRONG) == 0)
		json_puts(b, "That name and password do not match.");
	else if (strcmp(p->notice, NOTICE_WAIT) == 0) {
		duration(wait, sizeof(wait),
		    p->retry_after == 0 ? 1 : p->retry_after);
		page_put(b, "Too many tries. Wait %s, then try again.", wait);
	} else
		json_puts(b, "Too many people are signing in at this moment. "
			     "Wait a few seconds, then try again.");
	json_puts(b, "</p>\n");
}

/* ---- consent ---- */

void
page_consent(struct json_buf *b, const struct a_page *p)
{
	struct target t;

	page_begin(b, "Allow access?", p->user);
	json_puts(b, "<h1>Allow ");
	name(b, p);
	json_puts(b, " to use your tools?</h1>\n");
	if (target_parse(&t, p->redirect_uri) == -1)
		memset(&t, 0, sizeof(t));
	target(b, &t, p->redirect_uri);
	caution(b, p, &t);
	may(b, p->scope);
	facts(b, p);
	form_begin(b, p);
	json_puts(b,
	    "<div class=\"row\"><button name=\"decision\" value=\"deny\">"
	    "Cancel</button><button class=\"go\" name=\"decision\" "
	    "value=\"approve\">Allow</button></div>\n</form>\n");
	page_end(b);
}

static void
target(struct json_buf *b, const struct target *t, const char *uri)
{
	page_put(b,
	    "<div class=\"to\">\n<p class=\"soft\">%s</p>\n"
	    "<p class=\"host\">%s%s</p>\n<p class=\"uri\">%s</p>\n</div>\n",
	    t->web ? "Allow sends you to" : "Allow opens the app behind",
	    t->web         ? t->host
	    : t->scheme[0] ? t->scheme
			   : uri,
	    t->web || !t->scheme[0] ? "" : "://", uri);
}

static void
caution(struct json_buf *b, const struct a_page *p, const struct target *t)
{
	if (p->device && t->web)
		json_puts(b,
		    "<p class=\"warn\">This program runs on the device in "
		    "front of you. Continue only if you started it yourself a "
		    "moment ago: any program on this device could ask like "
		    "this.</p>\n");
	else if (p->device)
		page_put(b,
		    "<p class=\"warn\">Your device decides which app opens "
		    "<b>%s</b> addresses. Continue only if you started this "
		    "in that app yourself a moment ago: any app on this "
		    "device could ask like this.</p>\n",
		    t->scheme);
	else if (strcmp(t->scheme, "http") == 0)
		page_put(b,
		    "<p class=\"warn\">The way to <b>%s</b> is not encrypted. "
		    "Continue only on a network you trust, and only if you "
		    "started this there yourself a moment ago.</p>\n",
		    t->host);
	else
		page_put(b,
		    "<p class=\"soft\">Continue only if you started this at "
		    "<b>%s</b> yourself. If somebody sent you a link to this "
		    "page, choose Cancel.</p>\n",
		    t->web ? t->host : p->redirect_uri);
}

static void
may(struct json_buf *b, const char *scopes)
{
	char word[64];
	size_t n;

	json_puts(b, "<h2>It will be able to</h2>\n<ul class=\"may\">\n");
	for (; *scopes != '\0'; scopes += n) {
		scopes += strspn(scopes, " ");
		n = strcspn(scopes, " ");
		if (n == 0 || n >= sizeof(word))
			continue;
		memcpy(word, scopes, n);
		word[n] = '\0';
		scope(b, word);
	}
	json_puts(b, "<li>stay connected until you disconnect it</li>\n"
		     "</ul>\n");
}

static void
scope(struct json_buf *b, const char *word)
{
	const struct kv *s = worker.conf.scopes.p;
	const char *text = word;
	uint32_t i;

	/* That is the last line, whether or not it was asked for. */
	if (strcmp(word, "offline_access") == 0)
		return;
	if (strcmp(word, "mcp") == 0)
		text = "use the tools";
	for (i = 0; i < worker.conf.scopes.n; i++)
		if (strcmp(s[i].name, word) == 0 && s[i].value[0] != '\0')
			text = s[i].value;
	page_put(b, "<li>%s", text);
	if (strcmp(word, "mcp") == 0)
		backends(b);
	json_puts(b, "</li>\n");
}

/* Of the endpoint that clients are given by default, or else all. */
static void
backends(struct json_buf *b)
{
	struct endpoint *ep = worker_endpoint("/mcp", 4);
	struct backend **v = ep == NULL ? worker.backend : ep->backend;
	size_t n = ep == NULL ? worker.nbackend : ep->nbackend, i;
	size_t shown = n > BACKENDS_SHOWN + 1 ? BACKENDS_SHOWN : n;
	char more[32];

	if (n == 0)
		return;
	json_puts(b, "<small>");
	for (i = 0; i < shown; i++)
		page_put(b, "%s%s",
		    i == 0                ? ""
		    : i + 1 == n && n > 1 ? " and "
					  : ", ",
		    v[i]->conf.name);
	if (shown < n) {
		snprintf(more, sizeof(more), "%zu", n - shown);
		page_put(b, " and %s more", more);
	}
	json_puts(b, "</small>");
}

static void
facts(struct json_buf *b, const struct a_page *p)
{
	json_puts(b, "<dl>\n<div><dt>Registered</dt><dd>");
	ago(b, p->registered);
	json_puts(b, ", under a name of its choice</dd></div>\n"
		     "<div><dt>Last allowed</dt><dd>");
	if (p->approved > 0)
		ago(b, p->approved);
	else
		json_puts(b, "never");
	page_put(b,
	    "</dd></div>\n<div><dt>Client</dt><dd><code>%s</code></dd>"
	    "</div>\n</dl>\n",
	    p->client_id);
}

/* ---- errors, and a browser at an MCP endpoint ---- */

void
page_error(struct json_buf *b, const char *error, const char *description)
{
	size_t i, n = sizeof(errors) / sizeof(errors[0]);

	for (i = 0; i < n - 1; i++)
		if (strcmp(errors[i].error, error) == 0)
			break;
	page_begin(b, errors[i].title, "");
	page_put(
	    b, "<h1>%s</h1>\n<p>%s</p>\n", errors[i].title, errors[i].text);
	if (i == n - 1)
		page_put(b, "<code class=\"copy\">invalid_request%s%s</code>\n",
		    description[0] == '\0' ? "" : ": ", description);
	else if (description[0] != '\0')
		page_put(b, "<p class=\"soft\">%s</p>\n", description);
	if (errors[i].stale)
		forget(b);
	page_end(b);
}

/* What anybody can make this server say must lead nowhere by itself. */
void
page_return(struct json_buf *b, const struct a_page *p, const char *to)
{
	static const char title[] =
	    "The app sent a request that cannot be used";
	struct target t;

	if (target_parse(&t, p->redirect_uri) == -1)
		memset(&t, 0, sizeof(t));
	page_begin(b, title, "");
	page_put(b,
	    "<h1>%s</h1>\n<p>Nothing was shared, and you have not been sent "
	    "back to the app, because nobody has connected it here before. If "
	    "somebody sent you a link to this page, close it.</p>\n"
	    "<code class=\"copy\">%s: %s</code>\n"
	    "<div class=\"to\">\n<p class=\"soft\">It says it is at</p>\n"
	    "<p class=\"host\">%s</p>\n<p class=\"uri\">%s</p>\n</div>\n"
	    "<div class=\"row\"><a class=\"button\" rel=\"noreferrer\" "
	    "href=\"%s\">Go to %s</a></div>\n",
	    title, p->error, p->description, t.host, p->redirect_uri, to,
	    t.host);
	page_end(b);
}

static void
forget(struct json_buf *b)
{
	size_t i;

	json_puts(b, "<dl class=\"how\">\n");
	for (i = 0; i < sizeof(forgets) / sizeof(forgets[0]); i++) {
		page_put(b, "<div><dt>%s</dt><dd>", forgets[i].client);
		json_puts(b, forgets[i].how);
		json_puts(b, "</dd></div>\n");
	}
	json_puts(b, "</dl>\n");
}

void
page_paste(struct json_buf *b, const char *address)
{
	page_begin(b, "MCP address", "");
	page_put(b,
	    "<h1>This address is for apps, not for browsers</h1>\n"
	    "<p>Paste it where your app asks for an MCP server. The app then "
	    "opens a page here, where you sign in.</p>\n"
	    "<code class=\"copy big\">%s</code>\n",
	    address);
	if (worker.issuer_loopback)
		json_puts(b,
		    "<p class=\"warn\">Only programs on this computer reach "
		    "it. claude.ai and ChatGPT need a public https address: "
		    "set <code>issuer</code> to one that leads here.</p>\n");
	page_put(b,
	    "<dl class=\"how\">\n"
	    "<div><dt>Claude Code</dt><dd><code class=\"copy\">claude mcp add "
	    "--transport http tools %s</code></dd></div>\n",
	    address);
	if (!worker.issuer_loopback)
		json_puts(b,
		    "<div><dt>claude.ai and Claude Desktop</dt><dd>Settings, "
		    "Connectors, Add custom connector</dd></div>\n"
		    "<div><dt>ChatGPT</dt><dd>Settings, Connectors (or Apps), "
		    "Create</dd></div>\n");
	json_puts(b,
	    "<div><dt>VS Code</dt><dd>Command Palette: MCP: Add Server, HTTP"
	    "</dd></div>\n"
	    "<div><dt>Cursor</dt><dd>Settings, MCP, New MCP server</dd></div>"
	    "\n</dl>\n");
	page_end(b);
}

void
oauth_browser_page(struct request *rq, const char *challenge)
{
	const char *path = "/mcp", *base;
	struct json_buf b = {0};
	char host[300], *address;

	if (rq->endpoint != NULL)
		path = rq->endpoint->conf.path;
	base = oauth_base(rq, host, sizeof(host));
	reply_header(rq, "WWW-Authenticate", challenge);
	if (asprintf(&address, "%s%s", base, path) == -1) {
		reply_unavailable(rq, 1);
		return;
	}
	page_paste(&b, address);
	free(address);
	page_reply(rq, 401, NULL, &b);
}
