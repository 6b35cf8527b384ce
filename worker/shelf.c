/*
 * The keeper's shelf: every backend of every living generation, what it offers
 * to each class of clients, when it is to be asked again, and the catalog that
 * is made of it all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "backend.h"
#include "catalog.h"
#include "child.h"
#include "compat.h"
#include "keeper.h"
#include "lease.h"
#include "log.h"
#include "master.h"
#include "notify.h"
#include "probe.h"
#include "rpc.h"
#include "upstream.h"
#include "watch.h"

#define CLASSES      (DECLARE_LISTS + 1)
#define PROBE_TIME   60000 /* ms between looks at a backend that is up */
#define BACKOFF_MAX  60000
#define TROUBLE_TIME 1000 /* ms, least between looks after trouble */
#define RESOLVE_TIME 60000
#define PUBLISH_TIME 1000 /* ms, least between two catalogs */
#define PATIENCE     1000 /* ms until a silent backend is not waited for */
#define PATIENCE_UP  4000 /* one that answers other classes of clients */

struct shelf {
	TAILQ_ENTRY(shelf) entry;
	struct backend *b;
	uint32_t gens[MAX_GENS]; /* that have it; 0: free */
	int literal;
	int resolving; /* asked, not answered */
	struct {
		struct cat_entry entry;
		struct drops *drops; /* what it leaves out of that */
		struct probe *probe;
		uint64_t asked; /* ms: since when it is wanted; 0: it is not */
		int stale; /* its lists changed while it was asked */
		char *session; /* kept open to hear of changes */
		uint64_t again; /* ms: one more look in it; 0: none */
		struct watch *watch; /* its GET stream */
	} class[CLASSES];
	uint64_t next; /* ms: next look */
	uint64_t backoff;
	uint64_t probed;
	time_t seen; /* wall clock, 0 never */
};

static struct shelf *shelf_find(uint32_t);
static void shelf_probe(struct shelf *);
static void shelf_ask(struct shelf *, int);
static void shelf_probed(void *, struct cat_entry *, const char *);
static void shelf_failed(struct shelf *, int, const char *);
static void shelf_watch(struct shelf *, int, const char *);
static void shelf_unwatch(struct shelf *, int);
static void shelf_gone(void *);
static void shelf_heard(void *, const char *, size_t);
static uint64_t least(const struct shelf *);
static void shelf_soon(struct shelf *, uint64_t);
static void shelf_publish(void);
static void shelf_free(struct shelf *);
static int in_force(const struct shelf *);
static int all_asked(void);
static void shelf_silent(struct shelf *, uint64_t);

static TAILQ_HEAD(, shelf) shelves = TAILQ_HEAD_INITIALIZER(shelves);
static uint32_t current; /* generation in force */
static uint64_t version; /* of the catalog */
static int catalog = -1; /* the newest */
static uint32_t catalog_size;
static int dirty;
static int settled; /* the newest knows something of every backend */
static uint64_t published, resolved;

static struct shelf *
shelf_find(uint32_t backend)
{
	struct shelf *s;

	TAILQ_FOREACH (s, &shelves, entry)
		if (s->b->conf.id == backend)
			return s;
	return NULL;
}

void
shelf_add(uint32_t gen, struct conf_backend *conf)
{
	struct shelf *s = shelf_find(conf->id);
	int i;

	if (s == NULL) {
		s = xcalloc(1, sizeof(*s));
		s->b = backend_new(conf);
		s->literal = backend_ready(s->b);
		for (i = 0; i < CLASSES; i++) {
			s->class[i].entry.backend = s->b->conf.id;
			s->class[i].entry.class = i;
		}
		s->class[0].asked = mono_msec();
		TAILQ_INSERT_TAIL(&shelves, s, entry);
	}
	for (i = 0; i < MAX_GENS; i++)
		if (s->gens[i] == gen)
			return;
	for (i = 0; i < MAX_GENS; i++)
		if (s->gens[i] == 0) {
			s->gens[i] = gen;
			return;
		}
	fatalx("more than %d generations live", MAX_GENS);
}

static int
in_force(const struct shelf *s)
{
	int i;

	for (i = 0; i < MAX_GENS; i++)
		if (s->gens[i] == current)
			return 1;
	return 0;
}

void
shelf_commit(uint32_t gen)
{
	struct shelf *s;

	current = gen;
	shelf_resolve();
	TAILQ_FOREACH (s, &shelves, entry)
		if (in_force(s) && s->probed == 0 && backend_ready(s->b) &&
		    (s->b->conf.stdio == 0 || stdio_up()))
			shelf_probe(s);
	/* With no backend at all the empty catalog is the whole one. */
	settled = all_asked();
	dirty = 1;
	shelf_publish();
}

void
shelf_forget(uint32_t gen)
{
	struct shelf *s, *next;
	int i, left;

	for (s = TAILQ_FIRST(&shelves); s != NULL; s = next) {
		next = TAILQ_NEXT(s, entry);
		for (i = left = 0; i < MAX_GENS; i++) {
			if (s->gens[i] == gen)
				s->gens[i] = 0;
			left |= s->gens[i] != 0;
		}
		if (!left)
			shelf_free(s);
	}
}

static void
shelf_free(struct shelf *s)
{
	int i;

	for (i = 0; i < CLASSES; i++) {
		if (s->class[i].probe != NULL)
			probe_cancel(s->class[i].probe);
		shelf_unwatch(s, i);
		drops_free(s->class[i].drops);
		wire_free(&def_cat_entry, &s->class[i].entry);
	}
	TAILQ_REMOVE(&shelves, s, entry);
	notify_forget(s->b);
	upstream_forget(s->b);
	backend_free(s->b);
	free(s);
	dirty = 1;
}

void
shelf_unresolved(void)
{
	struct shelf *s;

	TAILQ_FOREACH (s, &shelves, entry)
		s->resolving = 0;
	shelf_resolve();
}

void
shelf_resolve(void)
{
	struct r_resolve r;
	struct shelf *s;

	resolved = mono_msec();
	TAILQ_FOREACH (s, &shelves, entry) {
		if (s->literal || s->resolving)
			continue;
		r.backend = s->b->conf.id;
		r.host = s->b->conf.host;
		r.port = s->b->conf.port;
		if (keeper_resolve(&r) == -1)
			return;
		s->resolving = 1;
	}
}

void
shelf_addrs(struct k_addrs *a)
{
	struct shelf *s = shelf_find(a->backend);
	int first;

	if (s == NULL)
		return;
	first = s->b->naddr == 0;
	s->resolving = 0;
	backend_addrs(s->b, a);
	keeper_all(K_ADDRS, &def_k_addrs, a, -1);
	if (s->b->naddr == 0)
		shelf_failed(s, 0, "has a host name without an address");
	else if (first)
		shelf_probe(s);
}

void
shelf_greet(struct peer *p)
{
	struct k_catalog m = {version, catalog_size};
	struct k_addr ka[BACKEND_ADDRS];
	struct k_addrs a;
	struct shelf *s;
	int fd;

	TAILQ_FOREACH (s, &shelves, entry) {
		if (s->literal || s->b->naddr == 0)
			continue;
		backend_export(s->b, &a, ka);
		(void)peer_send(p, K_ADDRS, 0, &def_k_addrs, &a, -1);
	}
	if (catalog == -1 || (fd = fcntl(catalog, F_DUPFD_CLOEXEC, 0)) == -1)
		return;
	if (peer_send(p, K_CATALOG, 0, &def_k_catalog, &m, fd) == -1)
		close(fd);
}

void
shelf_runner(void)
{
	struct shelf *s;
	int i;

	TAILQ_FOREACH (s, &shelves, entry) {
		if (s->b->conf.stdio == 0)
			continue;
		/* Sessions with the runner before are gone. */
		for (i = 0; i < CLASSES; i++)
			shelf_unwatch(s, i);
		if (in_force(s))
			shelf_probe(s);
	}
}

/* Every class that clients have asked for. */
static void
shelf_probe(struct shelf *s)
{
	int i;

	s->probed = mono_msec();
	/* A child says by itself that something is new. */
	s->next = s->b->conf.stdio != 0 ? 0 : s->probed + PROBE_TIME;
	for (i = 0; i < CLASSES; i++)
		if (s->class[i].asked != 0)
			shelf_ask(s, i);
}

static void
shelf_ask(struct shelf *s, int class)
{
	struct cat_entry *e = &s->class[class].entry;

	if (s->class[class].probe == NULL && backend_ready(s->b))
		s->class[class].probe = probe_start(
		    s->b, class, e, s->class[class].session, shelf_probed, e);
}

/* The session stays, and with it the stream that tells of changed lists. */
static void
shelf_watch(struct shelf *s, int class, const char *session)
{
	int own = s->b->conf.stdio > INSTANCE_SHARED;

	if (own && s->class[class].session != NULL) {
		/* Other children are clients' own: ours has done its work. */
		shelf_unwatch(s, class);
		return;
	}
	if (s->class[class].session != NULL || *session == '\0')
		return;
	s->class[class].session = xstrdup(session);
	/* A server that goes on registering tools after the handshake may
	 * have said so before anybody listened. */
	if (own) {
		s->class[class].again = mono_msec() + TROUBLE_TIME;
		return;
	}
	s->next = mono_msec() + TROUBLE_TIME;
	s->class[class].watch =
	    watch_start(s->b, session, s->class[class].entry.revision,
		shelf_heard, &s->class[class].entry);
	if (s->class[class].watch != NULL)
		watch_ongone(s->class[class].watch, shelf_gone);
}

static void
shelf_unwatch(struct shelf *s, int class)
{
	if (s->class[class].watch != NULL)
		watch_stop(s->class[class].watch);
	if (s->class[class].session != NULL)
		notify_post(s->b, "DELETE", s->class[class].session,
		    s->class[class].entry.revision, NULL, 0);
	free(s->class[class].session);
	s->class[class].session = NULL;
	s->class[class].watch = NULL;
	s->class[class].again = 0;
}

/* The backend has forgotten the session: it was started anew, most likely, and
 * may offer something else. What has never been a stream tells nothing. */
static void
shelf_gone(void *arg)
{
	struct cat_entry *e = arg;

	if (watch_opened(shelf_find(e->backend)->class[e->class].watch))
		shelf_lists(e->backend);
}

static void
shelf_heard(void *arg, const char *json, size_t len)
{
	struct cat_entry *e = arg;
	struct shelf *s = shelf_find(e->backend);
	struct rpc r;
	const char *why;
	int code;

	switch (rpc_scan(&r, json, len, &code, &why)) {
	case RPC_NOTIFICATION:
		if (strstr(r.method, "/list_changed") != NULL)
			break;
		return;
	case RPC_REQUEST:
		return;
	default:
		s->b->dropped++;
		return;
	}
	if (s->class[e->class].probe != NULL)
		s->class[e->class].stale = 1;
	else
		shelf_lists(e->backend);
}

static void
shelf_probed(void *arg, struct cat_entry *e, const char *why)
{
	struct cat_entry *old = arg;
	struct shelf *s = shelf_find(old->backend);
	int class = old->class;
	struct probe *p = s->class[class].probe;

	s->class[class].probe = NULL;
	if (e == NULL) {
		/* With the session that was kept open: once more without. */
		if (s->class[class].session != NULL) {
			shelf_unwatch(s, class);
			shelf_ask(s, class);
		} else
			shelf_failed(s, class, why);
		return;
	}
	if (old->state != CAT_UP)
		log_info("backend %s is up: %s, %u tools", s->b->conf.name,
		    e->revision ? e->revision : "", e->list[CAT_TOOLS].n);
	s->seen = time(NULL);
	s->backoff = 0;
	if (!catalog_same(old, e))
		dirty = 1;
	wire_free(&def_cat_entry, old);
	memcpy(old, e, sizeof(*e));
	memset(e, 0, sizeof(*e));
	drops_free(s->class[class].drops);
	s->class[class].drops = probe_drops(p);
	shelf_watch(s, class, probe_session(p));
	if (s->class[class].stale) {
		s->class[class].stale = 0;
		shelf_lists(s->b->conf.id);
	}
	shelf_publish();
}

/* Its last lists stay; it is asked again, ever less often. */
static void
shelf_failed(struct shelf *s, int class, const char *why)
{
	struct cat_entry *e = &s->class[class].entry;

	if (e->state == CAT_UP || e->why == NULL || strcmp(e->why, why) != 0) {
		log_warnx(
		    "backend %s (%s) %s", s->b->conf.name, s->b->conf.url, why);
		dirty = 1;
	}
	if (e->state == CAT_UP)
		e->state = CAT_DOWN;
	free(e->why);
	e->why = xstrdup(why);
	s->backoff = s->backoff == 0 ? 1000 : s->backoff * 2;
	if (s->backoff > BACKOFF_MAX)
		s->backoff = BACKOFF_MAX;
	s->next = mono_msec() + s->backoff;
	shelf_publish();
}

void
shelf_trouble(uint32_t backend, int unreachable)
{
	struct shelf *s = shelf_find(backend);

	if (s == NULL)
		return;
	if (unreachable && !s->literal && mono_msec() - resolved > 1000)
		shelf_resolve();
	if (mono_msec() - s->probed >= least(s))
		shelf_probe(s);
}

void
shelf_count(const struct k_count *m)
{
	struct shelf *s = shelf_find(m->backend);

	if (s == NULL)
		return;
	s->b->failures += m->failures;
	s->b->dropped += m->dropped;
	if (m->failures > 0 && m->when >= s->b->failed)
		backend_failed(s->b, m->why, m->when);
}

/* ms between looks that others cause. Where a child is a client's own it speaks
 * of itself, and each look starts another. */
static uint64_t
least(const struct shelf *s)
{
	return s->b->conf.stdio > INSTANCE_SHARED ? PROBE_TIME : TROUBLE_TIME;
}

/* Not twice in so many ms. */
static void
shelf_soon(struct shelf *s, uint64_t ms)
{
	if (mono_msec() - s->probed >= ms)
		shelf_probe(s);
	else if (s->next == 0 || s->next > s->probed + ms)
		s->next = s->probed + ms;
}

void
shelf_lists(uint32_t backend)
{
	struct shelf *s = shelf_find(backend);

	if (s != NULL)
		shelf_soon(s, least(s));
}

void
shelf_look(uint32_t backend)
{
	struct shelf *s = shelf_find(backend);

	if (s != NULL)
		shelf_soon(s, TROUBLE_TIME);
}

uint64_t
shelf_version(void)
{
	return version;
}

struct backend *
shelf_backend(uint32_t id, uint32_t cap)
{
	struct shelf *s = shelf_find(id);
	int i;

	for (i = 0; s != NULL && i < CLASSES; i++)
		if (s->class[i].entry.caps & cap)
			return s->b;
	return NULL;
}

uint64_t
shelf_opening(uint32_t id)
{
	const struct shelf *s = shelf_find(id);

	return s == NULL ? 0 : s->b->conf.opening * 1000ull;
}

/* A class as each backend would see it, after what may be declared to it. */
void
shelf_class(uint8_t class)
{
	struct shelf *s;
	int c;

	TAILQ_FOREACH (s, &shelves, entry) {
		c = class & s->b->conf.declare & (CLASSES - 1);
		if (s->class[c].asked != 0)
			continue;
		s->class[c].asked = mono_msec();
		shelf_ask(s, c);
	}
}

static int
all_asked(void)
{
	struct shelf *s;

	TAILQ_FOREACH (s, &shelves, entry)
		if (s->class[0].entry.state == CAT_NEVER &&
		    s->class[0].entry.why == NULL)
			return 0;
	return 1;
}

/* At most one catalog a second, once each backend has been heard of or given
 * up; the tick sends what had to wait. */
static void
shelf_publish(void)
{
	struct cat_entry *all;
	struct k_catalog m;
	struct shelf *s;
	size_t n = 0;
	int i, fd;

	if (!dirty || (published != 0 &&
			  mono_msec() - published < PUBLISH_TIME && settled))
		return;
	TAILQ_FOREACH (s, &shelves, entry)
		n += CLASSES;
	if ((all = calloc(n + 1, sizeof(*all))) == NULL)
		return;
	n = 0;
	TAILQ_FOREACH (s, &shelves, entry)
		for (i = 0; i < CLASSES; i++)
			if (i == 0 || s->class[i].entry.why != NULL ||
			    s->class[i].entry.state != CAT_NEVER)
				all[n++] = s->class[i].entry;
	fd = catalog_write(all, n, &catalog_size);
	free(all);
	if (fd == -1) {
		log_warn("catalog");
		return;
	}
	if (catalog != -1)
		close(catalog);
	catalog = fd;
	dirty = 0;
	settled = all_asked();
	published = mono_msec();
	m.version = ++version;
	m.size = catalog_size;
	keeper_all(K_CATALOG, &def_k_catalog, &m, fd);
}

/* Nobody waits for a backend that takes its time: what it offers comes with a
 * later catalog. */
static void
shelf_silent(struct shelf *s, uint64_t now)
{
	uint64_t ms =
	    s->class[0].entry.state == CAT_UP ? PATIENCE_UP : PATIENCE;
	struct cat_entry *e;
	int i;

	for (i = 0; i < CLASSES; i++) {
		e = &s->class[i].entry;
		if (s->class[i].asked != 0 && e->state == CAT_NEVER &&
		    e->why == NULL && now - s->class[i].asked >= ms) {
			e->why = xstrdup("has not answered yet");
			dirty = 1;
		}
	}
}

void
shelf_tick(void)
{
	uint64_t now = mono_msec();
	struct shelf *s;
	int i;

	if (now - resolved >= RESOLVE_TIME)
		shelf_resolve();
	TAILQ_FOREACH (s, &shelves, entry) {
		upstream_expire(s->b);
		if (s->next != 0 && now >= s->next && backend_ready(s->b))
			shelf_probe(s);
		for (i = 0; i < CLASSES; i++)
			if (s->class[i].again != 0 && now >= s->class[i].again)
				shelf_ask(s, i);
		shelf_silent(s, now);
	}
	shelf_publish();
}

void
keeper_close(uint32_t backend, const char *session, const char *revision)
{
	struct shelf *s = shelf_find(backend);

	if (s != NULL)
		notify_post(s->b, "DELETE", session, revision, NULL, 0);
}

const char *
shelf_name(uint32_t backend)
{
	struct shelf *s = shelf_find(backend);

	return s == NULL ? "" : s->b->conf.name;
}

int
shelf_known(const char *name)
{
	struct shelf *s;

	TAILQ_FOREACH (s, &shelves, entry)
		if (in_force(s) && strcmp(s->b->conf.name, name) == 0)
			return 1;
	return 0;
}

int
shelf_each(size_t i, struct shelf_offer *o)
{
	const struct shelf *s;

	TAILQ_FOREACH (s, &shelves, entry)
		if (in_force(s) && i-- == 0)
			return shelf_offer(s->b->conf.id, o);
	return -1;
}

int
shelf_offer(uint32_t backend, struct shelf_offer *o)
{
	struct shelf *s = shelf_find(backend);

	if (s == NULL)
		return -1;
	o->seen = s->seen;
	o->backend = s->b;
	o->entry = &s->class[0].entry;
	o->drops = s->class[0].drops;
	return 0;
}
