/*
 * The catalog's file format and the worker's copy of it.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "catalog.h"
#include "getstream.h"
#include "keeperc.h"
#include "log.h"
#include "view.h"
#include "worker.h"

#define MAGIC    0x6d677731u
#define MAX_FILE (256 * 1024 * 1024)
#define SEALS    (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int catalog_parse(
    const uint8_t *, size_t, struct cat_entry **, size_t *);
static void catalog_keep(struct cat_entry **, size_t *);
static void catalog_free(struct cat_entry *, size_t);
static int write_all(int, const void *, size_t);
static const struct cat_entry *entry_find(uint32_t, uint8_t);

static const struct wire_field f_item[] = {
    {W_STR, offsetof(struct cat_item, name), CAT_MAX_NAME, 0, NULL},
    {W_BLOB, offsetof(struct cat_item, raw), CAT_MAX_ITEM, 0, NULL},
};
static const struct msgdef def_item = {
    "cat_item", sizeof(struct cat_item), f_item, 2};

static const struct wire_field f_entry[] = {
    {W_U32, offsetof(struct cat_entry, backend), 0, 0, NULL},
    {W_U8, offsetof(struct cat_entry, class), 0, 0, NULL},
    {W_U8, offsetof(struct cat_entry, state), 0, 0, NULL},
    {W_STR, offsetof(struct cat_entry, why), 1024, 0, NULL},
    {W_STR, offsetof(struct cat_entry, server), 256, 0, NULL},
    {W_STR, offsetof(struct cat_entry, revision), 16, 0, NULL},
    {W_U32, offsetof(struct cat_entry, caps), 0, 0, NULL},
    {W_STR, offsetof(struct cat_entry, instructions), 65536, 0, NULL},
    {W_VEC, offsetof(struct cat_entry, list[0]), 0, 65536, &def_item},
    {W_VEC, offsetof(struct cat_entry, list[1]), 0, 65536, &def_item},
    {W_VEC, offsetof(struct cat_entry, list[2]), 0, 65536, &def_item},
    {W_VEC, offsetof(struct cat_entry, list[3]), 0, 65536, &def_item},
};
const struct msgdef def_cat_entry = {"cat_entry", sizeof(struct cat_entry),
    f_entry, sizeof(f_entry) / sizeof(f_entry[0])};

static struct cat_entry *entries;
static size_t nentries;
static uint16_t asked; /* bit per class */

static int
write_all(int fd, const void *p, size_t len)
{
	const char *q = p;
	ssize_t n;

	while (len > 0) {
		if ((n = write(fd, q, len)) <= 0)
			return -1;
		q += n;
		len -= n;
	}
	return 0;
}

int
catalog_write(const struct cat_entry *e, size_t n, uint32_t *size)
{
	uint32_t head[2] = {MAGIC, 0}, len32;
	uint8_t *p;
	size_t i, len, total = sizeof(head);
	int fd;

	fd = memfd_create("catalog", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	if (write_all(fd, head, sizeof(head)) == -1)
		goto fail;
	for (i = 0; i < n; i++) {
		if ((p = wire_encode(&def_cat_entry, &e[i], &len)) == NULL)
			goto fail;
		len32 = len;
		if (total + sizeof(len32) + len > MAX_FILE) {
			/* The others are not to suffer from it. */
			free(p);
			continue;
		}
		total += sizeof(len32) + len;
		head[1]++;
		if (write_all(fd, &len32, sizeof(len32)) == -1 ||
		    write_all(fd, p, len) == -1) {
			free(p);
			goto fail;
		}
		free(p);
	}
	if (pwrite(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		goto fail;
	if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == -1)
		goto fail;
	*size = total;
	return fd;
fail:
	close(fd);
	return -1;
}

int
catalog_take(int fd, uint32_t size)
{
	struct cat_entry *e;
	struct stat st;
	uint8_t *p;
	size_t n;
	int seals, r;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals == -1 || (seals & SEALS) != SEALS || fstat(fd, &st) == -1 ||
	    st.st_size != (off_t)size || size > MAX_FILE || size < 8)
		return -1;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	r = catalog_parse(p, size, &e, &n);
	munmap(p, size);
	if (r == -1)
		return -1;
	views_drop();
	catalog_keep(&e, &n);
	catalog_free(entries, nentries);
	entries = e;
	nentries = n;
	getstreams_after();
	views_ready();
	return 0;
}

/*
 * A keeper that has just started knows less than the one before: what it has
 * not asked yet stays as it was.
 */
static void
catalog_keep(struct cat_entry **ep, size_t *np)
{
	struct cat_entry *e = *ep, *grown;
	size_t i, j;

	for (i = 0; i < nentries; i++) {
		if (entries[i].state == CAT_NEVER)
			continue;
		for (j = 0; j < *np; j++)
			if (e[j].backend == entries[i].backend &&
			    e[j].class == entries[i].class)
				break;
		if (j < *np && e[j].state != CAT_NEVER)
			continue;
		if (j == *np) {
			grown = reallocarray(e, *np + 1, sizeof(*e));
			if (grown == NULL)
				return;
			*ep = e = grown;
			(*np)++;
		} else
			wire_free(&def_cat_entry, &e[j]);
		e[j] = entries[i];
		memset(&entries[i], 0, sizeof(entries[i]));
	}
}

static int
catalog_parse(
    const uint8_t *p, size_t size, struct cat_entry **out, size_t *nout)
{
	struct cat_entry *e;
	uint32_t head[2], len;
	size_t i;

	memcpy(head, p, sizeof(head));
	if (head[0] != MAGIC || head[1] > 16384)
		return -1;
	p += sizeof(head);
	size -= sizeof(head);
	if ((e = calloc(head[1] + 1, sizeof(*e))) == NULL)
		return -1;
	for (i = 0; i < head[1]; i++) {
		if (size < sizeof(len))
			break;
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		size -= sizeof(len);
		if (len > size ||
		    wire_decode(&def_cat_entry, &e[i], p, len) == -1)
			break;
		p += len;
		size -= len;
	}
	if (i < head[1] || size != 0) {
		catalog_free(e, i);
		return -1;
	}
	*out = e;
	*nout = i;
	return 0;
}

static void
catalog_free(struct cat_entry *e, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		wire_free(&def_cat_entry, &e[i]);
	free(e);
}

static const struct cat_entry *
entry_find(uint32_t backend, uint8_t class)
{
	size_t i;

	for (i = 0; i < nentries; i++)
		if (entries[i].backend == backend && entries[i].class == class)
			return &entries[i];
	return NULL;
}

int
catalog_ready(void)
{
	const struct cat_entry *e;
	size_t i;

	for (i = 0; i < worker.nbackend; i++) {
		e = entry_find(worker.backend[i]->conf.id, 0);
		if (e == NULL || (e->state == CAT_NEVER && *e->why == '\0'))
			return 0;
	}
	return 1;
}

const struct cat_entry *
catalog_find(uint32_t backend, uint8_t class, int *exact)
{
	const struct cat_entry *e = entry_find(backend, class & DECLARE_LISTS);

	*exact = e != NULL && (e->state != CAT_NEVER || *e->why != '\0');
	if (e != NULL && e->state != CAT_NEVER)
		return e;
	return entry_find(backend, 0);
}

void
catalog_want(uint8_t class)
{
	class &= DECLARE_LISTS;
	if (asked & 1 << class)
		return;
	if (keeperc_class(class) == 0)
		asked |= 1 << class;
}

void
catalog_reask(void)
{
	uint16_t was = asked;
	uint8_t i;

	asked = 0;
	for (i = 0; i <= DECLARE_LISTS; i++)
		if (was & 1 << i)
			catalog_want(i);
}

int
catalog_same(const struct cat_entry *a, const struct cat_entry *b)
{
	uint8_t *pa, *pb;
	size_t la, lb;
	int same;

	pa = wire_encode(&def_cat_entry, a, &la);
	pb = wire_encode(&def_cat_entry, b, &lb);
	same = pa != NULL && pb != NULL && la == lb && memcmp(pa, pb, la) == 0;
	free(pa);
	free(pb);
	return same;
}
