/*
 * The scanner against a second, recursive reading of RFC 8259; then walks,
 * decoding and writing, which must stay inside whatever they are given.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *ref_space(const char *, const char *);
static const char *ref_string(const char *, const char *);
static const char *ref_digits(const char *, const char *);
static const char *ref_number(const char *, const char *);
static const char *ref_value(const char *, const char *, int);
static int ref_text(const char *, size_t);
static void inside(const struct json_span *, const char *, size_t);
static void walk(const struct json_span *, int);
static void use_string(const struct json_span *);
static void members(const struct json_doc *, const char *, size_t);
static void rewrite(const char *, size_t);

static struct json_doc doc, sub;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const chain[] = {"params", "_meta", NULL};
	const char *text = (const char *)data;
	struct json_span raw;
	enum json_error err;

	err = json_scan(&doc, text, len, chain);
	if (err != JSON_E_KEY && err != JSON_E_DUP && err != JSON_E_MANY &&
	    (err == JSON_OK) != ref_text(text, len))
		abort();
	if (err == JSON_OK)
		members(&doc, text, len);
	else if (doc.n != 0)
		abort();

	/* never scanned */
	raw.p = text;
	raw.len = len;
	raw.type = len > 0 && *text == '[' ? JSON_ARRAY : JSON_OBJECT;
	walk(&raw, 0);
	raw.type = JSON_STRING;
	use_string(&raw);
	rewrite(text, len);
	return 0;
}

static const char *
ref_space(const char *p, const char *end)
{
	while (p < end && *p != '\0' && strchr(" \t\r\n", *p) != NULL)
		p++;
	return p;
}

static const char *
ref_string(const char *p, const char *end)
{
	size_t n;
	int i;

	if (p == end || *p++ != '"')
		return NULL;
	while (p < end && *p != '"') {
		if ((n = utf8_seq(p, (size_t)(end - p))) == 0 ||
		    (unsigned char)*p < 0x20)
			return NULL;
		if (*p != '\\') {
			p += n;
			continue;
		}
		if (++p == end)
			return NULL;
		if (*p == 'u') {
			for (i = 0; i < 4; i++)
				if (++p == end || *p == '\0' ||
				    strchr("0123456789abcdefABCDEF", *p) ==
					NULL)
					return NULL;
		} else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
			return NULL;
		p++;
	}
	return p == end ? NULL : p + 1;
}

static const char *
ref_digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p == start ? NULL : p;
}

static const char *
ref_number(const char *p, const char *end)
{
	const char *start;

	if (p < end && *p == '-')
		p++;
	start = p;
	if ((p = ref_digits(p, end)) == NULL ||
	    (*start == '0' && p > start + 1))
		return NULL;
	if (p < end && *p == '.' && (p = ref_digits(p + 1, end)) == NULL)
		return NULL;
	if (p < end && (*p == 'e' || *p == 'E')) {
		if (++p < end && (*p == '+' || *p == '-'))
			p++;
		p = ref_digits(p, end);
	}
	return p;
}

static const char *
ref_value(const char *p, const char *end, int depth)
{
	static const char *const words[] = {"true", "false", "null"};
	char close;
	size_t i;

	p = ref_space(p, end);
	if (p == end)
		return NULL;
	if (*p == '"')
		return ref_string(p, end);
	for (i = 0; i < 3; i++)
		if ((size_t)(end - p) >= strlen(words[i]) &&
		    strncmp(p, words[i], strlen(words[i])) == 0)
			return p + strlen(words[i]);
	if (*p != '{' && *p != '[')
		return ref_number(p, end);
	if (depth == JSON_MAX_DEPTH)
		return NULL;
	close = *p == '{' ? '}' : ']';
	p = ref_space(p + 1, end);
	if (p < end && *p == close)
		return p + 1;
	for (;;) {
		if (close == '}') {
			p = ref_string(ref_space(p, end), end);
			if (p == NULL || (p = ref_space(p, end)) == end ||
			    *p++ != ':')
				return NULL;
		}
		if ((p = ref_value(p, end, depth + 1)) == NULL ||
		    (p = ref_space(p, end)) == end)
			return NULL;
		if (*p == close)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static int
ref_text(const char *p, size_t len)
{
	const char *end = p + len;

	p = ref_value(p, end, 0);
	return p != NULL && ref_space(p, end) == end;
}

static void
inside(const struct json_span *v, const char *p, size_t len)
{
	if (v->p < p || v->len > len || (size_t)(v->p - p) > len - v->len)
		abort();
}

static void
walk(const struct json_span *c, int depth)
{
	struct json_span k, v;
	size_t pos = 0, last = 0;

	while (json_next(c, &pos, &k, &v)) {
		if (pos <= last || pos > c->len)
			abort();
		last = pos;
		inside(&v, c->p, c->len);
		if (c->type == JSON_OBJECT) {
			inside(&k, c->p, c->len);
			use_string(&k);
		}
		use_string(&v);
		if (depth < JSON_MAX_DEPTH)
			walk(&v, depth + 1);
	}
	if (json_next(c, &pos, &k, &v) != 0)
		abort();
	(void)json_member(c, "params", &v);
}

static void
use_string(const struct json_span *v)
{
	char small[16], *s;
	uint64_t u;

	if ((s = json_strdup(v)) != NULL) {
		if (!json_equals(v, s))
			abort();
		if ((json_decode(v, small, sizeof(small)) != -1) !=
		    (strlen(s) < sizeof(small)))
			abort();
	}
	free(s);
	(void)json_equals(v, "params");
	(void)json_uint(v, &u);
}

/* Of a good text: each member is itself one, walked without a rest. */
static void
members(const struct json_doc *d, const char *text, size_t len)
{
	const struct json_member *m;
	struct json_span v;
	size_t i;

	for (i = 0; i < d->n; i++) {
		m = &d->m[i];
		inside(&m->val, text, len);
		if (json_scan(&sub, m->val.p, m->val.len, NULL) == JSON_OK &&
		    sub.root != m->val.type)
			abort();
		if (!ref_text(m->val.p, m->val.len))
			abort();
		if (m->level == 0 && json_get(d, 0, "id") == m) {
			struct json_span root = {text, len, d->root};

			while (*root.p != '{') {
				root.p++;
				root.len--;
			}
			if (json_member(&root, "id", &v) == -1 ||
			    v.p != m->val.p || v.len != m->val.len ||
			    v.type != m->val.type)
				abort();
		}
		walk(&m->val, 0);
	}
}

/* Whatever is written is a string, and the same one if it was UTF-8. */
static void
rewrite(const char *text, size_t len)
{
	struct json_buf b = {0};
	struct json_span v;
	char *out, *back;
	size_t n;

	json_putstrn(&b, text, len);
	if ((out = json_buf_take(&b, &n)) == NULL)
		return;
	if (json_scan(&sub, out, n, NULL) != JSON_OK || sub.root != JSON_STRING)
		abort();
	v.p = out;
	v.len = n;
	v.type = JSON_STRING;
	back = json_strdup(&v);
	if (utf8_valid(text, len) && memchr(text, '\0', len) == NULL &&
	    (back == NULL || strlen(back) != len ||
		memcmp(back, text, len) != 0))
		abort();
	free(back);
	free(out);
}
