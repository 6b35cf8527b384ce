/*
 * What runner/main.c does for the rest of runner, where nothing else runs.
 * Included once by each program.
 */
#include <stdarg.h>

#include "../../runner/runner.h"

static uint64_t spawned; /* number of the child that was asked for last */
static void (*row_came)(const char *value); /* of the first cell of a row */

int
master_spawn(uint32_t backend, uint64_t child)
{
	(void)backend;
	spawned = child;
	return 0;
}

void
master_kill(uint64_t child, int hard)
{
	(void)child;
	(void)hard;
}

void
master_row(uint32_t id, ...)
{
	va_list ap;

	(void)id;
	if (row_came == NULL)
		return;
	va_start(ap, id);
	(void)va_arg(ap, const char *);
	row_came(va_arg(ap, const char *));
	va_end(ap);
}

void
master_end(uint32_t id, int failed, const char *message)
{
	(void)id;
	(void)failed;
	(void)message;
}

void
runner_sent(struct peer *p, struct child *c)
{
	(void)p;
	(void)c;
}

void
runner_far(struct peer *p, size_t len)
{
	(void)p;
	(void)len;
}

int
runner_deaf(const struct peer *p)
{
	(void)p;
	return 0;
}

void
runner_look(uint32_t backend)
{
	(void)backend;
}

int
is_keeper(const struct peer *p)
{
	return peer_role(p) == ROLE_KEEPER;
}
