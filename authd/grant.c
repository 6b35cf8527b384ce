/*
 * Grants: what a person let a client do; each is one family of refresh tokens.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"

#define GRANT_OF_CLIENT 'G' /* in T_INDEX: G, client id, 0, grant id */
#define SLACK           300 /* clocks of workers may be behind ours */

static size_t index_key(uint8_t *, const char *, const uint8_t[ID_LEN]);

static size_t
index_key(uint8_t *key, const char *client, const uint8_t gid[ID_LEN])
{
	size_t len = strlen(client) + 1;

	key[0] = GRANT_OF_CLIENT;
	memcpy(key + 1, client, len);
	memcpy(key + 1 + len, gid, ID_LEN);
	return 1 + len + ID_LEN;
}

int
grant_create(const uint8_t gid[ID_LEN], struct row_grant *g)
{
	uint8_t key[2 + 64 + ID_LEN];
	int64_t now = clock_now();

	random_bytes(g->salt, sizeof(g->salt));
	g->n = 1;
	g->created = g->renewed = g->rotated = now;
	return store_put(
	    T_INDEX, key, index_key(key, g->client_id, gid), "", 0);
}

/* Of a time that is still to come: the clock was ahead then. */
static int
settle(int64_t *when, int64_t now)
{
	if (*when <= now + CLOCK_SKEW)
		return 0;
	*when = now;
	return 1;
}

static int
settle_grant(struct row_grant *g)
{
	int64_t now = clock_now();

	return settle(&g->created, now) | settle(&g->renewed, now) |
	       settle(&g->rotated, now) | settle(&g->seen_at, now);
}

int
grant_get(const uint8_t gid[ID_LEN], struct row_grant *g)
{
	int r = row_get(T_GRANT, gid, ID_LEN, &def_row_grant, g);

	if (r == 1)
		(void)settle_grant(g);
	return r;
}

struct early {
	uint8_t (*gid)[ID_LEN];
	size_t n;
	int bad;
};

static int
collect_early(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct early *e = arg;
	struct row_grant g;

	memset(&g, 0, sizeof(g));
	if (keylen != ID_LEN ||
	    row_decode(&def_row_grant, &g, val, vallen) == -1) {
		e->bad = 1;
		return 1;
	}
	if (settle_grant(&g)) {
		e->gid = xrealloc(e->gid, (e->n + 1) * ID_LEN);
		memcpy(e->gid[e->n++], key, ID_LEN);
	}
	wire_free(&def_row_grant, &g);
	return 0;
}

int
grants_settle(void)
{
	struct early e = {NULL, 0, 0};
	struct row_grant g;
	size_t i;
	int r;

	r = store_iterate(T_GRANT, "", 0, collect_early, &e);
	if (e.bad)
		r = -1;
	for (i = 0; r == 0 && i < e.n; i++) {
		if (grant_get(e.gid[i], &g) != 1) {
			r = -1;
			break;
		}
		r = row_put(T_GRANT, e.gid[i], ID_LEN, &def_row_grant, &g);
		wire_free(&def_row_grant, &g);
	}
	if (r == 0 && e.n > 0)
		log_info("clock: %zu grants are of a time still to come and "
			 "count from now",
		    e.n);
	free(e.gid);
	return r;
}

int
grant_alive(const struct slice *sl, const struct row_grant *g)
{
	int64_t now = clock_now();

	if (now >= g->renewed + sl->conf.refresh_token_ttl)
		return 0;
	return sl->conf.refresh_max_age == 0 ||
	       now < g->created + sl->conf.refresh_max_age;
}

int
grant_save(
    const struct slice *sl, const uint8_t gid[ID_LEN], struct row_grant *g)
{
	g->expires = g->renewed + sl->conf.refresh_token_ttl;
	if (sl->conf.refresh_max_age != 0 &&
	    g->expires > g->created + sl->conf.refresh_max_age)
		g->expires = g->created + sl->conf.refresh_max_age;
	/* As long as there are tokens to be revoked. */
	if (g->expires < g->token_exp)
		g->expires = g->token_exp;
	return row_put(T_GRANT, gid, ID_LEN, &def_row_grant, g);
}

static int
grant_remove(const uint8_t gid[ID_LEN], const struct row_grant *g)
{
	uint8_t key[2 + 64 + ID_LEN];

	if (store_del(T_INDEX, key, index_key(key, g->client_id, gid)) == -1)
		return -1;
	return store_del(T_GRANT, gid, ID_LEN);
}

int
grant_revoke(const uint8_t gid[ID_LEN])
{
	struct row_grant g;
	int64_t until;
	int r;

	if ((r = grant_get(gid, &g)) != 1)
		return r;
	until = clock_now();
	if (g.token_exp > until)
		until = g.token_exp;
	if (grant_remove(gid, &g) == -1 ||
	    revoke_add(REV_GRANT, gid, until + SLACK) == -1)
		r = -1;
	wire_free(&def_row_grant, &g);
	return r;
}

int64_t
grant_expire(const uint8_t gid[ID_LEN])
{
	struct row_grant g;
	int64_t next;

	if (grant_get(gid, &g) != 1)
		return 0;
	next = g.expires;
	if (next <= clock_settled()) {
		(void)grant_remove(gid, &g);
		next = 0;
	}
	wire_free(&def_row_grant, &g);
	return next;
}

static int
count_one(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	(void)key;
	(void)keylen;
	(void)val;
	(void)vallen;
	++*(size_t *)arg;
	return 0;
}

size_t
grant_count(void)
{
	size_t n = 0;

	(void)store_iterate(T_GRANT, "", 0, count_one, &n);
	return n;
}
