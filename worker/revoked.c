/*
 * An open hash table. Ids are random already, so their first bytes are the
 * hash. It grows at three quarters and is rebuilt on purge.
 */
#include <stdlib.h>
#include <string.h>

#include "revoked.h"

struct slot {
	uint8_t id[ID_LEN];
	int64_t until;
	uint8_t kind; /* 0: free */
};

static struct slot *revoked_slot(
    struct slot *, size_t, uint8_t, const uint8_t *);
static int revoked_rebuild(size_t, int64_t);

static struct slot *table;
static size_t size, used;

static struct slot *
revoked_slot(struct slot *t, size_t n, uint8_t kind, const uint8_t *id)
{
	size_t h;

	memcpy(&h, id, sizeof(h));
	for (h = (h ^ kind) & (n - 1);; h = (h + 1) & (n - 1))
		if (t[h].kind == 0 ||
		    (t[h].kind == kind && memcmp(t[h].id, id, ID_LEN) == 0))
			return &t[h];
}

static int
revoked_rebuild(size_t n, int64_t now)
{
	struct slot *t, *s;
	size_t i, kept = 0;

	if ((t = calloc(n, sizeof(*t))) == NULL)
		return -1;
	for (i = 0; i < size; i++) {
		if (table[i].kind == 0 || table[i].until <= now)
			continue;
		s = revoked_slot(t, n, table[i].kind, table[i].id);
		*s = table[i];
		kept++;
	}
	free(table);
	table = t;
	size = n;
	used = kept;
	return 0;
}

int
revoked_add(uint8_t kind, const uint8_t id[ID_LEN], int64_t until)
{
	struct slot *s;

	if ((used + 1) * 4 > size * 3 &&
	    revoked_rebuild(size ? size * 2 : 64, 0) == -1)
		return -1;
	s = revoked_slot(table, size, kind, id);
	if (s->kind == 0)
		used++;
	s->kind = kind;
	memcpy(s->id, id, ID_LEN);
	if (until > s->until)
		s->until = until;
	return 0;
}

int
revoked_has(uint8_t kind, const uint8_t id[ID_LEN])
{
	return size > 0 && revoked_slot(table, size, kind, id)->kind != 0;
}

void
revoked_purge(int64_t now)
{
	if (used > 0)
		(void)revoked_rebuild(size, now);
}

size_t
revoked_count(void)
{
	return used;
}
