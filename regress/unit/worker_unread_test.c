/*
 * worker/unread.c: room for large answers is there as long as clients take them,
 * however many pass, and who takes too little is late.
 */
#include <string.h>

#include "../../worker/unread.h"
#include "test.h"

#define MIB (1024 * 1024)

static struct conn a, b;

/* ---- what conn.c and stream.c would say ---- */

size_t
stream_queued(const struct stream *s)
{
	return s->outlen - s->outpos;
}

size_t
conn_unread(void)
{
	return stream_queued(&a.s) + stream_queued(&b.s);
}

static int
look(uint64_t now)
{
	int late;

	unread_begin();
	late = unread_late(&a, now) | unread_late(&b, now) << 1;
	return late;
}

static void
test_room(void)
{
	int i;

	/* A gigabyte in a moment, all of it taken at once. */
	for (i = 0; i < 1024; i++) {
		CHECK(unread_room(MIB));
		unread_queued(MIB);
	}
	a.s.outlen = 200 * MIB;
	b.s.outlen = 50 * MIB;
	CHECK(!unread_room(8 * MIB));
	CHECK(unread_room(6 * MIB));
	/* What is small has nothing to do with it. */
	CHECK(unread_room(1024));
	CHECK(look(1000) == 0 && unread_most() == NULL);
	/* Whoever has most gives way, once for each who had no room. */
	CHECK(!unread_room(8 * MIB));
	CHECK(look(2000) == 0 && unread_most() == &a);
	CHECK(look(3000) == 0 && unread_most() == NULL);
	a.s.outlen = b.s.outlen = 0;
	CHECK(look(4000) == 0 && unread_most() == NULL);
	CHECK(unread_room(250 * MIB));
}

static void
test_rate(void)
{
	a.s.outlen = b.s.outlen = MIB;
	CHECK(look(10000) == 0);
	a.s.outpos += 29000;
	a.s.taken += 29000;
	b.s.outpos += 30000;
	b.s.taken += 30000;
	CHECK(look(69000) == 0);
	CHECK(look(70000) == 1);
	/* From then on it counts anew; and not at all for who has taken all. */
	a.s.outpos = a.s.outlen;
	CHECK(look(71000) == 0);
	CHECK(look(129000) == 0);
	CHECK(look(130000) == 2);
}

int
main(void)
{
	test_room();
	test_rate();
	TEST_END();
}
