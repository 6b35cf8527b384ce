/*
 * The proof cache is four-way associative and fixed in size: what falls out is
 * verified again. Only successes are kept, so a stranger can not push anything
 * out by sending rubbish, beyond the cost of refusing it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authc.h"
#include "bearer.h"
#include "compat.h"
#include "digest.h"
#include "oauth.h"
#include "revoked.h"
#include "worker.h"

#define SETS 1024
#define WAYS 4

struct entry {
	uint8_t digest[DIGEST_LEN];
	struct proof proof;
	int full;
};

static int bearer_token(const struct request *, struct span *);
static struct entry *bearer_find(const uint8_t *);
static struct entry *bearer_verify(const struct span *, const uint8_t *);
static void entry_clear(struct entry *);
static int bearer_scope(const char *, const char *);
static void bearer_used(struct proof *);

static struct entry *cache; /* SETS * WAYS, made on first use */
static unsigned int victim;

/* 1: a token, 0: none, -1: more than one Authorization header. */
static int
bearer_token(const struct request *rq, struct span *token)
{
	const struct span *a = http_get(&rq->head, HDR_AUTHORIZATION);

	if (a == NULL)
		return 0;
	if (http_count(&rq->head, HDR_AUTHORIZATION) > 1)
		return -1;
	if (a->len < 7 || strncasecmp(a->p, "Bearer ", 7) != 0)
		return 0;
	token->p = a->p + 7;
	token->len = a->len - 7;
	while (token->len > 0 && *token->p == ' ') {
		token->p++;
		token->len--;
	}
	return 1;
}

static struct entry *
bearer_find(const uint8_t *digest)
{
	struct entry *e;
	size_t i;

	if (cache == NULL)
		return NULL;
	e = cache + ((digest[0] | digest[1] << 8) % SETS) * WAYS;
	for (i = 0; i < WAYS; i++)
		if (e[i].full && memcmp(e[i].digest, digest, DIGEST_LEN) == 0)
			return &e[i];
	return NULL;
}

static void
entry_clear(struct entry *e)
{
	free(e->proof.sub);
	free(e->proof.client);
	free(e->proof.aud);
	free(e->proof.scope);
	memset(e, 0, sizeof(*e));
}

static struct entry *
bearer_verify(const struct span *token, const uint8_t *digest)
{
	struct jwt_claims jc;
	struct jwt_key *key;
	struct entry *e;
	char kid[64];
	size_t i;

	if (token->len > JWT_MAX ||
	    jwt_kid(token->p, token->len, kid, sizeof(kid)) == -1 ||
	    (key = authc_key(kid)) == NULL ||
	    jwt_verify(key, token->p, token->len, &jc) == -1 ||
	    strcmp(jc.iss, worker.conf.issuer) != 0)
		return NULL;
	if (cache == NULL &&
	    (cache = calloc(SETS * WAYS, sizeof(*cache))) == NULL)
		return NULL;
	e = cache + ((digest[0] | digest[1] << 8) % SETS) * WAYS;
	for (i = 0; i < WAYS - 1 && e[i].full; i++)
		;
	if (e[i].full)
		i = victim++ % WAYS;
	entry_clear(&e[i]);
	e[i].proof.sub = strdup(jc.sub);
	e[i].proof.client = strdup(jc.client_id);
	e[i].proof.aud = strdup(jc.aud);
	e[i].proof.scope = strdup(jc.scope);
	if (e[i].proof.sub == NULL || e[i].proof.client == NULL ||
	    e[i].proof.aud == NULL || e[i].proof.scope == NULL) {
		entry_clear(&e[i]);
		return NULL;
	}
	memcpy(e[i].digest, digest, DIGEST_LEN);
	memcpy(e[i].proof.gid, jc.gid, ID_LEN);
	memcpy(e[i].proof.jti, jc.jti, ID_LEN);
	e[i].proof.iat = jc.iat;
	e[i].proof.exp = jc.exp;
	e[i].proof.n = jc.n;
	e[i].full = 1;
	return &e[i];
}

static int
bearer_scope(const char *scope, const char *want)
{
	size_t n = strlen(want);
	const char *p;

	for (p = scope; (p = strstr(p, want)) != NULL; p += n)
		if ((p == scope || p[-1] == ' ') &&
		    (p[n] == '\0' || p[n] == ' '))
			return 1;
	return 0;
}

/* The first use tells authd that the client has got what it was sent, which
 * ends the life of the refresh token before (design 3, Refresh). */
static void
bearer_used(struct proof *p)
{
	struct a_used u;

	p->used = 1;
	memcpy(u.gid, p->gid, ID_LEN);
	u.n = p->n;
	authd_tell(A_USED, &def_a_used, &u);
}

enum bearer
bearer_check(
    const struct request *rq, const char *resource, const struct proof **proof)
{
	uint8_t digest[DIGEST_LEN];
	struct span token;
	struct entry *e;
	int64_t now;
	int r;

	if ((r = bearer_token(rq, &token)) <= 0)
		return r == 0 ? BEARER_NONE : BEARER_TWICE;
	if (!authc_ready())
		return BEARER_DOWN;
	sha256(digest, token.p, token.len);
	if ((e = bearer_find(digest)) == NULL &&
	    (e = bearer_verify(&token, digest)) == NULL)
		return BEARER_INVALID;
	now = authc_now();
	if (now >= e->proof.exp || e->proof.iat > now + CLOCK_SKEW) {
		entry_clear(e);
		return BEARER_INVALID;
	}
	if (revoked_has(REV_GRANT, e->proof.gid) ||
	    revoked_has(REV_TOKEN, e->proof.jti)) {
		entry_clear(e);
		return BEARER_INVALID;
	}
	if (strcmp(e->proof.aud, resource) != 0)
		return BEARER_INVALID;
	if (!bearer_scope(e->proof.scope, "mcp"))
		return BEARER_SCOPE;
	if (!e->proof.used)
		bearer_used(&e->proof);
	*proof = &e->proof;
	return BEARER_OK;
}

int
bearer_known(const struct request *rq)
{
	const struct proof *p;

	return rq->endpoint != NULL &&
	       bearer_check(rq, rq->endpoint->resource, &p) == BEARER_OK;
}

void
bearer_refuse(struct request *rq, enum bearer why)
{
	char challenge[1024], base[512];
	const char *path = rq->endpoint->conf.path;
	const struct span *accept = http_get(&rq->head, HDR_ACCEPT);

	if (why == BEARER_TWICE) {
		reply_error(rq, 400, "invalid_request",
		    "more than one Authorization header");
		return;
	}
	if (why == BEARER_DOWN) {
		reply_unavailable(rq, 1);
		return;
	}
	snprintf(challenge, sizeof(challenge),
	    "Bearer %sresource_metadata=\"%s/.well-known/"
	    "oauth-protected-resource%s\", scope=\"mcp\"",
	    why == BEARER_INVALID ? "error=\"invalid_token\", "
	    : why == BEARER_SCOPE ? "error=\"insufficient_scope\", "
				  : "",
	    oauth_base(rq, base, sizeof(base)), path);
	if (why == BEARER_NONE && rq->head.method == HTTP_GET &&
	    accept != NULL && http_has_token(accept, "text/html")) {
		oauth_browser_page(rq, challenge);
		return;
	}
	reply_header(rq, "WWW-Authenticate", challenge);
	if (why == BEARER_SCOPE)
		reply_error(rq, 403, "insufficient_scope",
		    "the token lacks the scope mcp");
	else
		reply_error(rq, 401, "invalid_token",
		    why == BEARER_NONE ? "no access token was sent"
				       : "the access token is not valid");
}

void
bearer_forget(uint8_t kind, const uint8_t id[ID_LEN])
{
	size_t i;

	for (i = 0; cache != NULL && i < SETS * WAYS; i++) {
		if (!cache[i].full)
			continue;
		if ((kind == REV_GRANT &&
			memcmp(cache[i].proof.gid, id, ID_LEN) == 0) ||
		    (kind == REV_TOKEN &&
			memcmp(cache[i].proof.jti, id, ID_LEN) == 0))
			entry_clear(&cache[i]);
	}
}

void
bearer_forget_all(void)
{
	size_t i;

	for (i = 0; cache != NULL && i < SETS * WAYS; i++)
		entry_clear(&cache[i]);
}
