/*
 * What the store forgets by itself. T_EXPIRY is ordered by time; each row has
 * one entry, and whoever knows the row says when to look at it next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"

#define HEAD    (8 + 1) /* time, kind */
#define KEY_MAX 128
#define RUN_MAX 500

struct entry {
	uint8_t key[HEAD + KEY_MAX];
	size_t len;
};
struct due {
	struct entry e[RUN_MAX];
	int n, max, bad;
	int64_t now;
};

static int collect(void *, const uint8_t *, size_t, const uint8_t *, size_t);
static int64_t look(struct slice *, const struct entry *);

int
expire_at(enum expiry kind, int64_t when, const void *key, size_t keylen)
{
	uint8_t buf[HEAD + KEY_MAX];

	if (keylen > KEY_MAX) {
		req_setfailed(EMSGSIZE);
		return -1;
	}
	put_be64(buf, (uint64_t)when);
	buf[8] = kind;
	memcpy(buf + HEAD, key, keylen);
	return store_put(T_EXPIRY, buf, HEAD + keylen, "", 0);
}

static int
collect(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct due *d = arg;

	(void)val;
	(void)vallen;
	if (keylen <= HEAD || keylen > sizeof(d->e[0].key)) {
		d->bad = 1;
		return 1;
	}
	if ((int64_t)get_be64(key) > d->now || d->n == d->max)
		return 1;
	memcpy(d->e[d->n].key, key, keylen);
	d->e[d->n++].len = keylen;
	return 0;
}

static int64_t
look(struct slice *sl, const struct entry *e)
{
	const uint8_t *key = e->key + HEAD;
	size_t len = e->len - HEAD;
	char id[KEY_MAX + 1];

	switch (e->key[8]) {
	case EXP_CODE:
		return len == DIGEST_SIZE ? code_expire(key) : 0;
	case EXP_GRANT:
		return len == ID_LEN ? grant_expire(key) : 0;
	case EXP_CLIENT:
		memcpy(id, key, len);
		id[len] = '\0';
		return client_expire(sl, id);
	case EXP_REVOKED:
		return len == 8 ? revoke_expire(get_be64(key)) : 0;
	}
	return 0;
}

int
expire_run(struct slice *sl, int max)
{
	struct due *d = xcalloc(1, sizeof(*d));
	struct entry *e;
	int64_t next;
	int i, n;

	d->max = max < RUN_MAX ? max : RUN_MAX;
	d->now = clock_settled();
	if (store_iterate(T_EXPIRY, "", 0, collect, d) == -1 || d->bad) {
		req_setfailed(EINVAL);
		free(d);
		return -1;
	}
	for (i = 0; i < d->n; i++) {
		e = &d->e[i];
		next = look(sl, e);
		(void)store_del(T_EXPIRY, e->key, e->len);
		if (next > 0) {
			/* Never at a time that is met again at once. */
			if (next <= d->now)
				next = d->now + 1;
			(void)expire_at(
			    e->key[8], next, e->key + HEAD, e->len - HEAD);
		}
	}
	n = d->n;
	free(d);
	return req_failed() ? -1 : n;
}
