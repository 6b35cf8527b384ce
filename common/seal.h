#ifndef SEAL_H
#define SEAL_H

/*
 * AEAD seals (AES-256-GCM) for values that clients carry for us: session ids,
 * later cursors and requestState. Sealed form, base64url of
 *	version 1 | purpose 1 | key id 4 | nonce 12 | ciphertext | tag 16
 * with version, purpose and key id as associated data.
 */
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#define SEAL_SESSION 1 /* purposes: one can not stand for another */
#define SEAL_CURSOR  2
#define SEAL_STATE   3

#define SEAL_OVERHEAD (1 + 1 + 4 + 12 + 16)

struct seal_key {
	uint32_t kid;
	uint8_t key[32];
};

/* Sealed text, malloc'd and NUL-terminated, or NULL. */
char *seal(
    const struct seal_key *, uint8_t purpose, const void *data, size_t len);
/* The key id named by a sealed text of this purpose; -1 if it has not that
 * shape. */
int seal_kid(const char *text, size_t textlen, uint8_t purpose, uint32_t *kid);
/* Opens into dst; length or -1 (wrong key, changed, or too long for dst). */
ssize_t seal_open(const struct seal_key *, uint8_t purpose, const char *text,
    size_t textlen, void *dst, size_t dstsize);

#endif
