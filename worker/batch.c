/*
 * Batches. A client that loses its stream has not cancelled: the parts go on,
 * and what they say waits in the log for its return. One that goes before
 * there is a stream has no way back.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "batch.h"
#include "compat.h"

#define MAX_BATCH 100

struct answer {
	STAILQ_ENTRY(answer) entry;
	size_t len;
	char text[];
};

struct batch {
	struct request *rq; /* NULL: the client has gone, or has a stream */
	struct evlog *log; /* the stream, once there is one */
	char *buf; /* what the parts stand in */
	uint8_t nonce[ID_LEN];
	struct holder by;
	char revision[16];
	TAILQ_HEAD(parts, request) fresh, open; /* not handled yet; being so */
	STAILQ_HEAD(, answer) answers; /* not sent yet */
	int lost; /* an answer, for want of memory */
	int sending; /* batch_send is on the stack */
};

static struct batch *batch_new(
    struct request *, const struct proof *, const struct session *);
static struct request *batch_part(struct batch *, const struct json_span *);
static void batch_drop(struct parts *);
static void batch_free(struct batch *);
static void batch_gone(struct request *);
static void batch_left(void *);
static void batch_drained(void *);
static void batch_back(void *, int);
static void batch_missed(void *);
static void batch_wake(struct batch *);
static void batch_send(struct batch *);
static void batch_settle(struct batch *);
static void batch_array(struct batch *);

static const struct evlog_ops log_ops = {
    batch_left, batch_drained, batch_back, batch_missed};

int
batch_is(const struct request *rq)
{
	size_t i;

	for (i = 0; i < rq->bodylen; i++)
		if (strchr(" \t\r\n", rq->body[i]) == NULL)
			return rq->body[i] == '[';
	return 0;
}

/* The request's bytes become the batch's: they may outlive the request. */
static struct batch *
batch_new(
    struct request *rq, const struct proof *proof, const struct session *s)
{
	struct batch *b;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return NULL;
	TAILQ_INIT(&b->fresh);
	TAILQ_INIT(&b->open);
	STAILQ_INIT(&b->answers);
	memcpy(b->nonce, s->nonce, ID_LEN);
	evlog_holder(&b->by, proof);
	strlcpy(b->revision, s->revision, sizeof(b->revision));
	b->rq = rq;
	b->buf = rq->buf;
	rq->buf = NULL;
	rq->ctx = b;
	rq->gone = batch_gone;
	return b;
}

static struct request *
batch_part(struct batch *b, const struct json_span *text)
{
	struct request *part;

	if ((part = calloc(1, sizeof(*part))) == NULL)
		return NULL;
	part->route = b->rq->route;
	part->endpoint = b->rq->endpoint;
	part->head = b->rq->head;
	part->body = text->p;
	part->bodylen = text->len;
	part->loopback_listener = b->rq->loopback_listener;
	part->loopback_peer = b->rq->loopback_peer;
	memcpy(part->addr, b->rq->addr, sizeof(part->addr));
	part->batch = b;
	TAILQ_INSERT_TAIL(&b->fresh, part, part);
	return part;
}

void
batch_begin(struct request *rq, const struct proof *proof,
    const struct session *s,
    void (*handle)(struct request *, const struct proof *))
{
	struct json_span all = {rq->body, rq->bodylen, JSON_ARRAY}, item;
	struct json_doc doc;
	struct request *part;
	struct batch *b;
	size_t pos = 0, n = 0;

	if (json_scan(&doc, rq->body, rq->bodylen, NULL) != JSON_OK) {
		mcp_error(rq, 400, NULL, RPC_PARSE, "not JSON");
		return;
	}
	while (json_next(&all, &pos, NULL, &item))
		n++;
	if (!rpc_batches(s->revision) || n == 0 || n > MAX_BATCH) {
		mcp_error(rq, 400, NULL, RPC_INVALID,
		    n > MAX_BATCH ? "a batch of more than 100 messages"
				  : "batches are not taken");
		return;
	}
	if ((b = batch_new(rq, proof, s)) == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	for (pos = 0; json_next(&all, &pos, NULL, &item);)
		if (batch_part(b, &item) == NULL) {
			rq->gone = NULL;
			reply_unavailable(rq, 1);
			batch_free(b);
			return;
		}
	/* The last may be answered at once, and the batch be gone. */
	for (; n > 0; n--) {
		part = TAILQ_FIRST(&b->fresh);
		TAILQ_REMOVE(&b->fresh, part, part);
		TAILQ_INSERT_TAIL(&b->open, part, part);
		handle(part, proof);
	}
}

void
batch_answer(struct request *part, const void *body, size_t len)
{
	struct batch *b = part->batch;
	struct answer *a;

	TAILQ_REMOVE(&b->open, part, part);
	free(part);
	if (len > 0 && (a = malloc(sizeof(*a) + len)) != NULL) {
		a->len = len;
		memcpy(a->text, body, len);
		STAILQ_INSERT_TAIL(&b->answers, a, entry);
	} else if (len > 0)
		b->lost = 1;
	batch_settle(b);
}

void
batch_refuse(struct request *part, const char *why)
{
	struct json_buf out = {0};
	const char *what;
	struct rpc r;
	int code;

	if (rpc_scan(&r, part->body, part->bodylen, &code, &what) ==
	    RPC_REQUEST)
		rpc_puterror(&out, &r.id, RPC_SERVER, why);
	batch_answer(part, out.p, out.err ? 0 : out.len);
	json_buf_free(&out);
}

int
batch_stream(struct request *part)
{
	struct batch *b = part->batch;
	struct request *rq = b->rq;

	if (b->log != NULL)
		return 0;
	b->log = evlog_new(b->nonce, &b->by, b->revision, &log_ops, b);
	if (b->log == NULL)
		return -1;
	b->rq = NULL;
	evlog_attach(b->log, rq);
	batch_send(b);
	return 0;
}

struct evlog *
batch_log(const struct request *part)
{
	return part->batch->log;
}

/* As far as the client reads; to the log when it is not there. */
static void
batch_send(struct batch *b)
{
	struct answer *a;

	b->sending = 1;
	while ((a = STAILQ_FIRST(&b->answers)) != NULL &&
	       evlog_backlog(b->log) <= BACKLOG_HIGH) {
		STAILQ_REMOVE_HEAD(&b->answers, entry);
		(void)evlog_send(b->log, a->text, a->len);
		free(a);
	}
	b->sending = 0;
}

/* What can be said is said; when that was all the batch is gone. */
static void
batch_settle(struct batch *b)
{
	int over = TAILQ_EMPTY(&b->fresh) && TAILQ_EMPTY(&b->open);

	if (b->log != NULL) {
		batch_send(b);
		if (!over || !STAILQ_EMPTY(&b->answers))
			return;
		evlog_end(b->log);
	} else if (over)
		batch_array(b);
	else
		return;
	batch_free(b);
}

static void
batch_array(struct batch *b)
{
	struct request *rq = b->rq;
	struct json_buf out = {0};
	struct answer *a;
	const char *sep = "[";

	rq->gone = NULL;
	STAILQ_FOREACH (a, &b->answers, entry) {
		json_puts(&out, sep);
		json_put(&out, a->text, a->len);
		sep = ",";
	}
	json_puts(&out, "]");
	if (b->lost || out.err)
		reply_unavailable(rq, 1);
	else if (STAILQ_EMPTY(&b->answers))
		reply_empty(rq, 202);
	else
		reply(rq, 200, "application/json", out.p, out.len);
	json_buf_free(&out);
}

/* The client has gone: each part is told as if it had been alone. */
static void
batch_gone(struct request *rq)
{
	batch_free(rq->ctx);
}

/* A stream may be found broken when an answer is sent on it. */
static void
batch_left(void *arg)
{
	struct batch *b = arg;

	batch_wake(b);
	if (!b->sending)
		batch_settle(b);
}

static void
batch_drained(void *arg)
{
	struct batch *b = arg;

	batch_wake(b);
	batch_settle(b);
}

/* Any of its calls may have asked something in vain. */
static void
batch_missed(void *arg)
{
	struct batch *b = arg;
	struct request *part;

	TAILQ_FOREACH (part, &b->open, part)
		if (part->lost != NULL)
			part->lost(part);
}

static void
batch_back(void *arg, int lost)
{
	if (lost)
		batch_missed(arg);
}

static void
batch_wake(struct batch *b)
{
	struct request *part;

	TAILQ_FOREACH (part, &b->open, part)
		if (part->drained != NULL)
			part->drained(part);
}

static void
batch_drop(struct parts *parts)
{
	struct request *part;

	while ((part = TAILQ_FIRST(parts)) != NULL) {
		TAILQ_REMOVE(parts, part, part);
		if (part->gone != NULL)
			part->gone(part);
		free(part);
	}
}

static void
batch_free(struct batch *b)
{
	struct answer *a;

	batch_drop(&b->fresh);
	batch_drop(&b->open);
	while ((a = STAILQ_FIRST(&b->answers)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->answers, entry);
		free(a);
	}
	free(b->buf);
	free(b);
}
