/*
 * The time by which expiry is judged: the wall clock, but never less than the
 * highest time stored. A jump forward of more than a day does not move that
 * mark, so that a wrong clock can neither delete what is still good nor outlive
 * its correction; grants made meanwhile count from the correction on. The mark
 * follows again when the wall clock has kept step with the steady clock for a
 * day.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authd.h"
#include "compat.h"
#include "log.h"

#define DAY        86400
#define STEP_SLACK 3600

static int64_t real_wall(void);

static int64_t (*wall_fn)(void) = real_wall;
static uint64_t (*mono_fn)(void) = mono_sec;
static int64_t mark; /* highest time believed */
static int64_t saved; /* of it in the store */
static int ahead; /* the wall clock is more than a day past mark */
static int corrected = 1; /* it was, and is not any more */
static int told; /* of that, whoever asked last */
static int64_t ahead_wall;
static uint64_t ahead_mono;
static int behind_said;

static int64_t
real_wall(void)
{
	return (int64_t)time(NULL);
}

void
clock_source(int64_t (*wall)(void), uint64_t (*mono)(void))
{
	wall_fn = wall != NULL ? wall : real_wall;
	mono_fn = mono != NULL ? mono : mono_sec;
	mark = saved = 0;
	ahead = behind_said = 0;
}

uint64_t
clock_mono(void)
{
	return mono_fn();
}

static void
step_ahead(int64_t wall)
{
	uint64_t mono = mono_fn();
	int64_t off;

	if (!ahead) {
		ahead = 1;
		ahead_wall = wall;
		ahead_mono = mono;
		log_warnx("clock: %" PRId64 " s ahead of the last time known; "
			  "if it is right nothing needs to be done, if not "
			  "correct it within a day",
		    wall - mark);
		return;
	}
	off = (wall - ahead_wall) - (int64_t)(mono - ahead_mono);
	if (off > STEP_SLACK || off < -STEP_SLACK) {
		corrected |= off < 0;
		ahead_wall = wall;
		ahead_mono = mono;
	} else if (mono - ahead_mono >= DAY) {
		log_info("clock: has run evenly for a day and is believed");
		ahead = 0;
		mark = wall;
	}
}

int64_t
clock_now(void)
{
	int64_t wall = wall_fn();

	if (mark == 0)
		mark = wall;
	if (wall < mark) {
		if (mark - wall > 60 && !behind_said) {
			behind_said = 1;
			log_warnx("clock: %" PRId64 " s behind the last time "
				  "known; expiry is judged by the later",
			    mark - wall);
		}
		corrected |= ahead;
		ahead = 0;
		return mark;
	}
	behind_said = 0;
	if (wall - mark <= DAY) {
		corrected |= ahead;
		ahead = 0;
		mark = wall;
	} else {
		step_ahead(wall);
	}
	return wall;
}

int64_t
clock_settled(void)
{
	(void)clock_now();
	return mark;
}

int
clock_corrected(void)
{
	(void)clock_now();
	told = corrected;
	corrected = 0;
	return told;
}

int
clock_load(void)
{
	uint8_t *val;
	size_t len;
	int r;

	if ((r = store_get(T_META, "clock", 5, &val, &len)) == -1)
		return -1;
	if (r == 1 && len == 8)
		mark = saved = (int64_t)get_be64(val);
	free(val);
	(void)clock_now();
	return 0;
}

int
clock_save(int64_t age)
{
	uint8_t val[8];

	(void)clock_now();
	if (mark - saved <= age)
		return 0;
	put_be64(val, (uint64_t)mark);
	if (store_put(T_META, "clock", 5, val, sizeof(val)) == -1)
		return -1;
	saved = mark;
	return 0;
}

void
clock_unsaved(void)
{
	saved = 0;
	corrected |= told;
}
