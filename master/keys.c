/*
 * The table-driven walker over known keys, and the setters for plain kinds of
 * values. Whatever is wrong is reported with its place and the walk goes on,
 * so that one run shows every mistake.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "load.h"

static size_t distance(const char *, const char *);
static const struct keydef *find(const struct keydef *, const char *);
static const char *nearest(const struct keydef *, const char *);
static int number(const char *, const char **, uint64_t *);
static const char *type_name(const struct node *);

void
load_err(struct load *l, const char *file, int line, const char *key,
    const char *fmt, ...)
{
	char *what, *msg;
	va_list ap;

	if (l->nerr++ >= LOAD_MAXERR)
		return;
	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) == -1)
		what = NULL;
	va_end(ap);
	xasprintf(&msg, "%s:%d: %s: %s", file, line, key,
	    what != NULL ? what : "out of memory");
	/* The counter says that there is an error even if this fails. */
	(void)strv_add(l->errs, msg);
	free(msg);
	free(what);
}

void
node_err(
    struct load *l, const struct node *n, const char *key, const char *fmt, ...)
{
	char *what;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) == -1)
		what = NULL;
	va_end(ap);
	load_err(l, n->file, n->line, key, "%s",
	    what != NULL ? what : "out of memory");
	free(what);
}

void
keys_path(char *dst, size_t size, const char *path, const char *key)
{
	(void)snprintf(
	    dst, size, "%s%s%s", path, *path != '\0' ? "." : "", key);
}

/* Edits between two words (Levenshtein); long ones count as far apart. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[40], la = strlen(a), lb = strlen(b), i, j, diag, up;

	if (la >= 40 || lb >= 40)
		return 40;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		diag = row[0];
		row[0] = i;
		for (j = 1; j <= lb; j++) {
			up = row[j];
			diag += a[i - 1] != b[j - 1];
			if (up + 1 < diag)
				diag = up + 1;
			if (row[j - 1] + 1 < diag)
				diag = row[j - 1] + 1;
			row[j] = diag;
			diag = up;
		}
	}
	return row[lb];
}

static const struct keydef *
find(const struct keydef *d, const char *key)
{
	for (; d != NULL; d = d->arg)
		for (; d->name != NULL; d++)
			if (strcmp(d->name, key) == 0)
				return d;
	return NULL;
}

static const char *
nearest(const struct keydef *defs, const char *key)
{
	const char *best = NULL;
	size_t d, bestd = strlen(key) > 4 ? 3 : 2;

	for (; defs != NULL; defs = defs->arg)
		for (; defs->name != NULL; defs++)
			if ((d = distance(defs->name, key)) < bestd) {
				bestd = d;
				best = defs->name;
			}
	return best;
}

void
keys_walk(struct load *l, const struct keydef *defs, const struct node *map,
    const char *path, void *object)
{
	const struct keydef *d;
	const struct node *kid;
	const char *near;
	char full[KEY_PATHMAX];

	TAILQ_FOREACH (kid, &map->kids, entry) {
		keys_path(full, sizeof full, path, kid->key);
		d = find(defs, kid->key);
		if (d == NULL) {
			near = nearest(defs, kid->key);
			node_err(l, kid, full, "unknown key; %s%s%s",
			    near != NULL ? "did you mean " : "take it out",
			    near != NULL ? near : "",
			    near != NULL ? "?" : ", or see mcpgwd.conf(5)");
		} else if (d->set == NULL)
			node_err(
			    l, kid, full, "not built yet; take this key out");
		else
			d->set(l, kid, full, (char *)object + d->off, d);
	}
}

static const char *
type_name(const struct node *n)
{
	switch (n->type) {
	case NODE_SCALAR:
		return "a single value";
	case NODE_LIST:
		return "a list";
	default:
		return "a map";
	}
}

const char *
node_string(struct load *l, const struct node *n, const char *path)
{
	if (n->type != NODE_SCALAR) {
		node_err(
		    l, n, path, "must be a single value, not %s", type_name(n));
		return NULL;
	}
	if (*n->value == '\0') {
		node_err(
		    l, n, path, "is empty; give a value or take the key out");
		return NULL;
	}
	return n->value;
}

const struct node *
node_list(struct load *l, const struct node *n, const char *path)
{
	if (n->type != NODE_LIST) {
		node_err(
		    l, n, path, "must be a list, [a, b], not %s", type_name(n));
		return NULL;
	}
	return n;
}

const struct node *
node_map(struct load *l, const struct node *n, const char *path)
{
	if (n->type != NODE_MAP) {
		node_err(l, n, path, "must be a map, {key: value}, not %s",
		    type_name(n));
		return NULL;
	}
	return n;
}

void
set_map(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	if (node_map(l, n, path) != NULL)
		keys_walk(l, d->arg, n, path, field);
}

/* Digits at the start of s; *end is what follows them. */
static int
number(const char *s, const char **end, uint64_t *v)
{
	*v = 0;
	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (*v > UINT32_MAX)
			return -1;
		*v = *v * 10 + (uint64_t)(*s - '0');
	}
	*end = s;
	return 0;
}

static uint32_t
second_unit(char c)
{
	switch (c) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	default:
		return 0;
	}
}

void
set_duration(struct load *l, const struct node *n, const char *path,
    void *field, const struct keydef *d)
{
	const char *s, *end;
	uint64_t v;
	uint32_t unit = 1;

	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (number(s, &end, &v) == -1 ||
	    (!(v == 0 && *end == '\0') &&
		((unit = second_unit(*end)) == 0 || end[1] != '\0'))) {
		node_err(l, n, path,
		    "%s is no duration; write it as 30s, 15m, 12h or 30d", s);
		return;
	}
	v *= unit;
	if (v < d->min || v > d->max) {
		node_err(l, n, path, "%s is out of range, %us to %ud", s,
		    d->min, d->max / 86400);
		return;
	}
	*(uint32_t *)field = (uint32_t)v;
}

void
set_size(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const char *s, *end;
	uint64_t v;

	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (number(s, &end, &v) == -1)
		end = "?";
	if (*end == 'K' || *end == 'M' || *end == 'G') {
		v <<= *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
		end++;
	}
	if (*end != '\0') {
		node_err(l, n, path, "%s is no size; write it as 64K or 4M", s);
		return;
	}
	if (v < d->min || v > d->max) {
		node_err(l, n, path, "%s is out of range, %uK to %uM", s,
		    d->min >> 10, d->max >> 20);
		return;
	}
	*(uint32_t *)field = (uint32_t)v;
}

void
set_uint(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const char *s, *end;
	uint64_t v;

	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (number(s, &end, &v) == -1 || *end != '\0')
		node_err(l, n, path, "%s is no number", s);
	else if (v < d->min || v > d->max)
		node_err(l, n, path, "%s is out of range, %u to %u", s, d->min,
		    d->max);
	else
		*(uint32_t *)field = (uint32_t)v;
}

void
set_rate(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct rate *rate = field;
	const char *s, *end;
	uint64_t v;
	uint32_t unit = 0;

	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (strcmp(s, "0") == 0) {
		rate->count = rate->window = 0;
		return;
	}
	if (number(s, &end, &v) == 0 && *end == '/' && end[1] != '\0' &&
	    end[2] == '\0' && end[1] != 'd')
		unit = second_unit(end[1]);
	if (unit == 0 || v < d->min || v > d->max) {
		node_err(l, n, path,
		    "%s is no rate; write it as 10/s, 10/m or 60/h, or 0 for "
		    "no limit",
		    s);
		return;
	}
	rate->count = (uint32_t)v;
	rate->window = unit;
}

void
set_word(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const struct word *w;
	const char *s;
	char all[128] = "";

	if ((s = node_string(l, n, path)) == NULL)
		return;
	for (w = d->arg; w->name != NULL; w++) {
		if (strcmp(w->name, s) == 0) {
			*(uint32_t *)field = w->value;
			return;
		}
		if (*all != '\0')
			(void)strlcat(
			    all, w[1].name == NULL ? " or " : ", ", sizeof all);
		(void)strlcat(all, w->name, sizeof all);
	}
	node_err(l, n, path, "%s is none of %s", s, all);
}

void
set_list(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const struct listcheck *check = d->arg;
	struct strv *list = field;
	const struct node *kid;
	const char *s, *why;

	if (node_list(l, n, path) == NULL)
		return;
	strv_free(list);
	TAILQ_FOREACH (kid, &n->kids, entry) {
		if ((s = node_string(l, kid, path)) == NULL)
			continue;
		if ((why = check->ok(s)) != NULL)
			node_err(l, kid, path, "%s: %s", s, why);
		else if (strv_has(list, s))
			node_err(l, kid, path, "%s is there twice", s);
		else if (list->n >= d->max)
			node_err(l, kid, path, "more than %u entries", d->max);
		else if (strv_add(list, s) == -1)
			node_err(l, kid, path, "out of memory");
	}
}

void
set_secret(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	char **secret = field, *s;

	if ((s = secret_read(l, n, path)) == NULL)
		return;
	if (strlen(s) > d->max) {
		node_err(l, n, path, "longer than %u bytes", d->max);
		freezero(s, strlen(s));
		return;
	}
	if (*secret != NULL)
		freezero(*secret, strlen(*secret));
	*secret = s;
}
