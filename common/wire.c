/*
 * The table-driven codec. Numbers travel in host order: both ends are the
 * same build on the same machine. Strings, blobs and vectors are preceded by
 * a 32-bit length or count.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "log.h"
#include "wire.h"

struct cursor {
	const uint8_t *p;
	size_t left;
};

static int size_msg(const struct msgdef *, const uint8_t *, size_t *);
static void put_msg(const struct msgdef *, const uint8_t *, uint8_t **);
static int get_msg(const struct msgdef *, uint8_t *, struct cursor *);
static void free_fields(const struct msgdef *, uint8_t *);

static size_t
scalar_size(enum wire_type type)
{
	switch (type) {
	case W_U8:
		return 1;
	case W_U16:
		return 2;
	case W_U32:
		return 4;
	case W_U64:
	case W_I64:
		return 8;
	default:
		return 0;
	}
}

/* ---- encoding: first the size, with all checks, then the bytes ---- */

static int
size_str(const char *s, uint32_t max, size_t *total)
{
	size_t n;

	n = s != NULL ? strlen(s) : 0;
	if (n > max)
		return -1;
	*total += 4 + n;
	return 0;
}

static int
size_field(const struct wire_field *f, const uint8_t *at, size_t *total)
{
	const struct strv *sv;
	const struct u32v *uv;
	const struct blob *b;
	const struct vec *v;
	char *s;
	uint32_t i;

	switch (f->type) {
	case W_FIXED:
		*total += f->max;
		return 0;
	case W_STR:
	case W_SECRET:
		memcpy(&s, at, sizeof(s));
		return size_str(s, f->max, total);
	case W_STRV:
		sv = (const struct strv *)(const void *)at;
		if (sv->n > f->maxn)
			return -1;
		*total += 4;
		for (i = 0; i < sv->n; i++) {
			if (size_str(sv->v[i], f->max, total) == -1)
				return -1;
		}
		return 0;
	case W_U32V:
		uv = (const struct u32v *)(const void *)at;
		*total += 4 + (size_t)uv->n * 4;
		return uv->n > f->maxn ? -1 : 0;
	case W_BLOB:
		b = (const struct blob *)(const void *)at;
		*total += 4 + (size_t)b->len;
		return b->len > f->max ? -1 : 0;
	case W_VEC:
		v = (const struct vec *)(const void *)at;
		if (v->n > f->maxn)
			return -1;
		*total += 4;
		for (i = 0; i < v->n; i++) {
			if (size_msg(f->sub,
				(const uint8_t *)v->p + i * f->sub->size,
				total) == -1)
				return -1;
		}
		return 0;
	default:
		*total += scalar_size(f->type);
		return 0;
	}
}

static int
size_msg(const struct msgdef *def, const uint8_t *msg, size_t *total)
{
	size_t i;

	for (i = 0; i < def->nf; i++) {
		if (size_field(&def->f[i], msg + def->f[i].off, total) == -1)
			return -1;
	}
	return 0;
}

static void
put(uint8_t **to, const void *p, size_t n)
{
	if (n > 0)
		memcpy(*to, p, n);
	*to += n;
}

static void
put_counted(uint8_t **to, const void *p, size_t n)
{
	uint32_t len = (uint32_t)n;

	put(to, &len, sizeof(len));
	put(to, p, n);
}

static void
put_field(const struct wire_field *f, const uint8_t *at, uint8_t **to)
{
	const struct strv *sv;
	const struct u32v *uv;
	const struct blob *b;
	const struct vec *v;
	char *s;
	uint32_t i;

	switch (f->type) {
	case W_FIXED:
		put(to, at, f->max);
		break;
	case W_STR:
	case W_SECRET:
		memcpy(&s, at, sizeof(s));
		put_counted(to, s, s != NULL ? strlen(s) : 0);
		break;
	case W_STRV:
		sv = (const struct strv *)(const void *)at;
		put(to, &sv->n, 4);
		for (i = 0; i < sv->n; i++)
			put_counted(to, sv->v[i],
			    sv->v[i] != NULL ? strlen(sv->v[i]) : 0);
		break;
	case W_U32V:
		uv = (const struct u32v *)(const void *)at;
		put(to, &uv->n, 4);
		put(to, uv->v, (size_t)uv->n * 4);
		break;
	case W_BLOB:
		b = (const struct blob *)(const void *)at;
		put_counted(to, b->p, b->len);
		break;
	case W_VEC:
		v = (const struct vec *)(const void *)at;
		put(to, &v->n, 4);
		for (i = 0; i < v->n; i++)
			put_msg(f->sub,
			    (const uint8_t *)v->p + i * f->sub->size, to);
		break;
	default:
		put(to, at, scalar_size(f->type));
		break;
	}
}

static void
put_msg(const struct msgdef *def, const uint8_t *msg, uint8_t **to)
{
	size_t i;

	for (i = 0; i < def->nf; i++)
		put_field(&def->f[i], msg + def->f[i].off, to);
}

uint8_t *
wire_encode(const struct msgdef *def, const void *msg, size_t *len)
{
	uint8_t *buf, *to;
	size_t total = 0;

	if (size_msg(def, msg, &total) == -1) {
		errno = EMSGSIZE;
		return NULL;
	}
	if ((buf = malloc(total > 0 ? total : 1)) == NULL)
		return NULL;
	to = buf;
	put_msg(def, msg, &to);
	*len = total;
	return buf;
}

/* ---- decoding ---- */

static int
get(struct cursor *c, void *to, size_t n)
{
	if (n > c->left)
		return -1;
	if (n > 0)
		memcpy(to, c->p, n);
	c->p += n;
	c->left -= n;
	return 0;
}

/* A count: each of what it counts takes at least `each` bytes of the rest. */
static int
get_count(struct cursor *c, uint32_t max, size_t each, uint32_t *n)
{
	if (get(c, n, sizeof(*n)) == -1 || *n > max || *n > c->left / each)
		return -1;
	return 0;
}

static int
get_str(struct cursor *c, uint32_t max, char **s)
{
	uint32_t n;

	if (get_count(c, max, 1, &n) == -1 || memchr(c->p, '\0', n) != NULL)
		return -1;
	if ((*s = malloc((size_t)n + 1)) == NULL)
		return -1;
	(*s)[n] = '\0';
	return get(c, *s, n);
}

static int
get_strv(struct cursor *c, const struct wire_field *f, struct strv *sv)
{
	uint32_t n;

	if (get_count(c, f->maxn, 4, &n) == -1)
		return -1;
	if (n == 0)
		return 0;
	if ((sv->v = calloc(n, sizeof(*sv->v))) == NULL)
		return -1;
	while (sv->n < n) {
		if (get_str(c, f->max, &sv->v[sv->n++]) == -1)
			return -1;
	}
	return 0;
}

static int
get_u32v(struct cursor *c, const struct wire_field *f, struct u32v *uv)
{
	uint32_t n;

	if (get_count(c, f->maxn, 4, &n) == -1)
		return -1;
	if (n == 0)
		return 0;
	if ((uv->v = calloc(n, sizeof(*uv->v))) == NULL)
		return -1;
	uv->n = n;
	return get(c, uv->v, (size_t)n * 4);
}

static int
get_blob(struct cursor *c, const struct wire_field *f, struct blob *b)
{
	uint32_t n;

	if (get_count(c, f->max, 1, &n) == -1)
		return -1;
	if (n == 0)
		return 0;
	if ((b->p = malloc(n)) == NULL)
		return -1;
	b->len = n;
	return get(c, b->p, n);
}

static int
get_vec(struct cursor *c, const struct wire_field *f, struct vec *v)
{
	uint32_t n;

	if (get_count(c, f->maxn, 1, &n) == -1)
		return -1;
	if (n == 0)
		return 0;
	if ((v->p = calloc(n, f->sub->size)) == NULL)
		return -1;
	while (v->n < n) {
		if (get_msg(f->sub, (uint8_t *)v->p + v->n++ * f->sub->size,
			c) == -1)
			return -1;
	}
	return 0;
}

static int
get_field(struct cursor *c, const struct wire_field *f, uint8_t *at)
{
	switch (f->type) {
	case W_FIXED:
		return get(c, at, f->max);
	case W_STR:
	case W_SECRET:
		return get_str(c, f->max, (char **)(void *)at);
	case W_STRV:
		return get_strv(c, f, (struct strv *)(void *)at);
	case W_U32V:
		return get_u32v(c, f, (struct u32v *)(void *)at);
	case W_BLOB:
		return get_blob(c, f, (struct blob *)(void *)at);
	case W_VEC:
		return get_vec(c, f, (struct vec *)(void *)at);
	default:
		return get(c, at, scalar_size(f->type));
	}
}

/* Leaves what it has built so far in msg: the outermost caller frees all. */
static int
get_msg(const struct msgdef *def, uint8_t *msg, struct cursor *c)
{
	size_t i;

	for (i = 0; i < def->nf; i++) {
		if (get_field(c, &def->f[i], msg + def->f[i].off) == -1)
			return -1;
	}
	return 0;
}

int
wire_decode(
    const struct msgdef *def, void *msg, const uint8_t *data, size_t len)
{
	struct cursor c = {data, len};

	memset(msg, 0, def->size);
	if (get_msg(def, msg, &c) == -1 || c.left != 0) {
		wire_free(def, msg);
		return -1;
	}
	return 0;
}

/* ---- freeing and copying ---- */

static void
free_vec(const struct wire_field *f, struct vec *v)
{
	uint32_t i;

	for (i = 0; i < v->n; i++)
		free_fields(f->sub, (uint8_t *)v->p + i * f->sub->size);
	if (v->p != NULL)
		freezero(v->p, (size_t)v->n * f->sub->size);
}

static void
free_fields(const struct msgdef *def, uint8_t *msg)
{
	const struct wire_field *f;
	uint8_t *at;
	char *s;
	size_t i;

	for (i = 0; i < def->nf; i++) {
		f = &def->f[i];
		at = msg + f->off;
		switch (f->type) {
		case W_FIXED:
			explicit_bzero(at, f->max);
			break;
		case W_STR:
			free(*(char **)(void *)at);
			break;
		case W_SECRET:
			if ((s = *(char **)(void *)at) != NULL)
				freezero(s, strlen(s));
			break;
		case W_STRV:
			strv_free((struct strv *)(void *)at);
			break;
		case W_U32V:
			free(((struct u32v *)(void *)at)->v);
			break;
		case W_BLOB:
			freezero(((struct blob *)(void *)at)->p,
			    ((struct blob *)(void *)at)->len);
			break;
		case W_VEC:
			free_vec(f, (struct vec *)(void *)at);
			break;
		default:
			break;
		}
	}
}

void
wire_free(const struct msgdef *def, void *msg)
{
	free_fields(def, msg);
	explicit_bzero(msg, def->size);
}

int
wire_copy(const struct msgdef *def, void *dst, const void *src)
{
	uint8_t *buf;
	size_t len;
	int ret;

	if ((buf = wire_encode(def, src, &len)) == NULL)
		return -1;
	ret = wire_decode(def, dst, buf, len);
	freezero(buf, len);
	return ret;
}

int
strv_add(struct strv *sv, const char *s)
{
	char **v, *copy;

	if (sv->n == UINT32_MAX || (copy = strdup(s)) == NULL)
		return -1;
	v = reallocarray(sv->v, (size_t)sv->n + 1, sizeof(*v));
	if (v == NULL) {
		free(copy);
		return -1;
	}
	sv->v = v;
	sv->v[sv->n++] = copy;
	return 0;
}

void
xstrv_add(struct strv *sv, const char *s)
{
	if (strv_add(sv, s) == -1)
		fatalx("out of memory");
}

int
strv_has(const struct strv *sv, const char *s)
{
	uint32_t i;

	for (i = 0; i < sv->n; i++) {
		if (strcmp(sv->v[i], s) == 0)
			return 1;
	}
	return 0;
}

void
strv_free(struct strv *sv)
{
	uint32_t i;

	for (i = 0; i < sv->n; i++)
		free(sv->v[i]);
	free(sv->v);
	sv->v = NULL;
	sv->n = 0;
}
