/*
 * Exposed names: rows SHAD-1 to SHAD-3 of the names themselves (collisions are
 * the view's), and that a name depends on nothing but its original.
 */
#include <string.h>

#include "../../worker/names.h"
#include "test.h"

struct row {
	const char *prefix, *sep, *orig;
	size_t max;
	const char *name; /* NULL: -1 */
};

static const struct row rows[] = {
    /* SHAD-1: what is legal is only given its prefix */
    {"a", "_", "search", 44, "a_search"},
    {"a", "__", "search", 44, "a__search"},
    {NULL, "_", "search", 44, "search"},
    {"a", "_", "A-z_09", 44, "a_A-z_09"},
    /* a dot is legal in the specification, not for models */
    {NULL, "_", "a.b", 44, "a.b"},
    {"x", "_", "a.b", 44, "x_a_b_2e7336"},
    /* SHAD-2 */
    {"a", "_", "b__search", 44, "a_b__search"},
    {"a", "_", "", 44, NULL},
    {NULL, "_", "", 44, NULL},
    {"a", "_", "_", 44, "a__"},
    /* the tail is kept, at exactly the limit nothing is cut */
    {"a", "_", "0123456789", 12, "a_0123456789"},
    {"a", "_", "0123456789x", 12, "a_89x_"},
    /* no room for anything but the hash */
    {"abcdefgh", "_", "0123456789", 16, NULL},
};

static int
legal(const char *s, int dot)
{
	return strspn(s, dot ? "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
			       "UVWXYZ0123456789_-."
			     : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
			       "UVWXYZ0123456789_-") == strlen(s);
}

static void
test_rows(void)
{
	char name[NAME_MAX_EXPOSED + 1];
	const struct row *r;
	size_t i;
	int rv;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r = &rows[i];
		rv = name_expose(name, r->prefix, r->sep, r->orig, r->max);
		CHECK(rv == (r->name == NULL ? -1 : 0));
		if (rv == -1 || r->name == NULL)
			continue;
		CHECK(strncmp(name, r->name, strlen(r->name)) == 0);
		CHECK(strlen(name) <= r->max);
		if (strncmp(name, r->name, strlen(r->name)) != 0)
			printf("row %zu: %s\n", i, name);
	}
}

/* SHAD-2: characters no model may be shown, in every mode and length. */
static void
test_strange(void)
{
	static const char *const strange[] = {
	    "s\xd0\xb5\x61rch", /* Cyrillic e */
	    "se\xe2\x80\x8b\x61rch", /* zero width space */
	    "se\xe2\x80\xae\x61rch", /* right-to-left override */
	    "se\xf3\xa0\x81\xa1\x61rch", /* U+E0061, a tag */
	    "se\x1b[31march",
	    "se arch",
	    "se\narch",
	    "a/b",
	    "\xff",
	    "\"",
	    "\\",
	};
	char a[NAME_MAX_EXPOSED + 1], b[NAME_MAX_EXPOSED + 1];
	size_t i, j;

	for (i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		CHECK(name_expose(a, "p", "_", strange[i], 44) == 0);
		CHECK(legal(a, 0) && strlen(a) <= 44);
		CHECK(name_expose(a, NULL, "_", strange[i], 44) == 0);
		CHECK(legal(a, 1) && strlen(a) <= NAME_MAX_EXPOSED);
		for (j = 0; j < i; j++) {
			CHECK(name_expose(a, "p", "_", strange[i], 44) == 0);
			CHECK(name_expose(b, "p", "_", strange[j], 44) == 0);
			CHECK(strcmp(a, b) != 0);
		}
	}
}

/* SHAD-3: long names that differ anywhere differ when shortened. */
static void
test_long(void)
{
	char orig[10240], a[NAME_MAX_EXPOSED + 1], b[NAME_MAX_EXPOSED + 1];
	size_t max;

	memset(orig, 'x', sizeof(orig));
	orig[sizeof(orig) - 1] = '\0';
	for (max = 16; max <= 200; max++) {
		orig[0] = 'x';
		CHECK(name_expose(a, "back", "_", orig, max) == 0);
		orig[0] = 'y';
		CHECK(name_expose(b, "back", "_", orig, max) == 0);
		CHECK(strcmp(a, b) != 0 && strlen(a) == strlen(b));
		CHECK(strlen(a) <= max && strlen(a) <= NAME_MAX_EXPOSED);
	}
	orig[0] = 'x';
	CHECK(name_expose(a, NULL, "_", orig, 44) == 0);
	CHECK(strlen(a) == NAME_MAX_EXPOSED);
	orig[NAME_MAX_EXPOSED] = '\0';
	CHECK(name_expose(a, NULL, "_", orig, 44) == 0);
	CHECK(strcmp(a, orig) == 0);
}

int
main(void)
{
	test_rows();
	test_strange();
	test_long();
	TEST_END();
}
