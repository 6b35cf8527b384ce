/*
 * The signing keys: P-256, one PEM file each, named by its RFC 7638
 * thumbprint. All are published, the newest signs.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "digest.h"
#include "jwt.h"
#include "log.h"

#define KEYS_MAX 8
#define PEM_MAX  4096

struct key {
	EVP_PKEY *pkey;
	struct jwt_key *verify;
	char kid[B64URL_LEN(DIGEST_LEN) + 1];
	uint8_t x[32], y[32];
	time_t made;
};

static struct key keys[KEYS_MAX];
static size_t nkeys, newest;

static int key_fill(struct key *);
static int key_load(const char *, const char *);
static int key_make(const char *);
static int sign_raw(EVP_PKEY *, const char *, uint8_t[64]);

static int
key_fill(struct key *k)
{
	char x[B64URL_LEN(32) + 1], y[B64URL_LEN(32) + 1], text[256];
	uint8_t hash[DIGEST_LEN];
	BIGNUM *bx = NULL, *by = NULL;
	int n, ok;

	ok = EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, &bx) &&
	     EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &by) &&
	     BN_bn2binpad(bx, k->x, 32) == 32 &&
	     BN_bn2binpad(by, k->y, 32) == 32;
	BN_free(bx);
	BN_free(by);
	if (!ok)
		return -1;
	b64url_encode(x, k->x, 32);
	b64url_encode(y, k->y, 32);
	n = snprintf(text, sizeof(text),
	    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x,
	    y);
	sha256(hash, text, n);
	b64url_encode(k->kid, hash, sizeof(hash));
	k->verify = jwt_key_new(k->kid, k->x, k->y);
	return k->verify == NULL ? -1 : 0;
}

static int
key_add(EVP_PKEY *pkey, time_t made)
{
	struct key *k = &keys[nkeys];

	memset(k, 0, sizeof(*k));
	k->pkey = pkey;
	k->made = made;
	if (key_fill(k) == -1) {
		EVP_PKEY_free(pkey);
		return -1;
	}
	if (nkeys == 0 || made > keys[newest].made)
		newest = nkeys;
	nkeys++;
	return 0;
}

static int
key_load(const char *dir, const char *name)
{
	char path[PATH_MAX], pem[PEM_MAX], group[32];
	struct stat st;
	EVP_PKEY *pkey;
	ssize_t n;
	BIO *bio;

	if (nkeys == KEYS_MAX) {
		log_warnx(
		    "%s: more than %d keys; remove the oldest", dir, KEYS_MAX);
		return -1;
	}
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return -1;
	if ((n = secret_read(path, pem, sizeof(pem))) == -1)
		return -1;
	if (stat(path, &st) == -1 ||
	    (bio = BIO_new_mem_buf(pem, (int)n)) == NULL) {
		explicit_bzero(pem, sizeof(pem));
		return -1;
	}
	pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	explicit_bzero(pem, sizeof(pem));
	if (pkey == NULL ||
	    !EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) ||
	    strcmp(group, "prime256v1") != 0 ||
	    key_add(pkey, st.st_mtime) == -1) {
		log_warnx("%s: no P-256 private key; put it back from a "
			  "backup, or remove it: a new one is made and "
			  "access tokens issued so far are void",
		    path);
		return -1;
	}
	if (strncmp(name, keys[nkeys - 1].kid, strlen(keys[nkeys - 1].kid)) !=
	    0)
		log_warnx("%s: not named by its thumbprint %s", path,
		    keys[nkeys - 1].kid);
	return 0;
}

static int
key_make(const char *dir)
{
	char path[PATH_MAX], *pem;
	EVP_PKEY *pkey;
	BIO *bio;
	long n;
	int r = -1;

	if ((pkey = EVP_EC_gen("P-256")) == NULL ||
	    key_add(pkey, time(NULL)) == -1) {
		log_warnx("keys: no signing key could be made");
		return -1;
	}
	if ((bio = BIO_new(BIO_s_secmem())) == NULL)
		return -1;
	if (PEM_write_bio_PKCS8PrivateKey(
		bio, pkey, NULL, NULL, 0, NULL, NULL) &&
	    (n = BIO_get_mem_data(bio, &pem)) > 0 &&
	    snprintf(path, sizeof(path), "%s/%s.pem", dir,
		keys[nkeys - 1].kid) < (int)sizeof(path)) {
		r = secret_write(dir, path, pem, n);
		explicit_bzero(pem, n);
	}
	BIO_free(bio);
	return r;
}

int
keys_init(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *e;
	size_t len;
	int r = 0;
	DIR *d;

	if (snprintf(path, sizeof(path), "%s/keys", dir) >= (int)sizeof(path))
		return -1;
	if (mkdir(path, 0700) == -1 && errno != EEXIST) {
		log_warn("%s", path);
		return -1;
	}
	if ((d = opendir(path)) == NULL) {
		log_warn("%s", path);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		len = strlen(e->d_name);
		if (len > 4 && strcmp(e->d_name + len - 4, ".pem") == 0)
			r = key_load(path, e->d_name);
	}
	closedir(d);
	if (r == 0 && nkeys == 0)
		r = key_make(path);
	return r;
}

void
keys_free(void)
{
	while (nkeys > 0) {
		nkeys--;
		EVP_PKEY_free(keys[nkeys].pkey);
		jwt_key_free(keys[nkeys].verify);
	}
	newest = 0;
}

size_t
keys_count(void)
{
	return nkeys;
}

void
keys_get(size_t i, struct a_signkey *k)
{
	k->kid = keys[i].kid;
	memcpy(k->x, keys[i].x, sizeof(k->x));
	memcpy(k->y, keys[i].y, sizeof(k->y));
}

static int
sign_raw(EVP_PKEY *pkey, const char *text, uint8_t raw[64])
{
	uint8_t der[128];
	const uint8_t *p = der;
	size_t len = sizeof(der);
	ECDSA_SIG *sig = NULL;
	EVP_MD_CTX *ctx;
	int ok;

	if ((ctx = EVP_MD_CTX_new()) == NULL)
		return -1;
	ok = EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
	     EVP_DigestSign(
		 ctx, der, &len, (const uint8_t *)text, strlen(text)) == 1 &&
	     (sig = d2i_ECDSA_SIG(NULL, &p, (long)len)) != NULL &&
	     BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32) == 32 &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32) == 32;
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}

char *
keys_mint(const struct jwt_claims *claims)
{
	uint8_t sig[64];
	char *input, *token;

	if ((input = jwt_unsigned(keys[newest].kid, claims)) == NULL)
		return NULL;
	token = NULL;
	if (sign_raw(keys[newest].pkey, input, sig) == 0)
		token = jwt_join(input, sig);
	free(input);
	return token;
}

int
keys_verify(const char *token, struct jwt_claims *claims)
{
	char kid[64];
	size_t i, len = strlen(token);

	if (len > JWT_MAX || jwt_kid(token, len, kid, sizeof(kid)) == -1)
		return -1;
	for (i = 0; i < nkeys; i++)
		if (strcmp(kid, keys[i].kid) == 0)
			return jwt_verify(keys[i].verify, token, len, claims);
	return -1;
}
