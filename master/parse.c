/*
 * YAML text to a tree of nodes with line numbers. The only file that knows
 * libyaml. What makes YAML surprising is refused: aliases, tags, duplicate
 * keys, several documents.
 */
#include <yaml.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "load.h"

#define NODE_MAXDEPTH 12
#define NODE_MAXKIDS  2048
#define NODE_MAXLEN   8192

struct builder {
	struct load *load;
	const char *file;
	yaml_parser_t yaml;
	struct node *stack[NODE_MAXDEPTH];
	size_t depth;
	char *key; /* of the map entry whose value comes next */
	struct node *root;
	int documents;
	int failed;
};

static struct node *node_new(enum node_type, const char *, int);
static void fail(struct builder *, int, const char *);
static void attach(struct builder *, struct node *);
static void on_scalar(struct builder *, const yaml_event_t *, int);
static void on_start(struct builder *, enum node_type, int);
static void on_end(struct builder *, int);
static int tagged(const yaml_event_t *);
static void on_event(struct builder *, const yaml_event_t *);

static struct node *
node_new(enum node_type type, const char *file, int line)
{
	struct node *n;

	n = xcalloc(1, sizeof *n);
	n->type = type;
	n->file = file;
	n->line = line;
	TAILQ_INIT(&n->kids);
	return n;
}

void
node_free(struct node *n)
{
	struct node *kid;

	if (n == NULL)
		return;
	while ((kid = TAILQ_FIRST(&n->kids)) != NULL) {
		TAILQ_REMOVE(&n->kids, kid, entry);
		node_free(kid);
	}
	if (n->value != NULL)
		freezero(n->value, strlen(n->value));
	free(n->key);
	free(n);
}

struct node *
node_get(const struct node *map, const char *key)
{
	struct node *kid;

	TAILQ_FOREACH (kid, &map->kids, entry)
		if (strcmp(kid->key, key) == 0)
			return kid;
	return NULL;
}

static void
fail(struct builder *b, int line, const char *why)
{
	if (!b->failed)
		load_err(b->load, b->file, line, "yaml", "%s", why);
	b->failed = 1;
}

/* Puts a node where the document has it: into the open map or list. */
static void
attach(struct builder *b, struct node *n)
{
	struct node *parent, *old;

	if (b->depth == 0) {
		b->root = n;
		return;
	}
	parent = b->stack[b->depth - 1];
	if (parent->type == NODE_MAP) {
		n->key = b->key;
		b->key = NULL;
		if ((old = node_get(parent, n->key)) != NULL) {
			if (!b->failed)
				load_err(b->load, b->file, n->line, n->key,
				    "given twice; the first is on line %d",
				    old->line);
			b->failed = 1;
		}
	}
	TAILQ_INSERT_TAIL(&parent->kids, n, entry);
	if (++parent->nkids > NODE_MAXKIDS)
		fail(b, n->line, "too many entries");
}

static void
on_scalar(struct builder *b, const yaml_event_t *ev, int line)
{
	const char *text = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	struct node *n, *parent;

	parent = b->depth > 0 ? b->stack[b->depth - 1] : NULL;
	if (len > NODE_MAXLEN) {
		fail(b, line, "a string of more than 8 KiB");
		return;
	}
	if (memchr(text, '\0', len) != NULL) {
		fail(b, line, "a NUL byte in a string");
		return;
	}
	if (parent != NULL && parent->type == NODE_MAP && b->key == NULL) {
		b->key = xmalloc(len + 1);
		memcpy(b->key, text, len);
		b->key[len] = '\0';
		return;
	}
	n = node_new(NODE_SCALAR, b->file, line);
	n->value = xmalloc(len + 1);
	memcpy(n->value, text, len);
	n->value[len] = '\0';
	attach(b, n);
}

static void
on_start(struct builder *b, enum node_type type, int line)
{
	struct node *n, *parent;

	parent = b->depth > 0 ? b->stack[b->depth - 1] : NULL;
	if (parent != NULL && parent->type == NODE_MAP && b->key == NULL) {
		fail(b, line, "a key must be a string");
		return;
	}
	if (b->depth == NODE_MAXDEPTH) {
		fail(b, line, "nested too deeply");
		return;
	}
	n = node_new(type, b->file, line);
	attach(b, n);
	b->stack[b->depth++] = n;
}

static void
on_end(struct builder *b, int line)
{
	if (b->depth == 0)
		fail(b, line, "an end without a beginning");
	else
		b->depth--;
}

static int
tagged(const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return ev->data.scalar.tag != NULL ||
		       ev->data.scalar.anchor != NULL;
	case YAML_SEQUENCE_START_EVENT:
		return ev->data.sequence_start.tag != NULL ||
		       ev->data.sequence_start.anchor != NULL;
	case YAML_MAPPING_START_EVENT:
		return ev->data.mapping_start.tag != NULL ||
		       ev->data.mapping_start.anchor != NULL;
	default:
		return 0;
	}
}

static void
on_event(struct builder *b, const yaml_event_t *ev)
{
	int line = (int)ev->start_mark.line + 1;

	if (tagged(ev)) {
		fail(b, line,
		    "tags and anchors (! and &) are not understood; quote the "
		    "string if it begins with one");
		return;
	}
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->documents++ > 0)
			fail(b, line, "more than one document in the file");
		break;
	case YAML_ALIAS_EVENT:
		fail(b, line,
		    "aliases (*name) are not understood; quote the string if "
		    "it begins with *");
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(b, ev, line);
		break;
	case YAML_SEQUENCE_START_EVENT:
		on_start(b, NODE_LIST, line);
		break;
	case YAML_MAPPING_START_EVENT:
		on_start(b, NODE_MAP, line);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_end(b, line);
		break;
	default:
		break;
	}
}

struct node *
node_parse(struct load *load, const char *file, const char *text, size_t len)
{
	struct builder b;
	yaml_event_t ev;
	int done = 0;

	memset(&b, 0, sizeof b);
	b.load = load;
	b.file = file;
	if (!yaml_parser_initialize(&b.yaml)) {
		load_err(load, file, 1, "yaml", "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&b.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.yaml, (const unsigned char *)text, len);
	while (!done && !b.failed) {
		if (!yaml_parser_parse(&b.yaml, &ev)) {
			fail(&b, (int)b.yaml.problem_mark.line + 1,
			    b.yaml.problem != NULL ? b.yaml.problem
						   : "not YAML");
			break;
		}
		on_event(&b, &ev);
		done = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&b.yaml);
	free(b.key);
	if (!b.failed && b.root == NULL)
		fail(&b, 1, "the file is empty");
	if (!b.failed && b.root->type != NODE_MAP)
		fail(&b, b.root->line, "must be a map of keys");
	if (b.failed) {
		node_free(b.root);
		return NULL;
	}
	return b.root;
}
