/*
 * mcpgwctl show backends: what the keeper's shelf has of each.
 */
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "catalog.h"
#include "compat.h"
#include "keeper.h"
#include "lease.h"
#include "master.h"

static const char *state_name(const struct cat_entry *);
static void asks(char *, size_t, uint32_t);
static void put_time(char *, size_t, int64_t);

static const char *
state_name(const struct cat_entry *e)
{
	switch (e->state) {
	case CAT_UP:
		return "up";
	case CAT_DOWN:
		return "down";
	default:
		return e->why == NULL ? "starting" : "down";
	}
}

/* What it may ask clients for, in the words of the config. */
static void
asks(char *text, size_t size, uint32_t declare)
{
	static const struct {
		uint32_t bits;
		const char *name;
	} names[] = {{DECLARE_SAMPLING, "sampling"},
	    {DECLARE_FORM | DECLARE_URL, "elicitation"},
	    {DECLARE_ROOTS, "roots"}};
	size_t i;

	*text = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (declare & names[i].bits) {
			if (*text != '\0')
				(void)strlcat(text, ",", size);
			(void)strlcat(text, names[i].name, size);
		}
	if (*text == '\0')
		(void)strlcpy(text, "none", size);
}

static void
put_time(char *text, size_t size, int64_t when)
{
	*text = '\0';
	if (when != 0)
		snprintf(text, size, "%lld", (long long)when);
}

void
shelf_show(uint32_t id)
{
	const struct cat_entry *e;
	const char *why;
	const struct backend *b;
	struct shelf_offer o;
	char n[8][24], declared[64];
	size_t i;

	for (i = 0; shelf_each(i, &o) == 0; i++) {
		e = o.entry;
		b = o.backend;
		snprintf(n[0], sizeof(n[0]), "%u", e->list[CAT_TOOLS].n);
		snprintf(n[1], sizeof(n[1]), "%u", e->list[CAT_PROMPTS].n);
		snprintf(n[2], sizeof(n[2]), "%u", e->list[CAT_RESOURCES].n);
		snprintf(n[3], sizeof(n[3]), "%zu", lease_count(b->conf.id));
		put_time(n[4], sizeof(n[4]), o.seen);
		snprintf(n[5], sizeof(n[5]), "%llu",
		    (unsigned long long)b->failures);
		snprintf(
		    n[6], sizeof(n[6]), "%llu", (unsigned long long)b->dropped);
		put_time(n[7], sizeof(n[7]), b->failed);
		why = e->state == CAT_UP ? b->failure : e->why;
		asks(declared, sizeof(declared), b->conf.declare);
		master_row(id, "backend", b->conf.name, "state", state_name(e),
		    "revision", e->revision, "server", e->server, "#tools",
		    n[0], "#prompts", n[1], "#resources", n[2], "#sessions",
		    n[3], "asks", declared, "@seen", n[4], "#failures", n[5],
		    "#dropped", n[6], "@failed", n[7], "url", b->conf.url,
		    "error", why ? why : "", NULL);
	}
}
