/*
 * Revocations: numbered as they are committed, kept until no token they cover
 * can live. Who knows them already is workers.c's affair.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"

#define KNOWN 'R' /* in T_INDEX: R, kind, id -> number */

static uint64_t newest;
static size_t nsessions, kept_sessions; /* kept: before the request */
static struct a_revoked *fresh; /* of this turn, not committed */
static size_t nfresh, cap, mark;
static uint64_t found; /* highest that the request met, stored before */

static void
index_key(uint8_t key[2 + ID_LEN], uint8_t kind, const uint8_t *id)
{
	key[0] = KNOWN;
	key[1] = kind;
	memcpy(key + 2, id, ID_LEN);
}

static void
remember(uint64_t n, uint8_t kind, const uint8_t *id, int64_t until)
{
	struct a_revoked *r;

	if (nfresh == cap) {
		cap = cap == 0 ? 16 : cap * 2;
		fresh = xrealloc(fresh, cap * sizeof(*fresh));
	}
	r = &fresh[nfresh++];
	memset(r, 0, sizeof(*r));
	r->n = n;
	r->kind = kind;
	memcpy(r->id, id, ID_LEN);
	r->until = until;
}

static int
first_session(void *arg, const struct a_revoked *r)
{
	if (r->kind != REV_SESSION)
		return 0;
	*(struct a_revoked *)arg = *r;
	return 1;
}

static int
remove_row(uint64_t n, uint8_t kind, const uint8_t *id)
{
	uint8_t key[8], index[2 + ID_LEN];

	put_be64(key, n);
	index_key(index, kind, id);
	if (kind == REV_SESSION && nsessions > 0)
		nsessions--;
	if (store_del(T_INDEX, index, sizeof(index)) == -1)
		return -1;
	return store_del(T_REVOKED, key, sizeof(key));
}

static int
make_room(void)
{
	struct a_revoked old;

	if (nsessions < SESSIONS_MAX)
		return 0;
	memset(&old, 0, sizeof(old));
	if (revoke_each(0, first_session, &old) == -1)
		return -1;
	return old.n == 0 ? 0 : remove_row(old.n, old.kind, old.id);
}

int
revoke_add(uint8_t kind, const uint8_t id[ID_LEN], int64_t until)
{
	uint8_t key[8], index[2 + ID_LEN], *val;
	struct row_revoked row;
	size_t len;
	int r;

	index_key(index, kind, id);
	r = store_get(T_INDEX, index, sizeof(index), &val, &len);
	if (r == -1)
		return -1;
	if (r == 1) {
		if (len == 8 && get_be64(val) > found)
			found = get_be64(val);
		free(val);
		return 0;
	}
	if (kind == REV_SESSION && make_room() == -1)
		return -1;
	put_be64(key, ++newest);
	row.kind = kind;
	memcpy(row.id, id, ID_LEN);
	row.until = until;
	if (row_put(T_REVOKED, key, sizeof(key), &def_row_revoked, &row) ==
		-1 ||
	    store_put(T_INDEX, index, sizeof(index), key, sizeof(key)) == -1 ||
	    expire_at(EXP_REVOKED, until, key, sizeof(key)) == -1)
		return -1;
	if (kind == REV_SESSION)
		nsessions++;
	remember(newest, kind, id, until);
	return 0;
}

static int
load_one(void *arg, const struct a_revoked *r)
{
	(void)arg;
	newest = r->n;
	if (r->kind == REV_SESSION)
		nsessions++;
	return 0;
}

int
revoke_load(void)
{
	uint64_t before = newest;

	nsessions = 0;
	if (revoke_each(0, load_one, NULL) == -1)
		return -1;
	/* Numbers that workers were told of do not come again. */
	if (newest < before)
		newest = before;
	return 0;
}

void
revoke_req_begin(void)
{
	mark = nfresh;
	kept_sessions = nsessions;
	found = 0;
}

void
revoke_wait(void)
{
	found = newest;
}

uint64_t
revoke_req_end(int keep)
{
	uint64_t need = found;

	if (!keep) {
		nfresh = mark;
		nsessions = kept_sessions;
	} else if (nfresh > mark) {
		need = fresh[nfresh - 1].n;
	}
	return need;
}

int
revoke_req_any(void)
{
	return nfresh > mark;
}

void
revoke_commit(void)
{
	size_t i;

	for (i = 0; i < nfresh; i++)
		workers_push(&fresh[i]);
	nfresh = mark = 0;
}

void
revoke_abort(void)
{
	nfresh = mark = 0;
}

int64_t
revoke_expire(uint64_t n)
{
	struct row_revoked row;
	uint8_t key[8];

	put_be64(key, n);
	if (row_get(T_REVOKED, key, sizeof(key), &def_row_revoked, &row) != 1)
		return 0;
	if (row.until > clock_settled())
		return row.until;
	(void)remove_row(n, row.kind, row.id);
	return 0;
}

struct each {
	int (*cb)(void *, const struct a_revoked *);
	void *arg;
	int bad;
};

static int
each_one(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct row_revoked row;
	struct each *e = arg;
	struct a_revoked r;

	if (keylen != 8 ||
	    row_decode(&def_row_revoked, &row, val, vallen) == -1) {
		e->bad = 1;
		return 1;
	}
	memset(&r, 0, sizeof(r));
	r.n = get_be64(key);
	r.kind = row.kind;
	memcpy(r.id, row.id, ID_LEN);
	r.until = row.until;
	return e->cb(e->arg, &r);
}

int
revoke_each(uint64_t n, int (*cb)(void *, const struct a_revoked *), void *arg)
{
	struct each e = {cb, arg, 0};
	uint8_t key[8];

	put_be64(key, n);
	if (store_iterate(T_REVOKED, key, sizeof(key), each_one, &e) == -1 ||
	    e.bad)
		return -1;
	return 0;
}

uint64_t
revoke_newest(void)
{
	return newest;
}
