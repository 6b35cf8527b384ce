#ifndef NODE_H
#define NODE_H

/*
 * A YAML document as a tree that remembers where each part stands. Only maps,
 * lists and strings: what a string means is for the key it belongs to.
 */
#include <sys/queue.h>

#include <stddef.h>

struct load;

enum node_type { NODE_SCALAR, NODE_LIST, NODE_MAP };

TAILQ_HEAD(nodes, node);
struct node {
	TAILQ_ENTRY(node) entry;
	enum node_type type;
	const char *file; /* belongs to the struct load */
	int line;
	char *key; /* in a map */
	char *value; /* NODE_SCALAR; wiped when freed */
	struct nodes kids;
	unsigned int nkids;
};

/* The one document in text[0..len), a map; NULL after reporting what is wrong
 * with it. Aliases, tags, duplicate keys and NUL bytes are errors. */
struct node *node_parse(
    struct load *, const char *file, const char *text, size_t len);
void node_free(struct node *);
/* The entry of a map, or NULL. */
struct node *node_get(const struct node *map, const char *key);

#endif
