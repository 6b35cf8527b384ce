/*
 * sink: an MCP server over Streamable HTTP that does nothing but answer. One
 * process, one epoll loop; as many ports as asked for, each a server of its own
 * to who comes.
 *
 * A session is a random number that is not remembered: whatever has the form of
 * one is let in.
 */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "server.h"

#define SESSION_LEN 32
#define EVENTS      512

struct conn {
	/* First, so that a listener is told from a connection. */
	int fd;
	int listener;
	struct buf in, out;
	size_t sent;
	uint64_t due; /* when the answer that is held back goes out */
	int held, streaming, closing;
	TAILQ_ENTRY(conn) entry;
};

struct request {
	struct span method, body, session;
	int close;
	size_t len;
};

/* All are held equally long, so the first to come is the first to go. */
static TAILQ_HEAD(, conn) held = TAILQ_HEAD_INITIALIZER(held);
static int delay_ms, ep;
static uint64_t seed;

static void
drop(struct conn *c)
{
	if (c->held)
		TAILQ_REMOVE(&held, c, entry);
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

static void
watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};

	if (epoll_ctl(ep, op, c->fd, &e) == -1)
		die("epoll_ctl");
}

/* Not 0 if the connection is gone. */
static int
flush(struct conn *c)
{
	ssize_t n;

	while (c->sent < c->out.n) {
		n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent,
		    MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return 0;
		}
		if (n < 0) {
			drop(c);
			return -1;
		}
		c->sent += (size_t)n;
	}
	c->out.n = c->sent = 0;
	if (!c->closing)
		return 0;
	drop(c);
	return -1;
}

static void
empty(struct conn *c, const char *status)
{
	buf_fmt(&c->out, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
}

static void
session_id(struct buf *out)
{
	int i;

	buf_str(out, "Mcp-Session-Id: ");
	for (i = 0; i < 2; i++) {
		/* xorshift64* */
		seed ^= seed >> 12;
		seed ^= seed << 25;
		seed ^= seed >> 27;
		buf_fmt(out, "%016llx",
		    (unsigned long long)(seed * 2685821657736338717u));
	}
	buf_str(out, "\r\n");
}

static int
is_session(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!isxdigit((unsigned char)s.p[i]))
			return 0;
	return s.n == SESSION_LEN;
}

static void
post(struct conn *c, const struct request *r)
{
	static struct buf msg;
	enum kind kind;

	msg.n = 0;
	kind = server_answer(r->body, &msg);
	if (kind == SAID_WRONG)
		empty(c, "400 Bad Request");
	else if (kind != SAID_HELLO && !is_session(r->session))
		empty(
		    c, r->session.n > 0 ? "404 Not Found" : "400 Bad Request");
	else if (kind == SAID_NOTHING)
		empty(c, "202 Accepted");
	else {
		buf_str(&c->out,
		    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
		if (kind == SAID_HELLO)
			session_id(&c->out);
		buf_fmt(&c->out, "Content-Length: %zu\r\n\r\n", msg.n);
		buf_add(&c->out, msg.p, msg.n);
		if (delay_ms > 0 && (kind == SAID_HELLO || kind == SAID_LIST)) {
			c->held = 1;
			c->due = now_ns() + (uint64_t)delay_ms * 1000000u;
			TAILQ_INSERT_TAIL(&held, c, entry);
		}
	}
}

static int
is_field(const char *line, const char *colon, const char *name)
{
	size_t n = strlen(name);

	return (size_t)(colon - line) == n && strncasecmp(line, name, n) == 0;
}

/* The request at the front of what has come in: 1 whole, 0 not yet, -1 bad. */
static int
parse(const struct buf *in, struct request *r)
{
	const char *end, *line, *eol, *colon, *v;
	size_t body = 0;

	memset(r, 0, sizeof(*r));
	if (in->n == 0 || (end = memmem(in->p, in->n, "\r\n\r\n", 4)) == NULL)
		return in->n > 65536 ? -1 : 0;
	if ((v = memchr(in->p, ' ', (size_t)(end - in->p))) == NULL)
		return -1;
	r->method = (struct span){in->p, (size_t)(v - in->p)};
	for (line = in->p; line < end; line = eol + 2) {
		eol = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		colon = memchr(line, ':', (size_t)(eol - line));
		if (colon == NULL)
			continue;
		for (v = colon + 1; v < eol && *v == ' '; v++)
			;
		if (is_field(line, colon, "Content-Length"))
			body = strtoul(v, NULL, 10);
		else if (is_field(line, colon, "Transfer-Encoding"))
			return -1;
		else if (is_field(line, colon, "Mcp-Session-Id"))
			r->session = (struct span){v, (size_t)(eol - v)};
		else if (is_field(line, colon, "Connection"))
			r->close = strncasecmp(v, "close", 5) == 0;
	}
	r->len = (size_t)(end - in->p) + 4 + body;
	r->body = (struct span){end + 4, body};
	return in->n >= r->len;
}

static void
answer(struct conn *c, const struct request *r)
{
	if (span_is(r->method, "POST"))
		post(c, r);
	else if (span_is(r->method, "DELETE"))
		empty(c, "200 OK");
	else if (span_is(r->method, "GET")) {
		buf_str(&c->out,
		    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n");
		c->streaming = 1;
	} else
		empty(c, "405 Method Not Allowed");
	c->closing = r->close && !c->streaming;
}

static void
serve(struct conn *c)
{
	struct request r;

	while (!c->held && !c->streaming && !c->closing) {
		switch (parse(&c->in, &r)) {
		case -1:
			drop(c);
			return;
		case 0:
			if (c->out.n > 0)
				flush(c);
			return;
		}
		answer(c, &r);
		buf_eat(&c->in, r.len);
	}
	if (!c->held)
		flush(c);
}

static void
readable(struct conn *c)
{
	ssize_t n;

	buf_need(&c->in, 8192);
	n = recv(c->fd, c->in.p + c->in.n, c->in.cap - c->in.n, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	c->in.n += (size_t)n;
	serve(c);
}

static struct conn *
add(int fd, int listener)
{
	struct conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		die("calloc");
	c->fd = fd;
	c->listener = listener;
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
	return c;
}

static void
take(int listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		add(fd, 0);
	}
}

static void
listen_on(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s, on = 1;

	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s == -1)
		die("socket");
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) == -1 ||
	    listen(s, 4096) == -1)
		die("listen");
	add(s, 1);
}

/* Lets go what has been held long enough; ms until the next, or -1. */
static int
release(void)
{
	struct conn *c;
	uint64_t t;

	while ((c = TAILQ_FIRST(&held)) != NULL) {
		t = now_ns();
		if (c->due > t)
			return (int)((c->due - t + 999999u) / 1000000u);
		TAILQ_REMOVE(&held, c, entry);
		c->held = 0;
		if (flush(c) == 0)
			serve(c);
	}
	return -1;
}

int
main(int argc, char **argv)
{
	static struct epoll_event ev[EVENTS];
	struct rlimit rl;
	struct conn *c;
	int i, n, ch;

	while ((ch = getopt(argc, argv, "d:")) != -1) {
		switch (ch) {
		case 'd':
			delay_ms = atoi(optarg);
			break;
		default:
			optind = argc;
		}
	}
	if (optind == argc) {
		fprintf(stderr,
		    "usage: sink [-d ms] port ...\n"
		    "  -d: before initialize and lists are answered\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		die("epoll_create1");
	server_prepare(20);
	for (i = optind; i < argc; i++)
		listen_on(atoi(argv[i]));
	for (;;) {
		n = epoll_wait(ep, ev, EVENTS, release());
		for (i = 0; i < n; i++) {
			c = ev[i].data.ptr;
			if (c->listener)
				take(c->fd);
			else if (ev[i].events & EPOLLOUT) {
				watch(c, EPOLL_CTL_MOD, EPOLLIN);
				if (flush(c) == 0)
					serve(c);
			} else
				readable(c);
		}
	}
}
