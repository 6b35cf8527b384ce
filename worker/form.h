#ifndef FORM_H
#define FORM_H

/*
 * Parameters of a query or an application/x-www-form-urlencoded body, decoded.
 * A parameter that occurs twice is an error in OAuth (2.1 section 3), except
 * resource (RFC 8707).
 */
#include <stddef.h>

#include "http.h"
#include "wire.h"

#define FORM_MAX_PARAMS 64

struct form_param {
	char *name; /* decoded, NUL-terminated */
	char *value; /* never NULL */
};
struct form {
	struct form_param p[FORM_MAX_PARAMS];
	size_t n;
	char *store; /* holds all names and values */
	size_t size;
};

#define FORM_BAD   (-1) /* bad escape, NUL byte, no UTF-8, too many, no memory */
#define FORM_TWICE (-2) /* some parameter other than resource came twice */

/* 0, or one of the above; form_free is due only after 0. */
int form_parse(struct form *, const char *p, size_t len);
/* Value, or NULL when absent. An empty value counts as absent (RFC 6749 3.1).
 */
const char *form_get(const struct form *, const char *name);
/* All values of resource. -1 if memory is out. */
int form_resources(const struct form *, struct strv *);
/* Wipes and frees. */
void form_free(struct form *);

/* Decodes one urlencoded value; malloc'd, NULL on FORM_BAD. */
char *form_decode(const char *p, size_t len);
/* Appends value percent-encoded (RFC 3986 unreserved kept) to dst. -1 if it
 * does not fit. */
int form_encode(char *dst, size_t dstsize, const char *value);

/* Value of a cookie (RFC 6265 4.2), or len 0 with p NULL. A name that occurs
 * twice counts as absent. */
struct span cookie_get(const struct span *header, const char *name);

#endif
