/*
 * Names toward clients. Hosts put a prefix of their own before ours and models
 * take [A-Za-z0-9_-]{1,64}: hence the short limit, and the tail of a long name,
 * which is what tells tools apart.
 */
#include <stdio.h>
#include <string.h>

#include "compat.h"
#include "digest.h"
#include "names.h"

#define HASH_HEX 6

static int legal(unsigned char, int);

static int
legal(unsigned char c, int dot)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       (dot && c == '.');
}

int
name_expose(char *dst, const char *prefix, const char *sep, const char *orig,
    size_t max)
{
	uint8_t digest[DIGEST_LEN];
	char clean[NAME_MAX_EXPOSED + 1], hash[HASH_HEX + 1];
	size_t len = strlen(orig), i, head, room, start;
	int changed = 0;

	if (len == 0)
		return -1;
	if (prefix == NULL)
		max = NAME_MAX_EXPOSED;
	if (max > NAME_MAX_EXPOSED)
		max = NAME_MAX_EXPOSED;
	for (i = 0; i < len; i++)
		if (!legal(orig[i], prefix == NULL))
			changed = 1;
	head = prefix == NULL ? 0 : strlen(prefix) + strlen(sep);
	if (!changed && head + len <= max) {
		snprintf(dst, NAME_MAX_EXPOSED + 1, "%s%s%s",
		    prefix ? prefix : "", prefix ? sep : "", orig);
		return 0;
	}
	if (head + HASH_HEX + 2 > max)
		return -1;
	room = max - head - HASH_HEX - 1;
	start = len > room ? len - room : 0;
	for (i = 0; start + i < len; i++)
		clean[i] = legal(orig[start + i], 0) ? orig[start + i] : '_';
	clean[i] = '\0';
	sha256(digest, orig, len);
	snprintf(hash, sizeof(hash), "%02x%02x%02x", digest[0], digest[1],
	    digest[2]);
	(void)strlcpy(dst, prefix ? prefix : "", NAME_MAX_EXPOSED + 1);
	(void)strlcat(dst, prefix ? sep : "", NAME_MAX_EXPOSED + 1);
	(void)strlcat(dst, clean, NAME_MAX_EXPOSED + 1);
	(void)strlcat(dst, "_", NAME_MAX_EXPOSED + 1);
	i = strlcat(dst, hash, NAME_MAX_EXPOSED + 1);
	return i > NAME_MAX_EXPOSED ? -1 : 0;
}
