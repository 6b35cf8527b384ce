/*
 * Soft state of client sessions: the keeper's, and in every worker a copy of
 * what they have said, so that the next keeper can be told.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "soft.h"

#define BUCKETS     4096
#define MAX_ENTRIES 65536
#define MAX_BYTES   (64 * 1024 * 1024) /* of what all of them watch */
#define IDLE_TIME   (24 * 3600 * 1000ull) /* ms without a stream */
#define TELL_BYTES  (PEER_QUEUE_MAX / 2) /* under way to one who is told all */

struct sub {
	LIST_ENTRY(sub) entry;
	uint32_t backend;
	char *uri;
};

struct soft {
	LIST_ENTRY(soft) entry;
	TAILQ_ENTRY(soft) order; /* the one that was used last is last */
	uint64_t n; /* counts up */
	uint8_t nonce[ID_LEN];
	struct peer *owner;
	uint64_t stream, begun;
	uint64_t used;
	char *level;
	LIST_HEAD(, sub) subs;
};

/* One who is being told of all sessions, in the order of the table; in a bucket
 * the newest is first. */
struct telling {
	TAILQ_ENTRY(telling) entry;
	struct peer *peer;
	uint32_t level, subscribe; /* messages */
	size_t at; /* bucket */
	uint64_t below; /* of that bucket, those before this n */
};

static struct soft *soft_find(const uint8_t *);
static struct soft *soft_get(const uint8_t *);
static struct sub *sub_find(
    const struct soft *, uint32_t, const char *, size_t *);
static void soft_use(struct soft *);
static void soft_evict(void);
static void tell(struct peer *, uint32_t, uint32_t);
static void tell_on(struct telling *);
static void tell_one(const struct telling *, const struct soft *);
static void sub_free(struct sub *);
static void soft_free(struct soft *);
static size_t hash(const uint8_t *);

static LIST_HEAD(, soft) table[BUCKETS];
static TAILQ_HEAD(, soft) byuse = TAILQ_HEAD_INITIALIZER(byuse);
static TAILQ_HEAD(, telling) tellings = TAILQ_HEAD_INITIALIZER(tellings);
static size_t nsoft, nbytes;
static uint64_t last_n;

static size_t
hash(const uint8_t *nonce)
{
	return (nonce[0] | nonce[1] << 8) % BUCKETS;
}

static struct soft *
soft_find(const uint8_t *nonce)
{
	struct soft *s;

	LIST_FOREACH (s, &table[hash(nonce)], entry)
		if (memcmp(s->nonce, nonce, ID_LEN) == 0)
			return s;
	return NULL;
}

static struct soft *
soft_get(const uint8_t *nonce)
{
	struct soft *s = soft_find(nonce);

	if (s == NULL) {
		if (nsoft >= MAX_ENTRIES)
			soft_evict();
		if ((s = calloc(1, sizeof(*s))) == NULL)
			return NULL;
		memcpy(s->nonce, nonce, ID_LEN);
		s->n = ++last_n;
		LIST_INIT(&s->subs);
		LIST_INSERT_HEAD(&table[hash(nonce)], s, entry);
		TAILQ_INSERT_TAIL(&byuse, s, order);
		nsoft++;
	}
	soft_use(s);
	return s;
}

static void
soft_use(struct soft *s)
{
	s->used = mono_msec();
	TAILQ_REMOVE(&byuse, s, order);
	TAILQ_INSERT_TAIL(&byuse, s, order);
}

/* The one that nobody has used for longest makes room; one with a stream only
 * if all have one. */
static void
soft_evict(void)
{
	struct soft *s;
	size_t n;

	for (n = nsoft; n > 0; n--) {
		s = TAILQ_FIRST(&byuse);
		if (s->owner == NULL)
			break;
		soft_use(s);
	}
	soft_free(TAILQ_FIRST(&byuse));
}

void
soft_claim(struct peer *p, const struct k_claim *m)
{
	struct soft *s = soft_get(m->nonce);
	struct k_claim old = *m;

	if (s == NULL)
		return;
	if (s->owner != NULL && (s->owner != p || s->stream != m->stream)) {
		/* To a new keeper they come in any order. */
		if (m->begun < s->begun) {
			(void)peer_send(p, K_RELEASE, 0, &def_k_claim, m, -1);
			return;
		}
		old.stream = s->stream;
		(void)peer_send(s->owner, K_RELEASE, 0, &def_k_claim, &old, -1);
	}
	s->owner = p;
	s->stream = m->stream;
	s->begun = m->begun;
}

void
soft_unclaim(const struct peer *p, const struct k_claim *m)
{
	struct soft *s = soft_find(m->nonce);

	if (s != NULL && s->owner == p && s->stream == m->stream)
		s->owner = NULL;
}

struct peer *
soft_owner(const uint8_t nonce[ID_LEN])
{
	struct soft *s = soft_find(nonce);

	return s == NULL ? NULL : s->owner;
}

void
soft_level(const struct k_soft *m)
{
	struct soft *s = soft_get(m->nonce);
	char *level;

	if (s == NULL || (level = strdup(m->level)) == NULL)
		return;
	free(s->level);
	s->level = level;
}

/* n: how many of that backend come before it, or are there in all. */
static struct sub *
sub_find(const struct soft *s, uint32_t backend, const char *uri, size_t *n)
{
	struct sub *b;

	*n = 0;
	LIST_FOREACH (b, &s->subs, entry) {
		if (b->backend != backend)
			continue;
		if (strcmp(b->uri, uri) == 0)
			break;
		++*n;
	}
	return b;
}

int
soft_room(const uint8_t nonce[ID_LEN], uint32_t backend, const char *uri)
{
	struct soft *s = soft_find(nonce);
	size_t n = 0;

	if (s != NULL && sub_find(s, backend, uri, &n) != NULL)
		return 1;
	return n < SOFT_URIS && nbytes + strlen(uri) <= MAX_BYTES;
}

const char *
soft_levelof(const uint8_t nonce[ID_LEN])
{
	struct soft *s = soft_find(nonce);

	return s == NULL ? NULL : s->level;
}

void
soft_touch(const uint8_t nonce[ID_LEN])
{
	struct soft *s = soft_find(nonce);

	if (s != NULL)
		soft_use(s);
}

void
soft_subscribe(const struct k_soft *m)
{
	struct soft *s = soft_get(m->nonce);
	struct sub *b;
	size_t n;

	if (s == NULL)
		return;
	b = sub_find(s, m->backend, m->uri, &n);
	if (b != NULL && !m->on)
		sub_free(b);
	else if (b == NULL && m->on && n < SOFT_URIS &&
		 nbytes + strlen(m->uri) <= MAX_BYTES) {
		if ((b = calloc(1, sizeof(*b))) == NULL ||
		    (b->uri = strdup(m->uri)) == NULL) {
			free(b);
			return;
		}
		b->backend = m->backend;
		nbytes += strlen(b->uri);
		LIST_INSERT_HEAD(&s->subs, b, entry);
	}
}

static void
sub_free(struct sub *b)
{
	nbytes -= strlen(b->uri);
	LIST_REMOVE(b, entry);
	free(b->uri);
	free(b);
}

void
soft_fill(const uint8_t nonce[ID_LEN], uint32_t backend, struct k_session *k)
{
	struct soft *s = soft_find(nonce);
	struct sub *b;

	if (s == NULL)
		return;
	k->level = s->level;
	k->uris.v = calloc(SOFT_URIS, sizeof(*k->uris.v));
	if (k->uris.v == NULL)
		return;
	LIST_FOREACH (b, &s->subs, entry)
		if (b->backend == backend && k->uris.n < SOFT_URIS)
			k->uris.v[k->uris.n++] = b->uri;
}

void
soft_info(const uint8_t nonce[ID_LEN], struct soft_info *info)
{
	struct soft *s = soft_find(nonce);
	struct sub *b;

	memset(info, 0, sizeof(*info));
	info->level = "";
	if (s == NULL)
		return;
	if (s->owner != NULL)
		info->worker = peer_id(s->owner);
	if (s->level != NULL)
		info->level = s->level;
	LIST_FOREACH (b, &s->subs, entry)
		info->nsubs++;
}

void
soft_walk(void (*cb)(void *, const uint8_t *, uint64_t), void *arg)
{
	uint64_t now = mono_msec();
	struct soft *s;

	TAILQ_FOREACH (s, &byuse, order)
		cb(arg, s->nonce, s->owner != NULL ? now : s->used);
}

void
soft_end(const uint8_t nonce[ID_LEN])
{
	struct soft *s = soft_find(nonce);

	if (s != NULL)
		soft_free(s);
}

static void
soft_free(struct soft *s)
{
	struct sub *b;

	while ((b = LIST_FIRST(&s->subs)) != NULL)
		sub_free(b);
	LIST_REMOVE(s, entry);
	TAILQ_REMOVE(&byuse, s, order);
	nsoft--;
	free(s->level);
	free(s);
}

/* ---- all of it, to one who knows nothing yet ---- */

/* What does not fit into the channel now goes in later turns. */
static void
tell(struct peer *p, uint32_t level, uint32_t subscribe)
{
	struct telling *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return;
	t->peer = p;
	t->level = level;
	t->subscribe = subscribe;
	t->below = last_n + 1;
	TAILQ_INSERT_TAIL(&tellings, t, entry);
	tell_on(t);
}

static void
tell_on(struct telling *t)
{
	const struct soft *s;

	for (; t->at < BUCKETS; t->at++, t->below = last_n + 1)
		LIST_FOREACH (s, &table[t->at], entry) {
			if (s->n >= t->below)
				continue;
			if (peer_queued(t->peer) > TELL_BYTES)
				return;
			tell_one(t, s);
			t->below = s->n;
		}
	TAILQ_REMOVE(&tellings, t, entry);
	free(t);
}

/* Its level and each subscription. */
static void
tell_one(const struct telling *t, const struct soft *s)
{
	const struct sub *b;
	struct k_soft m;

	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, s->nonce, ID_LEN);
	if ((m.level = s->level) != NULL)
		(void)peer_send(t->peer, t->level, 0, &def_k_soft, &m, -1);
	m.level = NULL;
	m.on = 1;
	LIST_FOREACH (b, &s->subs, entry) {
		m.backend = b->backend;
		m.uri = b->uri;
		(void)peer_send(t->peer, t->subscribe, 0, &def_k_soft, &m, -1);
	}
}

void
soft_greet(struct peer *worker)
{
	tell(worker, K_LEVEL, K_SUBSCRIBE);
}

void
soft_remind(struct peer *keeper)
{
	tell(keeper, K_REMIND, K_REMIND);
}

void
soft_reminded(const struct k_soft *m)
{
	if (*m->uri != '\0')
		soft_subscribe(m);
	else if (soft_levelof(m->nonce) == NULL)
		soft_level(m);
}

void
soft_gone(struct peer *p)
{
	struct telling *t, *next;
	struct soft *s;

	for (t = TAILQ_FIRST(&tellings); t != NULL; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (t->peer != p)
			continue;
		TAILQ_REMOVE(&tellings, t, entry);
		free(t);
	}
	TAILQ_FOREACH (s, &byuse, order)
		if (s->owner == p)
			s->owner = NULL;
}

void
soft_tick(void)
{
	struct telling *t, *tnext;
	struct soft *s, *next;
	uint64_t now = mono_msec();

	for (t = TAILQ_FIRST(&tellings); t != NULL; t = tnext) {
		tnext = TAILQ_NEXT(t, entry);
		tell_on(t);
	}
	for (s = TAILQ_FIRST(&byuse); s != NULL && now - s->used > IDLE_TIME;
	     s = next) {
		next = TAILQ_NEXT(s, order);
		if (s->owner != NULL)
			soft_use(s);
		else
			soft_free(s);
	}
}
