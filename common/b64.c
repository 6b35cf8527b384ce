/*
 * base64url and base64. There is one encoding of each byte string: bits left
 * over must be zero, so that a changed token is never the same token.
 */
#include <string.h>

#include "b64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789-_";

static int sextet(char, char, char);
static ssize_t decode(uint8_t *, size_t, const char *, size_t, char, char);

size_t
b64url_encode(char *dst, const void *src, size_t len)
{
	const uint8_t *s = src;
	size_t n = 0;
	uint32_t v;

	for (; len >= 3; s += 3, len -= 3) {
		v = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];
		dst[n++] = alphabet[v >> 18];
		dst[n++] = alphabet[v >> 12 & 63];
		dst[n++] = alphabet[v >> 6 & 63];
		dst[n++] = alphabet[v & 63];
	}
	if (len > 0) {
		v = (uint32_t)s[0] << 16;
		if (len == 2)
			v |= (uint32_t)s[1] << 8;
		dst[n++] = alphabet[v >> 18];
		dst[n++] = alphabet[v >> 12 & 63];
		if (len == 2)
			dst[n++] = alphabet[v >> 6 & 63];
	}
	dst[n] = '\0';
	return n;
}

ssize_t
b64url_decode(uint8_t *dst, size_t dstsize, const char *src, size_t len)
{
	return decode(dst, dstsize, src, len, '-', '_');
}

ssize_t
b64_decode(uint8_t *dst, size_t dstsize, const char *src, size_t len)
{
	if (len > 0 && src[len - 1] == '=') {
		if (len % 4 != 0)
			return -1;
		len--;
		if (src[len - 1] == '=')
			len--;
	}
	return decode(dst, dstsize, src, len, '+', '/');
}

static int
sextet(char c, char c62, char c63)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == c62)
		return 62;
	if (c == c63)
		return 63;
	return -1;
}

static ssize_t
decode(uint8_t *dst, size_t dstsize, const char *src, size_t len, char c62,
    char c63)
{
	uint32_t acc = 0;
	size_t i, n = 0;
	int bits = 0, v;

	if (len % 4 == 1)
		return -1;
	for (i = 0; i < len; i++) {
		if ((v = sextet(src[i], c62, c63)) == -1)
			return -1;
		acc = (acc << 6 | (uint32_t)v) & 0xffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == dstsize)
			return -1;
		dst[n++] = (uint8_t)(acc >> bits);
	}
	if ((acc & ((1u << bits) - 1)) != 0)
		return -1;
	return (ssize_t)n;
}
