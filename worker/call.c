/*
 * Calls: the backend's side, and the ends. The client's is in answer.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "answer.h"
#include "call.h"
#include "compat.h"
#include "keeperc.h"
#include "level.h"
#include "log.h"
#include "mcp.h"
#include "notify.h"
#include "peer.h"
#include "policy.h"
#include "question.h"
#include "refusal.h"
#include "reslink.h"
#include "revoked.h"
#include "soft.h"
#include "splice.h"
#include "upstream.h"
#include "view.h"

#define LOOK_EVERY 250 /* ms; the most that a call ends too late by */

static void call_open(struct call *, const char *);
static void call_opened(void *, const struct upsession *, const char *);
static void call_send(struct call *);
static int call_message(void *, const char *, size_t);
static void call_done(void *, enum up_result, int);
static int call_answer(struct call *, const struct rpc *);
static void call_failed(const struct call *, const char *);
static void call_wrong(struct call *, const char *);
static void call_fail(struct call *, const char *);
static void call_refused(struct call *, int);
static void call_lost(struct call *);
static int call_again(struct call *);
static void call_resume(evutil_socket_t, short, void *);
static void call_subscribed(const struct call *);
static void call_finish(struct call *);
static void call_free(struct call *);
static void call_end(struct call *);
static void call_check(struct call *, uint64_t);
static void calls_look(evutil_socket_t, short, void *);
static void look_later(void);

static const struct upreq_ops ops = {call_message, call_done};
static TAILQ_HEAD(, call) calls = TAILQ_HEAD_INITIALIZER(calls);
static struct event *look; /* pending while there are calls */
static uint64_t next_id;
static size_t ncalls;

void
call_begin(struct request *rq, const struct call_start *cs)
{
	const struct json_span *token = rpc_meta(cs->rpc, "progressToken");
	const struct upsession *us;
	struct call *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	TAILQ_INSERT_TAIL(&calls, c, entry);
	if (ncalls++ == 0)
		look_later();
	worker.calls++;
	c->id = ++next_id;
	c->kind = cs->kind;
	c->backend = cs->backend;
	c->endpoint = rq->endpoint;
	c->client_class = cs->session->class;
	c->class = view_class(cs->backend, cs->session->class);
	memcpy(c->nonce, cs->session->nonce, ID_LEN);
	evlog_holder(&c->by, cs->proof);
	c->begun = c->heard = c->told = mono_msec();
	c->subject = strdup(cs->session->subject);
	c->client_revision = strdup(cs->session->revision);
	c->project = project_of(cs->session->revision);
	c->wrap = cs->wrap;
	c->asker.backend = c->backend;
	c->asker.session = c->session;
	c->asker.revision = c->revision;
	c->asker.nonce = c->nonce;
	c->asker.class = c->class;
	c->asker.project = c->project;
	c->asker.send = answer_event;
	c->asker.arg = c;
	c->asker.open = &c->questions;
	c->client_id = strndup(cs->rpc->id.p, cs->rpc->id.len);
	c->client_idlen = cs->rpc->id.len;
	if (token != NULL &&
	    (token->type == JSON_STRING || token->type == JSON_NUMBER) &&
	    token->len <= 1024) {
		c->token = strndup(token->p, token->len);
		c->tokenlen = token->len;
	}
	c->extra = trace_headers(&rq->head);
	answer_open(c, rq);
	if (cs->uri != NULL)
		c->uri = strdup(cs->uri);
	if (c->subject == NULL || c->client_id == NULL ||
	    c->client_revision == NULL || splice_request(c, cs) == -1) {
		call_fail(c, "can not be asked: out of memory");
		return;
	}
	us = upsession_cached(c->nonce, c->backend->conf.id);
	if (us == NULL)
		call_open(c, NULL);
	else
		call_opened(c, us, NULL);
}

static void
call_open(struct call *c, const char *stale)
{
	c->wait = upsession_get(
	    c->nonce, c->backend, c->class, c->subject, stale, call_opened, c);
	if (c->wait == NULL)
		call_fail(c, "can not be asked: out of memory");
}

static void
call_opened(void *arg, const struct upsession *us, const char *why)
{
	struct call *c = arg;

	c->wait = NULL;
	if (us == NULL) {
		call_wrong(c, why ? why : "can not be reached");
		return;
	}
	strlcpy(c->session, us->session, sizeof(c->session));
	strlcpy(c->revision, us->revision, sizeof(c->revision));
	call_send(c);
}

static void
call_send(struct call *c)
{
	struct upreq_head h = {"POST", c->session, c->revision, NULL, c->extra};

	c->up = upstream_send(c->backend, &h, c->body, c->bodylen, &ops, c);
	if (c->up == NULL)
		call_fail(c, "can not be asked: out of memory");
	else
		c->sent = 1;
}

/* What the backend says on the stream of this call. */
static int
call_message(void *arg, const char *json, size_t len)
{
	struct call *c = arg;
	struct json_buf b = {0};
	struct rpc r;
	const char *why;
	uint64_t wid, id;
	int code;

	switch (rpc_scan(&r, json, len, &code, &why)) {
	case RPC_RESPONSE:
		if (splice_readid(&r.id, &wid, &id) == -1 || wid != worker.id ||
		    id != c->id)
			break;
		return call_answer(c, &r);
	case RPC_NOTIFICATION:
		c->heard = mono_msec();
		if (strcmp(r.method, "notifications/progress") == 0) {
			if (splice_progress(&b, c, &r) == 0)
				(void)answer_event(c, b.p, b.len);
			else
				c->backend->dropped++;
		} else if ((strcmp(r.method, "notifications/message") == 0 &&
			       level_passes(c->nonce, &r)) ||
			   strcmp(r.method,
			       "notifications/resources/updated") == 0 ||
			   strcmp(r.method,
			       "notifications/elicitation/complete") == 0)
			(void)answer_event(c, json, len);
		else if (strcmp(r.method, "notifications/cancelled") == 0)
			question_cancelled(&c->asker, &r);
		else if (strstr(r.method, "/list_changed") != NULL)
			(void)keeperc_lists(c->backend->conf.id);
		json_buf_free(&b);
		return 0;
	case RPC_REQUEST:
		c->heard = mono_msec();
		question_ask(&c->asker, &r);
		return 0;
	case RPC_BAD:
		break;
	}
	c->backend->dropped++;
	log_debug("backend %s: dropped a message that belongs to no call",
	    c->backend->conf.name);
	return 0;
}

/* The answer, under the client's own id. */
static int
call_answer(struct call *c, const struct rpc *r)
{
	struct json_buf b = {0};

	if (r->error != NULL && r->error->val.type != JSON_OBJECT) {
		c->backend->dropped++;
		return 0;
	}
	splice_answer(&b, c, r);
	c->answered = 1;
	if (r->result != NULL && c->uri != NULL)
		call_subscribed(c);
	if (r->result != NULL &&
	    (c->kind == CALL_TOOL || c->kind == CALL_PROMPT))
		reslink_learn(c, &r->result->val);
	if (b.err)
		answer_drop(c);
	else
		answer_send(c, b.p, b.len);
	json_buf_free(&b);
	return 1;
}

static void
call_done(void *arg, enum up_result res, int status)
{
	struct call *c = arg;

	if (!c->answered && (res == UP_OK || res == UP_CLOSED) &&
	    call_again(c) == 0)
		return;
	if (res == UP_STATUS && !c->answered) {
		call_refused(c, status);
		return;
	}
	c->up = NULL;
	if (c->answered) {
		if (c->backend->conf.stdio != 0)
			questions_leave(&c->asker);
		call_finish(c);
		return;
	}
	if (res == UP_CONNECT || res == UP_ADDRESS || res == UP_TLS)
		(void)keeperc_trouble(
		    c->backend->conf.id, 1, up_strerror(c->backend, res));
	call_wrong(
	    c, res == UP_OK ? "gave no answer" : up_strerror(c->backend, res));
}

/* The backend did not take the call. */
static void
call_refused(struct call *c, int status)
{
	struct refusal f;
	char text[512], stale[sizeof(c->session)];
	uint64_t wid, id;
	int own;

	refusal_read(&f, c->up, status);
	c->up = NULL;
	if (status == 404 && c->backend->conf.stdio == INSTANCE_SESSION &&
	    c->rq != NULL) {
		call_lost(c);
		return;
	}
	own = f.whole && splice_readid(&f.rpc.id, &wid, &id) == 0 &&
	      wid == worker.id && id == c->id;
	/* A session that it has forgotten: once, a new one. Where a part of the
	 * answer has come the call has run, or runs. Words in an error that is
	 * the answer are of the tool's sessions. */
	if (refusal_session(&f) && (status == 404 || !own) &&
	    *c->session != '\0' && !c->retried && c->again == NULL) {
		c->retried = 1;
		c->sent = 0;
		strlcpy(stale, c->session, sizeof(stale));
		call_open(c, stale);
		return;
	}
	refusal_say(&f, text, sizeof(text));
	if (own) {
		call_failed(c, text);
		(void)call_answer(c, &f.rpc);
		call_finish(c);
		return;
	}
	call_wrong(c, text);
}

/* The child that this session had for itself is gone, and with it whatever it
 * knew: the client starts anew. */
static void
call_lost(struct call *c)
{
	struct json_span id = {c->client_id, c->client_idlen, JSON_STRING};
	struct request *rq = c->rq;

	c->rq = NULL;
	rq->gone = NULL;
	upsession_end(c->nonce);
	soft_end(c->nonce);
	questions_forget(c->nonce);
	(void)keeperc_end(c->nonce);
	mcp_error(rq, 404, &id, RPC_NO_SESSION, "this session has ended");
	call_finish(c);
}

/* It is the backend's fault. */
static void
call_failed(const struct call *c, const char *why)
{
	c->backend->failures++;
	backend_failed(c->backend, why, time(NULL));
}

static void
call_wrong(struct call *c, const char *why)
{
	call_failed(c, why);
	call_fail(c, why);
}

/* A tool that fails says so in its result, where the model can read it. */
static void
call_fail(struct call *c, const char *why)
{
	struct json_buf b = {0}, text = {0};

	json_puts(&text, "The server \"");
	json_puts(&text, c->backend->conf.name);
	json_puts(&text, "\" ");
	json_puts(&text, why);
	json_puts(&text, ".");
	if (c->kind == CALL_TOOL) {
		rpc_putresult(&b, c->client_id, c->client_idlen);
		json_puts(&b, "{\"content\":[{\"type\":\"text\",\"text\":");
		json_putstrn(&b, text.p, text.len);
		json_puts(&b, "}],\"isError\":true}}");
	} else {
		json_puts(&b, "{\"jsonrpc\":\"2.0\",\"id\":");
		json_put(&b, c->client_id, c->client_idlen);
		json_puts(&b, ",\"error\":{\"code\":");
		json_putint(&b, RPC_INTERNAL);
		json_puts(&b, ",\"message\":");
		json_putstrn(&b, text.p, text.len);
		json_puts(&b, "}}");
	}
	log_info("backend %s %s", c->backend->conf.name, why);
	c->answered = 1;
	if (b.err || text.err)
		answer_drop(c);
	else
		answer_send(c, b.p, b.len);
	json_buf_free(&b);
	json_buf_free(&text);
	call_finish(c);
}

/*
 * The stream ended before the answer. Where the backend numbers its events it
 * means to be asked again for the rest (SSE polling). 0 when it will be.
 */
static int
call_again(struct call *c)
{
	struct timeval tv;
	unsigned int retry;
	const char *last = upreq_last(c->up, &retry);

	if (*last == '\0' && c->last[0] == '\0')
		return -1;
	if (*last != '\0')
		strlcpy(c->last, last, sizeof(c->last));
	if (c->again == NULL)
		c->again = event_new(peer_base(), -1, 0, call_resume, c);
	if (c->again == NULL)
		return -1;
	c->up = NULL;
	/* What the backend does to us we do to a client that knows it. */
	answer_pause(c);
	tv.tv_sec = retry / 1000;
	tv.tv_usec = retry % 1000 * 1000;
	event_add(c->again, &tv);
	return 0;
}

static void
call_resume(evutil_socket_t fd, short what, void *arg)
{
	struct call *c = arg;
	struct upreq_head h = {
	    "GET", c->session, c->revision, c->last, c->extra};

	(void)fd;
	(void)what;
	c->up = upstream_send(c->backend, &h, NULL, 0, &ops, c);
	if (c->up == NULL)
		call_fail(c, "can not be asked: out of memory");
}

/* The keeper sees to it that a session made anew watches the same. */
static void
call_subscribed(const struct call *c)
{
	struct k_soft m;

	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, c->nonce, ID_LEN);
	m.backend = c->backend->conf.id;
	m.uri = c->uri;
	m.on = c->kind == CALL_SUBSCRIBE;
	soft_subscribe(&m);
	(void)keeperc_subscribe(&m);
}

/* Frees the call once nothing can call it back. */
static void
call_finish(struct call *c)
{
	if (c->wait != NULL)
		upsession_cancel(c->wait);
	if (c->up != NULL)
		upreq_cancel(c->up);
	call_free(c);
}

static void
call_free(struct call *c)
{
	answer_drop(c);
	questions_end(&c->asker);
	if (c->again != NULL)
		event_free(c->again);
	TAILQ_REMOVE(&calls, c, entry);
	ncalls--;
	free(c->subject);
	free(c->client_revision);
	free(c->uri);
	free(c->client_id);
	free(c->token);
	free(c->extra);
	if (c->body != NULL)
		freezero(c->body, c->bodylen);
	free(c);
}

int
call_cancel(const uint8_t nonce[ID_LEN], const char *id, size_t idlen,
    const struct json_span *reason)
{
	struct call *c;

	TAILQ_FOREACH (c, &calls, entry)
		if (c->client_idlen == idlen &&
		    memcmp(c->client_id, id, idlen) == 0 &&
		    memcmp(c->nonce, nonce, ID_LEN) == 0)
			break;
	if (c == NULL)
		return 0;
	if (c->sent)
		notify_cancelled(c, reason);
	c->answered = 1;
	answer_drop(c);
	if (c->backend->conf.stdio != 0)
		questions_leave(&c->asker);
	call_finish(c);
	return 1;
}

void
calls_end(uint8_t kind, const uint8_t id[ID_LEN])
{
	struct call *c, *next;

	for (c = TAILQ_FIRST(&calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (evlog_revoked(answer_by(c), kind, id) ||
		    (kind == REV_SESSION && memcmp(c->nonce, id, ID_LEN) == 0))
			call_end(c);
	}
	if (kind == REV_SESSION) {
		upsession_end(id);
		soft_end(id);
		questions_forget(id);
	}
}

static void
call_end(struct call *c)
{
	if (c->sent)
		notify_cancelled(c, NULL);
	call_fail(c, "was cut off: access has been withdrawn");
}

void
calls_forbid(void)
{
	struct call *c, *next;

	for (c = TAILQ_FIRST(&calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (!policy_endpoint(c->endpoint, c->subject))
			call_end(c);
	}
}

void
calls_end_all(void)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&calls)) != NULL) {
		if (c->sent)
			notify_cancelled(c, NULL);
		call_fail(
		    c, "was cut off: the gateway ends or has a new config");
	}
}

size_t
calls_open(void)
{
	return ncalls;
}

size_t
calls_of(const char *subject)
{
	struct call *c;
	size_t n = 0;

	TAILQ_FOREACH (c, &calls, entry)
		if (c->subject != NULL && strcmp(c->subject, subject) == 0)
			n++;
	return n;
}

size_t
calls_detached(void)
{
	struct call *c;
	size_t n = 0;

	TAILQ_FOREACH (c, &calls, entry)
		n += answer_detached(c);
	return n;
}

/* Silence and the absolute limit; while a question is with the user silence
 * stands still. */
static void
call_check(struct call *c, uint64_t now)
{
	const struct conf_backend *conf = &c->backend->conf;

	if (c->questions > 0 && answer_streams(c))
		c->heard = now;
	if ((conf->timeout && now - c->heard > conf->timeout * 1000ull) ||
	    (conf->max_time && now - c->begun > conf->max_time * 1000ull)) {
		if (c->sent)
			notify_cancelled(c, NULL);
		call_wrong(c, "did not answer in time");
		return;
	}
	if (c->sent)
		upsession_used(c->nonce, c->backend, c->class, c->session,
		    c->revision, &c->told);
	answer_tick(c, now);
}

static void
calls_look(evutil_socket_t fd, short what, void *arg)
{
	struct call *c, *next;
	uint64_t now = mono_msec();

	(void)fd, (void)what, (void)arg;
	for (c = TAILQ_FIRST(&calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		call_check(c, now);
	}
	if (ncalls > 0)
		look_later();
}

static void
look_later(void)
{
	struct timeval tv = {0, LOOK_EVERY * 1000};

	if ((look == NULL && (look = event_new(peer_base(), -1, 0, calls_look,
				  NULL)) == NULL) ||
	    (!event_pending(look, EV_TIMEOUT, NULL) &&
		event_add(look, &tv) == -1))
		fatalx("out of memory");
}
