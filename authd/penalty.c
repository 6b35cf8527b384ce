/*
 * Who has to wait: penalties for wrong passwords per address and per user,
 * which add up, are capped and expire, and plain counts per address in a
 * window. All in RAM, bounded, and gone after a restart. Loopback addresses
 * share all of a proxy's clients and are not limited.
 *
 * Who guesses at one user from ever new addresses can take each try that the
 * user's penalty leaves. So it does not hold for addresses from which that user
 * has signed in: those have their own penalty only.
 *
 * The right password takes back what was added for that user from that address,
 * and no more: whoever has a user of his own must not be able to guess at
 * others and be forgiven for it.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"

#define ENTRIES_MAX 16384 /* of each kind */
#define LOOK_AT     32 /* of the oldest, when one has to go */
#define BUCKETS     4096
#define CAP         600 /* no penalty is longer */
#define FREE_OF     15 /* what may add up before one has to wait */
#define STEP        5
#define STEP_USER   30 /* largest step of a user, whom others must not lock out */
#define KNOWN_TTL   (30 * 86400) /* an address, from the last sign-in */
#define KEY_LEN     16

enum kind {
	K_ADDR,
	K_USER,
	K_KNOWN,
	/* Their part, of an address and a user, in the penalties of either. */
	K_PART_ADDR,
	K_PART_USER,
	K_WINDOW,
	KINDS = K_WINDOW + WIN_COUNT
};

struct entry {
	TAILQ_ENTRY(entry) age;
	LIST_ENTRY(entry) chain;
	int kind;
	uint8_t key[KEY_LEN];
	uint64_t until; /* the end: of the penalty, of the window, of knowing */
	uint64_t last;
	uint32_t count;
};

/* Each kind has room of its own: what is cheap to fill can not push out what
 * keeps somebody from guessing. */
static TAILQ_HEAD(, entry) ages[KINDS];
static LIST_HEAD(, entry) buckets[BUCKETS];
static size_t nentries[KINDS];
static int loopback_said;

static void make_key(uint8_t[KEY_LEN], int, const char *);
static void make_both(uint8_t[KEY_LEN], int, const char *, const char *);
static struct entry *find(const uint8_t[KEY_LEN]);
static struct entry *obtain(int, const uint8_t[KEY_LEN]);
static void make_room(int);

int
addr_is_loopback(const char *addr)
{
	struct in6_addr a6;
	struct in_addr a4;

	if (inet_pton(AF_INET, addr, &a4) == 1)
		return ntohl(a4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, addr, &a6) != 1)
		return 0;
	return IN6_IS_ADDR_LOOPBACK(&a6) ||
	       (IN6_IS_ADDR_V4MAPPED(&a6) && a6.s6_addr[12] == 127);
}

static int
unlimited(const char *addr)
{
	if (!addr_is_loopback(addr))
		return 0;
	if (!loopback_said) {
		loopback_said = 1;
		log_warnx("requests come from loopback: limits per address are "
			  "off for them; name the proxy in trusted_proxies to "
			  "see who asks");
	}
	return 1;
}

void
addr_digest(uint8_t out[DIGEST_SIZE], const char *label, const char *addr)
{
	struct in6_addr a6;

	if (inet_pton(AF_INET6, addr, &a6) == 1 && !IN6_IS_ADDR_V4MAPPED(&a6))
		secret_digest(out, label, &a6, 8);
	else
		secret_digest_str(out, label,
		    strncmp(addr, "::ffff:", 7) == 0 ? addr + 7 : addr);
}

static void
make_key(uint8_t key[KEY_LEN], int kind, const char *text)
{
	uint8_t digest[DIGEST_SIZE];
	char label[] = "penalty-0";

	label[sizeof(label) - 2] += kind;
	if (kind == K_USER)
		secret_digest_str(digest, label, text);
	else
		addr_digest(digest, label, text);
	memcpy(key, digest, KEY_LEN);
}

/* Of an address and a user together. */
static void
make_both(uint8_t key[KEY_LEN], int kind, const char *addr, const char *user)
{
	uint8_t digest[DIGEST_SIZE], *both;
	char label[] = "both-0";
	size_t len = strlen(user);

	label[sizeof(label) - 2] += kind;
	both = xmalloc(KEY_LEN + len);
	make_key(both, K_ADDR, addr);
	memcpy(both + KEY_LEN, user, len);
	secret_digest(digest, label, both, KEY_LEN + len);
	memcpy(key, digest, KEY_LEN);
	free(both);
}

static unsigned int
bucket(const uint8_t key[KEY_LEN])
{
	return get_be32(key) % BUCKETS;
}

static struct entry *
find(const uint8_t key[KEY_LEN])
{
	struct entry *e;

	LIST_FOREACH (e, &buckets[bucket(key)], chain)
		if (memcmp(e->key, key, KEY_LEN) == 0)
			return e;
	return NULL;
}

static void
drop(struct entry *e)
{
	TAILQ_REMOVE(&ages[e->kind], e, age);
	LIST_REMOVE(e, chain);
	nentries[e->kind]--;
	free(e);
}

/* Of those that were touched longest ago the one that ends first. */
static void
make_room(int kind)
{
	struct entry *e, *first = NULL;
	int n = 0;

	TAILQ_FOREACH (e, &ages[kind], age) {
		if (n++ == LOOK_AT)
			break;
		if (first == NULL || e->until < first->until)
			first = e;
	}
	if (first != NULL)
		drop(first);
}

static struct entry *
obtain(int kind, const uint8_t key[KEY_LEN])
{
	struct entry *e;

	if (ages[kind].tqh_last == NULL)
		TAILQ_INIT(&ages[kind]);
	if ((e = find(key)) == NULL) {
		if (nentries[kind] == ENTRIES_MAX)
			make_room(kind);
		e = xcalloc(1, sizeof(*e));
		e->kind = kind;
		memcpy(e->key, key, KEY_LEN);
		LIST_INSERT_HEAD(&buckets[bucket(key)], e, chain);
		nentries[kind]++;
	} else {
		TAILQ_REMOVE(&ages[kind], e, age);
	}
	TAILQ_INSERT_TAIL(&ages[kind], e, age);
	return e;
}

void
penalty_reset(void)
{
	int k;

	for (k = 0; k < KINDS; k++)
		while (!TAILQ_EMPTY(&ages[k]))
			drop(TAILQ_FIRST(&ages[k]));
	loopback_said = 0;
}

static uint32_t
check_one(int kind, const char *text)
{
	uint8_t key[KEY_LEN];
	uint64_t now = clock_mono();
	struct entry *e;

	make_key(key, kind, text);
	if ((e = find(key)) == NULL || e->until <= now + FREE_OF)
		return 0;
	return e->until - now - FREE_OF;
}

static int
is_known(const char *addr, const char *user)
{
	uint8_t key[KEY_LEN];
	struct entry *e;

	make_both(key, K_KNOWN, addr, user);
	return (e = find(key)) != NULL && e->until > clock_mono();
}

uint32_t
penalty_check(const char *addr, const char *user)
{
	uint32_t a, u;

	if (unlimited(addr))
		return check_one(K_USER, user);
	a = check_one(K_ADDR, addr);
	u = is_known(addr, user) ? 0 : check_one(K_USER, user);
	return a > u ? a : u;
}

/* One more try, for so many seconds; those that were added. */
static uint64_t
add_to(struct entry *e, uint64_t step)
{
	uint64_t now = clock_mono(), was;

	if (now > e->last + CAP)
		e->count = 0;
	e->last = now;
	e->count++;
	if (e->until < now)
		e->until = now;
	was = e->until;
	e->until += step;
	if (e->until > now + CAP)
		e->until = now + CAP;
	return e->until - was;
}

static uint64_t
step_of(const struct entry *e, int kind)
{
	uint32_t count = clock_mono() > e->last + CAP ? 0 : e->count;
	uint64_t step = STEP;

	/* The first three are typing errors; then each costs twice as much. */
	if (count >= 3)
		step <<= count - 2 < 8 ? count - 2 : 8;
	return kind == K_USER && step > STEP_USER ? STEP_USER : step;
}

/* Kind is K_ADDR or K_USER. */
static void
add_one(int kind, const char *addr, const char *user)
{
	int part = kind == K_USER ? K_PART_USER : K_PART_ADDR;
	uint8_t key[KEY_LEN];
	struct entry *e;
	uint64_t added;

	make_key(key, kind, kind == K_USER ? user : addr);
	e = obtain(kind, key);
	added = add_to(e, step_of(e, kind));
	make_both(key, part, addr, user);
	(void)add_to(obtain(part, key), added);
}

/* What is left of a part; less than was added, since penalties run out. */
static void
take_back(int kind, const char *addr, const char *user)
{
	int part = kind == K_USER ? K_PART_USER : K_PART_ADDR;
	uint64_t now = clock_mono(), left;
	uint8_t key[KEY_LEN];
	struct entry *e, *p;

	make_both(key, part, addr, user);
	if ((p = find(key)) == NULL)
		return;
	make_key(key, kind, kind == K_USER ? user : addr);
	if ((e = find(key)) != NULL) {
		left = p->until > now ? p->until - now : 0;
		e->until = e->until > now + left ? e->until - left : now;
		e->count -= p->count < e->count ? p->count : e->count;
		if (e->count == 0)
			drop(e);
	}
	drop(p);
}

void
penalty_add(const char *addr, const char *user)
{
	if (!unlimited(addr))
		add_one(K_ADDR, addr, user);
	add_one(K_USER, addr, user);
}

void
penalty_clear(const char *addr, const char *user)
{
	uint8_t key[KEY_LEN];

	take_back(K_ADDR, addr, user);
	take_back(K_USER, addr, user);
	if (unlimited(addr))
		return;
	make_both(key, K_KNOWN, addr, user);
	obtain(K_KNOWN, key)->until = clock_mono() + KNOWN_TTL;
}

uint32_t
window_check(enum window w, const char *addr, uint32_t count, uint32_t seconds)
{
	uint8_t key[KEY_LEN];
	uint64_t now = clock_mono();
	struct entry *e;

	if (count == 0 || seconds == 0 || unlimited(addr))
		return 0;
	make_key(key, K_WINDOW + (int)w, addr);
	if ((e = find(key)) == NULL || e->until <= now || e->count < count)
		return 0;
	return e->until - now;
}

void
window_add(enum window w, const char *addr, uint32_t seconds)
{
	uint8_t key[KEY_LEN];
	uint64_t now = clock_mono();
	struct entry *e;

	if (seconds == 0 || unlimited(addr))
		return;
	make_key(key, K_WINDOW + (int)w, addr);
	e = obtain(K_WINDOW + (int)w, key);
	if (e->until <= now) {
		e->until = now + seconds;
		e->count = 0;
	}
	e->count++;
	e->last = now;
}
