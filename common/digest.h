#ifndef DIGEST_H
#define DIGEST_H

/* SHA-256 and HMAC-SHA-256 with the algorithm fetched once. Both end the
 * process if the library fails: nothing can be decided without them. */
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32

void sha256(uint8_t out[DIGEST_LEN], const void *data, size_t len);
/* HMAC of the concatenation of a and b (b may be NULL with blen 0). */
void hmac_sha256(uint8_t out[DIGEST_LEN], const void *key, size_t keylen,
    const void *a, size_t alen, const void *b, size_t blen);

#endif
