#ifndef WORKER_TLS_CERTS_H
#define WORKER_TLS_CERTS_H

/* Certificates made for a test: what they say is asked for, the rest is
 * sound. P-256 throughout. */
#include <sys/socket.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define DAY 86400L

struct cert {
	X509 *x;
	EVP_PKEY *key;
	char *pem, *keypem;
};

static char *
bio_text(BIO *bio)
{
	char *p, *s;
	long n = BIO_get_mem_data(bio, &p);

	if ((s = malloc((size_t)n + 1)) == NULL)
		abort();
	memcpy(s, p, (size_t)n);
	s[n] = '\0';
	BIO_free(bio);
	return s;
}

static void
cert_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	if ((e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) == NULL ||
	    X509_add_ext(x, e, -1) != 1)
		abort();
	X509_EXTENSION_free(e);
}

/* san: "DNS:a,IP:127.0.0.1", or NULL for an authority; by: who signs, NULL
 * itself; valid from..to seconds from now. */
static struct cert
cert_make(
    const char *cn, const char *san, const struct cert *by, long from, long to)
{
	static long serial;
	struct cert c;
	BIO *bio;

	c.key = EVP_EC_gen("P-256");
	c.x = X509_new();
	if (c.key == NULL || c.x == NULL)
		abort();
	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c.x), from);
	X509_gmtime_adj(X509_getm_notAfter(c.x), to);
	X509_set_pubkey(c.x, c.key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x), "CN",
	    MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(
	    c.x, X509_get_subject_name(by != NULL ? by->x : c.x));
	if (san != NULL)
		cert_ext(
		    c.x, by != NULL ? by->x : c.x, NID_subject_alt_name, san);
	else
		cert_ext(c.x, c.x, NID_basic_constraints, "critical,CA:TRUE");
	if (X509_sign(c.x, by != NULL ? by->key : c.key, EVP_sha256()) == 0)
		abort();
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, c.x);
	c.pem = bio_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, c.key, NULL, NULL, 0, NULL, NULL);
	c.keypem = bio_text(bio);
	return c;
}

static void
cert_free(struct cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	free(c->pem);
	free(c->keypem);
}

static void
sockets(int fd[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == -1)
		abort();
}

#endif
