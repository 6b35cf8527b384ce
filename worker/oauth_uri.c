/*
 * Redirect URIs once authd has accepted them: taken apart for the pages, and
 * put together for the authorization response. What authd accepts is checked
 * again as far as a header or a policy could be broken by it.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compat.h"
#include "form.h"
#include "page.h"

static int plain(const char *);
static int authority(struct target *, const char *, size_t);
static int host_ok(const char *);
static void append(char *, size_t, const char **, const char *, const char *);

int
target_parse(struct target *t, const char *uri)
{
	size_t n = strcspn(uri, ":"), i;

	memset(t, 0, sizeof(*t));
	if (!plain(uri) || uri[n] != ':' || n == 0 || n >= sizeof(t->scheme) ||
	    !isalpha((unsigned char)uri[0]))
		return -1;
	for (i = 0; i < n; i++) {
		if (!isalnum((unsigned char)uri[i]) &&
		    strchr("+-.", uri[i]) == NULL)
			return -1;
		t->scheme[i] = (char)tolower((unsigned char)uri[i]);
	}
	t->web =
	    strcmp(t->scheme, "https") == 0 || strcmp(t->scheme, "http") == 0;
	if (!t->web)
		return 0;
	if (strncmp(uri + n, "://", 3) != 0)
		return -1;
	return authority(t, uri + n + 3, strcspn(uri + n + 3, "/?#"));
}

/* Printable ASCII without what would end an attribute, a header or a source
 * expression, and without a fragment. */
static int
plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f || strchr("\"'<>\\#", *s) != NULL)
			return 0;
	return 1;
}

static int
authority(struct target *t, const char *p, size_t len)
{
	const char *colon = NULL;
	size_t n = len, i;

	if (memchr(p, '@', len) != NULL)
		return -1;
	if (len > 0 && p[0] == '[') {
		if ((colon = memchr(p, ']', len)) == NULL)
			return -1;
		n = (size_t)(colon - p) + 1;
	} else if ((colon = memchr(p, ':', len)) != NULL)
		n = (size_t)(colon - p);
	if (n == 0 || n >= sizeof(t->host) || len - n >= sizeof(t->port))
		return -1;
	memcpy(t->host, p, n);
	memcpy(t->port, p + n, len - n);
	for (i = 0; t->port[i] != '\0'; i++)
		if (i == 0 ? t->port[i] != ':'
			   : !isdigit((unsigned char)t->port[i]))
			return -1;
	t->loopback = strcasecmp(t->host, "localhost") == 0 ||
		      strcmp(t->host, "127.0.0.1") == 0 ||
		      strcmp(t->host, "[::1]") == 0;
	return host_ok(t->host) ? 0 : -1;
}

static int
host_ok(const char *s)
{
	int v6 = s[0] == '[';

	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && *s != '-' && *s != '.' &&
		    *s != '_' && !(v6 && strchr("[]:", *s) != NULL))
			return 0;
	return 1;
}

int
target_source(const struct target *t, char *dst, size_t dstsize)
{
	int n;

	/* A source expression has no form for an IPv6 address (CSP 3, 2.3.1),
	 * so the scheme has to do. */
	if (!t->web || t->host[0] == '[')
		n = snprintf(dst, dstsize, "%s:", t->scheme);
	else
		n = snprintf(
		    dst, dstsize, "%s://%s%s", t->scheme, t->host, t->port);
	return n < 0 || (size_t)n >= dstsize ? -1 : 0;
}

char *
target_location(const struct a_page *p, const char *issuer)
{
	const char *uri = p->redirect_uri, *sep = "?";
	struct target t;
	size_t len, size;
	char *s;

	if (target_parse(&t, uri) == -1)
		return NULL;
	len = strlen(uri);
	if (strchr(uri, '?') != NULL)
		sep = uri[len - 1] == '?' || uri[len - 1] == '&' ? "" : "&";
	size =
	    len + 80 +
	    3 * (strlen(p->code) + strlen(p->error) + strlen(p->description) +
		    strlen(p->state) + strlen(issuer));
	if ((s = malloc(size)) == NULL)
		return NULL;
	strlcpy(s, uri, size);
	if (p->error[0] != '\0') {
		append(s, size, &sep, "error=", p->error);
		append(s, size, &sep, "error_description=", p->description);
	} else
		append(s, size, &sep, "code=", p->code);
	append(s, size, &sep, "state=", p->state);
	append(s, size, &sep, "iss=", issuer);
	return s;
}

/* size has been counted for the worst case. */
static void
append(
    char *s, size_t size, const char **sep, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	strlcat(s, *sep, size);
	strlcat(s, name, size);
	(void)form_encode(s, size, value);
	*sep = "&";
}
