/*
 * Access tokens, made and signed here: which are taken, and all that are not
 * (row TOK-3).
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "b64.h"
#include "digest.h"
#include "jwt.h"
#include "test.h"

#define KID  "key-1_A"
#define HEAD "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"" KID "\"}"
#define ID   "AAECAwQFBgcICQoLDA0ODw"
#define TAIL \
	"\"gid\":\"" ID "\",\"jti\":\"" ID "\",\"iat\":1,\"exp\":2,\"n\":3}"
#define BODY                                                              \
	"{\"iss\":\"i\",\"sub\":\"s\",\"client_id\":\"c\",\"aud\":\"a\"," \
	"\"scope\":\"\"," TAIL

static void make_key(void);
static void sign(const char *, uint8_t *);
static void from_der(const uint8_t *, uint8_t *);
static char *token(const char *, const char *);
static int taken(const char *, const char *);
static void test_round(void);
static void test_headers(void);
static void test_claims(void);
static void test_shape(void);
static void test_signature(void);
static void test_keys(void);

static EVP_PKEY *private;
static uint8_t x[32], y[32];
static struct jwt_key *key;

int
main(void)
{
	make_key();
	test_round();
	test_headers();
	test_claims();
	test_shape();
	test_signature();
	test_keys();
	jwt_key_free(key);
	jwt_key_free(NULL);
	EVP_PKEY_free(private);
	TEST_END();
}

static void
make_key(void)
{
	uint8_t point[65];
	size_t n;

	private = EVP_EC_gen("P-256");
	if (private == NULL ||
	    EVP_PKEY_get_octet_string_param(private, OSSL_PKEY_PARAM_PUB_KEY,
		point, sizeof(point), &n) != 1 ||
	    n != sizeof(point))
		exit(1);
	memcpy(x, point + 1, 32);
	memcpy(y, point + 33, 32);
	key = jwt_key_new(KID, x, y);
	CHECK(key != NULL && strcmp(jwt_key_kid(key), KID) == 0);
	if (key == NULL)
		exit(1);
}

static void
sign(const char *input, uint8_t *sig)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, private, NULL);
	uint8_t hash[DIGEST_LEN], der[80];
	size_t n = sizeof(der);

	sha256(hash, input, strlen(input));
	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
	    EVP_PKEY_sign(ctx, der, &n, hash, sizeof(hash)) != 1)
		exit(1);
	EVP_PKEY_CTX_free(ctx);
	from_der(der, sig);
}

static void
from_der(const uint8_t *der, uint8_t *sig)
{
	const uint8_t *p = der + 2;
	size_t i, n;

	memset(sig, 0, 64);
	for (i = 0; i < 2; i++) {
		n = p[1];
		p += 2;
		if (n == 33) {
			p++;
			n--;
		}
		memcpy(sig + 32 * i + 32 - n, p, n);
		p += n;
	}
}

/* Signed, whatever it says. */
static char *
token(const char *head, const char *body)
{
	uint8_t sig[64];
	char *input, *t;
	size_t n;

	input = malloc(B64URL_LEN(strlen(head) + strlen(body)) + 4);
	if (input == NULL)
		exit(1);
	n = b64url_encode(input, head, strlen(head));
	input[n++] = '.';
	b64url_encode(input + n, body, strlen(body));
	sign(input, sig);
	if ((t = jwt_join(input, sig)) == NULL)
		exit(1);
	free(input);
	return t;
}

static int
taken(const char *head, const char *body)
{
	struct jwt_claims c, none;
	char *t = token(head, body);
	int r = jwt_verify(key, t, strlen(t), &c);

	memset(&none, 0, sizeof(none));
	if (r == -1)
		CHECK(memcmp(&c, &none, sizeof(c)) == 0);
	free(t);
	return r == 0;
}

static void
test_round(void)
{
	struct jwt_claims c, d;
	uint8_t sig[64];
	char *input, *t, kid[64];
	int i;

	memset(&c, 0, sizeof(c));
	strcpy(c.iss, "https://mcp.example.net");
	strcpy(c.sub, "al\"ice\xc3\xa9");
	strcpy(c.client_id, "mcc_x");
	strcpy(c.aud, "https://mcp.example.net/mcp");
	strcpy(c.scope, "mcp mcp:admin");
	memset(c.gid, 0xfb, sizeof(c.gid));
	memset(c.jti, 7, sizeof(c.jti));
	c.iat = 1700000000;
	c.exp = INT64_MAX;
	c.n = UINT32_MAX;
	/* Often enough to meet integers of every DER length. */
	for (i = 0; i < 300; i++) {
		c.jti[0] = (uint8_t)i;
		if ((input = jwt_unsigned(KID, &c)) == NULL)
			exit(1);
		sign(input, sig);
		if ((t = jwt_join(input, sig)) == NULL)
			exit(1);
		CHECK(jwt_kid(t, strlen(t), kid, sizeof(kid)) == 0 &&
		      strcmp(kid, KID) == 0);
		CHECK(jwt_kid(t, strlen(t), kid, 4) == -1);
		CHECK(jwt_verify(key, t, strlen(t), &d) == 0);
		CHECK(memcmp(&c, &d, sizeof(c)) == 0);
		free(input);
		free(t);
	}
}

/* TOK-3: signed by our key, and refused all the same. */
static void
test_headers(void)
{
#define H(s) taken("{" s "}", BODY)
#define K    "\"kid\":\"" KID "\""
	CHECK(taken(HEAD, BODY));
	CHECK(H(K ",\"typ\":\"at+jwt\" , \"alg\":\"ES256\""));
	CHECK(!H("\"alg\":\"none\",\"typ\":\"at+jwt\"," K));
	CHECK(!H("\"alg\":\"HS256\",\"typ\":\"at+jwt\"," K));
	CHECK(!H("\"alg\":\"es256\",\"typ\":\"at+jwt\"," K));
	CHECK(!H("\"alg\":\"ES384\",\"typ\":\"at+jwt\"," K));
	CHECK(!H("\"alg\":[\"ES256\"],\"typ\":\"at+jwt\"," K));
	CHECK(!H("\"alg\":null,\"typ\":\"at+jwt\"," K));
	CHECK(!H("\"typ\":\"at+jwt\"," K));
	CHECK(!H("\"alg\":\"ES256\",\"typ\":\"JWT\"," K));
	CHECK(!H("\"alg\":\"ES256\"," K));
	CHECK(!H("\"alg\":\"ES256\",\"typ\":\"at+jwt\""));
	CHECK(!H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":1"));
	CHECK(!H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\""));
	CHECK(!H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"../../x\""));
	CHECK(!H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"other\""));
	CHECK(!H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"a\\u0000\""));
#define MORE(s) H("\"alg\":\"ES256\",\"typ\":\"at+jwt\"," K "," s)
	CHECK(!MORE("\"crit\":[\"exp\"]"));
	CHECK(!MORE("\"crit\":[]"));
	CHECK(!MORE("\"jku\":\"https://evil.example/k\""));
	CHECK(!MORE("\"x5u\":\"https://evil.example/k\""));
	CHECK(!MORE("\"jwk\":{\"kty\":\"EC\"}"));
	CHECK(!MORE("\"x5c\":[]"));
	CHECK(!MORE("\"b64\":false"));
	CHECK(!MORE("\"cty\":\"JWT\""));
	CHECK(!MORE("\"zip\":\"DEF\""));
	CHECK(!MORE("\"alg\":\"ES256\""));
	CHECK(!MORE(K));
	CHECK(!MORE("\"\\u0061lg\":\"none\""));
	CHECK(!taken("[" HEAD "]", BODY));
	CHECK(!taken(HEAD "x", BODY));
	CHECK(!taken("\"ES256\"", BODY));
	CHECK(!taken("", BODY));
}

static void
test_claims(void)
{
	static const struct {
		const char *from, *to;
		int ok;
	} t[] = {
	    {"\"scope\":\"\"", "\"scope\":\"mcp\"", 1},
	    {"\"n\":3", "\"n\":3,\"more\":{}", 1},
	    {"\"iss\":\"i\"", "\"iss\":\"\"", 0},
	    {"\"iss\":\"i\"", "\"iss\":[\"i\"]", 0},
	    {"\"iss\":\"i\"", "\"iss\":\"i\\u0000\"", 0},
	    {"\"iss\":\"i\"", "\"iss\":\"\\ud800\"", 0},
	    {"\"iss\":\"i\",", "", 0},
	    {"\"sub\":\"s\"", "\"sub\":null", 0},
	    {"\"sub\":\"s\"", "\"sub\":\"s\",\"sub\":\"s\"", 0},
	    {"\"sub\":\"s\",", "", 0},
	    {"\"client_id\":\"c\"", "\"client_id\":7", 0},
	    {"\"aud\":\"a\"", "\"aud\":[\"a\"]", 0},
	    {"\"aud\":\"a\",", "", 0},
	    {"\"scope\":\"\",", "", 0},
	    {"\"scope\":\"\"", "\"scope\":[]", 0},
	    {"\"gid\":\"" ID "\"", "\"gid\":\"AAECAwQFBgcICQoLDA0ODx\"", 0},
	    {"\"gid\":\"" ID "\"", "\"gid\":\"AAECAwQFBgcICQoLDA0O\"", 0},
	    {"\"gid\":\"" ID "\"", "\"gid\":\"" ID "==\"", 0},
	    {"\"jti\":\"" ID "\"", "\"jti\":1", 0},
	    {"\"jti\":\"" ID "\",", "", 0},
	    {"\"exp\":2", "\"exp\":\"2\"", 0},
	    {"\"exp\":2", "\"exp\":2.0", 0},
	    {"\"exp\":2", "\"exp\":2e9", 0},
	    {"\"exp\":2", "\"exp\":-2", 0},
	    {"\"exp\":2", "\"exp\":9223372036854775808", 0},
	    {"\"exp\":2,", "", 0},
	    {"\"iat\":1", "\"iat\":true", 0},
	    {"\"n\":3", "\"n\":4294967296", 0},
	    {"\"n\":3", "\"n\":4294967295", 1},
	    {",\"n\":3", "", 0},
	    {"\"n\":3", "\"n\":3,\"nbf\":9999999999", 0},
	    {"\"n\":3", "\"n\":3,\"nbf\":0", 0},
	    {"\"n\":3}", "\"n\":3}x", 0},
	    {"\"n\":3}", "\"n\":3", 0},
	};
	char body[1024], *at, *inner;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		at = strstr(BODY, t[i].from);
		CHECK(at != NULL);
		if (at == NULL)
			continue;
		at = strstr(strcpy(body, BODY), t[i].from);
		snprintf(at, sizeof(body) - (size_t)(at - body), "%s%s",
		    t[i].to, strstr(BODY, t[i].from) + strlen(t[i].from));
		if (taken(HEAD, body) != t[i].ok)
			printf("claims: %s\n", body);
		CHECK(taken(HEAD, body) == t[i].ok);
	}
	/* too long for its field */
	snprintf(body, sizeof(body),
	    "{\"iss\":\"i\",\"sub\":\"%0128d\","
	    "\"client_id\":\"c\",\"aud\":\"a\",\"scope\":\"\"," TAIL,
	    0);
	CHECK(!taken(HEAD, body));
	/* nested */
	inner = token(HEAD, BODY);
	CHECK(!taken(HEAD, inner));
	free(inner);
}

static void
test_shape(void)
{
	static char big[JWT_MAX + 64];
	struct jwt_claims c;
	char *t = token(HEAD, BODY), *copy, *dot, kid[64];
	size_t n = strlen(t), i;

#define BAD(s, len) CHECK(jwt_verify(key, s, len, &c) == -1)
	CHECK(jwt_verify(key, t, n, &c) == 0);
	for (i = 0; i < n; i++) {
		if ((copy = malloc(i + 1)) == NULL)
			exit(1);
		memcpy(copy, t, i);
		BAD(copy, i);
		free(copy);
	}
	BAD("", (size_t)0);
	BAD("..", (size_t)2);
	BAD("...", (size_t)3);
	CHECK(jwt_kid("", 0, kid, sizeof(kid)) == -1);
	CHECK(jwt_kid("a.b", 3, kid, sizeof(kid)) == -1);
	CHECK(jwt_kid("mgk_abc", 7, kid, sizeof(kid)) == -1);
	/* padding, white space, a fourth part, and what follows */
	for (i = 0; i < 5; i++) {
		snprintf(big, sizeof(big), "%s%c", t, "= .A\n"[i]);
		BAD(big, n + 1);
	}
	snprintf(big, sizeof(big), " %s", t);
	BAD(big, n + 1);
	dot = strchr(t, '.');
	snprintf(big, sizeof(big), "%.*s=%s", (int)(dot - t), t, dot);
	BAD(big, n + 1);
	memset(big, 'A', sizeof(big));
	memcpy(big, t, n);
	BAD(big, sizeof(big));
	free(t);
}

static void
test_signature(void)
{
	struct jwt_claims c;
	uint8_t sig[64];
	char *t = token(HEAD, BODY), *u, *last;
	size_t n = strlen(t), i;

	/* Every character, by its lowest bit. */
	for (i = 0; i < n; i++) {
		t[i] ^= 1;
		BAD(t, n);
		t[i] ^= 1;
	}
	last = strrchr(t, '.');
	*last = '\0';
	memset(sig, 0, sizeof(sig));
	for (i = 0; i < 4; i++) {
		/* r and s of zero, of one, of all bits */
		sig[31] = i & 1;
		sig[63] = i >> 1;
		u = jwt_join(t, sig);
		BAD(u, strlen(u));
		free(u);
	}
	memset(sig, 0xff, sizeof(sig));
	u = jwt_join(t, sig);
	BAD(u, strlen(u));
	free(u);
	/* none at all; and a MAC with the public key */
	*last = '.';
	BAD(t, (size_t)(last + 1 - t));
	*last = '\0';
	hmac_sha256(sig, x, 32, t, strlen(t), NULL, 0);
	u = jwt_join(t, sig);
	BAD(u, strlen(u));
	free(u);
	free(t);
}

static void
test_keys(void)
{
	/* RFC 7515 A.3: its token is not ours, its key is a point. */
	static const char ex[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
	static const char ey[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
	static const char t[] =
	    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODA"
	    "sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8"
	    "L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqP"
	    "P3-Kg6NU1Q";
	struct jwt_claims c;
	struct jwt_key *k;
	uint8_t px[32], py[32];
	char *own = token(HEAD, BODY);

	CHECK(b64url_decode(px, 32, ex, sizeof(ex) - 1) == 32);
	CHECK(b64url_decode(py, 32, ey, sizeof(ey) - 1) == 32);
	k = jwt_key_new(KID, px, py);
	CHECK(k != NULL);
	CHECK(jwt_verify(k, t, sizeof(t) - 1, &c) == -1);
	CHECK(jwt_verify(k, own, strlen(own), &c) == -1);
	jwt_key_free(k);
	free(own);

	py[0] ^= 1;
	CHECK(jwt_key_new(KID, px, py) == NULL);
	CHECK(jwt_key_new("", x, y) == NULL);
	CHECK(jwt_key_new("../../etc", x, y) == NULL);
	memset(px, 0, 32);
	memset(py, 0, 32);
	CHECK(jwt_key_new(KID, px, py) == NULL);
}
