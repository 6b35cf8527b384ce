/*
 * The chunked transfer coding (RFC 9112 7.1), decoder. Byte by byte in the
 * lines between chunks, where all the known tricks are; by memmove in chunks.
 */
#include <string.h>

#include "http.h"

#define MAX_SIZE_DIGITS 16
#define MAX_SIZE_LINE   256
#define MAX_TRAILERS    8192

enum {
	S_SIZE, /* a digit of the size, or what ends it */
	S_EXT,
	S_SIZE_LF,
	S_DATA,
	S_DATA_CR,
	S_DATA_LF,
	S_TRAILER, /* start of a trailer line, or of the empty one */
	S_NAME,
	S_SPACE,
	S_VALUE,
	S_TRAILER_LF,
	S_END_LF,
	S_END,
	S_BAD,
};

static int step(struct http_chunk *, char);
static int step_size(struct http_chunk *, char);
static int step_trailer(struct http_chunk *, char);
static int hexval(char);

void
http_chunk_init(struct http_chunk *c)
{
	c->state = S_SIZE;
	c->left = 0;
	c->line = 0;
}

int
http_chunk(struct http_chunk *c, const char *in, size_t *inlen, char *out,
    size_t *outlen)
{
	size_t i = 0, n, len = *inlen;

	*outlen = 0;
	while (i < len && c->state != S_END && c->state != S_BAD) {
		if (c->state != S_DATA) {
			c->state = step(c, in[i++]);
			continue;
		}
		n = len - i;
		if (n > c->left)
			n = (size_t)c->left;
		memmove(out + *outlen, in + i, n);
		*outlen += n;
		i += n;
		c->left -= n;
		if (c->left == 0)
			c->state = S_DATA_CR;
	}
	*inlen = i;
	if (c->state == S_BAD)
		return CHUNK_BAD;
	return c->state == S_END ? CHUNK_END : CHUNK_MORE;
}

/* The state after a byte that is no data. */
static int
step(struct http_chunk *c, char b)
{
	switch (c->state) {
	case S_SIZE:
	case S_EXT:
		if (++c->line > MAX_SIZE_LINE)
			return S_BAD;
		return step_size(c, b);
	case S_SIZE_LF:
		if (b != '\n')
			return S_BAD;
		c->line = 0;
		return c->left == 0 ? S_TRAILER : S_DATA;
	case S_DATA_CR:
		return b == '\r' ? S_DATA_LF : S_BAD;
	case S_DATA_LF:
		c->line = 0;
		return b == '\n' ? S_SIZE : S_BAD;
	case S_END_LF:
		return b == '\n' ? S_END : S_BAD;
	default:
		if (++c->line > MAX_TRAILERS)
			return S_BAD;
		return step_trailer(c, b);
	}
}

static int
step_size(struct http_chunk *c, char b)
{
	int v;

	if (c->state == S_SIZE && (v = hexval(b)) != -1) {
		if (c->line > MAX_SIZE_DIGITS)
			return S_BAD;
		c->left = c->left << 4 | (unsigned int)v;
		return c->left > INT64_MAX ? S_BAD : S_SIZE;
	}
	if (c->state == S_SIZE && c->line == 1)
		return S_BAD;
	if (b == '\r')
		return S_SIZE_LF;
	if (c->state == S_SIZE)
		return b == ';' ? S_EXT : S_BAD;
	return b == '\t' || (b >= 0x20 && b <= 0x7e) ? S_EXT : S_BAD;
}

static int
step_trailer(struct http_chunk *c, char b)
{
	switch (c->state) {
	case S_TRAILER:
		if (b == '\r')
			return S_END_LF;
		return http_tchar(b) ? S_NAME : S_BAD;
	case S_NAME:
		if (b == ':')
			return S_SPACE;
		return http_tchar(b) ? S_NAME : S_BAD;
	case S_SPACE:
		/* Legal without, but "0\r\nX:POST /" is meant for a parser
		 * that skips two bytes after the last chunk. */
		return b == ' ' ? S_VALUE : S_BAD;
	case S_VALUE:
		if (b == '\r')
			return S_TRAILER_LF;
		return b == '\t' || (b >= 0x20 && b <= 0x7e) ? S_VALUE : S_BAD;
	case S_TRAILER_LF:
		return b == '\n' ? S_TRAILER : S_BAD;
	}
	return S_BAD;
}

static int
hexval(char b)
{
	if (b >= '0' && b <= '9')
		return b - '0';
	if (b >= 'a' && b <= 'f')
		return b - 'a' + 10;
	if (b >= 'A' && b <= 'F')
		return b - 'A' + 10;
	return -1;
}
