/*
 * Tokens: as they come; and headers and claims that our own key has signed, so
 * that what lies behind the signature is reached too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "b64.h"
#include "digest.h"
#include "jwt.h"
#include "seal.h"

#define KID  "k"
#define HEAD "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"" KID "\"}"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void make_key(void);
static char *token(const void *, size_t, const void *, size_t);
static void check(const char *);

static EVP_PKEY *private;
static struct jwt_key *key;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct seal_key sk = {1, {0}};
	const char *text = (const char *)data;
	struct jwt_claims c;
	char kid[64], out[64], *t;

	if (private == NULL)
		make_key();
	if (len == 0)
		return 0;
	(void)jwt_kid(text, len, kid, sizeof(kid));
	if (jwt_verify(key, text, len, &c) != -1)
		abort();
	if (seal_open(&sk, SEAL_SESSION, text, len, out, sizeof(out)) != -1)
		abort();

	if (data[0] & 1)
		t = token(HEAD, sizeof(HEAD) - 1, data + 1, len - 1);
	else
		t = token(data + 1, len - 1, "{}", 2);
	if (t != NULL)
		check(t);
	free(t);
	return 0;
}

static void
make_key(void)
{
	uint8_t point[65];
	size_t n;

	if ((private = EVP_EC_gen("P-256")) == NULL ||
	    EVP_PKEY_get_octet_string_param(private, OSSL_PKEY_PARAM_PUB_KEY,
		point, sizeof(point), &n) != 1 ||
	    (key = jwt_key_new(KID, point + 1, point + 33)) == NULL)
		abort();
}

static char *
token(const void *head, size_t headlen, const void *body, size_t bodylen)
{
	EVP_PKEY_CTX *ctx;
	uint8_t hash[DIGEST_LEN], der[80], sig[64], *p = der + 2;
	char *input, *t;
	size_t n, i;

	if ((input = malloc(B64URL_LEN(headlen) + B64URL_LEN(bodylen) + 2)) ==
	    NULL)
		return NULL;
	n = b64url_encode(input, head, headlen);
	input[n++] = '.';
	n += b64url_encode(input + n, body, bodylen);
	sha256(hash, input, n);
	n = sizeof(der);
	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, private, NULL)) == NULL ||
	    EVP_PKEY_sign_init(ctx) != 1 ||
	    EVP_PKEY_sign(ctx, der, &n, hash, sizeof(hash)) != 1)
		abort();
	EVP_PKEY_CTX_free(ctx);
	memset(sig, 0, sizeof(sig));
	for (i = 0; i < 2; i++) {
		n = p[1];
		p += n == 33 ? 3 : 2;
		if (n == 33)
			n = 32;
		memcpy(sig + 32 * i + 32 - n, p, n);
		p += n;
	}
	t = jwt_join(input, sig);
	free(input);
	return t;
}

/* What is taken can be said again and is taken again. */
static void
check(const char *t)
{
	struct jwt_claims c, d;
	uint8_t body[JWT_MAX];
	char *input, *again, *dot;
	ssize_t n;

	if (jwt_verify(key, t, strlen(t), &c) == -1)
		return;
	if ((input = jwt_unsigned(KID, &c)) == NULL)
		return;
	if ((dot = strchr(input, '.')) == NULL)
		abort();
	n = b64url_decode(body, sizeof(body), dot + 1, strlen(dot + 1));
	if (n == -1 ||
	    (again = token(HEAD, sizeof(HEAD) - 1, body, (size_t)n)) == NULL)
		abort();
	/* Escapes may make it longer than any token. */
	if (strlen(again) <= JWT_MAX &&
	    (jwt_verify(key, again, strlen(again), &d) == -1 ||
		memcmp(&c, &d, sizeof(c)) != 0))
		abort();
	free(again);
	free(input);
}
