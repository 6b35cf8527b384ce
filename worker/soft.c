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
#define IDLE_TIME   (24 * 3600 * 1000ull) /* ms without a stream */

struct sub {
	LIST_ENTRY(sub) entry;
	uint32_t backend;
	char *uri;
};

struct soft {
	LIST_ENTRY(soft) entry;
	uint8_t nonce[ID_LEN];
	struct peer *owner;
	uint64_t stream;
	uint64_t used;
	char *level;
	LIST_HEAD(, sub) subs;
};

static struct soft *soft_find(const uint8_t *);
static struct soft *soft_get(const uint8_t *);
static struct sub *sub_find(
    const struct soft *, uint32_t, const char *, size_t *);
static void tell(struct peer *, uint32_t, uint32_t);
static void soft_free(struct soft *);
static size_t hash(const uint8_t *);

static LIST_HEAD(, soft) table[BUCKETS];
static size_t nsoft;

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
		if (nsoft >= MAX_ENTRIES || (s = calloc(1, sizeof(*s))) == NULL)
			return NULL;
		memcpy(s->nonce, nonce, ID_LEN);
		LIST_INIT(&s->subs);
		LIST_INSERT_HEAD(&table[hash(nonce)], s, entry);
		nsoft++;
	}
	s->used = mono_msec();
	return s;
}

void
soft_claim(struct peer *p, const struct k_claim *m)
{
	struct soft *s = soft_get(m->nonce);
	struct k_claim old;

	if (s == NULL)
		return;
	if (s->owner != NULL && (s->owner != p || s->stream != m->stream)) {
		memcpy(old.nonce, s->nonce, ID_LEN);
		old.stream = s->stream;
		(void)peer_send(s->owner, K_RELEASE, 0, &def_k_claim, &old, -1);
	}
	s->owner = p;
	s->stream = m->stream;
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
	size_t n;

	return s == NULL || sub_find(s, backend, uri, &n) != NULL ||
	       n < SOFT_URIS;
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
		s->used = mono_msec();
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
	if (b != NULL && !m->on) {
		LIST_REMOVE(b, entry);
		free(b->uri);
		free(b);
	} else if (b == NULL && m->on && n < SOFT_URIS) {
		if ((b = calloc(1, sizeof(*b))) == NULL ||
		    (b->uri = strdup(m->uri)) == NULL) {
			free(b);
			return;
		}
		b->backend = m->backend;
		LIST_INSERT_HEAD(&s->subs, b, entry);
	}
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
	struct soft *s;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		LIST_FOREACH (s, &table[i], entry)
			cb(arg, s->nonce, s->used);
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

	while ((b = LIST_FIRST(&s->subs)) != NULL) {
		LIST_REMOVE(b, entry);
		free(b->uri);
		free(b);
	}
	LIST_REMOVE(s, entry);
	nsoft--;
	free(s->level);
	free(s);
}

/* Each level and each subscription, as far as the peer takes them. */
static void
tell(struct peer *p, uint32_t level, uint32_t subscribe)
{
	struct k_soft m;
	struct soft *s;
	struct sub *b;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		LIST_FOREACH (s, &table[i], entry) {
			if (peer_queued(p) > PEER_QUEUE_MAX / 2)
				return;
			memset(&m, 0, sizeof(m));
			memcpy(m.nonce, s->nonce, ID_LEN);
			if ((m.level = s->level) != NULL)
				(void)peer_send(
				    p, level, 0, &def_k_soft, &m, -1);
			m.level = NULL;
			m.on = 1;
			LIST_FOREACH (b, &s->subs, entry) {
				m.backend = b->backend;
				m.uri = b->uri;
				(void)peer_send(
				    p, subscribe, 0, &def_k_soft, &m, -1);
			}
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
	struct soft *s;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		LIST_FOREACH (s, &table[i], entry)
			if (s->owner == p)
				s->owner = NULL;
}

void
soft_tick(void)
{
	static size_t at; /* a part of the table each time */
	struct soft *s, *next;
	uint64_t now = mono_msec();
	size_t n;

	for (n = 0; n < BUCKETS / 64; n++, at = (at + 1) % BUCKETS)
		for (s = LIST_FIRST(&table[at]); s != NULL; s = next) {
			next = LIST_NEXT(s, entry);
			if (s->owner != NULL)
				s->used = now;
			else if (now - s->used > IDLE_TIME)
				soft_free(s);
		}
}
