/*
 * Forms, queries, cookies and percent-encoding: what was decoded is UTF-8
 * without NUL, is said again by encoding it, and no name is there twice.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../worker/form.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void forms(const char *, size_t);
static void codec(const char *, size_t);
static void cookies(const char *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	forms((const char *)data, len);
	codec((const char *)data, len);
	cookies((const char *)data, len);
	return 0;
}

static void
forms(const char *p, size_t len)
{
	struct form f;
	struct strv v;
	const char *s;
	size_t i, j;
	int r;

	if ((r = form_parse(&f, p, len)) != 0) {
		if (r != FORM_BAD && r != FORM_TWICE)
			abort();
		return;
	}
	if (f.n > FORM_MAX_PARAMS)
		abort();
	for (i = 0; i < f.n; i++) {
		if (!utf8_valid(f.p[i].name, strlen(f.p[i].name)) ||
		    !utf8_valid(f.p[i].value, strlen(f.p[i].value)))
			abort();
		s = form_get(&f, f.p[i].name);
		if (strcmp(f.p[i].name, "resource") == 0)
			continue;
		if (s != NULL ? s != f.p[i].value : f.p[i].value[0] != '\0')
			abort();
		for (j = 0; j < i; j++)
			if (strcmp(f.p[i].name, f.p[j].name) == 0)
				abort();
	}
	if (form_resources(&f, &v) == 0)
		strv_free(&v);
	form_free(&f);
}

static void
codec(const char *p, size_t len)
{
	char *s, *dst, *back;
	size_t size;

	if ((s = form_decode(p, len)) == NULL)
		return;
	size = 3 * strlen(s) + 1;
	if ((dst = malloc(size)) == NULL)
		abort();
	dst[0] = '\0';
	if (form_encode(dst, size, s) == -1 ||
	    (back = form_decode(dst, strlen(dst))) == NULL ||
	    strcmp(back, s) != 0)
		abort();
	free(back);
	free(dst);
	free(s);
}

static void
cookies(const char *p, size_t len)
{
	struct span h = {p, len}, v;

	v = cookie_get(&h, "sid");
	if (v.p == NULL) {
		if (v.len != 0)
			abort();
		return;
	}
	if (v.p < p + 4 || v.len > len || (size_t)(v.p - p) > len - v.len ||
	    memcmp(v.p - 4, "sid=", 4) != 0 || memchr(v.p, ';', v.len) != NULL)
		abort();
}
