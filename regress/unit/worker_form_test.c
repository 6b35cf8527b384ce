/*
 * Form bodies, queries, percent-encoding and cookies.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/form.h"
#include "test.h"

#define S(s) s, sizeof(s) - 1

static int parse(struct form *, const char *, size_t);
static void test_parse(void);
static void test_bad(void);
static void test_codec(void);
static void test_cookies(void);

int
main(void)
{
	test_parse();
	test_bad();
	test_codec();
	test_cookies();
	TEST_END();
}

/* From a buffer of exactly len bytes, so that a sanitizer sees one more. */
static int
parse(struct form *f, const char *p, size_t len)
{
	char *copy;
	int r;

	if ((copy = malloc(len ? len : 1)) == NULL)
		exit(1);
	memcpy(copy, p, len);
	r = form_parse(f, copy, len);
	free(copy);
	return r;
}

static void
test_parse(void)
{
	struct form f;
	struct strv v;

	CHECK(parse(&f, S("")) == 0 && f.n == 0);
	CHECK(form_get(&f, "a") == NULL);
	form_free(&f);
	CHECK(parse(&f, S("&&a=1&&b&c=&d=x%20y+z%2B&e=a=b&&")) == 0);
	CHECK(f.n == 5);
	CHECK(strcmp(form_get(&f, "a"), "1") == 0);
	CHECK(form_get(&f, "b") == NULL && form_get(&f, "c") == NULL);
	CHECK(strcmp(form_get(&f, "d"), "x y z+") == 0);
	CHECK(strcmp(form_get(&f, "e"), "a=b") == 0);
	CHECK(form_resources(&f, &v) == 0 && v.n == 0);
	strv_free(&v);
	form_free(&f);
	form_free(&f);

	CHECK(parse(&f, S("resource=https%3A%2F%2Fa%2Fmcp&client_id=x&"
			  "resource=b&resource=")) == 0);
	CHECK(form_resources(&f, &v) == 0 && v.n == 2);
	CHECK(v.n == 2 && strcmp(v.v[0], "https://a/mcp") == 0 &&
	      strcmp(v.v[1], "b") == 0);
	strv_free(&v);
	form_free(&f);

	CHECK(parse(&f, S("n%61me=%C3%A9")) == 0);
	CHECK(strcmp(form_get(&f, "name"), "\xc3\xa9") == 0);
	form_free(&f);
	CHECK(parse(&f, S("=x")) == 0 && f.n == 1);
	form_free(&f);
}

static void
test_bad(void)
{
	char many[1024];
	struct form f;
	size_t n = 0, i;

	CHECK(parse(&f, S("a=1&a=2")) == FORM_TWICE);
	CHECK(parse(&f, S("a=1&%61=1")) == FORM_TWICE);
	CHECK(parse(&f, S("a&a")) == FORM_TWICE);
	CHECK(parse(&f, S("a=&b=1&a=2")) == FORM_TWICE);
	CHECK(parse(&f, S("a=%")) == FORM_BAD);
	CHECK(parse(&f, S("a=%4")) == FORM_BAD);
	CHECK(parse(&f, S("a=%4&b=1")) == FORM_BAD);
	CHECK(parse(&f, S("a=%4g")) == FORM_BAD);
	CHECK(parse(&f, S("%zz=1")) == FORM_BAD);
	CHECK(parse(&f, S("a=%+1")) == FORM_BAD);
	CHECK(parse(&f, S("a=%00")) == FORM_BAD);
	CHECK(parse(&f, S("a\0=1")) == FORM_BAD);
	CHECK(parse(&f, S("a=%ff")) == FORM_BAD);
	CHECK(parse(&f, S("a=\xc3")) == FORM_BAD);
	CHECK(parse(&f, S("a=%C0%AF")) == FORM_BAD);
	CHECK(parse(&f, S("a=%ED%A0%80")) == FORM_BAD);
	CHECK(parse(&f, S("a=\xc3&b=\xa9")) == FORM_BAD);

	for (i = 0; i < FORM_MAX_PARAMS; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "&p%zu", i);
	CHECK(parse(&f, many, n) == 0 && f.n == FORM_MAX_PARAMS);
	form_free(&f);
	n += (size_t)snprintf(many + n, sizeof(many) - n, "&last");
	CHECK(parse(&f, many, n) == FORM_BAD);
}

static void
test_codec(void)
{
	char dst[32] = "x?", *s;

	CHECK(form_encode(dst, sizeof(dst), "aZ0-._~ /\xc3\xa9") == 0);
	CHECK(strcmp(dst, "x?aZ0-._~%20%2F%C3%A9") == 0);
	s = form_decode(dst + 2, strlen(dst + 2));
	CHECK(s != NULL && strcmp(s, "aZ0-._~ /\xc3\xa9") == 0);
	free(s);
	CHECK(form_encode(dst, sizeof(dst), "0123456789") == 0);
	CHECK(strlen(dst) == 31);
	CHECK(form_encode(dst, sizeof(dst), "") == 0);
	CHECK(form_encode(dst, sizeof(dst), "a") == -1);
	CHECK(strlen(dst) == 31);
	dst[29] = '\0';
	CHECK(form_encode(dst, sizeof(dst), "/") == -1);
	CHECK(form_encode(dst, sizeof(dst), "a/") == -1);
	CHECK(strlen(dst) == 29);
	CHECK(form_encode(dst, sizeof(dst), "&&&&") == -1);

	CHECK(form_decode(S("%zz")) == NULL && form_decode(S("%00")) == NULL);
	s = form_decode("", 0);
	CHECK(s != NULL && *s == '\0');
	free(s);
}

static void
test_cookies(void)
{
	static const char text[] =
	    "a=1; bb=two;c=; sid=x=y ; a.b=5;  __Host-m=\"q\"; d";
	struct span h = {S(text)}, v;

	v = cookie_get(&h, "a");
	CHECK(span_eq(&v, "1"));
	v = cookie_get(&h, "bb");
	CHECK(span_eq(&v, "two"));
	v = cookie_get(&h, "b");
	CHECK(v.p == NULL && v.len == 0);
	v = cookie_get(&h, "c");
	CHECK(v.p != NULL && v.len == 0);
	v = cookie_get(&h, "sid");
	CHECK(span_eq(&v, "x=y"));
	v = cookie_get(&h, "__Host-m");
	CHECK(span_eq(&v, "\"q\""));
	CHECK(cookie_get(&h, "d").p == NULL);
	CHECK(cookie_get(&h, "A").p == NULL);
	CHECK(cookie_get(NULL, "a").p == NULL);

	h.p = "a=1; b=2; a=1";
	h.len = strlen(h.p);
	CHECK(cookie_get(&h, "a").p == NULL);
	v = cookie_get(&h, "b");
	CHECK(span_eq(&v, "2"));
	h.p = "a=1,b=2";
	h.len = strlen(h.p);
	v = cookie_get(&h, "a");
	CHECK(span_eq(&v, "1,b=2"));
	CHECK(cookie_get(&h, "b").p == NULL);
	h.len = 0;
	CHECK(cookie_get(&h, "a").p == NULL);
	h.p = ";;; =;a";
	h.len = strlen(h.p);
	CHECK(cookie_get(&h, "a").p == NULL);
}
