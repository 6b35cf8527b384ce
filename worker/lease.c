/*
 * Leases of upstream sessions.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "keeper.h"
#include "lease.h"
#include "log.h"
#include "oldsse.h"
#include "soft.h"

#define BUCKETS     4096
#define MAX_ENTRIES 65536
#define MAX_OTHERS  8
#define IDLE_TIME   (1800 * 1000) /* ms */

struct waiter {
	TAILQ_ENTRY(waiter) entry;
	struct peer *peer;
	uint32_t id;
};

struct lease {
	LIST_ENTRY(lease) entry;
	uint8_t nonce[ID_LEN];
	uint32_t backend;
	uint8_t class;
	char *session; /* NULL while it is being made */
	char *revision;
	struct strv others; /* of workers that have made one all the same */
	struct peer *holder; /* makes it now */
	uint64_t deadline;
	uint64_t used;
	TAILQ_HEAD(, waiter) waiters;
};

static struct lease *lease_find(const uint8_t *, uint32_t);
static struct lease *lease_new(const struct k_lease *);
static void lease_grant(struct lease *, struct peer *, uint32_t);
static void lease_answer(struct peer *, uint32_t, const struct lease *);
static void lease_refuse(struct peer *, uint32_t);
static void lease_refuse_all(struct lease *);
static void lease_pass(struct lease *);
static void lease_free(struct lease *);
static void lease_open(const struct lease *);
static void lease_other(struct lease *, const struct k_lease *);
static void lease_close(const struct lease *);
static size_t hash(const uint8_t *);

static LIST_HEAD(, lease) table[BUCKETS];
static size_t nleases;

static size_t
hash(const uint8_t *nonce)
{
	return (nonce[0] | nonce[1] << 8) % BUCKETS;
}

static struct lease *
lease_find(const uint8_t *nonce, uint32_t backend)
{
	struct lease *l;

	LIST_FOREACH (l, &table[hash(nonce)], entry)
		if (l->backend == backend &&
		    memcmp(l->nonce, nonce, ID_LEN) == 0)
			return l;
	return NULL;
}

static struct lease *
lease_new(const struct k_lease *k)
{
	struct lease *l;

	if (nleases >= MAX_ENTRIES || (l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	memcpy(l->nonce, k->nonce, ID_LEN);
	l->backend = k->backend;
	l->class = k->class;
	l->used = mono_msec();
	TAILQ_INIT(&l->waiters);
	LIST_INSERT_HEAD(&table[hash(k->nonce)], l, entry);
	nleases++;
	return l;
}

static void
lease_grant(struct lease *l, struct peer *p, uint32_t id)
{
	struct k_session m;

	memset(&m, 0, sizeof(m));
	m.leased = 1;
	soft_fill(l->nonce, l->backend, &m);
	l->holder = p;
	l->deadline = mono_msec() + shelf_opening(l->backend) + LEASE_SLACK;
	(void)peer_send(p, K_SESSION, id, &def_k_session, &m, -1);
	free(m.uris.v);
}

static void
lease_answer(struct peer *p, uint32_t id, const struct lease *l)
{
	struct k_session m;

	memset(&m, 0, sizeof(m));
	if (oldsse_is(l->session)) {
		/* Of use in the worker that made it only: everyone makes one.
		 * This is no lease, nobody waits for its end. */
		m.leased = 1;
		soft_fill(l->nonce, l->backend, &m);
	} else {
		m.session = l->session;
		m.revision = l->revision;
	}
	(void)peer_send(p, K_SESSION, id, &def_k_session, &m, -1);
	free(m.uris.v);
}

static void
lease_refuse(struct peer *p, uint32_t id)
{
	struct k_session m;

	memset(&m, 0, sizeof(m));
	m.failed = 1;
	(void)peer_send(p, K_SESSION, id, &def_k_session, &m, -1);
}

static void
lease_refuse_all(struct lease *l)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&l->waiters)) != NULL) {
		TAILQ_REMOVE(&l->waiters, w, entry);
		lease_refuse(w->peer, w->id);
		free(w);
	}
}

void
lease_ask(struct peer *p, uint32_t id, const struct k_lease *k)
{
	struct lease *l = lease_find(k->nonce, k->backend);
	struct waiter *w;

	if (l == NULL) {
		if ((l = lease_new(k)) == NULL)
			lease_refuse(p, id);
		else
			lease_grant(l, p, id);
		return;
	}
	l->used = mono_msec();
	if (l->session != NULL && *k->stale != '\0' &&
	    strcmp(l->session, k->stale) == 0) {
		free(l->session);
		free(l->revision);
		l->session = l->revision = NULL;
	}
	if (l->session != NULL) {
		lease_answer(p, id, l);
		return;
	}
	if (l->holder == NULL) {
		lease_grant(l, p, id);
		return;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		lease_refuse(p, id);
		return;
	}
	w->peer = p;
	w->id = id;
	TAILQ_INSERT_TAIL(&l->waiters, w, entry);
}

void
lease_put(struct peer *p, const struct k_lease *k)
{
	struct lease *l = lease_find(k->nonce, k->backend);
	struct waiter *w;
	char *session, *revision;

	if (l == NULL && (l = lease_new(k)) == NULL)
		return;
	l->used = mono_msec();
	/* Two were made while there was no keeper, or one took too long: the
	 * first stays. What is put while another makes one may be the very
	 * session that the backend has forgotten. */
	if (l->session != NULL || (l->holder != NULL && l->holder != p)) {
		if (l->session != NULL && oldsse_is(k->session))
			lease_open(l);
		else
			lease_other(l, k);
		return;
	}
	session = strdup(k->session);
	revision = strdup(k->revision);
	if (session == NULL || revision == NULL) {
		free(session);
		free(revision);
		return;
	}
	free(l->session);
	free(l->revision);
	l->session = session;
	l->revision = revision;
	l->holder = NULL;
	while ((w = TAILQ_FIRST(&l->waiters)) != NULL) {
		TAILQ_REMOVE(&l->waiters, w, entry);
		lease_answer(w->peer, w->id, l);
		free(w);
	}
	lease_open(l);
}

/* Whoever made it goes on with it: it ends with the rest. */
static void
lease_other(struct lease *l, const struct k_lease *k)
{
	if ((l->session != NULL && strcmp(l->session, k->session) == 0) ||
	    l->others.n >= MAX_OTHERS || strv_has(&l->others, k->session))
		return;
	(void)strv_add(&l->others, k->session);
}

/* Whoever has the client's GET stream opens the one of this session. */
static void
lease_open(const struct lease *l)
{
	struct peer *owner = soft_owner(l->nonce);
	struct k_lease m;

	if (owner == NULL || l->session == NULL)
		return;
	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, l->nonce, ID_LEN);
	m.backend = l->backend;
	m.class = l->class;
	m.session = l->session;
	m.revision = l->revision;
	(void)peer_send(owner, K_OPEN, 0, &def_k_lease, &m, -1);
}

void
lease_each(const uint8_t nonce[ID_LEN],
    void (*cb)(void *, uint32_t, const char *, const char *), void *arg)
{
	struct lease *l;

	LIST_FOREACH (l, &table[hash(nonce)], entry)
		if (l->session != NULL && memcmp(l->nonce, nonce, ID_LEN) == 0)
			cb(arg, l->backend, l->session, l->revision);
}

void
lease_walk(void (*cb)(void *, const uint8_t *, uint64_t), void *arg)
{
	struct lease *l;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		LIST_FOREACH (l, &table[i], entry)
			if (l->session != NULL)
				cb(arg, l->nonce, l->used);
}

void
lease_claimed(const uint8_t nonce[ID_LEN])
{
	struct lease *l;

	LIST_FOREACH (l, &table[hash(nonce)], entry)
		if (memcmp(l->nonce, nonce, ID_LEN) == 0)
			lease_open(l);
}

/* Each waiter is told: a backend that refuses one will refuse the next. */
void
lease_fail(struct peer *p, const struct k_lease *k)
{
	struct lease *l = lease_find(k->nonce, k->backend);

	if (l == NULL || l->holder != p)
		return;
	lease_free(l);
}

/* The holder is gone or too slow: the next one makes it. */
static void
lease_pass(struct lease *l)
{
	struct waiter *w;

	l->holder = NULL;
	if ((w = TAILQ_FIRST(&l->waiters)) == NULL) {
		lease_free(l);
		return;
	}
	TAILQ_REMOVE(&l->waiters, w, entry);
	lease_grant(l, w->peer, w->id);
	free(w);
}

static void
lease_free(struct lease *l)
{
	lease_refuse_all(l);
	LIST_REMOVE(l, entry);
	nleases--;
	strv_free(&l->others);
	free(l->session);
	free(l->revision);
	free(l);
}

static void
lease_close(const struct lease *l)
{
	uint32_t i;

	if (l->session == NULL || *l->session == '\0')
		return;
	keeper_close(l->backend, l->session, l->revision);
	for (i = 0; i < l->others.n; i++)
		keeper_close(l->backend, l->others.v[i], l->revision);
}

void
lease_end(const uint8_t nonce[ID_LEN], uint32_t backend)
{
	struct lease *l, *next;

	for (l = LIST_FIRST(&table[hash(nonce)]); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		if (memcmp(l->nonce, nonce, ID_LEN) != 0 ||
		    (backend != 0 && l->backend != backend))
			continue;
		lease_close(l);
		lease_free(l);
	}
}

void
lease_gone(struct peer *p)
{
	struct waiter *w, *wnext;
	struct lease *l, *next;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (l = LIST_FIRST(&table[i]); l != NULL; l = next) {
			next = LIST_NEXT(l, entry);
			for (w = TAILQ_FIRST(&l->waiters); w != NULL;
			     w = wnext) {
				wnext = TAILQ_NEXT(w, entry);
				if (w->peer != p)
					continue;
				TAILQ_REMOVE(&l->waiters, w, entry);
				free(w);
			}
			if (l->holder == p)
				lease_pass(l);
		}
}

void
lease_tick(void)
{
	struct lease *l, *next;
	uint64_t now = mono_msec();
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (l = LIST_FIRST(&table[i]); l != NULL; l = next) {
			next = LIST_NEXT(l, entry);
			if (l->holder != NULL) {
				if (now >= l->deadline)
					lease_pass(l);
			} else if (now - l->used >= IDLE_TIME)
				lease_end(l->nonce, l->backend);
		}
}

size_t
lease_count(uint32_t backend)
{
	struct lease *l;
	size_t i, n = 0;

	for (i = 0; i < BUCKETS; i++)
		LIST_FOREACH (l, &table[i], entry)
			n += l->backend == backend && l->session != NULL;
	return n;
}
