/*
 * Projections of what backends ask clients of older revisions: whatever the
 * revision can not say is refused, since a client would show the user, or tell
 * its model, something else than what was meant.
 */
#include "project.h"

static int put_property(struct json_buf *, const struct json_span *);
static int put_choices(struct json_buf *, const struct json_span *);
static int put_said(struct json_buf *, enum project, const struct json_span *);
static int known_type(const struct json_span *);
static int known_block(enum project, const struct json_span *);
static void put_key(struct json_buf *, const char **, const struct json_span *);

static void
put_key(struct json_buf *b, const char **sep, const struct json_span *key)
{
	json_puts(b, *sep);
	json_putspan(b, key);
	json_puts(b, ":");
	*sep = ",";
}

/* ---- forms: elicitation has no other schemas in 2025-06-18 ---- */

static int
known_type(const struct json_span *property)
{
	static const char *const types[] = {
	    "string", "number", "integer", "boolean"};
	struct json_span type;
	size_t i;

	if (property->type != JSON_OBJECT ||
	    json_member(property, "type", &type) == -1)
		return 0;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (json_equals(&type, types[i]))
			return 1;
	return 0;
}

int
project_form(struct json_buf *b, enum project p, const struct json_span *schema)
{
	struct json_span k, v, name, property;
	const char *sep = "", *comma = "";
	size_t pos = 0, at = 0;

	if (p == PROJECT_NEWEST || schema->type != JSON_OBJECT) {
		json_putspan(b, schema);
		return 0;
	}
	json_puts(b, "{");
	while (json_next(schema, &pos, &k, &v)) {
		put_key(b, &sep, &k);
		if (!json_equals(&k, "properties") || v.type != JSON_OBJECT) {
			json_putspan(b, &v);
			continue;
		}
		json_puts(b, "{");
		while (json_next(&v, &at, &name, &property)) {
			put_key(b, &comma, &name);
			if (put_property(b, &property) == -1)
				return -1;
		}
		json_puts(b, "}");
	}
	json_puts(b, "}");
	return 0;
}

static int
put_property(struct json_buf *b, const struct json_span *property)
{
	struct json_span k, v, choices;
	const char *sep = "";
	size_t pos = 0;

	if (!known_type(property))
		return -1;
	if (json_member(property, "oneOf", &choices) == -1) {
		json_putspan(b, property);
		return 0;
	}
	json_puts(b, "{");
	while (json_next(property, &pos, &k, &v)) {
		if (json_equals(&k, "enum") || json_equals(&k, "enumNames"))
			return -1;
		if (!json_equals(&k, "oneOf")) {
			put_key(b, &sep, &k);
			json_putspan(b, &v);
			continue;
		}
		json_puts(b, sep);
		sep = ",";
		if (put_choices(b, &v) == -1)
			return -1;
	}
	json_puts(b, "}");
	return 0;
}

/* Choices with titles, as two lists. */
static int
put_choices(struct json_buf *b, const struct json_span *choices)
{
	static const char *const from[] = {"const", "title"};
	static const char *const to[] = {"\"enum\":[", "],\"enumNames\":["};
	struct json_span one, v;
	const char *sep;
	size_t i, pos;

	if (choices->type != JSON_ARRAY)
		return -1;
	for (i = 0; i < 2; i++) {
		json_puts(b, to[i]);
		for (pos = 0, sep = ""; json_next(choices, &pos, NULL, &one);
		     sep = ",") {
			if (one.type != JSON_OBJECT ||
			    json_member(&one, from[i], &v) == -1 ||
			    v.type != JSON_STRING)
				return -1;
			json_puts(b, sep);
			json_putspan(b, &v);
		}
	}
	json_puts(b, "]");
	return 0;
}

/* ---- sampling: one piece of content in a message, and no tools ---- */

static int
known_block(enum project p, const struct json_span *block)
{
	struct json_span type;

	if (block->type != JSON_OBJECT ||
	    json_member(block, "type", &type) == -1)
		return 0;
	return json_equals(&type, "text") || json_equals(&type, "image") ||
	       (p >= PROJECT_2025_03_26 && json_equals(&type, "audio"));
}

int
project_messages(
    struct json_buf *b, enum project p, const struct json_span *messages)
{
	struct json_span message;
	const char *sep = "";
	size_t pos = 0;

	if (p == PROJECT_NEWEST || messages->type != JSON_ARRAY) {
		json_putspan(b, messages);
		return 0;
	}
	json_puts(b, "[");
	while (json_next(messages, &pos, NULL, &message)) {
		json_puts(b, sep);
		sep = ",";
		if (put_said(b, p, &message) == -1)
			return -1;
	}
	json_puts(b, "]");
	return 0;
}

static int
put_said(struct json_buf *b, enum project p, const struct json_span *message)
{
	struct json_span k, v, block, more;
	const char *sep = "";
	size_t pos = 0, at = 0;

	if (message->type != JSON_OBJECT)
		return -1;
	json_puts(b, "{");
	while (json_next(message, &pos, &k, &v)) {
		put_key(b, &sep, &k);
		if (!json_equals(&k, "content")) {
			json_putspan(b, &v);
			continue;
		}
		block = v;
		if (v.type == JSON_ARRAY &&
		    (!json_next(&v, &at, NULL, &block) ||
			json_next(&v, &at, NULL, &more)))
			return -1;
		if (!known_block(p, &block))
			return -1;
		json_putspan(b, &block);
	}
	json_puts(b, "}");
	return 0;
}
