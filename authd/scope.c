/*
 * Scopes and resources of a request, judged by the slice.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"

#define DEFAULT_SCOPE "mcp"
#define DEFAULT_PATH  "/mcp"

static int has_word(const char *, const char *, size_t);
static void append(char **, const char *);
static int same_resource(const char *, const char *, const char *);

static int
has_word(const char *list, const char *word, size_t len)
{
	const char *p = list;
	size_t n;

	for (;;) {
		p += strspn(p, " ");
		if ((n = strcspn(p, " ")) == 0)
			return 0;
		if (n == len && memcmp(p, word, n) == 0)
			return 1;
		p += n;
	}
}

static void
append(char **list, const char *word)
{
	char *s;

	if (*list == NULL) {
		*list = xstrdup(word);
		return;
	}
	xasprintf(&s, "%s %s", *list, word);
	free(*list);
	*list = s;
}

char *
scope_known(const struct slice *sl, const char *asked)
{
	const struct kv *kv = sl->conf.scopes.p;
	char *out = NULL;
	uint32_t i;

	for (i = 0; i < sl->conf.scopes.n; i++)
		if (has_word(asked, kv[i].name, strlen(kv[i].name)))
			append(&out, kv[i].name);
	return out;
}

char *
scope_grant(const struct slice *sl, const char *asked)
{
	char *s = scope_known(sl, asked);

	return s != NULL ? s : xstrdup(DEFAULT_SCOPE);
}

int
scope_within(const char *a, const char *b)
{
	size_t n;

	for (;;) {
		a += strspn(a, " ");
		if ((n = strcspn(a, " ")) == 0)
			return 1;
		if (!has_word(b, a, n))
			return 0;
		a += n;
	}
}

/* Is given issuer + path? Scheme and host without regard to case, one
 * trailing slash tolerated. */
static int
same_resource(const char *given, const char *issuer, const char *path)
{
	size_t ilen = strlen(issuer), plen = strlen(path);

	if (strncasecmp(given, issuer, ilen) != 0)
		return 0;
	given += ilen;
	if (strncmp(given, path, plen) != 0)
		return 0;
	given += plen;
	return *given == '\0' || strcmp(given, "/") == 0;
}

static const char *
find_path(const struct slice *sl, const char *given)
{
	const char *issuer = sl->conf.issuer;
	uint32_t i;

	if (same_resource(given, issuer, "") ||
	    same_resource(given, issuer, DEFAULT_PATH))
		return DEFAULT_PATH;
	for (i = 0; i < sl->paths.n; i++)
		if (same_resource(given, issuer, sl->paths.v[i]))
			return sl->paths.v[i];
	return NULL;
}

char *
resource_judge(const struct slice *sl, const struct strv *given)
{
	const char *path = DEFAULT_PATH, *p;
	char *s;
	uint32_t i;

	for (i = 0; i < given->n; i++) {
		if ((p = find_path(sl, given->v[i])) == NULL)
			return NULL;
		if (i > 0 && strcmp(p, path) != 0)
			return NULL;
		path = p;
	}
	xasprintf(&s, "%s%s", sl->conf.issuer, path);
	return s;
}
