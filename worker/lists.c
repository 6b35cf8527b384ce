/*
 * Lists: bytes from the view. A client whose capabilities no backend has been
 * asked with yet waits until the keeper has done so.
 */
#include <stdlib.h>
#include <string.h>

#include "mcp.h"
#include "view.h"

#define FILL_TIME 5000 /* ms */

struct listing {
	struct request *rq;
	struct view_wait *wait;
	enum cat_kind kind;
	uint8_t class;
	int waited;
	char *id;
};

static void list_begin(const struct mcp *, enum cat_kind);
static void list_try(struct listing *);
static void list_again(void *);
static void list_gone(struct request *);
static void list_send(struct listing *, const struct view *);
static void list_free(struct listing *);

static const char *const member[CAT_KINDS] = {
    "tools", "prompts", "resources", "resourceTemplates"};

void
mcp_tools_list(const struct mcp *m)
{
	list_begin(m, CAT_TOOLS);
}

void
mcp_prompts_list(const struct mcp *m)
{
	list_begin(m, CAT_PROMPTS);
}

void
mcp_resources_list(const struct mcp *m)
{
	list_begin(m, CAT_RESOURCES);
}

void
mcp_templates_list(const struct mcp *m)
{
	list_begin(m, CAT_TEMPLATES);
}

/* Every list is one page, so that no cursor is ever ours. */
static void
list_begin(const struct mcp *m, enum cat_kind kind)
{
	struct listing *l;

	if (rpc_param(m->rpc, "cursor") != NULL) {
		mcp_error(m->rq, 200, &m->rpc->id, RPC_PARAMS,
		    "invalid cursor");
		return;
	}
	if ((l = calloc(1, sizeof(*l))) == NULL ||
	    (l->id = strndup(m->rpc->id.p, m->rpc->id.len)) == NULL) {
		free(l);
		reply_unavailable(m->rq, 1);
		return;
	}
	l->rq = m->rq;
	l->kind = kind;
	l->class = m->session->class;
	l->rq->ctx = l;
	list_try(l);
}

static void
list_try(struct listing *l)
{
	struct view *v = view_get(l->rq->endpoint, l->class);

	if ((v == NULL || !view_complete(v)) && l->waited < FILL_TIME) {
		l->rq->gone = list_gone;
		l->waited += FILL_TIME / 2;
		l->wait = view_wait(FILL_TIME / 2, list_again, l);
		if (l->wait != NULL)
			return;
	}
	l->rq->gone = NULL;
	if (v == NULL)
		reply_unavailable(l->rq, 1);
	else
		list_send(l, v);
	list_free(l);
}

static void
list_again(void *arg)
{
	struct listing *l = arg;

	l->wait = NULL;
	list_try(l);
}

static void
list_gone(struct request *rq)
{
	list_free(rq->ctx);
}

static void
list_free(struct listing *l)
{
	if (l->wait != NULL)
		view_wait_cancel(l->wait);
	free(l->id);
	free(l);
}

static void
list_send(struct listing *l, const struct view *v)
{
	struct json_span id = {l->id, strlen(l->id), JSON_STRING};
	struct json_buf b = {0};
	const char *p;
	size_t len;

	p = view_list(v, l->kind, &len);
	json_puts(&b, "{\"");
	json_puts(&b, member[l->kind]);
	json_puts(&b, "\":");
	json_put(&b, p, len);
	json_puts(&b, "}");
	if (b.err)
		reply_unavailable(l->rq, 1);
	else
		mcp_result(l->rq, &id, b.p, b.len);
	json_buf_free(&b);
}
