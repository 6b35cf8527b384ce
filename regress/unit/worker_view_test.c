/*
 * Views of a catalog: names, collisions (SHAD-1 to SHAD-3), policy, resources
 * and templates (URI-1), lists as each revision knows them. The catalog goes
 * through its file, as it comes from the keeper.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../worker/view.h"
#include "digest.h"
#include "test.h"

#define TOOL(name) "{\"name\":\"" name "\",\"inputSchema\":{}}"

static struct backend one, two;
static struct backend *both[] = {&one, &two};
static struct endpoint prefixed, bare;
static struct cat_item tools_one[8], tools_two[8], res_one[2], res_two[3],
    tmpl_two[1];
static char *deny[] = {"*_delete"};

static void
item(struct cat_item *ci, const char *name, const char *raw)
{
	ci->name = strdup(name);
	ci->raw.p = (uint8_t *)strdup(raw);
	ci->raw.len = strlen(raw);
}

static void
setup(void)
{
	struct cat_entry e[2];
	uint32_t size;
	size_t i;
	int fd;

	memset(e, 0, sizeof(e));
	one.conf.id = 1;
	one.conf.name = strdup("one");
	two.conf.id = 2;
	two.conf.name = strdup("two");
	two.conf.deny.v = deny;
	two.conf.deny.n = 1;
	worker.backend = both;
	worker.nbackend = 2;
	worker.conf.separator = strdup("_");
	worker.conf.names_max = 44;
	prefixed.backend = bare.backend = both;
	prefixed.nbackend = bare.nbackend = 2;
	bare.conf.prefix = PREFIX_NONE;
	item(&tools_one[0], "search", TOOL("search"));
	item(&tools_one[1], "old",
	    "{\"name\":\"old\",\"icons\":[],\"outputSchema\":{\"type\":"
	    "\"string\"},\"_meta\":{\"ui\":{\"resourceUri\":\"ui://a\"}}}");
	/* They differ only in what becomes '_': two names, by the hash. */
	item(&tools_one[2], "a b", TOOL("a b"));
	item(&tools_one[3], "a/b", TOOL("a/b"));
	item(&tools_two[0], "search", TOOL("search"));
	item(&tools_two[1], "user_delete", TOOL("user_delete"));
	item(&tools_two[2], "two_search", TOOL("two_search"));
	item(&tools_two[3], "mine",
	    "{\"x\":{\"name\":1}, \"name\" : \"mine\" }");
	item(&res_one[0], "x://shared",
	    "{\"uri\":\"x://shared\",\"name\":\"1\"}");
	item(&res_two[0], "x://shared",
	    "{\"uri\":\"x://shared\",\"name\":\"2\"}");
	item(&res_two[1], "x://two", "{\"uri\":\"x://two\",\"icons\":[1]}");
	item(&tmpl_two[0], "y://{id}/z", "{\"uriTemplate\":\"y://{id}/z\"}");
	for (i = 0; i < 2; i++) {
		e[i].backend = i + 1;
		e[i].state = CAT_UP;
		e[i].why = e[i].server = e[i].revision = strdup("");
		e[i].instructions = strdup(i ? "" : "be kind");
		e[i].caps = CAP_TOOLS | CAP_RESOURCES;
	}
	e[0].list[CAT_TOOLS].p = tools_one;
	e[0].list[CAT_TOOLS].n = 4;
	e[0].list[CAT_RESOURCES].p = res_one;
	e[0].list[CAT_RESOURCES].n = 1;
	e[1].list[CAT_TOOLS].p = tools_two;
	e[1].list[CAT_TOOLS].n = 4;
	e[1].list[CAT_RESOURCES].p = res_two;
	e[1].list[CAT_RESOURCES].n = 2;
	e[1].list[CAT_TEMPLATES].p = tmpl_two;
	e[1].list[CAT_TEMPLATES].n = 1;
	CHECK(view_get(&prefixed, 0) == NULL);
	fd = catalog_write(e, 2, &size);
	CHECK(fd != -1);
	CHECK(catalog_take(fd, size + 1) == -1);
	CHECK(catalog_take(fd, size) == 0);
	close(fd);
	for (i = 0; i < 2; i++) {
		free(e[i].why);
		free(e[i].instructions);
	}
}

/* Owner and original of an exposed name. */
static int
leads(
    struct view *v, const char *name, const struct backend *b, const char *orig)
{
	const struct view_item *it = view_find(v, CAT_TOOLS, name);

	if (b == NULL)
		return it == NULL;
	return it != NULL && it->backend == b &&
	       strcmp(it->item->name, orig) == 0;
}

static void
test_names(void)
{
	struct view *v = view_get(&prefixed, 0);

	CHECK(v != NULL && view_get(&prefixed, 0) == v);
	CHECK(view_complete(v));
	/* SHAD-1 */
	CHECK(leads(v, "one_search", &one, "search"));
	CHECK(leads(v, "two_search", &two, "search"));
	CHECK(leads(v, "search", NULL, NULL));
	/* SHAD-2: never taken apart again, only looked up */
	CHECK(leads(v, "two_two_search", &two, "two_search"));
	CHECK(leads(v, "one_two_search", NULL, NULL));
	CHECK(leads(v, "", NULL, NULL));
	/* What may not be used does not exist. */
	CHECK(leads(v, "two_user_delete", NULL, NULL));
	CHECK(view_find(v, CAT_PROMPTS, "one_search") == NULL);
	CHECK(view_find(v, CAT_TOOLS, "one_old")->wrap);
	CHECK(!view_find(v, CAT_TOOLS, "one_search")->wrap);
}

/* Across backends the first is served, and the other's list does not hide it. */
static void
test_collisions(void)
{
	struct view *v = view_get(&bare, 0);
	const char *p;
	size_t len;

	CHECK(leads(v, "search", &one, "search"));
	CHECK(leads(v, "mine", &two, "mine"));
	CHECK(leads(v, "two_search", &two, "two_search"));
	p = view_list(v, CAT_TOOLS, PROJECT_NEWEST, &len);
	CHECK(memmem(p, len, TOOL("search"), strlen(TOOL("search"))) != NULL);
	p = memmem(p, len, "\"search\"", 8);
	CHECK(p != NULL && strstr(p + 8, "\"search\"") == NULL);
}

static void
test_lists(void)
{
	struct view *v = view_get(&prefixed, 0);
	uint8_t want[DIGEST_LEN];
	const uint8_t *d;
	const char *p;
	size_t len;

	p = view_list(v, CAT_TOOLS, PROJECT_NEWEST, &len);
	CHECK(p != NULL && strlen(p) == len && *p == '[');
	sha256(want, p, len);
	d = view_digest(v, CAT_TOOLS);
	CHECK(d != NULL && memcmp(d, want, DIGEST_LEN) == 0);
	CHECK(view_digest(v, CAT_TOOLS) == d);
	CHECK(memcmp(view_digest(v, CAT_PROMPTS), want, DIGEST_LEN) != 0);
	CHECK(strstr(p, "{\"name\":\"one_search\",\"inputSchema\":{}}"));
	/* byte for byte but for the name */
	CHECK(strstr(p, "{\"x\":{\"name\":1}, \"name\" : \"two_mine\" }"));
	CHECK(strstr(p, "\"one_a_b_") && strstr(p, "user_delete") == NULL);
	CHECK(strstr(p, "\"icons\":[],\"outputSchema\":{\"type\":\"object\","
			"\"properties\":{\"result\":{\"type\":\"string\"}}"));
	CHECK(strstr(p, "\"resourceUri\":\"ui://a\""));
	CHECK(strstr(p, "one_search") < strstr(p, "two_search"));
	p = view_list(v, CAT_TOOLS, PROJECT_2025_06_18, &len);
	CHECK(strstr(p, "icons") == NULL && strstr(p, "outputSchema"));
	CHECK(strstr(p, "\"name\":\"one_old\"") && strstr(p, "two_mine"));
	CHECK(strstr(p, "\"resourceUri\":\"ui://a\""));
	p = view_list(v, CAT_TOOLS, PROJECT_2025_03_26, &len);
	CHECK(strstr(p, "outputSchema") == NULL && strstr(p, "one_old"));
	CHECK(view_list(v, CAT_TOOLS, PROJECT_2025_03_26, &len) == p);
	p = view_list(v, CAT_PROMPTS, PROJECT_2024_11_05, &len);
	CHECK(strcmp(p, "[]") == 0 && len == 2);
}

static void
test_resources(void)
{
	struct view *v = view_get(&prefixed, 0);
	const char *p;
	size_t len;

	CHECK(view_uri(v, "x://shared") == &one);
	CHECK(view_uri(v, "x://two") == &two);
	CHECK(view_uri(v, "y://7/z") == &two);
	CHECK(view_template(v, "y://{id}/z") == &two);
	CHECK(view_template(v, "y://7/z") == NULL);
	/* URI-1: two have resources, so what neither has is nobody's */
	CHECK(view_uri(v, "file:///etc/passwd") == NULL);
	CHECK(view_uri(v, "y://../7/z") == NULL);
	CHECK(view_uri(v, "x://two/../shared") == NULL);
	p = view_list(v, CAT_RESOURCES, PROJECT_NEWEST, &len);
	CHECK(strcmp(p, "[{\"uri\":\"x://shared\",\"name\":\"1\"},{\"uri\":"
			"\"x://two\",\"icons\":[1]}]") == 0);
	p = view_list(v, CAT_RESOURCES, PROJECT_2025_06_18, &len);
	CHECK(strstr(p, "{\"uri\":\"x://two\"}") != NULL);
}

static void
test_instructions(void)
{
	struct json_buf b = {0};

	view_instructions(view_get(&prefixed, 0), &b);
	json_put(&b, "", 1);
	CHECK(strcmp(b.p, "# one\n\nbe kind") == 0);
	json_buf_free(&b);
	CHECK(view_caps(view_get(&prefixed, 0)) == (CAP_TOOLS | CAP_RESOURCES));
}

/* URI-1: a template takes no more than it says. */
static void
test_match(void)
{
	static const struct {
		const char *template, *uri;
		int match;
	} t[] = {
	    {"a://b", "a://b", 1},
	    {"a://b", "a://bc", 0},
	    {"a://{x}", "a://b", 1},
	    {"a://{x}", "a://", 0},
	    {"a://{x}", "a://b/c", 0},
	    {"a://{x}", "a://../etc", 0},
	    {"a://{+x}", "a://b/c", 1},
	    {"a://{x*}", "a://b/c", 1},
	    {"a://{x}/{y}", "a://b/c", 1},
	    {"a://{x}/{y}", "a://b", 0},
	    {"a://{x}/{y}", "a://b/c/d", 0},
	    {"a://{x}.txt", "a://b.txt", 1},
	    {"a://{x}.txt", "a://b.png", 0},
	    {"a://{x}.txt", "a://b/c.txt", 0},
	    {"a://{x}", "b://b", 0},
	    {"a://{x", "a://b", 0},
	    {"a://{x}{y}", "a://bc", 0},
	    {"a://b{?q,r}", "a://b?q=1&r=2", 1},
	    {"a://b{?q}", "a://b", 1},
	    {"", "", 1},
	    {"", "a", 0},
	    {"{+x}", "anything://at/all", 1},
	    {"demo://resource/dynamic/text/{resourceId}",
		"demo://resource/dynamic/text/7", 1},
	    {"demo://resource/dynamic/text/{resourceId}",
		"demo://resource/dynamic/blob/7", 0},
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		CHECK(uri_match(t[i].template, t[i].uri) == t[i].match);
		if (uri_match(t[i].template, t[i].uri) != t[i].match)
			printf("%s against %s\n", t[i].template, t[i].uri);
	}
}

int
main(void)
{
	setup();
	test_names();
	test_collisions();
	test_lists();
	test_resources();
	test_instructions();
	test_match();
	views_drop();
	TEST_END();
}
