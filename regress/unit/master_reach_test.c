/*
 * What stdio children reach, in a tree of links: what the config is refused
 * for.
 */
#include <sys/stat.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../master/conf.h"
#include "compat.h"
#include "test.h"

static char dir[64];

/* "%" in text stands for dir. */
static char *
fill(const char *text)
{
	char *s = xcalloc(1, 4096), *p;

	for (p = s; *text != '\0' && p < s + 3900; text++)
		if (*text == '%')
			p += sprintf(p, "%s", dir);
		else
			*p++ = *text;
	return s;
}

static void
make_dir(const char *name)
{
	char *path = fill(name);

	CHECK(mkdir(path, 0755) == 0);
	free(path);
}

static void
make_link(const char *to, const char *name)
{
	char *path = fill(name), *target = fill(to);

	CHECK(symlink(target, path) == 0);
	free(target);
	free(path);
}

static void
take(const char *name)
{
	char *path = fill(name);

	CHECK(remove(path) == 0);
	free(path);
}

/* text: the keys of backend a; want: part of the only error, or NULL. */
static struct conf *
load(const char *text, unsigned int flags, const char *want)
{
	struct strv errs = {NULL, 0};
	struct conf *c;
	char *all, *full, *part = want == NULL ? NULL : fill(want), *name;

	xasprintf(&all,
	    "issuer: https://x\nstate: %%/real/state\nbackends:\n"
	    "  a: {command: [/bin/cat], %s}\n",
	    text);
	full = fill(all);
	name = fill("%/etc/conf");
	c = conf_parse(name, full, strlen(full), flags, &errs);
	if (part == NULL ? errs.n != 0
			 : errs.n != 1 || strstr(errs.v[0], part) == NULL) {
		CHECK(part == NULL ? 0 : !"the error");
		printf("%s: %s\n", text, errs.n > 0 ? errs.v[0] : "none");
	} else
		CHECK((c == NULL) == (part != NULL));
	strv_free(&errs);
	free(name);
	free(full);
	free(all);
	free(part);
	return c;
}

static void
check(const char *text, const char *want)
{
	conf_free(load(text, 0, want));
}

/* The state is the same place before it is there and after. */
static void
test_state(void)
{
	int there;

	make_link("%/real", "%/alias");
	for (there = 0; there < 2; there++) {
		check("read: [%/alias]",
		    "backends.a.read: %/alias holds %/real/state");
		check("cwd: %/alias/", "backends.a.cwd: %/alias/ holds");
		check("write: [%/x/../alias]", "backends.a.write: ");
		check("read: [%/alias/state/keys]",
		    "%/alias/state/keys lies in %/real/state");
		check("read: [%/alias/other], write: [%/alias/state-x]", NULL);
		if (!there)
			make_dir("%/real/state");
	}
	take("%/real/state");
	take("%/alias");
}

/* Whoever may change the link to it could change what it is. */
static void
test_ways(void)
{
	make_dir("%/way");
	make_dir("%/elsewhere");
	make_link("../elsewhere", "%/way/to");
	take("%/etc");
	make_link("way/to", "%/etc");
	check("read: [%/way]", NULL);
	check("write: [%/way]", "%/way holds %/way/to");
	check("read: [%/elsewhere]", "holds %/elsewhere/conf");
	take("%/etc");
	make_dir("%/etc");
	take("%/way/to");
	take("%/way");
	take("%/elsewhere");
}

int
main(void)
{
	(void)strlcpy(dir,
	    "/tmp/mcpgwd-reach-XX"
	    "XXXX",
	    sizeof dir);
	CHECK(mkdtemp(dir) != NULL);
	make_dir("%/real");
	make_dir("%/etc");
	test_state();
	test_ways();
	take("%/real");
	take("%/etc");
	CHECK(rmdir(dir) == 0);
	TEST_END();
}
