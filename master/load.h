#ifndef LOAD_H
#define LOAD_H

/*
 * What the files that read the config share: the state of one load, errors
 * with their place, and the table-driven walker.
 */
#include "conf.h"
#include "node.h"

#define LOAD_MAXERR 20

#define DAY 86400u /* s */

struct load {
	struct conf *conf;
	struct strv *errs;
	unsigned int flags;
	const char *dir; /* of the config file */
	unsigned int nerr;
};

/* Adds "file:line: key: ..." to the errors. */
void load_err(struct load *, const char *file, int line, const char *key,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same, at a node. */
void node_err(struct load *, const struct node *, const char *key,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * One known key. set gets the node, the dotted path for messages, and field,
 * which is off bytes into the object of the table. A key without set is one
 * of a later release.
 */
struct keydef {
	const char *name;
	void (*set)(struct load *, const struct node *, const char *path,
	    void *field, const struct keydef *);
	size_t off;
	uint32_t min, max;
	const void *arg; /* sub table, words, or struct listcheck */
};
struct word {
	const char *name;
	uint32_t value;
};
/* How the items of a list of strings are checked: NULL, or why not. */
struct listcheck {
	const char *(*ok)(const char *);
};

/* Walks a map by a table; it ends with a name of NULL, and goes on in the table
 * that arg then names, if any. path is "" at the top. Unknown keys and keys of later releases are reported. */
void keys_walk(struct load *, const struct keydef *, const struct node *,
    const char *path, void *object);
/* Joins "a" and "b" to "a.b" in dst. */
void keys_path(char *dst, size_t size, const char *path, const char *key);
#define KEY_PATHMAX 320

/* Setters; the type of the field stands behind each. */
void set_map(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* the object of the sub table */
void set_duration(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* uint32_t, seconds */
void set_size(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* uint32_t, bytes */
void set_uint(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* uint32_t */
void set_rate(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* struct rate */
void set_word(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* uint32_t */
void set_list(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* struct strv, replaced */
void set_secret(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* char *, replaced */

/* The string of a scalar node, or NULL after reporting. */
const char *node_string(struct load *, const struct node *, const char *path);
/* A list node, or NULL after reporting. */
const struct node *node_list(
    struct load *, const struct node *, const char *path);
const struct node *node_map(
    struct load *, const struct node *, const char *path);

/* A string, {file: PATH}, {env: NAME} or {credential: NAME}; malloc'd, without
 * its last newline, to be freed with freezero; NULL after reporting. */
char *secret_read(struct load *, const struct node *, const char *path);
/* The same for PEM text, of at most max bytes: a string is a path. 0, or -1
 * after reporting. */
int pem_read(struct load *, const struct node *, const char *path, size_t max,
    struct conf_pem *);
void pem_free(struct conf_pem *);
void pair_free(struct conf_pair *);
void set_pem(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* struct conf_pem */
void set_pair(struct load *, const struct node *, const char *, void *,
    const struct keydef *); /* struct conf_pair */
/* Reads a small file that only its owner can change. NULL and *why set (static
 * or errno text) when it can not. */
char *file_read(const char *path, size_t max, size_t *len, const char **why);
/* Adds to the files of the conf. What is returned lives as long. */
const char *file_keep(struct conf *, const char *path);
/* path, or dir/path when relative. malloc'd. */
char *path_join(const char *dir, const char *path);
/* Whether path is dir or lies in it, by their names; both are absolute. */
int path_below(const char *path, const char *dir);

/* The table of the whole file (schema.c), defaults and references (conf.c). */
extern const struct keydef schema_top[];

/* What some keys of a stdio backend take. */
#define ARGS_MAX 64
#define ENV_MAX  200
#define DIRS_MAX 250
#define TEXT_LEN 8192 /* bytes of an argument or of the value of a variable */

/* schema_child.c: stdio backends. Its keys are those of a struct conf_be. */
extern const struct keydef schema_child[];
void child_defaults(struct conf_be *);
/* After the walk over the keys of one backend. */
void child_check(
    struct load *, const struct node *, const char *path, struct conf_be *);
/* Once the whole file is known. */
void child_finish(struct conf *, struct conf_be *);
void child_free(struct conf_child *);

/* Checks on single strings: NULL, or what is wrong with it (check.c). */
const char *check_backend_name(const char *);
const char *check_endpoint_path(const char *);
const char *check_host(const char *);
const char *check_hostname(const char *);
const char *check_origin(const char *);
const char *check_cidr(const char *);
const char *check_scheme(const char *);
const char *check_issuer(const char *);
const char *check_user(const char *);
const char *check_glob(const char *);
const char *check_variable(const char *);
const char *check_header(const char *);
const char *check_header_value(const char *);
const char *check_scope(const char *);
const char *check_scope_text(const char *);
/* "127.0.0.1:80", "[::1]:80", "localhost:80", "*:80" into addr, naddr, port
 * and loopback. */
const char *check_listen(const char *, struct conf_listen *);
/* localhost, *.localhost, 127.0.0.0/8 or ::1 (without brackets). */
int host_is_loopback(const char *);

#endif
