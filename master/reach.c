/*
 * What of the file system stdio children reach.
 */
#include <sys/stat.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "reach.h"

#define LINKS_MAX 40 /* on one way, as the kernel's */

static void add(struct strv *, const char *);
static char *next_part(char **);
static void step_up(char *);
static char *read_link(const char *);
static char *real_path(const char *, struct strv *);
static int below(const char *, const char *);
static int same(const char *, const struct stat *);
static int within(const char *, const char *);
static void set_ours(struct conf *);
static const char *touches(const char *, const struct strv *);
static void apart(struct load *, const struct conf *, const struct conf_be *,
    const char *, const char *, int);

static void
add(struct strv *v, const char *s)
{
	if (strv_add(v, s) == -1)
		fatalx("out of memory");
}

/* ---- real names ---- */

/* Cuts the first part off *rest; NULL: none is left. */
static char *
next_part(char **rest)
{
	char *part;

	while ((part = strsep(rest, "/")) != NULL)
		if (*part != '\0' && strcmp(part, ".") != 0)
			break;
	return part;
}

static void
step_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash != NULL)
		*slash = '\0';
}

/* malloc'd; NULL: it is no link. */
static char *
read_link(const char *path)
{
	char to[PATH_MAX];
	ssize_t n = readlink(path, to, sizeof to - 1);

	if (n <= 0)
		return NULL;
	to[n] = '\0';
	return xstrdup(to);
}

/* Where an absolute path leads, whether or not it is there yet; malloc'd. Each
 * link on the way is added to links. */
static char *
real_path(const char *path, struct strv *links)
{
	char *at = xstrdup(""), *left = xstrdup(path), *rest = left;
	char *part, *name, *to, *more;
	unsigned int n = 0;

	while ((part = next_part(&rest)) != NULL) {
		if (strcmp(part, "..") == 0) {
			step_up(at);
			continue;
		}
		xasprintf(&name, "%s/%s", at, part);
		if (n >= LINKS_MAX || (to = read_link(name)) == NULL) {
			free(at);
			at = name;
			continue;
		}
		n++;
		add(links, name);
		free(name);
		xasprintf(&more, "%s/%s", to, rest == NULL ? "" : rest);
		if (*to == '/')
			*at = '\0';
		free(to);
		free(left);
		rest = left = more;
	}
	free(left);
	if (*at != '\0')
		return at;
	free(at);
	return xstrdup("/");
}

/* Whether path is dir or lies in it, by their names, which are real ones. */
static int
below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 0 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

static int
same(const char *path, const struct stat *st)
{
	struct stat other;

	return lstat(path, &other) == 0 && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino;
}

/* The same of what is there, which may be mounted at more than one place. */
static int
within(const char *path, const char *dir)
{
	struct stat st;
	char *above;
	int rv;

	if (below(path, dir))
		return 1;
	if (lstat(dir, &st) == -1)
		return 0;
	above = xstrdup(path);
	for (rv = 0; !rv && *above != '\0'; step_up(above))
		rv = same(above, &st);
	free(above);
	return rv;
}

/* ---- what is not for them ---- */

static void
set_ours(struct conf *c)
{
	char *real;
	uint32_t i;

	add(&c->ours, real = real_path(c->state, &c->ways));
	free(real);
	for (i = 0; i < c->files.n; i++) {
		if (*c->files.v[i] != '/')
			continue;
		add(&c->ours, real = real_path(c->files.v[i], &c->ways));
		free(real);
	}
}

/* What of these path holds or is in; NULL: nothing. */
static const char *
touches(const char *path, const struct strv *these)
{
	uint32_t i;

	for (i = 0; i < these->n; i++)
		if (within(these->v[i], path) || within(path, these->v[i]))
			return these->v[i];
	return NULL;
}

static void
apart(struct load *l, const struct conf *c, const struct conf_be *be,
    const char *key, const char *path, int write)
{
	struct strv links = {NULL, 0};
	const char *held;
	char *real = real_path(path, &links), full[128];

	held = touches(real, &c->ours);
	if (held == NULL && write)
		held = touches(real, &c->ways);
	if (held != NULL) {
		snprintf(full, sizeof full, "backends.%s.%s", be->b.name, key);
		load_err(l, be->pos.file, be->pos.line, full,
		    within(held, real)
			? "%s holds %s, which is not for a backend; name what "
			  "is in it"
			: "%s lies in %s, which is not for a backend; name "
			  "another place",
		    path, held);
	}
	strv_free(&links);
	free(real);
}

void
reach_check(struct load *l, struct conf *c)
{
	const struct conf_be *be;
	const struct m_exec *x;
	uint32_t i;

	set_ours(c);
	if (l->flags & CONF_ROOT)
		return;
	TAILQ_FOREACH (be, &c->backends, entry) {
		if (be->b.stdio == 0)
			continue;
		x = &be->child.x;
		/* The root directory is no directory of its own: sandbox.c. */
		if (strcmp(x->cwd, "/") != 0)
			apart(l, c, be, "cwd", x->cwd, 1);
		for (i = 0; i < x->read.n; i++)
			apart(l, c, be, "read", x->read.v[i], 0);
		for (i = 0; i < x->write.n; i++)
			apart(l, c, be, "write", x->write.v[i], 1);
	}
}
