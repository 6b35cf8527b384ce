#include <ctype.h>
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util.h"

#define DEPTH_MAX 64

uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void
die(const char *what)
{
	err(1, "%s", what);
}

void
buf_need(struct buf *b, size_t more)
{
	size_t cap = b->cap > 0 ? b->cap : 1024;

	if (b->n + more <= b->cap)
		return;
	while (cap < b->n + more)
		cap *= 2;
	if ((b->p = realloc(b->p, cap)) == NULL)
		die("realloc");
	b->cap = cap;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	buf_need(b, n);
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void
buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("vsnprintf");
	/* vsnprintf ends it with a zero, which is not counted. */
	buf_need(b, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

void
buf_eat(struct buf *b, size_t n)
{
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void
buf_free(struct buf *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}

int
span_is(struct span s, const char *lit)
{
	return s.n == strlen(lit) && memcmp(s.p, lit, s.n) == 0;
}

static const char *
space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* p is at the opening quote. One past the closing one, or NULL. */
static const char *
string(const char *p, const char *end)
{
	const char *quote, *slash;

	for (p++; p < end; p = slash + 2) {
		quote = memchr(p, '"', (size_t)(end - p));
		if (quote == NULL)
			return NULL;
		slash = memchr(p, '\\', (size_t)(quote - p));
		if (slash == NULL)
			return quote + 1;
	}
	return NULL;
}

static const char *value(const char *, const char *, int);

/* p is at the quote of a key. The start of the member's value, or NULL. */
static const char *
key(const char *p, const char *end)
{
	if (p >= end || *p != '"' || (p = string(p, end)) == NULL)
		return NULL;
	p = space(p, end);
	return p < end && *p == ':' ? space(p + 1, end) : NULL;
}

static const char *
container(const char *p, const char *end, int depth)
{
	int object = *p == '{';
	char close = object ? '}' : ']';

	p = space(p + 1, end);
	if (p < end && *p == close)
		return p + 1;
	for (;;) {
		p = space(p, end);
		if (object && (p = key(p, end)) == NULL)
			return NULL;
		if ((p = value(p, end, depth + 1)) == NULL)
			return NULL;
		p = space(p, end);
		if (p < end && *p == close)
			return p + 1;
		if (p >= end || *p++ != ',')
			return NULL;
	}
}

/* One past the value at p, or NULL. */
static const char *
value(const char *p, const char *end, int depth)
{
	const char *start = p;

	if (p >= end || depth > DEPTH_MAX)
		return NULL;
	if (*p == '"')
		return string(p, end);
	if (*p == '{' || *p == '[')
		return container(p, end, depth);
	while (p < end && (isalnum((unsigned char)*p) || *p == '-' ||
			      *p == '+' || *p == '.'))
		p++;
	return p > start ? p : NULL;
}

int
json_member(struct span object, const char *name, struct span *out)
{
	const char *end = object.p + object.n, *p = space(object.p, end);
	const char *k, *v;
	size_t n = strlen(name);

	if (p >= end || *p != '{')
		return -1;
	p = space(p + 1, end);
	if (p < end && *p == '}')
		return 0;
	for (;;) {
		k = space(p, end);
		if ((v = key(k, end)) == NULL || (p = value(v, end, 0)) == NULL)
			return -1;
		if (strncmp(k + 1, name, n) == 0 && k[n + 1] == '"') {
			*out = (struct span){v, (size_t)(p - v)};
			return 1;
		}
		p = space(p, end);
		if (p < end && *p == '}')
			return 0;
		if (p >= end || *p++ != ',')
			return -1;
	}
}

int
json_first(struct span array, struct span *out)
{
	const char *end = array.p + array.n, *p = space(array.p, end), *v;

	if (p >= end || *p != '[')
		return -1;
	v = space(p + 1, end);
	if (v < end && *v == ']')
		return 0;
	if ((p = value(v, end, 0)) == NULL)
		return -1;
	*out = (struct span){v, (size_t)(p - v)};
	return 1;
}
