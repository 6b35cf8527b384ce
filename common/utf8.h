#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/*
 * Length of the well-formed UTF-8 sequence at the start of s (RFC 3629: no
 * overlong forms, no surrogates, nothing above U+10FFFF), or 0.
 */
static inline size_t
utf8_seq(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char lo = 0x80, hi = 0xbf;
	size_t i, n;

	if (len == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	switch (u[0]) {
	case 0xe0:
		lo = 0xa0;
		break;
	case 0xed:
		hi = 0x9f;
		break;
	case 0xf0:
		lo = 0x90;
		break;
	case 0xf4:
		hi = 0x8f;
		break;
	}
	if (u[1] < lo || u[1] > hi)
		return 0;
	for (i = 2; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Is all of s well-formed? */
static inline int
utf8_valid(const char *s, size_t len)
{
	size_t n;

	while (len > 0) {
		if ((n = utf8_seq(s, len)) == 0)
			return 0;
		s += n;
		len -= n;
	}
	return 1;
}

#endif
