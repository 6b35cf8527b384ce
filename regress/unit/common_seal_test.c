/*
 * Seals: what was sealed comes back, nothing else is ever opened.
 */
#include <stdlib.h>
#include <string.h>

#include "b64.h"
#include "seal.h"
#include "test.h"

static void test_round(void);
static void test_changed(void);
static void test_wrong(void);

static const struct seal_key key = {
    0x01020304, "0123456789abcdef0123456789abcde"};

int
main(void)
{
	test_round();
	test_changed();
	test_wrong();
	TEST_END();
}

static void
test_round(void)
{
	char data[600], dst[600], *a, *b;
	uint32_t kid;
	size_t n;

	for (n = 0; n < sizeof(data); n++)
		data[n] = (char)n;
	for (n = 0; n <= sizeof(data); n += 7) {
		a = seal(&key, SEAL_SESSION, data, n);
		b = seal(&key, SEAL_SESSION, data, n);
		if (a == NULL || b == NULL)
			exit(1);
		CHECK(strlen(a) == B64URL_LEN(n + SEAL_OVERHEAD));
		CHECK(strcmp(a, b) != 0);
		CHECK(seal_kid(a, strlen(a), SEAL_SESSION, &kid) == 0 &&
		      kid == 0x01020304);
		memset(dst, 0, sizeof(dst));
		CHECK(seal_open(&key, SEAL_SESSION, a, strlen(a), dst, n) ==
		      (ssize_t)n);
		CHECK(memcmp(dst, data, n) == 0);
		if (n > 0)
			CHECK(seal_open(&key, SEAL_SESSION, a, strlen(a), dst,
				  n - 1) == -1);
		free(a);
		free(b);
	}
}

/* Every character changed, every length cut, one added. */
static void
test_changed(void)
{
	char *s = seal(&key, SEAL_SESSION, "some session", 12);
	char dst[64], more[128], *cut;
	size_t i, n;

	if (s == NULL)
		exit(1);
	n = strlen(s);
	for (i = 0; i < n; i++) {
		s[i] ^= 1;
		CHECK(seal_open(&key, SEAL_SESSION, s, n, dst, sizeof(dst)) ==
		      -1);
		s[i] ^= 1;
		if ((cut = malloc(i + 1)) == NULL)
			exit(1);
		memcpy(cut, s, i);
		CHECK(seal_open(&key, SEAL_SESSION, cut, i, dst, sizeof(dst)) ==
		      -1);
		free(cut);
	}
	snprintf(more, sizeof(more), "%sA", s);
	CHECK(
	    seal_open(&key, SEAL_SESSION, more, n + 1, dst, sizeof(dst)) == -1);
	CHECK(seal_open(&key, SEAL_SESSION, s, n, dst, sizeof(dst)) == 12);
	free(s);
}

static void
test_wrong(void)
{
	struct seal_key other = key;
	char *s = seal(&key, SEAL_SESSION, "x", 1), dst[8];
	uint32_t kid;

	if (s == NULL)
		exit(1);
	CHECK(seal_kid(s, strlen(s), SEAL_CURSOR, &kid) == -1);
	CHECK(seal_open(&key, SEAL_CURSOR, s, strlen(s), dst, 8) == -1);
	other.key[0] ^= 1;
	CHECK(seal_open(&other, SEAL_SESSION, s, strlen(s), dst, 8) == -1);
	other = key;
	other.kid++;
	CHECK(seal_open(&other, SEAL_SESSION, s, strlen(s), dst, 8) == -1);
	CHECK(seal_kid("", 0, SEAL_SESSION, &kid) == -1);
	CHECK(seal_kid("AQEBAgME", 8, SEAL_SESSION, &kid) == -1);
	free(s);
}
