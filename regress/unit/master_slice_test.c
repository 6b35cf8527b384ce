/*
 * Ids of backends: an unchanged definition keeps its id over reloads, whatever
 * stands around it; a changed one (secrets included) gets a new one; none is
 * ever used twice.
 */
#include <stdlib.h>
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

/* Listeners with the same pair share one message; worker -c is sent whatever
 * holds a certificate. */
static int
count(void *arg, uint32_t type, const struct msgdef *def, const void *msg,
    const struct conf_pos *pos, const char *name)
{
	const struct conf_tls *t = msg;

	(void)def, (void)pos, (void)name;
	if (type == M_CONF_TLS) {
		++*(unsigned int *)arg;
		CHECK(strncmp(t->cert_at, "test:", 5) == 0);
		CHECK(strstr(t->cert_at,
			  t->key != NULL ? ".certificate" : ".ca") != NULL);
	}
	return 0;
}

#define PEM(s)    "-----BEGIN " s "-----"
#define PAIR(a)   "{certificate: {env: T_" a "}, key: {env: T_K}}"
#define LISTEN(p) "  - {address: '127.0.0.1:" p "', tls: "

static void
certificates(void)
{
	struct strv errs = {NULL, 0};
	const struct conf_listen *cl;
	struct conf *c, *d;
	unsigned int n = 0, m = 0;
	char text[] = ISSUER "listen:\n" LISTEN("1") PAIR("A") "}\n" LISTEN("2")
	    PAIR("B") "}\n  - {address: '127.0.0.1:3'}\n" LISTEN("4")
		PAIR("A") "}"
			  "\nbackends: {a: {url: 'https://a/', ca: {env: T_A}, "
			  "cert: " PAIR("B") "}, b: {url: 'https://b/'}}\n";
	static const uint16_t want[] = {1, 2, 0, 1};
	size_t i = 0;

	CHECK(setenv("T_A", PEM("A"), 1) == 0);
	CHECK(setenv("T_B", PEM("B"), 1) == 0);
	CHECK(setenv("T_K", PEM("K"), 1) == 0);
	c = conf_parse("test", text, strlen(text), 0, &errs);
	CHECK(c != NULL);
	if (c == NULL)
		return;
	TAILQ_FOREACH (cl, &c->listens, entry)
		CHECK(slice_tls(c, cl) == want[i++]);
	CHECK(slice_each(c, ROLE_WORKER, count, &n) == 0 && n == 2);
	CHECK(slice_each(c, ROLE_CHECKER, count, &m) == 0 && m == 4);
	slice_ids(c);
	/* Other bytes behind the same name are another definition. */
	CHECK(setenv("T_A", PEM("C"), 1) == 0);
	d = conf_parse("test", text, strlen(text), 0, &errs);
	CHECK(d != NULL);
	if (d != NULL) {
		slice_ids(d);
		CHECK(id_of(c, "a") != id_of(d, "a"));
		CHECK(id_of(c, "b") == id_of(d, "b"));
	}
	conf_free(c);
	conf_free(d);
	slice_mark();
	slice_sweep();
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
	certificates();
	TEST_END();
}
