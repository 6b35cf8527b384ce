/*
 * The event stream reader: line ends, BOM, fields, limits (row SSE-1). Each
 * stream is also fed cut at every byte, and byte by byte.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/sse.h"
#include "test.h"

#define S(s) s, sizeof(s) - 1
#define BOM  "\xef\xbb\xbf"

/* Events are written down as event|id|data; one after the other. */
struct row {
	const char *p;
	size_t len;
	const char *events;
	int ret;
};

static const struct row rows[] = {
    {S(""), "", 0},
    {S("data: a\n\n"), "message||a;", 0},
    {S("data: a\r\n\r\n"), "message||a;", 0},
    {S("data: a\r\r"), "message||a;", 0},
    {S("data: a\r\n\n"), "message||a;", 0},
    {S("data: a\n\r\n"), "message||a;", 0},
    {S("data: a\r\r\n"), "message||a;", 0},
    {S("data:a\ndata: b\ndata:  c\n\n"), "message||a\nb\n c;", 0},
    {S("data: a\r\ndata: b\rdata: c\n\n"), "message||a\nb\nc;", 0},
    {S("data\n\n"), "message||;", 0},
    {S("data\ndata\n\n"), "message||\n;", 0},
    {S("data:\ndata: x\n\n"), "message||\nx;", 0},
    {S("data: a\n"), "", 0},
    {S("data: a"), "", 0},
    {S("\n\n\r\r\r\n"), "", 0},
    {S(": comment\n\n:\n\ndata: a\n: in between\ndata: b\n\n"),
	"message||a\nb;", 0},
    {S("event: x\ndata: a\n\ndata: b\n\n"), "x||a;message||b;", 0},
    {S("event: x\n\ndata: b\n\n"), "message||b;", 0},
    {S("event: x\nevent: y\nevent\ndata: b\n\n"), "message||b;", 0},
    {S("event:endpoint\r\ndata:/messages?s=1\r\n\r\n"),
	"endpoint||/messages?s=1;", 0},
    {S("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n"),
	"message|1|a;message|1|b;message||c;", 0},
    {S("id: 1\n\nid: a\0b\ndata: c\n\n"), "message|1|c;", 0},
    {S("retry: 10\nfoo: bar\nDATA: x\ndata : y\n data: z\ndata: a\n\n"),
	"message||a;", 0},
    {S(BOM "data: a\n\n"), "message||a;", 0},
    {S(BOM BOM "data: a\ndata: b\n\n"), "message||b;", 0},
    {S("\xef\xbb"
       "data: a\ndata: b\n\n"),
	"message||b;", 0},
    {S("\xef\ndata: b\n\n"), "message||b;", 0},
    {S(BOM "\n" BOM "data: a\n\n"), "", 0},
    {S("data: a\n\ndata: b\n\ndata: stop\n\ndata: c\n\n"),
	"message||a;message||b;message||stop;", 7},
    {S("data: \xff\xfe\n\n"), "message||\xff\xfe;", 0},
    {S("data: {\"t\":\"\\r\\ndata: x\"}\n\n"),
	"message||{\"t\":\"\\r\\ndata: x\"};", 0},
    {S("data: 012345678901234567890123456789012345678901234567890123456789"
       "0123456789012345678901234567890123456789\n\n"),
	"", -1},
    {S("data: 01234567890123456789012345678901234567890123456789\n"
       "data: 01234567890123456789012345678901234567890123456789\n\n"),
	"", -1},
    {S("data: a\n\n:0123456789012345678901234567890123456789012345678901234"
       "56789012345678901234567890123456789012345678901234567890"),
	"message||a;", -1},
    {S("event: 0123456789012345678901234567890123456789012345678901234567890"
       "123\n"),
	"", -1},
    {S("data: 0123456789012345678901234567890123456789\n\n"
       "data: 0123456789012345678901234567890123456789\n\n"
       "data: 0123456789012345678901234567890123456789\n\n"),
	"message||0123456789012345678901234567890123456789;"
	"message||0123456789012345678901234567890123456789;"
	"message||0123456789012345678901234567890123456789;",
	0},
};

static int note(void *, const struct sse_event *);
static int drop(void *, const struct sse_event *);
static int feed(const struct row *, size_t, size_t);
static void test_large(void);
static void test_free(void);

static char seen[1024];

int
main(void)
{
	const struct row *r;
	size_t i, cut;
	int ret;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r = &rows[i];
		for (cut = 0; cut <= r->len; cut++) {
			ret = feed(r, cut, cut == 0 ? 1 : r->len);
			if (ret != r->ret || strcmp(seen, r->events) != 0)
				printf("row %zu cut %zu: %d %s\n", i, cut, ret,
				    seen);
			CHECK(ret == r->ret);
			CHECK(strcmp(seen, r->events) == 0);
		}
	}
	test_large();
	test_free();
	TEST_END();
}

static int
note(void *arg, const struct sse_event *ev)
{
	size_t n = strlen(seen);

	(void)arg;
	CHECK(ev->data[ev->len] == '\0');
	snprintf(seen + n, sizeof(seen) - n, "%s|%s|%s;", ev->event, ev->id,
	    ev->data);
	return strcmp(ev->data, "stop") == 0 ? 7 : 0;
}

/* The first cut bytes at once, then pieces of step. */
static int
feed(const struct row *r, size_t cut, size_t step)
{
	struct sse s;
	size_t at = 0, n;
	char *piece;
	int ret = 0;

	seen[0] = '\0';
	sse_init(&s, 100);
	while (at < r->len && ret == 0) {
		n = at == 0 && cut > 0 ? cut : step;
		if (n > r->len - at)
			n = r->len - at;
		if ((piece = malloc(n)) == NULL)
			exit(1);
		memcpy(piece, r->p + at, n);
		ret = sse_feed(&s, piece, n, note, NULL);
		free(piece);
		at += n;
	}
	sse_free(&s);
	return ret;
}

/* SSE-1: a line without end, and a large event that fits. */
static void
test_large(void)
{
	struct sse s;
	size_t max = 1 << 20, i;
	static char block[4096];
	int ret = 0;

	memset(block, 'x', sizeof(block));
	sse_init(&s, max);
	for (i = 0; i < 2 * max && ret == 0; i += sizeof(block))
		ret = sse_feed(&s, block, sizeof(block), note, NULL);
	CHECK(ret == -1 && i <= max + sizeof(block));
	sse_free(&s);

	sse_init(&s, max);
	seen[0] = '\0';
	CHECK(sse_feed(&s, S("data: "), note, NULL) == 0);
	for (i = 0; i < max / 2; i += sizeof(block))
		CHECK(sse_feed(&s, block, sizeof(block), note, NULL) == 0);
	CHECK(sse_feed(&s, S("\n\ndata: small\n\n"), note, NULL) == 0);
	CHECK(s.lcap <= 65536 && s.dcap <= 65536);
	sse_free(&s);
}

static int
drop(void *arg, const struct sse_event *ev)
{
	CHECK(ev->len == 1);
	sse_free(arg);
	free(arg);
	return 1;
}

static void
test_free(void)
{
	struct sse *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		exit(1);
	sse_init(s, 100);
	CHECK(sse_feed(s, S("data: "), drop, s) == 0);
	CHECK(sse_feed(s, S("a\n\ndata: b\n\n"), drop, s) == 1);
}
