/*
 * Upstream sessions, the worker's side. One `making` per (nonce, backend) at a
 * time, however many calls wait for it.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "askid.h"
#include "catalog.h"
#include "compat.h"
#include "handshake.h"
#include "keeperc.h"
#include "lease.h"
#include "log.h"
#include "notify.h"
#include "oldsse.h"
#include "soft.h"
#include "upsession.h"

#define CACHE_SIZE 8192 /* entries, a power of two */
#define PROBES     8
#define TELL_TIME  300000 /* ms between signs of use to the keeper */

struct upwait {
	TAILQ_ENTRY(upwait) entry;
	struct making *making;
	upsession_cb cb;
	void *arg;
};

struct making {
	TAILQ_ENTRY(making) entry;
	uint32_t id;
	struct backend *backend;
	struct k_lease lease;
	char *subject; /* whose session it is; NULL: nobody's */
	struct handshake *hs;
	TAILQ_HEAD(, upwait) waits;
	int leased; /* by the keeper, which must hear how it ended */
	char *level; /* to be set on the new session */
	struct strv uris; /* to be subscribed to on it */
	int restoring; /* requests under way for that */
	struct strv missed; /* messages to say when it is made */
	uint64_t begun; /* ms */
};

static struct upsession *slot(const uint8_t *, uint32_t, int);
static int upsession_store(const struct k_lease *, const char *, const char *);
static void upsession_clear(struct upsession *);
static int upsession_tell(const struct upsession *);
static void making_recall(struct making *);
static void making_start(struct making *);
static void making_made(void *, const struct handshake_result *);
static void making_finish(struct making *, const char *);
static void making_restore(struct making *);
static void making_tell(struct making *, struct json_buf *);
static void making_restored(void *);
static void making_missed(struct making *);
static int has_logging(uint32_t, uint8_t);
static void old_made(void *, const struct upsession *, const char *);
static void put_id(struct json_buf *);
static void put_level(struct json_buf *, const char *);
static void put_subscribe(struct json_buf *, const char *, int);
static void put_soft(struct json_buf *, uint32_t, const struct k_soft *);
static struct making *making_find(const uint8_t *, uint32_t);

static struct upsession *cache;
static TAILQ_HEAD(, making) makings = TAILQ_HEAD_INITIALIZER(makings);
static uint32_t next_id;

/* Where the entry is, or (make) may be put: the nonce is random, its first
 * bytes are the hash. With all probes taken the first is given up. */
static struct upsession *
slot(const uint8_t *nonce, uint32_t backend, int make)
{
	struct upsession *s, *freed = NULL;
	uint32_t h, i;

	if (cache == NULL) {
		if (!make)
			return NULL;
		if ((cache = calloc(CACHE_SIZE, sizeof(*cache))) == NULL)
			return NULL;
	}
	memcpy(&h, nonce, sizeof(h));
	h += backend * 2654435761u;
	for (i = 0; i < PROBES; i++) {
		s = &cache[(h + i) % CACHE_SIZE];
		if (s->session == NULL) {
			if (freed == NULL)
				freed = s;
		} else if (s->backend == backend &&
			   memcmp(s->nonce, nonce, ID_LEN) == 0)
			return s;
	}
	if (!make)
		return NULL;
	if (freed == NULL) {
		freed = &cache[h % CACHE_SIZE];
		upsession_clear(freed);
	}
	return freed;
}

static void
upsession_clear(struct upsession *s)
{
	if (s->session != NULL && oldsse_is(s->session))
		oldsse_close(s->session);
	free(s->session);
	free(s->revision);
	memset(s, 0, sizeof(*s));
}

static int
upsession_store(
    const struct k_lease *l, const char *session, const char *revision)
{
	struct upsession *s = slot(l->nonce, l->backend, 1);

	if (s == NULL)
		return -1;
	upsession_clear(s);
	s->session = strdup(session);
	s->revision = strdup(revision);
	if (s->session == NULL || s->revision == NULL) {
		upsession_clear(s);
		return -1;
	}
	memcpy(s->nonce, l->nonce, ID_LEN);
	s->backend = l->backend;
	s->class = l->class;
	s->told = mono_msec();
	return 0;
}

const struct upsession *
upsession_cached(const uint8_t nonce[ID_LEN], uint32_t backend)
{
	struct upsession *s = slot(nonce, backend, 0);
	uint64_t now = mono_msec();

	if (s != NULL && now - s->told >= TELL_TIME) {
		s->told = now;
		upsession_tell(s);
	}
	return s;
}

void
upsession_used(const uint8_t nonce[ID_LEN], const struct backend *b,
    uint8_t class, const char *session, const char *revision, uint64_t *last)
{
	struct upsession s;
	uint64_t now = mono_msec();

	if (now - *last < TELL_TIME)
		return;
	*last = now;
	memset(&s, 0, sizeof(s));
	memcpy(s.nonce, nonce, ID_LEN);
	s.backend = b->conf.id;
	s.class = class;
	s.session = (char *)(uintptr_t)session;
	s.revision = (char *)(uintptr_t)revision;
	(void)upsession_tell(&s);
}

/* The keeper closes what nobody has used for long. */
static int
upsession_tell(const struct upsession *s)
{
	struct k_lease l;

	memset(&l, 0, sizeof(l));
	memcpy(l.nonce, s->nonce, ID_LEN);
	l.backend = s->backend;
	l.class = s->class;
	l.session = s->session;
	l.revision = s->revision;
	return keeperc_put(&l);
}

static struct making *
making_find(const uint8_t *nonce, uint32_t backend)
{
	struct making *m;

	TAILQ_FOREACH (m, &makings, entry)
		if (m->lease.backend == backend &&
		    memcmp(m->lease.nonce, nonce, ID_LEN) == 0)
			return m;
	return NULL;
}

struct upwait *
upsession_get(const uint8_t nonce[ID_LEN], struct backend *b, uint8_t class,
    const char *subject, const char *stale, upsession_cb cb, void *arg)
{
	struct upsession *s;
	struct making *m;
	struct upwait *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->cb = cb;
	w->arg = arg;
	if ((m = making_find(nonce, b->conf.id)) == NULL) {
		if ((m = calloc(1, sizeof(*m))) == NULL) {
			free(w);
			return NULL;
		}
		TAILQ_INIT(&m->waits);
		m->id = ++next_id;
		m->begun = mono_msec();
		m->backend = b;
		m->lease.backend = b->conf.id;
		m->lease.class = class;
		memcpy(m->lease.nonce, nonce, ID_LEN);
		if (subject != NULL)
			m->subject = strdup(subject);
		if (stale != NULL)
			m->lease.stale = strdup(stale);
		TAILQ_INSERT_TAIL(&makings, m, entry);
		if ((s = slot(nonce, b->conf.id, 0)) != NULL && stale != NULL &&
		    strcmp(s->session, stale) == 0)
			upsession_clear(s);
		if (keeperc_lease(m->id, &m->lease) == -1) {
			making_recall(m);
			making_start(m);
		}
	}
	w->making = m;
	TAILQ_INSERT_TAIL(&m->waits, w, entry);
	return w;
}

void
upsession_cancel(struct upwait *w)
{
	TAILQ_REMOVE(&w->making->waits, w, entry);
	free(w);
}

/* As the keeper would say with a lease. */
static void
making_recall(struct making *m)
{
	struct k_session k;
	uint32_t i;

	memset(&k, 0, sizeof(k));
	soft_fill(m->lease.nonce, m->lease.backend, &k);
	if (k.level != NULL)
		m->level = strdup(k.level);
	for (i = 0; i < k.uris.n; i++)
		(void)strv_add(&m->uris, k.uris.v[i]);
	free(k.uris.v);
}

static void
making_start(struct making *m)
{
	m->hs = handshake_start(m->backend, m->lease.class, m->lease.nonce,
	    m->subject, making_made, m);
	if (m->hs == NULL)
		fatalx("out of memory");
}

static void
making_made(void *arg, const struct handshake_result *r)
{
	struct making *m = arg;

	m->hs = NULL;
	if (r->error != NULL) {
		if (m->leased)
			(void)keeperc_fail(&m->lease);
		(void)keeperc_trouble(
		    m->backend->conf.id, r->kind == HS_DOWN, r->error);
		making_finish(m, r->error);
		return;
	}
	m->lease.session = strdup(r->session);
	m->lease.revision = strdup(r->revision);
	if (m->lease.session == NULL || m->lease.revision == NULL) {
		if (m->leased)
			(void)keeperc_fail(&m->lease);
		making_finish(m, "out of memory");
		return;
	}
	making_restore(m);
}

/* What the client had said to the session before is said to the new one. */
static void
making_restore(struct making *m)
{
	struct json_buf b = {0};
	uint32_t i;

	m->restoring = 1;
	if (m->level != NULL && *m->level != '\0' &&
	    has_logging(m->lease.backend, m->lease.class)) {
		put_level(&b, m->level);
		making_tell(m, &b);
	}
	for (i = 0; i < m->uris.n; i++) {
		put_subscribe(&b, m->uris.v[i], 1);
		making_tell(m, &b);
	}
	making_restored(m);
}

static void
put_id(struct json_buf *b)
{
	char id[ASKID_LEN];

	askid(id);
	json_puts(b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_putstr(b, id);
}

static void
put_level(struct json_buf *b, const char *level)
{
	put_id(b);
	json_puts(b, ",\"method\":\"logging/setLevel\",\"params\":{\"level\":");
	json_putstr(b, level);
	json_puts(b, "}}");
}

static void
put_subscribe(struct json_buf *b, const char *uri, int on)
{
	put_id(b);
	json_puts(b, ",\"method\":\"resources/");
	json_puts(b, on ? "subscribe" : "unsubscribe");
	json_puts(b, "\",\"params\":{\"uri\":");
	json_putstr(b, uri);
	json_puts(b, "}}");
}

static void
making_tell(struct making *m, struct json_buf *b)
{
	size_t len;
	char *body = json_buf_take(b, &len);

	memset(b, 0, sizeof(*b));
	if (body != NULL &&
	    notify_ask(m->backend, "POST", m->lease.session, m->lease.revision,
		body, len, making_restored, m) == 0)
		m->restoring++;
}

static void
making_restored(void *arg)
{
	struct making *m = arg;

	if (--m->restoring > 0)
		return;
	if (upsession_store(&m->lease, m->lease.session, m->lease.revision) ==
	    -1) {
		making_finish(m, "out of memory");
		return;
	}
	(void)keeperc_put(&m->lease);
	making_missed(m);
	making_finish(m, NULL);
}

static void
making_missed(struct making *m)
{
	uint32_t i;
	char *body;

	for (i = 0; i < m->missed.n; i++)
		if ((body = strdup(m->missed.v[i])) != NULL)
			notify_post(m->backend, "POST", m->lease.session,
			    m->lease.revision, body, strlen(body));
}

static int
has_logging(uint32_t backend, uint8_t class)
{
	const struct cat_entry *e;
	int exact;

	e = catalog_find(backend, class, &exact);
	return e != NULL && (e->caps & CAP_LOGGING);
}

static void
making_finish(struct making *m, const char *why)
{
	const struct upsession *s = NULL;
	struct upwait *w;

	TAILQ_REMOVE(&makings, m, entry);
	while ((w = TAILQ_FIRST(&m->waits)) != NULL) {
		TAILQ_REMOVE(&m->waits, w, entry);
		if (why == NULL)
			s = slot(m->lease.nonce, m->lease.backend, 0);
		w->cb(w->arg, s, why);
		free(w);
	}
	wire_free(&def_k_lease, &m->lease);
	free(m->level);
	free(m->subject);
	strv_free(&m->uris);
	strv_free(&m->missed);
	free(m);
}

void
upsession_answer(uint32_t id, struct k_session *k)
{
	struct making *m;

	TAILQ_FOREACH (m, &makings, entry)
		if (m->id == id && m->hs == NULL && m->restoring == 0)
			break;
	if (m == NULL)
		return;
	if (k->leased) {
		m->leased = 1;
		m->level = k->level;
		k->level = NULL;
		m->uris = k->uris;
		memset(&k->uris, 0, sizeof(k->uris));
		making_start(m);
	} else if (k->failed)
		making_finish(m, "could not be started a session with");
	else if (upsession_store(&m->lease, k->session, k->revision) == -1)
		making_finish(m, "out of memory");
	else
		making_finish(m, NULL);
}

/* Leases asked for are not answered any more: make them here. Two workers may
 * then make one each; the first PUT stays and both work. */
void
upsession_keeper_gone(void)
{
	struct making *m;

	TAILQ_FOREACH (m, &makings, entry) {
		m->leased = 0;
		if (m->hs == NULL && m->restoring == 0) {
			making_recall(m);
			making_start(m);
		}
	}
}

/* An answer of the keeper may have been lost; nobody waits for ever. The lease
 * may have been passed on, once. */
void
upsession_tick(void)
{
	struct making *m, *next;
	uint64_t now = mono_msec(), limit;

	for (m = TAILQ_FIRST(&makings); m != NULL; m = next) {
		next = TAILQ_NEXT(m, entry);
		limit = m->backend->conf.opening * 1000ull + LEASE_SLACK;
		if (m->hs == NULL && m->restoring == 0 &&
		    now - m->begun >= 2 * limit)
			making_finish(m, "could not be started a session with");
	}
}

void
upsession_reput(void)
{
	size_t i;

	for (i = 0; cache != NULL && i < CACHE_SIZE; i++) {
		if (cache[i].session != NULL && upsession_tell(&cache[i]) == -1)
			return;
	}
}

void
upsession_end(const uint8_t nonce[ID_LEN])
{
	size_t i;

	for (i = 0; cache != NULL && i < CACHE_SIZE; i++)
		if (cache[i].session != NULL &&
		    memcmp(cache[i].nonce, nonce, ID_LEN) == 0)
			upsession_clear(&cache[i]);
}

/* ---- sessions that live in this worker only (oldsse.c) ---- */

static void
old_made(void *arg, const struct upsession *s, const char *why)
{
	(void)arg;
	(void)s;
	(void)why;
}

const struct upsession *
upsession_old(const uint8_t nonce[ID_LEN], struct backend *b, uint8_t class)
{
	struct upsession *s = slot(nonce, b->conf.id, 0);

	if (s != NULL && oldsse_alive(s->session))
		return s;
	if (making_find(nonce, b->conf.id) == NULL)
		(void)upsession_get(nonce, b, class, NULL,
		    s ? s->session : NULL, old_made, NULL);
	return NULL;
}

static void
put_soft(struct json_buf *b, uint32_t type, const struct k_soft *m)
{
	if (type == K_LEVEL)
		put_level(b, m->level);
	else if (type == K_SUBSCRIBE)
		put_subscribe(b, m->uri, m->on);
	else
		json_puts(b, "{\"jsonrpc\":\"2.0\",\"method\":"
			     "\"notifications/roots/list_changed\"}");
}

void
upsession_soft(uint32_t type, const struct k_soft *m)
{
	struct upsession *s;
	struct making *making;
	struct json_buf b;
	struct backend *be;
	size_t i, len;
	char *body;

	TAILQ_FOREACH (making, &makings, entry) {
		if (memcmp(making->lease.nonce, m->nonce, ID_LEN) != 0 ||
		    (type == K_SUBSCRIBE &&
			making->lease.backend != m->backend) ||
		    (type == K_LEVEL && !has_logging(making->lease.backend,
					    making->lease.class)))
			continue;
		memset(&b, 0, sizeof(b));
		put_soft(&b, type, m);
		json_put(&b, "", 1);
		if (!b.err)
			(void)strv_add(&making->missed, b.p);
		json_buf_free(&b);
	}
	for (i = 0; cache != NULL && i < CACHE_SIZE; i++) {
		s = &cache[i];
		if (s->session == NULL || !oldsse_is(s->session) ||
		    memcmp(s->nonce, m->nonce, ID_LEN) != 0 ||
		    (type == K_SUBSCRIBE && s->backend != m->backend) ||
		    (type == K_LEVEL && !has_logging(s->backend, s->class)) ||
		    (be = worker_backend(s->backend)) == NULL)
			continue;
		memset(&b, 0, sizeof(b));
		put_soft(&b, type, m);
		if ((body = json_buf_take(&b, &len)) != NULL)
			notify_post(
			    be, "POST", s->session, s->revision, body, len);
	}
}
