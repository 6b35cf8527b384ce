#ifndef B64_H
#define B64_H

/* base64url without padding (RFC 4648 5), and plain base64 for Basic. */
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#define B64URL_LEN(n) (((n)*4 + 2) / 3)

/* dst has room for B64URL_LEN(len) + 1; terminated; returns the length. */
size_t b64url_encode(char *dst, const void *src, size_t len);
/* Strict: alphabet only, no padding, no stray bits. Length or -1. */
ssize_t b64url_decode(
    uint8_t *dst, size_t dstsize, const char *src, size_t len);
/* Standard alphabet, padding as RFC 4648 4 or absent. Length or -1. */
ssize_t b64_decode(uint8_t *dst, size_t dstsize, const char *src, size_t len);

#endif
