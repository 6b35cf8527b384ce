/*
 * JSON-RPC 2.0 messages.
 */
#include <string.h>

#include "proto.h"
#include "rpc.h"
#include "version.h"

static void put_modes(struct json_buf *, const char **, const char *,
    const char *, int, const char *, int);

static const char *const chain[] = {"params", "_meta", NULL};

static const char *const revisions[] = {
    "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

enum rpc_kind
rpc_scan(
    struct rpc *r, const char *text, size_t len, int *code, const char **why)
{
	const struct json_member *m;
	enum json_error e;

	memset(&r->id, 0, sizeof(r->id));
	memset(&r->params, 0, sizeof(r->params));
	r->method[0] = '\0';
	r->result = r->error = NULL;
	*code = RPC_PARSE;
	e = json_scan(&r->doc, text, len, chain);
	if (e != JSON_OK) {
		*why = json_strerror(e);
		return RPC_BAD;
	}
	*code = RPC_INVALID;
	*why = "not a JSON-RPC 2.0 message";
	if (r->doc.root == JSON_ARRAY) {
		*why = "batches are not taken";
		return RPC_BAD;
	}
	if (r->doc.root != JSON_OBJECT)
		return RPC_BAD;
	if ((m = json_get(&r->doc, 0, "id")) != NULL) {
		if (m->val.type != JSON_STRING && m->val.type != JSON_NUMBER) {
			*why = "id must be a string or a number";
			return RPC_BAD;
		}
		if (m->val.len > 1024) {
			*why = "id is too long";
			return RPC_BAD;
		}
		r->id = m->val;
	}
	m = json_get(&r->doc, 0, "jsonrpc");
	if (m == NULL || !json_equals(&m->val, "2.0"))
		return RPC_BAD;
	if ((m = json_get(&r->doc, 0, "params")) != NULL) {
		if (m->val.type != JSON_OBJECT) {
			*why = "params must be an object";
			return RPC_BAD;
		}
		r->params = m->val;
	}
	r->result = json_get(&r->doc, 0, "result");
	r->error = json_get(&r->doc, 0, "error");
	m = json_get(&r->doc, 0, "method");
	if (m == NULL) {
		if (r->id.type == JSON_NONE ||
		    (r->result == NULL) == (r->error == NULL))
			return RPC_BAD;
		return RPC_RESPONSE;
	}
	if (json_decode(&m->val, r->method, sizeof(r->method)) <= 0) {
		*why = "method must be a short string";
		return RPC_BAD;
	}
	if (r->result != NULL || r->error != NULL)
		return RPC_BAD;
	return r->id.type == JSON_NONE ? RPC_NOTIFICATION : RPC_REQUEST;
}

const struct json_span *
rpc_param(const struct rpc *r, const char *key)
{
	const struct json_member *m = json_get(&r->doc, 1, key);

	return m == NULL ? NULL : &m->val;
}

const struct json_span *
rpc_meta(const struct rpc *r, const char *key)
{
	const struct json_member *m = json_get(&r->doc, 2, key);

	return m == NULL ? NULL : &m->val;
}

int
rpc_legacy_revision(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(revisions) / sizeof(revisions[0]); i++)
		if (strlen(revisions[i]) == len &&
		    memcmp(revisions[i], p, len) == 0)
			return 1;
	return 0;
}

void
rpc_puterror(struct json_buf *b, const struct json_span *id, int code,
    const char *message)
{
	json_puts(b, "{\"jsonrpc\":\"2.0\",");
	/* The schemas of MCP know no null here. */
	if (id != NULL && id->type != JSON_NONE) {
		json_puts(b, "\"id\":");
		json_putspan(b, id);
		json_puts(b, ",");
	}
	json_puts(b, "\"error\":{\"code\":");
	json_putint(b, code);
	json_puts(b, ",\"message\":");
	json_putstr(b, message);
	json_puts(b, "}}");
}

void
rpc_putresult(struct json_buf *b, const char *id, size_t idlen)
{
	json_puts(b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_put(b, id, idlen);
	json_puts(b, ",\"result\":");
}

/* A capability and which of its two modes there are. */
static void
put_modes(struct json_buf *b, const char **sep, const char *name,
    const char *one, int has_one, const char *two, int has_two)
{
	json_puts(b, *sep);
	json_putstr(b, name);
	json_puts(b, ":{");
	json_puts(b, has_one ? one : "");
	json_puts(b, has_one && has_two ? "," : "");
	json_puts(b, has_two ? two : "");
	json_puts(b, "}");
	*sep = ",";
}

/* What is declared is what can be relayed to the client in question. */
char *
rpc_initialize(uint8_t class, const char *id, size_t *len)
{
	struct json_buf b = {0};
	const char *sep = "";

	json_puts(&b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_puts(&b, id);
	json_puts(&b,
	    ",\"method\":\"initialize\",\"params\":{"
	    "\"protocolVersion\":\"" MCP_LATEST_LEGACY "\",\"capabilities\":{");
	if (class & DECLARE_SAMPLING)
		put_modes(&b, &sep, "sampling", "\"tools\":{}",
		    class & DECLARE_TOOLS, "\"context\":{}",
		    class & DECLARE_CONTEXT);
	if (class & (DECLARE_FORM | DECLARE_URL))
		put_modes(&b, &sep, "elicitation", "\"form\":{}",
		    class & DECLARE_FORM, "\"url\":{}", class & DECLARE_URL);
	if (class & DECLARE_ROOTS)
		put_modes(&b, &sep, "roots", "\"listChanged\":true",
		    class & DECLARE_CHANGES, "", 0);
	json_puts(&b, "},\"clientInfo\":{\"name\":\"mcpgwd\",\"version\":"
		      "\"" MCPGWD_VERSION "\"}}}");
	return json_buf_take(&b, len);
}

/* JSON-RPC batches came and went with one revision. */
int
rpc_batches(const char *revision)
{
	return revision != NULL && strcmp(revision, "2025-03-26") == 0;
}

int
rpc_array(struct json_span *all, const char *text, size_t len)
{
	struct json_doc doc;
	size_t i;

	for (i = 0; i < len && strchr(" \t\r\n", text[i]) != NULL; i++)
		;
	if (i == len || text[i] != '[' ||
	    json_scan(&doc, text, len, NULL) != JSON_OK)
		return 0;
	all->p = text + i;
	all->len = len - i;
	all->type = JSON_ARRAY;
	return 1;
}
