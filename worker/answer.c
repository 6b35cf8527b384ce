/*
 * Answers.
 */
#include "answer.h"
#include "batch.h"
#include "compat.h"
#include "evlog.h"
#include "unread.h"
#include "upstream.h"

#define STREAM_AFTER 5000 /* ms */

static int answer_stream(struct call *);
static struct evlog *answer_log(const struct call *);
static void answer_gone(struct request *);
static void answer_left(void *);
static void answer_drained(void *);
static void answer_back(void *, int);
static void answer_missed(void *);
static void answer_part_drained(struct request *);
static void answer_part_lost(struct request *);
static void answer_lost(const struct call *, struct request *);

static const struct evlog_ops log_ops = {
    answer_left, answer_drained, answer_back, answer_missed};

void
answer_open(struct call *c, struct request *rq)
{
	c->json_ok = http_accepts(&rq->head, "application/json");
	c->sse_ok = http_accepts(&rq->head, "text/event-stream") &&
		    http_count(&rq->head, HDR_ACCEPT) > 0;
	c->rq = rq;
	rq->ctx = c;
	rq->gone = answer_gone;
	if (rq->batch != NULL) {
		rq->drained = answer_part_drained;
		rq->lost = answer_part_lost;
	}
}

static int
answer_stream(struct call *c)
{
	struct request *rq = c->rq;

	if (c->log != NULL)
		return 0;
	if (rq == NULL || !c->sse_ok)
		return -1;
	if (rq->batch != NULL)
		return batch_stream(rq);
	c->log = evlog_new(c->nonce, &c->by, c->client_revision, &log_ops, c);
	if (c->log == NULL)
		return -1;
	c->rq = NULL;
	evlog_attach(c->log, rq);
	return 0;
}

static struct evlog *
answer_log(const struct call *c)
{
	if (c->log == NULL && c->rq != NULL && c->rq->batch != NULL)
		return batch_log(c->rq);
	return c->log;
}

int
answer_event(void *arg, const char *json, size_t len)
{
	struct call *c = arg;

	if (answer_stream(c) == -1 ||
	    evlog_send(answer_log(c), json, len) == -1)
		return -1;
	if (c->up != NULL && evlog_backlog(answer_log(c)) > BACKLOG_HIGH)
		upreq_pause(c->up);
	return 0;
}

void
answer_send(struct call *c, const char *json, size_t len)
{
	struct request *rq;

	if (c->rq != NULL && !c->json_ok && c->sse_ok)
		(void)answer_stream(c);
	if (c->log != NULL) {
		(void)evlog_send(c->log, json, len);
		evlog_end(c->log);
		c->log = NULL;
	} else if ((rq = c->rq) != NULL) {
		c->rq = NULL;
		rq->gone = NULL;
		if (rq->batch == NULL && !unread_room(len))
			answer_lost(c, rq);
		else
			reply(rq, 200, "application/json", json, len);
	}
}

/* Not with a status that asks for another try: the call has run. */
static void
answer_lost(const struct call *c, struct request *rq)
{
	struct json_span id = {c->client_id, c->client_idlen, JSON_STRING};
	struct json_buf b = {0};

	rpc_puterror(&b, &id, RPC_SERVER,
	    "the call has run, and its answer has no room while so much that "
	    "was sent here is not read");
	if (b.err)
		reply_unavailable(rq, 1);
	else
		reply(rq, 200, "application/json", b.p, b.len);
	json_buf_free(&b);
}

void
answer_drop(struct call *c)
{
	struct request *rq = c->rq;

	if (c->log != NULL)
		evlog_end(c->log);
	c->log = NULL;
	if (rq == NULL)
		return;
	c->rq = NULL;
	rq->gone = NULL;
	if (!c->sse_ok || rq->batch != NULL) {
		reply_empty(rq, 202);
		return;
	}
	reply_stream(rq, 200, "text/event-stream");
	reply_end(rq);
}

void
answer_pause(struct call *c)
{
	if (answer_stream(c) == 0)
		evlog_pause(answer_log(c));
}

const struct holder *
answer_by(const struct call *c)
{
	const struct evlog *log = answer_log(c);

	return log != NULL ? evlog_by(log) : &c->by;
}

int
answer_streams(const struct call *c)
{
	const struct evlog *log = answer_log(c);

	return log != NULL && evlog_attached(log);
}

int
answer_detached(const struct call *c)
{
	const struct evlog *log = answer_log(c);

	return log != NULL ? !evlog_attached(log) : c->rq == NULL;
}

void
answer_tick(struct call *c, uint64_t now)
{
	struct evlog *log = answer_log(c);

	if (log != NULL)
		evlog_keepalive(log, now);
	else if (now - c->begun >= STREAM_AFTER)
		(void)answer_stream(c);
}

/* ---- what becomes of the client ---- */

static void
answer_drained(void *arg)
{
	struct call *c = arg;

	if (c->up != NULL)
		upreq_resume(c->up);
}

/*
 * A client of a legacy revision that goes away has not cancelled: the call
 * runs on, its answer is dropped.
 */
static void
answer_gone(struct request *rq)
{
	struct call *c = rq->ctx;

	c->rq = NULL;
}

static void
answer_left(void *arg)
{
	struct call *c = arg;

	c->heard = mono_msec();
	if (c->up != NULL)
		upreq_resume(c->up);
}

static void
answer_part_drained(struct request *part)
{
	answer_left(part->ctx);
}

/* It may have been a question, which nobody would ever answer. */
static void
answer_missed(void *arg)
{
	struct call *c = arg;

	questions_lapse(&c->asker);
}

/* What was written to the connection before may never have arrived. */
static void
answer_back(void *arg, int lost)
{
	if (lost)
		answer_missed(arg);
}

static void
answer_part_lost(struct request *part)
{
	answer_missed(part->ctx);
}
