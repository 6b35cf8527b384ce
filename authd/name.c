/*
 * Names of programs as people may be shown them: whatever changes the reading
 * direction, is invisible, or does not print, is taken out (CONS-5).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "utf8.h"

static uint32_t decode(const char *, size_t);
static int is_hidden(uint32_t);

static uint32_t
decode(const char *s, size_t n)
{
	static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c;
	size_t i;

	c = (unsigned char)s[0] & mask[n];
	for (i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	return c;
}

static int
is_hidden(uint32_t c)
{
	static const struct {
		uint32_t lo, hi;
	} ranges[] = {
	    {0x00, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, /* soft hyphen */
	    {0x34f, 0x34f}, /* grapheme joiner */
	    {0x61c, 0x61c}, /* Arabic letter mark */
	    {0x115f, 0x1160}, /* Hangul fillers */
	    {0x17b4, 0x17b5}, /* Khmer inherent vowels */
	    {0x180b, 0x180f}, /* Mongolian selectors */
	    {0x200b, 0x200f}, /* zero width, direction marks */
	    {0x2028, 0x202e}, /* separators, direction overrides */
	    {0x2060, 0x206f}, /* word joiner, isolates */
	    {0x3164, 0x3164}, /* Hangul filler */
	    {0xd800, 0xdfff}, /* surrogates */
	    {0xe000, 0xf8ff}, /* private use */
	    {0xfe00, 0xfe0f}, /* variation selectors */
	    {0xfeff, 0xfeff}, /* byte order mark */
	    {0xffa0, 0xffa0}, /* half-width Hangul filler */
	    {0xfff0, 0xffff}, /* specials */
	    {0x1d173, 0x1d17a}, /* musical format characters */
	    {0xe0000, 0xe0fff}, /* tags, more selectors */
	    {0xf0000, 0x10ffff}, /* private use */
	};
	size_t i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].lo && c <= ranges[i].hi)
			return 1;
	return 0;
}

static int
is_space(uint32_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xa0 ||
	       c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

char *
name_clean(const char *s)
{
	char out[NAME_CHARS * 4 + 1];
	size_t left = strlen(s), len = 0, chars = 0, n;
	int space = 0;
	uint32_t c;

	for (; left > 0 && chars < NAME_CHARS; s += n, left -= n) {
		if ((n = utf8_seq(s, left)) == 0) {
			n = 1;
			continue;
		}
		c = decode(s, n);
		if (is_space(c)) {
			space = chars > 0;
			continue;
		}
		if (is_hidden(c))
			continue;
		if (space) {
			space = 0;
			out[len++] = ' ';
			if (++chars == NAME_CHARS)
				break;
		}
		memcpy(out + len, s, n);
		len += n;
		chars++;
	}
	while (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
	return xstrdup(len > 0 ? out : "An unnamed program");
}
