/*
 * Clients: registration (RFC 7591), authentication at our endpoints, and how
 * unused ones go.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "log.h"

#define CLIENT_ID_RAW   16
#define TOUCH_AGE       3600
#define REDIRECT_URIS   32
#define SECRET_LABEL    "client-secret"
#define UNUSED          'N' /* in T_INDEX: N, time, id of never used ones */
#define GRANT_OF_CLIENT 'G' /* G, client id, 0, grant id */

struct ids {
	uint8_t (*gid)[ID_LEN];
	size_t n, cap;
	const uint8_t *prefix;
	size_t prefixlen;
};
struct keys {
	uint8_t *p; /* length byte and key, one after the other */
	size_t len;
	const char *prefix;
	size_t prefixlen;
};

static struct counts {
	size_t all, unused;
} counts, counts_before; /* before the request at hand */

static size_t unused_key(uint8_t *, int64_t, const char *);
static int drop_oldest(void);
static int drop_grants(const char *);
static int drop_consents(const char *);
static int keep_uris(struct slice *, const struct strv *, struct strv *);
static int native_only(const struct strv *);

/* ---- counting ---- */

static int
count_all(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	(void)key;
	(void)keylen;
	(void)val;
	(void)vallen;
	++*(size_t *)arg;
	return 0;
}

static int
count_unused(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	(void)val;
	(void)vallen;
	if (keylen == 0 || key[0] != UNUSED)
		return 1;
	++*(size_t *)arg;
	return 0;
}

int
client_recount(void)
{
	uint8_t from = UNUSED;

	counts.all = counts.unused = 0;
	if (store_iterate(T_CLIENT, "", 0, count_all, &counts.all) == -1 ||
	    store_iterate(T_INDEX, &from, 1, count_unused, &counts.unused) ==
		-1)
		return -1;
	return 0;
}

void
client_req_begin(void)
{
	counts_before = counts;
}

void
client_req_abort(void)
{
	counts = counts_before;
}

size_t
client_count(void)
{
	return counts.all;
}

/* ---- registration ---- */

static size_t
unused_key(uint8_t *key, int64_t created, const char *id)
{
	size_t len = strlen(id);

	key[0] = UNUSED;
	put_be64(key + 1, (uint64_t)created);
	memcpy(key + 9, id, len);
	return 9 + len;
}

static int
first_unused(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	char *id = arg;

	(void)val;
	(void)vallen;
	if (keylen > 9 && keylen - 9 <= 64 && key[0] == UNUSED) {
		memcpy(id, key + 9, keylen - 9);
		id[keylen - 9] = '\0';
	}
	return 1;
}

static int
drop_oldest(void)
{
	uint8_t from = UNUSED;
	char id[65] = "";

	if (store_iterate(T_INDEX, &from, 1, first_unused, id) == -1)
		return -1;
	return id[0] == '\0' ? 0 : client_delete(id);
}

static int
keep_uris(struct slice *sl, const struct strv *asked, struct strv *kept)
{
	uint32_t i;

	for (i = 0; i < asked->n && kept->n < REDIRECT_URIS; i++) {
		if (!redirect_allowed(asked->v[i],
			&sl->conf.private_use_schemes,
			&sl->conf.http_redirect_hosts) ||
		    strv_has(kept, asked->v[i]))
			continue;
		if (strv_add(kept, asked->v[i]) == -1)
			return -1;
	}
	return 0;
}

static int
native_only(const struct strv *uris)
{
	uint32_t i;

	for (i = 0; i < uris->n; i++)
		if (!redirect_on_device(uris->v[i]))
			return 0;
	return 1;
}

static const char *
auth_method(const char *asked)
{
	if (asked[0] == '\0' || strcmp(asked, "client_secret_basic") == 0)
		return "client_secret_basic";
	if (strcmp(asked, "client_secret_post") == 0)
		return "client_secret_post";
	return "none";
}

static enum verdict
refuse(struct a_registered *ans, const char *error, const char *why)
{
	ans->error = xstrdup(error);
	ans->description = xstrdup(why);
	return J_DROP;
}

static void
fill_row(struct slice *sl, const struct a_register *req, struct row_client *row)
{
	row->name = name_clean(req->name);
	row->auth_method = xstrdup(auth_method(req->auth_method));
	row->application_type =
	    xstrdup(strcmp(req->application_type, "native") == 0 ||
			    (req->application_type[0] == '\0' &&
				native_only(&row->redirect_uris))
			? "native"
			: "web");
	/* Shown to nobody as a link; echoed only when it is one. */
	row->client_uri = xstrdup(strncmp(req->client_uri, "https://", 8) == 0
				      ? req->client_uri
				      : "");
	row->scope = scope_grant(sl, req->scope);
	row->grants = req->grants == 0 ? GRANT_CODE | GRANT_REFRESH
				       : req->grants | GRANT_CODE;
	row->created = clock_now();
}

static void
fill_answer(const char *id, struct row_client *row, char *secret,
    struct a_registered *ans)
{
	ans->client_id = xstrdup(id);
	ans->client_secret = secret;
	ans->issued_at = row->created;
	ans->name = xstrdup(row->name);
	ans->auth_method = xstrdup(row->auth_method);
	ans->application_type = xstrdup(row->application_type);
	ans->client_uri = xstrdup(row->client_uri);
	ans->scope = xstrdup(row->scope);
	ans->grants = row->grants;
	ans->redirect_uris = row->redirect_uris;
	memset(&row->redirect_uris, 0, sizeof(row->redirect_uris));
}

static int
store_client(const char *id, struct row_client *row)
{
	uint8_t key[9 + 64];

	if (row_put(T_CLIENT, id, strlen(id), &def_row_client, row) == -1 ||
	    store_put(T_INDEX, key, unused_key(key, row->created, id), "", 0) ==
		-1 ||
	    expire_at(EXP_CLIENT, row->created + CLIENT_UNUSED_TTL, id,
		strlen(id)) == -1)
		return -1;
	counts.all++;
	counts.unused++;
	return 0;
}

enum verdict
client_register(
    struct slice *sl, const struct a_register *req, struct a_registered *ans)
{
	const struct conf_auth *c = &sl->conf;
	char id[B64URL_LEN(CLIENT_ID_RAW) + 1], *secret = NULL;
	uint8_t raw[CLIENT_ID_RAW];
	struct row_client row;

	if (!c->registration)
		return refuse(ans, "access_denied", "registration is off");
	ans->retry_after = window_check(
	    WIN_REGISTER, req->addr, c->register_count, c->register_window);
	if (ans->retry_after > 0)
		return refuse(ans, "slow_down", "too many registrations");
	memset(&row, 0, sizeof(row));
	if (keep_uris(sl, &req->redirect_uris, &row.redirect_uris) == -1) {
		strv_free(&row.redirect_uris);
		return refuse(ans, "server_error", "out of memory");
	}
	if (row.redirect_uris.n == 0)
		return refuse(ans, "invalid_redirect_uri",
		    "no redirect URI is https, http on loopback, or of a "
		    "private-use scheme");
	if (counts.unused >= CLIENTS_UNUSED_MAX && drop_oldest() == -1) {
		strv_free(&row.redirect_uris);
		return J_DROP;
	}
	random_bytes(raw, sizeof(raw));
	b64url_encode(id, raw, sizeof(raw));
	fill_row(sl, req, &row);
	if (strcmp(row.auth_method, "none") != 0) {
		secret = secret_make("mgs_");
		secret_digest_str(row.secret, SECRET_LABEL, secret);
		row.has_secret = 1;
	}
	window_add(WIN_REGISTER, req->addr, c->register_window);
	(void)store_client(id, &row);
	fill_answer(id, &row, secret, ans);
	wire_free(&def_row_client, &row);
	return J_KEEP;
}

/* ---- look-up and authentication ---- */

int
client_get(const char *id, struct row_client *row)
{
	size_t len = strlen(id);

	memset(row, 0, sizeof(*row));
	if (len == 0 || len > 64)
		return 0;
	return row_get(T_CLIENT, id, len, &def_row_client, row);
}

static int
try_auth(const char *id, const char *secret, struct row_client *row)
{
	uint8_t digest[DIGEST_SIZE];
	int r;

	if ((r = client_get(id, row)) != 1)
		return r;
	if (!row->has_secret)
		return 1;
	secret_digest_str(digest, SECRET_LABEL, secret);
	if (timingsafe_bcmp(digest, row->secret, sizeof(digest)) == 0)
		return 1;
	wire_free(&def_row_client, row);
	return 0;
}

int
client_auth(
    const struct client_proof *p, const char **id, struct row_client *row)
{
	int r;

	*id = p->id;
	r = try_auth(p->id, p->method == CAUTH_NONE ? "" : p->secret, row);
	/* Basic: some encode id and secret as a form first, some do not. */
	if (r == 0 && p->method == CAUTH_BASIC &&
	    (strcmp(p->id, p->id2) != 0 ||
		strcmp(p->secret, p->secret2) != 0)) {
		*id = p->id2;
		r = try_auth(p->id2, p->secret2, row);
	}
	return r;
}

int
client_touch(struct slice *sl, const char *id, struct row_client *row)
{
	int64_t now = clock_now(), age = TOUCH_AGE;
	uint8_t key[9 + 64];

	if (sl->conf.client_ttl > 0 && sl->conf.client_ttl / 4 < age)
		age = sl->conf.client_ttl / 4;
	if (row->used != 0 && now - row->used < age)
		return 0;
	if (row->used == 0) {
		if (store_del(
			T_INDEX, key, unused_key(key, row->created, id)) == -1)
			return -1;
		if (counts.unused > 0)
			counts.unused--;
		if (sl->conf.client_ttl > 0 &&
		    expire_at(EXP_CLIENT, now + sl->conf.client_ttl, id,
			strlen(id)) == -1)
			return -1;
	}
	row->used = now;
	return row_put(T_CLIENT, id, strlen(id), &def_row_client, row);
}

/* ---- the end ---- */

static int
collect_grant(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct ids *ids = arg;

	(void)val;
	(void)vallen;
	if (keylen != ids->prefixlen + ID_LEN ||
	    memcmp(key, ids->prefix, ids->prefixlen) != 0)
		return 1;
	if (ids->n == ids->cap) {
		ids->cap = ids->cap == 0 ? 16 : ids->cap * 2;
		ids->gid = xrealloc(ids->gid, ids->cap * ID_LEN);
	}
	memcpy(ids->gid[ids->n++], key + ids->prefixlen, ID_LEN);
	return 0;
}

static int
drop_grants(const char *id)
{
	uint8_t prefix[2 + 64];
	struct ids ids;
	size_t i;
	int r;

	memset(&ids, 0, sizeof(ids));
	prefix[0] = GRANT_OF_CLIENT;
	memcpy(prefix + 1, id, strlen(id) + 1);
	ids.prefix = prefix;
	ids.prefixlen = 2 + strlen(id);
	r = store_iterate(T_INDEX, prefix, ids.prefixlen, collect_grant, &ids);
	for (i = 0; r == 0 && i < ids.n; i++)
		if (grant_revoke(ids.gid[i]) == -1)
			r = -1;
	free(ids.gid);
	return r;
}

static int
collect_consent(void *arg, const uint8_t *key, size_t keylen,
    const uint8_t *val, size_t vallen)
{
	struct keys *k = arg;

	(void)val;
	(void)vallen;
	if (keylen < k->prefixlen || keylen > 255 ||
	    memcmp(key, k->prefix, k->prefixlen) != 0)
		return 1;
	k->p = xrealloc(k->p, k->len + 1 + keylen);
	k->p[k->len] = keylen;
	memcpy(k->p + k->len + 1, key, keylen);
	k->len += 1 + keylen;
	return 0;
}

static int
drop_consents(const char *id)
{
	struct keys k = {.prefix = id, .prefixlen = strlen(id) + 1};
	size_t at;
	int r;

	r = store_iterate(T_CONSENT, id, k.prefixlen, collect_consent, &k);
	for (at = 0; r == 0 && at < k.len; at += 1 + k.p[at])
		r = store_del(T_CONSENT, k.p + at + 1, k.p[at]);
	free(k.p);
	return r;
}

int
client_delete(const char *id)
{
	struct row_client row;
	uint8_t key[9 + 64];
	int r;

	if ((r = client_get(id, &row)) != 1)
		return r;
	if (drop_grants(id) == -1 || drop_consents(id) == -1 ||
	    store_del(T_INDEX, key, unused_key(key, row.created, id)) == -1 ||
	    store_del(T_CLIENT, id, strlen(id)) == -1)
		r = -1;
	if (row.used == 0 && counts.unused > 0)
		counts.unused--;
	if (counts.all > 0)
		counts.all--;
	wire_free(&def_row_client, &row);
	return r;
}

int64_t
client_expire(struct slice *sl, const char *id)
{
	struct row_client row;
	int64_t until;

	if (client_get(id, &row) != 1)
		return 0;
	if (row.used == 0)
		until = row.created + CLIENT_UNUSED_TTL;
	else if (sl->conf.client_ttl == 0)
		until = clock_settled() + CLIENT_UNUSED_TTL;
	else
		until = row.used + sl->conf.client_ttl;
	wire_free(&def_row_client, &row);
	if (until > clock_settled())
		return until;
	log_info("AUTH client %s goes: not used since long", id);
	(void)client_delete(id);
	return 0;
}
