/*
 * Stdio backends of every living generation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "log.h"
#include "runner.h"

static void backend_free(struct sbackend *);
static uint64_t restarts(const struct sbackend *);
static void show_children(uint32_t, const char *);
static void backend_stop(const char *, int);
static int backend_start(const char *, const char **);

static TAILQ_HEAD(, sbackend) backends = TAILQ_HEAD_INITIALIZER(backends);
static uint32_t current; /* generation in force */

struct sbackend *
backend_first(void)
{
	return TAILQ_FIRST(&backends);
}

struct sbackend *
backend_find(uint32_t id)
{
	struct sbackend *b;

	TAILQ_FOREACH (b, &backends, entry)
		if (b->conf.id == id)
			return b;
	return NULL;
}

struct sbackend *
backend_named(const char *name)
{
	struct sbackend *b;

	TAILQ_FOREACH (b, &backends, entry)
		if (backend_in_force(b) && strcmp(b->conf.name, name) == 0)
			return b;
	return NULL;
}

int
backend_in_force(const struct sbackend *b)
{
	int i;

	for (i = 0; i < MAX_GENS; i++)
		if (b->gens[i] == current && current != 0)
			return 1;
	return 0;
}

void
backend_add(uint32_t gen, const struct conf_stdio *conf)
{
	struct sbackend *b = backend_find(conf->id);
	int i;

	if (b == NULL) {
		b = xcalloc(1, sizeof(*b));
		if (wire_copy(&def_conf_stdio, &b->conf, conf) == -1)
			fatalx("out of memory");
		b->stopped = conf->stopped;
		TAILQ_INIT(&b->children);
		TAILQ_INIT(&b->sessions);
		TAILQ_INSERT_TAIL(&backends, b, entry);
	}
	for (i = 0; i < MAX_GENS; i++)
		if (b->gens[i] == gen)
			return;
	for (i = 0; i < MAX_GENS; i++)
		if (b->gens[i] == 0) {
			b->gens[i] = gen;
			return;
		}
	fatalx("more than %d generations live", MAX_GENS);
}

void
backend_commit(uint32_t gen)
{
	current = gen;
}

void
backend_forget(uint32_t gen)
{
	struct sbackend *b, *next;
	struct child *c, *cnext;
	int i, left;

	for (b = TAILQ_FIRST(&backends); b != NULL; b = next) {
		next = TAILQ_NEXT(b, entry);
		for (i = left = 0; i < MAX_GENS; i++) {
			if (b->gens[i] == gen)
				b->gens[i] = 0;
			left |= b->gens[i] != 0;
		}
		if (left)
			continue;
		for (c = TAILQ_FIRST(&b->children); c != NULL; c = cnext) {
			cnext = TAILQ_NEXT(c, entry);
			child_end(c);
		}
		if (b->nchildren == 0)
			backend_free(b);
	}
}

static void
backend_free(struct sbackend *b)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&b->sessions)) != NULL)
		session_end(s);
	TAILQ_REMOVE(&backends, b, entry);
	errlog_free(b);
	wire_free(&def_conf_stdio, &b->conf);
	free(b);
}

static int
backend_forgotten(const struct sbackend *b)
{
	int i;

	for (i = 0; i < MAX_GENS; i++)
		if (b->gens[i] != 0)
			return 0;
	return 1;
}

void
backend_tick(uint64_t now)
{
	struct sbackend *b, *next;
	struct child *c, *cnext;

	for (b = TAILQ_FIRST(&backends); b != NULL; b = next) {
		next = TAILQ_NEXT(b, entry);
		if (backend_forgotten(b)) {
			if (b->nchildren == 0)
				backend_free(b);
			continue;
		}
		for (c = TAILQ_FIRST(&b->children); c != NULL; c = cnext) {
			cnext = TAILQ_NEXT(c, entry);
			child_tick(c, now);
		}
		session_tick(b, now);
		child_again(b, now);
	}
}

/* ---- mcpgwctl ---- */

/* Of the one child that there is, or of any of those that should have lived. */
static uint64_t
restarts(const struct sbackend *b)
{
	if (b->conf.instance != INSTANCE_SHARED)
		return b->crashes;
	return b->starts > 0 ? b->starts - 1 : 0;
}

static void
show_children(uint32_t id, const char *name)
{
	static const char *const instances[] = {
	    "", "shared", "principal", "session"};
	struct sbackend *b;
	struct child *c;
	char n[6][24];

	TAILQ_FOREACH (b, &backends, entry) {
		if ((!backend_in_force(b) && TAILQ_EMPTY(&b->children)) ||
		    (name != NULL && strcmp(b->conf.name, name) != 0))
			continue;
		snprintf(n[3], sizeof(n[3]), "%llu",
		    (unsigned long long)restarts(b));
		snprintf(
		    n[5], sizeof(n[5]), "%llu", (unsigned long long)b->garbage);
		if (TAILQ_EMPTY(&b->children))
			master_row(id, "backend", b->conf.name, "instance",
			    instances[b->conf.instance & 3], "state",
			    b->stopped  ? "stopped"
			    : b->wanted ? "restarting"
					: "none",
			    "#pid", "", "#uid", "", "#open", "", "#age", "",
			    "#restarts", n[3], "#garbage", n[5], "said",
			    errlog_last(b), NULL);
		TAILQ_FOREACH (c, &b->children, entry) {
			/* None yet: what was before it is ending. */
			*n[0] = *n[1] = '\0';
			if (c->pid != 0) {
				snprintf(n[0], sizeof(n[0]), "%u", c->pid);
				snprintf(n[1], sizeof(n[1]), "%u", c->uid);
			}
			snprintf(n[2], sizeof(n[2]), "%u", c->npending);
			snprintf(n[4], sizeof(n[4]), "%llu",
			    (unsigned long long)(mono_msec() - c->begun) /
				1000);
			master_row(id, "backend", b->conf.name, "instance",
			    instances[b->conf.instance & 3], "state",
			    child_state_name(c), "#pid", n[0], "#uid", n[1],
			    "#open", n[2], "#age", n[4], "#restarts", n[3],
			    "#garbage", n[5], "said", errlog_last(b), NULL);
		}
	}
}

/* Of every generation: those before may have children still. */
static void
backend_stop(const char *name, int stopped)
{
	struct sbackend *b;
	struct child *c, *next;

	TAILQ_FOREACH (b, &backends, entry) {
		if (strcmp(b->conf.name, name) != 0)
			continue;
		b->stopped = stopped;
		b->not_before = b->backoff = 0;
		/* Starts by itself once the old one is gone. */
		b->wanted = !stopped && b->conf.instance == INSTANCE_SHARED;
		for (c = TAILQ_FIRST(&b->children); c != NULL; c = next) {
			next = TAILQ_NEXT(c, entry);
			/* Who waits for a new one has it. */
			if (stopped || c->state != CHILD_DUE)
				child_end(c);
		}
		if (stopped)
			runner_look(b->conf.id);
		child_again(b, mono_msec());
	}
}

/* -1 and *why. */
static int
backend_start(const char *name, const char **why)
{
	struct sbackend *b;
	int rv = 0;

	TAILQ_FOREACH (b, &backends, entry) {
		if (strcmp(b->conf.name, name) != 0)
			continue;
		b->stopped = 0;
		b->not_before = b->backoff = 0;
		runner_look(b->conf.id);
		if (b->conf.instance != INSTANCE_SHARED || b->shared != NULL ||
		    !backend_in_force(b))
			continue;
		/* While the old one still ends: as soon as it is gone. */
		b->wanted = 1;
		if (b->nchildren == 0 && child_shared(b, why) == NULL)
			rv = -1;
	}
	return rv;
}

void
backend_ctl(uint32_t id, const struct ctl_req *m)
{
	const char *name = m->args.n > 0 ? m->args.v[0] : NULL, *why = "";
	struct sbackend *b = NULL;
	int failed = 0;

	if (name != NULL && (b = backend_named(name)) == NULL) {
		master_end(id, 1, "there is no stdio backend of that name");
		return;
	}
	if (b == NULL && m->verb != CTL_SHOW_CHILDREN) {
		master_end(id, 1, "name a backend");
		return;
	}
	switch (m->verb) {
	case CTL_SHOW_CHILDREN:
		show_children(id, name);
		break;
	case CTL_SHOW_LOG:
		errlog_show(id, b);
		break;
	case CTL_BACKEND_STOP:
	case CTL_BACKEND_RESTART:
		backend_stop(name, m->verb == CTL_BACKEND_STOP);
		break;
	case CTL_BACKEND_START:
		failed = backend_start(name, &why) == -1;
		break;
	default:
		failed = 1;
		why = "the runner does not do that";
		break;
	}
	master_end(id, failed, why);
}
