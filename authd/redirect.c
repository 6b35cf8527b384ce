/*
 * Which redirect URIs may be registered, and which one of a request is a
 * registered one. Pure functions on bytes: nothing is normalised, ever.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "authd.h"
#include "compat.h"

#define URI_MAX 2048

struct uri {
	const char *scheme, *host, *port, *rest;
	size_t schemelen, hostlen, portlen;
	int authority; /* "//" follows the scheme */
	int userinfo;
};

static int uri_split(const char *, struct uri *);
static int host_ok(const struct uri *);

static int
is_scheme(const struct uri *u, const char *s)
{
	return u->schemelen == strlen(s) &&
	       strncasecmp(u->scheme, s, u->schemelen) == 0;
}

static int
host_is(const struct uri *u, const char *s)
{
	return u->hostlen == strlen(s) &&
	       strncasecmp(u->host, s, u->hostlen) == 0;
}

static int
host_is_loopback(const struct uri *u)
{
	return host_is(u, "127.0.0.1") || host_is(u, "[::1]") ||
	       host_is(u, "localhost");
}

static void
split_authority(const char *p, size_t len, struct uri *u)
{
	const char *end = p + len, *at, *colon;

	if ((at = memrchr(p, '@', len)) != NULL) {
		u->userinfo = 1;
		p = at + 1;
	}
	u->host = p;
	if (p < end && *p == '[') {
		colon = memchr(p, ']', end - p);
		colon = colon != NULL ? colon + 1 : end;
	} else if ((colon = memchr(p, ':', end - p)) == NULL) {
		colon = end;
	}
	u->hostlen = colon - p;
	u->port = colon;
	u->portlen = end - colon;
}

/* Splits; -1 if it holds anything but visible ASCII, or has no scheme. */
static int
uri_split(const char *s, struct uri *u)
{
	size_t len = strlen(s), i;

	memset(u, 0, sizeof(*u));
	if (len == 0 || len > URI_MAX)
		return -1;
	for (i = 0; i < len; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7f || strchr("\"<>\\^`{|}", s[i]))
			return -1;
	if (!isalpha((unsigned char)s[0]))
		return -1;
	for (i = 1; s[i] != ':'; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    (s[i] == '\0' || strchr("+-.", s[i]) == NULL))
			return -1;
	u->scheme = s;
	u->schemelen = i;
	u->rest = s + i + 1;
	if (strncmp(u->rest, "//", 2) == 0) {
		u->authority = 1;
		len = strcspn(u->rest + 2, "/?#");
		split_authority(u->rest + 2, len, u);
		u->rest += 2 + len;
	}
	return 0;
}

static int
host_ok(const struct uri *u)
{
	size_t i;

	if (u->hostlen == 0 || u->host[0] == '.' || u->host[0] == '-')
		return 0;
	if (u->host[0] == '[') {
		if (u->hostlen < 4 || u->host[u->hostlen - 1] != ']')
			return 0;
		for (i = 1; i + 1 < u->hostlen; i++)
			if (!isxdigit((unsigned char)u->host[i]) &&
			    u->host[i] != ':' && u->host[i] != '.')
				return 0;
	} else {
		for (i = 0; i < u->hostlen; i++)
			if (!isalnum((unsigned char)u->host[i]) &&
			    strchr("-._", u->host[i]) == NULL)
				return 0;
	}
	if (u->portlen == 0)
		return 1;
	if (u->port[0] != ':' || u->portlen < 2 || u->portlen > 6)
		return 0;
	for (i = 1; i < u->portlen; i++)
		if (!isdigit((unsigned char)u->port[i]))
			return 0;
	return 1;
}

static int
in_list(const struct strv *list, const char *p, size_t len)
{
	uint32_t i;

	for (i = 0; i < list->n; i++)
		if (strlen(list->v[i]) == len &&
		    strncasecmp(list->v[i], p, len) == 0)
			return 1;
	return 0;
}

/* Schemes that run or show what follows them, whatever a config says. */
static int
is_dangerous(const struct uri *u)
{
	static const char *const never[] = {"javascript", "data", "file",
	    "vbscript", "blob", "about", "view-source", "filesystem", "ftp",
	    "ws", "wss", "jar", "intent", "mailto", "tel", "sms"};
	size_t i;

	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (is_scheme(u, never[i]))
			return 1;
	return 0;
}

int
redirect_allowed(
    const char *uri, const struct strv *schemes, const struct strv *http_hosts)
{
	struct uri u;

	if (uri_split(uri, &u) == -1 || strpbrk(uri, "#*") != NULL ||
	    u.userinfo || is_dangerous(&u))
		return 0;
	if (is_scheme(&u, "https"))
		return u.authority && host_ok(&u);
	if (is_scheme(&u, "http"))
		return u.authority && host_ok(&u) &&
		       (host_is_loopback(&u) ||
			   in_list(http_hosts, u.host, u.hostlen));
	return memchr(u.scheme, '.', u.schemelen) != NULL ||
	       in_list(schemes, u.scheme, u.schemelen);
}

int
redirect_match(const char *registered, const char *given)
{
	struct uri r, g;

	if (strcmp(registered, given) == 0)
		return 1;
	if (uri_split(registered, &r) == -1 || uri_split(given, &g) == -1)
		return 0;
	if (!r.authority || !g.authority || r.userinfo || g.userinfo)
		return 0;
	if (!is_scheme(&r, "http") || !host_is_loopback(&r) || !host_ok(&g))
		return 0;
	/* Only the port may differ: up to it and after it the same bytes. */
	if (r.port - r.scheme != g.port - g.scheme ||
	    strncmp(r.scheme, g.scheme, r.port - r.scheme) != 0)
		return 0;
	if (g.portlen > 0) {
		long long port;
		char digits[8];

		memcpy(digits, g.port + 1, g.portlen - 1);
		digits[g.portlen - 1] = '\0';
		port = strtonum(digits, 1, 65535, NULL);
		if (port == 0)
			return 0;
	}
	return strcmp(r.rest, g.rest) == 0;
}

int
redirect_on_device(const char *uri)
{
	struct uri u;

	if (uri_split(uri, &u) == -1)
		return 0;
	if (is_scheme(&u, "https"))
		return 0;
	return is_scheme(&u, "http") ? host_is_loopback(&u) : 1;
}

void
redirect_site(const char *uri, char *dst, size_t size)
{
	struct uri u;
	size_t n;

	if (uri_split(uri, &u) == -1) {
		strlcpy(dst, uri, size);
		return;
	}
	n = u.schemelen + 1;
	if (u.authority)
		n = u.host + u.hostlen - u.scheme +
		    (host_is_loopback(&u) ? 0 : u.portlen);
	snprintf(dst, size, "%.*s", (int)n, u.scheme);
}
