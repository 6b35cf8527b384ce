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
	char n[5][24];

	TAILQ_FOREACH (b, &backends, entry) {
		if (!backend_in_force(b) ||
		    (name != NULL && strcmp(b->conf.name, name) != 0))
			continue;
		snprintf(n[3], sizeof(n[3]), "%llu",
		    (unsigned long long)restarts(b));
		if (TAILQ_EMPTY(&b->children))
			master_row(id, "backend", b->conf.name, "instance",
			    instances[b->conf.instance & 3], "state",
			    b->stopped  ? "stopped"
			    : b->wanted ? "restarting"
					: "none",
			    "#pid", "", "#uid", "", "#open", "", "#age", "",
			    "#restarts", n[3], "said", errlog_last(b), NULL);
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
			    "said", errlog_last(b), NULL);
		}
	}
}

void
backend_ctl(uint32_t id, const struct ctl_req *m)
{
	const char *name = m->args.n > 0 ? m->args.v[0] : NULL, *why;
	struct sbackend *b = NULL;
	struct child *c, *next;

	if (name != NULL && (b = backend_named(name)) == NULL) {
		master_end(id, 1, "there is no stdio backend of that name");
		return;
	}
	if (m->verb == CTL_SHOW_CHILDREN) {
		show_children(id, name);
		master_end(id, 0, "");
		return;
	}
	if (b == NULL) {
		master_end(id, 1, "name a backend");
		return;
	}
	switch (m->verb) {
	case CTL_SHOW_LOG:
		errlog_show(id, b);
		master_end(id, 0, "");
		return;
	case CTL_BACKEND_STOP:
	case CTL_BACKEND_RESTART:
		b->stopped = m->verb == CTL_BACKEND_STOP;
		for (c = TAILQ_FIRST(&b->children); c != NULL; c = next) {
			next = TAILQ_NEXT(c, entry);
			/* Who waits for a new one has it. */
			if (b->stopped || c->state != CHILD_DUE)
				child_end(c);
		}
		b->not_before = b->backoff = 0;
		/* Starts by itself once the old one is gone. */
		b->wanted = m->verb == CTL_BACKEND_RESTART &&
			    b->conf.instance == INSTANCE_SHARED;
		child_again(b, mono_msec());
		master_end(id, 0, "");
		return;
	case CTL_BACKEND_START:
		b->stopped = 0;
		b->not_before = b->backoff = 0;
		/* While the old one still ends: as soon as it is gone. */
		b->wanted =
		    b->conf.instance == INSTANCE_SHARED && b->shared == NULL;
		if (b->conf.instance == INSTANCE_SHARED && b->nchildren == 0 &&
		    child_shared(b, &why) == NULL)
			master_end(id, 1, why);
		else
			master_end(id, 0, "");
		return;
	default:
		master_end(id, 1, "the runner does not do that");
		return;
	}
}
