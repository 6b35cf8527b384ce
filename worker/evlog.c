/*
 * Event streams and their logs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "compat.h"
#include "evlog.h"
#include "log.h"

#define MAX_EVENTS   256 /* of a stream */
#define MAX_BYTES    (1024 * 1024) /* of a stream */
#define MAX_KEPT     (32 * 1024 * 1024) /* of ended streams, with all of it */
#define KEEP_TIME    (300 * 1000) /* ms after the end */
#define COMMENT_TIME 15000 /* ms */
#define BACKLOG_MAX  (128 * 1024) /* unread bytes before events wait */
#define PRIMED       "2025-11-25" /* first revision with priming events */

struct event_line {
	TAILQ_ENTRY(event_line) entry;
	uint64_t seq;
	size_t len;
	char text[];
};

struct evlog {
	TAILQ_ENTRY(evlog) entry;
	uint64_t id;
	uint8_t nonce[ID_LEN];
	struct holder by;
	int primed;
	uint64_t seq; /* of the last event */
	TAILQ_HEAD(, event_line) events;
	size_t nevents, bytes;
	uint64_t sent; /* number of the last event written to rq */
	struct request *rq; /* NULL: nobody there */
	const struct evlog_ops *ops;
	void *arg;
	uint64_t ended; /* ms; 0: more may come */
	int brief; /* it goes as soon as its client has */
	uint64_t said; /* ms; last byte */
};

static int evlog_keep(struct evlog *, const char *, size_t);
static int evlog_flush(struct evlog *);
static void evlog_done(struct evlog *);
static struct evlog *evlog_find(
    const uint8_t *, const uint8_t *, uint64_t, uint64_t);
static void evlog_drop(struct evlog *);
static void evlog_free(struct evlog *);
static void evlog_rq_gone(struct request *);
static void evlog_rq_drained(struct request *);
static void evlog_bind(struct evlog *, struct request *);
static struct request *evlog_unbind(struct evlog *);
static void evlog_cut(struct evlog *);
static size_t evlog_size(const struct evlog *);

static TAILQ_HEAD(, evlog) logs = TAILQ_HEAD_INITIALIZER(logs);
static uint64_t next_id;

void
evlog_holder(struct holder *by, const struct proof *proof)
{
	memset(by, 0, sizeof(*by));
	if (proof == NULL)
		return;
	memcpy(by->gid, proof->gid, ID_LEN);
	memcpy(by->jti, proof->jti, ID_LEN);
	by->exp = proof->exp;
}

int
evlog_revoked(const struct holder *by, uint8_t kind, const uint8_t id[ID_LEN])
{
	return (kind == REV_GRANT && memcmp(by->gid, id, ID_LEN) == 0) ||
	       (kind == REV_TOKEN && memcmp(by->jti, id, ID_LEN) == 0);
}

struct evlog *
evlog_new(const uint8_t nonce[ID_LEN], const struct holder *by,
    const char *revision, const struct evlog_ops *ops, void *arg)
{
	struct evlog *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->id = ++next_id;
	memcpy(l->nonce, nonce, ID_LEN);
	l->by = *by;
	l->primed = strcmp(revision, PRIMED) >= 0;
	l->ops = ops;
	l->arg = arg;
	TAILQ_INIT(&l->events);
	TAILQ_INSERT_TAIL(&logs, l, entry);
	return l;
}

uint64_t
evlog_id(const struct evlog *l)
{
	return l->id;
}

const struct holder *
evlog_by(const struct evlog *l)
{
	return &l->by;
}

static void
evlog_bind(struct evlog *l, struct request *rq)
{
	l->rq = rq;
	l->said = mono_msec();
	rq->ctx = l;
	rq->gone = evlog_rq_gone;
	rq->drained = evlog_rq_drained;
	if (!rq->streaming)
		reply_stream(rq, 200, "text/event-stream");
}

/* Older clients take an event without data for a message and fail. */
void
evlog_attach(struct evlog *l, struct request *rq)
{
	char text[96];
	int n;

	evlog_bind(l, rq);
	if (!l->primed)
		return;
	l->sent = ++l->seq;
	n = snprintf(text, sizeof(text),
	    "id: %" PRIu64 ".%" PRIu64 ".%" PRIu64 "\nretry: 1000\ndata: \n\n",
	    worker.id, l->id, l->seq);
	(void)reply_chunk(rq, text, n);
}

/* A backend may break its JSON over lines, outside of strings; data lines may
 * not hold a line end. */
static int
evlog_keep(struct evlog *l, const char *json, size_t len)
{
	struct event_line *e;
	size_t i;
	int missed;

	if ((e = malloc(sizeof(*e) + len + 128)) == NULL)
		return -1;
	e->seq = ++l->seq;
	e->len = snprintf(e->text, 128,
	    "event: message\nid: %" PRIu64 ".%" PRIu64 ".%" PRIu64 "\ndata: ",
	    worker.id, l->id, l->seq);
	memcpy(e->text + e->len, json, len);
	for (i = 0; i < len; i++)
		if (json[i] == '\n' || json[i] == '\r')
			e->text[e->len + i] = ' ';
	e->len += len;
	e->text[e->len++] = '\n';
	e->text[e->len++] = '\n';
	TAILQ_INSERT_TAIL(&l->events, e, entry);
	l->nevents++;
	l->bytes += e->len;
	while (l->nevents > MAX_EVENTS ||
	       (l->bytes > MAX_BYTES && l->nevents > 1)) {
		missed = TAILQ_FIRST(&l->events)->seq > l->sent;
		/* A client so far behind has lost events: it starts anew. */
		if (l->rq != NULL && missed)
			evlog_cut(l);
		evlog_drop(l);
		if (missed && l->ops != NULL && l->ops->missed != NULL)
			l->ops->missed(l->arg);
	}
	return 0;
}

static void
evlog_drop(struct evlog *l)
{
	struct event_line *e = TAILQ_FIRST(&l->events);

	TAILQ_REMOVE(&l->events, e, entry);
	l->nevents--;
	l->bytes -= e->len;
	free(e);
}

int
evlog_send(struct evlog *l, const char *json, size_t len)
{
	if (evlog_keep(l, json, len) == -1)
		return -1;
	if (l->rq != NULL)
		(void)evlog_flush(l);
	return 0;
}

/* Writes what has not been written, as far as the client reads. */
static int
evlog_flush(struct evlog *l)
{
	struct event_line *e;

	TAILQ_FOREACH (e, &l->events, entry) {
		if (e->seq <= l->sent)
			continue;
		if (reply_backlog(l->rq) > BACKLOG_MAX)
			return 0;
		if (reply_chunk(l->rq, e->text, e->len) == -1) {
			evlog_cut(l);
			return -1;
		}
		l->sent = e->seq;
		l->said = mono_msec();
	}
	return 0;
}

static struct request *
evlog_unbind(struct evlog *l)
{
	struct request *rq = l->rq;

	l->rq = NULL;
	rq->gone = NULL;
	rq->drained = NULL;
	return rq;
}

/* A client that does not read is dropped; it may come back for the rest. */
static void
evlog_cut(struct evlog *l)
{
	struct request *rq = evlog_unbind(l);

	rq->broken = 1;
	reply_end(rq);
	if (l->ops != NULL)
		l->ops->gone(l->arg);
}

void
evlog_keepalive(struct evlog *l, uint64_t now)
{
	if (l->rq == NULL)
		return;
	/* Where nothing is read only writing tells, and that was before. */
	if (l->rq->broken) {
		evlog_cut(l);
		return;
	}
	if (now - l->said >= COMMENT_TIME) {
		l->said = now;
		if (reply_chunk(l->rq, ":\n\n", 3) == -1)
			evlog_cut(l);
	}
}

size_t
evlog_backlog(const struct evlog *l)
{
	return l->rq == NULL ? 0 : reply_backlog(l->rq);
}

int
evlog_attached(const struct evlog *l)
{
	return l->rq != NULL;
}

void
evlog_pause(struct evlog *l)
{
	if (l->primed && l->rq != NULL)
		reply_end(evlog_unbind(l));
}

void
evlog_dismiss(struct evlog *l)
{
	if (l->rq == NULL)
		return;
	reply_end(evlog_unbind(l));
	if (l->ops != NULL)
		l->ops->gone(l->arg);
}

void
evlog_end(struct evlog *l)
{
	l->ops = NULL;
	l->ended = mono_msec();
	TAILQ_REMOVE(&logs, l, entry);
	TAILQ_INSERT_TAIL(&logs, l, entry);
	if (l->rq != NULL)
		evlog_done(l);
	if (l->rq == NULL && l->nevents == 0)
		evlog_free(l);
}

/* The client's stream ends once it has got everything. */
static void
evlog_done(struct evlog *l)
{
	if (evlog_flush(l) == -1 || l->rq == NULL ||
	    (l->nevents > 0 && l->sent < l->seq))
		return;
	reply_end(evlog_unbind(l));
}

static void
evlog_rq_gone(struct request *rq)
{
	struct evlog *l = rq->ctx;

	l->rq = NULL;
	if (l->ops != NULL)
		l->ops->gone(l->arg);
}

static void
evlog_rq_drained(struct request *rq)
{
	struct evlog *l = rq->ctx;

	if (l->ended != 0) {
		evlog_done(l);
		return;
	}
	if (evlog_flush(l) == 0 && l->ops != NULL && l->ops->drained != NULL)
		l->ops->drained(l->arg);
}

int
evlog_readid(
    const struct span *s, uint64_t *wid, uint64_t *stream, uint64_t *seq)
{
	char buf[80], extra;

	if (s->len >= sizeof(buf) || s->len == 0 || s->p[0] < '0' ||
	    s->p[0] > '9')
		return -1;
	memcpy(buf, s->p, s->len);
	buf[s->len] = '\0';
	if (sscanf(buf, "%" SCNu64 ".%" SCNu64 ".%" SCNu64 "%c", wid, stream,
		seq, &extra) != 3)
		return -1;
	return 0;
}

/* Of one that was discarded only what the client lacks is worth to come for. */
static struct evlog *
evlog_find(
    const uint8_t *nonce, const uint8_t *gid, uint64_t stream, uint64_t seq)
{
	struct evlog *l;

	TAILQ_FOREACH (l, &logs, entry)
		if (l->id == stream && memcmp(l->nonce, nonce, ID_LEN) == 0 &&
		    memcmp(l->by.gid, gid, ID_LEN) == 0)
			return l->brief && l->seq <= seq ? NULL : l;
	return NULL;
}

int
evlog_exists(const uint8_t nonce[ID_LEN], const uint8_t gid[ID_LEN],
    uint64_t stream, uint64_t seq)
{
	return evlog_find(nonce, gid, stream, seq) != NULL;
}

/*
 * A stream that is still held by a connection goes to the new one: the client
 * has left the old, whether the network has said so or not.
 */
int
evlog_resume(const uint8_t nonce[ID_LEN], const struct holder *by,
    uint64_t stream, uint64_t seq, struct request *rq)
{
	const struct event_line *first;
	struct evlog *l;
	int lost;

	if ((l = evlog_find(nonce, by->gid, stream, seq)) == NULL)
		return -1;
	if (l->rq != NULL)
		reply_end(evlog_unbind(l));
	l->by = *by;
	first = TAILQ_FIRST(&l->events);
	lost = first != NULL && first->seq > seq + 1;
	evlog_bind(l, rq);
	l->sent = seq;
	if (l->ended != 0)
		evlog_done(l);
	else if (evlog_flush(l) == 0 && l->ops != NULL) {
		if (l->ops->back != NULL)
			l->ops->back(l->arg, lost);
		/* What waited for the connection before would wait for ever:
		 * all of the replay may have fit into this one. */
		if (l->rq == rq && l->ops->drained != NULL &&
		    reply_backlog(rq) == 0)
			l->ops->drained(l->arg);
	}
	return 0;
}

static void
evlog_free(struct evlog *l)
{
	while (l->nevents > 0)
		evlog_drop(l);
	TAILQ_REMOVE(&logs, l, entry);
	free(l);
}

void
evlog_discard(struct evlog *l)
{
	l->brief = 1;
	evlog_end(l);
}

/* Streams that are being fed are ended by whoever feeds them. */
void
evlog_forget(const uint8_t nonce[ID_LEN])
{
	struct evlog *l, *next;

	for (l = TAILQ_FIRST(&logs); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (l->ended != 0 && l->rq == NULL &&
		    memcmp(l->nonce, nonce, ID_LEN) == 0)
			evlog_free(l);
	}
}

static size_t
evlog_size(const struct evlog *l)
{
	return sizeof(*l) + l->nevents * sizeof(struct event_line) + l->bytes;
}

void
evlog_tick(void)
{
	struct evlog *l, *next;
	uint64_t now = mono_msec();
	size_t kept = 0; /* for clients that are away */

	TAILQ_FOREACH (l, &logs, entry)
		if (l->ended != 0 && l->rq == NULL)
			kept += evlog_size(l);
	/* Those that have ended first are first. */
	for (l = TAILQ_FIRST(&logs); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (l->ended == 0 || l->rq != NULL)
			continue;
		if (l->brief || now - l->ended >= KEEP_TIME ||
		    kept > MAX_KEPT) {
			kept -= evlog_size(l);
			evlog_free(l);
		}
	}
}
