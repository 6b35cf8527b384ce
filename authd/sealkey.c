/*
 * The keys session ids are sealed with: kept in the store, a new one every 30
 * days, old ones for as long as a session id sealed with them may live. A new
 * key becomes the current one a minute after it was told to the workers, so
 * that none meets an id it can not open.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"

#define ROTATE   (30 * 86400)
#define ANNOUNCE 60
#define KEYS_MAX 64

struct list {
	struct {
		uint32_t kid;
		struct row_sealkey row;
	} k[KEYS_MAX];
	size_t n;
	int bad;
};

static uint32_t told_current;

static int list_load(struct list *);
static size_t list_current(const struct list *, int64_t);

static int
list_add(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct list *l = arg;

	if (l->n == KEYS_MAX || keylen != 4 ||
	    row_decode(&def_row_sealkey, &l->k[l->n].row, val, vallen) == -1) {
		l->bad = 1;
		return 1;
	}
	l->k[l->n++].kid = get_be32(key);
	return 0;
}

static int
list_load(struct list *l)
{
	l->n = 0;
	l->bad = 0;
	if (store_iterate(T_SEALKEY, "", 0, list_add, l) == -1 || l->bad)
		return -1;
	return 0;
}

/* The newest that has been announced long enough; key ids grow. */
static size_t
list_current(const struct list *l, int64_t now)
{
	size_t i;

	for (i = l->n; i-- > 1;)
		if (l->k[i].row.created + ANNOUNCE <= now)
			return i;
	return 0;
}

static int
add_key(uint32_t kid, int64_t now)
{
	struct row_sealkey row;
	uint8_t key[4];
	int r;

	put_be32(key, kid);
	random_bytes(row.key, sizeof(row.key));
	row.created = now;
	r = row_put(T_SEALKEY, key, sizeof(key), &def_row_sealkey, &row);
	explicit_bzero(&row, sizeof(row));
	return r;
}

/* Sealing ends ROTATE and a bit after a key's birth; what it sealed lives for
 * session_ttl more. */
static int
forget_old(struct list *l, int64_t now, uint32_t session_ttl)
{
	uint8_t key[4];
	size_t i;

	for (i = 0; i + 1 < l->n; i++) {
		if (l->k[i + 1].row.created + ANNOUNCE + session_ttl > now)
			break;
		put_be32(key, l->k[i].kid);
		if (store_del(T_SEALKEY, key, sizeof(key)) == -1)
			return -1;
	}
	return 0;
}

int
sealkey_turn(uint32_t session_ttl, int *changed)
{
	int64_t now = clock_settled();
	struct list *l = xcalloc(1, sizeof(*l));
	size_t cur;
	int r = -1;

	if (list_load(l) == -1)
		goto out;
	r = 0;
	if (l->n == 0) {
		*changed = 1;
		r = add_key(1, now);
		told_current = 1;
	} else if (l->k[l->n - 1].row.created + ROTATE <= now &&
		   l->n < KEYS_MAX) {
		*changed = 1;
		r = add_key(l->k[l->n - 1].kid + 1, now);
	} else {
		cur = list_current(l, now);
		if (told_current != 0 && told_current != l->k[cur].kid)
			*changed = 1;
		told_current = l->k[cur].kid;
	}
	if (r == 0)
		r = forget_old(l, now, session_ttl);
out:
	freezero(l, sizeof(*l));
	return r;
}

int
sealkey_each(void (*cb)(void *, const struct a_sealkey *), void *arg)
{
	struct list *l = xcalloc(1, sizeof(*l));
	struct a_sealkey msg;
	size_t i, cur;
	int r = -1;

	if (list_load(l) == 0 && l->n > 0) {
		cur = list_current(l, clock_settled());
		for (i = 0; i < l->n; i++) {
			msg.kid = l->k[i].kid;
			msg.current = i == cur;
			memcpy(msg.key, l->k[i].row.key, sizeof(msg.key));
			cb(arg, &msg);
		}
		explicit_bzero(&msg, sizeof(msg));
		r = 0;
	}
	freezero(l, sizeof(*l));
	return r;
}
