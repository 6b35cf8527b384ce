/*
 * AES-256-GCM seals. Nonces are random: 2^32 seals by one key are the limit
 * (NIST SP 800-38D 8.3), which a key that is rotated monthly stays far below.
 */
#ifdef __linux__
#include <sys/random.h>
#endif

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "b64.h"
#include "be.h"
#include "compat.h"
#include "seal.h"

#define VERSION   1
#define AD_LEN    6 /* version, purpose, key id */
#define NONCE_LEN 12
#define TAG_LEN   16
#define HEAD_LEN  (AD_LEN + NONCE_LEN)

static const EVP_CIPHER *cipher(void);
static int nonce(uint8_t *);
static int encrypt(const struct seal_key *, uint8_t *, const void *, size_t);
static int decrypt(const struct seal_key *, const uint8_t *, size_t, void *);

char *
seal(const struct seal_key *key, uint8_t purpose, const void *data, size_t len)
{
	uint8_t *raw;
	char *text = NULL;
	size_t rawlen;

	if (len > INT_MAX / 2 - SEAL_OVERHEAD)
		return NULL;
	rawlen = len + SEAL_OVERHEAD;
	if ((raw = malloc(rawlen)) == NULL)
		return NULL;
	raw[0] = VERSION;
	raw[1] = purpose;
	put_be32(raw + 2, key->kid);
	if (nonce(raw + AD_LEN) == 0 && encrypt(key, raw, data, len) == 0 &&
	    (text = malloc(B64URL_LEN(rawlen) + 1)) != NULL)
		b64url_encode(text, raw, rawlen);
	freezero(raw, rawlen);
	return text;
}

int
seal_kid(const char *text, size_t textlen, uint8_t purpose, uint32_t *kid)
{
	uint8_t ad[AD_LEN];

	if (textlen < B64URL_LEN(SEAL_OVERHEAD) ||
	    b64url_decode(ad, sizeof(ad), text, AD_LEN / 3 * 4) != AD_LEN ||
	    ad[0] != VERSION || ad[1] != purpose)
		return -1;
	*kid = get_be32(ad + 2);
	return 0;
}

ssize_t
seal_open(const struct seal_key *key, uint8_t purpose, const char *text,
    size_t textlen, void *dst, size_t dstsize)
{
	uint8_t *raw;
	uint32_t kid;
	size_t size, len;
	ssize_t n, r = -1;

	if (seal_kid(text, textlen, purpose, &kid) == -1 || kid != key->kid)
		return -1;
	size = textlen / 4 * 3 + 2;
	if (size > INT_MAX / 2 || (raw = malloc(size)) == NULL)
		return -1;
	if ((n = b64url_decode(raw, size, text, textlen)) >= SEAL_OVERHEAD) {
		len = (size_t)n - SEAL_OVERHEAD;
		if (len <= dstsize && decrypt(key, raw, len, dst) == 0)
			r = (ssize_t)len;
	}
	free(raw);
	return r;
}

/* Fetched once and kept. */
static const EVP_CIPHER *
cipher(void)
{
	static EVP_CIPHER *c;

	if (c == NULL)
		c = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	return c;
}

static int
nonce(uint8_t *p)
{
#ifdef __linux__
	ssize_t n;

	do {
		n = getrandom(p, NONCE_LEN, 0);
	} while (n == -1 && errno == EINTR);
	return n == NONCE_LEN ? 0 : -1;
#else
	arc4random_buf(p, NONCE_LEN);
	return 0;
#endif
}

/* raw begins with associated data and nonce; the rest is filled in. */
static int
encrypt(const struct seal_key *key, uint8_t *raw, const void *data, size_t len)
{
	EVP_CIPHER_CTX *ctx;
	int n, ok;

	if (cipher() == NULL || (ctx = EVP_CIPHER_CTX_new()) == NULL)
		return -1;
	ok = EVP_EncryptInit_ex2(ctx, cipher(), key->key, raw + AD_LEN, NULL) &&
	     EVP_EncryptUpdate(ctx, NULL, &n, raw, AD_LEN) &&
	     (len == 0 ||
		 EVP_EncryptUpdate(ctx, raw + HEAD_LEN, &n, data, (int)len)) &&
	     EVP_EncryptFinal_ex(ctx, raw + HEAD_LEN + len, &n) &&
	     EVP_CIPHER_CTX_ctrl(
		 ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, raw + HEAD_LEN + len);
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -1;
}

/* len: of the plain text. */
static int
decrypt(const struct seal_key *key, const uint8_t *raw, size_t len, void *dst)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t tag[TAG_LEN], none[TAG_LEN];
	int n, ok;

	if (cipher() == NULL || (ctx = EVP_CIPHER_CTX_new()) == NULL)
		return -1;
	memcpy(tag, raw + HEAD_LEN + len, TAG_LEN);
	ok = EVP_DecryptInit_ex2(ctx, cipher(), key->key, raw + AD_LEN, NULL) &&
	     EVP_DecryptUpdate(ctx, NULL, &n, raw, AD_LEN) &&
	     (len == 0 ||
		 EVP_DecryptUpdate(ctx, dst, &n, raw + HEAD_LEN, (int)len)) &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) &&
	     EVP_DecryptFinal_ex(ctx, none, &n) > 0;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		return 0;
	ERR_clear_error(); /* or TLS takes it for its own */
	if (len > 0)
		explicit_bzero(dst, len);
	return -1;
}
