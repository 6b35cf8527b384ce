/*
 * The sessions of clients as the keeper knows them: what it leases upstream
 * for each, and its soft state. A row names a session by the start of its
 * nonce, which is no secret: the id that a client shows is sealed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "keeper.h"
#include "lease.h"
#include "master.h"
#include "sessions.h"
#include "soft.h"

#define ROWS_MAX  1000
#define NAMES_LEN 1024

struct seen {
	uint8_t nonce[ID_LEN];
	uint64_t used;
};
struct table {
	struct seen *v;
	size_t n, cap;
	int failed; /* memory ran out */
};
struct names {
	char text[NAMES_LEN]; /* of backends */
	const char *wanted;
	int found;
};

static void note(void *, const uint8_t *, uint64_t);
static int by_nonce(const void *, const void *);
static int by_use(const void *, const void *);
static void merge(struct table *);
static void add_name(void *, uint32_t, const char *, const char *);
static int show_one(uint32_t, const struct seen *, const char *);

static void
note(void *arg, const uint8_t *nonce, uint64_t used)
{
	struct table *t = arg;
	struct seen *v;
	size_t cap = t->cap ? t->cap * 2 : 256;

	if (t->n == t->cap) {
		if ((v = reallocarray(t->v, cap, sizeof(*v))) == NULL) {
			t->failed = 1;
			return;
		}
		t->v = v;
		t->cap = cap;
	}
	memcpy(t->v[t->n].nonce, nonce, ID_LEN);
	t->v[t->n++].used = used;
}

static int
by_nonce(const void *a, const void *b)
{
	return memcmp(((const struct seen *)a)->nonce,
	    ((const struct seen *)b)->nonce, ID_LEN);
}

static int
by_use(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->used != y->used)
		return x->used < y->used ? 1 : -1;
	return by_nonce(a, b);
}

/* One entry for each session, and the last use of all. */
static void
merge(struct table *t)
{
	size_t i, n = 0;

	if (t->n == 0)
		return;
	qsort(t->v, t->n, sizeof(*t->v), by_nonce);
	for (i = 1; i < t->n; i++)
		if (by_nonce(&t->v[i], &t->v[n]) != 0)
			t->v[++n] = t->v[i];
		else if (t->v[i].used > t->v[n].used)
			t->v[n].used = t->v[i].used;
	t->n = n + 1;
	qsort(t->v, t->n, sizeof(*t->v), by_use);
}

/* A backend whose definition has changed can have two: it is named once. */
static void
add_name(void *arg, uint32_t backend, const char *session, const char *revision)
{
	struct names *n = arg;
	const char *name = shelf_name(backend), *p;
	size_t len = strlen(name);

	(void)session;
	(void)revision;
	if (n->wanted != NULL && strcmp(name, n->wanted) == 0)
		n->found = 1;
	for (p = n->text; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
		if (strncmp(p, name, len) == 0 &&
		    (p[len] == ' ' || p[len] == '\0'))
			return;
	if (strlen(n->text) + len + 2 > sizeof(n->text))
		return;
	if (n->text[0] != '\0')
		(void)strlcat(n->text, " ", sizeof(n->text));
	(void)strlcat(n->text, name, sizeof(n->text));
}

/* 1 if it was shown. */
static int
show_one(uint32_t id, const struct seen *s, const char *backend)
{
	struct names n = {"", backend, 0};
	struct soft_info soft;
	char nonce[9], stream[24] = "", subs[24], idle[24];

	lease_each(s->nonce, add_name, &n);
	if (backend != NULL && !n.found)
		return 0;
	soft_info(s->nonce, &soft);
	snprintf(nonce, sizeof(nonce), "%02x%02x%02x%02x", s->nonce[0],
	    s->nonce[1], s->nonce[2], s->nonce[3]);
	if (soft.worker != 0)
		snprintf(stream, sizeof(stream), "%llu",
		    (unsigned long long)soft.worker);
	snprintf(subs, sizeof(subs), "%zu", soft.nsubs);
	snprintf(idle, sizeof(idle), "%llu",
	    (unsigned long long)((mono_msec() - s->used) / 1000));
	master_row(id, "session", nonce, "backends", n.text, "#stream", stream,
	    "level", soft.level, "#subscriptions", subs, "#idle", idle, NULL);
	return 1;
}

void
sessions_show(uint32_t id, const char *backend)
{
	struct table t = {NULL, 0, 0, 0};
	size_t i, rows = 0;

	if (backend != NULL && !shelf_known(backend)) {
		master_end(id, 1, "no such backend");
		return;
	}
	soft_walk(note, &t);
	lease_walk(note, &t);
	merge(&t);
	for (i = 0; i < t.n && rows < ROWS_MAX && master_room(); i++)
		rows += show_one(id, &t.v[i], backend);
	if (t.failed)
		master_end(id, 1, "out of memory");
	else
		master_end(id, 0,
		    i == t.n
			? ""
			: "there are more; name a backend to see only its own");
	free(t.v);
}
