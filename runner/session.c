/*
 * Sessions: what a worker or the keeper opens to talk to a child. Those of a
 * shared child outlive it; the others end with theirs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "json.h"
#include "log.h"
#include "runner.h"

#define HASH     1024
#define IDLE_MAX (2 * 3600 * 1000ull) /* ms; the keeper ends them before */

/* Somebody waits for a session: with a child that is not up yet, or until it
 * reads again. */
struct opener {
	TAILQ_ENTRY(opener) entry;
	struct peer *peer;
	uint32_t id;
	struct child *child; /* NULL: there is none, and why */
	char *why;
	int owed; /* the answer is there and could not be told */
};

static size_t hash(const char *);
static void uri_say(struct child *, const char *, const char *);
static void session_unwatch(struct session *);
static struct session *session_new(struct sbackend *, struct child *);
static int answer(struct peer *, uint32_t, const char *, struct session *,
    const struct child *);
static void opener_tell(struct opener *, const char *);
static void opener_free(struct opener *);

static LIST_HEAD(, session) table[HASH];
static TAILQ_HEAD(, opener) openers = TAILQ_HEAD_INITIALIZER(openers);
static uint64_t serial;
static uint32_t epoch; /* tells apart sessions of another runner */

static size_t
hash(const char *s)
{
	size_t h = 5381;

	for (; *s != '\0'; s++)
		h = h * 33 + (unsigned char)*s;
	return h % HASH;
}

struct session *
session_find(const char *id)
{
	struct session *s;

	LIST_FOREACH (s, &table[hash(id)], hash)
		if (strcmp(s->id, id) == 0)
			return s;
	return NULL;
}

static struct session *
session_new(struct sbackend *b, struct child *c)
{
	struct session *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	if (epoch == 0)
		epoch = (uint32_t)mono_msec() | 1;
	s->b = b;
	s->child = b->conf.instance == INSTANCE_SHARED ? NULL : c;
	s->used = mono_msec();
	TAILQ_INIT(&s->watchers);
	snprintf(s->id, sizeof(s->id), "%08x.%llu", epoch,
	    (unsigned long long)++serial);
	TAILQ_INSERT_TAIL(&b->sessions, s, entry);
	LIST_INSERT_HEAD(&table[hash(s->id)], s, hash);
	return s;
}

/* In JSON, to a child that is up. */
static void
uri_say(struct child *c, const char *method, const char *uri)
{
	struct json_buf b = {0};

	json_puts(&b, "{\"uri\":");
	json_putstr(&b, uri);
	json_puts(&b, "}");
	json_put(&b, "", 1);
	if (!b.err)
		(void)mux_own(c, method, b.p);
	json_buf_free(&b);
}

/* A child that outlives the session need not watch for it any longer. */
static void
session_unwatch(struct session *s)
{
	struct child *c = s->child != NULL ? s->child : s->b->shared;
	uint32_t i;

	if (c == NULL || c->state != CHILD_UP)
		return;
	for (i = 0; i < s->uris.n; i++)
		if (!session_others(s, s->uris.v[i]))
			uri_say(c, "resources/unsubscribe", s->uris.v[i]);
}

void
session_end(struct session *s)
{
	session_unwatch(s);
	exchanges_of_session(s, N_END_SESSION);
	asks_of_session(s);
	LIST_REMOVE(s, hash);
	TAILQ_REMOVE(&s->b->sessions, s, entry);
	strv_free(&s->uris);
	free(s);
}

static int
answer(struct peer *p, uint32_t id, const char *error, struct session *s,
    const struct child *c)
{
	struct n_opened m;
	char text[512];

	memset(&m, 0, sizeof(m));
	if (s == NULL && *error == '\0')
		error = "can not be asked";
	(void)strlcpy(text, error, sizeof(text));
	m.error = text;
	if (s != NULL) {
		m.session = s->id;
		m.revision = c->revision;
		m.result.p = (uint8_t *)c->result;
		m.result.len = (uint32_t)c->resultlen;
	}
	return peer_send(p, N_OPENED, id, &def_n_opened, &m, -1);
}

/* Freed, or kept until its peer reads again. */
static void
opener_tell(struct opener *o, const char *why)
{
	struct session *s = NULL;
	int rv;

	if (why == NULL && (s = session_new(o->child->b, o->child)) == NULL)
		why = "can not be asked: out of memory";
	rv = answer(o->peer, o->id, why != NULL ? why : "", s, o->child);
	if (rv == 0 || errno == EPIPE) {
		opener_free(o);
		return;
	}
	if (s != NULL)
		session_end(s);
	else if (why != o->why) {
		free(o->why);
		o->why = xstrdup(why);
		o->child = NULL;
	}
	o->owed = 1;
	runner_sent(o->peer, NULL);
}

static void
opener_free(struct opener *o)
{
	TAILQ_REMOVE(&openers, o, entry);
	free(o->why);
	free(o);
}

void
session_open(struct peer *p, uint32_t id, const struct n_open *m)
{
	struct sbackend *b = backend_find(m->backend);
	const char *why = "is no stdio backend any more";
	struct opener *o;

	if ((o = calloc(1, sizeof(*o))) == NULL) {
		(void)answer(
		    p, id, "can not be asked: out of memory", NULL, NULL);
		return;
	}
	o->peer = p;
	o->id = id;
	TAILQ_INSERT_TAIL(&openers, o, entry);
	if (b != NULL)
		o->child = child_for(
		    b, m->class, m->nonce, m->subject, is_keeper(p), &why);
	if (o->child == NULL) {
		opener_tell(o, why);
		return;
	}
	if (!is_keeper(p))
		o->child->used = mono_msec();
	if (o->child->state == CHILD_UP)
		opener_tell(o, NULL);
}

void
session_opened(struct child *c, const char *why)
{
	struct opener *o, *next;

	for (o = TAILQ_FIRST(&openers); o != NULL; o = next) {
		next = TAILQ_NEXT(o, entry);
		if (o->child == c)
			opener_tell(o, why);
	}
}

int
openers_owed(struct peer *p)
{
	struct opener *o, *next;
	int owed = 0;

	for (o = TAILQ_FIRST(&openers); o != NULL; o = next) {
		next = TAILQ_NEXT(o, entry);
		if (o->peer != p || !o->owed)
			continue;
		o->owed = 0;
		opener_tell(o, o->why);
	}
	TAILQ_FOREACH (o, &openers, entry)
		owed |= o->peer == p && o->owed;
	return owed;
}

void
session_cancel(struct peer *p, uint32_t id)
{
	struct opener *o;

	TAILQ_FOREACH (o, &openers, entry)
		if (o->peer == p && o->id == id) {
			o->child = NULL;
			opener_tell(o, "is not wanted any more");
			return;
		}
}

void
sessions_gone(struct peer *p)
{
	struct opener *o, *next;

	for (o = TAILQ_FIRST(&openers); o != NULL; o = next) {
		next = TAILQ_NEXT(o, entry);
		if (o->peer == p)
			opener_free(o);
	}
}

void
sessions_drop(struct child *c)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&c->b->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (s->child == c)
			session_end(s);
	}
}

struct child *
session_child(struct session *s, const char **why)
{
	if (s->b->conf.instance == INSTANCE_SHARED)
		return child_shared(s->b, why);
	*why = "is being ended";
	return s->child;
}

int
session_others(const struct session *me, const char *uri)
{
	const struct session *s;

	TAILQ_FOREACH (s, &me->b->sessions, entry)
		if (s != me && s->child == me->child && strv_has(&s->uris, uri))
			return 1;
	return 0;
}

/* Each URI once; and the keeper hears that the lists may be others now. */
void
sessions_restore(struct child *c)
{
	struct session *s, *before;
	uint32_t i;

	if (c->b->conf.instance != INSTANCE_SHARED)
		return;
	TAILQ_FOREACH (s, &c->b->sessions, entry)
		for (i = 0; i < s->uris.n; i++) {
			TAILQ_FOREACH (before, &c->b->sessions, entry)
				if (before == s ||
				    strv_has(&before->uris, s->uris.v[i]))
					break;
			if (before == s)
				uri_say(c, "resources/subscribe", s->uris.v[i]);
		}
	if (c->b->starts > 1)
		runner_look(c->b->conf.id);
}

void
session_tick(struct sbackend *b, uint64_t now)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&b->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		if (!TAILQ_EMPTY(&s->watchers))
			s->used = now;
		else if (now - s->used >= IDLE_MAX)
			session_end(s);
	}
}
