/*
 * TLS by OpenSSL, which nobody else here knows of.
 */
#include <sys/stat.h>

#include <arpa/inet.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "compat.h"
#include "log.h"
#include "tls.h"

#define BUNDLE_MAX (16 * 1024 * 1024)
/* Forward secrecy and AEAD only; TLS 1.3 has nothing else. Groups of whole
 * numbers cost a server more than a client. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK"
#define GROUPS  "X25519:P-256:P-384:P-521"

struct tls_config {
	SSL_CTX *ctx;
	unsigned int refs;
};

struct tls {
	SSL *ssl;
	int done; /* the handshake is over */
	int broken; /* no close_notify may follow */
	int untrusted;
	int refused;
	char error[TLS_ERRLEN];
};

static struct tls_config *config_new(const SSL_METHOD *, char *);
static void common_options(SSL_CTX *);
static int set_pair(SSL_CTX *, const char *, const char *, char *, int *);
static int set_chain(SSL_CTX *, const char *, char *);
static int add_certs(X509_STORE *, const char *, size_t, char *);
static X509_STORE *system_store(char *);
static int is_end_of_pem(void);
static int no_passphrase(char *, int, int, void *);
static int select_alpn(SSL *, const unsigned char **, unsigned char *,
    const unsigned char *, unsigned int, void *);
static struct tls *tls_new(struct tls_config *, int);
static int set_host(SSL *, const char *);
static int result(struct tls *, int);
static void set_error(struct tls *, int);
static const char *verify_text(long);
static const char *reason_text(unsigned long);

static const unsigned char alpn[] = "\x08http/1.1";
static int bundle = -1; /* the system's authorities */
static struct tls_config *plain; /* the client with nothing of its own */

void
tls_init(void)
{
	static const char *const files[] = {
	    "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem",
	    "/etc/pki/tls/certs/ca-bundle.crt", NULL};
	size_t i;

	if (OPENSSL_init_ssl(0, NULL) != 1)
		fatalx("OpenSSL does not start");
	bundle = open(X509_get_default_cert_file(), O_RDONLY | O_CLOEXEC);
	for (i = 0; bundle == -1 && files[i] != NULL; i++)
		bundle = open(files[i], O_RDONLY | O_CLOEXEC);
}

/* ---- configurations ---- */

static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	unsigned char *sel = NULL;

	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&sel, outlen, alpn, sizeof(alpn) - 1, in,
		inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = sel;
	return SSL_TLSEXT_ERR_OK;
}

static void
common_options(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* A record in one system call, not its header first. */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
}

static struct tls_config *
config_new(const SSL_METHOD *method, char *err)
{
	struct tls_config *c;

	ERR_clear_error();
	if ((c = calloc(1, sizeof(*c))) == NULL ||
	    (c->ctx = SSL_CTX_new(method)) == NULL ||
	    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(c->ctx, CIPHERS) != 1 ||
	    SSL_CTX_set1_groups_list(c->ctx, GROUPS) != 1) {
		strlcpy(err, reason_text(ERR_peek_error()), TLS_ERRLEN);
		tls_config_free(c);
		return NULL;
	}
	c->refs = 1;
	common_options(c->ctx);
	return c;
}

/* Nobody is there to type one. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

/* What stopped a loop over PEM was that nothing more came. */
static int
is_end_of_pem(void)
{
	unsigned long e = ERR_peek_last_error();

	if (e != 0 && (ERR_GET_LIB(e) != ERR_LIB_PEM ||
			  ERR_GET_REASON(e) != PEM_R_NO_START_LINE))
		return 0;
	ERR_clear_error();
	return 1;
}

/* Its own certificate, then those between it and the authority. */
static int
set_chain(SSL_CTX *ctx, const char *chain, char *err)
{
	BIO *bio = BIO_new_mem_buf(chain, -1);
	X509 *x = NULL;
	int ok = 0;

	if (bio == NULL)
		goto out;
	if ((x = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL)) ==
	    NULL) {
		if (is_end_of_pem()) {
			strlcpy(err, "holds no certificate", TLS_ERRLEN);
			goto out;
		}
		goto bad;
	}
	if (SSL_CTX_use_certificate(ctx, x) != 1)
		goto bad;
	X509_free(x);
	while ((x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1)
			goto bad;
	ok = is_end_of_pem();
bad:
	if (!ok)
		strlcpy(err, reason_text(ERR_peek_error()), TLS_ERRLEN);
out:
	X509_free(x);
	BIO_free(bio);
	return ok ? 0 : -1;
}

static int
set_pair(
    SSL_CTX *ctx, const char *chain, const char *key, char *err, int *in_key)
{
	EVP_PKEY *pkey = NULL;
	BIO *bio;
	int ok = 0;

	*in_key = 0;
	ERR_clear_error();
	if (set_chain(ctx, chain, err) == -1)
		return -1;
	*in_key = 1;
	if ((bio = BIO_new_mem_buf(key, -1)) != NULL)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (pkey == NULL)
		strlcpy(err,
		    strstr(key, "ENCRYPTED") != NULL
			? "is encrypted; take the passphrase off"
		    : strstr(key, "PRIVATE KEY-----") == NULL
			? "holds no private key"
			: "holds a private key that can not be read",
		    TLS_ERRLEN);
	else if (SSL_CTX_use_PrivateKey(ctx, pkey) != 1)
		strlcpy(err, reason_text(ERR_peek_error()), TLS_ERRLEN);
	else if (SSL_CTX_check_private_key(ctx) != 1)
		strlcpy(err, "does not belong to the certificate", TLS_ERRLEN);
	else
		ok = 1;
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return ok ? 0 : -1;
}

struct tls_config *
tls_config_server(
    const char *chain, const char *key, char err[TLS_ERRLEN], int *in_key)
{
	struct tls_config *c;

	*in_key = 0;
	if ((c = config_new(TLS_server_method(), err)) == NULL)
		return NULL;
	if (set_pair(c->ctx, chain, key, err, in_key) == -1) {
		tls_config_free(c);
		return NULL;
	}
	SSL_CTX_set_num_tickets(c->ctx, 0);
	SSL_CTX_set_alpn_select_cb(c->ctx, select_alpn, NULL);
	return c;
}

/* How many certificates came into the store; -1 and err. */
static int
add_certs(X509_STORE *store, const char *pem, size_t len, char *err)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	X509 *x;
	int n = 0, ok = 1;

	if (bio == NULL) {
		strlcpy(err, "out of memory", TLS_ERRLEN);
		return -1;
	}
	while (ok && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) !=
			 NULL) {
		ok = X509_STORE_add_cert(store, x) == 1;
		X509_free(x);
		n++;
	}
	ok = ok && is_end_of_pem();
	if (!ok)
		strlcpy(err, reason_text(ERR_peek_error()), TLS_ERRLEN);
	ERR_clear_error();
	BIO_free(bio);
	return ok ? n : -1;
}

int
tls_check_ca(const char *ca, char err[TLS_ERRLEN])
{
	X509_STORE *store;
	int n;

	ERR_clear_error();
	if ((store = X509_STORE_new()) == NULL) {
		strlcpy(err, "out of memory", TLS_ERRLEN);
		return -1;
	}
	n = add_certs(store, ca, strlen(ca), err);
	X509_STORE_free(store);
	if (n == 0)
		strlcpy(err, "holds no certificate", TLS_ERRLEN);
	return n > 0 ? 0 : -1;
}

/* The bundle was opened before the sandbox. */
static X509_STORE *
system_store(char *err)
{
	X509_STORE *store;
	struct stat st;
	char *pem;
	size_t len = 0;
	ssize_t n = 1;
	int count = 0;

	if (bundle == -1 || fstat(bundle, &st) == -1 || st.st_size <= 0 ||
	    st.st_size > BUNDLE_MAX || lseek(bundle, 0, SEEK_SET) == -1) {
		strlcpy(err,
		    "this system has no bundle of authorities "
		    "(install ca-certificates), and ca is not set",
		    TLS_ERRLEN);
		return NULL;
	}
	pem = xmalloc(st.st_size);
	while (len < (size_t)st.st_size && n > 0)
		if ((n = read(bundle, pem + len, st.st_size - len)) > 0)
			len += n;
	if ((store = X509_STORE_new()) != NULL)
		count = add_certs(store, pem, len, err);
	free(pem);
	if (store == NULL || count <= 0) {
		strlcpy(err, "the system's bundle of authorities is not usable",
		    TLS_ERRLEN);
		X509_STORE_free(store);
		return NULL;
	}
	return store;
}

struct tls_config *
tls_config_client(const char *ca, const char *chain, const char *key,
    char err[TLS_ERRLEN], int *in_key)
{
	static X509_STORE *authorities; /* read once */
	struct tls_config *c;
	int own = ca != NULL && *ca != '\0';
	int pair = chain != NULL && *chain != '\0';

	*in_key = 0;
	if (!own && !pair && plain != NULL) {
		plain->refs++;
		return plain;
	}
	if ((c = config_new(TLS_client_method(), err)) == NULL)
		return NULL;
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_alpn_protos(c->ctx, alpn, sizeof(alpn) - 1);
	if (own) {
		/* What is named is trusted, be it no root. */
		X509_VERIFY_PARAM_set_flags(
		    SSL_CTX_get0_param(c->ctx), X509_V_FLAG_PARTIAL_CHAIN);
		if (add_certs(SSL_CTX_get_cert_store(c->ctx), ca, strlen(ca),
			err) == -1)
			goto bad;
	} else {
		if (authorities == NULL &&
		    (authorities = system_store(err)) == NULL)
			goto bad;
		SSL_CTX_set1_cert_store(c->ctx, authorities);
	}
	if (pair && set_pair(c->ctx, chain, key, err, in_key) == -1)
		goto bad;
	if (!own && !pair) {
		plain = c;
		plain->refs++;
	}
	return c;
bad:
	tls_config_free(c);
	return NULL;
}

void
tls_config_free(struct tls_config *c)
{
	if (c == NULL || (c->refs > 0 && --c->refs > 0))
		return;
	SSL_CTX_free(c->ctx);
	free(c);
}

/* ---- connections ---- */

static struct tls *
tls_new(struct tls_config *c, int fd)
{
	struct tls *t;

	ERR_clear_error();
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	if ((t->ssl = SSL_new(c->ctx)) == NULL || SSL_set_fd(t->ssl, fd) != 1) {
		tls_free(t);
		return NULL;
	}
	return t;
}

struct tls *
tls_server(struct tls_config *c, int fd)
{
	struct tls *t;

	if ((t = tls_new(c, fd)) != NULL)
		SSL_set_accept_state(t->ssl);
	return t;
}

/* A final dot is no part of the name in a certificate. */
static int
set_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	unsigned char addr[16];
	char name[256];
	size_t len;

	if (inet_pton(AF_INET, host, addr) == 1 ||
	    inet_pton(AF_INET6, host, addr) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, host);
	if ((len = strlcpy(name, host, sizeof(name))) >= sizeof(name))
		return 0;
	if (len > 1 && name[len - 1] == '.')
		name[len - 1] = '\0';
	X509_VERIFY_PARAM_set_hostflags(
	    param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct tls *
tls_client(struct tls_config *c, int fd, const char *host)
{
	struct tls *t;

	if ((t = tls_new(c, fd)) == NULL)
		return NULL;
	SSL_set_connect_state(t->ssl);
	if (set_host(t->ssl, host) != 1) {
		tls_free(t);
		return NULL;
	}
	return t;
}

int
tls_handshake(struct tls *t)
{
	int n;

	ERR_clear_error();
	if ((n = SSL_do_handshake(t->ssl)) == 1) {
		t->done = 1;
		return 0;
	}
	n = result(t, n);
	if (n == 0) {
		strlcpy(t->error, "the connection was closed", TLS_ERRLEN);
		t->broken = 1;
	}
	return n == 0 ? -1 : n;
}

ssize_t
tls_read(struct tls *t, void *p, size_t len)
{
	int n;

	if (t->broken)
		return -1;
	ERR_clear_error();
	n = SSL_read(t->ssl, p, len > INT_MAX ? INT_MAX : (int)len);
	return n > 0 ? n : result(t, n);
}

ssize_t
tls_write(struct tls *t, const void *p, size_t len)
{
	int n;

	if (t->broken)
		return -1;
	ERR_clear_error();
	n = SSL_write(t->ssl, p, len > INT_MAX ? INT_MAX : (int)len);
	if (n > 0)
		return n;
	n = result(t, n);
	return n == 0 ? -1 : n;
}

int
tls_pending(struct tls *t)
{
	return !t->broken && SSL_has_pending(t->ssl);
}

void
tls_close(struct tls *t)
{
	if (!t->done || t->broken)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

const char *
tls_error(const struct tls *t)
{
	return t->error;
}

int
tls_untrusted(const struct tls *t)
{
	return t->untrusted;
}

int
tls_refused(const struct tls *t)
{
	return t->refused;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	free(t);
}

/* ---- errors ---- */

static int
result(struct tls *t, int n)
{
	int e = SSL_get_error(t->ssl, n), saved = errno;

	switch (e) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		t->broken = 1;
		errno = saved;
		set_error(t, e);
		ERR_clear_error();
		return -1;
	}
}

static void
set_error(struct tls *t, int e)
{
	unsigned long code = ERR_peek_error();
	long verify = SSL_get_verify_result(t->ssl);

	if (!t->done && verify != X509_V_OK) {
		t->untrusted = 1;
		strlcpy(t->error, verify_text(verify), TLS_ERRLEN);
	} else if (e == SSL_ERROR_SYSCALL && code == 0)
		strlcpy(t->error, errno != 0 ? strerror(errno) : "closed",
		    TLS_ERRLEN);
	else {
		t->refused = code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL &&
			     ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET;
		strlcpy(t->error, reason_text(code), TLS_ERRLEN);
	}
}

/* Why a certificate was not accepted. */
static const char *
verify_text(long v)
{
	switch (v) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "certificate has expired";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "certificate is not valid yet";
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return "host name does not match the certificate";
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return "address does not match the certificate";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return "self-signed certificate";
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return "self-signed certificate in the chain: its authority is "
		       "not among those that are trusted";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return "certificate of an authority that is not trusted";
	case X509_V_ERR_CERT_REVOKED:
		return "certificate has been revoked";
	default:
		return X509_verify_cert_error_string(v);
	}
}

static const char *
reason_text(unsigned long e)
{
	const char *s;

	if (e != 0 && ERR_GET_LIB(e) == ERR_LIB_SSL)
		switch (ERR_GET_REASON(e)) {
		case SSL_R_WRONG_VERSION_NUMBER:
			return "it does not speak TLS";
		case SSL_R_HTTP_REQUEST:
			return "it sent plain HTTP";
		case SSL_R_UNEXPECTED_EOF_WHILE_READING:
			return "the connection was closed";
		case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
			return "it asks for a client certificate";
		case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
		case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
		case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
			return "it does not accept our certificate";
		case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
			return "it refused the handshake (does it ask for a "
			       "client certificate?)";
		case SSL_R_UNSUPPORTED_PROTOCOL:
		case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
			return "no common version of TLS";
		case SSL_R_NO_SHARED_CIPHER:
			return "no common cipher";
		default:
			break;
		}
	if (e != 0 && ERR_GET_LIB(e) == ERR_LIB_X509 &&
	    ERR_GET_REASON(e) == X509_R_KEY_VALUES_MISMATCH)
		return "does not belong to the certificate";
	if (e != 0 && (s = ERR_reason_error_string(e)) != NULL)
		return s;
	return e != 0 ? "OpenSSL can not read it" : "out of memory";
}
