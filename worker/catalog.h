#ifndef CATALOG_H
#define CATALOG_H

/*
 * What every backend offers, by capability class: made by the keeper, handed
 * to the workers as a sealed memfd. One format, written and read here.
 */
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "wire.h"

enum cat_kind {
	CAT_TOOLS,
	CAT_PROMPTS,
	CAT_RESOURCES,
	CAT_TEMPLATES,
	CAT_KINDS
};

#define CAT_MAX_TOOLS 1000 /* of a kind and backend */
#define CAT_MAX_ITEM  (1024 * 1024)
#define CAT_MAX_NAME  4096 /* room for a name, or a URI, of any kind */

/* A tool, prompt, resource or template: name or URI, and the definition as the
 * backend wrote it. */
struct cat_item {
	char *name;
	struct blob raw;
};

#define CAT_NEVER 0 /* not answered since the start */
#define CAT_UP    1
#define CAT_DOWN  2 /* its last lists are served */

#define CAP_TOOLS       0x01
#define CAP_PROMPTS     0x02
#define CAP_RESOURCES   0x04
#define CAP_COMPLETIONS 0x08
#define CAP_LOGGING     0x10
#define CAP_SUBSCRIBE   0x20
#define CAP_ANY         0x3f

struct cat_entry {
	uint32_t backend;
	uint8_t class; /* DECLARE_* that were declared */
	uint8_t state;
	char *why; /* not up: why */
	char *server;
	char *revision;
	uint32_t caps;
	char *instructions;
	struct vec list[CAT_KINDS]; /* struct cat_item */
};

extern const struct msgdef def_cat_entry;

/* Writes n entries to a new sealed memfd; -1 on failure. */
int catalog_write(const struct cat_entry *, size_t n, uint32_t *size);
/* Seals are checked before it is mapped. Takes effect at once: views made from
 * the one before are gone. fd stays the caller's. */
int catalog_take(int fd, uint32_t size);
/* Something is known of every backend of this worker: it has been asked, or
 * given up on. */
int catalog_ready(void);
/* Entry for a backend and class: the class's own, else class 0's, else NULL.
 * *exact: the keeper has no more to say about that class. */
const struct cat_entry *catalog_find(
    uint32_t backend, uint8_t class, int *exact);
/* Asks the keeper once for a class that is not filled. */
void catalog_want(uint8_t class);
/* A new keeper knows nothing of what was asked. */
void catalog_reask(void);

/* Does a look show what the one before has shown? */
int catalog_same(const struct cat_entry *, const struct cat_entry *);

#endif
