/*
 * Ids of backends: an unchanged definition keeps its id over reloads, whatever
 * stands around it; a changed one (secrets included) gets a new one; none is
 * ever used twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../master/conf.h"
#include "../../master/slice.h"
#include "compat.h"
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

/* ---- stdio backends ---- */

#define STDIO                                                               \
	"state: /st\nbackends: {u: {url: 'http://u/'}, a: {command: [cat, " \
	"an-argument], env: {TOKEN: "
#define A_TOKEN "a-token"

/* What each role is sent, and nothing of what only nanny may know. */
struct seen {
	unsigned int backends, children;
	uint32_t id; /* of the child */
};

static int
holds(const uint8_t *data, size_t len, const char *s)
{
	size_t i, n = strlen(s);

	for (i = 0; i + n <= len; i++)
		if (memcmp(data + i, s, n) == 0)
			return 1;
	return 0;
}

static int
look(void *arg, uint32_t type, const struct msgdef *def, const void *msg,
    const struct conf_pos *pos, const char *name)
{
	static const char *const secrets[] = {
	    "an-argument", "/cat", "TOKEN", A_TOKEN, "/st-backends"};
	const struct conf_backend *b = msg;
	const struct conf_stdio *s = msg;
	struct seen *seen = arg;
	uint8_t *data;
	size_t len, i;

	(void)pos, (void)name;
	CHECK(type != M_EXEC);
	if (type == M_CONF_BACKEND && b->stdio != 0)
		seen->backends++;
	if (type == M_CONF_STDIO) {
		seen->children++;
		seen->id = s->id;
	}
	data = wire_encode(def, msg, &len);
	CHECK(data != NULL);
	for (i = 0; data != NULL && i < sizeof secrets / sizeof secrets[0]; i++)
		CHECK(!holds(data, len, secrets[i]));
	free(data);
	return 0;
}

static void
children(void)
{
	struct conf *one, *same, *env, *secret, *other, *stop;
	struct seen worker = {0, 0, 0}, keeper = {0, 0, 0}, runner = {0, 0, 0},
		    authd = {0, 0, 0};
	struct strv errs = {NULL, 0};
	static const char with[] =
	    ISSUER STDIO "{env: T_TOKEN}}, stop_timeout: 5s}}\n";

	one = load(ISSUER STDIO A_TOKEN "}}}\n");
	same = load(ISSUER STDIO A_TOKEN "}, stop_timeout: 5s}}\n");
	env = load(ISSUER STDIO A_TOKEN "2}}}\n");
	stop = load(ISSUER STDIO A_TOKEN "}, stop_timeout: 6s}}\n");
	if (one == NULL || same == NULL || env == NULL || stop == NULL)
		return;
	CHECK(id_of(one, "a") != 0 && id_of(one, "a") == id_of(same, "a"));
	CHECK(id_of(one, "a") != id_of(env, "a"));
	CHECK(id_of(one, "a") != id_of(stop, "a"));
	CHECK(id_of(one, "u") == id_of(env, "u"));

	CHECK(slice_each(one, ROLE_WORKER, look, &worker) == 0);
	CHECK(slice_each(one, ROLE_KEEPER, look, &keeper) == 0);
	CHECK(slice_each(one, ROLE_RUNNER, look, &runner) == 0);
	CHECK(slice_each(one, ROLE_AUTHD, look, &authd) == 0);
	CHECK(worker.backends == 1 && worker.children == 0);
	CHECK(keeper.backends == 1 && keeper.children == 0);
	CHECK(runner.backends == 0 && runner.children == 1);
	CHECK(runner.id == id_of(one, "a"));
	CHECK(authd.backends == 0 && authd.children == 0);

	/* Another secret behind the same name. */
	CHECK(setenv("T_TOKEN", "1", 1) == 0);
	secret = conf_parse("test", with, strlen(with), 0, &errs);
	CHECK(setenv("T_TOKEN", "2", 1) == 0);
	other = conf_parse("test", with, strlen(with), 0, &errs);
	CHECK(secret != NULL && other != NULL);
	if (secret != NULL && other != NULL) {
		slice_ids(secret);
		slice_ids(other);
		CHECK(id_of(secret, "a") != id_of(other, "a"));
		CHECK(id_of(secret, "u") == id_of(other, "u"));
	}
	strv_free(&errs);
	conf_free(one);
	conf_free(same);
	conf_free(env);
	conf_free(stop);
	conf_free(secret);
	conf_free(other);
	slice_mark();
	slice_sweep();
}

/* What is too large for one message is refused when it is loaded. */
static void
large(void)
{
	struct strv errs = {NULL, 0};
	char *text, *p;
	size_t i, n = 70 * 8100;

	text = xcalloc(1, n + 1024);
	p = text;
	p += sprintf(p, ISSUER "backends:\n  a:\n    command: [cat");
	for (i = 0; i < 62; i++)
		p += sprintf(p, ", %07900d", 0);
	sprintf(p,
	    "]\n    env: {A: %07900d, B: %07900d, C: %07900d, "
	    "D: %07900d, E: %07900d}\n",
	    0, 0, 0, 0, 0);
	CHECK(conf_parse("test", text, strlen(text), CONF_NOSECRETS, &errs) ==
	      NULL);
	CHECK(errs.n == 1 && strstr(errs.v[0], "is too long") != NULL);
	strv_free(&errs);
	free(text);
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
	children();
	large();
	TEST_END();
}
