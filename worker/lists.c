/*
 * Lists: bytes from the view, page by page. A cursor is sealed, says which page
 * of which list is next, and is of use in its session only.
 */
#include <stdlib.h>
#include <string.h>

#include "authc.h"
#include "be.h"
#include "compat.h"
#include "mcp.h"
#include "seal.h"
#include "view.h"

#define CURSOR_LEN (ID_LEN + 1 + 4) /* nonce, kind, page */

static void list(const struct mcp *, enum cat_kind);
static char *cursor_seal(const struct mcp *, enum cat_kind, uint32_t);
static int cursor_open(
    const struct mcp *, enum cat_kind, const struct json_span *, uint32_t *);

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

static char *
cursor_seal(const struct mcp *m, enum cat_kind kind, uint32_t page)
{
	const struct seal_key *key = authc_seal();
	uint8_t buf[CURSOR_LEN];

	memcpy(buf, m->session->nonce, ID_LEN);
	buf[ID_LEN] = kind;
	put_be32(buf + ID_LEN + 1, page);
	return key == NULL ? NULL : seal(key, SEAL_CURSOR, buf, sizeof(buf));
}

static int
cursor_open(const struct mcp *m, enum cat_kind kind,
    const struct json_span *cursor, uint32_t *page)
{
	char text[256];
	uint8_t buf[CURSOR_LEN];
	const struct seal_key *key;
	uint32_t kid;
	int len;

	if (cursor->type != JSON_STRING ||
	    (len = json_decode(cursor, text, sizeof(text))) == -1 ||
	    seal_kid(text, len, SEAL_CURSOR, &kid) == -1 ||
	    (key = authc_unseal(kid)) == NULL ||
	    seal_open(key, SEAL_CURSOR, text, len, buf, sizeof(buf)) !=
		sizeof(buf) ||
	    memcmp(buf, m->session->nonce, ID_LEN) != 0 || buf[ID_LEN] != kind)
		return -1;
	*page = get_be32(buf + ID_LEN + 1);
	return 0;
}

static void
list(const struct mcp *m, enum cat_kind kind)
{
	struct view *v = view_get(m->rq->endpoint, m->session->class);
	const struct json_span *cursor = rpc_param(m->rpc, "cursor");
	struct json_buf b = {0};
	const char *p = NULL;
	uint32_t page = 0;
	char *next = NULL;
	size_t len;
	int more = 0;

	if (cursor != NULL && cursor_open(m, kind, cursor, &page) == -1) {
		mcp_error(
		    m->rq, 200, &m->rpc->id, RPC_PARAMS, "invalid cursor");
		return;
	}
	/* A client with capabilities that no backend has been asked with yet
	 * may be shown more once the keeper has done so. */
	if ((v == NULL || !view_complete(v)) && mcp_wait(m->rq))
		return;
	if (v != NULL)
		p = view_page(v, kind, project_of(m->session->revision), page,
		    &len, &more);
	if (p == NULL ||
	    (more && (next = cursor_seal(m, kind, page + 1)) == NULL)) {
		reply_unavailable(m->rq, 1);
		return;
	}
	json_puts(&b, "{\"");
	json_puts(&b, member[kind]);
	json_puts(&b, "\":[");
	json_put(&b, p, len);
	json_puts(&b, "]");
	if (next != NULL) {
		json_puts(&b, ",\"nextCursor\":");
		json_putstr(&b, next);
		free(next);
	}
	json_puts(&b, "}");
	if (b.err)
		reply_unavailable(m->rq, 1);
	else
		mcp_result(m->rq, &m->rpc->id, b.p, b.len);
	json_buf_free(&b);
}
