/*
 * tools/call, prompts/get, resources/read, completion/complete: which backend,
 * under which name of its own, and may this user.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "getstream.h"
#include "keeperc.h"
#include "mcp.h"
#include "policy.h"
#include "reslink.h"
#include "soft.h"
#include "view.h"
#include "worker.h"

static struct view *call_view(const struct mcp *);
static int too_many(const char *);
static void call_start(const struct mcp *, struct backend *, enum call_kind,
    const struct view_item *, const char *);
static struct backend *call_owner(const struct mcp *);
static void call_resource(const struct mcp *, enum call_kind);
static void call_named(const struct mcp *, enum cat_kind, enum call_kind);
static void unknown(const struct mcp *, const char *, const char *);
static int not_up(const struct mcp *, const struct view *, const char *);

/* NULL: the request waits, or has been answered. */
static struct view *
call_view(const struct mcp *m)
{
	struct view *v = view_get(m->rq->endpoint, m->session->class);

	if (v == NULL && !mcp_wait(m->rq))
		reply_unavailable(m->rq, 1);
	return v;
}

/* Answers for what does not exist and for what this user may not see. */
static void
unknown(const struct mcp *m, const char *what, const char *name)
{
	char text[256];

	snprintf(text, sizeof(text), "Unknown %s: %.128s", what, name);
	mcp_error(m->rq, 200, &m->rpc->id, RPC_PARAMS, text);
}

/*
 * What a server has is not known until it has answered once; a client may know
 * it from before we were started. Whoever asks for a tool that bears the name
 * of such a server hears what is wrong with it. 1 when that was so.
 */
static int
not_up(const struct mcp *m, const struct view *v, const char *name)
{
	const struct cat_entry *ce;
	struct json_buf b = {0}, text = {0};
	struct backend *be;
	size_t i, len, sep = strlen(worker.conf.separator);

	if (m->rq->endpoint->conf.prefix == PREFIX_NONE)
		return 0;
	for (i = 0; (ce = view_entry(v, i, &be)), be != NULL; i++) {
		len = strlen(be->conf.name);
		if (ce != NULL && ce->state == CAT_NEVER &&
		    strncmp(name, be->conf.name, len) == 0 &&
		    strncmp(name + len, worker.conf.separator, sep) == 0 &&
		    policy_tool(be, name + len + sep))
			break;
	}
	if (be == NULL)
		return 0;
	json_puts(&text, "The server \"");
	json_puts(&text, be->conf.name);
	json_puts(&text, "\" ");
	json_puts(&text, ce->why);
	json_puts(&text, ".");
	json_puts(&b, "{\"content\":[{\"type\":\"text\",\"text\":");
	json_putstrn(&b, text.p ? text.p : "", text.len);
	json_puts(&b, "}],\"isError\":true}");
	if (b.err || text.err)
		reply_unavailable(m->rq, 1);
	else
		mcp_result(m->rq, &m->rpc->id, b.p, b.len);
	json_buf_free(&b);
	json_buf_free(&text);
	return 1;
}

/* Whose they are is looked at only when there are so many at all. */
static int
too_many(const char *subject)
{
	size_t limit = worker.conf.streams_per_user;

	return limit > 0 && calls_open() + getstreams_open() >= limit &&
	       calls_of(subject) + getstreams_of(subject) >= limit;
}

/* it: what is called by a name, or NULL. uri: what is (un)subscribed. */
static void
call_start(const struct mcp *m, struct backend *b, enum call_kind kind,
    const struct view_item *it, const char *uri)
{
	struct call_start cs;

	if (too_many(m->session->subject)) {
		reply_header(m->rq, "Retry-After", "1");
		mcp_error(m->rq, 429, &m->rpc->id, RPC_SERVER,
		    "too many requests of this user are open");
		return;
	}
	memset(&cs, 0, sizeof(cs));
	cs.kind = kind;
	cs.session = m->session;
	cs.proof = m->proof;
	cs.backend = b;
	cs.rpc = m->rpc;
	if (it != NULL) {
		cs.key = "name";
		cs.value = it->item->name;
		cs.wrap = it->wrap;
	}
	cs.ref = kind == CALL_COMPLETION;
	cs.uri = uri;
	call_begin(m->rq, &cs);
}

static void
call_named(const struct mcp *m, enum cat_kind list, enum call_kind kind)
{
	const char *what = list == CAT_TOOLS ? "tool" : "prompt";
	const struct json_span *name = rpc_param(m->rpc, "name");
	const struct view_item *it;
	struct view *v;
	char buf[256];

	if (name == NULL || json_decode(name, buf, sizeof(buf)) == -1) {
		mcp_error(m->rq, 200, &m->rpc->id, RPC_PARAMS,
		    "params.name is missing");
		return;
	}
	if ((v = call_view(m)) == NULL)
		return;
	it = view_find(v, list, buf);
	if (it == NULL && list == CAT_TOOLS && not_up(m, v, buf))
		return;
	/* It may be there only for clients with such capabilities. */
	if (it == NULL && !view_complete(v) && mcp_wait(m->rq))
		return;
	if (it == NULL ||
	    (list == CAT_TOOLS && !policy_tool(it->backend, it->item->name))) {
		unknown(m, what, buf);
		return;
	}
	call_start(m, it->backend, kind, it, NULL);
}

void
mcp_tools_call(const struct mcp *m)
{
	call_named(m, CAT_TOOLS, CALL_TOOL);
}

void
mcp_prompts_get(const struct mcp *m)
{
	call_named(m, CAT_PROMPTS, CALL_PROMPT);
}

/* Whoever has named it in an answer, if it is one of this endpoint. */
static struct backend *
call_owner(const struct mcp *m)
{
	const struct endpoint *e = m->rq->endpoint;
	size_t i;

	for (i = 0; m->rq->asked && i < e->nbackend; i++)
		if (e->backend[i]->conf.id == m->rq->owner)
			return e->backend[i];
	return NULL;
}

/* A request about one resource goes to whoever has it. */
static void
call_resource(const struct mcp *m, enum call_kind kind)
{
	const struct json_span *uri = rpc_param(m->rpc, "uri");
	struct backend *b;
	struct view *v;
	char buf[CAT_MAX_NAME];

	if (uri == NULL || json_decode(uri, buf, sizeof(buf)) == -1) {
		mcp_error(m->rq, 200, &m->rpc->id, RPC_PARAMS,
		    "params.uri is missing");
		return;
	}
	if ((v = call_view(m)) == NULL)
		return;
	b = view_listed(v, buf);
	if (b == NULL && m->rq->endpoint->nbackend > 1) {
		if (!m->rq->asked && reslink_ask(m, buf) == 0)
			return;
		b = call_owner(m);
	}
	if (b == NULL && (b = view_uri(v, buf)) == NULL)
		mcp_error(m->rq, 200, &m->rpc->id, RPC_NO_RESOURCE,
		    "Resource not found");
	else if (kind == CALL_SUBSCRIBE &&
		 !soft_room(m->session->nonce, b->conf.id, buf))
		mcp_error(m->rq, 200, &m->rpc->id, RPC_SERVER,
		    "too many resources of this server are watched");
	else
		call_start(
		    m, b, kind, NULL, kind == CALL_RESOURCE ? NULL : buf);
}

void
mcp_resources_read(const struct mcp *m)
{
	call_resource(m, CALL_RESOURCE);
}

void
mcp_subscribe(const struct mcp *m)
{
	call_resource(m, CALL_SUBSCRIBE);
}

void
mcp_unsubscribe(const struct mcp *m)
{
	call_resource(m, CALL_UNSUBSCRIBE);
}

/* Of two keys the backend may take the other one. */
static int
ref_plain(const struct json_span *ref)
{
	static const char *const keys[] = {"type", "name", "uri"};
	struct json_span k, v;
	size_t i, pos = 0;
	int seen = 0;

	while (json_next(ref, &pos, &k, &v))
		for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (!json_equals(&k, keys[i]))
				continue;
			if (seen & 1 << i)
				return 0;
			seen |= 1 << i;
		}
	return 1;
}

void
mcp_complete(const struct mcp *m)
{
	const struct json_span *ref = rpc_param(m->rpc, "ref");
	const struct view_item *it;
	struct json_span type, v;
	struct backend *b;
	struct view *view;
	char buf[CAT_MAX_NAME];

	if (ref == NULL || ref->type != JSON_OBJECT || !ref_plain(ref) ||
	    json_member(ref, "type", &type) == -1) {
		mcp_error(m->rq, 200, &m->rpc->id, RPC_PARAMS,
		    "params.ref is missing, or has a key twice");
		return;
	}
	if ((view = call_view(m)) == NULL)
		return;
	if (json_equals(&type, "ref/prompt") &&
	    json_member(ref, "name", &v) == 0 &&
	    json_decode(&v, buf, sizeof(buf)) != -1) {
		if ((it = view_find(view, CAT_PROMPTS, buf)) == NULL)
			unknown(m, "prompt", buf);
		else
			call_start(m, it->backend, CALL_COMPLETION, it, NULL);
		return;
	}
	if (json_equals(&type, "ref/resource") &&
	    json_member(ref, "uri", &v) == 0 &&
	    json_decode(&v, buf, sizeof(buf)) != -1) {
		b = view_template(view, buf);
		if (b == NULL && (b = view_uri(view, buf)) == NULL)
			unknown(m, "resource", buf);
		else
			call_start(m, b, CALL_COMPLETION, NULL, NULL);
		return;
	}
	mcp_error(m->rq, 200, &m->rpc->id, RPC_PARAMS,
	    "params.ref must be a ref/prompt or a ref/resource");
}

/* The request may be with any worker: ids of a client do not say whose. */
void
mcp_cancelled(const struct mcp *m)
{
	const struct json_span *id = rpc_param(m->rpc, "requestId");
	const struct json_span *reason = rpc_param(m->rpc, "reason");
	struct k_relay r;

	/* What is larger could not be told to all workers. */
	if (reason != NULL &&
	    (reason->type != JSON_STRING || reason->len > N_INLINE))
		reason = NULL;
	if (id != NULL && id->len <= 1024 &&
	    !call_cancel(m->session->nonce, id->p, id->len, reason)) {
		memset(&r, 0, sizeof(r));
		r.kind = RELAY_CANCEL;
		memcpy(r.nonce, m->session->nonce, ID_LEN);
		r.id.p = (uint8_t *)(uintptr_t)id->p;
		r.id.len = id->len;
		if (reason != NULL) {
			r.body.p = (uint8_t *)(uintptr_t)reason->p;
			r.body.len = reason->len;
		}
		(void)keeperc_relay(&r);
	}
	reply_empty(m->rq, 202);
}
