/*
 * Projections: lists and results (worker/project.c) and questions
 * (worker/project_ask.c) as each revision of MCP knows them. What is
 * expected is written out; that it is JSON is checked on everything.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/project.h"
#include "proto.h"
#include "test.h"

#define A PROJECT_2024_11_05
#define B PROJECT_2025_03_26
#define C PROJECT_2025_06_18
#define D PROJECT_NEWEST

enum what { ITEM, TOOL, PROMPT };

struct row {
	enum what what;
	enum project p;
	int arg; /* ITEM: kind; TOOL: wrap */
	const char *in, *out;
};

#define FULL                                                           \
	"{\"name\":\"t\",\"title\":\"T\",\"icons\":[{\"src\":\"x\"}]," \
	"\"inputSchema\":{\"type\":\"object\",\"maximum\":1.0e+2},"    \
	"\"execution\":{\"taskSupport\":\"optional\"},"                \
	"\"outputSchema\":{\"type\":\"object\"},"                      \
	"\"_meta\":{\"ui\":{\"resourceUri\":\"ui://a/\\u0062\"}},\"x\":1}"

#define SCHEMA(s) "{\"name\":\"t\",\"outputSchema\":" s "}"
#define WRAPPED(s)                                               \
	"{\"name\":\"t\",\"outputSchema\":{\"type\":\"object\"," \
	"\"properties\":{\"result\":" s "},\"required\":[\"result\"]}}"

static const struct row rows[] = {
    /* what a revision lacks; everything else byte for byte */
    {ITEM, D, CAT_TOOLS, FULL, FULL},
    {ITEM, C, CAT_TOOLS, FULL,
	"{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{\"type\":\"object\","
	"\"maximum\":1.0e+2},\"outputSchema\":{\"type\":\"object\"},\"_meta\":"
	"{\"ui\":{\"resourceUri\":\"ui://a/\\u0062\"}},\"x\":1}"},
    {ITEM, B, CAT_TOOLS, FULL,
	"{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{\"type\":\"object\","
	"\"maximum\":1.0e+2},\"_meta\":{\"ui\":{\"resourceUri\":"
	"\"ui://a/\\u0062\"}},\"x\":1}"},
    {ITEM, C, CAT_RESOURCES,
	"{\"uri\":\"a:b\",\"icons\":[],\"execution\":1,\"outputSchema\":2}",
	"{\"uri\":\"a:b\",\"execution\":1,\"outputSchema\":2}"},
    {ITEM, C, CAT_PROMPTS, "{ \"name\" : \"p\" , \"icons\" : [ ] }",
	"{\"name\":\"p\"}"},
    {ITEM, C, CAT_PROMPTS, "{\"icons\":[],\"name\":\"p\"}", "{\"name\":\"p\"}"},
    {ITEM, D, CAT_TOOLS, "{}", "{}"},
    /* schemas whose root is no object */
    {ITEM, D, CAT_TOOLS, SCHEMA("{\"type\":\"object\",\"$ref\":\"#\"}"),
	SCHEMA("{\"type\":\"object\",\"$ref\":\"#\"}")},
    {ITEM, D, CAT_TOOLS, SCHEMA("{\"type\":\"array\",\"items\":{}}"),
	WRAPPED("{\"type\":\"array\",\"items\":{}}")},
    {ITEM, C, CAT_TOOLS, SCHEMA("{\"anyOf\":[{\"type\":\"object\"}]}"),
	WRAPPED("{\"anyOf\":[{\"type\":\"object\"}]}")},
    {ITEM, B, CAT_TOOLS, SCHEMA("{\"type\":\"array\"}"), "{\"name\":\"t\"}"},
    {ITEM, D, CAT_TOOLS, SCHEMA("{\"type\":[\"object\",\"null\"]}"),
	WRAPPED("{\"type\":[\"object\",\"null\"]}")},
    {ITEM, D, CAT_TOOLS, SCHEMA("true"), WRAPPED("{}")},
    {ITEM, D, CAT_TOOLS, SCHEMA("false"), WRAPPED("{\"not\":{}}")},
    {ITEM, D, CAT_TOOLS, SCHEMA("{\"$schema\":\"http://x/\"}"),
	"{\"name\":\"t\",\"outputSchema\":{\"$schema\":\"http://x/\","
	"\"type\":\"object\",\"properties\":{\"result\":{\"$schema\":"
	"\"http://x/\"}},\"required\":[\"result\"]}}"},
    /* references move with their target */
    {ITEM, D, CAT_TOOLS,
	SCHEMA("{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":"
	       "\"#/$defs/a\"}],\"$defs\":{\"a\":{\"type\":\"null\"}}}"),
	WRAPPED("{\"anyOf\":[{\"$ref\":\"#/properties/result\"},{\"$ref\":"
		"\"#/properties/result/$defs/a\"}],\"$defs\":{\"a\":{\"type\":"
		"\"null\"}}}")},
    {ITEM, D, CAT_TOOLS,
	SCHEMA("{\"items\":{\"$dynamicRef\":\"#/x\",\"$ref\":\"#anchor\"}}"),
	WRAPPED("{\"items\":{\"$dynamicRef\":\"#/properties/result/x\","
		"\"$ref\":\"#anchor\"}}")},
    /* data is no schema; a property may be called $ref or enum */
    {ITEM, D, CAT_TOOLS,
	SCHEMA("{\"const\":{\"$ref\":\"#/a\"},\"enum\":[{\"$ref\":\"#/a\"}]}"),
	WRAPPED("{\"const\":{\"$ref\":\"#/a\"},\"enum\":[{\"$ref\":"
		"\"#/a\"}]}")},
    {ITEM, D, CAT_TOOLS,
	SCHEMA("{\"properties\":{\"$ref\":{\"$ref\":\"#\"},\"enum\":{\"$ref\":"
	       "\"#\"}}}"),
	WRAPPED("{\"properties\":{\"$ref\":{\"$ref\":\"#/properties/result\"},"
		"\"enum\":{\"$ref\":\"#/properties/result\"}}}")},
    /* a base of its own is where its references start */
    {ITEM, D, CAT_TOOLS, SCHEMA("{\"$id\":\"u:x\",\"not\":{\"$ref\":\"#\"}}"),
	WRAPPED("{\"$id\":\"u:x\",\"not\":{\"$ref\":\"#\"}}")},
    {ITEM, D, CAT_TOOLS, SCHEMA("{\"$id\":\"#x\",\"not\":{\"$ref\":\"#\"}}"),
	WRAPPED("{\"$id\":\"#x\",\"not\":{\"$ref\":\"#/properties/result\"}}")},
    {ITEM, D, CAT_TOOLS,
	SCHEMA(
	    "{\"not\":{\"$id\":\"y\",\"$ref\":\"#\"},\"$ref\":\"http://z\"}"),
	WRAPPED("{\"not\":{\"$id\":\"y\",\"$ref\":\"#\"},\"$ref\":"
		"\"http://z\"}")},
    /* what can not be moved rightly is left out */
    {ITEM, D, CAT_TOOLS, SCHEMA("{\"items\":{\"$recursiveRef\":\"#\"}}"),
	"{\"name\":\"t\"}"},
    {ITEM, D, CAT_TOOLS,
	"{\"outputSchema\":{\"items\":{\"$recursiveRef\":\"#\"}},\"name\":"
	"\"t\"}",
	"{\"name\":\"t\"}"},

    /* results of tools */
    {TOOL, C, 0, "{\"content\":[],\"structuredContent\":{\"a\":1}}",
	"{\"content\":[],\"structuredContent\":{\"a\":1}}"},
    {TOOL, C, 0, "{\"content\":[],\"structuredContent\":[1]}",
	"{\"content\":[{\"type\":\"text\",\"text\":\"[1]\"}],"
	"\"structuredContent\":{\"result\":[1]}}"},
    {TOOL, D, 1, "{\"structuredContent\":{\"a\":1},\"content\":[]}",
	"{\"structuredContent\":{\"result\":{\"a\":1}},\"content\":[]}"},
    {TOOL, D, 1,
	"{\"content\":[{\"type\":\"text\",\"text\":\"x\"}],"
	"\"structuredContent\":\"s\",\"_meta\":{}}",
	"{\"content\":[{\"type\":\"text\",\"text\":\"x\"}],"
	"\"structuredContent\":{\"result\":\"s\"},\"_meta\":{}}"},
    {TOOL, D, 1, "{\"content\":[],\"isError\":true}",
	"{\"content\":[],\"isError\":true}"},
    {TOOL, B, 0,
	"{\"content\":[{\"type\":\"text\",\"text\":\"x\"}],"
	"\"structuredContent\":{\"a\":1}}",
	"{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}"},
    {TOOL, B, 0, "{\"content\":[],\"structuredContent\":{\"a\":\"b\"}}",
	"{\"content\":[{\"type\":\"text\",\"text\":\"{\\\"a\\\":\\\"b\\\"}\"}]"
	"}"},
    {TOOL, B, 0, "{\"structuredContent\":null}",
	"{\"content\":[{\"type\":\"text\",\"text\":\"null\"}]}"},
    {TOOL, B, 0,
	"{\"content\":[{\"type\":\"resource_link\",\"uri\":\"a:\\u0062\","
	"\"name\":\"n\",\"annotations\":{\"priority\":1}},{\"type\":\"audio\","
	"\"data\":\"\",\"mimeType\":\"audio/wav\"}]}",
	"{\"content\":[{\"type\":\"text\",\"text\":\"a:\\u0062\","
	"\"annotations\":{\"priority\":1}},{\"type\":\"audio\",\"data\":\"\","
	"\"mimeType\":\"audio/wav\"}]}"},
    {TOOL, A, 0, "{\"content\":[{\"type\":\"audio\",\"data\":\"\"}]}",
	"{\"content\":[{\"type\":\"text\",\"text\":\"(audio)\"}]}"},
    {TOOL, C, 0, "{\"content\":[{\"type\":\"resource_link\",\"uri\":\"a:b\"}]}",
	"{\"content\":[{\"type\":\"resource_link\",\"uri\":\"a:b\"}]}"},
    {TOOL, B, 0, "{\"content\":[{\"type\":\"resource_link\"},7,null]}",
	"{\"content\":[{\"type\":\"resource_link\"},7,null]}"},
    {TOOL, B, 0, "{\"content\":\"bad\"}", "{\"content\":\"bad\"}"},

    /* results of prompts */
    {PROMPT, B, 0,
	"{\"description\":\"d\",\"messages\":[{\"role\":\"user\",\"content\":"
	"{\"type\":\"resource_link\",\"uri\":\"a:b\",\"name\":\"n\"}},3]}",
	"{\"description\":\"d\",\"messages\":[{\"role\":\"user\",\"content\":"
	"{\"type\":\"text\",\"text\":\"a:b\"}},3]}"},
    {PROMPT, B, 0, "{\"messages\":{}}", "{\"messages\":{}}"},
};

static struct json_span
span(const char *s)
{
	struct json_doc doc;
	struct json_span v = {s, strlen(s), JSON_NONE};

	if (json_scan(&doc, s, v.len, NULL) == JSON_OK)
		v.type = doc.root;
	return v;
}

static void
project(struct json_buf *b, const struct row *r, const struct json_span *in)
{
	switch (r->what) {
	case ITEM:
		project_item(b, r->p, r->arg, in, NULL);
		break;
	case TOOL:
		project_tool(b, r->p, r->arg, in);
		break;
	case PROMPT:
		project_prompt(b, r->p, in);
		break;
	}
}

static void
test_rows(void)
{
	struct json_span in;
	struct json_buf b;
	size_t i, n;
	char *s;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&b, 0, sizeof(b));
		in = span(rows[i].in);
		CHECK(in.type == JSON_OBJECT);
		project(&b, &rows[i], &in);
		s = json_buf_take(&b, &n);
		CHECK(s != NULL && n == strlen(rows[i].out) &&
		      memcmp(s, rows[i].out, n) == 0);
		if (s != NULL && (n != strlen(rows[i].out) ||
				     memcmp(s, rows[i].out, n) != 0))
			printf("row %zu: %.*s\n", i, (int)n, s);
		free(s);
	}
}

/* A schema deeper than references are followed is left out, never wrong. */
static void
test_deep(void)
{
	struct json_buf in = {0}, out = {0};
	struct json_span s;
	int i;

	json_puts(&in, "{\"name\":\"t\",\"outputSchema\":");
	for (i = 0; i < 50; i++)
		json_puts(&in, "{\"not\":");
	json_puts(&in, "{\"$ref\":\"#\"}");
	for (i = 0; i < 50; i++)
		json_puts(&in, "}");
	json_puts(&in, ",\"x\":1}");
	json_put(&in, "", 1);
	s = span(in.p);
	CHECK(s.type == JSON_OBJECT);
	project_item(&out, D, CAT_TOOLS, &s, "other");
	json_put(&out, "", 1);
	CHECK(!out.err && strcmp(out.p, "{\"name\":\"other\",\"x\":1}") == 0);
	json_buf_free(&in);
	json_buf_free(&out);
}

static void
test_wraps(void)
{
	static const struct {
		const char *tool;
		int wraps;
	} t[] = {
	    {"{\"name\":\"a\"}", 0},
	    {"{\"outputSchema\":{\"type\":\"object\"}}", 0},
	    {"{\"outputSchema\":{\"type\":\"obj\\u0065ct\"}}", 0},
	    {"{\"outputSchema\":{}}", 1},
	    {"{\"outputSchema\":true}", 1},
	    {"{\"outputSchema\":{\"type\":\"string\"}}", 1},
	};
	struct json_span s;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		s = span(t[i].tool);
		CHECK(project_wraps(&s) == t[i].wraps);
	}
}

static void
test_wanted(void)
{
	struct json_span plain = span("{\"content\":[]}");
	struct json_span sc = span("{\"structuredContent\":{}}");
	struct json_span link =
	    span("{\"content\":[{\"type\":\"resource_link\"}]}");
	struct json_span audio = span("{\"content\":[{\"type\":\"audio\"}]}");

	CHECK(!project_wanted(D, 0, &sc));
	CHECK(!project_wanted(D, 0, &link));
	CHECK(project_wanted(D, 1, &plain));
	CHECK(project_wanted(C, 0, &sc));
	CHECK(!project_wanted(C, 0, &link));
	CHECK(project_wanted(B, 0, &sc));
	CHECK(project_wanted(B, 0, &link));
	CHECK(!project_wanted(B, 0, &plain));
	CHECK(!project_wanted(B, 0, &audio));
	CHECK(project_wanted(A, 0, &audio));
}

static void
test_revisions(void)
{
	CHECK(project_of("2024-11-05") == A);
	CHECK(project_of("2025-03-26") == B);
	CHECK(project_of("2025-06-18") == C);
	CHECK(project_of("2025-11-25") == D);
	CHECK(project_of("2099-01-01") == D);
	CHECK(project_class(D, 0xff) == 0xff);
	CHECK(project_class(C, DECLARE_SAMPLING | DECLARE_TOOLS |
				   DECLARE_CONTEXT) == DECLARE_SAMPLING);
	CHECK(project_class(C, DECLARE_URL | DECLARE_ROOTS) ==
	      (DECLARE_FORM | DECLARE_ROOTS));
	CHECK(project_class(C, DECLARE_SAMPLING) == DECLARE_SAMPLING);
	CHECK(project_class(B, 15) == (DECLARE_SAMPLING | DECLARE_ROOTS));
	CHECK(project_class(A, DECLARE_FORM) == 0);
}

static void
test_error(void)
{
	struct json_span url =
	    span("{\"code\":-32042,\"message\":\"go \\\"\","
		 "\"data\":{\"elicitations\":[{\"url\":"
		 "\"https://a/\"},{},{\"url\":\"https://b/\"}]}}");
	struct json_span bare = span("{\"code\":-32042}");
	struct json_span other = span("{\"code\":-32602,\"message\":\"x\"}");
	struct json_buf b = {0};

	CHECK(!project_error(&b, D, &url) && b.len == 0);
	CHECK(!project_error(&b, C, &other) && b.len == 0);
	CHECK(project_error(&b, C, &url));
	json_put(&b, "", 1);
	CHECK(
	    strcmp(b.p, "{\"content\":[{\"type\":\"text\",\"text\":\"go \\\"\\n"
			"https://a/\\nhttps://b/\"}],\"isError\":true}") == 0);
	b.len = 0;
	CHECK(project_error(&b, B, &bare));
	json_put(&b, "", 1);
	CHECK(span(b.p).type == JSON_OBJECT);
	json_buf_free(&b);
}

/* What is asked: out NULL is what the revision can not say. */
static const struct {
	enum project p;
	int form;
	const char *in, *out;
} asks[] = {
    {D, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"title\":\"T\",\"oneOf\":[{\"const\":\"r\",\"title\":\"Red\"},{"
	"\"const\":\"g\",\"title\":\"Green\"}],\"default\":\"r\"}},"
	"\"required\":[\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"title\":\"T\",\"oneOf\":[{\"const\":\"r\",\"title\":\"Red\"},{"
	"\"const\":\"g\",\"title\":\"Green\"}],\"default\":\"r\"}},"
	"\"required\":[\"a\"]}"},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"title\":\"T\",\"oneOf\":[{\"const\":\"r\",\"title\":\"Red\"},{"
	"\"const\":\"g\",\"title\":\"Green\"}],\"default\":\"r\"}},"
	"\"required\":[\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"title\":\"T\",\"enum\":[\"r\",\"g\"],\"enumNames\":[\"Red\","
	"\"Green\"],\"default\":\"r\"}},\"required\":[\"a\"]}"},
    {D, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\","
	"\"items\":{\"type\":\"string\",\"enum\":[\"r\"]}}},\"required\":["
	"\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\","
	"\"items\":{\"type\":\"string\",\"enum\":[\"r\"]}}},\"required\":["
	"\"a\"]}"},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\","
	"\"items\":{\"type\":\"string\",\"enum\":[\"r\"]}}},\"required\":["
	"\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\","
	"\"items\":{\"anyOf\":[{\"const\":\"r\",\"title\":\"R\"}]}}},"
	"\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\", "
	"\"format\":\"email\",\"maxLength\":3}},\"required\":[\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\", "
	"\"format\":\"email\",\"maxLength\":3}},\"required\":[\"a\"]}"},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"enum\":[\"r\"],\"enumNames\":[\"Red\"]}},\"required\":[\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"enum\":[\"r\"],\"enumNames\":[\"Red\"]}},\"required\":[\"a\"]}"},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\","
	"\"default\":1.50}},\"required\":[\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\","
	"\"default\":1.50}},\"required\":[\"a\"]}"},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"boolean\"}},"
	"\"required\":[\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"boolean\"}},"
	"\"required\":[\"a\"]}"},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
	"\"required\":[\"a\"]}",
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
	"\"required\":[\"a\"]}"},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"\\u0074ype\":"
	"\"arr\\u0061y\"}},\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\"}},"
	"\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":7},\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"oneOf\":[{\"const\":\"r\"}]}},\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"oneOf\":[{\"const\":1,\"title\":\"One\"}]}},\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"oneOf\":[],\"enum\":[\"r\"]}},\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\","
	"\"oneOf\":7}},\"required\":[\"a\"]}",
	NULL},
    {C, 1,
	"{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"},"
	"\"b\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":["
	"\"r\"]}}}}",
	NULL},
    {C, 1, "{\"type\":\"object\"}", "{\"type\":\"object\"}"},
    {A, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]"},
    {A, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}]}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]"},
    {A, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"},{\"type\":\"text\",\"text\":\"\\u00e9\"}]}]",
	NULL},
    {A, 0, "[{\"role\":\"user\",\"content\":[]}]", NULL},
    {A, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"tool_use\",\"id\":\"1\","
	"\"name\":\"n\",\"input\":{}}}]",
	NULL},
    {A, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	"\"toolUseId\":\"1\",\"content\":[]}]}]",
	NULL},
    {A, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"image\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"image\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]"},
    {A, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"audio\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]",
	NULL},
    {B, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]"},
    {B, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}]}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]"},
    {B, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"},{\"type\":\"text\",\"text\":\"\\u00e9\"}]}]",
	NULL},
    {B, 0, "[{\"role\":\"user\",\"content\":[]}]", NULL},
    {B, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"tool_use\",\"id\":\"1\","
	"\"name\":\"n\",\"input\":{}}}]",
	NULL},
    {B, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	"\"toolUseId\":\"1\",\"content\":[]}]}]",
	NULL},
    {B, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"image\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"image\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]"},
    {B, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"audio\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"audio\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]"},
    {C, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]"},
    {C, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}]}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"}}]"},
    {C, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"},{\"type\":\"text\",\"text\":\"\\u00e9\"}]}]",
	NULL},
    {C, 0, "[{\"role\":\"user\",\"content\":[]}]", NULL},
    {C, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"tool_use\",\"id\":\"1\","
	"\"name\":\"n\",\"input\":{}}}]",
	NULL},
    {C, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	"\"toolUseId\":\"1\",\"content\":[]}]}]",
	NULL},
    {C, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"image\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"image\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]"},
    {C, 0,
	"[{\"role\":\"user\",\"content\":{\"type\":\"audio\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]",
	"[{\"role\":\"user\",\"content\":{\"type\":\"audio\",\"data\":\"\","
	"\"mimeType\":\"a/b\"}}]"},
    {D, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"},{\"type\":\"text\",\"text\":\"\\u00e9\"}]}]",
	"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	"\"\\u00e9\"},{\"type\":\"text\",\"text\":\"\\u00e9\"}]}]"},
    {D, 0,
	"[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	"\"toolUseId\":\"1\",\"content\":[]}]}]",
	"[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	"\"toolUseId\":\"1\",\"content\":[]}]}]"},
    {D, 0, "[{\"role\":\"user\",\"content\":[]}]",
	"[{\"role\":\"user\",\"content\":[]}]"},
    {C, 0, "[7]", NULL},
};

static void
test_asks(void)
{
	struct json_span in;
	struct json_buf b;
	size_t i;
	int r, good;

	for (i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		memset(&b, 0, sizeof(b));
		in = span(asks[i].in);
		CHECK(in.type != JSON_NONE);
		r = asks[i].form ? project_form(&b, asks[i].p, &in)
				 : project_messages(&b, asks[i].p, &in);
		json_put(&b, "", 1);
		good = asks[i].out == NULL
			   ? r == -1
			   : r == 0 && strcmp(b.p, asks[i].out) == 0;
		CHECK(good);
		if (!good)
			printf("ask %zu: %d %s\n", i, r, b.p);
		json_buf_free(&b);
	}
}

int
main(void)
{
	test_asks();
	test_rows();
	test_deep();
	test_wraps();
	test_wanted();
	test_revisions();
	test_error();
	TEST_END();
}
