/*
 * The decision about users and tools.
 */
#include <string.h>

#include "policy.h"

int
policy_endpoint(const struct endpoint *e, const char *subject)
{
	if (e->conf.noauth)
		return 1;
	if (*subject == '\0')
		return 0;
	return e->conf.users.n == 0 || strv_has(&e->conf.users, subject);
}

const char *
policy_refusal(const struct backend *b, const char *tool)
{
	uint32_t i;

	for (i = 0; i < b->conf.deny.n; i++)
		if (glob_match(b->conf.deny.v[i], tool))
			return "denied by the config";
	if (b->conf.allow.n == 0)
		return NULL;
	for (i = 0; i < b->conf.allow.n; i++)
		if (glob_match(b->conf.allow.v[i], tool))
			return NULL;
	return "not allowed by the config";
}

int
policy_tool(const struct backend *b, const char *tool)
{
	return policy_refusal(b, tool) == NULL;
}

/* Only the last star needs to be tried again. */
int
glob_match(const char *pattern, const char *name)
{
	const char *star = NULL, *retry = NULL;

	while (*name != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			retry = name;
		} else if (*pattern == '?' || *pattern == *name) {
			pattern++;
			name++;
		} else if (star != NULL) {
			pattern = star + 1;
			name = ++retry;
		} else
			return 0;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
