/*
 * Access tokens: reading, verifying and putting them together. Nothing in a
 * token chooses how it is verified, and the claims are not looked at before
 * the signature has been.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "b64.h"
#include "compat.h"
#include "digest.h"
#include "json.h"
#include "jwt.h"

#define KID_MAX    64
#define HEADER_MAX 256
#define SIG_LEN    64
#define DER_MAX    72 /* two integers of 33 bytes, each with 2, and 2 */

struct jwt_key {
	char kid[KID_MAX];
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *ctx; /* ready to verify, again and again */
};

struct parts {
	const char *p[3];
	size_t len[3];
};

static EVP_PKEY *make_pkey(const uint8_t *, const uint8_t *);
static int kid_valid(const char *);
static int split(const char *, size_t, struct parts *);
static int read_header(const struct parts *, char *, size_t);
static size_t der_integer(uint8_t *, const uint8_t *);
static size_t der_signature(uint8_t *, const uint8_t *);
static int signature_valid(const struct jwt_key *, const struct parts *);
static int read_claims(const struct parts *, struct jwt_claims *);
static int get_text(const struct json_doc *, const char *, char *, size_t);
static int get_id(const struct json_doc *, const char *, uint8_t *);
static int get_time(const struct json_doc *, const char *, int64_t *);
static void put_text(struct json_buf *, const char *, const char *);
static void put_id(struct json_buf *, const char *, const uint8_t *);
static void put_int(struct json_buf *, const char *, int64_t);
static size_t add_part(char *, struct json_buf *);

struct jwt_key *
jwt_key_new(const char *kid, const uint8_t x[32], const uint8_t y[32])
{
	struct jwt_key *k;

	if (!kid_valid(kid) || (k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	strlcpy(k->kid, kid, sizeof(k->kid));
	if ((k->pkey = make_pkey(x, y)) == NULL ||
	    (k->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL)) ==
		NULL ||
	    EVP_PKEY_verify_init(k->ctx) <= 0) {
		ERR_clear_error();
		jwt_key_free(k);
		return NULL;
	}
	return k;
}

void
jwt_key_free(struct jwt_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_CTX_free(k->ctx);
	EVP_PKEY_free(k->pkey);
	free(k);
}

const char *
jwt_key_kid(const struct jwt_key *k)
{
	return k->kid;
}

int
jwt_kid(const char *token, size_t len, char *kid, size_t kidsize)
{
	struct parts parts;

	if (split(token, len, &parts) == -1)
		return -1;
	return read_header(&parts, kid, kidsize);
}

int
jwt_verify(const struct jwt_key *k, const char *token, size_t len,
    struct jwt_claims *claims)
{
	struct parts parts;
	char kid[KID_MAX];

	memset(claims, 0, sizeof(*claims));
	if (split(token, len, &parts) == -1 ||
	    read_header(&parts, kid, sizeof(kid)) == -1 ||
	    strcmp(kid, k->kid) != 0 || !signature_valid(k, &parts))
		return -1;
	if (read_claims(&parts, claims) == -1) {
		memset(claims, 0, sizeof(*claims));
		return -1;
	}
	return 0;
}

char *
jwt_unsigned(const char *kid, const struct jwt_claims *c)
{
	struct json_buf head = {0}, body = {0};
	char *out = NULL;
	size_t n;

	json_puts(&head, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"");
	put_text(&head, "kid", kid);
	json_puts(&head, "}");

	json_puts(&body, "{\"iss\":");
	json_putstr(&body, c->iss);
	put_text(&body, "sub", c->sub);
	put_text(&body, "client_id", c->client_id);
	put_text(&body, "aud", c->aud);
	put_text(&body, "scope", c->scope);
	put_id(&body, "gid", c->gid);
	put_id(&body, "jti", c->jti);
	put_int(&body, "iat", c->iat);
	put_int(&body, "exp", c->exp);
	put_int(&body, "n", c->n);
	json_puts(&body, "}");

	if (!head.err && !body.err)
		out = malloc(B64URL_LEN(head.len) + B64URL_LEN(body.len) + 2);
	if (out != NULL) {
		n = add_part(out, &head);
		out[n++] = '.';
		add_part(out + n, &body);
	}
	json_buf_free(&head);
	json_buf_free(&body);
	return out;
}

char *
jwt_join(const char *input, const uint8_t sig[64])
{
	size_t n = strlen(input);
	char *token;

	if ((token = malloc(n + 1 + B64URL_LEN(SIG_LEN) + 1)) == NULL)
		return NULL;
	memcpy(token, input, n);
	token[n++] = '.';
	b64url_encode(token + n, sig, SIG_LEN);
	return token;
}

/* NULL too when the point is not on the curve. */
static EVP_PKEY *
make_pkey(const uint8_t *x, const uint8_t *y)
{
	char group[] = "prime256v1";
	uint8_t point[65];
	OSSL_PARAM params[3];
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *pkey = NULL;

	point[0] = 4;
	memcpy(point + 1, x, 32);
	memcpy(point + 33, y, 32);
	params[0] = OSSL_PARAM_construct_utf8_string(
	    OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] = OSSL_PARAM_construct_octet_string(
	    OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
	params[2] = OSSL_PARAM_construct_end();
	if ((ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL)) == NULL)
		return NULL;
	if (EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

/* A name for a table, never for a file. */
static int
kid_valid(const char *kid)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t n = strspn(kid, set);

	return n > 0 && n < KID_MAX && kid[n] == '\0';
}

static int
split(const char *token, size_t len, struct parts *parts)
{
	const char *end = token + len, *dot;
	int i;

	if (len > JWT_MAX)
		return -1;
	for (i = 0; i < 3; i++) {
		dot = token < end ? memchr(token, '.', (size_t)(end - token))
				  : NULL;
		if ((dot == NULL) != (i == 2))
			return -1;
		if (dot == NULL)
			dot = end;
		parts->p[i] = token;
		parts->len[i] = (size_t)(dot - token);
		token = dot + 1;
	}
	return 0;
}

/* Exactly alg, typ and kid: whatever else a header may say, ours do not. */
static int
read_header(const struct parts *parts, char *kid, size_t kidsize)
{
	const struct json_member *alg, *typ, *id;
	struct json_doc doc;
	uint8_t text[HEADER_MAX];
	ssize_t n;

	n = b64url_decode(text, sizeof(text), parts->p[0], parts->len[0]);
	if (n == -1 ||
	    json_scan(&doc, (const char *)text, (size_t)n, NULL) != JSON_OK ||
	    doc.root != JSON_OBJECT || doc.n != 3)
		return -1;
	alg = json_get(&doc, 0, "alg");
	typ = json_get(&doc, 0, "typ");
	id = json_get(&doc, 0, "kid");
	if (alg == NULL || !json_equals(&alg->val, "ES256") || typ == NULL ||
	    !json_equals(&typ->val, "at+jwt") || id == NULL ||
	    json_decode(&id->val, kid, kidsize) == -1 || !kid_valid(kid))
		return -1;
	return 0;
}

/* A 32-byte unsigned integer as DER; returns the length, at most 35. */
static size_t
der_integer(uint8_t *out, const uint8_t *p)
{
	size_t skip = 0, pad, len;

	while (skip < 31 && p[skip] == 0)
		skip++;
	len = 32 - skip;
	pad = p[skip] >> 7;
	out[0] = 2;
	out[1] = (uint8_t)(len + pad);
	out[2] = 0;
	memcpy(out + 2 + pad, p + skip, len);
	return 2 + pad + len;
}

static size_t
der_signature(uint8_t *out, const uint8_t *raw)
{
	size_t n;

	n = der_integer(out + 2, raw);
	n += der_integer(out + 2 + n, raw + 32);
	out[0] = 0x30;
	out[1] = (uint8_t)n;
	return n + 2;
}

static int
signature_valid(const struct jwt_key *k, const struct parts *parts)
{
	uint8_t raw[SIG_LEN], der[DER_MAX], hash[DIGEST_LEN];
	size_t derlen;

	if (b64url_decode(raw, sizeof(raw), parts->p[2], parts->len[2]) !=
	    SIG_LEN)
		return 0;
	derlen = der_signature(der, raw);
	sha256(hash, parts->p[0], parts->len[0] + 1 + parts->len[1]);
	if (EVP_PKEY_verify(k->ctx, der, derlen, hash, sizeof(hash)) == 1)
		return 1;
	ERR_clear_error(); /* or TLS takes it for its own */
	return 0;
}

static int
read_claims(const struct parts *parts, struct jwt_claims *c)
{
	uint8_t text[JWT_MAX];
	struct json_doc doc;
	int64_t number;
	ssize_t n;

	n = b64url_decode(text, sizeof(text), parts->p[1], parts->len[1]);
	if (n == -1 ||
	    json_scan(&doc, (const char *)text, (size_t)n, NULL) != JSON_OK ||
	    doc.root != JSON_OBJECT)
		return -1;
	/* We never say nbf; who does, expects it to be obeyed. */
	if (json_get(&doc, 0, "nbf") != NULL ||
	    get_text(&doc, "iss", c->iss, sizeof(c->iss)) <= 0 ||
	    get_text(&doc, "sub", c->sub, sizeof(c->sub)) <= 0 ||
	    get_text(&doc, "client_id", c->client_id, sizeof(c->client_id)) <=
		0 ||
	    get_text(&doc, "aud", c->aud, sizeof(c->aud)) <= 0 ||
	    get_text(&doc, "scope", c->scope, sizeof(c->scope)) == -1 ||
	    get_id(&doc, "gid", c->gid) == -1 ||
	    get_id(&doc, "jti", c->jti) == -1 ||
	    get_time(&doc, "iat", &c->iat) == -1 ||
	    get_time(&doc, "exp", &c->exp) == -1 ||
	    get_time(&doc, "n", &number) == -1 || number > UINT32_MAX)
		return -1;
	c->n = (uint32_t)number;
	return 0;
}

static int
get_text(const struct json_doc *doc, const char *name, char *dst, size_t size)
{
	const struct json_member *m = json_get(doc, 0, name);

	return m == NULL ? -1 : (int)json_decode(&m->val, dst, size);
}

static int
get_id(const struct json_doc *doc, const char *name, uint8_t *id)
{
	char text[B64URL_LEN(ID_LEN) + 1];
	int n = get_text(doc, name, text, sizeof(text));

	if (n == -1 || b64url_decode(id, ID_LEN, text, (size_t)n) != ID_LEN)
		return -1;
	return 0;
}

static int
get_time(const struct json_doc *doc, const char *name, int64_t *t)
{
	const struct json_member *m = json_get(doc, 0, name);
	uint64_t u;

	if (m == NULL || json_uint(&m->val, &u) == -1 || u > INT64_MAX)
		return -1;
	*t = (int64_t)u;
	return 0;
}

static void
put_text(struct json_buf *b, const char *name, const char *value)
{
	json_puts(b, ",\"");
	json_puts(b, name);
	json_puts(b, "\":");
	json_putstr(b, value);
}

static void
put_id(struct json_buf *b, const char *name, const uint8_t *id)
{
	char text[B64URL_LEN(ID_LEN) + 1];

	b64url_encode(text, id, ID_LEN);
	put_text(b, name, text);
}

static void
put_int(struct json_buf *b, const char *name, int64_t n)
{
	json_puts(b, ",\"");
	json_puts(b, name);
	json_puts(b, "\":");
	json_putint(b, n);
}

static size_t
add_part(char *dst, struct json_buf *b)
{
	return b64url_encode(dst, b->p, b->len);
}
