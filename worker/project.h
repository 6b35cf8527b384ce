#ifndef PROJECT_H
#define PROJECT_H

/*
 * Lists and results as clients of older revisions know them (ref/protocol.md
 * 3.2). A backend is always spoken to in the newest revision that both know;
 * what it says and the client's revision lacks is left out or becomes text.
 * Values that need no change pass byte for byte.
 */
#include "catalog.h"
#include "json.h"

enum project {
	PROJECT_2024_11_05,
	PROJECT_2025_03_26,
	PROJECT_2025_06_18,
	PROJECT_NEWEST, /* 2025-11-25 */
	PROJECTS,
};

/* Of a negotiated revision; what is not known is taken for the newest. */
enum project project_of(const char *revision);
/* The capabilities among class (DECLARE_*) that exist in the revision. */
uint8_t project_class(enum project, uint8_t class);

/* Has the tool an outputSchema that legacy revisions do not allow, one whose
 * root is no object? It is wrapped, and so are its results. */
int project_wraps(const struct json_span *tool);
/* Appends a list's item. name replaces its own; NULL: it stays. */
void project_item(struct json_buf *, enum project, enum cat_kind,
    const struct json_span *item, const char *name);

/* Must a result pass through the functions below? Looks into it only when the
 * client's revision is not the newest; wrap: project_wraps of its tool. */
int project_wanted(enum project, int wrap, const struct json_span *result);
/* Append results, of tools/call and of prompts/get. */
void project_tool(
    struct json_buf *, enum project, int wrap, const struct json_span *result);
void project_prompt(
    struct json_buf *, enum project, const struct json_span *result);
/* An error that asks the user to open a page (-32042), as a tool's result with
 * the addresses in text. 0 and nothing appended where the revision knows the
 * error, or it is another. */
int project_error(
    struct json_buf *, enum project, const struct json_span *error);

/* Append what a backend asks: the requestedSchema of a form, the messages for a
 * model; project_ask.c. -1: the revision can not say it. */
int project_form(
    struct json_buf *, enum project, const struct json_span *schema);
int project_messages(
    struct json_buf *, enum project, const struct json_span *messages);

#endif
