/*
 * Exchanges: what a worker or the keeper has sent and is to be told of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "memfd.h"
#include "rpc.h"
#include "runner.h"

#define HASH          1024
#define PENDING_MAX   4096 /* calls that a child has not answered */
#define WAITING_BYTES (32 * 1024 * 1024) /* of calls until it is up */

static struct exchange *exchange_new(
    struct peer *, uint32_t, struct session *, struct child *);
static struct exchange *exchange_find(struct peer *, uint32_t);
static void exchange_put(struct exchange *, struct exchanges *);
static void exchange_free(struct exchange *);
static char *exchange_body(struct exchange *, size_t *);
static void exchange_leave(struct exchange *);
static void exchange_owe(struct exchange *, enum n_end, const char *);
static int refuse(struct peer *, uint32_t, enum n_end, const char *);
static int post(struct exchange *, const char *, size_t);
static size_t hash(const struct peer *, uint32_t);

static LIST_HEAD(, exchange) table[HASH];

static size_t
hash(const struct peer *p, uint32_t id)
{
	return ((size_t)peer_id(p) * 31 + id) % HASH;
}

static struct exchange *
exchange_new(struct peer *p, uint32_t id, struct session *s, struct child *c)
{
	struct exchange *x;

	if ((x = calloc(1, sizeof(*x))) == NULL)
		return NULL;
	x->peer = p;
	x->id = id;
	x->session = s;
	x->child = c;
	LIST_INSERT_HEAD(&table[hash(p, id)], x, hash);
	return x;
}

static struct exchange *
exchange_find(struct peer *p, uint32_t id)
{
	struct exchange *x;

	LIST_FOREACH (x, &table[hash(p, id)], hash)
		if (x->peer == p && x->id == id)
			return x;
	return NULL;
}

static void
exchange_put(struct exchange *x, struct exchanges *list)
{
	x->list = list;
	TAILQ_INSERT_TAIL(list, x, entry);
}

/* Its child and its session have no more to do with it. */
static void
exchange_leave(struct exchange *x)
{
	size_t len;
	char *body;

	if (x->list != NULL)
		TAILQ_REMOVE(x->list, x, entry);
	if (x->child != NULL && x->n != 0)
		x->child->npending--;
	if (x->body != NULL) {
		body = exchange_body(x, &len);
		freezero(body, len);
	}
	x->list = NULL;
	x->child = NULL;
	x->session = NULL;
	x->n = 0;
}

/* What it would have said goes to the caller. */
static char *
exchange_body(struct exchange *x, size_t *len)
{
	char *body = x->body;

	*len = x->bodylen;
	x->child->nwaiting--;
	x->child->waitlen -= x->bodylen;
	x->body = NULL;
	return body;
}

static void
exchange_free(struct exchange *x)
{
	exchange_leave(x);
	LIST_REMOVE(x, hash);
	free(x->why);
	free(x->rpcid);
	free(x->token);
	free(x->uri);
	free(x);
}

static int
refuse(struct peer *p, uint32_t id, enum n_end end, const char *why)
{
	struct n_done m;
	char text[400];

	(void)strlcpy(text, why, sizeof(text));
	m.end = end;
	m.why = text;
	return peer_send(p, N_DONE, id, &def_n_done, &m, -1);
}

/* ---- from workers and the keeper ---- */

void
exchange_send(struct peer *p, uint32_t id, const struct n_send *m,
    const char *body, size_t len)
{
	struct session *s = session_find(m->session);
	struct exchange *x;
	struct child *c;
	const char *why = "";

	if (exchange_find(p, id) != NULL ||
	    (x = exchange_new(p, id, NULL, NULL)) == NULL) {
		(void)refuse(
		    p, id, N_END_BUSY, "can not be asked: out of memory");
		return;
	}
	if (s == NULL || s->b->conf.id != m->backend) {
		exchange_done(x, N_END_SESSION, "");
		return;
	}
	s->used = mono_msec();
	if (m->method == N_DELETE || m->method == N_LEAVE) {
		c = m->method == N_DELETE ? s->child : NULL;
		session_end(s);
		if (c != NULL && c->b->conf.instance == INSTANCE_SESSION)
			child_end(c);
		exchange_done(x, N_END_OK, "");
		return;
	}
	x->session = s;
	if (m->method == N_GET) {
		exchange_put(x, &s->watchers);
		return;
	}
	if ((c = session_child(s, &why)) == NULL) {
		exchange_done(x, N_END_DIED, why);
		return;
	}
	if (!is_keeper(p))
		c->used = s->used;
	x->child = c;
	if (c->state == CHILD_UP) {
		(void)post(x, body, len);
		return;
	}
	if (c->nwaiting >= PENDING_MAX ||
	    (c->nwaiting > 0 && c->waitlen + len > WAITING_BYTES)) {
		exchange_done(x, N_END_BUSY,
		    "is starting, and too many calls wait for it");
		return;
	}
	if ((x->body = malloc(len + 1)) == NULL) {
		exchange_done(x, N_END_BUSY, "can not be asked: out of memory");
		return;
	}
	memcpy(x->body, body, len);
	x->bodylen = len;
	c->nwaiting++;
	c->waitlen += len;
	exchange_put(x, &c->waiting);
}

/* -1 when it is over already, and x is gone. */
static int
post(struct exchange *x, const char *body, size_t len)
{
	struct child *c = x->child;
	struct rpc r;
	const char *why = "";
	int code;

	switch (rpc_scan(&r, body, len, &code, &why)) {
	case RPC_REQUEST:
		break;
	case RPC_BAD:
		exchange_done(x, N_END_BUSY, "can not be asked that");
		return -1;
	default:
		mux_other(x->peer, c, body, len);
		exchange_done(x, N_END_OK, "");
		return -1;
	}
	if (c->npending >= PENDING_MAX) {
		exchange_done(x, N_END_BUSY, "has too many calls open");
		return -1;
	}
	x->n = ++c->next;
	c->npending++;
	exchange_put(x, &c->pending[x->n % PENDING]);
	if (mux_request(x, &r, body, len, &why) == -1) {
		exchange_done(x, N_END_BUSY, why);
		return -1;
	}
	return 0;
}

void
exchanges_go(struct child *c)
{
	struct exchange *x;
	char *body;
	size_t len;

	while ((x = TAILQ_FIRST(&c->waiting)) != NULL && c->state == CHILD_UP) {
		TAILQ_REMOVE(&c->waiting, x, entry);
		x->list = NULL;
		body = exchange_body(x, &len);
		(void)post(x, body, len);
		freezero(body, len);
	}
}

void
exchange_cancel(struct peer *p, uint32_t id)
{
	struct exchange *x = exchange_find(p, id);

	if (x == NULL)
		return;
	/* Its answer may still come, and is one to nothing. */
	if (x->n != 0)
		mux_cancel(x);
	exchange_free(x);
}

void
exchanges_gone(struct peer *p)
{
	struct exchange *x, *next;
	size_t i;

	for (i = 0; i < HASH; i++)
		for (x = LIST_FIRST(&table[i]); x != NULL; x = next) {
			next = LIST_NEXT(x, hash);
			if (x->peer == p)
				exchange_cancel(p, x->id);
		}
	asks_gone(p);
}

/* ---- toward them ---- */

struct exchange *
exchange_of(struct child *c, uint64_t n)
{
	struct exchange *x;

	TAILQ_FOREACH (x, &c->pending[n % PENDING], entry)
		if (x->n == n)
			return x;
	return NULL;
}

struct exchange *
exchange_newest(const struct child *c, const struct session *s)
{
	struct exchange *x, *newest = NULL;
	size_t i;

	for (i = 0; i < PENDING; i++)
		TAILQ_FOREACH (x, &c->pending[i], entry)
			if (!is_keeper(x->peer) &&
			    (s == NULL || x->session == s) &&
			    (newest == NULL || x->n > newest->n))
				newest = x;
	return newest;
}

int
exchange_tell(struct child *from, const struct exchange *x, const char *a,
    size_t alen, const char *b, size_t blen, const char *c, size_t clen)
{
	struct n_message m;
	size_t len = alen + blen + clen;
	char *p;
	int fd, rv = -1;

	memset(&m, 0, sizeof(m));
	if ((p = malloc(len + 1)) == NULL) {
		log_warn("a message to %s", role_name(peer_role(x->peer)));
		return -1;
	}
	memcpy(p, a, alen);
	memcpy(p + alen, b, blen);
	memcpy(p + alen + blen, c, clen);
	if (len <= N_INLINE) {
		m.body.p = (uint8_t *)p;
		m.body.len = (uint32_t)len;
		rv = peer_send(
		    x->peer, N_MESSAGE, x->id, &def_n_message, &m, -1);
	} else if ((fd = memfd_seal(p, len)) == -1)
		log_warn("memfd");
	else {
		m.size = (uint32_t)len;
		runner_far(x->peer, len);
		rv = peer_send(
		    x->peer, N_MESSAGE_FD, x->id, &def_n_message, &m, fd);
		if (rv == -1)
			close(fd);
	}
	free(p);
	runner_sent(x->peer, from);
	return rv;
}

void
exchange_done(struct exchange *x, enum n_end end, const char *why)
{
	int rv = refuse(x->peer, x->id, end, why);
	int owed = rv == -1 && errno != EPIPE;

	runner_sent(x->peer, NULL);
	if (owed)
		exchange_owe(x, end, why);
	else
		exchange_free(x);
}

/* No more of these than the peer has requests open. */
static void
exchange_owe(struct exchange *x, enum n_end end, const char *why)
{
	exchange_leave(x);
	x->owed = 1;
	x->end = end;
	x->why = strdup(why);
}

int
exchanges_owed(struct peer *p)
{
	struct exchange *x, *next;
	size_t i;

	for (i = 0; i < HASH; i++)
		for (x = LIST_FIRST(&table[i]); x != NULL; x = next) {
			next = LIST_NEXT(x, hash);
			if (x->peer != p || !x->owed)
				continue;
			if (refuse(p, x->id, x->end,
				x->why != NULL ? x->why : "") == -1)
				return 1;
			exchange_free(x);
		}
	return 0;
}

void
exchanges_fail(struct child *c, enum n_end end, const char *why)
{
	struct exchange *x;
	size_t i;

	for (i = 0; i < PENDING; i++)
		while ((x = TAILQ_FIRST(&c->pending[i])) != NULL)
			exchange_done(x, end, why);
	while ((x = TAILQ_FIRST(&c->waiting)) != NULL)
		exchange_done(x, end, why);
}

/* The session ends: its streams are over, and what is under way is not. */
void
exchanges_of_session(struct session *s, enum n_end end)
{
	struct exchange *x, *next;
	size_t i;

	while ((x = TAILQ_FIRST(&s->watchers)) != NULL)
		exchange_done(x, end, "");
	for (i = 0; i < HASH; i++)
		for (x = LIST_FIRST(&table[i]); x != NULL; x = next) {
			next = LIST_NEXT(x, hash);
			if (x->session != s)
				continue;
			if (x->n != 0)
				mux_cancel(x);
			exchange_done(x, end, "");
		}
}
