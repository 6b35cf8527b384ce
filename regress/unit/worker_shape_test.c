/*
 * Items of lists: which are left out, and by what member.
 */
#include <string.h>

#include "../../worker/shape.h"
#include "test.h"

#define T(members) \
	"{\"name\":\"t\",\"inputSchema\":{\"type\":\"object\"}" members "}"
#define S(members) "{\"name\":\"t\",\"inputSchema\":{" members "}}"
#define P(members) "{\"name\":\"p\"" members "}"
#define R(members) "{\"uri\":\"a:b\",\"name\":\"r\"" members "}"

/* member: NULL for an item that is as it should be. */
static const struct {
	enum cat_kind kind;
	const char *item, *member;
} rows[] = {
    {CAT_TOOLS, T(""), NULL},
    {CAT_TOOLS, T(",\"x\":null,\"title\":\"\""), NULL},
    {CAT_TOOLS, "{\"name\":\"t\"}", "inputSchema"},
    {CAT_TOOLS, "{\"inputSchema\":{\"type\":\"object\"}}", "name"},
    {CAT_TOOLS, T(",\"name\":1"), "name"},
    {CAT_TOOLS, T(",\"title\":null"), "title"},
    {CAT_TOOLS, T(",\"description\":[\"x\"]"), "description"},
    {CAT_TOOLS, T(",\"_meta\":[]"), "_meta"},
    {CAT_TOOLS, T(",\"icons\":[]"), NULL},
    {CAT_TOOLS, T(",\"icons\":[{\"src\":\"a:b\",\"sizes\":[\"any\"]}]"), NULL},
    {CAT_TOOLS, T(",\"icons\":{\"src\":\"a:b\"}"), "icons"},
    {CAT_TOOLS, T(",\"icons\":[{\"src\":\"a:b\"},{}]"), "icons"},
    {CAT_TOOLS, T(",\"annotations\":{\"readOnlyHint\":false}"), NULL},
    {CAT_TOOLS, T(",\"annotations\":{\"readOnlyHint\":0}"), "annotations"},
    {CAT_TOOLS, T(",\"execution\":{\"taskSupport\":\"required\"}"), NULL},
    {CAT_TOOLS, T(",\"execution\":{\"taskSupport\":\"require\"}"), "execution"},
    {CAT_TOOLS, T(",\"execution\":{\"taskSupport\":\"\"}"), "execution"},
    {CAT_TOOLS, T(",\"execution\":{\"taskSupport\":\"a|b\"}"), "execution"},
    /* schemas of arguments */
    {CAT_TOOLS, S(""), "inputSchema"},
    {CAT_TOOLS, S("\"type\":\"objec\""), "inputSchema"},
    {CAT_TOOLS, S("\"type\":[\"object\"]"), "inputSchema"},
    {CAT_TOOLS, S("\"type\":\"obj\\u0065ct\",\"required\":[]"), NULL},
    {CAT_TOOLS, S("\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}}"),
	NULL},
    {CAT_TOOLS, S("\"type\":\"object\",\"properties\":{\"a\":{},\"b\":1}"),
	"inputSchema"},
    {CAT_TOOLS, S("\"type\":\"object\",\"required\":[\"a\",null]"),
	"inputSchema"},
    /* what is there twice, under whichever spelling */
    {CAT_TOOLS, S("\"type\":\"object\",\"type\":1"), "inputSchema"},
    {CAT_TOOLS, S("\"type\":\"object\",\"t\\u0079pe\":1"), "inputSchema"},
    {CAT_TOOLS, S("\"type\":1,\"type\":\"object\""), "inputSchema"},
    /* schemas of results: another root is projected */
    {CAT_TOOLS, T(",\"outputSchema\":{}"), NULL},
    {CAT_TOOLS, T(",\"outputSchema\":true"), NULL},
    {CAT_TOOLS, T(",\"outputSchema\":{\"type\":\"array\",\"required\":1}"),
	NULL},
    {CAT_TOOLS, T(",\"outputSchema\":{\"type\":\"object\",\"required\":1}"),
	"outputSchema"},
    {CAT_TOOLS, T(",\"outputSchema\":null"), "outputSchema"},
    {CAT_TOOLS, T(",\"outputSchema\":[]"), "outputSchema"},

    {CAT_PROMPTS, P(""), NULL},
    {CAT_PROMPTS, P(",\"arguments\":[{\"name\":\"a\",\"required\":true}]"),
	NULL},
    {CAT_PROMPTS, P(",\"arguments\":[{\"required\":true}]"), "arguments"},
    {CAT_PROMPTS, P(",\"arguments\":[\"a\"]"), "arguments"},
    {CAT_PROMPTS, P(",\"inputSchema\":1"), NULL},

    {CAT_RESOURCES, R(",\"size\":12"), NULL},
    {CAT_RESOURCES, R(",\"size\":1.5"), "size"},
    {CAT_RESOURCES, R(",\"size\":\"1\""), "size"},
    {CAT_RESOURCES, "{\"uri\":\"a:b\"}", "name"},
    {CAT_RESOURCES, R(",\"mimeType\":{}"), "mimeType"},
    {CAT_RESOURCES,
	R(",\"annotations\":{\"audience\":[\"user\",\"assistant\"]}"), NULL},
    {CAT_RESOURCES, R(",\"annotations\":{\"audience\":[\"user\",\"us\"]}"),
	"annotations"},
    {CAT_RESOURCES, R(",\"annotations\":{\"priority\":1e0}"), NULL},
    {CAT_RESOURCES, R(",\"annotations\":{\"priority\":1.01}"), "annotations"},
    {CAT_RESOURCES, R(",\"annotations\":{\"priority\":-1}"), "annotations"},
    {CAT_RESOURCES, R(",\"annotations\":{\"priority\":\"1\"}"), "annotations"},
    {CAT_TEMPLATES, R(",\"size\":\"any\""), NULL},
    {CAT_TEMPLATES, R(",\"title\":true"), "title"},
};

int
main(void)
{
	struct json_doc doc;
	struct json_span item;
	const char *why;
	char want[64];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		item.p = rows[i].item;
		item.len = strlen(item.p);
		item.type = JSON_OBJECT;
		why = shape_wrong(rows[i].kind, &item);
		if (rows[i].member != NULL)
			(void)snprintf(
			    want, sizeof(want), " its %s ", rows[i].member);
		if (rows[i].member == NULL
			? why != NULL
			: why == NULL || strstr(why, want) == NULL)
			printf("# %s: %s\n", item.p, why ? why : "taken");
		/* Rows of duplicate names are not JSON to every reader. */
		CHECK(json_scan(&doc, item.p, item.len, NULL) != JSON_E_SYNTAX);
		CHECK(rows[i].member == NULL
			  ? why == NULL
			  : why != NULL && strstr(why, want) != NULL);
	}
	TEST_END();
}
