/*
 * The chunked decoder: row SMG-5 and the trailers of SMG-12. Every body is
 * also given in two pieces cut anywhere, byte by byte, and decoded in place.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/http.h"
#include "test.h"

#define S(s) s, sizeof(s) - 1

struct row {
	const char *p;
	size_t len;
	int end;
	const char *body;
	size_t rest; /* bytes after the end */
};

static const struct row rows[] = {
    {S("0\r\n\r\n"), CHUNK_END, "", 0},
    {S("5\r\nhello\r\n0\r\n\r\n"), CHUNK_END, "hello", 0},
    {S("05\r\nhello\r\n00\r\n\r\n"), CHUNK_END, "hello", 0},
    {S("A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\nGET /"), CHUNK_END, "0123456789x",
	5},
    {S("a;x\r\n0123456789\r\n0;y=\"z\"\r\n\r\n"), CHUNK_END, "0123456789", 0},
    {S("0000000000000002\r\nhi\r\n0\r\n\r\n"), CHUNK_END, "hi", 0},
    {S("2\r\nhi\r\n0\r\nAuthorization: Bearer x\r\nContent-Length: 9\r\n"
       "\r\n."),
	CHUNK_END, "hi", 1},
    /* not finished */
    {S(""), CHUNK_MORE, "", 0},
    {S("5\r\nhel"), CHUNK_MORE, "hel", 0},
    {S("0\r\n"), CHUNK_MORE, "", 0},
    {S("0\r\nX: y\r\n"), CHUNK_MORE, "", 0},
    {S("7fffffffffffffff\r\nx"), CHUNK_MORE, "x", 0},
    {S("8000000000000000\r\nx"), CHUNK_BAD, "", 0},
    /* SMG-5 */
    {S("0_2e\r\n"), CHUNK_BAD, "", 0},
    {S("0x5\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("+5\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("-0x0\r\n\r\n"), CHUNK_BAD, "", 0},
    {S(" 5\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5 \r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5 ;a\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("\t5\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5\r\r;a\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5;a=b\r\rXhello\r\n"), CHUNK_BAD, "", 0},
    {S("5;a=b\r\n\nhell\r\n0\r\n\r\nX"), CHUNK_END, "\nhell", 1},
    {S("5;a\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5;a\0\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5;\x80\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("\r\n"), CHUNK_BAD, "", 0},
    {S(";a\r\n"), CHUNK_BAD, "", 0},
    {S("00000000000000005\r\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5\nhello\r\n"), CHUNK_BAD, "", 0},
    {S("5\r\nhelloX\r\n"), CHUNK_BAD, "hello", 0},
    {S("5\r\nhello\n"), CHUNK_BAD, "hello", 0},
    {S("5\r\nhello0\r\n\r\n"), CHUNK_BAD, "hello", 0},
    {S("5\r\nhello\r0\r\n\r\n"), CHUNK_BAD, "hello", 0},
    {S("5\r\nhello\r\n\r\n0\r\n\r\n"), CHUNK_BAD, "hello", 0},
    {S("5\r\nhello\r\n0\n\n"), CHUNK_BAD, "hello", 0},
    {S("0\r\nX:POST / HTTP/1.1\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("0\r\nPOST / HTTP/1.1\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("0\r\n\n"), CHUNK_BAD, "", 0},
    {S("0\r\n\r\r"), CHUNK_BAD, "", 0},
    {S("0\r\n X: y\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("0\r\n: y\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("0\r\nX : y\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("0\r\nX: a\nb: c\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("0\r\nX: a\0\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("0\r\nX: a\r\n b\r\n\r\n"), CHUNK_BAD, "", 0},
    {S("g\r\n"), CHUNK_BAD, "", 0},
};

static int decode(
    const struct row *, size_t, size_t, char *, size_t *, size_t *);
static void test_rows(void);
static void test_limits(void);

int
main(void)
{
	test_rows();
	test_limits();
	TEST_END();
}

/* The first cut bytes at once, then pieces of step. */
static int
decode(const struct row *r, size_t cut, size_t step, char *body, size_t *len,
    size_t *used)
{
	struct http_chunk c;
	size_t in, out, n;
	char piece[128];
	int end = CHUNK_MORE;

	http_chunk_init(&c);
	*len = *used = 0;
	while (*used < r->len && end == CHUNK_MORE) {
		n = *used == 0 && cut > 0 ? cut : step;
		if (n > r->len - *used)
			n = r->len - *used;
		memcpy(piece, r->p + *used, n);
		in = n;
		end = http_chunk(&c, piece, &in, piece, &out);
		CHECK(in <= n && out <= in);
		CHECK(end != CHUNK_MORE || in == n);
		memcpy(body + *len, piece, out);
		*len += out;
		*used += in;
	}
	n = 1;
	if (end != CHUNK_MORE) {
		CHECK(http_chunk(&c, "0", &n, piece, &out) == end);
		CHECK(n == 0 && out == 0);
	}
	return end;
}

static void
test_rows(void)
{
	const struct row *r;
	char body[128];
	size_t i, cut, n, used;
	int end;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r = &rows[i];
		for (cut = 0; cut <= r->len; cut++) {
			end = decode(
			    r, cut, cut == 0 ? 1 : r->len, body, &n, &used);
			if (end != r->end)
				printf("row %zu: %d\n", i, end);
			CHECK(end == r->end);
			CHECK(n == strlen(r->body) &&
			      memcmp(body, r->body, n) == 0);
			if (end == CHUNK_END)
				CHECK(used == r->len - r->rest);
		}
	}
}

static void
test_limits(void)
{
	struct http_chunk c;
	static char buf[10000], out[10000];
	size_t n, o;

	/* A size line of 256 bytes with its CR, and one more. */
	memset(buf, 'x', sizeof(buf));
	memcpy(buf, "1;", 2);
	memcpy(buf + 255, "\r\ny\r\n", 5);
	http_chunk_init(&c);
	n = 260;
	CHECK(http_chunk(&c, buf, &n, out, &o) == CHUNK_MORE && o == 1);
	memset(buf, 'x', sizeof(buf));
	memcpy(buf, "1;", 2);
	http_chunk_init(&c);
	n = 256;
	CHECK(http_chunk(&c, buf, &n, out, &o) == CHUNK_MORE);
	n = 1;
	CHECK(http_chunk(&c, "\r", &n, out, &o) == CHUNK_BAD);

	/* Trailers: 8 KiB in all. */
	memcpy(buf, "0\r\nX: ", 6);
	memset(buf + 6, 'x', 2);
	http_chunk_init(&c);
	n = 8;
	CHECK(http_chunk(&c, buf, &n, out, &o) == CHUNK_MORE);
	memset(buf, 'x', sizeof(buf));
	n = 8000;
	CHECK(http_chunk(&c, buf, &n, out, &o) == CHUNK_MORE);
	n = 1000;
	CHECK(http_chunk(&c, buf, &n, out, &o) == CHUNK_BAD);
}
