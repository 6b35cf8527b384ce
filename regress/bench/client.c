#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client.h"

#define REVISION "2025-06-18"
#define READ_MAX 16384

struct manner manner = {"echo", "", 0};
static int ep;

void
client_init(int epoll)
{
	ep = epoll;
}

void
client_close(struct client *c)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	c->in.n = 0;
	c->state = RESTING;
}

static void
done(struct client *c, const char *why)
{
	if (why != NULL || c->last)
		client_close(c);
	c->state = RESTING;
	client_done(c, why);
}

/* ---- asking ---- */

static size_t
nonce(const struct client *c, char *out, size_t len)
{
	int n = snprintf(
	    out, len, "\"nonce-%d-%llu-", c->ix, (unsigned long long)c->id);

	return (size_t)n;
}

static void
message(struct client *c, struct buf *b)
{
	unsigned long long id = (unsigned long long)c->id;
	char word[64];

	switch (c->step) {
	case INITIALIZE:
		buf_fmt(b,
		    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"initialize\""
		    ",\"params\":{\"protocolVersion\":\"" REVISION "\","
		    "\"capabilities\":{},\"clientInfo\":{\"name\":\"load\","
		    "\"version\":\"1\"}}}",
		    id);
		break;
	case INITIALIZED:
		buf_str(b, "{\"jsonrpc\":\"2.0\","
			   "\"method\":\"notifications/initialized\"}");
		break;
	case CALL:
		nonce(c, word, sizeof(word));
		buf_fmt(b,
		    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\""
		    ",\"params\":{\"name\":\"%s\",\"arguments\":{\"message\":"
		    "%s\",\"limit\":10,\"verbose\":false",
		    id, manner.tool, word);
		if (manner.filler > 0) {
			buf_str(b, ",\"filler\":\"");
			buf_need(b, manner.filler);
			memset(b->p + b->n, 'x', manner.filler);
			b->n += manner.filler;
			buf_str(b, "\"");
		}
		buf_str(b, "}}}");
		break;
	case STREAM:
		break;
	}
}

/* Errors show when the answer is read. */
static void
push(struct client *c)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
	int waited = c->sent > 0;
	ssize_t n;

	while (c->sent < c->out.n) {
		n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent,
		    MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN)
				epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
			return;
		}
		c->sent += (size_t)n;
	}
	e.events = EPOLLIN;
	if (waited)
		epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void
send_request(struct client *c)
{
	static struct buf msg;
	struct buf *out = &c->out;

	msg.n = out->n = c->sent = 0;
	c->body.n = 0;
	c->status = c->chunked = c->sse = c->last = 0;
	c->length = -1;
	c->head = c->pos = 0;
	message(c, &msg);
	buf_str(out, c->step == STREAM ? "GET " : "POST ");
	buf_str(out, c->to->path);
	buf_str(out, " HTTP/1.1\r\nHost: ");
	buf_str(out, c->to->host);
	buf_str(
	    out, c->step == STREAM
		     ? "\r\nAccept: text/event-stream\r\n"
		     : "\r\nAccept: application/json, text/event-stream\r\n");
	buf_str(out, manner.extra);
	if (c->step != INITIALIZE) {
		buf_str(out, "Mcp-Protocol-Version: " REVISION "\r\n");
		if (c->session[0] != '\0') {
			buf_str(out, "Mcp-Session-Id: ");
			buf_str(out, c->session);
			buf_str(out, "\r\n");
		}
	}
	if (msg.n > 0)
		buf_fmt(out,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n",
		    msg.n);
	buf_str(out, "\r\n");
	buf_add(out, msg.p, msg.n);
	c->state = ASKING;
	push(c);
}

void
client_ask(struct client *c, enum step step)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
	int on = 1;

	c->step = step;
	c->id++;
	c->since = now_ns();
	if (step == INITIALIZE)
		c->session[0] = '\0';
	if (c->fd != -1) {
		send_request(c);
		return;
	}
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		die("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->state = CONNECTING;
	if (connect(c->fd, (const struct sockaddr *)&c->to->addr,
		sizeof(c->to->addr)) == -1 &&
	    errno != EINPROGRESS)
		done(c, strerror(errno));
	else if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) == -1)
		die("epoll_ctl");
}

/* ---- checking ---- */

static const char *
check_call(const struct client *c, struct span result)
{
	struct span v, content, block, text;
	char word[64];
	size_t n = nonce(c, word, sizeof(word));

	if (json_member(result, "isError", &v) == 1 && span_is(v, "true"))
		return "the tool failed";
	if (json_member(result, "content", &content) != 1 ||
	    json_first(content, &block) != 1 ||
	    json_member(block, "text", &text) != 1)
		return "a result without text";
	if (text.n < n || memcmp(text.p, word, n) != 0)
		return "the answer to another call";
	return NULL;
}

/* What is wrong with an answer; NULL: nothing. */
static const char *
check(const struct client *c, struct span m)
{
	struct span v, result;
	char id[32];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)c->id);
	if (json_member(m, "jsonrpc", &v) != 1 || !span_is(v, "\"2.0\""))
		return "no JSON-RPC message";
	if (json_member(m, "id", &v) != 1 || !span_is(v, id))
		return "an answer with another id";
	if (json_member(m, "result", &result) != 1)
		return "an error for an answer";
	if (c->step == CALL)
		return check_call(c, result);
	return json_member(result, "protocolVersion", &v) == 1
		   ? NULL
		   : "no protocolVersion";
}

/*
 * The message of an event stream that is an answer. An event counts once an
 * empty line has ended it.
 */
static const char *
check_events(const struct client *c)
{
	const char *line = c->body.p, *end = c->body.p + c->body.n, *eol;
	struct span m = {NULL, 0}, v;
	size_t n;

	for (; line < end; line = eol + 1) {
		eol = memchr(line, '\n', (size_t)(end - line));
		if (eol == NULL)
			break;
		n = (size_t)(eol - line);
		if (n > 5 && strncmp(line, "data:", 5) == 0)
			m = (struct span){line + 5, n - 5};
		else if (n == 0 || (n == 1 && *line == '\r')) {
			if (m.n > 0 && json_member(m, "id", &v) == 1 &&
			    json_member(m, "method", &v) == 0)
				return check(c, m);
			m.n = 0;
		}
	}
	return "an event stream without the answer";
}

static const char *
judge(struct client *c)
{
	if (c->status < 200 || c->status > 299)
		return "status";
	if (c->step == INITIALIZED)
		return NULL;
	if (c->step == STREAM)
		return "no stream";
	if (c->sse)
		return check_events(c);
	return check(c, (struct span){c->body.p, c->body.n});
}

/* ---- reading ---- */

static void
field(struct client *c, const char *p, size_t n)
{
	static const char sid[] = "Mcp-Session-Id:";

	if (n > 15 && strncasecmp(p, "Content-Length:", 15) == 0)
		c->length = atoll(p + 15);
	else if (n >= 26 &&
		 strncasecmp(p, "Transfer-Encoding: chunked", 26) == 0)
		c->chunked = 1;
	else if (n >= 31 &&
		 strncasecmp(p, "Content-Type: text/event-stream", 31) == 0)
		c->sse = 1;
	else if (n >= 17 && strncasecmp(p, "Connection: close", 17) == 0)
		c->last = 1;
	else if (c->step == INITIALIZE && n > sizeof(sid) &&
		 strncasecmp(p, sid, sizeof(sid) - 1) == 0) {
		for (p += sizeof(sid) - 1, n -= sizeof(sid) - 1;
		     n > 0 && *p == ' '; p++, n--)
			;
		snprintf(c->session, sizeof(c->session), "%.*s", (int)n, p);
	}
}

/* 1 when the head is whole. */
static int
read_head(struct client *c)
{
	const char *end, *p, *eol;

	if (c->in.n == 0 ||
	    (end = memmem(c->in.p, c->in.n, "\r\n\r\n", 4)) == NULL)
		return 0;
	if (end - c->in.p > 12)
		c->status = atoi(c->in.p + 9);
	for (p = c->in.p; p < end; p = eol + 2) {
		eol = memmem(p, (size_t)(end + 2 - p), "\r\n", 2);
		field(c, p, (size_t)(eol - p));
	}
	if (c->status == 202 || c->status == 204)
		if (c->length == -1 && !c->chunked)
			c->length = 0;
	c->head = c->pos = (size_t)(end - c->in.p) + 4;
	return 1;
}

/* 1 when the body is whole. */
static int
read_chunks(struct client *c)
{
	const char *p, *eol;
	size_t n, off;

	for (;;) {
		p = c->in.p + c->pos;
		eol = memmem(p, c->in.n - c->pos, "\r\n", 2);
		if (eol == NULL)
			return 0;
		n = strtoul(p, NULL, 16);
		off = (size_t)(eol - c->in.p) + 2;
		if (c->in.n < off + n + 2)
			return 0;
		buf_add(&c->body, c->in.p + off, n);
		c->pos = off + n + 2;
		if (n == 0)
			return 1;
	}
}

static int
read_answer(struct client *c, int eof)
{
	size_t end;

	if (c->head == 0 && !read_head(c))
		return 0;
	if (c->step == STREAM && c->status == 200) {
		c->state = STREAMING;
		client_done(c, NULL);
		return 0;
	}
	if (c->chunked)
		return read_chunks(c);
	if (c->length >= 0) {
		end = c->head + (size_t)c->length;
		if (c->in.n < end)
			return 0;
		buf_add(&c->body, c->in.p + c->head, (size_t)c->length);
		c->pos = end;
		return 1;
	}
	if (!eof)
		return 0;
	buf_add(&c->body, c->in.p + c->head, c->in.n - c->head);
	c->pos = c->in.n;
	return 1;
}

static void
whole(struct client *c)
{
	const char *why;

	buf_eat(&c->in, c->pos);
	if ((why = judge(c)) == NULL && c->in.n > 0)
		why = "more than the answer";
	done(c, why);
}

static void
readable(struct client *c)
{
	ssize_t n;

	for (;;) {
		buf_need(&c->in, READ_MAX);
		n = recv(c->fd, c->in.p + c->in.n, READ_MAX, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 && c->state == RESTING) {
			/* A server may end an idle connection. */
			client_close(c);
			return;
		}
		if (n <= 0) {
			if (n == 0 && c->state == ASKING && read_answer(c, 1)) {
				c->last = 1;
				whole(c);
			} else
				done(c, n < 0 ? strerror(errno) : "closed");
			return;
		}
		if (c->state == STREAMING)
			continue;
		c->in.n += (size_t)n;
		if (c->state == RESTING) {
			done(c, "an answer that nobody asked for");
			return;
		}
		if (read_answer(c, 0)) {
			whole(c);
			return;
		}
		if (c->state == STREAMING)
			c->in.n = 0;
		if (n < READ_MAX)
			return;
	}
}

void
client_event(struct client *c, uint32_t events)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
	socklen_t len = sizeof(int);
	int error = 0;

	if (c->fd == -1)
		return;
	if (c->state == CONNECTING) {
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0) {
			done(c, strerror(error));
			return;
		}
		epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
		send_request(c);
		return;
	}
	if (events & EPOLLOUT)
		push(c);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		readable(c);
}
