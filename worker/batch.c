/*
 * Batches.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "batch.h"

#define MAX_BATCH 100

struct batch {
	struct request *rq; /* the client's; NULL once it has gone */
	LIST_HEAD(, request) parts;
	size_t left;
	struct json_buf out;
	int any;
};

static void batch_gone(struct request *);
static void batch_finish(struct batch *);
static struct request *batch_part(struct batch *, const struct json_span *);

int
batch_is(const struct request *rq)
{
	size_t i;

	for (i = 0; i < rq->bodylen; i++)
		if (strchr(" \t\r\n", rq->body[i]) == NULL)
			return rq->body[i] == '[';
	return 0;
}

static struct request *
batch_part(struct batch *b, const struct json_span *text)
{
	struct request *part;

	if ((part = calloc(1, sizeof(*part))) == NULL)
		return NULL;
	part->conn = b->rq->conn;
	part->route = b->rq->route;
	part->endpoint = b->rq->endpoint;
	part->head = b->rq->head;
	/* No stream: there is one answer for all. */
	part->head.at[HDR_ACCEPT] = 0;
	part->body = text->p;
	part->bodylen = text->len;
	part->loopback_listener = b->rq->loopback_listener;
	part->loopback_peer = b->rq->loopback_peer;
	memcpy(part->addr, b->rq->addr, sizeof(part->addr));
	part->batch = b;
	LIST_INSERT_HEAD(&b->parts, part, part);
	b->left++;
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
	if ((b = calloc(1, sizeof(*b))) == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	LIST_INIT(&b->parts);
	b->rq = rq;
	rq->ctx = b;
	rq->gone = batch_gone;
	/* One is held until all have begun: answers may come at once. */
	b->left = 1;
	json_puts(&b->out, "[");
	for (pos = 0; json_next(&all, &pos, NULL, &item);)
		if ((part = batch_part(b, &item)) != NULL)
			handle(part, proof);
	if (--b->left == 0)
		batch_finish(b);
}

void
batch_answer(struct request *part, const void *body, size_t len)
{
	struct batch *b = part->batch;

	LIST_REMOVE(part, part);
	free(part);
	if (len > 0) {
		json_puts(&b->out, b->any ? "," : "");
		json_put(&b->out, body, len);
		b->any = 1;
	}
	if (--b->left == 0)
		batch_finish(b);
}

static void
batch_finish(struct batch *b)
{
	struct request *rq = b->rq;

	json_puts(&b->out, "]");
	if (rq != NULL) {
		rq->gone = NULL;
		if (!b->any)
			reply_empty(rq, 202);
		else if (b->out.err)
			reply_unavailable(rq, 1);
		else
			reply(
			    rq, 200, "application/json", b->out.p, b->out.len);
	}
	json_buf_free(&b->out);
	free(b);
}

/* The client has gone: each part is told as if it had been alone. */
static void
batch_gone(struct request *rq)
{
	struct batch *b = rq->ctx;
	struct request *part;

	while ((part = LIST_FIRST(&b->parts)) != NULL) {
		LIST_REMOVE(part, part);
		if (part->gone != NULL)
			part->gone(part);
		free(part);
	}
	json_buf_free(&b->out);
	free(b);
}
