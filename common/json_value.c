/*
 * Values of a text that json_scan has accepted: walking them and decoding
 * them. Nothing is read outside the span even if it was never scanned.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "json.h"

static const char *skip_space(const char *, const char *);
static const char *skip_string(const char *, const char *);
static const char *skip_nested(const char *, const char *);
static const char *skip_value(const char *, const char *);
static enum json_type type_at(const char *);
static int hex4(const char *, const char *);
static int unescape(const char **, const char *, char *);
static int is_string(const struct json_span *);

int
json_next(const struct json_span *container, size_t *pos, struct json_span *key,
    struct json_span *val)
{
	const char *p, *q, *end;

	if (container->type != JSON_OBJECT && container->type != JSON_ARRAY)
		return 0;
	if (*pos >= container->len)
		return 0;
	end = container->p + container->len;
	p = container->p + *pos;
	if (*pos == 0)
		p++;
	p = skip_space(p, end);
	if (p < end && *p == ',')
		p = skip_space(p + 1, end);
	if (p >= end || *p == '}' || *p == ']') {
		*pos = container->len;
		return 0;
	}
	if (container->type == JSON_OBJECT) {
		q = skip_value(p, end);
		if (key != NULL) {
			key->p = p;
			key->len = (size_t)(q - p);
			key->type = type_at(p);
		}
		p = skip_space(q, end);
		if (p < end && *p == ':')
			p = skip_space(p + 1, end);
		if (p >= end) {
			*pos = container->len;
			return 0;
		}
	}
	q = skip_value(p, end);
	val->p = p;
	val->len = (size_t)(q - p);
	val->type = type_at(p);
	*pos = (size_t)(q - container->p);
	return 1;
}

int
json_member(
    const struct json_span *object, const char *key, struct json_span *val)
{
	struct json_span k;
	size_t pos = 0, keylen = strlen(key);

	if (object->type != JSON_OBJECT)
		return -1;
	while (json_next(object, &pos, &k, val))
		if (k.len == keylen + 2 && memcmp(k.p + 1, key, keylen) == 0)
			return 0;
	return -1;
}

ssize_t
json_decode(const struct json_span *v, char *dst, size_t dstsize)
{
	const char *p, *end, *run;
	char c[4];
	size_t n = 0;
	int clen;

	if (dstsize == 0)
		return -1;
	dst[0] = '\0';
	if (!is_string(v))
		return -1;
	p = v->p + 1;
	end = v->p + v->len - 1;
	while (p < end) {
		if ((run = memchr(p, '\\', (size_t)(end - p))) == NULL)
			run = end;
		if ((size_t)(run - p) >= dstsize - n ||
		    memchr(p, '\0', (size_t)(run - p)) != NULL)
			goto bad;
		memcpy(dst + n, p, (size_t)(run - p));
		n += (size_t)(run - p);
		p = run;
		if (p == end)
			break;
		if ((clen = unescape(&p, end, c)) == -1 || c[0] == '\0' ||
		    (size_t)clen >= dstsize - n)
			goto bad;
		memcpy(dst + n, c, (size_t)clen);
		n += (size_t)clen;
	}
	dst[n] = '\0';
	return (ssize_t)n;
bad:
	dst[0] = '\0';
	return -1;
}

char *
json_strdup(const struct json_span *v)
{
	char *s;

	if (!is_string(v))
		return NULL;
	/* No escape is shorter than what it stands for. */
	if ((s = malloc(v->len)) == NULL)
		return NULL;
	if (json_decode(v, s, v->len) == -1) {
		freezero(s, v->len);
		return NULL;
	}
	return s;
}

int
json_equals(const struct json_span *v, const char *s)
{
	const char *p, *end;
	char c[4];
	size_t slen = strlen(s);
	int clen;

	if (!is_string(v))
		return 0;
	p = v->p + 1;
	end = v->p + v->len - 1;
	if (memchr(p, '\\', (size_t)(end - p)) == NULL)
		return (size_t)(end - p) == slen && memcmp(p, s, slen) == 0;
	while (p < end) {
		if (*p == '\\') {
			if ((clen = unescape(&p, end, c)) == -1)
				return 0;
		} else {
			c[0] = *p++;
			clen = 1;
		}
		if ((size_t)clen > slen || memcmp(c, s, (size_t)clen) != 0)
			return 0;
		s += clen;
		slen -= (size_t)clen;
	}
	return slen == 0;
}

int
json_uint(const struct json_span *v, uint64_t *n)
{
	uint64_t u = 0;
	size_t i;
	unsigned int d;

	if (v->type != JSON_NUMBER || v->len == 0)
		return -1;
	for (i = 0; i < v->len; i++) {
		if (v->p[i] < '0' || v->p[i] > '9')
			return -1;
		d = (unsigned int)(v->p[i] - '0');
		if (u > (UINT64_MAX - d) / 10)
			return -1;
		u = u * 10 + d;
	}
	*n = u;
	return 0;
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* p is at the opening quote. */
static const char *
skip_string(const char *p, const char *end)
{
	const char *q, *b;

	for (q = p + 1;; q++) {
		q = memchr(q, '"', (size_t)(end - q));
		if (q == NULL)
			return end;
		/* A quote after an odd number of backslashes is escaped. */
		for (b = q; b > p + 1 && b[-1] == '\\'; b--)
			continue;
		if ((q - b) % 2 == 0)
			return q + 1;
	}
}

/* p is at the opening bracket. */
static const char *
skip_nested(const char *p, const char *end)
{
	int depth = 0;

	while (p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return p + 1;
			break;
		}
		p++;
	}
	return end;
}

static const char *
skip_value(const char *p, const char *end)
{
	if (p == end)
		return end;
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{' || *p == '[')
		return skip_nested(p, end);
	/* At least one byte, so that a walk always comes to its end. */
	for (p++; p < end; p++)
		if (strchr(",:]} \t\r\n", *p) != NULL)
			break;
	return p;
}

static enum json_type
type_at(const char *p)
{
	switch (*p) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

static int
is_string(const struct json_span *v)
{
	return v->type == JSON_STRING && v->len >= 2;
}

static int
hex4(const char *p, const char *end)
{
	int i, n = 0;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		n <<= 4;
		if (p[i] >= '0' && p[i] <= '9')
			n |= p[i] - '0';
		else if (p[i] >= 'a' && p[i] <= 'f')
			n |= p[i] - 'a' + 10;
		else if (p[i] >= 'A' && p[i] <= 'F')
			n |= p[i] - 'A' + 10;
		else
			return -1;
	}
	return n;
}

/*
 * Decodes the escape at *pp, which is at the backslash, to UTF-8 in out[4] and
 * moves *pp past it. Returns the length, -1 for a lone surrogate.
 */
static int
unescape(const char **pp, const char *end, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = *pp + 1, *f;
	int u, low;

	if (p >= end)
		return -1;
	if (*p != 'u') {
		if (*p == '\0' || (f = strchr(from, *p)) == NULL)
			return -1;
		out[0] = to[f - from];
		*pp = p + 1;
		return 1;
	}
	if ((u = hex4(p + 1, end)) == -1)
		return -1;
	p += 5;
	if (u >= 0xdc00 && u <= 0xdfff)
		return -1;
	if (u >= 0xd800 && u <= 0xdbff) {
		if (end - p < 6 || p[0] != '\\' || p[1] != 'u' ||
		    (low = hex4(p + 2, end)) < 0xdc00 || low > 0xdfff)
			return -1;
		p += 6;
		u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
	}
	*pp = p;
	if (u < 0x80) {
		out[0] = (char)u;
		return 1;
	}
	if (u < 0x800) {
		out[0] = (char)(0xc0 | u >> 6);
		out[1] = (char)(0x80 | (u & 0x3f));
		return 2;
	}
	if (u < 0x10000) {
		out[0] = (char)(0xe0 | u >> 12);
		out[1] = (char)(0x80 | (u >> 6 & 0x3f));
		out[2] = (char)(0x80 | (u & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | u >> 18);
	out[1] = (char)(0x80 | (u >> 12 & 0x3f));
	out[2] = (char)(0x80 | (u >> 6 & 0x3f));
	out[3] = (char)(0x80 | (u & 0x3f));
	return 4;
}
