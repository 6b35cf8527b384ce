/*
 * Resources that answers of backends have named (resource_link) and no list
 * has: the keeper's memory, by client session. The first to name one has it.
 */
#include <sys/queue.h>

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "whose.h"

#define BUCKETS     4096
#define MAX_LINKS   16384
#define MAX_SESSION 256 /* of one session */
#define KEEP_TIME   (24 * 3600 * 1000ull) /* ms */

struct link {
	TAILQ_ENTRY(link) age;
	LIST_ENTRY(link) hash;
	uint8_t nonce[ID_LEN];
	uint32_t backend;
	uint64_t named; /* ms */
	char *uri;
};

/* Somebody waits for an answer. */
struct asked {
	TAILQ_ENTRY(asked) entry;
	struct peer *peer;
	uint32_t id;
	uint8_t nonce[ID_LEN];
	char *uri;
};

static struct link *link_find(const uint8_t *, const char *);
static size_t hash(const uint8_t *);
static void link_free(struct link *);
static void asked_free(struct asked *);
static void answer(evutil_socket_t, short, void *);

static LIST_HEAD(, link) table[BUCKETS];
static TAILQ_HEAD(links, link) links = TAILQ_HEAD_INITIALIZER(links);
static TAILQ_HEAD(, asked) asked = TAILQ_HEAD_INITIALIZER(asked);
static size_t nlinks;
static struct event *soon;

static size_t
hash(const uint8_t *nonce)
{
	return (nonce[0] | nonce[1] << 8) % BUCKETS;
}

static struct link *
link_find(const uint8_t *nonce, const char *uri)
{
	struct link *l;

	LIST_FOREACH (l, &table[hash(nonce)], hash)
		if (memcmp(l->nonce, nonce, ID_LEN) == 0 &&
		    strcmp(l->uri, uri) == 0)
			return l;
	return NULL;
}

static void
link_free(struct link *l)
{
	TAILQ_REMOVE(&links, l, age);
	LIST_REMOVE(l, hash);
	nlinks--;
	free(l->uri);
	free(l);
}

/* The oldest of the session, or of all, makes room. */
void
whose_named(const struct k_soft *m)
{
	struct link *l, *oldest = NULL;
	size_t n = 0;

	if (link_find(m->nonce, m->uri) != NULL)
		return;
	LIST_FOREACH (l, &table[hash(m->nonce)], hash)
		if (memcmp(l->nonce, m->nonce, ID_LEN) == 0) {
			oldest = l;
			n++;
		}
	if (n >= MAX_SESSION)
		link_free(oldest);
	else if (nlinks >= MAX_LINKS)
		link_free(TAILQ_FIRST(&links));
	if ((l = calloc(1, sizeof(*l))) == NULL ||
	    (l->uri = strdup(m->uri)) == NULL) {
		free(l);
		return;
	}
	memcpy(l->nonce, m->nonce, ID_LEN);
	l->backend = m->backend;
	l->named = mono_msec();
	TAILQ_INSERT_TAIL(&links, l, age);
	LIST_INSERT_HEAD(&table[hash(l->nonce)], l, hash);
	nlinks++;
}

/*
 * Answered in the next turn of the loop: the worker that has seen the link
 * wrote to us before its client could know of it, but to another socket, which
 * this turn may come to later.
 */
void
whose_ask(struct peer *p, uint32_t id, const struct k_soft *m)
{
	struct timeval now = {0, 0};
	struct asked *a;

	if (soon == NULL &&
	    (soon = event_new(peer_base(), -1, 0, answer, NULL)) == NULL)
		return;
	if ((a = calloc(1, sizeof(*a))) == NULL ||
	    (a->uri = strdup(m->uri)) == NULL) {
		free(a);
		return;
	}
	a->peer = p;
	a->id = id;
	memcpy(a->nonce, m->nonce, ID_LEN);
	TAILQ_INSERT_TAIL(&asked, a, entry);
	event_add(soon, &now);
}

static void
answer(evutil_socket_t fd, short what, void *arg)
{
	struct k_soft m;
	struct asked *a;
	struct link *l;

	(void)fd;
	(void)what;
	(void)arg;
	while ((a = TAILQ_FIRST(&asked)) != NULL) {
		memset(&m, 0, sizeof(m));
		memcpy(m.nonce, a->nonce, ID_LEN);
		if ((l = link_find(a->nonce, a->uri)) != NULL)
			m.backend = l->backend;
		(void)peer_send(a->peer, K_OWNER, a->id, &def_k_soft, &m, -1);
		asked_free(a);
	}
}

static void
asked_free(struct asked *a)
{
	TAILQ_REMOVE(&asked, a, entry);
	free(a->uri);
	free(a);
}

void
whose_end(const uint8_t nonce[ID_LEN])
{
	struct link *l, *next;

	for (l = LIST_FIRST(&table[hash(nonce)]); l != NULL; l = next) {
		next = LIST_NEXT(l, hash);
		if (memcmp(l->nonce, nonce, ID_LEN) == 0)
			link_free(l);
	}
}

void
whose_gone(struct peer *p)
{
	struct asked *a, *next;

	for (a = TAILQ_FIRST(&asked); a != NULL; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (a->peer == p)
			asked_free(a);
	}
}

void
whose_tick(void)
{
	struct link *l;

	while ((l = TAILQ_FIRST(&links)) != NULL &&
	       mono_msec() - l->named > KEEP_TIME)
		link_free(l);
}
