/*
 * Tools, prompts, resources and templates against the schema of the newest
 * revision with sessions. Members that it does not know are not looked at. A
 * name that is there twice must be right each time: readers differ in which
 * they take.
 */
#include <stdlib.h>
#include <string.h>

#include "shape.h"

enum want {
	WANT_STRING,
	WANT_BOOL,
	WANT_INTEGER,
	WANT_SHARE, /* a number from 0 to 1 */
	WANT_WORD, /* one of words */
	WANT_OBJECT, /* whose members are as the rules say */
	WANT_MAP, /* an object of objects */
	WANT_STRINGS, /* an array of such values */
	WANT_WORDS,
	WANT_OBJECTS,
	WANT_OUTPUT, /* a schema; other roots than object are projected */
};

struct rule {
	const char *key;
	enum want want;
	int needed;
	const struct rule *rules; /* NULL: anything */
	const char *words; /* each between two bars */
	const char *why;
};

static const struct rule icon[] = {
    {"src", WANT_STRING, 1, NULL, NULL, NULL},
    {"mimeType", WANT_STRING, 0, NULL, NULL, NULL},
    {"sizes", WANT_STRINGS, 0, NULL, NULL, NULL},
    {"theme", WANT_WORD, 0, NULL, "|dark|light|", NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule hints[] = {
    {"title", WANT_STRING, 0, NULL, NULL, NULL},
    {"readOnlyHint", WANT_BOOL, 0, NULL, NULL, NULL},
    {"destructiveHint", WANT_BOOL, 0, NULL, NULL, NULL},
    {"idempotentHint", WANT_BOOL, 0, NULL, NULL, NULL},
    {"openWorldHint", WANT_BOOL, 0, NULL, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule notes[] = {
    {"audience", WANT_WORDS, 0, NULL, "|assistant|user|", NULL},
    {"priority", WANT_SHARE, 0, NULL, NULL, NULL},
    {"lastModified", WANT_STRING, 0, NULL, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule execution[] = {
    {"taskSupport", WANT_WORD, 0, NULL, "|forbidden|optional|required|", NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule schema[] = {
    {"$schema", WANT_STRING, 0, NULL, NULL, NULL},
    {"type", WANT_WORD, 1, NULL, "|object|", NULL},
    {"properties", WANT_MAP, 0, NULL, NULL, NULL},
    {"required", WANT_STRINGS, 0, NULL, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule argument[] = {
    {"name", WANT_STRING, 1, NULL, NULL, NULL},
    {"title", WANT_STRING, 0, NULL, NULL, NULL},
    {"description", WANT_STRING, 0, NULL, NULL, NULL},
    {"required", WANT_BOOL, 0, NULL, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};

#define WHY(key) "left out: its " key " is not as the protocol says"
#define COMMON                                                               \
	{"name", WANT_STRING, 1, NULL, NULL, WHY("name")},                   \
	    {"title", WANT_STRING, 0, NULL, NULL, WHY("title")},             \
	    {"description", WANT_STRING, 0, NULL, NULL, WHY("description")}, \
	    {"icons", WANT_OBJECTS, 0, icon, NULL, WHY("icons")},            \
	{                                                                    \
		"_meta", WANT_OBJECT, 0, NULL, NULL, WHY("_meta")            \
	}

static const struct rule tool[] = {
    COMMON,
    {"inputSchema", WANT_OBJECT, 1, schema, NULL, WHY("inputSchema")},
    {"outputSchema", WANT_OUTPUT, 0, schema, NULL, WHY("outputSchema")},
    {"annotations", WANT_OBJECT, 0, hints, NULL, WHY("annotations")},
    {"execution", WANT_OBJECT, 0, execution, NULL, WHY("execution")},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule prompt[] = {
    COMMON,
    {"arguments", WANT_OBJECTS, 0, argument, NULL, WHY("arguments")},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule resource[] = {
    COMMON,
    {"mimeType", WANT_STRING, 0, NULL, NULL, WHY("mimeType")},
    {"size", WANT_INTEGER, 0, NULL, NULL, WHY("size")},
    {"annotations", WANT_OBJECT, 0, notes, NULL, WHY("annotations")},
    {NULL, 0, 0, NULL, NULL, NULL},
};
/* A size means nothing there. */
static const struct rule template[] = {
    COMMON,
    {"mimeType", WANT_STRING, 0, NULL, NULL, WHY("mimeType")},
    {"annotations", WANT_OBJECT, 0, notes, NULL, WHY("annotations")},
    {NULL, 0, 0, NULL, NULL, NULL},
};
static const struct rule *const kinds[CAT_KINDS] = {
    tool, prompt, resource, template};

static const struct rule *object_wrong(
    const struct rule *, const struct json_span *);
static int right(const struct rule *, const struct json_span *);
static int is_share(const struct json_span *);
static int is_integer(const struct json_span *);
static int is_word(const char *, const struct json_span *);
static int is_output(const struct rule *, const struct json_span *);
static int each(
    const struct rule *, enum want, enum json_type, const struct json_span *);

const char *
shape_wrong(enum cat_kind kind, const struct json_span *item)
{
	const struct rule *r = object_wrong(kinds[kind], item);

	return r == NULL ? NULL : r->why;
}

/* A rule that an object breaks. */
static const struct rule *
object_wrong(const struct rule *rules, const struct json_span *object)
{
	struct json_span k, v;
	unsigned int found = 0;
	size_t pos = 0, i;

	if (rules == NULL)
		return NULL;
	while (json_next(object, &pos, &k, &v))
		for (i = 0; rules[i].key != NULL; i++) {
			if (!json_equals(&k, rules[i].key))
				continue;
			if (!right(&rules[i], &v))
				return &rules[i];
			found |= 1U << i;
		}
	for (i = 0; rules[i].key != NULL; i++)
		if (rules[i].needed && !(found & 1U << i))
			return &rules[i];
	return NULL;
}

static int
right(const struct rule *r, const struct json_span *v)
{
	switch (r->want) {
	case WANT_STRING:
		return v->type == JSON_STRING;
	case WANT_BOOL:
		return v->type == JSON_TRUE || v->type == JSON_FALSE;
	case WANT_INTEGER:
		return is_integer(v);
	case WANT_SHARE:
		return is_share(v);
	case WANT_WORD:
		return is_word(r->words, v);
	case WANT_OBJECT:
		return v->type == JSON_OBJECT &&
		       object_wrong(r->rules, v) == NULL;
	case WANT_MAP:
		return each(r, WANT_OBJECT, JSON_OBJECT, v);
	case WANT_STRINGS:
		return each(r, WANT_STRING, JSON_ARRAY, v);
	case WANT_WORDS:
		return each(r, WANT_WORD, JSON_ARRAY, v);
	case WANT_OBJECTS:
		return each(r, WANT_OBJECT, JSON_ARRAY, v);
	case WANT_OUTPUT:
		return is_output(r, v);
	}
	return 0;
}

static int
each(const struct rule *r, enum want want, enum json_type type,
    const struct json_span *v)
{
	struct rule one = *r;
	struct json_span w;
	size_t pos = 0;

	if (v->type != type)
		return 0;
	one.want = want;
	while (json_next(v, &pos, NULL, &w))
		if (!right(&one, &w))
			return 0;
	return 1;
}

static int
is_integer(const struct json_span *v)
{
	size_t i;

	for (i = 0; i < v->len; i++)
		if (strchr(".eE", v->p[i]) != NULL)
			return 0;
	return v->type == JSON_NUMBER;
}

static int
is_share(const struct json_span *v)
{
	char text[64];
	double d;

	if (v->type != JSON_NUMBER || v->len >= sizeof(text))
		return 0;
	memcpy(text, v->p, v->len);
	text[v->len] = '\0';
	d = strtod(text, NULL);
	return d >= 0 && d <= 1;
}

static int
is_word(const char *words, const struct json_span *v)
{
	char text[32];
	const char *at;
	ssize_t n;

	if (v->type != JSON_STRING ||
	    (n = json_decode(v, text, sizeof(text))) <= 0 ||
	    strchr(text, '|') != NULL || (at = strstr(words, text)) == NULL)
		return 0;
	return at[-1] == '|' && at[n] == '|';
}

static int
is_output(const struct rule *r, const struct json_span *v)
{
	struct json_span type;

	if (v->type != JSON_OBJECT)
		return v->type == JSON_TRUE || v->type == JSON_FALSE;
	return json_member(v, "type", &type) == -1 ||
	       !json_equals(&type, "object") ||
	       object_wrong(r->rules, v) == NULL;
}
