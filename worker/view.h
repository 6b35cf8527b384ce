#ifndef VIEW_H
#define VIEW_H

/*
 * The catalog as one endpoint shows it to clients of one capability class:
 * exposed names, merged lists as bytes ready to send, and the way back from
 * an exposed name to backend and original.
 */
#include "backend.h"
#include "catalog.h"
#include "project.h"
#include "worker.h"

struct view_item {
	char *name; /* exposed */
	struct backend *backend;
	const struct cat_item *item;
	int hidden; /* 1: a collision, see view.c */
	int wrap; /* see project_wraps */
	struct view_item *next;
};

struct view;

/* The view for an endpoint and the capabilities a client declared; NULL when
 * no catalog is there yet or memory is out. Valid until the next turn. */
struct view *view_get(const struct endpoint *, uint8_t class);
/* What is declared toward a backend for such a client. */
uint8_t view_class(const struct backend *, uint8_t class);
/* Is every backend's own class filled? If not the keeper has been asked. */
int view_complete(const struct view *);
/* JSON array of one kind, as a revision knows it; NULL when memory is out. */
const char *view_list(struct view *, enum cat_kind, enum project, size_t *len);
/* SHA-256 of one, as the newest revision has it; NULL when memory is out. */
const uint8_t *view_digest(struct view *, enum cat_kind);
/* One page of it: the items without the brackets; more: is there another? A
 * page that is not there is empty. */
const char *view_page(struct view *, enum cat_kind, enum project, uint32_t page,
    size_t *len, int *more);
/* What the catalog has of the i-th backend, or NULL; *be is NULL past the
 * last. */
const struct cat_entry *view_entry(
    const struct view *, size_t i, struct backend **be);
/* By exposed name; CAT_TOOLS or CAT_PROMPTS. */
const struct view_item *view_find(
    const struct view *, enum cat_kind, const char *name);
/* The backend that a resource URI belongs to, see view_uri.c; NULL: nobody's.
 * view_listed: only if it is on a list. */
struct backend *view_uri(const struct view *, const char *uri);
struct backend *view_listed(const struct view *, const char *uri);
/* The backend of a URI template as listed. */
struct backend *view_template(const struct view *, const char *template);
/* From view_uri.c: an index of what is listed; NULL when memory is out. Freed
 * with free. */
struct uri_index *uri_index(const struct view *);
const struct uri_index *view_uris(const struct view *);
/* Union of CAP_* of its backends: all there are while one of them has never
 * been seen. */
uint32_t view_caps(const struct view *);
/* Appends the instructions of all its backends. */
void view_instructions(const struct view *, struct json_buf *);

/* Calls cb once a (more complete) catalog has come, or after ms. */
struct view_wait;
struct view_wait *view_wait(int ms, void (*cb)(void *), void *arg);
void view_wait_cancel(struct view_wait *);

/* From catalog.c. */
void views_drop(void);
void views_ready(void);

/* RFC 6570 template against a URI; linear in the URI for each variable. */
int uri_match(const char *template, const char *uri);

#endif
