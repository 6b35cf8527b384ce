/*
 * SHA-256 and HMAC. The algorithm and one context are made at the first call
 * and kept: fetching costs more than hashing a token.
 */
#include <string.h>

#include <openssl/evp.h>

#include "digest.h"
#include "log.h"

#define BLOCK 64

static void start(void);
static void update(const void *, size_t);
static void finish(uint8_t[DIGEST_LEN]);

static EVP_MD *md;
static EVP_MD_CTX *ctx;

void
sha256(uint8_t out[DIGEST_LEN], const void *data, size_t len)
{
	start();
	update(data, len);
	finish(out);
}

void
hmac_sha256(uint8_t out[DIGEST_LEN], const void *key, size_t keylen,
    const void *a, size_t alen, const void *b, size_t blen)
{
	uint8_t pad[BLOCK], inner[DIGEST_LEN];
	size_t i;

	memset(pad, 0, sizeof(pad));
	if (keylen > BLOCK)
		sha256(pad, key, keylen);
	else if (keylen > 0)
		memcpy(pad, key, keylen);

	for (i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	start();
	update(pad, sizeof(pad));
	update(a, alen);
	update(b, blen);
	finish(inner);

	for (i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	start();
	update(pad, sizeof(pad));
	update(inner, sizeof(inner));
	finish(out);
	explicit_bzero(pad, sizeof(pad));
	explicit_bzero(inner, sizeof(inner));
}

static void
start(void)
{
	if (md == NULL && ((md = EVP_MD_fetch(NULL, "SHA256", NULL)) == NULL ||
			      (ctx = EVP_MD_CTX_new()) == NULL))
		fatalx("digest: no SHA-256");
	if (EVP_DigestInit_ex2(ctx, md, NULL) != 1)
		fatalx("digest: cannot start");
}

static void
update(const void *data, size_t len)
{
	if (len > 0 && EVP_DigestUpdate(ctx, data, len) != 1)
		fatalx("digest: cannot go on");
}

static void
finish(uint8_t out[DIGEST_LEN])
{
	if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		fatalx("digest: cannot finish");
}
