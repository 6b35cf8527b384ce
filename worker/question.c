/*
 * Questions of backends. A client that never answers costs only its own call.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "keeperc.h"
#include "log.h"
#include "mcp.h"
#include "notify.h"
#include "question.h"
#include "splice.h"
#include "upstream.h"

#define MAX_QUESTIONS 16 /* open at once, of one asker */
#define MAX_TOKEN     1024
#define MAX_LEFT      256 /* answered calls of one backend that left some */
#define CALL_FIRST    2000 /* ms beyond max_time: a call's own end says more */

struct question {
	TAILQ_ENTRY(question) entry;
	uint64_t id;
	uint64_t since; /* ms */
	struct asker *asker;
	char *backend_id; /* JSON, as the backend wrote it */
	size_t backend_idlen;
	char *token; /* its progressToken, JSON, or NULL */
};

/* What a call has left with the client when it was answered. */
struct left {
	TAILQ_ENTRY(left) entry;
	struct asker asker;
	uint8_t nonce[ID_LEN];
	char session[512], revision[16];
	int open;
};

static int question_allowed(const struct asker *, const struct rpc *);
static void question_refuse(
    const struct asker *, const char *, size_t, const char *);
static void question_send(const struct asker *, const char *, size_t,
    const char *, const struct json_span *);
static struct question *question_find(const uint8_t *, const char *, size_t);
static struct question *question_overdue(uint64_t);
static void question_withdraw(struct question *, const struct rpc *);
static void question_lapse(struct question *, const char *);
static int relay(uint8_t, const uint8_t *, uint64_t, const struct json_span *,
    const char *, size_t);
static void question_free(struct question *);
static struct left *left_new(const struct asker *);
static int left_send(void *, const char *, size_t);

static TAILQ_HEAD(, question) questions = TAILQ_HEAD_INITIALIZER(questions);
static TAILQ_HEAD(lefts, left) lefts = TAILQ_HEAD_INITIALIZER(lefts);
static size_t nleft;
static uint64_t next_id;

/* Only what was declared for this client, mode by mode. */
static int
question_allowed(const struct asker *a, const struct rpc *r)
{
	const struct json_span *mode;

	if (strcmp(r->method, "sampling/createMessage") == 0 &&
	    (rpc_param(r, "tools") != NULL ||
		rpc_param(r, "toolChoice") != NULL))
		return a->class & DECLARE_TOOLS;
	if (strcmp(r->method, "sampling/createMessage") == 0)
		return a->class & DECLARE_SAMPLING;
	if (strcmp(r->method, "roots/list") == 0)
		return a->class & DECLARE_ROOTS;
	if (strcmp(r->method, "elicitation/create") != 0)
		return 0;
	mode = rpc_param(r, "mode");
	if (mode != NULL && json_equals(mode, "url"))
		return a->class & DECLARE_URL;
	return a->class & DECLARE_FORM;
}

void
question_ask(struct asker *a, const struct rpc *r)
{
	const struct json_span *token;
	struct json_buf b = {0};
	struct question *q;
	char id[48];

	if (strcmp(r->method, "ping") == 0) {
		question_send(a, r->id.p, r->id.len, "result", NULL);
		return;
	}
	if (!question_allowed(a, r) || *a->open >= MAX_QUESTIONS) {
		question_refuse(
		    a, r->id.p, r->id.len, "the client can not be asked that");
		return;
	}
	splice_id(id, next_id + 1);
	if (splice_question(&b, a->project, r, id) == -1) {
		question_refuse(a, r->id.p, r->id.len,
		    "the client can not be asked that in its protocol version");
		json_buf_free(&b);
		return;
	}
	if ((q = calloc(1, sizeof(*q))) == NULL) {
		json_buf_free(&b);
		return;
	}
	q->id = ++next_id;
	q->since = mono_msec();
	q->asker = a;
	q->backend_id = strndup(r->id.p, r->id.len);
	q->backend_idlen = r->id.len;
	if ((token = rpc_meta(r, "progressToken")) != NULL &&
	    token->len <= MAX_TOKEN)
		q->token = strndup(token->p, token->len);
	TAILQ_INSERT_TAIL(&questions, q, entry);
	(*a->open)++;
	if (b.err || q->backend_id == NULL ||
	    a->send(a->arg, b.p, b.len) == -1) {
		question_refuse(
		    a, r->id.p, r->id.len, "the client can not be asked now");
		question_free(q);
	}
	json_buf_free(&b);
}

static void
question_refuse(
    const struct asker *a, const char *id, size_t idlen, const char *why)
{
	struct json_buf b = {0};
	struct json_span s;

	json_puts(&b, "{\"code\":-32601,\"message\":");
	json_putstr(&b, why);
	json_puts(&b, "}");
	s.p = b.p;
	s.len = b.len;
	s.type = JSON_OBJECT;
	if (!b.err)
		question_send(a, id, idlen, "error", &s);
	json_buf_free(&b);
}

/* An answer to the backend; value NULL is an empty result. */
static void
question_send(const struct asker *a, const char *id, size_t idlen,
    const char *member, const struct json_span *value)
{
	struct json_buf b = {0};
	size_t len;
	char *body;

	json_puts(&b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_put(&b, id, idlen);
	json_puts(&b, ",\"");
	json_puts(&b, member);
	json_puts(&b, "\":");
	if (value == NULL)
		json_puts(&b, "{}");
	else
		json_putspan(&b, value);
	json_puts(&b, "}");
	if ((body = json_buf_take(&b, &len)) != NULL)
		notify_in_order(a->backend, a, NOTE_ANSWER, a->session,
		    a->revision, body, len);
}

/* That of this worker with an id as it stands in a client's message. */
static struct question *
question_find(const uint8_t *nonce, const char *idtext, size_t idlen)
{
	struct json_span span = {idtext, idlen, JSON_STRING};
	struct question *q;
	uint64_t wid, id;

	if (splice_readid(&span, &wid, &id) == -1 || wid != worker.id)
		return NULL;
	TAILQ_FOREACH (q, &questions, entry)
		if (q->id == id && memcmp(q->asker->nonce, nonce, ID_LEN) == 0)
			break;
	return q;
}

int
question_answer(const uint8_t nonce[ID_LEN], const char *idtext, size_t idlen,
    const char *json, size_t len)
{
	struct question *q = question_find(nonce, idtext, idlen);
	struct rpc r;
	const char *why;
	int code;

	if (q == NULL || rpc_scan(&r, json, len, &code, &why) != RPC_RESPONSE)
		return 0;
	question_send(q->asker, q->backend_id, q->backend_idlen,
	    r.result ? "result" : "error",
	    r.result ? &r.result->val : &r.error->val);
	question_free(q);
	return 1;
}

int
question_progress(const uint8_t nonce[ID_LEN], const char *token,
    size_t tokenlen, const char *json, size_t len)
{
	struct question *q = question_find(nonce, token, tokenlen);
	struct json_buf b = {0};
	struct rpc r;
	const char *why;
	size_t blen;
	char *body;
	int code;

	if (q == NULL || q->token == NULL ||
	    rpc_scan(&r, json, len, &code, &why) != RPC_NOTIFICATION)
		return 0;
	splice_note(&b, &r, "progressToken", q->token, strlen(q->token));
	if ((body = json_buf_take(&b, &blen)) != NULL)
		notify_in_order(q->asker->backend, q->asker, NOTE_PROGRESS,
		    q->asker->session, q->asker->revision, body, blen);
	return 1;
}

void
question_cancelled(const struct asker *a, const struct rpc *r)
{
	const struct json_span *id = rpc_param(r, "requestId");
	struct question *q;

	TAILQ_FOREACH (q, &questions, entry)
		if (id != NULL && q->asker->backend == a->backend &&
		    strcmp(q->asker->session, a->session) == 0 &&
		    memcmp(q->asker->nonce, a->nonce, ID_LEN) == 0 &&
		    q->backend_idlen == id->len &&
		    memcmp(q->backend_id, id->p, id->len) == 0)
			break;
	if (id != NULL && q != NULL)
		question_withdraw(q, r);
}

/* Nobody waits for its answer: r, a cancelled notification of the backend's or
 * of ours, goes to the client with the id it knows. The question is freed. */
static void
question_withdraw(struct question *q, const struct rpc *r)
{
	int (*tell)(void *, const char *, size_t) = q->asker->send;
	struct json_buf b = {0}, text = {0};
	void *arg = q->asker->arg;
	char ours[48];

	splice_id(ours, q->id);
	json_putstr(&text, ours);
	splice_note(&b, r, "requestId", text.p, text.len);
	/* Before it is said: that may end all questions. */
	question_free(q);
	if (!b.err && !text.err)
		(void)tell(arg, b.p, b.len);
	json_buf_free(&text);
	json_buf_free(&b);
}

/* To the worker whose question it is, by the id of ours in the message. */
static int
relay(uint8_t kind, const uint8_t *nonce, uint64_t wid,
    const struct json_span *id, const char *json, size_t len)
{
	struct k_relay m;

	memset(&m, 0, sizeof(m));
	m.kind = kind;
	m.worker = wid;
	memcpy(m.nonce, nonce, ID_LEN);
	m.id.p = (uint8_t *)(uintptr_t)id->p;
	m.id.len = id->len;
	m.body.p = (uint8_t *)(uintptr_t)json;
	m.body.len = len;
	return keeperc_relay(&m);
}

int
question_response(const uint8_t nonce[ID_LEN], const struct rpc *r,
    const char *json, size_t len)
{
	uint64_t wid, id;

	/* An id that is none of ours answers nothing. */
	if (splice_readid(&r->id, &wid, &id) == -1)
		return 0;
	if (wid == worker.id) {
		(void)question_answer(nonce, r->id.p, r->id.len, json, len);
		return 0;
	}
	if (relay(RELAY_ANSWER, nonce, wid, &r->id, json, len) == 0)
		return 0;
	log_warnx("an answer could not be relayed to worker %llu",
	    (unsigned long long)wid);
	return -1;
}

void
mcp_progress(const struct mcp *m)
{
	const struct json_span *token = rpc_param(m->rpc, "progressToken");
	const uint8_t *nonce = m->session->nonce;
	uint64_t wid, id;

	if (token != NULL && splice_readid(token, &wid, &id) == 0) {
		if (wid == worker.id)
			(void)question_progress(nonce, token->p, token->len,
			    m->rq->body, m->rq->bodylen);
		else
			(void)relay(RELAY_PROGRESS, nonce, wid, token,
			    m->rq->body, m->rq->bodylen);
	}
	reply_empty(m->rq, 202);
}

void
questions_end(struct asker *a)
{
	struct question *q, *next;

	for (q = TAILQ_FIRST(&questions); q != NULL; q = next) {
		next = TAILQ_NEXT(q, entry);
		if (q->asker != a)
			continue;
		question_refuse(
		    a, q->backend_id, q->backend_idlen, "the client has gone");
		question_free(q);
	}
}

static void
question_free(struct question *q)
{
	struct asker *a = q->asker;
	struct left *l;

	TAILQ_REMOVE(&questions, q, entry);
	free(q->backend_id);
	free(q->token);
	free(q);
	if (--*a->open == 0 && a->send == left_send) {
		l = a->arg;
		TAILQ_REMOVE(&lefts, l, entry);
		nleft--;
		free(l);
	}
}

/* ---- those that outlive the call whose stream they went on ---- */

static struct left *
left_new(const struct asker *a)
{
	struct left *l;
	size_t n = 0;

	TAILQ_FOREACH (l, &lefts, entry)
		n += l->asker.backend == a->backend;
	if (n >= MAX_LEFT || (l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	(void)strlcpy(l->session, a->session, sizeof(l->session));
	(void)strlcpy(l->revision, a->revision, sizeof(l->revision));
	memcpy(l->nonce, a->nonce, ID_LEN);
	l->asker = *a;
	l->asker.session = l->session;
	l->asker.revision = l->revision;
	l->asker.nonce = l->nonce;
	l->asker.send = left_send;
	l->asker.arg = l;
	l->asker.open = &l->open;
	TAILQ_INSERT_TAIL(&lefts, l, entry);
	nleft++;
	return l;
}

/* The stream has ended. */
static int
left_send(void *arg, const char *json, size_t len)
{
	(void)arg;
	(void)json;
	(void)len;
	return -1;
}

void
questions_leave(struct asker *a)
{
	struct left *l = NULL;
	struct question *q;

	TAILQ_FOREACH (q, &questions, entry) {
		if (q->asker != a)
			continue;
		if (l == NULL && (l = left_new(a)) == NULL)
			return;
		q->asker = &l->asker;
		l->open++;
		(*a->open)--;
	}
}

void
questions_forget(const uint8_t nonce[ID_LEN])
{
	struct left *l, *next;

	for (l = TAILQ_FIRST(&lefts); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (memcmp(l->nonce, nonce, ID_LEN) == 0)
			questions_end(&l->asker);
	}
}

static struct question *
question_overdue(uint64_t now)
{
	struct question *q;
	uint32_t max;

	TAILQ_FOREACH (q, &questions, entry) {
		max = q->asker->backend->conf.max_time;
		if (max != 0 && now - q->since > max * 1000ull + CALL_FIRST)
			return q;
	}
	return NULL;
}

/* Nobody will answer it any more, says the backend's end and the client's. */
static void
question_lapse(struct question *q, const char *reason)
{
	static const char over[] = "{\"jsonrpc\":\"2.0\",\"method\":"
				   "\"notifications/cancelled\",\"params\":"
				   "{\"reason\":\"not answered\"}}";
	struct rpc r;
	const char *why;
	int code;

	(void)rpc_scan(&r, over, sizeof(over) - 1, &code, &why);
	question_refuse(q->asker, q->backend_id, q->backend_idlen, reason);
	question_withdraw(q, &r);
}

void
questions_lapse(const struct asker *a)
{
	struct question *q;

	do {
		TAILQ_FOREACH (q, &questions, entry)
			if (q->asker == a)
				break;
		if (q != NULL)
			question_lapse(q, "the client may have lost it");
	} while (q != NULL);
}

void
questions_tick(uint64_t now)
{
	struct question *q;

	while ((q = question_overdue(now)) != NULL)
		question_lapse(q, "the client has not answered in time");
}

size_t
questions_left(void)
{
	return nleft;
}
