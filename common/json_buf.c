/*
 * Writing JSON: a growing text that remembers whether memory ran out, so that
 * callers look at the result once.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

#define BUF_MIN 256

static int reserve(struct json_buf *, size_t);
static void put_escape(struct json_buf *, unsigned char);

void
json_puts(struct json_buf *b, const char *s)
{
	json_put(b, s, strlen(s));
}

void
json_put(struct json_buf *b, const void *data, size_t len)
{
	if (len == 0 || reserve(b, len) == -1)
		return;
	memcpy(b->p + b->len, data, len);
	b->len += len;
}

void
json_putspan(struct json_buf *b, const struct json_span *v)
{
	json_put(b, v->p, v->len);
}

void
json_putstr(struct json_buf *b, const char *s)
{
	json_putstrn(b, s, strlen(s));
}

void
json_putstrn(struct json_buf *b, const char *s, size_t len)
{
	size_t i, n, run = 0;
	unsigned char c;

	json_put(b, "\"", 1);
	for (i = 0; i < len; i += n) {
		c = (unsigned char)s[i];
		n = utf8_seq(s + i, len - i);
		if (n > 0 && c >= 0x20 && c != '"' && c != '\\')
			continue;
		json_put(b, s + run, i - run);
		if (n == 0) {
			json_put(b, "\xef\xbf\xbd", 3);
			n = 1;
		} else
			put_escape(b, c);
		run = i + 1;
	}
	json_put(b, s + run, len - run);
	json_put(b, "\"", 1);
}

void
json_putint(struct json_buf *b, int64_t n)
{
	char s[24];

	snprintf(s, sizeof(s), "%" PRId64, n);
	json_puts(b, s);
}

char *
json_buf_take(struct json_buf *b, size_t *len)
{
	char *p;

	if (reserve(b, 1) == -1) {
		json_buf_free(b);
		if (len != NULL)
			*len = 0;
		return NULL;
	}
	b->p[b->len] = '\0';
	p = b->p;
	if (len != NULL)
		*len = b->len;
	memset(b, 0, sizeof(*b));
	return p;
}

void
json_buf_free(struct json_buf *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}

static int
reserve(struct json_buf *b, size_t more)
{
	size_t cap;
	char *p;

	if (b->err)
		return -1;
	if (more <= b->cap - b->len)
		return 0;
	if (more > SIZE_MAX / 2 - b->len) {
		b->err = 1;
		return -1;
	}
	cap = b->cap < BUF_MIN ? BUF_MIN : b->cap * 2;
	if (cap < b->len + more)
		cap = b->len + more;
	if ((p = realloc(b->p, cap)) == NULL) {
		b->err = 1;
		return -1;
	}
	b->p = p;
	b->cap = cap;
	return 0;
}

static void
put_escape(struct json_buf *b, unsigned char c)
{
	char s[8];

	switch (c) {
	case '"':
		json_puts(b, "\\\"");
		break;
	case '\\':
		json_puts(b, "\\\\");
		break;
	case '\b':
		json_puts(b, "\\b");
		break;
	case '\f':
		json_puts(b, "\\f");
		break;
	case '\n':
		json_puts(b, "\\n");
		break;
	case '\r':
		json_puts(b, "\\r");
		break;
	case '\t':
		json_puts(b, "\\t");
		break;
	default:
		snprintf(s, sizeof(s), "\\u%04x", c);
		json_puts(b, s);
		break;
	}
}
