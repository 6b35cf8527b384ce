/*
 * Sealed session ids, and a small cache of opened ones: the seal is looked at
 * once per worker, the rest at every request.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "authc.h"
#include "compat.h"
#include "digest.h"
#include "revoked.h"
#include "seal.h"
#include "session.h"

#define CACHE_SIZE 4096 /* a power of two */

struct opened {
	char *id;
	size_t len;
	struct session s;
};

static struct opened *session_cached(const char *, size_t);
static int session_unseal(const char *, size_t, struct session *);

static const struct wire_field fields[] = {
    {W_STR, offsetof(struct session, subject), 128, 0, NULL},
    {W_STR, offsetof(struct session, client), 128, 0, NULL},
    {W_STR, offsetof(struct session, endpoint), 128, 0, NULL},
    {W_STR, offsetof(struct session, revision), 16, 0, NULL},
    {W_U8, offsetof(struct session, class), 0, 0, NULL},
    {W_STRV, offsetof(struct session, extensions), 64, 8, NULL},
    {W_STR, offsetof(struct session, client_name), 64, 0, NULL},
    {W_STR, offsetof(struct session, client_version), 32, 0, NULL},
    {W_I64, offsetof(struct session, created), 0, 0, NULL},
    {W_FIXED, offsetof(struct session, nonce), ID_LEN, 0, NULL},
};
static const struct msgdef def_session = {"session", sizeof(struct session),
    fields, sizeof(fields) / sizeof(fields[0])};

static struct opened *cache;

char *
session_seal(struct session *s)
{
	const struct seal_key *key = authc_seal();
	uint8_t *p;
	size_t len;
	char *id;

	if (key == NULL)
		return NULL;
	arc4random_buf(s->nonce, sizeof(s->nonce));
	s->created = authc_now();
	if ((p = wire_encode(&def_session, s, &len)) == NULL)
		return NULL;
	id = seal(key, SEAL_SESSION, p, len);
	free(p);
	if (id == NULL || strlen(id) <= SESSION_MAX_ID)
		return id;
	free(id);
	if (s->extensions.n == 0)
		return NULL;
	/* Names of extensions are the only part a client can make long. */
	strv_free(&s->extensions);
	return session_seal(s);
}

static int
session_unseal(const char *id, size_t len, struct session *s)
{
	uint8_t buf[SESSION_MAX_ID];
	const struct seal_key *key;
	uint32_t kid;
	ssize_t n;

	if (len > SESSION_MAX_ID ||
	    seal_kid(id, len, SEAL_SESSION, &kid) == -1 ||
	    (key = authc_unseal(kid)) == NULL)
		return -1;
	n = seal_open(key, SEAL_SESSION, id, len, buf, sizeof(buf));
	if (n == -1)
		return -1;
	return wire_decode(&def_session, s, buf, n);
}

/* The tail of an id is a part of its tag: as good as random. */
static struct opened *
session_cached(const char *id, size_t len)
{
	struct session s;
	struct opened *o;
	uint32_t h = 2166136261u;
	size_t i;

	if (len < 32 || (cache == NULL && (cache = calloc(CACHE_SIZE,
					       sizeof(*cache))) == NULL))
		return NULL;
	for (i = len - 16; i < len; i++)
		h = (h ^ (unsigned char)id[i]) * 16777619u;
	o = &cache[h % CACHE_SIZE];
	if (o->id != NULL && o->len == len && memcmp(o->id, id, len) == 0)
		return o;
	if (session_unseal(id, len, &s) == -1)
		return NULL;
	free(o->id);
	wire_free(&def_session, &o->s);
	o->s = s;
	o->len = len;
	if ((o->id = malloc(len)) == NULL) {
		wire_free(&def_session, &o->s);
		return NULL;
	}
	memcpy(o->id, id, len);
	return o;
}

const struct session *
session_open(
    const char *id, size_t len, const struct proof *p, const struct endpoint *e)
{
	struct opened *o = session_cached(id, len);
	int64_t now = authc_now();

	if (o == NULL)
		return NULL;
	if (strcmp(o->s.subject, p ? p->sub : "") != 0 ||
	    strcmp(o->s.client, p ? p->client : "") != 0 ||
	    strcmp(o->s.endpoint, e->conf.path) != 0)
		return NULL;
	if (o->s.created + (int64_t)worker.conf.session_ttl <= now ||
	    o->s.created > now + CLOCK_SKEW ||
	    revoked_has(REV_SESSION, o->s.nonce))
		return NULL;
	return &o->s;
}
