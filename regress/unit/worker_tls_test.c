/*
 * TLS by itself: who is trusted, what is refused and in which words, and that
 * bytes come through however the socket takes them. The other side is now
 * ours, now OpenSSL with settings that we do not have.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../../worker/tls.h"
#include "compat.h"
#include "test.h"
#include "worker_tls_certs.h"

static struct cert ca, good, addr, expired, early, self, foreign_ca, foreign,
    client;

static struct tls_config *
server_of(const struct cert *c)
{
	struct tls_config *cfg;
	char err[TLS_ERRLEN];
	int in_key;

	cfg = tls_config_server(c->pem, c->keypem, err, &in_key);
	CHECK(cfg != NULL);
	return cfg;
}

static struct tls_config *
client_of(const char *authority, const struct cert *own)
{
	struct tls_config *cfg;
	char err[TLS_ERRLEN];
	int in_key;

	cfg = tls_config_client(authority, own != NULL ? own->pem : NULL,
	    own != NULL ? own->keypem : NULL, err, &in_key);
	CHECK(cfg != NULL);
	return cfg;
}

/* Both in turn until neither waits: 0 if both are done. */
static int
shake(struct tls *a, struct tls *b)
{
	int ra = TLS_WANT_READ, rb = TLS_WANT_READ, i;

	for (i = 0; i < 50; i++) {
		if (ra < -1)
			ra = tls_handshake(a);
		if (rb < -1)
			rb = tls_handshake(b);
		if (ra >= -1 && rb >= -1)
			break;
		/* One has failed: its peer learns it from the socket. */
		if (ra == -1 || rb == -1)
			break;
	}
	return ra == 0 && rb == 0 ? 0 : -1;
}

/* A connection from a client with these settings to host, shown by shown. */
static int
meets(const struct cert *shown, const char *authority, const char *host,
    const char *want, int untrusted)
{
	struct tls_config *sc = server_of(shown),
			  *cc = client_of(authority, NULL);
	struct tls *s, *c;
	int fd[2], rv;

	sockets(fd);
	s = tls_server(sc, fd[0]);
	c = tls_client(cc, fd[1], host);
	CHECK(s != NULL && c != NULL);
	rv = shake(c, s);
	if (want != NULL) {
		if (strstr(tls_error(c), want) == NULL)
			printf("%s: %s\n", host, tls_error(c));
		CHECK(strstr(tls_error(c), want) != NULL);
		CHECK(tls_untrusted(c) == untrusted);
		CHECK(tls_read(c, fd, 1) == -1);
		CHECK(tls_write(c, "x", 1) == -1);
	}
	/* Freed in any order. */
	tls_config_free(sc);
	tls_config_free(cc);
	tls_free(s);
	tls_free(c);
	close(fd[0]);
	close(fd[1]);
	return rv;
}

static void
test_trust(void)
{
	char *both;

	CHECK(meets(&good, ca.pem, "gw.example", NULL, 0) == 0);
	CHECK(meets(&good, ca.pem, "gw.example.", NULL, 0) == 0);
	CHECK(meets(&good, ca.pem, "GW.example", NULL, 0) == 0);
	CHECK(meets(&addr, ca.pem, "127.0.0.1", NULL, 0) == 0);
	CHECK(meets(&addr, ca.pem, "::1", NULL, 0) == 0);
	CHECK(meets(&good, ca.pem, "other.example", "host name does not match",
		  1) == -1);
	CHECK(meets(&good, ca.pem, "gw.example.evil",
		  "host name does not match", 1) == -1);
	/* The common name is no name. */
	CHECK(
	    meets(&good, ca.pem, "good", "host name does not match", 1) == -1);
	CHECK(meets(&addr, ca.pem, "127.0.0.2", "address does not match", 1) ==
	      -1);
	/* An address is no name: 127.0.0.1 as DNS is not enough. */
	CHECK(meets(&good, ca.pem, "10.0.0.1", "address does not match", 1) ==
	      -1);
	CHECK(meets(&expired, ca.pem, "gw.example", "certificate has expired",
		  1) == -1);
	CHECK(meets(&early, ca.pem, "gw.example", "not valid yet", 1) == -1);
	CHECK(meets(&self, ca.pem, "gw.example", "self-signed certificate",
		  1) == -1);
	CHECK(meets(&foreign, ca.pem, "gw.example",
		  "authority that is not trusted", 1) == -1);
	/* What is named is trusted: a certificate itself, one of several. */
	CHECK(meets(&self, self.pem, "gw.example", NULL, 0) == 0);
	CHECK(meets(&good, good.pem, "gw.example", NULL, 0) == 0);
	CHECK(meets(&foreign, good.pem, "gw.example", "not trusted", 1) == -1);
	xasprintf(&both, "%s%s", ca.pem, foreign_ca.pem);
	CHECK(meets(&good, both, "gw.example", NULL, 0) == 0);
	CHECK(meets(&foreign, both, "gw.example", NULL, 0) == 0);
	free(both);
}

/* The system's bundle does not know our authority. */
static void
test_system(void)
{
	struct tls_config *a, *b;
	char err[TLS_ERRLEN];
	int in_key;

	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == -1)
		return;
	CHECK(meets(&good, "", "gw.example", "authority that is not trusted",
		  1) == -1);
	a = tls_config_client(NULL, NULL, NULL, err, &in_key);
	b = tls_config_client("", "", "", err, &in_key);
	CHECK(a != NULL && a == b);
	tls_config_free(a);
	tls_config_free(b);
}

/* Random sizes through a small socket, the write buffer moved each time. */
static void
test_bytes(void)
{
	enum { TOTAL = 700000 };
	struct tls_config *sc = server_of(&good), *cc = client_of(ca.pem, NULL);
	struct tls *s, *c;
	char *in = xmalloc(TOTAL), *out = xmalloc(TOTAL), *copy;
	size_t sent = 0, got = 0, want = 0, i;
	ssize_t n;
	int fd[2], size = 2048, again = 0;

	sockets(fd);
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	s = tls_server(sc, fd[0]);
	c = tls_client(cc, fd[1], "gw.example");
	CHECK(shake(c, s) == 0);
	CHECK(tls_read(s, in, 1) == TLS_WANT_READ);
	for (i = 0; i < TOTAL; i++)
		out[i] = (char)random();
	while (got < TOTAL) {
		if (sent < TOTAL) {
			if (!again)
				want = 1 + (size_t)random() % 40000;
			if (want > TOTAL - sent)
				want = TOTAL - sent;
			copy = xmalloc(want);
			memcpy(copy, out + sent, want);
			n = tls_write(c, copy, want);
			free(copy);
			again = n == TLS_WANT_WRITE;
			CHECK(again || n > 0);
			if (n > 0)
				sent += (size_t)n;
			else if (!again)
				break;
		}
		do {
			n = tls_read(s, in + got,
			    1 + (size_t)random() % 9000 > TOTAL - got
				? TOTAL - got
				: 1000);
			if (n > 0)
				got += (size_t)n;
		} while (n > 0 && got < TOTAL && tls_pending(s));
		if (n == -1 || n == 0)
			break;
	}
	CHECK(got == TOTAL && memcmp(in, out, TOTAL) == 0);
	/* An end that is said is an end, one that is not is an error. */
	tls_close(c);
	CHECK(tls_read(s, in, 10) == 0);
	CHECK(tls_write(s, "back", 4) == 4);
	CHECK(tls_read(c, in, 10) == 4);
	close(fd[0]);
	CHECK(tls_read(c, in, 10) == -1);
	CHECK(*tls_error(c) != '\0');
	close(fd[1]);
	tls_free(s);
	tls_free(c);
	tls_config_free(sc);
	tls_config_free(cc);
	free(in);
	free(out);
}

/* ---- against OpenSSL as we would not set it ---- */

static SSL *
raw_new(SSL_CTX *ctx, int fd, int server)
{
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, fd);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

/* 0 when both are done. */
static int
raw_shake(SSL *ssl, struct tls *t)
{
	int r = TLS_WANT_READ, done = 0, i, n;

	for (i = 0; i < 50 && (r < -1 || !done); i++) {
		if (r < -1)
			r = tls_handshake(t);
		n = done ? 1 : SSL_do_handshake(ssl);
		done = n == 1;
		if (n != 1 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ &&
		    r >= -1)
			break;
	}
	return r == 0 && done ? 0 : -1;
}

static SSL_CTX *
raw_client(int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, version);
	return ctx;
}

static void
test_versions(void)
{
	static const struct {
		int version, ok;
	} v[] = {{TLS1_VERSION, 0}, {TLS1_1_VERSION, 0}, {TLS1_2_VERSION, 1},
	    {TLS1_3_VERSION, 1}};
	struct tls_config *sc = server_of(&good);
	struct tls *s;
	SSL_CTX *ctx;
	SSL *c;
	size_t i;
	int fd[2];

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		sockets(fd);
		ctx = raw_client(v[i].version);
		c = raw_new(ctx, fd[1], 0);
		s = tls_server(sc, fd[0]);
		CHECK((raw_shake(c, s) == 0) == v[i].ok);
		if (!v[i].ok)
			CHECK(strcmp(tls_error(s),
				  "no common version of TLS") == 0);
		SSL_free(c);
		SSL_CTX_free(ctx);
		tls_free(s);
		close(fd[0]);
		close(fd[1]);
	}
	tls_config_free(sc);
}

/* Nothing that a second handshake could begin from. */
static void
test_renegotiation(int version)
{
	struct tls_config *sc = server_of(&good);
	SSL_CTX *ctx = raw_client(version);
	struct tls *s;
	SSL *c;
	char buf[16];
	int fd[2], i, n = 0;

	SSL_CTX_set_options(ctx,
	    SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_LEGACY_SERVER_CONNECT);
	sockets(fd);
	c = raw_new(ctx, fd[1], 0);
	s = tls_server(sc, fd[0]);
	CHECK(raw_shake(c, s) == 0);
	CHECK(tls_write(s, "hello", 5) == 5);
	CHECK(SSL_read(c, buf, sizeof(buf)) == 5);
	CHECK(SSL_SESSION_has_ticket(SSL_get0_session(c)) == 0);
	CHECK(SSL_get_current_compression(c) == NULL);
	if (version == TLS1_2_VERSION) {
		CHECK(SSL_session_reused(c) == 0);
		CHECK(SSL_renegotiate(c) == 1);
		for (i = 0; i < 20 && n != 1; i++) {
			n = SSL_do_handshake(c);
			CHECK(tls_read(s, buf, sizeof(buf)) <= 0);
		}
		CHECK(n != 1);
	} else
		CHECK(SSL_SESSION_is_resumable(SSL_get0_session(c)) == 0);
	SSL_free(c);
	SSL_CTX_free(ctx);
	tls_free(s);
	tls_config_free(sc);
	close(fd[0]);
	close(fd[1]);
}

static int
alpn_with(const unsigned char *offer, unsigned int len, const char *want)
{
	struct tls_config *sc = server_of(&good);
	SSL_CTX *ctx = raw_client(TLS1_3_VERSION);
	const unsigned char *p;
	unsigned int n;
	struct tls *s;
	SSL *c;
	int fd[2], rv;

	SSL_CTX_set_alpn_protos(ctx, offer, len);
	sockets(fd);
	c = raw_new(ctx, fd[1], 0);
	s = tls_server(sc, fd[0]);
	rv = raw_shake(c, s);
	SSL_get0_alpn_selected(c, &p, &n);
	if (want != NULL)
		CHECK(n == strlen(want) && memcmp(p, want, n) == 0);
	SSL_free(c);
	SSL_CTX_free(ctx);
	tls_free(s);
	tls_config_free(sc);
	close(fd[0]);
	close(fd[1]);
	return rv;
}

/* A server that asks for a certificate; version decides when it says so. */
static void
asks(int version, const struct cert *own, int ok)
{
	struct tls_config *cc = client_of(ca.pem, own);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	const unsigned char *p;
	unsigned int n;
	struct tls *c;
	SSL *s;
	char buf[16];
	int fd[2], rv;

	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_use_certificate(ctx, good.x);
	SSL_CTX_use_PrivateKey(ctx, good.key);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.x);
	SSL_CTX_set_verify(
	    ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	sockets(fd);
	s = raw_new(ctx, fd[0], 1);
	c = tls_client(cc, fd[1], "gw.example");
	rv = raw_shake(s, c);
	CHECK((rv == 0) == ok);
	CHECK(strcmp(SSL_get_servername(s, TLSEXT_NAMETYPE_host_name),
		  "gw.example") == 0);
	if (ok) {
		CHECK(SSL_get_verify_result(s) == X509_V_OK);
		SSL_get0_alpn_selected(s, &p, &n);
		CHECK(n == 0); /* this server chooses none */
		CHECK(tls_write(c, "hi", 2) == 2);
		CHECK(SSL_read(s, buf, sizeof(buf)) == 2);
	} else {
		CHECK(tls_read(c, buf, sizeof(buf)) == -1);
		CHECK(tls_refused(c));
		CHECK(!tls_untrusted(c));
		if (strstr(tls_error(c), "certificate") == NULL)
			printf("%s\n", tls_error(c));
		CHECK(strstr(tls_error(c), "certificate") != NULL);
	}
	SSL_free(s);
	SSL_CTX_free(ctx);
	tls_free(c);
	tls_config_free(cc);
	close(fd[0]);
	close(fd[1]);
}

/* Peers that do not speak TLS, and one that leaves. */
static void
test_not_tls(void)
{
	struct tls_config *sc = server_of(&good), *cc = client_of(ca.pem, NULL);
	struct tls *t;
	int fd[2];

	sockets(fd);
	t = tls_server(sc, fd[0]);
	CHECK(write(fd[1], "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27) == 27);
	CHECK(tls_handshake(t) == -1);
	CHECK(strcmp(tls_error(t), "it sent plain HTTP") == 0);
	tls_free(t);
	close(fd[0]);
	close(fd[1]);

	sockets(fd);
	t = tls_client(cc, fd[0], "gw.example");
	CHECK(tls_handshake(t) == TLS_WANT_READ);
	CHECK(write(fd[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28);
	CHECK(tls_handshake(t) == -1);
	CHECK(strcmp(tls_error(t), "it does not speak TLS") == 0);
	tls_free(t);
	close(fd[0]);
	close(fd[1]);

	sockets(fd);
	t = tls_client(cc, fd[0], "gw.example");
	CHECK(tls_handshake(t) == TLS_WANT_READ);
	close(fd[1]);
	CHECK(tls_handshake(t) == -1);
	CHECK(*tls_error(t) != '\0' && !tls_untrusted(t));
	tls_free(t);
	close(fd[0]);
	tls_config_free(sc);
	tls_config_free(cc);
}

static void
bad_pair(const char *pem, const char *key, int want_key, const char *want)
{
	char err[TLS_ERRLEN] = "";
	int in_key = -1;

	CHECK(tls_config_server(pem, key, err, &in_key) == NULL);
	if (in_key != want_key || strstr(err, want) == NULL)
		printf("in_key %d: %s (%s)\n", in_key, err, want);
	CHECK(in_key == want_key && strstr(err, want) != NULL);
	CHECK(tls_config_client(ca.pem, pem, key, err, &in_key) == NULL ||
	      *pem == '\0');
}

static void
test_configs(void)
{
	char err[TLS_ERRLEN], *cut, *locked;
	BIO *bio = BIO_new(BIO_s_mem());
	char pass[] = "secret";

	PEM_write_bio_PrivateKey(bio, good.key, EVP_aes_128_cbc(),
	    (unsigned char *)pass, 6, NULL, NULL);
	locked = bio_text(bio);
	bad_pair("nothing", good.keypem, 0, "holds no certificate");
	bad_pair(good.keypem, good.keypem, 0, "holds no certificate");
	bad_pair(good.pem, "nothing", 1, "holds no private key");
	bad_pair(good.pem, good.pem, 1, "holds no private key");
	bad_pair(good.pem, addr.keypem, 1, "does not belong");
	bad_pair(good.pem, locked, 1, "is encrypted");
	cut = xstrdup(good.pem);
	cut[200] = '\0';
	bad_pair(cut, good.keypem, 0, "");
	cut[100] = '!';
	cut[101] = '!';
	strlcpy(cut + 150, "\n-----END CERTIFICATE-----\n", 50);
	bad_pair(cut, good.keypem, 0, "");
	CHECK(tls_check_ca(cut, err) == -1 && *err != '\0');
	CHECK(tls_check_ca("", err) == -1);
	CHECK(strcmp(err, "holds no certificate") == 0);
	CHECK(tls_check_ca(good.keypem, err) == -1);
	CHECK(tls_check_ca(ca.pem, err) == 0);
	free(cut);
	free(locked);
}

int
main(void)
{
	static const unsigned char h2[] = "\x02h2",
				   both[] = "\x02h2\x08http/1.1";

	(void)signal(SIGPIPE, SIG_IGN);
	tls_init();
	ca = cert_make("ca", NULL, NULL, -DAY, DAY);
	good = cert_make("good", "DNS:gw.example,DNS:10.0.0.1", &ca, -DAY, DAY);
	addr = cert_make("addr", "IP:127.0.0.1,IP:::1", &ca, -DAY, DAY);
	expired = cert_make("old", "DNS:gw.example", &ca, -2 * DAY, -DAY);
	early = cert_make("early", "DNS:gw.example", &ca, DAY, 2 * DAY);
	self = cert_make("self", "DNS:gw.example", NULL, -DAY, DAY);
	foreign_ca = cert_make("foreign ca", NULL, NULL, -DAY, DAY);
	foreign =
	    cert_make("foreign", "DNS:gw.example", &foreign_ca, -DAY, DAY);
	client = cert_make("client", "DNS:client", &ca, -DAY, DAY);

	test_trust();
	test_system();
	test_bytes();
	test_versions();
	test_renegotiation(TLS1_2_VERSION);
	test_renegotiation(TLS1_3_VERSION);
	CHECK(alpn_with(both, sizeof(both) - 1, "http/1.1") == 0);
	CHECK(alpn_with(h2, sizeof(h2) - 1, NULL) == -1);
	asks(TLS1_2_VERSION, &client, 1);
	asks(TLS1_3_VERSION, &client, 1);
	asks(TLS1_2_VERSION, NULL, 0);
	asks(TLS1_3_VERSION, &foreign, 0);
	test_not_tls();
	test_configs();

	cert_free(&ca);
	cert_free(&good);
	cert_free(&addr);
	cert_free(&expired);
	cert_free(&early);
	cert_free(&self);
	cert_free(&foreign_ca);
	cert_free(&foreign);
	cert_free(&client);
	TEST_END();
}
