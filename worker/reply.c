/*
 * Responses. Head and body leave in one system call; what a class of routes
 * always carries is added here and nowhere else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "batch.h"
#include "compat.h"
#include "conn.h"
#include "json.h"
#include "route.h"
#include "unread.h"
#include "worker.h"

#define REPLY_BACKLOG (256 * 1024) /* of a stream whose client is slow */

static int reply_head(
    struct request *, int, const char *, int64_t, char *, size_t);
static const char *http_date(void);
static void add(char *, size_t, size_t *, const char *, const char *);
static void reply_sent(struct request *, int);

void
reply_header(struct request *rq, const char *name, const char *value)
{
	struct conn *c = rq->conn;
	const unsigned char *p;

	if (rq->batch != NULL)
		return;

	for (p = (const unsigned char *)value; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			return;
	if (c->extra == NULL &&
	    (c->extra = calloc(1, sizeof(*c->extra))) == NULL)
		return;
	json_puts(c->extra, name);
	json_puts(c->extra, ": ");
	json_puts(c->extra, value);
	json_puts(c->extra, "\r\n");
}

/* The date of this second, rendered once a second. */
static const char *
http_date(void)
{
	static char date[40];
	static time_t then;
	time_t now = time(NULL);
	struct tm tm;

	if (now != then && gmtime_r(&now, &tm) != NULL) {
		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		then = now;
	}
	return date;
}

static void
add(char *dst, size_t size, size_t *n, const char *name, const char *value)
{
	size_t a = strlen(name), b = strlen(value);

	if (*n + a + b + 4 > size)
		return;
	memcpy(dst + *n, name, a);
	memcpy(dst + *n + a, ": ", 2);
	memcpy(dst + *n + a + 2, value, b);
	memcpy(dst + *n + a + 2 + b, "\r\n", 2);
	*n += a + b + 4;
}

/* length -1: chunked, or until the end for an HTTP/1.0 client. */
static int
reply_head(struct request *rq, int status, const char *ctype, int64_t length,
    char *dst, size_t size)
{
	struct conn *c = rq->conn;
	const struct span *o;
	char num[64];
	size_t n;

	if (worker.draining)
		c->close_after = 1;
	n = snprintf(
	    dst, size, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
	add(dst, size, &n, "Date", http_date());
	if (ctype != NULL)
		add(dst, size, &n, "Content-Type", ctype);
	if (length >= 0 && status != 204) {
		snprintf(num, sizeof(num), "%lld", (long long)length);
		add(dst, size, &n, "Content-Length", num);
	} else if (length < 0 && rq->head.minor == 1)
		add(dst, size, &n, "Transfer-Encoding", "chunked");
	else if (length < 0)
		c->close_after = 1;
	add(dst, size, &n, "X-Content-Type-Options", "nosniff");
	if (worker.issuer_https)
		add(dst, size, &n, "Strict-Transport-Security",
		    "max-age=31536000");
	if (rq->cors == CORS_ANY)
		add(dst, size, &n, "Access-Control-Allow-Origin", "*");
	else if (rq->cors == CORS_ORIGIN &&
		 (o = http_get(&rq->head, HDR_ORIGIN)) != NULL) {
		if (n + o->len + 64 < size)
			n += snprintf(dst + n, size - n,
			    "Access-Control-Allow-Origin: %.*s\r\n",
			    (int)o->len, o->p);
		add(dst, size, &n, "Vary", "Origin");
	}
	if (rq->cors != CORS_NONE)
		add(dst, size, &n, "Access-Control-Expose-Headers",
		    "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version");
	if (worker.debug) {
		snprintf(
		    num, sizeof(num), "%llu", (unsigned long long)worker.id);
		add(dst, size, &n, "X-Mcpgw-Worker", num);
	}
	if (c->close_after)
		add(dst, size, &n, "Connection", "close");
	else if (rq->head.minor == 0)
		add(dst, size, &n, "Connection", "keep-alive");
	return n;
}

void
reply(struct request *rq, int status, const char *ctype, const void *body,
    size_t len)
{
	struct conn *c = rq->conn;
	struct iovec iov[4];
	char head[2048];
	size_t before;
	int r, n = 0;

	if (rq->batch != NULL) {
		batch_answer(rq, body, len);
		return;
	}

	iov[n].iov_base = head;
	iov[n++].iov_len =
	    reply_head(rq, status, ctype, len, head, sizeof(head));
	if (c->extra != NULL && c->extra->len > 0) {
		iov[n].iov_base = c->extra->p;
		iov[n++].iov_len = c->extra->len;
	}
	memcpy(&iov[n].iov_base, &(const char *){"\r\n"}, sizeof(char *));
	iov[n++].iov_len = 2;
	if (len > 0 && rq->head.method != HTTP_HEAD) {
		memcpy(&iov[n].iov_base, &body, sizeof(body));
		iov[n++].iov_len = len;
	}
	before = stream_queued(&c->s);
	r = stream_sendv(&c->s, iov, n);
	if (stream_queued(&c->s) > before)
		unread_queued(stream_queued(&c->s) - before);
	reply_sent(rq, r);
}

/* The answer is with the socket or its queue. */
static void
reply_sent(struct request *rq, int r)
{
	struct conn *c = rq->conn;

	rq->gone = NULL;
	if (c->extra != NULL) {
		json_buf_free(c->extra);
		free(c->extra);
		c->extra = NULL;
	}
	if (r == -1)
		conn_abort(c);
	else
		conn_done(c);
}

void
reply_error(
    struct request *rq, int status, const char *error, const char *description)
{
	struct json_buf b = {0};

	if (rq->batch != NULL) {
		batch_refuse(rq, description ? description : error);
		return;
	}
	json_puts(&b, "{\"error\":");
	json_putstr(&b, error);
	if (description != NULL && *description != '\0') {
		json_puts(&b, ",\"error_description\":");
		json_putstr(&b, description);
	}
	json_puts(&b, "}");
	if (b.err)
		reply_empty(rq, 500);
	else
		reply(rq, status, "application/json", b.p, b.len);
	json_buf_free(&b);
}

void
reply_empty(struct request *rq, int status)
{
	reply(rq, status, NULL, NULL, 0);
}

void
reply_unavailable(struct request *rq, unsigned int retry_after)
{
	char num[16];

	snprintf(num, sizeof(num), "%u", retry_after ? retry_after : 1);
	reply_header(rq, "Retry-After", num);
	reply_error(rq, 503, "temporarily_unavailable", NULL);
}

void
reply_stream(struct request *rq, int status, const char *ctype)
{
	struct conn *c = rq->conn;
	struct iovec iov[3];
	char head[2048];
	int n = 0;

	reply_header(rq, "Cache-Control", "no-cache, no-transform");
	reply_header(rq, "X-Accel-Buffering", "no");
	rq->streaming = 1;
	iov[n].iov_base = head;
	iov[n++].iov_len =
	    reply_head(rq, status, ctype, -1, head, sizeof(head));
	if (c->extra != NULL) {
		iov[n].iov_base = c->extra->p;
		iov[n++].iov_len = c->extra->len;
	}
	memcpy(&iov[n].iov_base, &(const char *){"\r\n"}, sizeof(char *));
	iov[n++].iov_len = 2;
	if (stream_sendv(&c->s, iov, n) == -1)
		rq->broken = 1;
	if (c->extra != NULL)
		json_buf_free(c->extra);
	free(c->extra);
	c->extra = NULL;
}

int
reply_chunk(struct request *rq, const void *data, size_t len)
{
	struct iovec iov[3];
	char size[20];
	int n = 0;

	if (len == 0)
		return 0;
	if (rq->broken || reply_backlog(rq) > REPLY_BACKLOG)
		return -1;
	if (rq->head.minor == 1) {
		iov[n].iov_base = size;
		iov[n++].iov_len = snprintf(size, sizeof(size), "%zx\r\n", len);
	}
	memcpy(&iov[n].iov_base, &data, sizeof(data));
	iov[n++].iov_len = len;
	if (rq->head.minor == 1) {
		memcpy(
		    &iov[n].iov_base, &(const char *){"\r\n"}, sizeof(char *));
		iov[n++].iov_len = 2;
	}
	if (stream_sendv(&rq->conn->s, iov, n) == -1)
		rq->broken = 1;
	return rq->broken ? -1 : 0;
}

size_t
reply_backlog(const struct request *rq)
{
	return stream_queued(&rq->conn->s);
}

void
reply_end(struct request *rq)
{
	int r = rq->broken ? -1 : 0;

	if (r == 0 && rq->head.minor == 1)
		r = stream_send(&rq->conn->s, "0\r\n\r\n", 5);
	reply_sent(rq, r);
}
