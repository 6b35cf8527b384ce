/* LOGIN-1: penalties add up, are capped, expire, and are never for ever; and
 * the clock that expiry is judged by. */
#include "authd_fixture.h"
#include "test.h"

struct peer *
master_peer(void)
{
	return NULL;
}

/* Tries as fast as they come; how many reached a hasher. */
static int
attack(int addresses, int tries)
{
	char addr[64];
	int i, hashed = 0;

	for (i = 0; i < tries; i++) {
		snprintf(addr, sizeof(addr), "10.0.%d.%d", i % addresses / 250,
		    i % addresses % 250);
		if (penalty_check(addr, OWNER) > 0)
			continue;
		penalty_add(addr, OWNER);
		hashed++;
	}
	return hashed;
}

static void
login_1(void)
{
	uint32_t wait;
	int i;

	/* One address, then a thousand on one user: 99 % cost nothing. */
	CHECK(attack(1, 1000) <= 10);
	CHECK(penalty_check("10.0.0.0", "other") > 0);
	CHECK(penalty_check("192.0.2.2", "other") == 0);
	penalty_reset();
	CHECK(attack(1000, 1000) <= 10);
	/* Others can hold up a user for half a minute, not for ever. */
	wait = penalty_check("192.0.2.9", OWNER);
	CHECK(wait > 0 && wait <= 60);
	fix_pass(wait);
	CHECK(penalty_check("192.0.2.9", OWNER) == 0);

	/* An address is held up for ten minutes at most. */
	penalty_reset();
	for (i = 0; i < 1000; i++)
		penalty_add("192.0.2.1", "someone");
	wait = penalty_check("192.0.2.1", "nobody");
	CHECK(wait > 500 && wait <= 600);
	fix_pass(600);
	CHECK(penalty_check("192.0.2.1", "nobody") == 0);

	/* Three typing errors are free, and the right password forgets. */
	penalty_reset();
	for (i = 0; i < 3; i++) {
		CHECK(penalty_check("192.0.2.1", OWNER) == 0);
		penalty_add("192.0.2.1", OWNER);
	}
	penalty_add("192.0.2.1", OWNER);
	CHECK(penalty_check("192.0.2.1", OWNER) > 0);
	penalty_clear("192.0.2.1", OWNER);
	CHECK(penalty_check("192.0.2.1", OWNER) == 0);

	/* Loopback stands for everybody behind a proxy: by user only. */
	penalty_reset();
	for (i = 0; i < 20; i++)
		penalty_add("127.0.0.1", "x");
	CHECK(penalty_check("127.0.0.1", "y") == 0);
	CHECK(penalty_check("::1", "x") > 0);
	penalty_reset();
}

/* Whoever has a user of his own and guesses at others between his sign-ins. */
static void
forgiven(void)
{
	char user[32];
	int i, k, n = 0;

	penalty_reset();
	for (i = 0; i < 600; i++) {
		for (k = 0; k < 3; k++) {
			snprintf(user, sizeof(user), "u%d", n);
			if (penalty_check("192.0.2.1", user) > 0)
				break;
			penalty_add("192.0.2.1", user);
			n++;
		}
		if (penalty_check("192.0.2.1", "bob") == 0) {
			penalty_add("192.0.2.1", "bob");
			penalty_clear("192.0.2.1", "bob");
		}
		fix_pass(1);
	}
	CHECK(n <= 10);
	/* And wrong ones of his own do not add to what he gets back. */
	penalty_reset();
	for (i = n = 0; i < 600; i++) {
		if (i % 30 < 2 && penalty_check("192.0.2.1", "bob") == 0)
			penalty_add("192.0.2.1", "bob");
		if (i % 30 == 20)
			for (k = 0; k < 3; k++)
				if (penalty_check("192.0.2.1", OWNER) == 0) {
					penalty_add("192.0.2.1", OWNER);
					n++;
				}
		if (i % 30 == 21 && penalty_check("192.0.2.1", "bob") == 0) {
			penalty_add("192.0.2.1", "bob");
			penalty_clear("192.0.2.1", "bob");
		}
		fix_pass(1);
	}
	CHECK(n <= 10);
	/* What others have added to him stays, as far as he did not. */
	penalty_reset();
	for (i = 0; i < 6; i++)
		penalty_add("198.51.100.1", "bob");
	for (i = 0; i < 3; i++)
		penalty_add("192.0.2.1", "bob");
	penalty_clear("192.0.2.1", "bob");
	CHECK(penalty_check("192.0.2.1", "bob") == 0);
	CHECK(penalty_check("198.51.100.2", "bob") > 0);
	CHECK(penalty_check("198.51.100.1", "alice") > 0);
	penalty_reset();
}

/* Guessing at a user that never ends: a try whenever there is room for one. The
 * owner, half a second behind each time, would never get in. */
static void
sustained(void)
{
	char addr[64];
	int i, locked = 0;

	penalty_reset();
	/* Signed in once, from a network of IPv6 and from an IPv4 address. */
	penalty_clear("2001:db8:1:2::3", OWNER);
	penalty_clear("::ffff:192.0.2.5", OWNER);
	penalty_clear("127.0.0.1", OWNER);
	for (i = 0; i < 2000; i++) {
		snprintf(addr, sizeof(addr), "10.%d.%d.1", i / 250, i % 250);
		if (penalty_check(addr, OWNER) == 0)
			penalty_add(addr, OWNER);
		locked += penalty_check("192.0.2.9", OWNER) > 0;
		CHECK(penalty_check("192.0.2.5", OWNER) == 0);
		CHECK(penalty_check("2001:db8:1:2:ffff::4", OWNER) == 0);
		fix_pass(1);
	}
	CHECK(locked > 1900);
	/* Not for another user, not from a neighbour, not for all of loopback. */
	for (i = 0; i < 8; i++)
		penalty_add("10.200.0.1", "other");
	CHECK(penalty_check("192.0.2.5", "other") > 0);
	CHECK(penalty_check("192.0.2.6", OWNER) > 0);
	CHECK(penalty_check("2001:db8:1:3::3", OWNER) > 0);
	CHECK(penalty_check("127.0.0.1", OWNER) > 0);
	/* Guesses from there count for that address as for any other. */
	for (i = 0; penalty_check("192.0.2.5", OWNER) == 0 && i < 100; i++)
		penalty_add("192.0.2.5", OWNER);
	CHECK(i == 4);
	fix_pass(600);
	CHECK(penalty_check("192.0.2.5", OWNER) == 0);
	/* Known for a month. */
	fix_pass(30 * 86400);
	for (i = 0; i < 8; i++)
		penalty_add("10.200.0.1", OWNER);
	CHECK(penalty_check("192.0.2.5", OWNER) > 0);
	penalty_reset();
}

static void
bounded(void)
{
	char addr[64];
	int i;

	/* Endless addresses do not push out the user under attack. */
	for (i = 0; i < 40000; i++) {
		snprintf(
		    addr, sizeof(addr), "2001:db8:%x:%x::1", i >> 8, i & 0xff);
		penalty_add(addr, OWNER);
	}
	CHECK(penalty_check("192.0.2.77", OWNER) > 0);
	penalty_reset();
	/* Nor do failures of another kind, which cost no password hash, nor
	 * guesses at endless other users. */
	for (i = 0; i < 8; i++)
		penalty_add("192.0.2.1", OWNER);
	CHECK(penalty_check("192.0.2.77", OWNER) > 30);
	for (i = 0; i < 20000; i++) {
		snprintf(addr, sizeof(addr), "2001:db8:0:%x::1", i);
		window_add(WIN_FAIL, addr, 3600);
		window_add(WIN_REGISTER, addr, 3600);
		penalty_add(addr, addr);
	}
	CHECK(penalty_check("192.0.2.77", OWNER) > 30);
	CHECK(penalty_check("192.0.2.1", "other") > 30);
	penalty_reset();
}

static int64_t wall = 1800000000;
static uint64_t mono = 5000;

static int64_t
get_wall(void)
{
	return wall;
}

static uint64_t
get_mono(void)
{
	return mono;
}

static void
clocks(void)
{
	int i;

	clock_source(get_wall, get_mono);
	CHECK(clock_now() == wall);
	wall += 100;
	CHECK(clock_now() == wall && clock_settled() == wall);
	/* Back: time stands still. */
	wall -= 3600;
	CHECK(clock_now() == 1800000100);
	CHECK(clock_settled() == 1800000100);
	wall += 3600;
	/* A jump of a year is judged by, but nothing is deleted for it. */
	wall += 365 * 86400;
	CHECK(clock_now() == wall);
	CHECK(clock_settled() == 1800000100);
	/* And it is taken back without a trace. */
	wall -= 365 * 86400;
	CHECK(clock_now() == wall && clock_settled() == wall);
	/* One that lasts a day, evenly, is believed. */
	wall += 10 * 86400;
	for (i = 0; i <= 24; i++) {
		CHECK(clock_now() == wall);
		wall += 3600;
		mono += 3600;
	}
	CHECK(clock_now() == wall && clock_settled() == wall);
	clock_source(fix_wall_now, fix_mono_now);
}

int
main(void)
{
	fix_start();
	login_1();
	forgiven();
	sustained();
	bounded();
	clocks();
	fix_end();
	TEST_END();
}
