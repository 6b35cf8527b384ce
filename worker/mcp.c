/*
 * The MCP router: who asks, for which session, which method. Nothing about a
 * method is known here but its name and its handler.
 */
#include <stdlib.h>
#include <string.h>

#include "authc.h"
#include "batch.h"
#include "call.h"
#include "compat.h"
#include "era.h"
#include "getstream.h"
#include "keeperc.h"
#include "level.h"
#include "mcp.h"
#include "oauth.h"
#include "policy.h"
#include "question.h"
#include "upsession.h"
#include "view.h"
#include "worker.h"

#define WAIT_TIME 5000 /* ms for a catalog that is not there yet */

struct method {
	const char *name;
	enum rpc_kind kind;
	void (*handler)(const struct mcp *);
};

/* A session being ended. */
struct deletion {
	struct request *rq;
	struct authd_call *call;
	uint8_t nonce[ID_LEN];
};

static void mcp_post(struct request *, const struct proof *);
static void mcp_one(struct request *, const struct proof *);
static void mcp_message(
    struct request *, const struct proof *, struct rpc *, enum rpc_kind);
static void mcp_waited(void *);
static void mcp_wait_gone(struct request *);
static void mcp_get(struct request *, const struct proof *);
static void mcp_delete(struct request *, const struct proof *);
static void mcp_deleted(void *, void *);
static void mcp_delete_gone(struct request *);
static const struct session *mcp_session(
    struct request *, const struct proof *, const struct json_span *);
static int mcp_version(struct request *, const struct json_span *);
static int mcp_media(struct request *);
static void mcp_ping(const struct mcp *);
static void mcp_roots(const struct mcp *);
static void mcp_accepted(const struct mcp *);

static const struct method methods[] = {
    {"ping", RPC_REQUEST, mcp_ping},
    {"tools/list", RPC_REQUEST, mcp_tools_list},
    {"tools/call", RPC_REQUEST, mcp_tools_call},
    {"resources/list", RPC_REQUEST, mcp_resources_list},
    {"resources/templates/list", RPC_REQUEST, mcp_templates_list},
    {"resources/read", RPC_REQUEST, mcp_resources_read},
    {"prompts/list", RPC_REQUEST, mcp_prompts_list},
    {"prompts/get", RPC_REQUEST, mcp_prompts_get},
    {"completion/complete", RPC_REQUEST, mcp_complete},
    {"logging/setLevel", RPC_REQUEST, mcp_set_level},
    {"resources/subscribe", RPC_REQUEST, mcp_subscribe},
    {"resources/unsubscribe", RPC_REQUEST, mcp_unsubscribe},
    {"notifications/cancelled", RPC_NOTIFICATION, mcp_cancelled},
    {"notifications/progress", RPC_NOTIFICATION, mcp_progress},
    {"notifications/roots/list_changed", RPC_NOTIFICATION, mcp_roots},
};

void
mcp_error(struct request *rq, int status, const struct json_span *id, int code,
    const char *message)
{
	struct json_buf b = {0};

	rpc_puterror(&b, id, code, message);
	if (b.err)
		reply_empty(rq, 500);
	else
		reply(rq, status, "application/json", b.p, b.len);
	json_buf_free(&b);
}

void
mcp_result(struct request *rq, const struct json_span *id, const char *result,
    size_t len)
{
	struct json_buf b = {0};

	rpc_putresult(&b, id->p, id->len);
	json_put(&b, result, len);
	json_puts(&b, "}");
	if (b.err)
		reply_unavailable(rq, 1);
	else
		reply(rq, 200, "application/json", b.p, b.len);
	json_buf_free(&b);
}

void
mcp_request(struct request *rq)
{
	const struct proof *proof = NULL;
	enum bearer b;

	if (!rq->endpoint->conf.noauth) {
		b = bearer_check(rq, rq->endpoint->resource, &proof);
		if (b != BEARER_OK) {
			bearer_refuse(rq, b);
			return;
		}
	}
	if (!policy_endpoint(rq->endpoint, proof ? proof->sub : "")) {
		reply_error(rq, 403, "access_denied",
		    "this user may not use this endpoint");
		return;
	}
	switch (rq->head.method) {
	case HTTP_POST:
		mcp_post(rq, proof);
		break;
	case HTTP_DELETE:
		mcp_delete(rq, proof);
		break;
	default:
		mcp_get(rq, proof);
		break;
	}
}

/* 0, or the request has been answered. */
static int
mcp_media(struct request *rq)
{
	const struct span *ct = http_get(&rq->head, HDR_CONTENT_TYPE);
	size_t n;

	for (n = 0; ct != NULL && n < ct->len && ct->p[n] != ';' &&
		    ct->p[n] != ' ' && ct->p[n] != '\t';
	     n++)
		;
	if (ct == NULL || n != 16 ||
	    strncasecmp(ct->p, "application/json", n) != 0) {
		mcp_error(rq, 415, NULL, RPC_SERVER,
		    "Content-Type must be application/json");
		return -1;
	}
	if (!http_accepts(&rq->head, "application/json") &&
	    !http_accepts(&rq->head, "text/event-stream")) {
		mcp_error(rq, 406, NULL, RPC_SERVER,
		    "Accept must take application/json and text/event-stream");
		return -1;
	}
	return 0;
}

static void
mcp_post(struct request *rq, const struct proof *proof)
{
	const struct session *s;

	if (mcp_media(rq) == -1)
		return;
	if (batch_is(rq)) {
		if ((s = mcp_session(rq, proof, NULL)) != NULL)
			batch_begin(rq, proof, s, mcp_one);
		return;
	}
	mcp_one(rq, proof);
}

/* One message, alone or of a batch. */
static void
mcp_one(struct request *rq, const struct proof *proof)
{
	struct rpc r;
	enum rpc_kind kind;
	const char *why;
	int code;

	kind = rpc_scan(&r, rq->body, rq->bodylen, &code, &why);
	if (kind == RPC_BAD) {
		mcp_error(rq, 400, &r.id, code, why);
		return;
	}
	if (era_classify(&r, &rq->head) == ERA_MODERN) {
		mcp_error(rq, 400, &r.id, RPC_NO_METHOD,
		    "this revision of MCP is not served: use initialize");
		return;
	}
	mcp_message(rq, proof, &r, kind);
}

static void
mcp_message(struct request *rq, const struct proof *proof, struct rpc *r,
    enum rpc_kind kind)
{
	struct mcp m = {rq, proof, NULL, r};
	size_t i;

	if (kind == RPC_REQUEST && strcmp(r->method, "initialize") == 0) {
		if (rq->batch != NULL)
			mcp_error(rq, 400, &r->id, RPC_INVALID,
			    "initialize may not be part of a batch");
		else
			mcp_initialize(rq, proof, r);
		return;
	}
	if ((m.session = mcp_session(rq, proof, &r->id)) == NULL ||
	    mcp_version(rq, &r->id) == -1)
		return;
	if (kind == RPC_RESPONSE) {
		if (question_response(
			m.session->nonce, r, rq->body, rq->bodylen) == -1)
			reply_unavailable(rq, 1);
		else
			reply_empty(rq, 202);
		return;
	}
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].kind == kind &&
		    strcmp(methods[i].name, r->method) == 0) {
			methods[i].handler(&m);
			return;
		}
	if (kind == RPC_NOTIFICATION)
		mcp_accepted(&m);
	else
		mcp_error(rq, 200, &r->id, RPC_NO_METHOD, "unknown method");
}

/* NULL: the request has been answered. */
static const struct session *
mcp_session(
    struct request *rq, const struct proof *proof, const struct json_span *id)
{
	const struct span *v = http_get(&rq->head, HDR_MCP_SESSION_ID);
	const struct session *s;

	if (v == NULL || http_count(&rq->head, HDR_MCP_SESSION_ID) > 1) {
		mcp_error(rq, 400, id, RPC_SERVER,
		    "the Mcp-Session-Id header is missing");
		return NULL;
	}
	if (!rq->endpoint->conf.noauth || authc_ready()) {
		s = session_open(v->p, v->len, proof, rq->endpoint);
		if (s != NULL)
			return s;
	}
	mcp_error(rq, 404, id, RPC_NO_SESSION, "Session not found");
	return NULL;
}

static int
mcp_version(struct request *rq, const struct json_span *id)
{
	const struct span *v = http_get(&rq->head, HDR_MCP_PROTOCOL_VERSION);

	if (v == NULL || rpc_legacy_revision(v->p, v->len))
		return 0;
	mcp_error(rq, 400, id, RPC_SERVER,
	    "MCP-Protocol-Version names a revision that is not served");
	return -1;
}

int
mcp_wait(struct request *rq)
{
	uint64_t now = mono_msec();
	struct view_wait *w;

	if (rq->waiting == 0)
		rq->waiting = now;
	if (now - rq->waiting >= WAIT_TIME)
		return 0;
	w = view_wait(WAIT_TIME - (int)(now - rq->waiting), mcp_waited, rq);
	if (w == NULL)
		return 0;
	rq->ctx = w;
	rq->gone = mcp_wait_gone;
	return 1;
}

static void
mcp_waited(void *arg)
{
	struct request *rq = arg;

	rq->gone = NULL;
	mcp_request(rq);
}

static void
mcp_wait_gone(struct request *rq)
{
	view_wait_cancel(rq->ctx);
}

static void
mcp_get(struct request *rq, const struct proof *proof)
{
	const struct session *s;

	if (http_count(&rq->head, HDR_ACCEPT) == 0 ||
	    !http_accepts(&rq->head, "text/event-stream")) {
		mcp_error(rq, 406, NULL, RPC_SERVER,
		    "Accept must take text/event-stream");
		return;
	}
	if ((s = mcp_session(rq, proof, NULL)) == NULL ||
	    mcp_version(rq, NULL) == -1)
		return;
	if (rq->head.method == HTTP_HEAD)
		reply(rq, 200, "text/event-stream", NULL, 0);
	else if (worker.stopping)
		/* It would never end. */
		reply_unavailable(rq, 1);
	else
		getstream_begin(rq, proof, s);
}

static void
mcp_ping(const struct mcp *m)
{
	mcp_result(m->rq, &m->rpc->id, "{}", 2);
}

static void
mcp_roots(const struct mcp *m)
{
	/* Only who has said that it would may say it, and what is declared
	 * upstream is what the client has declared. */
	if (m->session->class & DECLARE_CHANGES)
		(void)keeperc_roots(m->session->nonce);
	mcp_accepted(m);
}

static void
mcp_accepted(const struct mcp *m)
{
	reply_empty(m->rq, 202);
}

/*
 * The end of a session is a revocation: it is answered once every worker knows
 * of it.
 */
static void
mcp_delete(struct request *rq, const struct proof *proof)
{
	const struct session *s;
	struct deletion *d;
	struct a_revoked r;

	if ((s = mcp_session(rq, proof, NULL)) == NULL ||
	    mcp_version(rq, NULL) == -1)
		return;
	memset(&r, 0, sizeof(r));
	r.kind = REV_SESSION;
	memcpy(r.id, s->nonce, ID_LEN);
	r.until = s->created + worker.conf.session_ttl;
	if ((d = calloc(1, sizeof(*d))) == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	d->rq = rq;
	memcpy(d->nonce, s->nonce, ID_LEN);
	d->call = authd_ask(A_SESSION_END, &def_a_revoked, &r, mcp_deleted, d);
	if (d->call == NULL) {
		free(d);
		reply_unavailable(rq, 1);
		return;
	}
	rq->ctx = d;
	rq->gone = mcp_delete_gone;
}

static void
mcp_deleted(void *arg, void *msg)
{
	struct deletion *d = arg;
	struct request *rq = d->rq;
	struct a_done *m = msg;

	rq->gone = NULL;
	if (m == NULL || m->status >= 500)
		reply_unavailable(rq, 1);
	else {
		(void)keeperc_end(d->nonce);
		upsession_end(d->nonce);
		reply_empty(rq, 200);
	}
	free(d);
}

static void
mcp_delete_gone(struct request *rq)
{
	struct deletion *d = rq->ctx;

	/* It ends all the same, and nobody waits for that any more. */
	(void)keeperc_end(d->nonce);
	authd_cancel(d->call);
	free(d);
}
