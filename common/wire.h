#ifndef WIRE_H
#define WIRE_H

/*
 * How a struct travels between processes. A message struct is described once,
 * by a table of its fields; encoder, decoder and free all walk that table, so
 * they cannot drift apart. Every length is checked against the field's max and
 * against what is left; strings may not contain a NUL byte.
 */
#include <stddef.h>
#include <stdint.h>

struct strv {
	char **v;
	uint32_t n;
};
struct u32v {
	uint32_t *v;
	uint32_t n;
};
struct blob {
	uint8_t *p;
	uint32_t len;
};
/* A vector of message structs: p points to n of them. */
struct vec {
	void *p;
	uint32_t n;
};

enum wire_type {
	W_U8,
	W_U16,
	W_U32,
	W_U64,
	W_I64,
	W_FIXED, /* uint8_t[max] in place */
	W_STR, /* char *, never NULL after decoding */
	W_SECRET, /* the same, wiped when freed */
	W_STRV, /* struct strv; max: of each string, maxn: how many */
	W_U32V, /* struct u32v */
	W_BLOB, /* struct blob */
	W_VEC, /* struct vec of sub */
};

struct msgdef;
struct wire_field {
	enum wire_type type;
	size_t off;
	uint32_t max;
	uint32_t maxn;
	const struct msgdef *sub;
};
struct msgdef {
	const char *name;
	size_t size;
	const struct wire_field *f;
	size_t nf;
};

/* Encodes *msg; returns a malloc'd buffer and its length, or NULL when memory
 * is out or a field exceeds its max (errno ENOMEM or EMSGSIZE). A NULL string
 * is sent as empty. Wipe with freezero if it carries secrets. */
uint8_t *wire_encode(const struct msgdef *, const void *msg, size_t *len);
/* Fills *msg (zeroed first). -1 and nothing allocated when data is not
 * exactly one message of this kind. */
int wire_decode(
    const struct msgdef *, void *msg, const uint8_t *data, size_t len);
/* Frees what the fields own and zeroes *msg; strings that a handler has taken
 * were set to NULL by it. */
void wire_free(const struct msgdef *, void *msg);
/* Deep copy into *dst; -1 if memory is out. */
int wire_copy(const struct msgdef *, void *dst, const void *src);

/* strv helpers; strv_add copies, -1 if memory is out, which is fatal to the
 * other. */
int strv_add(struct strv *, const char *);
void xstrv_add(struct strv *, const char *);
int strv_has(const struct strv *, const char *);
void strv_free(struct strv *);

#endif
