/*
 * The table of live revocations, against a plain list.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/revoked.h"
#include "test.h"

#define MANY 20000

/* Ids that crowd the same slots: their first bytes are what is hashed. */
static void
make_id(uint8_t id[ID_LEN], uint32_t n)
{
	memset(id, 0, ID_LEN);
	id[0] = n % 7;
	memcpy(id + ID_LEN - sizeof(n), &n, sizeof(n));
}

static void
test_few(void)
{
	uint8_t a[ID_LEN], b[ID_LEN];

	make_id(a, 1);
	make_id(b, 2);
	CHECK(revoked_count() == 0);
	CHECK(!revoked_has(REV_GRANT, a));
	revoked_purge(100);
	CHECK(revoked_add(REV_GRANT, a, 1000) == 0);
	CHECK(revoked_has(REV_GRANT, a));
	CHECK(!revoked_has(REV_SESSION, a));
	CHECK(!revoked_has(REV_GRANT, b));
	CHECK(revoked_count() == 1);
	/* Again: the later time counts, in either order. */
	CHECK(revoked_add(REV_GRANT, a, 2000) == 0);
	CHECK(revoked_add(REV_GRANT, a, 500) == 0);
	CHECK(revoked_count() == 1);
	revoked_purge(1999);
	CHECK(revoked_has(REV_GRANT, a));
	CHECK(revoked_add(REV_SESSION, a, 3000) == 0);
	CHECK(revoked_count() == 2);
	revoked_purge(2000);
	CHECK(!revoked_has(REV_GRANT, a));
	CHECK(revoked_has(REV_SESSION, a));
	revoked_purge(3000);
	CHECK(revoked_count() == 0);
}

static void
test_many(void)
{
	uint8_t id[ID_LEN];
	uint32_t i, wrong = 0;

	for (i = 0; i < MANY; i++) {
		make_id(id, i);
		wrong += revoked_add(REV_GRANT, id, 10 + i % 3) != 0;
	}
	CHECK(wrong == 0 && revoked_count() == MANY);
	for (i = 0; i < MANY; i++) {
		make_id(id, i);
		wrong += !revoked_has(REV_GRANT, id);
		wrong += revoked_has(REV_SESSION, id);
	}
	make_id(id, MANY);
	CHECK(wrong == 0 && !revoked_has(REV_GRANT, id));
	/* One third is past its time; none of the others is lost. */
	revoked_purge(10);
	for (i = 0; i < MANY; i++) {
		make_id(id, i);
		wrong += revoked_has(REV_GRANT, id) != (i % 3 > 0);
	}
	CHECK(wrong == 0);
	CHECK(revoked_count() == MANY - (MANY + 2) / 3);
	revoked_purge(100);
	CHECK(revoked_count() == 0);
}

int
main(void)
{
	test_few();
	test_many();
	TEST_END();
}
