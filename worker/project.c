/*
 * Projections for older clients. The wrapping of schemas and results is that of
 * the SDK (@modelcontextprotocol/core 2.x), so that a client sees the same with
 * and without the gateway.
 */
#include <string.h>

#include "project.h"
#include "proto.h"

#define REF_DEPTH 32 /* levels of a schema in which references are moved */
#define URL_ERROR "-32042"
#define NEW_ROOT  "#/properties/result"

/* Where a part of a schema stands: what its keys mean. */
enum place {
	PLACE_SCHEMA, /* keywords */
	PLACE_NAMES, /* names the author chose, each with a schema */
};

static int is(const struct json_span *, const char *);
static int contains(const struct json_span *, const char *);
static int in(const struct json_span *, const char *const *);
static void put_key(struct json_buf *, const char **, const struct json_span *);
static int drops(enum project, enum cat_kind, const struct json_span *);
static int has_base(const struct json_span *);
static int put_schema(
    struct json_buf *, const struct json_span *, enum place, int);
static void put_ref(struct json_buf *, const struct json_span *);
static int put_wrapped(struct json_buf *, const struct json_span *);
static void put_block(
    struct json_buf *, enum project, const struct json_span *);
static void put_text(
    struct json_buf *, const struct json_span *, const struct json_span *);
static void put_content(struct json_buf *, enum project,
    const struct json_span *, const struct json_span *);
static int has_text(const struct json_span *);
static void put_message(
    struct json_buf *, enum project, const struct json_span *);

static const struct json_span none = {"", 0, JSON_NONE};

/* Keywords whose value is data, and those whose value maps names to schemas. */
static const char *const data_words[] = {
    "const", "enum", "default", "examples", NULL};
static const char *const name_words[] = {"properties", "patternProperties",
    "$defs", "definitions", "dependentSchemas", "dependencies", NULL};

enum project
project_of(const char *revision)
{
	static const char *const known[] = {
	    "2024-11-05", "2025-03-26", "2025-06-18"};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(revision, known[i]) == 0)
			return (enum project)i;
	return PROJECT_NEWEST;
}

/* Elicitation came with 2025-06-18, its url mode one later, and the modes of
 * sampling with that; between the two whatever was declared meant a form. */
uint8_t
project_class(enum project p, uint8_t class)
{
	if (p < PROJECT_NEWEST)
		class &= ~(DECLARE_TOOLS | DECLARE_CONTEXT);
	if (p < PROJECT_2025_06_18)
		return class & ~(DECLARE_FORM | DECLARE_URL);
	if (p == PROJECT_2025_06_18 && (class & (DECLARE_FORM | DECLARE_URL)))
		return (class & ~DECLARE_URL) | DECLARE_FORM;
	return class;
}

/* Does a key or a string read so, as it stands in the text? */
static int
is(const struct json_span *s, const char *word)
{
	size_t len = strlen(word);

	return s->type == JSON_STRING && s->len == len + 2 &&
	       memcmp(s->p + 1, word, len) == 0;
}

static int
in(const struct json_span *s, const char *const *words)
{
	for (; *words != NULL; words++)
		if (is(s, *words))
			return 1;
	return 0;
}

static int
contains(const struct json_span *s, const char *text)
{
	return memmem(s->p, s->len, text, strlen(text)) != NULL;
}

static void
put_key(struct json_buf *b, const char **sep, const struct json_span *key)
{
	json_puts(b, *sep);
	json_putspan(b, key);
	json_puts(b, ":");
	*sep = ",";
}

/* ---- lists ---- */

int
project_wraps(const struct json_span *tool)
{
	struct json_span schema, type;

	return json_member(tool, "outputSchema", &schema) == 0 &&
	       (json_member(&schema, "type", &type) == -1 ||
		   !json_equals(&type, "object"));
}

/* What a revision does not know of an item. */
static int
drops(enum project p, enum cat_kind kind, const struct json_span *key)
{
	if (p < PROJECT_NEWEST &&
	    (is(key, "icons") || (kind == CAT_TOOLS && is(key, "execution"))))
		return 1;
	return p < PROJECT_2025_06_18 && kind == CAT_TOOLS &&
	       is(key, "outputSchema");
}

void
project_item(struct json_buf *b, enum project p, enum cat_kind kind,
    const struct json_span *item, const char *name)
{
	int wrap = kind == CAT_TOOLS && project_wraps(item);
	struct json_span k, v;
	const char *sep = "";
	size_t pos = 0, mark;

	json_puts(b, "{");
	while (json_next(item, &pos, &k, &v)) {
		if (drops(p, kind, &k))
			continue;
		mark = b->len;
		put_key(b, &sep, &k);
		if (name != NULL && is(&k, "name"))
			json_putstr(b, name);
		else if (!wrap || !is(&k, "outputSchema"))
			json_putspan(b, &v);
		else if (put_wrapped(b, &v) == -1 && !b->err) {
			/* None at all is better than a wrong one. */
			b->len = mark;
			sep = mark > 0 && b->p[mark - 1] == '{' ? "" : ",";
		}
	}
	json_puts(b, "}");
}

/* A schema of its own inside another: references start from it. "#x" is how
 * old drafts wrote an anchor. */
static int
has_base(const struct json_span *schema)
{
	struct json_span id;

	return json_member(schema, "$id", &id) == 0 &&
	       !(id.type == JSON_STRING && id.len > 2 && id.p[1] == '#');
}

/* A reference into the schema finds its target one level deeper now. */
static void
put_ref(struct json_buf *b, const struct json_span *v)
{
	if (v->type != JSON_STRING || v->len < 3 || v->p[1] != '#' ||
	    (v->len > 3 && v->p[2] != '/')) {
		json_putspan(b, v);
		return;
	}
	json_puts(b, "\"" NEW_ROOT);
	json_put(b, v->p + 2, v->len - 2);
}

static int
put_schema(
    struct json_buf *b, const struct json_span *s, enum place place, int depth)
{
	struct json_span k, v;
	const char *sep = "";
	size_t pos = 0;
	int r = 0;

	if ((s->type != JSON_OBJECT && s->type != JSON_ARRAY) ||
	    !contains(s, "$") || (place == PLACE_SCHEMA && has_base(s))) {
		json_putspan(b, s);
		return 0;
	}
	if (depth == REF_DEPTH || contains(s, "\"$recursiveRef\""))
		return -1;
	json_puts(b, s->type == JSON_OBJECT ? "{" : "[");
	while (r == 0 && json_next(s, &pos, &k, &v)) {
		if (s->type == JSON_ARRAY) {
			json_puts(b, sep);
			sep = ",";
			r = put_schema(b, &v, PLACE_SCHEMA, depth + 1);
			continue;
		}
		put_key(b, &sep, &k);
		if (place == PLACE_NAMES)
			r = put_schema(b, &v, PLACE_SCHEMA, depth + 1);
		else if (is(&k, "$ref") || is(&k, "$dynamicRef"))
			put_ref(b, &v);
		else if (in(&k, data_words))
			json_putspan(b, &v);
		else
			r = put_schema(b, &v,
			    in(&k, name_words) ? PLACE_NAMES : PLACE_SCHEMA,
			    depth + 1);
	}
	json_puts(b, s->type == JSON_OBJECT ? "}" : "]");
	return r;
}

/* {"type":"object",…} around it. The revisions have no true and false for
 * schemas in properties. */
static int
put_wrapped(struct json_buf *b, const struct json_span *schema)
{
	struct json_span dialect;
	int r = 0;

	json_puts(b, "{");
	if (json_member(schema, "$schema", &dialect) == 0 &&
	    dialect.type == JSON_STRING) {
		json_puts(b, "\"$schema\":");
		json_putspan(b, &dialect);
		json_puts(b, ",");
	}
	json_puts(b, "\"type\":\"object\",\"properties\":{\"result\":");
	if (schema->type == JSON_OBJECT)
		r = put_schema(b, schema, PLACE_SCHEMA, 0);
	else
		json_puts(
		    b, schema->type == JSON_FALSE ? "{\"not\":{}}" : "{}");
	json_puts(b, "},\"required\":[\"result\"]}");
	return r;
}

/* ---- results ---- */

int
project_wanted(enum project p, int wrap, const struct json_span *result)
{
	if (wrap)
		return 1;
	if (p == PROJECT_NEWEST)
		return 0;
	if (contains(result, "\"structuredContent\""))
		return 1;
	return (p < PROJECT_2025_06_18 &&
		   contains(result, "\"resource_link\"")) ||
	       (p < PROJECT_2025_03_26 && contains(result, "\"audio\""));
}

static void
put_text(struct json_buf *b, const struct json_span *text,
    const struct json_span *block)
{
	struct json_span notes;

	json_puts(b, "{\"type\":\"text\",\"text\":");
	json_putspan(b, text);
	if (json_member(block, "annotations", &notes) == 0 &&
	    notes.type == JSON_OBJECT) {
		json_puts(b, ",\"annotations\":");
		json_putspan(b, &notes);
	}
	json_puts(b, "}");
}

/* A kind of content the revision lacks becomes text: a link its address. */
static void
put_block(struct json_buf *b, enum project p, const struct json_span *block)
{
	static const struct json_span audio = {"\"(audio)\"", 9, JSON_STRING};
	struct json_span type, uri;

	if (json_member(block, "type", &type) == -1)
		type.type = JSON_NONE;
	if (p < PROJECT_2025_06_18 && json_equals(&type, "resource_link") &&
	    json_member(block, "uri", &uri) == 0 && uri.type == JSON_STRING)
		put_text(b, &uri, block);
	else if (p < PROJECT_2025_03_26 && json_equals(&type, "audio"))
		put_text(b, &audio, block);
	else
		json_putspan(b, block);
}

static int
has_text(const struct json_span *content)
{
	struct json_span block, type;
	size_t pos = 0;

	while (json_next(content, &pos, NULL, &block))
		if (json_member(&block, "type", &type) == 0 &&
		    json_equals(&type, "text"))
			return 1;
	return 0;
}

/* said: what the client would not see otherwise, as one more block; type
 * JSON_NONE for nothing. */
static void
put_content(struct json_buf *b, enum project p, const struct json_span *content,
    const struct json_span *said)
{
	struct json_span block;
	const char *sep = "";
	size_t pos = 0;

	json_puts(b, "[");
	while (json_next(content, &pos, NULL, &block)) {
		json_puts(b, sep);
		put_block(b, p, &block);
		sep = ",";
	}
	if (said->type != JSON_NONE) {
		json_puts(b, sep);
		json_puts(b, "{\"type\":\"text\",\"text\":");
		json_putstrn(b, said->p, said->len);
		json_puts(b, "}");
	}
	json_puts(b, "]");
}

void
project_tool(struct json_buf *b, enum project p, int wrap,
    const struct json_span *result)
{
	struct json_span k, v, content, sc, said;
	const char *sep = "";
	size_t pos = 0;

	if (json_member(result, "structuredContent", &sc) == -1)
		sc.type = JSON_NONE;
	if (json_member(result, "content", &content) == -1)
		content = none;
	said = sc;
	if ((p >= PROJECT_2025_06_18 && sc.type == JSON_OBJECT) ||
	    has_text(&content))
		said.type = JSON_NONE;
	wrap |= sc.type != JSON_OBJECT;
	json_puts(b, "{");
	while (json_next(result, &pos, &k, &v)) {
		if (is(&k, "structuredContent")) {
			if (p < PROJECT_2025_06_18)
				continue;
			put_key(b, &sep, &k);
			json_puts(b, wrap ? "{\"result\":" : "");
			json_putspan(b, &v);
			json_puts(b, wrap ? "}" : "");
			continue;
		}
		put_key(b, &sep, &k);
		if (is(&k, "content") && v.type == JSON_ARRAY)
			put_content(b, p, &v, &said);
		else
			json_putspan(b, &v);
	}
	if (content.type == JSON_NONE) {
		json_puts(b, sep);
		json_puts(b, "\"content\":");
		put_content(b, p, &content, &said);
	}
	json_puts(b, "}");
}

static void
put_message(struct json_buf *b, enum project p, const struct json_span *message)
{
	struct json_span k, v;
	const char *sep = "";
	size_t pos = 0;

	if (message->type != JSON_OBJECT) {
		json_putspan(b, message);
		return;
	}
	json_puts(b, "{");
	while (json_next(message, &pos, &k, &v)) {
		put_key(b, &sep, &k);
		if (is(&k, "content"))
			put_block(b, p, &v);
		else
			json_putspan(b, &v);
	}
	json_puts(b, "}");
}

void
project_prompt(
    struct json_buf *b, enum project p, const struct json_span *result)
{
	struct json_span k, v, message;
	const char *sep = "", *comma;
	size_t pos = 0, at;

	json_puts(b, "{");
	while (json_next(result, &pos, &k, &v)) {
		put_key(b, &sep, &k);
		if (!is(&k, "messages") || v.type != JSON_ARRAY) {
			json_putspan(b, &v);
			continue;
		}
		json_puts(b, "[");
		for (at = 0, comma = ""; json_next(&v, &at, NULL, &message);
		     comma = ",") {
			json_puts(b, comma);
			put_message(b, p, &message);
		}
		json_puts(b, "]");
	}
	json_puts(b, "}");
}

int
project_error(struct json_buf *b, enum project p, const struct json_span *error)
{
	struct json_span code, message, data, list, one, url;
	struct json_buf text = {0};
	char s[4096];
	size_t pos = 0;

	if (p == PROJECT_NEWEST || json_member(error, "code", &code) == -1 ||
	    code.len != sizeof(URL_ERROR) - 1 ||
	    memcmp(code.p, URL_ERROR, code.len) != 0)
		return 0;
	if (json_member(error, "message", &message) == 0 &&
	    json_decode(&message, s, sizeof(s)) > 0)
		json_puts(&text, s);
	if (json_member(error, "data", &data) == 0 &&
	    json_member(&data, "elicitations", &list) == 0)
		while (json_next(&list, &pos, NULL, &one))
			if (json_member(&one, "url", &url) == 0 &&
			    json_decode(&url, s, sizeof(s)) > 0) {
				json_puts(&text, text.len ? "\n" : "");
				json_puts(&text, s);
			}
	json_puts(b, "{\"content\":[{\"type\":\"text\",\"text\":");
	json_putstrn(b, text.p ? text.p : "", text.len);
	json_puts(b, "}],\"isError\":true}");
	b->err |= text.err;
	json_buf_free(&text);
	return 1;
}
