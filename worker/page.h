#ifndef PAGE_H
#define PAGE_H

/*
 * The pages a person sees, and the address the browser is sent to at the end.
 */
#include <stddef.h>

#include "json.h"
#include "proto.h"

struct request;

/*
 * Appends fmt, in which %s is the only directive; values are escaped for HTML
 * text and quoted attributes, and there is no other way for a value to get
 * into a page. Bytes that are no UTF-8, control characters and invisible or
 * direction-changing ones become U+FFFD.
 */
void page_put(struct json_buf *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Each appends a whole page; memory errors are in the buffer. */
void page_signin(struct json_buf *, const struct a_page *);
void page_consent(struct json_buf *, const struct a_page *);
/* error: a PAGE_E_* word; description may be empty. */
void page_error(struct json_buf *, const char *error, const char *description);
/* A PAGE_RETURN; to: where its link leads. */
void page_return(struct json_buf *, const struct a_page *, const char *to);
/* For a browser that opened the MCP endpoint at this address. */
void page_paste(struct json_buf *, const char *address);
/* Start and end around a page's body. title is followed by the host. */
void page_begin(struct json_buf *, const char *title, const char *user);
void page_end(struct json_buf *);

/* The style sheet's address; its version changes with its content. */
const char *style_url(void);

/* Sends a page with the headers all of them carry and empties the buffer.
 * redirect_uri: where a form of this page may lead in the end, or NULL. */
void page_reply(
    struct request *, int status, const char *redirect_uri, struct json_buf *);

/* ---- redirect URIs (oauth_uri.c) ---- */

struct target {
	char scheme[64];
	char host[256]; /* http and https only, without port */
	char port[8]; /* with its colon, or empty */
	int web; /* http or https */
	int loopback;
};

/* -1 when it is none that authd could have accepted: never shown as a host,
 * never redirected to. */
int target_parse(struct target *, const char *uri);
/* The source expression for CSP form-action; -1 if there is none. */
int target_source(const struct target *, char *dst, size_t dstsize);
/*
 * The address of an authorization response (RFC 6749 4.1.2, RFC 9207): the
 * code or the error, state when there was one, and iss. malloc'd; NULL when
 * the URI is unusable or memory is out.
 */
char *target_location(const struct a_page *, const char *issuer);

#endif
