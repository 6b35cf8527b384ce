/*
 * Lists: bytes from the view, each in one page, so that no cursor is ever ours.
 */
#include <string.h>

#include "mcp.h"
#include "view.h"

static void list(const struct mcp *, enum cat_kind);

static const char *const member[CAT_KINDS] = {
    "tools", "prompts", "resources", "resourceTemplates"};

void
mcp_tools_list(const struct mcp *m)
{
	list(m, CAT_TOOLS);
}

void
mcp_prompts_list(const struct mcp *m)
{
	list(m, CAT_PROMPTS);
}

void
mcp_resources_list(const struct mcp *m)
{
	list(m, CAT_RESOURCES);
}

void
mcp_templates_list(const struct mcp *m)
{
	list(m, CAT_TEMPLATES);
}

static void
list(const struct mcp *m, enum cat_kind kind)
{
	struct view *v = view_get(m->rq->endpoint, m->session->class);
	struct json_buf b = {0};
	const char *p;
	size_t len;

	if (rpc_param(m->rpc, "cursor") != NULL) {
		mcp_error(
		    m->rq, 200, &m->rpc->id, RPC_PARAMS, "invalid cursor");
		return;
	}
	/* A client with capabilities that no backend has been asked with yet
	 * may be shown more once the keeper has done so. */
	if ((v == NULL || !view_complete(v)) && mcp_wait(m->rq))
		return;
	if (v == NULL) {
		reply_unavailable(m->rq, 1);
		return;
	}
	p = view_list(v, kind, project_of(m->session->revision), &len);
	if (p == NULL) {
		reply_unavailable(m->rq, 1);
		return;
	}
	json_puts(&b, "{\"");
	json_puts(&b, member[kind]);
	json_puts(&b, "\":");
	json_put(&b, p, len);
	json_puts(&b, "}");
	if (b.err)
		reply_unavailable(m->rq, 1);
	else
		mcp_result(m->rq, &m->rpc->id, b.p, b.len);
	json_buf_free(&b);
}
