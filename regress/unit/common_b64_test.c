/*
 * base64url and base64 (RFC 4648 10, and one encoding per byte string).
 */
#include <string.h>

#include "b64.h"
#include "test.h"

static ssize_t url(const char *);
static ssize_t std(const char *);

static uint8_t out[64];

int
main(void)
{
	static const char *const plain[] = {
	    "", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const text[] = {
	    "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
	static const char *const padded[] = {
	    "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	char dst[B64URL_LEN(256) + 1];
	uint8_t all[256], back[256];
	size_t i, n;

	for (i = 0; i < 7; i++) {
		n = strlen(plain[i]);
		CHECK(b64url_encode(dst, plain[i], n) == strlen(text[i]));
		CHECK(strcmp(dst, text[i]) == 0);
		CHECK(B64URL_LEN(n) == strlen(text[i]));
		CHECK(url(text[i]) == (ssize_t)n);
		CHECK(memcmp(out, plain[i], n) == 0);
		CHECK(std(text[i]) == (ssize_t)n);
		CHECK(std(padded[i]) == (ssize_t)n);
		CHECK(memcmp(out, plain[i], n) == 0);
		CHECK(b64url_decode(back, n, text[i], strlen(text[i])) ==
		      (ssize_t)n);
		if (n > 0)
			CHECK(b64url_decode(
				  back, n - 1, text[i], strlen(text[i])) == -1);
	}
	for (i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	for (i = 0; i <= 256; i++) {
		n = b64url_encode(dst, all, i);
		CHECK(n == B64URL_LEN(i));
		CHECK(b64url_decode(back, sizeof(back), dst, n) == (ssize_t)i);
		CHECK(memcmp(all, back, i) == 0);
	}

	CHECK(url("-_-_") == 3 && std("-_-_") == -1);
	CHECK(std("+/+/") == 3 && url("+/+/") == -1);
	/* TOK-3: padding */
	CHECK(url("Zg==") == -1 && url("Zm8=") == -1);
	CHECK(url("Z") == -1 && url("Zm9vY") == -1);
	/* bits left over */
	CHECK(url("Zh") == -1 && url("Zm9") == -1 && url("Zn8") == 2);
	CHECK(std("Zh==") == -1 && std("Zm9=") == -1);
	CHECK(url("Zm 9v") == -1 && url("Zm9v\n") == -1);
	CHECK(url("Zm\xc3\xa9") == -1);
	CHECK(std("=") == -1 && std("==") == -1 && std("====") == -1);
	CHECK(std("Zg=") == -1 && std("Zg===") == -1 && std("Zm9v=") == -1);
	CHECK(std("Zg==Zg==") == -1 && std("Z===") == -1);
	CHECK(b64url_decode(out, sizeof(out), "Zm\0v", 4) == -1);
	TEST_END();
}

static ssize_t
url(const char *s)
{
	return b64url_decode(out, sizeof(out), s, strlen(s));
}

static ssize_t
std(const char *s)
{
	return b64_decode(out, sizeof(out), s, strlen(s));
}
