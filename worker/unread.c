/*
 * Unread answers.
 */
#include "unread.h"

#define WINDOW    60000 /* ms */
#define RATE      500 /* bytes a second */
#define TOTAL_MAX (256u * 1024 * 1024) /* of a worker */
#define SMALL     (64 * 1024)

static size_t total; /* at the last look, and what was queued since */
static size_t sum; /* of this look */
static struct conn *most;
static int pressed; /* somebody had no room */

/* What has been taken since the last look is seen only when it matters: to look
 * at all connections for each answer would be too much. */
int
unread_room(size_t len)
{
	if (len <= SMALL || total + len <= TOTAL_MAX)
		return 1;
	total = conn_unread();
	if (total + len <= TOTAL_MAX)
		return 1;
	pressed = 1;
	return 0;
}

void
unread_queued(size_t len)
{
	total += len;
}

void
unread_begin(void)
{
	sum = 0;
	most = NULL;
}

int
unread_late(struct conn *c, uint64_t now)
{
	size_t n = stream_queued(&c->s);

	sum += n;
	if (n == 0 || c->unread_at == 0) {
		c->unread_at = n == 0 ? 0 : now;
		c->taken = c->s.taken;
		return 0;
	}
	if (now - c->unread_at >= WINDOW) {
		if (c->s.taken - c->taken < RATE * WINDOW / 1000)
			return 1;
		c->unread_at = now;
		c->taken = c->s.taken;
	}
	if (most == NULL || n > stream_queued(&most->s))
		most = c;
	return 0;
}

struct conn *
unread_most(void)
{
	struct conn *c = pressed ? most : NULL;

	total = sum;
	pressed = 0;
	most = NULL;
	return c;
}
