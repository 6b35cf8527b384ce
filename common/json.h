#ifndef JSON_H
#define JSON_H

/*
 * A one-pass JSON scanner (RFC 8259) that builds no tree: it checks structure,
 * UTF-8 and depth of a whole text and records where the members of the few
 * objects that matter begin and end. Values are spliced, never re-rendered, so
 * numbers and strings pass byte for byte.
 *
 * Watched objects are the root (watch level 0) and the objects reached from it
 * by the caller's chain of keys: chain {"params", "_meta"} watches root,
 * root.params and root.params._meta. In a watched object a key that holds a
 * backslash or occurs twice is an error (design 6).
 */
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH   64
#define JSON_MAX_MEMBERS 96

enum json_type {
	JSON_NONE,
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

/* A value where it stands in the text; strings include their quotes. */
struct json_span {
	const char *p;
	size_t len;
	enum json_type type;
};

struct json_member {
	const char *key; /* without quotes */
	size_t keylen;
	struct json_span val;
	int level; /* 0 root, 1 chain[0], ... */
};

struct json_doc {
	enum json_type root; /* type of the root value */
	struct json_member m[JSON_MAX_MEMBERS]; /* watched, in text order */
	size_t n;
};

enum json_error {
	JSON_OK,
	JSON_E_SYNTAX,
	JSON_E_UTF8,
	JSON_E_DEPTH,
	JSON_E_KEY, /* backslash in a watched key */
	JSON_E_DUP, /* watched key twice */
	JSON_E_MANY, /* more watched members than JSON_MAX_MEMBERS */
};

/* Scans exactly one value with optional white space around it. chain ends
 * with NULL (NULL itself: root only). text need not end in NUL. */
enum json_error json_scan(
    struct json_doc *, const char *text, size_t len, const char *const *chain);
const char *json_strerror(enum json_error);

/* Member of a watched level, or NULL. */
const struct json_member *json_get(
    const struct json_doc *, int level, const char *key);

/*
 * Walking a span whose text has been scanned already (no checks are made
 * again). Start with pos = 0; 1 while there is a next element, 0 at the end.
 * key may be NULL for arrays.
 */
int json_next(const struct json_span *container, size_t *pos,
    struct json_span *key, struct json_span *val);
/* Member of an object span by exact bytes of its key; first match. 0 or -1. */
int json_member(
    const struct json_span *object, const char *key, struct json_span *val);

/*
 * Decodes a string span into dst (always terminated); -1 if it is no string,
 * does not fit, holds U+0000 or a lone surrogate. Returns the length.
 */
ssize_t json_decode(const struct json_span *, char *dst, size_t dstsize);
/* malloc'd; NULL on the same errors or when memory is out. */
char *json_strdup(const struct json_span *);
/* Is it the string s (s has no character that JSON must escape)? */
int json_equals(const struct json_span *, const char *s);
/* Non-negative integer without fraction or exponent; -1 otherwise. */
int json_uint(const struct json_span *, uint64_t *);

/* A growing text. After an error (out of memory) err is set, everything else
 * does nothing, and json_buf_take returns NULL. */
struct json_buf {
	char *p;
	size_t len, cap;
	int err;
};
void json_puts(struct json_buf *, const char *);
void json_put(struct json_buf *, const void *, size_t);
void json_putspan(struct json_buf *, const struct json_span *);
/* A quoted, escaped string; bytes that are no UTF-8 become U+FFFD. */
void json_putstr(struct json_buf *, const char *);
void json_putstrn(struct json_buf *, const char *, size_t);
void json_putint(struct json_buf *, int64_t);
char *json_buf_take(struct json_buf *, size_t *len);
void json_buf_free(struct json_buf *);

#endif
