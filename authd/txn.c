/*
 * Sign-ins under way and browsers that have signed in, in RAM: bounded, ten
 * minutes each, known by digests of the browser's cookie under a key of this
 * start.
 *
 * Anybody can begin a sign-in, so each address has room for some, and where all
 * the room is used the address with most has to give; but no one that a person
 * has signed in to, as long as there are others. Loopback stands for all of a
 * proxy's clients and is an address only where all the room is used.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"

#define BUCKETS      4096
#define BROWSERS_MAX 10000

/* An address with sign-ins under way, in the list of those with as many open. */
struct origin {
	TAILQ_ENTRY(origin) rank;
	LIST_ENTRY(origin) chain;
	TAILQ_HEAD(, txn) open, signedin; /* oldest first */
	size_t nopen, nsignedin;
	uint8_t id[DIGEST_SIZE];
	int loopback;
};

struct browser {
	TAILQ_ENTRY(browser) age;
	LIST_ENTRY(browser) chain;
	uint8_t id[DIGEST_SIZE];
	uint64_t born;
	char *user;
};

static TAILQ_HEAD(, txn) txns = TAILQ_HEAD_INITIALIZER(txns);
static LIST_HEAD(, txn) txn_buckets[BUCKETS];
static size_t ntxns, nbytes;
static TAILQ_HEAD(rank, origin) ranks[TXN_ADDR + 1]; /* by nopen, or more */
static LIST_HEAD(, origin) origin_buckets[BUCKETS];
static TAILQ_HEAD(, browser) browsers = TAILQ_HEAD_INITIALIZER(browsers);
static LIST_HEAD(, browser) browser_buckets[BUCKETS];
static size_t nbrowsers;
static uint8_t boot_key[32];

static void browser_id(uint8_t[DIGEST_SIZE], const char *);
static struct browser *browser_find(const uint8_t[DIGEST_SIZE]);
static void browser_drop(struct browser *);

static void
make_random(char *dst, size_t raw)
{
	uint8_t buf[32];

	random_bytes(buf, raw);
	b64url_encode(dst, buf, raw);
	explicit_bzero(buf, sizeof(buf));
}

static unsigned int
hash_id(const char *id)
{
	unsigned int h = 5381;

	while (*id != '\0')
		h = h * 33 + (unsigned char)*id++;
	return h % BUCKETS;
}

void
txn_reset(void)
{
	size_t i;

	while (!TAILQ_EMPTY(&txns))
		txn_drop(TAILQ_FIRST(&txns));
	while (!TAILQ_EMPTY(&browsers))
		browser_drop(TAILQ_FIRST(&browsers));
	for (i = 0; i <= TXN_ADDR; i++)
		TAILQ_INIT(&ranks[i]);
	random_bytes(boot_key, sizeof(boot_key));
}

/* ---- where they come from ---- */

static struct rank *
origin_rank(const struct origin *o)
{
	return &ranks[o->nopen < TXN_ADDR ? o->nopen : TXN_ADDR];
}

static struct origin *
origin_get(const char *addr)
{
	uint8_t id[DIGEST_SIZE];
	struct origin *o;

	addr_digest(id, "origin", addr);
	LIST_FOREACH (o, &origin_buckets[get_be32(id) % BUCKETS], chain)
		if (memcmp(o->id, id, sizeof(id)) == 0)
			return o;
	o = xcalloc(1, sizeof(*o));
	TAILQ_INIT(&o->open);
	TAILQ_INIT(&o->signedin);
	memcpy(o->id, id, sizeof(id));
	o->loopback = addr_is_loopback(addr);
	LIST_INSERT_HEAD(&origin_buckets[get_be32(id) % BUCKETS], o, chain);
	TAILQ_INSERT_TAIL(origin_rank(o), o, rank);
	return o;
}

static void
origin_add(struct txn *t)
{
	struct origin *o = t->origin;

	if (t->user != NULL) {
		TAILQ_INSERT_TAIL(&o->signedin, t, same);
		o->nsignedin++;
		return;
	}
	TAILQ_REMOVE(origin_rank(o), o, rank);
	TAILQ_INSERT_TAIL(&o->open, t, same);
	o->nopen++;
	TAILQ_INSERT_TAIL(origin_rank(o), o, rank);
}

static void
origin_remove(struct txn *t)
{
	struct origin *o = t->origin;

	if (t->user != NULL) {
		TAILQ_REMOVE(&o->signedin, t, same);
		o->nsignedin--;
		return;
	}
	TAILQ_REMOVE(origin_rank(o), o, rank);
	TAILQ_REMOVE(&o->open, t, same);
	o->nopen--;
	TAILQ_INSERT_TAIL(origin_rank(o), o, rank);
}

static void
origin_leave(struct origin *o)
{
	if (o->nopen + o->nsignedin > 0)
		return;
	TAILQ_REMOVE(origin_rank(o), o, rank);
	LIST_REMOVE(o, chain);
	free(o);
}

/* ---- room ---- */

static struct txn *
oldest_of(struct origin *o)
{
	return !TAILQ_EMPTY(&o->open) ? TAILQ_FIRST(&o->open)
				      : TAILQ_FIRST(&o->signedin);
}

/* Whose turn it is to go when there is no room for another. */
static struct txn *
least_worth(void)
{
	size_t i;

	for (i = TXN_ADDR; i > 0; i--)
		if (!TAILQ_EMPTY(&ranks[i]))
			return TAILQ_FIRST(&TAILQ_FIRST(&ranks[i])->open);
	return TAILQ_FIRST(&txns);
}

static void
make_room(const char *addr, size_t bytes)
{
	struct origin *o = origin_get(addr);

	if (!o->loopback && o->nopen + o->nsignedin >= TXN_ADDR)
		txn_drop(oldest_of(o));
	else
		origin_leave(o);
	while (ntxns >= TXN_MAX || (ntxns > 0 && nbytes + bytes > TXN_BYTES))
		txn_drop(least_worth());
}

static size_t
weight(const struct txn *what)
{
	return sizeof(*what) + strlen(what->client_id) +
	       strlen(what->redirect_uri) + strlen(what->state) +
	       strlen(what->challenge) + strlen(what->scope) +
	       strlen(what->resource);
}

struct txn *
txn_new(const char *cookie, const char *addr, const struct txn *what)
{
	struct txn *t;

	make_room(addr, weight(what));
	t = xcalloc(1, sizeof(*t));
	*t = *what;
	t->bytes = weight(what);
	t->born = clock_mono();
	make_random(t->id, 16);
	make_random(t->csrf, 32);
	browser_id(t->browser, cookie);
	t->origin = origin_get(addr);
	origin_add(t);
	TAILQ_INSERT_TAIL(&txns, t, age);
	LIST_INSERT_HEAD(&txn_buckets[hash_id(t->id)], t, hash);
	ntxns++;
	nbytes += t->bytes;
	return t;
}

void
txn_signin(struct txn *t, const char *user)
{
	origin_remove(t);
	free(t->user);
	t->user = xstrdup(user);
	origin_add(t);
}

struct txn *
txn_find(const char *id)
{
	struct txn *t;

	LIST_FOREACH (t, &txn_buckets[hash_id(id)], hash)
		if (strcmp(t->id, id) == 0)
			break;
	if (t != NULL && clock_mono() - t->born >= TXN_TTL) {
		txn_drop(t);
		return NULL;
	}
	return t;
}

int
txn_is_of(const struct txn *t, const char *cookie)
{
	uint8_t id[DIGEST_SIZE];

	if (!cookie_ok(cookie))
		return 0;
	browser_id(id, cookie);
	return timingsafe_bcmp(id, t->browser, sizeof(id)) == 0;
}

void
txn_drop(struct txn *t)
{
	TAILQ_REMOVE(&txns, t, age);
	LIST_REMOVE(t, hash);
	ntxns--;
	nbytes -= t->bytes;
	origin_remove(t);
	origin_leave(t->origin);
	free(t->client_id);
	free(t->redirect_uri);
	free(t->state);
	free(t->challenge);
	free(t->scope);
	free(t->resource);
	free(t->user);
	freezero(t, sizeof(*t));
}

size_t
txn_count(void)
{
	return ntxns;
}

void
txn_age(void)
{
	uint64_t now = clock_mono();
	struct browser *b;
	struct txn *t;

	while ((t = TAILQ_FIRST(&txns)) != NULL && now - t->born >= TXN_TTL)
		txn_drop(t);
	while ((b = TAILQ_FIRST(&browsers)) != NULL && now - b->born >= TXN_TTL)
		browser_drop(b);
}

int
cookie_ok(const char *cookie)
{
	uint8_t raw[32];

	return strlen(cookie) == COOKIE_LEN &&
	       b64url_decode(raw, sizeof(raw), cookie, COOKIE_LEN) == 32;
}

void
cookie_make(char dst[COOKIE_LEN + 1])
{
	make_random(dst, 32);
}

/* ---- browsers ---- */

static void
browser_id(uint8_t id[DIGEST_SIZE], const char *cookie)
{
	uint8_t key[sizeof(boot_key) + COOKIE_LEN];
	size_t len = strlen(cookie);

	if (len > COOKIE_LEN)
		len = COOKIE_LEN;
	memcpy(key, boot_key, sizeof(boot_key));
	memcpy(key + sizeof(boot_key), cookie, len);
	secret_digest(id, "browser", key, sizeof(boot_key) + len);
	explicit_bzero(key, sizeof(key));
}

static struct browser *
browser_find(const uint8_t id[DIGEST_SIZE])
{
	struct browser *b;

	LIST_FOREACH (b, &browser_buckets[get_be32(id) % BUCKETS], chain)
		if (timingsafe_bcmp(b->id, id, DIGEST_SIZE) == 0)
			return b;
	return NULL;
}

static void
browser_drop(struct browser *b)
{
	TAILQ_REMOVE(&browsers, b, age);
	LIST_REMOVE(b, chain);
	nbrowsers--;
	free(b->user);
	free(b);
}

void
browser_signin(const char *oldcookie, const char *newcookie, const char *user)
{
	uint8_t old[DIGEST_SIZE];
	struct browser *b;
	struct txn *t;

	browser_id(old, oldcookie);
	if ((b = browser_find(old)) != NULL)
		browser_drop(b);
	if (nbrowsers == BROWSERS_MAX)
		browser_drop(TAILQ_FIRST(&browsers));
	b = xcalloc(1, sizeof(*b));
	browser_id(b->id, newcookie);
	b->born = clock_mono();
	b->user = xstrdup(user);
	TAILQ_INSERT_TAIL(&browsers, b, age);
	LIST_INSERT_HEAD(&browser_buckets[get_be32(b->id) % BUCKETS], b, chain);
	nbrowsers++;
	TAILQ_FOREACH (t, &txns, age)
		if (memcmp(t->browser, old, sizeof(old)) == 0)
			memcpy(t->browser, b->id, sizeof(t->browser));
}

const char *
browser_user(const char *cookie)
{
	uint8_t id[DIGEST_SIZE];
	struct browser *b;

	if (!cookie_ok(cookie))
		return NULL;
	browser_id(id, cookie);
	if ((b = browser_find(id)) == NULL)
		return NULL;
	if (clock_mono() - b->born >= TXN_TTL) {
		browser_drop(b);
		return NULL;
	}
	return b->user;
}

void
browser_signout(const char *user)
{
	struct browser *b, *next;
	struct txn *t, *tnext;

	for (b = TAILQ_FIRST(&browsers); b != NULL; b = next) {
		next = TAILQ_NEXT(b, age);
		if (strcmp(b->user, user) == 0)
			browser_drop(b);
	}
	for (t = TAILQ_FIRST(&txns); t != NULL; t = tnext) {
		tnext = TAILQ_NEXT(t, age);
		if (t->user != NULL && strcmp(t->user, user) == 0)
			txn_drop(t);
	}
}
