#include <string.h>

#include "server.h"

/* What a small tool answers beside what it was told. */
#define PAD "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"

static struct buf tools;

void
server_prepare(int n)
{
	int i;

	buf_str(&tools, "[");
	for (i = 0; i < n; i++) {
		if (i == 0)
			buf_str(&tools, "{\"name\":\"echo\"");
		else
			buf_fmt(&tools, ",{\"name\":\"tool_%d\"", i);
		buf_fmt(&tools,
		    ",\"title\":\"Tool %d\",\"description\":\"Tool number %d "
		    "of the benchmark. It returns its message and some "
		    "padding, as one block of text.\",\"inputSchema\":"
		    "{\"type\":\"object\",\"properties\":{\"message\":"
		    "{\"type\":\"string\",\"description\":\"Text to return\"},"
		    "\"limit\":{\"type\":\"integer\",\"minimum\":0},"
		    "\"verbose\":{\"type\":\"boolean\",\"default\":false}},"
		    "\"required\":[\"message\"]}}",
		    i, i);
	}
	buf_str(&tools, "]");
}

static void
call(struct span params, struct buf *out)
{
	struct span args, text;

	buf_str(out, "\"content\":[{\"type\":\"text\",\"text\":\"");
	if (params.p != NULL && json_member(params, "arguments", &args) == 1 &&
	    json_member(args, "message", &text) == 1 && text.n >= 2 &&
	    *text.p == '"')
		buf_add(out, text.p + 1, text.n - 2);
	buf_str(out, PAD "\"}],\"isError\":false}}");
}

enum kind
server_answer(struct span m, struct buf *out)
{
	struct span id, method, params = {NULL, 0}, v;

	if (json_member(m, "method", &method) != 1)
		return json_member(m, "result", &v) == 1 ? SAID_NOTHING
							 : SAID_WRONG;
	if (json_member(m, "id", &id) != 1)
		return SAID_NOTHING;
	json_member(m, "params", &params);

	buf_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	buf_add(out, id.p, id.n);
	if (span_is(method, "\"tools/call\"")) {
		buf_str(out, ",\"result\":{");
		call(params, out);
		return SAID_OTHER;
	}
	if (span_is(method, "\"tools/list\"")) {
		buf_str(out, ",\"result\":{\"tools\":");
		buf_add(out, tools.p, tools.n);
		buf_str(out, "}}");
		return SAID_LIST;
	}
	if (span_is(method, "\"initialize\"")) {
		v = (struct span){"\"2025-06-18\"", 12};
		if (params.p != NULL)
			json_member(params, "protocolVersion", &v);
		buf_str(out, ",\"result\":{\"protocolVersion\":");
		buf_add(out, v.p, v.n);
		buf_str(out, ",\"capabilities\":{\"tools\":{}},\"serverInfo\":"
			     "{\"name\":\"bench\",\"version\":\"1\"}}}");
		return SAID_HELLO;
	}
	if (span_is(method, "\"ping\""))
		buf_str(out, ",\"result\":{}}");
	else
		buf_str(out, ",\"error\":{\"code\":-32601,"
			     "\"message\":\"Method not found\"}}");
	return SAID_OTHER;
}
