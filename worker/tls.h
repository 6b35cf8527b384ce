#ifndef TLS_H
#define TLS_H

/*
 * TLS 1.2 and 1.3 over non-blocking sockets, with verbs like libtls's: a
 * struct tls_config says who we are and whom we trust, a struct tls is one
 * connection. No renegotiation, no compression, no tickets, no resumption;
 * ALPN is http/1.1. Only tls.c knows which library does it.
 *
 * Errors are short texts that follow "it failed: "; they name the reason and
 * hold nothing that a peer chose.
 */
#include <sys/types.h>

#include <stddef.h>

struct tls;
struct tls_config;

#define TLS_WANT_READ  (-2)
#define TLS_WANT_WRITE (-3)
#define TLS_ERRLEN     128

/* Before the sandbox, and before chroot: lets the library read its
 * configuration, and opens the system's bundle of authorities, which is read
 * when the first backend needs it. */
void tls_init(void);

/* A server with this chain (PEM, its own certificate first) and key (PEM, no
 * passphrase). NULL and err set; *in_key says which of the two is wrong. */
struct tls_config *tls_config_server(
    const char *chain, const char *key, char err[TLS_ERRLEN], int *in_key);
/* A client that trusts the authorities in ca, or the system's where it is
 * NULL or empty, and shows chain and key where it is given them. Names are
 * always checked. The plain one (nothing given) is shared. */
struct tls_config *tls_config_client(const char *ca, const char *chain,
    const char *key, char err[TLS_ERRLEN], int *in_key);
/* NULL is nothing to free; connections keep what they need. */
void tls_config_free(struct tls_config *);
/* Holds at least one certificate and nothing that is none: 0, or -1. */
int tls_check_ca(const char *ca, char err[TLS_ERRLEN]);

/* fd stays the caller's. NULL when memory is out. */
struct tls *tls_server(struct tls_config *, int fd);
/* host: a name, sent as SNI and looked for in the certificate, or an address,
 * looked for among its addresses (RFC 6125, RFC 9110 4.3.5). */
struct tls *tls_client(struct tls_config *, int fd, const char *host);
/* 0 when it is done, TLS_WANT_*, or -1. */
int tls_handshake(struct tls *);
/* Bytes, 0 after the peer's close_notify, TLS_WANT_*, or -1: also an end of
 * the connection without one. */
ssize_t tls_read(struct tls *, void *, size_t);
/* At most one record. Bytes, TLS_WANT_*, or -1. After TLS_WANT_* the same
 * bytes come first again, wherever they lie then. */
ssize_t tls_write(struct tls *, const void *, size_t);
/* True if bytes from the socket wait inside: no event will tell of them. */
int tls_pending(struct tls *);
/* Says close_notify, if the socket takes it now. */
void tls_close(struct tls *);
/* Why the last call failed; "" if none did. */
const char *tls_error(const struct tls *);
/* The peer's certificate was not accepted; or the peer sent an alert, which in
 * TLS 1.3 may come after the handshake if it is our certificate it wants. */
int tls_untrusted(const struct tls *);
int tls_refused(const struct tls *);
void tls_free(struct tls *);

#endif
