#ifndef OAUTH_H
#define OAUTH_H

/*
 * The authorization server's face: every judgement is authd's; here requests
 * are decoded, asked on, and the answers written. ref: RFC 8414, 9728, 7591,
 * 6749/OAuth 2.1, 7636, 8707, 9207, 7009.
 */
#include <stddef.h>

struct request;

void oauth_resource_metadata(struct request *); /* RFC 9728, root and path */
void oauth_server_metadata(struct request *); /* RFC 8414 */
void oauth_openid_metadata(struct request *); /* the OpenID mirror */
void oauth_jwks(struct request *);
void oauth_register(struct request *); /* POST, RFC 7591 */
void oauth_authorize(struct request *); /* GET and POST */
void oauth_style(struct request *); /* GET the style sheet */
void oauth_token(struct request *);
void oauth_revoke(struct request *);

/*
 * Answers 401 with a page for a person whose browser opened an MCP endpoint:
 * the address to paste and where. challenge: value of WWW-Authenticate.
 */
void oauth_browser_page(struct request *, const char *challenge);

/*
 * Scheme and host this client knows us by: the issuer, or its scheme with the
 * request's Host when that is another accepted name of ours (design 5). In
 * dst or the issuer itself.
 */
const char *oauth_base(const struct request *, char *dst, size_t dstsize);

#endif
