/*
 * The channel to authd. A worker joins by receiving keys and live revocations;
 * it keeps both when authd dies, so tokens already issued go on working, and
 * joins again on the next channel.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "authc.h"
#include "b64.h"
#include "bearer.h"
#include "call.h"
#include "compat.h"
#include "getstream.h"
#include "json.h"
#include "log.h"
#include "master.h"
#include "peer.h"
#include "revoked.h"
#include "worker.h"

#define CALL_TIME    20000 /* ms */
#define PURGE        600 /* s, of authd's time */
#define MAX_KEYS     16
#define MAX_SEALKEYS 64

struct authd_call {
	TAILQ_ENTRY(authd_call) entry;
	uint32_t id;
	uint32_t want; /* type of the answer */
	uint64_t deadline;
	authd_cb cb;
	void *arg;
};

static void authd_gone(struct peer *);
static void on_clock(struct peer *, uint32_t, void *, int);
static void on_signkey(struct peer *, uint32_t, void *, int);
static void on_sealkey(struct peer *, uint32_t, void *, int);
static void on_revoked(struct peer *, uint32_t, void *, int);
static void on_join_end(struct peer *, uint32_t, void *, int);
static void on_registered(struct peer *, uint32_t, void *, int);
static void on_page(struct peer *, uint32_t, void *, int);
static void on_tokens(struct peer *, uint32_t, void *, int);
static void on_done(struct peer *, uint32_t, void *, int);
static void answer(uint32_t, uint32_t, void *);
static uint32_t answer_type(uint32_t);
static void keys_forget(void);
static void jwks_render(void);

#define JOINING PEER_S0
#define JOINED  PEER_S1

static const struct peer_rule rules[] = {
    {A_CLOCK, &def_a_clock, PEER_ANY, 0, on_clock},
    {A_SIGNKEY, &def_a_signkey, PEER_ANY, 0, on_signkey},
    {A_SEALKEY, &def_a_sealkey, PEER_ANY, 0, on_sealkey},
    {A_REVOKED, &def_a_revoked, PEER_ANY, 0, on_revoked},
    {A_JOIN_END, NULL, JOINING, 0, on_join_end},
    {A_REGISTERED, &def_a_registered, JOINED, 0, on_registered},
    {A_PAGE, &def_a_page, JOINED, 0, on_page},
    {A_TOKENS, &def_a_tokens, JOINED, 0, on_tokens},
    {A_DONE, &def_a_done, JOINED, 0, on_done},
};
static const struct peer_class authd_class = {
    "authd", rules, sizeof(rules) / sizeof(rules[0]), 0, authd_gone, NULL};

static TAILQ_HEAD(, authd_call) calls = TAILQ_HEAD_INITIALIZER(calls);
static struct peer *authd;
static int joined; /* on this channel */
static int ever_joined;
static uint32_t next_id;
static int64_t mark; /* highest time that authd has told */
static struct {
	struct jwt_key *key;
	struct a_signkey pub;
	int told; /* on this channel */
} keys[MAX_KEYS];
static size_t nkeys;
static struct seal_key sealkeys[MAX_SEALKEYS];
static size_t nsealkeys;
static uint32_t sealing; /* key id to seal with */
static char *jwks;

void
authc_channel(int fd)
{
	size_t i;

	if (authd != NULL) {
		peer_free(authd);
		authd = NULL;
	}
	joined = 0;
	for (i = 0; i < nkeys; i++)
		keys[i].told = 0;
	authd = peer_new(fd, &authd_class, ROLE_AUTHD, 0, worker.gen, NULL);
	if (authd == NULL || peer_send(authd, A_JOIN, 0, NULL, NULL, -1) == -1)
		log_warnx("authd: out of memory");
}

static void
authd_gone(struct peer *p)
{
	struct authd_call *c;

	if (p != authd)
		return;
	authd = NULL;
	joined = 0;
	while ((c = TAILQ_FIRST(&calls)) != NULL) {
		TAILQ_REMOVE(&calls, c, entry);
		c->cb(c->arg, NULL);
		free(c);
	}
}

/* A revocation is dropped only when what it covers has ended by authd's time,
 * behind which authc_now never goes back. */
static void
on_clock(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct a_clock *c = msg;
	static int64_t purged;

	(void)p;
	(void)id;
	(void)fd;
	if (c->now > mark)
		mark = c->now;
	if (mark - purged >= PURGE) {
		purged = mark;
		revoked_purge(mark);
	}
}

int64_t
authc_now(void)
{
	int64_t wall = time(NULL);

	return wall > mark ? wall : mark;
}

static void
on_signkey(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct a_signkey *k = msg;
	size_t i;

	(void)p;
	(void)id;
	(void)fd;
	for (i = 0; i < nkeys; i++)
		if (strcmp(jwt_key_kid(keys[i].key), k->kid) == 0) {
			keys[i].told = 1;
			return;
		}
	if (nkeys == MAX_KEYS) {
		jwt_key_free(keys[0].key);
		wire_free(&def_a_signkey, &keys[0].pub);
		memmove(keys, keys + 1, --nkeys * sizeof(keys[0]));
	}
	if ((keys[nkeys].key = jwt_key_new(k->kid, k->x, k->y)) == NULL ||
	    wire_copy(&def_a_signkey, &keys[nkeys].pub, k) == -1)
		fatalx("authd sent a signing key that can not be used");
	keys[nkeys++].told = 1;
	jwks_render();
}

/* A join names all keys that there are: one that is not among them was removed,
 * and what it has signed is worth nothing any more. */
static void
keys_forget(void)
{
	size_t i, kept = 0;

	for (i = 0; i < nkeys; i++) {
		if (keys[i].told) {
			keys[kept++] = keys[i];
			continue;
		}
		log_info("authd: a signing key is gone");
		jwt_key_free(keys[i].key);
		wire_free(&def_a_signkey, &keys[i].pub);
	}
	if (kept == nkeys)
		return;
	nkeys = kept;
	bearer_forget_all();
	jwks_render();
}

static void
on_sealkey(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct a_sealkey *k = msg;
	size_t i;

	(void)p;
	(void)id;
	(void)fd;
	for (i = 0; i < nsealkeys; i++)
		if (sealkeys[i].kid == k->kid)
			break;
	if (i == MAX_SEALKEYS) {
		memmove(sealkeys, sealkeys + 1,
		    (MAX_SEALKEYS - 1) * sizeof(sealkeys[0]));
		i = MAX_SEALKEYS - 1;
	}
	sealkeys[i].kid = k->kid;
	memcpy(sealkeys[i].key, k->key, sizeof(k->key));
	if (i >= nsealkeys)
		nsealkeys = i + 1;
	if (k->current)
		sealing = k->kid;
}

static void
on_revoked(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct a_revoked *r = msg;
	struct a_ack ack = {r->n};

	(void)id;
	(void)fd;
	/* A join repeats what is known; only news cost a search. */
	if (!revoked_has(r->kind, r->id)) {
		if (revoked_add(r->kind, r->id, r->until) == -1)
			fatalx("out of memory");
		bearer_forget(r->kind, r->id);
		calls_end(r->kind, r->id);
		getstreams_end(r->kind, r->id);
	}
	if (joined && peer_send(p, A_ACK, 0, &def_a_ack, &ack, -1) == -1)
		fatalx("can not acknowledge a revocation");
}

static void
on_join_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id;
	(void)msg;
	(void)fd;
	keys_forget();
	peer_setstate(p, JOINED);
	joined = 1;
	if (peer_send(p, A_JOINED, 0, NULL, NULL, -1) == -1)
		fatalx("can not join authd");
	if (!ever_joined) {
		ever_joined = 1;
		master_ready();
	}
}

static void
on_registered(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)fd;
	answer(id, A_REGISTERED, msg);
}

static void
on_page(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)fd;
	answer(id, A_PAGE, msg);
}

static void
on_tokens(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)fd;
	answer(id, A_TOKENS, msg);
}

static void
on_done(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)fd;
	answer(id, A_DONE, msg);
}

/* An answer that nobody waits for any more is dropped. */
static void
answer(uint32_t id, uint32_t type, void *msg)
{
	struct authd_call *c;

	TAILQ_FOREACH (c, &calls, entry)
		if (c->id == id && c->want == type)
			break;
	if (c == NULL)
		return;
	TAILQ_REMOVE(&calls, c, entry);
	c->cb(c->arg, msg);
	free(c);
}

static uint32_t
answer_type(uint32_t type)
{
	switch (type) {
	case A_REGISTER:
		return A_REGISTERED;
	case A_AUTHORIZE:
	case A_RESUME:
	case A_SIGNIN:
	case A_DECIDE:
		return A_PAGE;
	case A_TOKEN:
		return A_TOKENS;
	default:
		return A_DONE;
	}
}

struct authd_call *
authd_ask(uint32_t type, const struct msgdef *def, const void *msg, authd_cb cb,
    void *arg)
{
	struct authd_call *c;

	if (authd == NULL || !joined || (c = malloc(sizeof(*c))) == NULL)
		return NULL;
	c->id = ++next_id;
	c->want = answer_type(type);
	c->deadline = mono_msec() + CALL_TIME;
	c->cb = cb;
	c->arg = arg;
	if (peer_send(authd, type, c->id, def, msg, -1) == -1) {
		free(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&calls, c, entry);
	return c;
}

void
authd_cancel(struct authd_call *c)
{
	TAILQ_REMOVE(&calls, c, entry);
	free(c);
}

void
authd_tell(uint32_t type, const struct msgdef *def, const void *msg)
{
	if (authd != NULL && joined)
		(void)peer_send(authd, type, 0, def, msg, -1);
}

void
authc_tick(void)
{
	struct authd_call *c;
	uint64_t now = mono_msec();

	while ((c = TAILQ_FIRST(&calls)) != NULL && c->deadline <= now) {
		TAILQ_REMOVE(&calls, c, entry);
		c->cb(c->arg, NULL);
		free(c);
	}
}

int
authc_ready(void)
{
	return ever_joined;
}

int
authc_up(void)
{
	return joined;
}

struct jwt_key *
authc_key(const char *kid)
{
	size_t i;

	for (i = 0; i < nkeys; i++)
		if (strcmp(jwt_key_kid(keys[i].key), kid) == 0)
			return keys[i].key;
	return NULL;
}

const struct seal_key *
authc_seal(void)
{
	return authc_unseal(sealing);
}

const struct seal_key *
authc_unseal(uint32_t kid)
{
	size_t i;

	for (i = 0; i < nsealkeys; i++)
		if (sealkeys[i].kid == kid)
			return &sealkeys[i];
	return NULL;
}

/* RFC 7517; public members only. */
static void
jwks_render(void)
{
	char x[B64URL_LEN(32) + 1], y[B64URL_LEN(32) + 1];
	struct json_buf b = {0};
	size_t i;

	json_puts(&b, "{\"keys\":[");
	for (i = 0; i < nkeys; i++) {
		b64url_encode(x, keys[i].pub.x, 32);
		b64url_encode(y, keys[i].pub.y, 32);
		json_puts(&b, i ? "," : "");
		json_puts(&b, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":");
		json_putstr(&b, x);
		json_puts(&b, ",\"y\":");
		json_putstr(&b, y);
		json_puts(&b, ",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":");
		json_putstr(&b, keys[i].pub.kid);
		json_puts(&b, "}");
	}
	json_puts(&b, "]}");
	free(jwks);
	jwks = json_buf_take(&b, NULL);
}

const char *
authc_jwks(void)
{
	return jwks == NULL ? "" : jwks;
}
