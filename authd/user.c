/*
 * People with a password in the store.
 */
#include <ctype.h>
#include <string.h>

#include "authd.h"
#include "compat.h"

static int seen_one(void *, const uint8_t *, size_t, const uint8_t *, size_t);

int
user_get(const char *name, struct row_user *row)
{
	memset(row, 0, sizeof(*row));
	if (!user_name_ok(name))
		return 0;
	return row_get(T_USER, name, strlen(name), &def_row_user, row);
}

int
user_set(const char *name, const char *hash)
{
	struct row_user row;
	int r;

	memset(&row, 0, sizeof(row));
	row.hash = xstrdup(hash);
	row.changed = clock_now();
	r = row_put(T_USER, name, strlen(name), &def_row_user, &row);
	wire_free(&def_row_user, &row);
	return r;
}

static int
seen_one(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	(void)key;
	(void)keylen;
	(void)val;
	(void)vallen;
	*(int *)arg = 1;
	return 1;
}

int
user_any(void)
{
	int any = 0;

	if (store_iterate(T_USER, "", 0, seen_one, &any) == -1)
		return -1;
	return any;
}

int
user_name_ok(const char *name)
{
	size_t i, len = strlen(name);

	if (len == 0 || len > 64)
		return 0;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    strchr("._@+-", name[i]) == NULL)
			return 0;
	return 1;
}
