/*
 * What mcpgwctl has stopped.
 */
#include <stdlib.h>
#include <string.h>

#include "stopped.h"

static int is_stdio(const struct conf *, const char *);

static struct strv names;

int
stopped_has(const char *name)
{
	return strv_has(&names, name);
}

static int
is_stdio(const struct conf *c, const char *name)
{
	const struct conf_be *be;

	TAILQ_FOREACH (be, &c->backends, entry)
		if (be->b.stdio != 0 && strcmp(be->b.name, name) == 0)
			return 1;
	return 0;
}

void
stopped_set(const struct conf *c, const char *name, int on)
{
	uint32_t i;

	for (i = 0; i < names.n; i++)
		if (strcmp(names.v[i], name) == 0)
			break;
	if (on && i == names.n && is_stdio(c, name))
		xstrv_add(&names, name);
	else if (!on && i < names.n) {
		free(names.v[i]);
		names.v[i] = names.v[--names.n];
	}
}
