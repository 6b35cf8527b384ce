/*
 * Between one child and everybody who talks to it: every request gets a number
 * of ours, and what comes back under it goes to whoever asked. Only ids and
 * tokens are changed; the rest passes byte for byte.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "json.h"
#include "log.h"
#include "rpc.h"
#include "runner.h"

#define INIT 1 /* number of initialize; the first */

static char *keep(const struct json_span *);
static int put_line(struct child *, struct json_buf *);
static void put_changed(struct json_buf *, const char *, const char *,
    const struct json_span *, const char *);
static int handled(struct exchange *, const struct rpc *);
static void message(struct child *, const char *, size_t);
static void answered(struct child *, const struct rpc *, const char *, size_t);
static void told(struct child *, const struct rpc *, const char *, size_t);
static void asked(struct child *, const struct rpc *, const char *, size_t);
static void say(struct child *, const char *, size_t);
static void watchers_tell(struct child *, const char *, const char *, size_t);
static void calls_tell(struct child *, const char *, size_t);
static struct exchange *askable(struct child *);
static void subscribed(const struct exchange *, const struct rpc *);
static uint64_t number(const char *, int *);

static char *
keep(const struct json_span *s)
{
	return s == NULL || s->len > 1024 ? NULL : strndup(s->p, s->len);
}

/* One line: a line end inside is white space between values. */
static int
put_line(struct child *c, struct json_buf *b)
{
	size_t i;

	json_puts(b, "\n");
	if (b->err)
		return -1;
	for (i = 0; i + 1 < b->len; i++)
		if (b->p[i] == '\n' || b->p[i] == '\r')
			b->p[i] = ' ';
	return pipe_write(c, b->p, b->len);
}

/* text from `from` up to `end`, with the value at `at` replaced. */
static void
put_changed(struct json_buf *b, const char *from, const char *end,
    const struct json_span *at, const char *value)
{
	json_put(b, from, (size_t)(at->p - from));
	json_puts(b, value);
	json_put(b, at->p + at->len, (size_t)(end - at->p - at->len));
}

/* ---- toward the child ---- */

int
mux_request(struct exchange *x, const struct rpc *r, const char *body,
    size_t len, const char **why)
{
	const struct json_span *token = rpc_meta(r, "progressToken"), *a, *z;
	struct json_buf b = {0};
	char num[24];
	int rv;

	*why = "can not be asked: out of memory";
	if ((x->rpcid = keep(&r->id)) == NULL)
		return -1;
	if (token != NULL && token->type != JSON_STRING &&
	    token->type != JSON_NUMBER)
		token = NULL;
	x->token = keep(token);
	if (handled(x, r))
		return 0;
	snprintf(num, sizeof(num), "%" PRIu64, x->n);
	if (x->token == NULL)
		put_changed(&b, body, body + len, &r->id, num);
	else {
		a = r->id.p < token->p ? &r->id : token;
		z = a == token ? &r->id : token;
		put_changed(&b, body, z->p, a, num);
		put_changed(&b, z->p, body + len, z, num);
	}
	rv = put_line(x->child, &b);
	json_buf_free(&b);
	if (rv == -1)
		*why = "does not read what it is sent";
	return rv;
}

/* What is kept for a shared child, so that clients do not undo one another's.
 * 1: it is answered here. */
static int
handled(struct exchange *x, const struct rpc *r)
{
	const struct json_span *v;

	if (strcmp(r->method, "resources/subscribe") == 0 ||
	    strcmp(r->method, "resources/unsubscribe") == 0) {
		if ((v = rpc_param(r, "uri")) != NULL)
			x->uri = json_strdup(v);
		if (x->uri == NULL ||
		    strcmp(r->method, "resources/subscribe") == 0)
			return 0;
		subscribed(x, r);
		if (!session_others(x->session, x->uri)) {
			/* Its answer is none to a subscription. */
			free(x->uri);
			x->uri = NULL;
			return 0;
		}
		(void)exchange_tell(x->child, x,
		    "{\"jsonrpc\":\"2.0\",\"id\":", 22, x->rpcid,
		    strlen(x->rpcid), ",\"result\":{}}", 13);
		exchange_done(x, N_END_OK, "");
		return 1;
	}
	return 0;
}

/* A subscription holds from its answer on, and not from unsubscribing on. */
static void
subscribed(const struct exchange *x, const struct rpc *r)
{
	struct session *s = x->session;
	uint32_t i;

	if (s == NULL || x->uri == NULL)
		return;
	if (r->method[0] == '\0') {
		if (r->result != NULL && !strv_has(&s->uris, x->uri))
			(void)strv_add(&s->uris, x->uri);
		return;
	}
	for (i = 0; i < s->uris.n; i++)
		if (strcmp(s->uris.v[i], x->uri) == 0) {
			free(s->uris.v[i]);
			s->uris.v[i] = s->uris.v[--s->uris.n];
			return;
		}
}

void
mux_other(const struct peer *p, struct child *c, const char *body, size_t len)
{
	struct json_buf b = {0};
	struct rpc r;
	const char *why;
	int code;

	/* Nobody answers or announces anything for all the others. */
	if (c->b->conf.instance == INSTANCE_SHARED)
		return;
	/* What was refused when its time was over is not answered again. */
	if (rpc_scan(&r, body, len, &code, &why) == RPC_RESPONSE &&
	    !ask_remove(c, p, &r.id))
		return;
	json_put(&b, body, len);
	(void)put_line(c, &b);
	json_buf_free(&b);
}

void
mux_cancel(struct exchange *x)
{
	char text[160];
	int n;

	n = snprintf(text, sizeof(text),
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
	    "\"params\":{\"requestId\":%" PRIu64 "}}\n",
	    x->n);
	(void)pipe_put(x->child, text, (size_t)n);
}

int
mux_own(struct child *c, const char *method, const char *params)
{
	struct json_buf b = {0};
	int rv, note = strncmp(method, "notifications/", 14) == 0;

	json_puts(&b, "{\"jsonrpc\":\"2.0\",");
	if (!note) {
		json_puts(&b, "\"id\":");
		json_putint(&b, (int64_t)++c->next);
		json_puts(&b, ",");
	}
	json_puts(&b, "\"method\":");
	json_putstr(&b, method);
	if (params != NULL) {
		json_puts(&b, ",\"params\":");
		json_puts(&b, params);
	}
	json_puts(&b, "}");
	rv = put_line(c, &b);
	json_buf_free(&b);
	return rv;
}

int
mux_initialize(struct child *c)
{
	struct json_buf b = {0};
	size_t len;
	char *body;
	int rv;

	c->next = INIT;
	if ((body = rpc_initialize(c->class, "1", &len)) == NULL)
		return -1;
	json_put(&b, body, len);
	rv = put_line(c, &b);
	json_buf_free(&b);
	free(body);
	return rv;
}

/* ---- from the child ---- */

void
mux_line(struct child *c, char *line, size_t len)
{
	struct json_span all, item;
	size_t pos = 0;

	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	if (len == 0)
		return;
	if (!rpc_batches(c->revision) || !rpc_array(&all, line, len)) {
		message(c, line, len);
		return;
	}
	while (json_next(&all, &pos, NULL, &item))
		message(c, item.p, item.len);
}

static void
message(struct child *c, const char *line, size_t len)
{
	struct rpc r;
	const char *why;
	int code;

	switch (rpc_scan(&r, line, len, &code, &why)) {
	case RPC_RESPONSE:
		answered(c, &r, line, len);
		break;
	case RPC_NOTIFICATION:
		told(c, &r, line, len);
		break;
	case RPC_REQUEST:
		asked(c, &r, line, len);
		break;
	case RPC_BAD:
		c->b->garbage++;
		if (c->b->garbage % 1000 == 1)
			log_info("backend %s: wrote a line that is no "
				 "message: %s (%llu so far)",
			    c->b->conf.name, why,
			    (unsigned long long)c->b->garbage);
		break;
	}
}

static void
answered(struct child *c, const struct rpc *r, const char *line, size_t len)
{
	struct exchange *x;
	uint64_t n;

	if (json_uint(&r->id, &n) == -1)
		return;
	if (n == INIT) {
		child_initialized(
		    c, r->result != NULL ? &r->result->val : NULL);
		return;
	}
	if ((x = exchange_of(c, n)) == NULL)
		return;
	if (x->uri != NULL)
		subscribed(x, r);
	if (exchange_tell(c, x, line, (size_t)(r->id.p - line), x->rpcid,
		strlen(x->rpcid), r->id.p + r->id.len,
		(size_t)(line + len - r->id.p - r->id.len)) == -1)
		exchange_done(x, N_END_BUSY,
		    "has answered, in vain: the "
		    "gateway was too busy");
	else
		exchange_done(x, N_END_OK, "");
}

/* Log lines and the like carry no id: in a child that many share they are
 * somebody's only where nobody else has a call open. */
static void
told(struct child *c, const struct rpc *r, const char *line, size_t len)
{
	const struct json_span *token;
	struct exchange *x;
	char *uri;
	uint64_t n;

	if (strcmp(r->method, "notifications/progress") == 0) {
		token = rpc_param(r, "progressToken");
		if (token != NULL && json_uint(token, &n) == 0 &&
		    (x = exchange_of(c, n)) != NULL && x->token != NULL &&
		    !runner_deaf(x->peer))
			(void)exchange_tell(c, x, line,
			    (size_t)(token->p - line), x->token,
			    strlen(x->token), token->p + token->len,
			    (size_t)(line + len - token->p - token->len));
	} else if (strcmp(r->method, "notifications/resources/updated") == 0) {
		token = rpc_param(r, "uri");
		if (token != NULL && (uri = json_strdup(token)) != NULL) {
			watchers_tell(c, uri, line, len);
			free(uri);
		}
	} else if (strstr(r->method, "/list_changed") != NULL) {
		watchers_tell(c, NULL, line, len);
	} else if (strcmp(r->method, "notifications/cancelled") == 0) {
		/* Whoever has the question knows it by its id. */
		if ((token = rpc_param(r, "requestId")) != NULL)
			(void)ask_remove(c, NULL, token);
		calls_tell(c, line, len);
		watchers_tell(c, NULL, line, len);
	} else
		say(c, line, len);
}

/* To the call that is open; with none, or several of a client's own, to the
 * stream of whoever has the child for himself. */
static void
say(struct child *c, const char *line, size_t len)
{
	struct exchange *x = exchange_newest(c, NULL);

	if (c->b->conf.instance == INSTANCE_SHARED) {
		if (x != NULL && c->npending == 1 && !runner_deaf(x->peer))
			(void)exchange_tell(c, x, line, len, "", 0, "", 0);
	} else if (x != NULL) {
		if (!runner_deaf(x->peer))
			(void)exchange_tell(c, x, line, len, "", 0, "", 0);
	} else
		watchers_tell(c, NULL, line, len);
}

/* uri: only to those who are subscribed to it. */
static void
watchers_tell(struct child *c, const char *uri, const char *line, size_t len)
{
	struct session *s;
	struct exchange *x;

	TAILQ_FOREACH (s, &c->b->sessions, entry) {
		if ((s->child != c && s->child != NULL) ||
		    (uri != NULL && !strv_has(&s->uris, uri)))
			continue;
		TAILQ_FOREACH (x, &s->watchers, entry)
			(void)exchange_tell(c, x, line, len, "", 0, "", 0);
	}
}

static void
calls_tell(struct child *c, const char *line, size_t len)
{
	struct exchange *x;
	size_t i;

	for (i = 0; i < PENDING; i++)
		TAILQ_FOREACH (x, &c->pending[i], entry)
			if (!is_keeper(x->peer))
				(void)exchange_tell(
				    c, x, line, len, "", 0, "", 0);
}

/* On which call or stream: the newest call, or the stream of its own client.
 * The keeper asks nobody. */
static struct exchange *
askable(struct child *c)
{
	struct exchange *x = exchange_newest(c, NULL);
	struct session *s;

	if (x == NULL)
		TAILQ_FOREACH (s, &c->b->sessions, entry)
			if (s->child == c &&
			    (x = TAILQ_LAST(&s->watchers, exchanges)) != NULL)
				break;
	return x != NULL && is_keeper(x->peer) ? NULL : x;
}

static void
asked(struct child *c, const struct rpc *r, const char *line, size_t len)
{
	struct json_buf b = {0};
	struct exchange *x = NULL;

	if (strcmp(r->method, "ping") == 0) {
		rpc_putresult(&b, r->id.p, r->id.len);
		json_puts(&b, "{}}");
		(void)put_line(c, &b);
		json_buf_free(&b);
		return;
	}
	if (c->state == CHILD_UP && c->b->conf.instance != INSTANCE_SHARED)
		x = askable(c);
	if (x == NULL)
		mux_refuse(
		    c, &r->id, RPC_NO_METHOD, "nobody can be asked that here");
	else if (ask_add(c, x->peer, x->session, &r->id) == -1)
		mux_refuse(c, &r->id, RPC_INTERNAL, "too many questions");
	else if (exchange_tell(c, x, line, len, "", 0, "", 0) == -1) {
		(void)ask_remove(c, x->peer, &r->id);
		mux_refuse(c, &r->id, RPC_INTERNAL, "can not be asked now");
	}
}

void
mux_refuse(
    struct child *c, const struct json_span *id, int code, const char *why)
{
	struct json_buf b = {0};

	rpc_puterror(&b, id, code, why);
	(void)put_line(c, &b);
	json_buf_free(&b);
}

/* The number at p, or 0; *whole: nothing of the message can follow it. */
static uint64_t
number(const char *p, int *whole)
{
	char *end;
	uint64_t n = strtoull(p, &end, 10);

	*whole = end != p && end[0] == '}' && end[1] == '\0';
	return n;
}

void
mux_giant(struct child *c, const char *head, size_t headlen, const char *tail,
    size_t taillen)
{
	static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":";
	struct exchange *x = NULL;
	char text[257], *p, *last = NULL;
	int known = 0;

	if (headlen > sizeof(start) + 20 &&
	    memcmp(head, start, sizeof(start) - 1) == 0) {
		x = exchange_of(
		    c, strtoull(head + sizeof(start) - 1, NULL, 10));
		known = 1;
	}
	if (!known) {
		memcpy(text, tail, taillen);
		text[taillen] = '\0';
		for (p = text; (p = strstr(p, "\"id\":")) != NULL; p += 5)
			last = p + 5;
		if (last != NULL)
			x = exchange_of(c, number(last, &known));
	}
	/* The late answer to a call that was cancelled is not another's. */
	if (x == NULL && !known && c->npending == 1)
		x = exchange_newest(c, NULL);
	log_info(
	    "backend %s: wrote a line of more than 16 MiB", c->b->conf.name);
	if (x != NULL)
		exchange_done(x, N_END_LARGE, "");
}
