/*
 * Known answers: FIPS 180-4 examples, RFC 4231 cases 1, 2, 3, 6 and 7.
 */
#include <string.h>

#include "digest.h"
#include "test.h"

static int is(const uint8_t *, const char *);
static void mac(const char *, const void *, size_t, const char *, size_t);

int
main(void)
{
	static char million[1000000];
	uint8_t out[DIGEST_LEN], key[131], data[50];

	sha256(out, NULL, 0);
	CHECK(is(out, "e3b0c44298fc1c149afbf4c8996fb924"
		      "27ae41e4649b934ca495991b7852b855"));
	sha256(out, "abc", 3);
	CHECK(is(out, "ba7816bf8f01cfea414140de5dae2223"
		      "b00361a396177a9cb410ff61f20015ad"));
	sha256(out, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	    56);
	CHECK(is(out, "248d6a61d20638b8e5c026930c3e6039"
		      "a33ce45964ff2167f6ecedd419db06c1"));
	memset(million, 'a', sizeof(million));
	sha256(out, million, sizeof(million));
	CHECK(is(out, "cdc76e5c9914fb9281a1c7e284d73e67"
		      "f1809a48a497200e046d39ccc7112cd0"));

	memset(key, 0x0b, 20);
	mac("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
	    key, 20, "Hi There", 8);
	mac("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	    "Jefe", 4, "what do ya want for nothing?", 28);
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	hmac_sha256(out, key, 20, data, sizeof(data), NULL, 0);
	CHECK(is(out, "773ea91e36800e46854db8ebd09181a7"
		      "2959098b3ef8c122d9635514ced565fe"));
	mac("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
	    key, 131,
	    "Test Using Larger Than Block-Size Key - "
	    "Hash Key First",
	    54);
	mac("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
	    key, 131,
	    "This is a test using a larger than block-size key and a"
	    " larger than block-size data. The key needs to be hashed"
	    " before being used by the HMAC algorithm.",
	    152);
	mac("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad",
	    "", 0, "", 0);
	TEST_END();
}

static int
is(const uint8_t *p, const char *hex)
{
	char s[2 * DIGEST_LEN + 1];
	int i;

	for (i = 0; i < DIGEST_LEN; i++)
		snprintf(s + 2 * i, 3, "%02x", p[i]);
	return strcmp(s, hex) == 0;
}

/* However the data is cut in two, the answer is the same. */
static void
mac(const char *hex, const void *key, size_t keylen, const char *data,
    size_t len)
{
	uint8_t out[DIGEST_LEN];
	size_t i;

	for (i = 0; i <= len; i++) {
		hmac_sha256(out, key, keylen, data, i, data + i, len - i);
		CHECK(is(out, hex));
	}
}
