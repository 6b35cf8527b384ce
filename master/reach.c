/*
 * What of the file system stdio children reach, by names that no child can
 * turn into others.
 *
 * A rule of Landlock is on what a path leads to when the rule is made, and a
 * child before, of this start, of the one before or of another backend, may
 * have put a link on the way. So a link is followed only in a directory that
 * no child may change, or where none but root can, whom no child ever runs as;
 * and nanny opens what comes out without following any: a path that a child
 * has tampered with since is an error there.
 *
 * Which directories children may change has to be known first, and must not
 * depend on what is in them. What `write` and `cwd` name is followed once,
 * when the config is read, and the config is refused if a link or a ".." on
 * the way of one lies in another, or in itself. All ways then lie where no
 * child gets, so that each start and each reload of the same config finds the
 * same directories, whatever children have done. Those of the configs before
 * count until mcpgwd ends: what children left there may be there still.
 *
 * Links on the way to what is read and to programs are followed at each start
 * of a child, so that a program may be replaced by another version.
 */
#include <sys/stat.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "reach.h"

#define LINKS_MAX 100 /* and "..", on one way */

#define OWN_LINK                                                         \
	"%s: goes by a link in what this backend may change, and gives " \
	"it nothing; name where it leads"

struct walk {
	/* Beside those of root's. */
	enum { FOLLOW_NONE, FOLLOW_OUTSIDE, FOLLOW_ALL } follow;
	const struct strv *inside; /* beside changeable; or NULL */
	struct strv *links; /* what else was followed is added; or NULL */
	int stopped; /* at what may not be followed */
	unsigned int n;
};

/* What a backend may change that goes by a link. */
struct late {
	struct conf_be *be;
	uint32_t i;
};
struct lates {
	struct late *v;
	uint32_t n;
};

static void move(struct strv *, char *);
static char *next_part(char **);
static void step_up(char *);
static char *read_link(const char *);
static int within_any(const char *, const struct strv *);
static int is_roots(const char *);
static int may_follow(struct walk *, const char *, const char *);
static char *step(struct walk *, char *, const char *, char **);
static char *real_path(const char *, struct walk *);
static char *real_outside(const char *, const struct strv *, int *);
static int below_any(const char *, const struct strv *);
static int same(const char *, const struct stat *);
static int within(const char *, const char *);
static const char *touches(const char *, const struct strv *);
static const char *first_in(const char *, const struct strv *);
static void apart(struct load *, const struct conf *, const struct conf_be *,
    const char *, const char *, const char *, int);
static const char *changes(const struct conf_child *, uint32_t);
static int is_told(const struct conf_child *, uint32_t);
static void own_add(
    struct load *, const struct conf *, struct conf_be *, uint32_t, char *);
static void own_plain(
    struct load *, const struct conf *, struct conf_be *, struct lates *);
static void own_late(struct load *, const struct conf *, const struct late *,
    const struct strv *);
static void own_prune(struct conf_child *);
static void all_own(const struct conf *, struct strv *);
static void ways_apart(
    struct load *, const struct conf *, const struct conf_be *);
static void reads_apart(struct load *, const struct conf *,
    const struct conf_be *, const struct strv *);
static const char *ours_at(
    const struct m_exec *, const struct conf_child *, const char *);
static void give_program(
    struct m_exec *, const struct conf_child *, struct strv *);
static void note(struct strv *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

/* What children of this and the configs before may have changed. */
static struct strv changeable;

static void
move(struct strv *v, char *s)
{
	xstrv_add(v, s);
	free(s);
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

/* None but root can put anything there, nor another in its place. */
static int
is_roots(const char *dir)
{
	struct stat st;
	char *above = xstrdup(dir);
	int rv;

	do {
		rv = lstat(*above == '\0' ? "/" : above, &st) == 0 &&
		     S_ISDIR(st.st_mode) && st.st_uid == 0 &&
		     !(st.st_mode & (S_IWGRP | S_IWOTH));
		if (*above == '\0')
			break;
		step_up(above);
	} while (rv);
	free(above);
	return rv;
}

/* From dir; link is in it, or what was to be left by "..". */
static int
may_follow(struct walk *w, const char *dir, const char *link)
{
	if (w->n++ >= LINKS_MAX)
		return 0;
	if (is_roots(dir))
		return 1;
	if (w->follow == FOLLOW_NONE)
		return 0;
	if (w->follow == FOLLOW_OUTSIDE &&
	    (within_any(dir, &changeable) ||
		(w->inside != NULL && within_any(dir, w->inside))))
		return 0;
	if (w->links != NULL)
		xstrv_add(w->links, link);
	return 1;
}

/* From at, which is taken, to part of it. Where a link leads is put before
 * what is left. */
static char *
step(struct walk *w, char *at, const char *part, char **left)
{
	char *name, *to = NULL, *more;
	int up = strcmp(part, "..") == 0;

	xasprintf(&name, "%s/%s", at, part);
	if (!up && (to = read_link(name)) == NULL) {
		free(at);
		return name;
	}
	if (!may_follow(w, at, up ? at : name)) {
		w->stopped = 1;
		free(at);
		at = xstrdup(name);
	} else if (up)
		step_up(at);
	else {
		xasprintf(&more, "%s%s%s", to, *left == NULL ? "" : "/",
		    *left == NULL ? "" : *left);
		*left = more;
		if (*to == '/')
			*at = '\0';
	}
	free(to);
	free(name);
	return at;
}

/* Where an absolute path leads, whether or not it is there yet; malloc'd. With
 * the rest as it is from where it may not be followed. */
static char *
real_path(const char *path, struct walk *w)
{
	char *at = xstrdup(""), *buf = xstrdup(path), *rest = buf, *was, *part;
	char *all;

	w->stopped = 0;
	w->n = 0;
	while (!w->stopped && (part = next_part(&rest)) != NULL) {
		was = rest;
		at = step(w, at, part, &rest);
		if (rest != was) {
			free(buf);
			buf = rest;
		}
	}
	xasprintf(&all, "%s%s%s", at, rest == NULL && *at != '\0' ? "" : "/",
	    rest == NULL ? "" : rest);
	free(at);
	free(buf);
	return all;
}

static char *
real_outside(const char *path, const struct strv *inside, int *stopped)
{
	struct walk w = {.follow = FOLLOW_OUTSIDE, .inside = inside};
	char *real = real_path(path, &w);

	*stopped = w.stopped;
	return real;
}

static int
below_any(const char *path, const struct strv *dirs)
{
	uint32_t i;

	for (i = 0; i < dirs->n; i++)
		if (path_below(path, dirs->v[i]))
			return 1;
	return 0;
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

	if (path_below(path, dir))
		return 1;
	if (lstat(dir, &st) == -1)
		return 0;
	above = xstrdup(path);
	for (rv = same("/", &st); !rv && *above != '\0'; step_up(above))
		rv = same(above, &st);
	free(above);
	return rv;
}

static int
within_any(const char *path, const struct strv *dirs)
{
	uint32_t i;

	for (i = 0; i < dirs->n; i++)
		if (within(path, dirs->v[i]))
			return 1;
	return 0;
}

/* ---- what is not for them ---- */

void
reach_ours(struct conf *c)
{
	struct walk w = {.follow = FOLLOW_ALL, .links = &c->ways};
	uint32_t i;

	move(&c->ours, real_path(c->state, &w));
	for (i = 0; i < c->files.n; i++)
		if (*c->files.v[i] == '/')
			move(&c->ours, real_path(c->files.v[i], &w));
}

/* What of ours path holds or is in; NULL: nothing. */
static const char *
touches(const char *path, const struct strv *ours)
{
	uint32_t i;

	for (i = 0; i < ours->n; i++)
		if (within(ours->v[i], path) || within(path, ours->v[i]))
			return ours->v[i];
	return NULL;
}

static const char *
first_in(const char *dir, const struct strv *paths)
{
	uint32_t i;

	for (i = 0; i < paths->n; i++)
		if (within(paths->v[i], dir))
			return paths->v[i];
	return NULL;
}

static void
apart(struct load *l, const struct conf *c, const struct conf_be *be,
    const char *key, const char *path, const char *real, int write)
{
	const char *held;
	char full[128];

	if (l->flags & CONF_ROOT)
		return;
	held = touches(real, &c->ours);
	if (held == NULL && write)
		held = first_in(real, &c->ways);
	if (held == NULL)
		return;
	snprintf(full, sizeof full, "backends.%s.%s", be->b.name, key);
	load_err(l, be->pos.file, be->pos.line, full,
	    within(held, real)
		? "%s holds %s, which is not for a backend; name what "
		  "is in it"
		: "%s lies in %s, which is not for a backend; name "
		  "another place",
	    path, held);
}

/* ---- what they may change ---- */

/* The i-th of it, as configured; "": none, and NULL: no more. */
static const char *
changes(const struct conf_child *h, uint32_t i)
{
	if (i == 0)
		return h->state;
	/* The root directory is no directory of its own. */
	if (i == 1)
		return strcmp(h->x.cwd, "/") == 0 ? "" : h->x.cwd;
	return i - 2 < h->x.write.n ? h->x.write.v[i - 2] : NULL;
}

/* Another holds it by its very name, so that the link on its way may be a
 * child's. */
static int
is_told(const struct conf_child *h, uint32_t i)
{
	const char *s = changes(h, i), *other;
	uint32_t j;

	if (strstr(s, "/..") != NULL)
		return 0;
	for (j = 0; (other = changes(h, j)) != NULL; j++)
		if (j != i && *other != '\0' && path_below(s, other) &&
		    (j < i || !path_below(other, s)))
			return 1;
	return 0;
}

/* Takes real. */
static void
own_add(struct load *l, const struct conf *c, struct conf_be *be, uint32_t i,
    char *real)
{
	if (i == 1 && strcmp(real, "/") == 0) {
		free(real);
		return;
	}
	apart(l, c, be,
	    i == 0   ? "command"
	    : i == 1 ? "cwd"
		     : "write",
	    changes(&be->child, i), real, 1);
	move(&be->child.own, real);
}

static void
own_plain(struct load *l, const struct conf *c, struct conf_be *be,
    struct lates *late)
{
	struct walk w = {.follow = FOLLOW_NONE};
	const char *s;
	char *real;
	uint32_t i;

	for (i = 0; (s = changes(&be->child, i)) != NULL; i++) {
		if (*s == '\0')
			continue;
		real = real_path(s, &w);
		if (!w.stopped) {
			own_add(l, c, be, i, real);
			continue;
		}
		free(real);
		if (is_told(&be->child, i))
			continue;
		late->v = xrealloc(late->v, (late->n + 1) * sizeof *late->v);
		late->v[late->n].be = be;
		late->v[late->n++].i = i;
	}
}

/* By a link that lies in what is known to be a child's it is not followed:
 * what a child does makes no config wrong. */
static void
own_late(struct load *l, const struct conf *c, const struct late *late,
    const struct strv *plain)
{
	struct conf_child *h = &late->be->child;
	struct walk w = {
	    .follow = FOLLOW_OUTSIDE, .inside = plain, .links = &h->ways};

	own_add(l, c, late->be, late->i, real_path(changes(h, late->i), &w));
}

/* What lies in another of them needs no rule, and need not be there. */
static void
own_prune(struct conf_child *h)
{
	struct strv all = h->own;
	uint32_t i, j;

	memset(&h->own, 0, sizeof h->own);
	for (i = 0; i < all.n; i++) {
		for (j = 0; j < all.n; j++)
			if (j != i && path_below(all.v[i], all.v[j]) &&
			    (j < i || !path_below(all.v[j], all.v[i])))
				break;
		if (j == all.n)
			xstrv_add(&h->own, all.v[i]);
	}
	strv_free(&all);
}

static void
all_own(const struct conf *c, struct strv *all)
{
	const struct conf_be *be;
	uint32_t i;

	TAILQ_FOREACH (be, &c->backends, entry)
		for (i = 0; i < be->child.own.n; i++)
			if (!strv_has(all, be->child.own.v[i]))
				xstrv_add(all, be->child.own.v[i]);
}

static void
ways_apart(struct load *l, const struct conf *c, const struct conf_be *be)
{
	const struct conf_be *other;
	const char *way = NULL;
	char full[128];
	uint32_t i;

	TAILQ_FOREACH (other, &c->backends, entry) {
		for (i = 0; way == NULL && i < other->child.own.n; i++)
			way = first_in(other->child.own.v[i], &be->child.ways);
		if (way != NULL)
			break;
	}
	if (way == NULL)
		return;
	snprintf(full, sizeof full, "backends.%s", be->b.name);
	load_err(l, be->pos.file, be->pos.line, full,
	    "what it may change is named by way of %s, which backend %s may "
	    "change; name where that leads",
	    way, other->b.name);
}

static void
reads_apart(struct load *l, const struct conf *c, const struct conf_be *be,
    const struct strv *all)
{
	const struct m_exec *x = &be->child.x;
	const char *path;
	uint32_t i;
	char *real;
	int stopped;

	/* As root nothing is, and the file system may not answer. */
	if ((l->flags & CONF_ROOT) || be->b.stdio == 0)
		return;
	for (i = 0; i <= x->read.n; i++) {
		path = i < x->read.n ? x->read.v[i] : x->argv.v[0];
		real = real_outside(path, all, &stopped);
		if (!stopped)
			apart(l, c, be, i < x->read.n ? "read" : "command",
			    path, real, 0);
		free(real);
	}
}

void
reach_check(struct load *l, struct conf *c)
{
	struct lates late = {NULL, 0};
	struct strv plain = {NULL, 0}, all = {NULL, 0};
	struct conf_be *be;
	uint32_t i;

	TAILQ_FOREACH (be, &c->backends, entry)
		if (be->b.stdio != 0)
			own_plain(l, c, be, &late);
	all_own(c, &plain);
	for (i = 0; i < late.n; i++)
		own_late(l, c, &late.v[i], &plain);
	all_own(c, &all);
	TAILQ_FOREACH (be, &c->backends, entry) {
		be->child.ours = &c->ours;
		ways_apart(l, c, be);
		reads_apart(l, c, be, &all);
	}
	TAILQ_FOREACH (be, &c->backends, entry)
		own_prune(&be->child);
	strv_free(&plain);
	strv_free(&all);
	free(late.v);
}

void
reach_remember(const struct conf *c)
{
	all_own(c, &changeable);
}

/* ---- what one is given ---- */

/* As root its user keeps it from the rest. */
static const char *
ours_at(const struct m_exec *x, const struct conf_child *h, const char *path)
{
	const struct strv state = {h->ours->v, 1};

	return touches(path, x->root ? &state : h->ours);
}

/* The program, and what lies beside it but where ours does as well. What is its
 * own needs no rule beside that. */
static void
give_program(struct m_exec *x, const struct conf_child *h, struct strv *notes)
{
	char *path = xstrdup(x->argv.v[0]), *real;
	const char *held;
	int i, stopped;

	for (i = 0; i < 2; i++, step_up(path)) {
		real = real_outside(path, NULL, &stopped);
		if (stopped || strcmp(real, "/") == 0 ||
		    below_any(real, &h->own))
			;
		else if ((held = ours_at(x, h, real)) == NULL)
			xstrv_add(&x->program, real);
		else
			note(notes,
			    "%s: is not for this backend, since it holds %s; "
			    "name in read what it needs there",
			    path, held);
		free(real);
	}
	free(path);
}

static void
note(struct strv *notes, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) == -1)
		fatalx("out of memory");
	va_end(ap);
	move(notes, s);
}

int
reach_given(struct m_exec *x, const struct conf_child *h, struct strv *notes,
    char **err)
{
	const struct strv *read = &h->x.read, *write = &h->x.write;
	const char *held;
	char *real;
	uint32_t i;
	int stopped;

	x->write = h->own;
	memset(&x->read, 0, sizeof x->read);
	give_program(x, h, notes);
	for (i = 0; i < write->n; i++) {
		real = real_outside(write->v[i], NULL, &stopped);
		if (stopped && below_any(real, &h->own) &&
		    !strv_has(&h->own, real))
			note(notes, OWN_LINK, write->v[i]);
		free(real);
	}
	for (i = 0; i < read->n; i++) {
		real = real_outside(read->v[i], NULL, &stopped);
		held = x->root || stopped ? NULL : touches(real, h->ours);
		if (held != NULL) {
			xasprintf(err,
			    "%s: leads to %s, which is not for a backend",
			    read->v[i], held);
			free(real);
			return -1;
		}
		if (!below_any(real, &h->own))
			xstrv_add(&x->read, real);
		else if (stopped)
			note(notes, OWN_LINK, read->v[i]);
		free(real);
	}
	return 0;
}
