/*
 * Who may use what, and the globs of tools.allow and tools.deny.
 */
#include <string.h>

#include "../../worker/policy.h"
#include "test.h"

static const struct {
	const char *pattern, *name;
	int match;
} globs[] = {
    {"", "", 1},
    {"", "a", 0},
    {"a", "", 0},
    {"*", "", 1},
    {"*", "anything_at-all.x", 1},
    {"**", "", 1},
    {"?", "", 0},
    {"?", "a", 1},
    {"?", "ab", 0},
    {"a?c", "abc", 1},
    {"*_delete", "user_delete", 1},
    {"*_delete", "_delete", 1},
    {"*_delete", "user_delete_all", 0},
    {"*_delete", "x_delete_delete", 1},
    {"get_*", "get_", 1},
    {"get_*", "get", 0},
    {"a*b*c", "aXbYbZc", 1},
    {"a*b*c", "aXbYbZ", 0},
    {"*a*", "bab", 1},
    {"*?", "", 0},
    {"?*", "x", 1},
    {"A", "a", 0},
    {"[a]", "a", 0},
    {"\\*", "*", 0},
    {"a*", "a*", 1},
};

static void
test_globs(void)
{
	size_t i;

	for (i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
		CHECK(glob_match(globs[i].pattern, globs[i].name) ==
		      globs[i].match);
		if (glob_match(globs[i].pattern, globs[i].name) !=
		    globs[i].match)
			printf(
			    "%s against %s\n", globs[i].pattern, globs[i].name);
	}
}

/* Many stars against a long name that almost fits end soon. */
static void
test_stars(void)
{
	char pattern[202], name[10001];
	size_t i;

	for (i = 0; i < 200; i += 2)
		memcpy(pattern + i, "*a", 2);
	strcpy(pattern + 200, "b");
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CHECK(!glob_match(pattern, name));
	name[sizeof(name) - 2] = 'b';
	CHECK(glob_match(pattern, name));
}

static void
test_tools(void)
{
	char *deny[] = {"*_delete", "drop"}, *allow[] = {"get_*", "user_*"};
	struct backend b;

	memset(&b, 0, sizeof(b));
	CHECK(policy_tool(&b, "drop"));
	b.conf.deny.v = deny;
	b.conf.deny.n = 2;
	CHECK(!policy_tool(&b, "drop"));
	CHECK(!policy_tool(&b, "user_delete"));
	CHECK(policy_tool(&b, "user_add"));
	b.conf.allow.v = allow;
	b.conf.allow.n = 2;
	CHECK(policy_tool(&b, "user_add"));
	CHECK(policy_tool(&b, "get_x"));
	CHECK(!policy_tool(&b, "put_x"));
	/* What is denied stays so, whatever allows it. */
	CHECK(!policy_tool(&b, "user_delete"));
	CHECK(policy_refusal(&b, "user_add") == NULL);
	CHECK(policy_refusal(&b, "user_delete") != NULL);
	CHECK(policy_refusal(&b, "put_x") != NULL);
	/* Only allow. */
	b.conf.deny.n = 0;
	CHECK(policy_tool(&b, "user_delete"));
	CHECK(!policy_tool(&b, "drop"));
}

static void
test_endpoints(void)
{
	char *users[] = {"alice", "bob"};
	struct endpoint e;

	memset(&e, 0, sizeof(e));
	CHECK(policy_endpoint(&e, "alice"));
	CHECK(!policy_endpoint(&e, ""));
	e.conf.users.v = users;
	e.conf.users.n = 2;
	CHECK(policy_endpoint(&e, "bob"));
	CHECK(!policy_endpoint(&e, "Bob"));
	CHECK(!policy_endpoint(&e, "bo"));
	CHECK(!policy_endpoint(&e, "carol"));
	CHECK(!policy_endpoint(&e, ""));
	/* Without sign-in there are no users to tell apart. */
	e.conf.noauth = 1;
	CHECK(policy_endpoint(&e, ""));
}

int
main(void)
{
	test_globs();
	test_stars();
	test_tools();
	test_endpoints();
	TEST_END();
}
