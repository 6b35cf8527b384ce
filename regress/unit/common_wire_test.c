/*
 * The codec against every struct of the contract: tables cover their structs,
 * what goes in comes out, and nothing else is taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "proto.h"
#include "test.h"

static unsigned int seed = 1;

static unsigned int
rnd(void)
{
	seed = seed * 1103515245u + 12345u;
	return seed >> 8;
}

static char *
text(size_t len)
{
	char *s = xmalloc(len + 1);
	size_t i;

	for (i = 0; i < len; i++)
		s[i] = (char)(1 + rnd() % 255);
	s[len] = '\0';
	return s;
}

static size_t
below(uint32_t max, size_t cap)
{
	return rnd() % ((max < cap ? max : cap) + 1);
}

static void fill(const struct msgdef *, void *, int);

/* full: up to the limits that the table gives, else small. */
static void
fill_field(const struct wire_field *f, uint8_t *at, int full)
{
	struct strv *sv;
	struct u32v *uv;
	struct blob *b;
	struct vec *v;
	size_t i, n, len;

	switch (f->type) {
	case W_STR:
	case W_SECRET:
		len = full ? f->max : below(f->max, 12);
		*(char **)(void *)at = text(len);
		break;
	case W_STRV:
		sv = (struct strv *)(void *)at;
		n = full ? f->maxn : below(f->maxn, 3);
		sv->v = xcalloc(n, sizeof(*sv->v));
		for (i = 0; i < n; i++)
			sv->v[i] = text(full ? f->max : below(f->max, 5));
		sv->n = (uint32_t)n;
		break;
	case W_U32V:
		uv = (struct u32v *)(void *)at;
		n = full ? f->maxn : below(f->maxn, 4);
		uv->v = xcalloc(n, sizeof(*uv->v));
		for (i = 0; i < n; i++)
			uv->v[i] = rnd();
		uv->n = (uint32_t)n;
		break;
	case W_BLOB:
		b = (struct blob *)(void *)at;
		b->len = (uint32_t)(full ? f->max : below(f->max, 9));
		b->p = (uint8_t *)text(b->len);
		break;
	case W_VEC:
		v = (struct vec *)(void *)at;
		n = full ? f->maxn : below(f->maxn, 3);
		v->p = xcalloc(n, f->sub->size);
		for (i = 0; i < n; i++)
			fill(f->sub, (uint8_t *)v->p + i * f->sub->size, full);
		v->n = (uint32_t)n;
		break;
	case W_FIXED:
		for (i = 0; i < f->max; i++)
			at[i] = (uint8_t)rnd();
		break;
	case W_U8:
		*at = (uint8_t)rnd();
		break;
	case W_U16:
		*(uint16_t *)(void *)at = (uint16_t)rnd();
		break;
	case W_U32:
		*(uint32_t *)(void *)at = rnd();
		break;
	case W_U64:
	case W_I64:
		*(uint64_t *)(void *)at = (uint64_t)rnd() << 40 | rnd();
		break;
	}
}

static void
fill(const struct msgdef *def, void *msg, int full)
{
	size_t i;

	memset(msg, 0, def->size);
	for (i = 0; i < def->nf; i++)
		fill_field(&def->f[i], (uint8_t *)msg + def->f[i].off, full);
}

static int
all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n > 0) {
		if (b[--n] != 0)
			return 0;
	}
	return 1;
}

static void
field_layout(const struct wire_field *f, size_t *size, size_t *align)
{
	*align = sizeof(void *);
	switch (f->type) {
	case W_U8:
		*size = *align = 1;
		break;
	case W_U16:
		*size = *align = 2;
		break;
	case W_U32:
		*size = *align = 4;
		break;
	case W_U64:
	case W_I64:
		*size = *align = 8;
		break;
	case W_FIXED:
		*size = f->max;
		*align = 1;
		break;
	case W_STR:
	case W_SECRET:
		*size = sizeof(char *);
		break;
	default:
		*size = sizeof(struct vec);
		break;
	}
}

/* No gap that alignment does not explain: no field was forgotten. */
static void
test_cover(const struct msgdef *def)
{
	size_t i, size, align, big = 1, end = 0;

	for (i = 0; i < def->nf; i++) {
		field_layout(&def->f[i], &size, &align);
		if (align > big)
			big = align;
		end = (end + align - 1) / align * align;
		if (def->f[i].off != end)
			printf("%s: field %zu\n", def->name, i);
		CHECK(def->f[i].off == end);
		end += size;
	}
	CHECK((end + big - 1) / big * big == def->size);
}

static void
test_round(const struct msgdef *def, int full)
{
	uint8_t *a, *b, *tail;
	void *in = xmalloc(def->size), *out = xmalloc(def->size);
	size_t i, alen, blen;
	int taken = 0;

	fill(def, in, full);
	CHECK((a = wire_encode(def, in, &alen)) != NULL);
	/* Exactly as large as the data, so that ASan sees a read beyond. */
	CHECK(wire_decode(def, out, a, alen) == 0);
	CHECK((b = wire_encode(def, out, &blen)) != NULL);
	CHECK(alen == blen && memcmp(a, b, alen) == 0);
	wire_free(def, out);
	CHECK(all_zero(out, def->size));
	CHECK(wire_copy(def, out, in) == 0);
	wire_free(def, out);
	/* Of a full one, some hundred: each costs its length. */
	for (i = 0; i < alen; i += full ? 1 + rnd() % (alen / 64 + 1) : 1) {
		tail = xmalloc(i);
		memcpy(tail, a, i);
		taken += wire_decode(def, out, tail, i) == 0;
		free(tail);
	}
	CHECK(taken == 0);
	tail = xcalloc(1, alen + 1);
	memcpy(tail, a, alen);
	CHECK(wire_decode(def, out, tail, alen + 1) == -1);
	CHECK(all_zero(out, def->size));
	free(tail);
	for (i = 0; i < (full ? 0 : 300) && alen > 0; i++) {
		a[rnd() % alen] = (uint8_t)rnd();
		if (wire_decode(def, out, a, alen) == 0)
			wire_free(def, out);
	}
	wire_free(def, in);
	free(a);
	free(b);
	free(in);
	free(out);
}

/* Each limit, one over: the encoder refuses, and so does the decoder when the
 * sender knows no limit. */
static void
test_over(const struct msgdef *def)
{
	struct wire_field *loose;
	struct msgdef ld = *def;
	void *msg = xmalloc(def->size), *out = xmalloc(def->size);
	uint8_t *buf;
	size_t i, len;
	int pass;

	loose = xcalloc(def->nf, sizeof(*loose));
	for (i = 0; i < def->nf * 2; i++) {
		pass = i < def->nf;
		memcpy(loose, def->f, def->nf * sizeof(*loose));
		ld.f = loose;
		switch (def->f[i % def->nf].type) {
		case W_STR:
		case W_SECRET:
		case W_BLOB:
			if (!pass)
				continue;
			loose[i].max++;
			break;
		case W_STRV:
			if (pass)
				loose[i].max++;
			else
				loose[i % def->nf].maxn++;
			break;
		case W_U32V:
		case W_VEC:
			if (!pass)
				continue;
			loose[i].maxn++;
			break;
		default:
			continue;
		}
		fill(&ld, msg, 1);
		errno = 0;
		len = 0;
		CHECK(wire_encode(def, msg, &len) == NULL);
		CHECK(errno == EMSGSIZE);
		CHECK((buf = wire_encode(&ld, msg, &len)) != NULL);
		CHECK(wire_decode(def, out, buf, len) == -1);
		CHECK(wire_decode(&ld, out, buf, len) == 0);
		wire_free(&ld, out);
		wire_free(&ld, msg);
		free(buf);
	}
	free(loose);
	free(msg);
	free(out);
}

static void
test_special(void)
{
	struct m_prepared m = {0}, out;
	struct conf_endpoint ep = {0};
	struct strv sv = {0};
	uint8_t *buf, huge[8];
	size_t len;

	/* NULL is sent as the empty string. */
	CHECK((buf = wire_encode(&def_m_prepared, &m, &len)) != NULL);
	CHECK(wire_decode(&def_m_prepared, &out, buf, len) == 0);
	CHECK(out.error != NULL && out.error[0] == '\0');
	wire_free(&def_m_prepared, &out);
	free(buf);
	/* A NUL byte in a string is refused. */
	m.error = xstrdup("abc");
	CHECK((buf = wire_encode(&def_m_prepared, &m, &len)) != NULL);
	buf[len - 2] = '\0';
	CHECK(wire_decode(&def_m_prepared, &out, buf, len) == -1);
	free(buf);
	free(m.error);
	/* A count with nothing behind it allocates nothing. */
	memset(huge, 0xff, sizeof(huge));
	CHECK(wire_decode(&def_conf_endpoint, &ep, huge, 8) == -1);
	CHECK(wire_decode(&def_conf_endpoint, &ep, NULL, 0) == -1);

	CHECK(strv_add(&sv, "a") == 0 && strv_add(&sv, "b") == 0);
	CHECK(strv_has(&sv, "b") && !strv_has(&sv, "c"));
	strv_free(&sv);
	CHECK(sv.n == 0 && sv.v == NULL);
	CHECK(strcmp(role_name(ROLE_KEEPER), "keeper") == 0);
	CHECK(strcmp(role_name(200), "unknown") == 0);
}

int
main(void)
{
	size_t i, j, n = 0;

	for (i = 0; proto_defs[i] != NULL; i++) {
		n++;
		test_cover(proto_defs[i]);
		for (j = 0; j < 20; j++)
			test_round(proto_defs[i], 0);
		test_round(proto_defs[i], 1);
		test_over(proto_defs[i]);
	}
	CHECK(n == 61);
	test_special();
	TEST_END();
}
