/*
 * Only the envelope is ours; what lies deeper passes byte for byte. Reserved
 * _meta keys (io.modelcontextprotocol/…) are about the hop between client and
 * gateway and go no further.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "splice.h"

#define RESERVED "io.modelcontextprotocol/"

static void put_member(
    struct json_buf *, const char **, const struct json_member *);
static void put_meta(
    struct json_buf *, const struct call *, const struct rpc *, const char **);
static void put_ref(
    struct json_buf *, const struct json_span *, const char *, const char *);
static void put_question_meta(
    struct json_buf *, const struct rpc *, const char *, const char **);
static int put_asked(struct json_buf *, enum project, const struct rpc *,
    const struct json_member *, const char **);
static void put_answer(
    struct json_buf *, const struct call *, const struct rpc *);

void
splice_id(char dst[48], uint64_t id)
{
	snprintf(dst, 48, "%" PRIu64 ".%" PRIu64, worker.id, id);
}

int
splice_readid(const struct json_span *s, uint64_t *wid, uint64_t *id)
{
	char buf[48], *end;

	if (json_decode(s, buf, sizeof(buf)) <= 0 || buf[0] < '0' ||
	    buf[0] > '9')
		return -1;
	*wid = strtoull(buf, &end, 10);
	if (*end != '.' || end[1] < '0' || end[1] > '9')
		return -1;
	*id = strtoull(end + 1, &end, 10);
	return *end == '\0' ? 0 : -1;
}

static void
put_member(struct json_buf *b, const char **sep, const struct json_member *m)
{
	json_puts(b, *sep);
	json_puts(b, "\"");
	json_put(b, m->key, m->keylen);
	json_puts(b, "\":");
	json_putspan(b, &m->val);
	*sep = ",";
}

static void
put_meta(struct json_buf *b, const struct call *c, const struct rpc *r,
    const char **outer)
{
	const struct json_member *m;
	const char *sep = "";
	char id[48];
	size_t i;

	json_puts(b, *outer);
	json_puts(b, "\"_meta\":{");
	*outer = ",";
	if (c->token != NULL) {
		splice_id(id, c->id);
		json_puts(b, "\"progressToken\":");
		json_putstr(b, id);
		sep = ",";
	}
	for (i = 0; i < r->doc.n; i++) {
		m = &r->doc.m[i];
		if (m->level != 2 ||
		    (m->keylen == 13 &&
			memcmp(m->key, "progressToken", 13) == 0) ||
		    (m->keylen > sizeof(RESERVED) - 1 &&
			memcmp(m->key, RESERVED, sizeof(RESERVED) - 1) == 0))
			continue;
		put_member(b, &sep, m);
	}
	json_puts(b, "}");
}

/* params.ref with one string replaced. */
static void
put_ref(struct json_buf *b, const struct json_span *ref, const char *key,
    const char *value)
{
	struct json_span k, v;
	const char *sep = "";
	size_t pos = 0;

	json_puts(b, "{");
	while (json_next(ref, &pos, &k, &v)) {
		json_puts(b, sep);
		json_putspan(b, &k);
		json_puts(b, ":");
		if (json_equals(&k, key))
			json_putstr(b, value);
		else
			json_putspan(b, &v);
		sep = ",";
	}
	json_puts(b, "}");
}

int
splice_request(struct call *c, const struct call_start *cs)
{
	const struct rpc *r = cs->rpc;
	const struct json_member *m;
	struct json_buf b = {0};
	const char *sep = "";
	char id[48];
	size_t i;

	splice_id(id, c->id);
	json_puts(&b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_putstr(&b, id);
	json_puts(&b, ",\"method\":");
	json_putstr(&b, r->method);
	json_puts(&b, ",\"params\":{");
	for (i = 0; i < r->doc.n; i++) {
		m = &r->doc.m[i];
		if (m->level != 1)
			continue;
		if (m->keylen == 5 && memcmp(m->key, "_meta", 5) == 0) {
			if (m->val.type == JSON_OBJECT)
				put_meta(&b, c, r, &sep);
		} else if (cs->ref && m->keylen == 3 &&
			   memcmp(m->key, "ref", 3) == 0 && cs->key != NULL) {
			json_puts(&b, sep);
			json_puts(&b, "\"ref\":");
			put_ref(&b, &m->val, cs->key, cs->value);
			sep = ",";
		} else if (!cs->ref && cs->key != NULL &&
			   m->keylen == strlen(cs->key) &&
			   memcmp(m->key, cs->key, m->keylen) == 0) {
			json_puts(&b, sep);
			json_putstr(&b, cs->key);
			json_puts(&b, ":");
			json_putstr(&b, cs->value);
			sep = ",";
		} else if (c->kind != CALL_TOOL || m->keylen != 4 ||
			   memcmp(m->key, "task", 4) != 0)
			/* Tasks are not declared, so the call is one without
			 * (2025-11-25, basic/utilities/tasks). */
			put_member(&b, &sep, m);
	}
	json_puts(&b, "}}");
	c->body = json_buf_take(&b, &c->bodylen);
	return c->body == NULL ? -1 : 0;
}

int
splice_progress(struct json_buf *b, const struct call *c, const struct rpc *r)
{
	const struct json_span *token = rpc_param(r, "progressToken");
	uint64_t wid, id;

	if (token == NULL || c->token == NULL ||
	    splice_readid(token, &wid, &id) == -1 || wid != worker.id ||
	    id != c->id)
		return -1;
	splice_note(b, r, "progressToken", c->token, c->tokenlen);
	return b->err ? -1 : 0;
}

void
splice_note(struct json_buf *b, const struct rpc *r, const char *key,
    const char *value, size_t len)
{
	const struct json_member *m;
	const char *sep = ",";
	size_t i, keylen = strlen(key);

	json_puts(b, "{\"jsonrpc\":\"2.0\",\"method\":");
	json_putstr(b, r->method);
	json_puts(b, ",\"params\":{\"");
	json_puts(b, key);
	json_puts(b, "\":");
	json_put(b, value, len);
	for (i = 0; i < r->doc.n; i++) {
		m = &r->doc.m[i];
		if (m->level == 1 &&
		    !(m->keylen == keylen && memcmp(m->key, key, keylen) == 0))
			put_member(b, &sep, m);
	}
	json_puts(b, "}}");
}

/* params._meta of a question, with our token in place of the backend's. */
static void
put_question_meta(
    struct json_buf *b, const struct rpc *r, const char *id, const char **outer)
{
	const struct json_member *m;
	const char *sep = ",";
	size_t i;

	json_puts(b, *outer);
	json_puts(b, "\"_meta\":{\"progressToken\":");
	json_putstr(b, id);
	for (i = 0; i < r->doc.n; i++) {
		m = &r->doc.m[i];
		if (m->level == 2 &&
		    !(m->keylen == 13 &&
			memcmp(m->key, "progressToken", 13) == 0))
			put_member(b, &sep, m);
	}
	json_puts(b, "}");
	*outer = ",";
}

/* A member of a question's params. */
static int
put_asked(struct json_buf *b, enum project p, const struct rpc *r,
    const struct json_member *m, const char **sep)
{
	int form = strcmp(r->method, "elicitation/create") == 0 &&
		   m->keylen == 15 &&
		   memcmp(m->key, "requestedSchema", 15) == 0;
	int said = strcmp(r->method, "sampling/createMessage") == 0 &&
		   m->keylen == 8 && memcmp(m->key, "messages", 8) == 0;

	if (!form && !said) {
		put_member(b, sep, m);
		return 0;
	}
	json_puts(b, *sep);
	json_puts(b, form ? "\"requestedSchema\":" : "\"messages\":");
	*sep = ",";
	return form ? project_form(b, p, &m->val)
		    : project_messages(b, p, &m->val);
}

int
splice_question(
    struct json_buf *b, enum project p, const struct rpc *r, const char *id)
{
	const struct json_member *m;
	const char *sep = "";
	size_t i;

	json_puts(b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_putstr(b, id);
	json_puts(b, ",\"method\":");
	json_putstr(b, r->method);
	if (rpc_meta(r, "progressToken") != NULL ||
	    (p != PROJECT_NEWEST && r->params.type == JSON_OBJECT)) {
		json_puts(b, ",\"params\":{");
		for (i = 0; i < r->doc.n; i++) {
			m = &r->doc.m[i];
			if (m->level != 1)
				continue;
			if (m->keylen == 5 && memcmp(m->key, "_meta", 5) == 0 &&
			    rpc_meta(r, "progressToken") != NULL)
				put_question_meta(b, r, id, &sep);
			else if (put_asked(b, p, r, m, &sep) == -1)
				return -1;
		}
		json_puts(b, "}");
	} else if (r->params.type != JSON_NONE) {
		json_puts(b, ",\"params\":");
		json_putspan(b, &r->params);
	}
	json_puts(b, "}");
	return 0;
}

/* The member that answers, as the client's revision knows it. */
static void
put_answer(struct json_buf *b, const struct call *c, const struct rpc *r)
{
	const struct json_span *v = r->result ? &r->result->val : NULL;
	size_t mark = b->len;

	if (v == NULL) {
		json_puts(b, ",\"result\":");
		if (c->kind == CALL_TOOL &&
		    project_error(b, c->project, &r->error->val))
			return;
		b->len = mark;
		json_puts(b, ",\"error\":");
		json_putspan(b, &r->error->val);
		return;
	}
	json_puts(b, ",\"result\":");
	if (v->type != JSON_OBJECT ||
	    (c->kind != CALL_TOOL && c->kind != CALL_PROMPT) ||
	    !project_wanted(c->project, c->wrap, v))
		json_putspan(b, v);
	else if (c->kind == CALL_TOOL)
		project_tool(b, c->project, c->wrap, v);
	else
		project_prompt(b, c->project, v);
}

void
splice_answer(struct json_buf *b, const struct call *c, const struct rpc *r)
{
	json_puts(b, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_put(b, c->client_id, c->client_idlen);
	put_answer(b, c, r);
	json_puts(b, "}");
}
