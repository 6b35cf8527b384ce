/*
 * Ids of backends: an unchanged definition keeps its id over reloads, whatever
 * stands around it; a changed one (secrets included) gets a new one; none is
 * ever used twice.
 */
#include <string.h>

#include "../../master/conf.h"
#include "../../master/slice.h"
#include "test.h"

#define ISSUER "issuer: http://localhost:4444\n"

static struct conf *
load(const char *text)
{
	struct strv errs = {NULL, 0};
	struct conf *c;

	c = conf_parse("test", text, strlen(text), CONF_NOSECRETS, &errs);
	CHECK(c != NULL);
	strv_free(&errs);
	if (c != NULL)
		slice_ids(c);
	return c;
}

static uint32_t
id_of(const struct conf *c, const char *name)
{
	const struct conf_be *be;

	TAILQ_FOREACH (be, &c->backends, entry)
		if (strcmp(be->b.name, name) == 0)
			return be->b.id;
	return 0;
}

int
main(void)
{
	struct conf *one, *two, *three, *four;

	one = load(ISSUER "backends: {a: {url: 'http://a/', headers: {X: s}}, "
			  "b: {url: 'http://b/'}}\n");
	two = load(
	    ISSUER "backends: {b: {url: 'http://b/'}, c: {url: 'http://c/'}, "
		   "a: {headers: {X: t}, url: 'http://a/'}}\n");
	if (one == NULL || two == NULL)
		TEST_END();
	CHECK(id_of(one, "a") != 0 && id_of(one, "b") != 0);
	CHECK(id_of(one, "a") != id_of(one, "b"));
	CHECK(id_of(one, "b") == id_of(two, "b"));
	CHECK(id_of(one, "a") != id_of(two, "a"));

	/* Both live: going back finds the first id. */
	three =
	    load(ISSUER "backends: {a: {url: 'http://a/', headers: {X: s}}}\n");
	CHECK(id_of(three, "a") == id_of(one, "a"));

	/* Nobody has it any more: the id is gone for good. */
	slice_mark();
	slice_keep(two);
	slice_sweep();
	four =
	    load(ISSUER "backends: {a: {url: 'http://a/', headers: {X: s}}}\n");
	CHECK(id_of(four, "a") > id_of(two, "a"));
	CHECK(id_of(four, "a") > id_of(two, "c"));
	CHECK(id_of(four, "a") != id_of(one, "a"));
	conf_free(one);
	conf_free(two);
	conf_free(three);
	conf_free(four);
	slice_mark();
	slice_sweep();
	TEST_END();
}
