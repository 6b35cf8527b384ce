#ifndef ORIGIN_H
#define ORIGIN_H

/* Host, Origin and X-Forwarded-For: whom a request is for and from. */
#include "request.h"

/* Is the Host header one that is served here? (DNS rebinding) */
int host_allowed(const struct request *);
/* Does a program of this machine ask, for itself? So far as can be seen: what
 * nobody has to sign in for is there for these only. */
int origin_local(const struct request *);
/* Bearer routes: the issuer's origin, one of `origins`, or loopback when the
 * issuer or the listener is. */
int origin_allowed(const struct request *, const struct span *);
/* Browser routes: no other page may send our forms. origin may be NULL. */
int origin_own(const struct request *, const struct span *);
/* Sets rq->addr from X-Forwarded-For when the peer is a trusted proxy: to the
 * client's address, or to a word where the proxy does not name one. */
void origin_client(struct request *);
/* Is this host (with or without port, brackets) a loopback name? */
int host_loopback(const char *, size_t);
/* Is the text address within "addr/len"? */
int cidr_match(const char *cidr, const char *addr);

#endif
