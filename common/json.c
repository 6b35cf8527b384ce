/*
 * The JSON scanner: one pass over a text, an explicit stack, no allocation.
 * Strings are passed over eight bytes at a time.
 */
#include <stdint.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

#define ONES  0x0101010101010101ULL
#define HIGHS 0x8080808080808080ULL

enum want { WANT_VALUE, WANT_KEY, WANT_AFTER };

struct scan {
	const char *end;
	struct json_doc *doc;
	const char *const *chain;
	enum json_error err;
	enum want want;
	int escaped; /* the last string held a backslash */
	int depth; /* containers open */
	int watch; /* the outermost so many of them are watched */
	uint8_t object[JSON_MAX_DEPTH]; /* is it an object? */
	uint8_t cur[JSON_MAX_DEPTH]; /* member in progress, if watched */
};

static const char *fail(struct scan *, enum json_error);
static const char *skip_space(const char *, const char *);
static const char *skip_plain(const char *, const char *);
static const char *scan_escape(struct scan *, const char *);
static const char *scan_string(struct scan *, const char *);
static const char *scan_digits(struct scan *, const char *);
static const char *scan_number(struct scan *, const char *);
static const char *scan_literal(struct scan *, const char *, const char *);
static const char *scan_open(struct scan *, const char *, int);
static const char *scan_value(struct scan *, const char *);
static const char *scan_key(struct scan *, const char *);
static const char *scan_after(struct scan *, const char *);
static int add_member(struct scan *, const char *, size_t);
static void begin_value(struct scan *, const char *, enum json_type);
static void end_value(struct scan *, const char *);
static int chained(const struct scan *);

enum json_error
json_scan(struct json_doc *doc, const char *text, size_t len,
    const char *const *chain)
{
	struct scan s;
	const char *p;

	s.end = text + len;
	s.doc = doc;
	s.chain = chain;
	s.err = JSON_OK;
	s.want = WANT_VALUE;
	s.escaped = s.depth = s.watch = 0;
	doc->n = 0;
	doc->root = JSON_NONE;

	p = skip_space(text, s.end);
	do {
		switch (s.want) {
		case WANT_VALUE:
			p = scan_value(&s, p);
			break;
		case WANT_KEY:
			p = scan_key(&s, p);
			break;
		case WANT_AFTER:
			p = scan_after(&s, p);
			break;
		}
		if (p == NULL) {
			doc->n = 0;
			return s.err;
		}
		p = skip_space(p, s.end);
	} while (s.depth > 0 || s.want != WANT_AFTER);
	if (p != s.end) {
		doc->n = 0;
		return JSON_E_SYNTAX;
	}
	return JSON_OK;
}

const char *
json_strerror(enum json_error err)
{
	switch (err) {
	case JSON_OK:
		return "no error";
	case JSON_E_SYNTAX:
		return "syntax error";
	case JSON_E_UTF8:
		return "not UTF-8";
	case JSON_E_DEPTH:
		return "nested too deeply";
	case JSON_E_KEY:
		return "escape in a key";
	case JSON_E_DUP:
		return "duplicate key";
	case JSON_E_MANY:
		return "too many members";
	}
	return "unknown error";
}

const struct json_member *
json_get(const struct json_doc *doc, int level, const char *key)
{
	const struct json_member *m;
	size_t i, keylen = strlen(key);

	for (i = 0; i < doc->n; i++) {
		m = &doc->m[i];
		if (m->level == level && m->keylen == keylen &&
		    memcmp(m->key, key, keylen) == 0)
			return m;
	}
	return NULL;
}

static const char *
fail(struct scan *s, enum json_error err)
{
	s->err = err;
	return NULL;
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/*
 * First byte that is not plain within a string: quote, backslash, control
 * character or no ASCII. In each test below a borrow can only mark bytes after
 * one that is marked rightly, so the first mark is always right.
 */
static const char *
skip_plain(const char *p, const char *end)
{
	uint64_t w, quote, slash, hit;

	while (end - p >= 8) {
		memcpy(&w, p, sizeof(w));
		quote = w ^ (ONES * '"');
		slash = w ^ (ONES * '\\');
		hit = ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) |
		      ((w - ONES * 0x20) & ~w) | w;
		hit &= HIGHS;
		if (hit != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			return p + __builtin_ctzll(hit) / 8;
#else
			break;
#endif
		}
		p += 8;
	}
	while (p < end && *p != '"' && *p != '\\' &&
	       (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80)
		p++;
	return p;
}

/* p is after the backslash. */
static const char *
scan_escape(struct scan *s, const char *p)
{
	int i;

	if (p == s->end)
		return fail(s, JSON_E_SYNTAX);
	switch (*p++) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return p;
	case 'u':
		break;
	default:
		return fail(s, JSON_E_SYNTAX);
	}
	if (s->end - p < 4)
		return fail(s, JSON_E_SYNTAX);
	for (i = 0; i < 4; i++, p++)
		if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f') ||
			(*p >= 'A' && *p <= 'F')))
			return fail(s, JSON_E_SYNTAX);
	return p;
}

/* p is after the opening quote; the result is after the closing one. */
static const char *
scan_string(struct scan *s, const char *p)
{
	size_t n;

	s->escaped = 0;
	for (;;) {
		p = skip_plain(p, s->end);
		if (p == s->end)
			return fail(s, JSON_E_SYNTAX);
		if (*p == '"')
			return p + 1;
		if (*p == '\\') {
			s->escaped = 1;
			if ((p = scan_escape(s, p + 1)) == NULL)
				return NULL;
			continue;
		}
		if ((unsigned char)*p < 0x20)
			return fail(s, JSON_E_SYNTAX);
		do {
			n = utf8_seq(p, (size_t)(s->end - p));
			if (n == 0)
				return fail(s, JSON_E_UTF8);
			p += n;
		} while (p < s->end && (unsigned char)*p >= 0x80);
	}
}

static const char *
scan_digits(struct scan *s, const char *p)
{
	if (p == s->end || *p < '0' || *p > '9')
		return fail(s, JSON_E_SYNTAX);
	while (p < s->end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static const char *
scan_number(struct scan *s, const char *p)
{
	if (*p == '-')
		p++;
	if (p < s->end && *p == '0')
		p++;
	else if ((p = scan_digits(s, p)) == NULL)
		return NULL;
	if (p < s->end && *p == '.') {
		if ((p = scan_digits(s, p + 1)) == NULL)
			return NULL;
	}
	if (p < s->end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < s->end && (*p == '+' || *p == '-'))
			p++;
		p = scan_digits(s, p);
	}
	return p;
}

static const char *
scan_literal(struct scan *s, const char *p, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - p) < n || memcmp(p, word, n) != 0)
		return fail(s, JSON_E_SYNTAX);
	return p + n;
}

static const char *
scan_open(struct scan *s, const char *p, int object)
{
	int watched;

	if (s->depth == JSON_MAX_DEPTH)
		return fail(s, JSON_E_DEPTH);
	watched = object && s->watch == s->depth && chained(s);
	s->object[s->depth++] = (uint8_t)object;
	if (watched)
		s->watch = s->depth;

	p = skip_space(p + 1, s->end);
	if (p == s->end)
		return fail(s, JSON_E_SYNTAX);
	if (*p == (object ? '}' : ']'))
		s->want = WANT_AFTER; /* which sees the bracket */
	else
		s->want = object ? WANT_KEY : WANT_VALUE;
	return p;
}

static const char *
scan_value(struct scan *s, const char *p)
{
	const char *start = p;
	enum json_type type;

	if (p == s->end)
		return fail(s, JSON_E_SYNTAX);
	switch (*p) {
	case '{':
		begin_value(s, p, JSON_OBJECT);
		return scan_open(s, p, 1);
	case '[':
		begin_value(s, p, JSON_ARRAY);
		return scan_open(s, p, 0);
	case '"':
		type = JSON_STRING;
		p = scan_string(s, p + 1);
		break;
	case 't':
		type = JSON_TRUE;
		p = scan_literal(s, p, "true");
		break;
	case 'f':
		type = JSON_FALSE;
		p = scan_literal(s, p, "false");
		break;
	case 'n':
		type = JSON_NULL;
		p = scan_literal(s, p, "null");
		break;
	default:
		if (*p != '-' && (*p < '0' || *p > '9'))
			return fail(s, JSON_E_SYNTAX);
		type = JSON_NUMBER;
		p = scan_number(s, p);
		break;
	}
	if (p == NULL)
		return NULL;
	begin_value(s, start, type);
	end_value(s, p);
	s->want = WANT_AFTER;
	return p;
}

static const char *
scan_key(struct scan *s, const char *p)
{
	const char *key = p + 1;

	if (p == s->end || *p != '"')
		return fail(s, JSON_E_SYNTAX);
	if ((p = scan_string(s, key)) == NULL)
		return NULL;
	if (s->watch == s->depth &&
	    add_member(s, key, (size_t)(p - 1 - key)) == -1)
		return NULL;
	p = skip_space(p, s->end);
	if (p == s->end || *p != ':')
		return fail(s, JSON_E_SYNTAX);
	s->want = WANT_VALUE;
	return p + 1;
}

/* A value has ended, or a container has just been opened and is empty. */
static const char *
scan_after(struct scan *s, const char *p)
{
	int object = s->object[s->depth - 1];

	if (p == s->end)
		return fail(s, JSON_E_SYNTAX);
	if (*p == ',') {
		s->want = object ? WANT_KEY : WANT_VALUE;
		return p + 1;
	}
	if (*p != (object ? '}' : ']'))
		return fail(s, JSON_E_SYNTAX);
	if (s->watch == s->depth)
		s->watch--;
	s->depth--;
	end_value(s, p + 1);
	return p + 1;
}

/* A key of the watched object that is open. */
static int
add_member(struct scan *s, const char *key, size_t keylen)
{
	struct json_doc *doc = s->doc;
	struct json_member *m;
	int level = s->depth - 1;
	size_t i;

	if (s->escaped) {
		s->err = JSON_E_KEY;
		return -1;
	}
	for (i = 0; i < doc->n; i++) {
		m = &doc->m[i];
		if (m->level == level && m->keylen == keylen &&
		    memcmp(m->key, key, keylen) == 0) {
			s->err = JSON_E_DUP;
			return -1;
		}
	}
	if (doc->n == JSON_MAX_MEMBERS) {
		s->err = JSON_E_MANY;
		return -1;
	}
	s->cur[level] = (uint8_t)doc->n;
	m = &doc->m[doc->n++];
	m->key = key;
	m->keylen = keylen;
	m->level = level;
	return 0;
}

static void
begin_value(struct scan *s, const char *p, enum json_type type)
{
	struct json_span *v;

	if (s->depth == 0)
		s->doc->root = type;
	else if (s->watch == s->depth) {
		v = &s->doc->m[s->cur[s->depth - 1]].val;
		v->p = p;
		v->type = type;
	}
}

static void
end_value(struct scan *s, const char *p)
{
	struct json_span *v;

	if (s->depth > 0 && s->watch == s->depth) {
		v = &s->doc->m[s->cur[s->depth - 1]].val;
		v->len = (size_t)(p - v->p);
	}
}

/* Is the value that begins here, in the innermost watched object, the root or
 * the next of the chain? */
static int
chained(const struct scan *s)
{
	const struct json_member *m;
	const char *key;

	if (s->depth == 0)
		return 1;
	if (s->chain == NULL || (key = s->chain[s->depth - 1]) == NULL)
		return 0;
	m = &s->doc->m[s->cur[s->depth - 1]];
	return m->keylen == strlen(key) && memcmp(m->key, key, m->keylen) == 0;
}
