/*
 * Heads of HTTP/1.1 messages. There is one reading of every head or none:
 * what RFC 9112 lets a recipient repair is refused here. Lines are taken in
 * order and only when complete, so the answer does not depend on how the bytes
 * arrived.
 */
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "http.h"

#define MAX_LENGTH_DIGITS 15

/* RFC 9110 5.6.2 */
static const uint8_t token[256] = {
    ['0' ... '9'] = 1,
    ['A' ... 'Z'] = 1,
    ['a' ... 'z'] = 1,
    ['!'] = 1,
    ['#' ... '\''] = 1,
    ['*'] = 1,
    ['+'] = 1,
    ['-'] = 1,
    ['.'] = 1,
    ['^' ... '`'] = 1,
    ['|'] = 1,
    ['~'] = 1,
};

struct input {
	const char *buf;
	size_t len;
	size_t off; /* next unread byte */
};

static void head_init(struct http_head *);
static ssize_t next_line(struct input *, struct span *);
static int text_char(char);
static int text_valid(const char *, const char *);
static int request_line(struct http_head *, const struct span *);
static enum http_method method_of(const char *, size_t);
static int version(const char *, size_t, int *);
static int target(struct http_head *, struct span *);
static int status_line(struct http_head *, const struct span *);
static ssize_t fields(struct http_head *, struct input *);
static int field(struct http_head *, const struct span *);
static const char *first(const char *, char);
static void field_value(struct span *, const char *, const char *);
static void field_keep(struct http_head *, enum http_hdr, const struct span *);
static enum http_hdr header_of(const char *, size_t);
static int framing(struct http_head *);
static int content_length(struct http_head *);
static int transfer_encoding(struct http_head *);
static void connection(struct http_head *);
static int host(struct http_head *, const struct span *);
static int host_valid(const struct span *);
static int expectation(struct http_head *);

ssize_t
http_request(struct http_head *h, const char *buf, size_t len)
{
	struct input in = {buf, len, 0};
	struct span line, authority = {NULL, 0};
	ssize_t n;
	int status;

	head_init(h);
	if ((n = next_line(&in, &line)) <= 0)
		return n;
	/* One empty line: some clients end a body with a stray CRLF. */
	if (line.len == 0 && (n = next_line(&in, &line)) <= 0)
		return n;
	if ((status = request_line(h, &line)) != 0)
		return -status;
	if ((status = target(h, &authority)) != 0)
		return -status;
	if ((n = fields(h, &in)) <= 0)
		return n;
	if ((status = framing(h)) != 0)
		return -status;
	if ((status = host(h, &authority)) != 0)
		return -status;
	if ((status = expectation(h)) != 0)
		return -status;
	connection(h);
	return n;
}

ssize_t
http_response(struct http_head *h, const char *buf, size_t len)
{
	struct input in = {buf, len, 0};
	struct span line;
	ssize_t n;

	head_init(h);
	if ((n = next_line(&in, &line)) == 0)
		return 0;
	if (n < 0 || status_line(h, &line) != 0)
		return -502;
	if ((n = fields(h, &in)) == 0)
		return 0;
	if (n < 0 || framing(h) != 0)
		return -502;
	connection(h);
	return n;
}

/* The values are left as they are: count says which are there. */
static void
head_init(struct http_head *h)
{
	memset(h, 0, offsetof(struct http_head, value));
	h->length = -1;
}

/* The next line without its CRLF. Returns 1, 0 for more, or -status. */
static ssize_t
next_line(struct input *in, struct span *line)
{
	const char *p = in->buf + in->off, *lf;
	size_t n = in->len - in->off, max = HTTP_MAX_LINE + 2;

	if (max > HTTP_MAX_HEAD - in->off)
		max = HTTP_MAX_HEAD - in->off;
	if ((lf = memchr(p, '\n', n < max ? n : max)) == NULL)
		return n >= max ? -431 : 0;
	if (lf == p || lf[-1] != '\r')
		return -400;
	line->p = p;
	line->len = (size_t)(lf - 1 - p);
	in->off += (size_t)(lf + 1 - p);
	return 1;
}

static int
text_char(char c)
{
	return c == '\t' || (c >= 0x20 && c <= 0x7e);
}

int
http_tchar(char c)
{
	return token[(unsigned char)c];
}

/* Are these bytes visible ASCII, blanks and tabs only? */
static int
text_valid(const char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101ULL;
	uint64_t w;

	while (p < end) {
		/* Eight that are all of 0x20 to 0x7e. */
		if (end - p >= 8) {
			memcpy(&w, p, sizeof(w));
			if (((w | (w - ones * 0x20) | (w + ones)) &
				ones * 0x80) == 0) {
				p += 8;
				continue;
			}
		}
		if (!text_char(*p++))
			return 0;
	}
	return 1;
}

static int
request_line(struct http_head *h, const struct span *line)
{
	const char *p = line->p, *end = line->p + line->len, *start;
	int status;

	while (p < end && *p >= 'A' && *p <= 'Z')
		p++;
	if (p == line->p || p == end || *p != ' ')
		return 400;
	h->method = method_of(line->p, (size_t)(p - line->p));

	start = ++p;
	while (p<end && * p> 0x20 && *p < 0x7f)
		p++;
	if (p == start || p == end || *p != ' ')
		return 400;
	h->target.p = start;
	h->target.len = (size_t)(p - start);

	p++;
	if ((status = version(p, (size_t)(end - p), &h->minor)) != 0)
		return status;
	return 0;
}

static enum http_method
method_of(const char *p, size_t len)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = {
	    {"POST", HTTP_POST},
	    {"GET", HTTP_GET},
	    {"OPTIONS", HTTP_OPTIONS},
	    {"DELETE", HTTP_DELETE},
	    {"HEAD", HTTP_HEAD},
	    {"PUT", HTTP_PUT},
	};
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strlen(methods[i].name) == len &&
		    memcmp(methods[i].name, p, len) == 0)
			return methods[i].method;
	return HTTP_OTHER;
}

/* Exactly "HTTP/D.D"; 0, 400 or 505. */
static int
version(const char *p, size_t len, int *minor)
{
	if (len != 8 || memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' ||
	    p[5] < '0' || p[5] > '9' || p[7] < '0' || p[7] > '9')
		return 400;
	if (p[5] != '1' || p[7] > '1')
		return 505;
	*minor = p[7] - '0';
	return 0;
}

/* Splits the target; authority is set if it is in absolute form. */
static int
target(struct http_head *h, struct span *authority)
{
	static const char slash[] = "/";
	const char *p = h->target.p, *end = p + h->target.len, *q;
	size_t skip;

	for (q = p; q < end; q++)
		if (*q == '#' || *q == '\\' || *q == '<' || *q == '>' ||
		    *q == '"')
			return 400;
	if (h->target.len == 1 && *p == '*') {
		h->path = h->target;
		return h->method == HTTP_OPTIONS ? 0 : 400;
	}
	if (*p != '/') {
		skip = h->target.len > 7 && strncasecmp(p, "http://", 7) == 0
			   ? 7
			   : 8;
		if (h->target.len <= skip ||
		    (skip == 8 && strncasecmp(p, "https://", 8) != 0))
			return 400;
		p += skip;
		for (q = p; q < end && *q != '/' && *q != '?'; q++)
			continue;
		authority->p = p;
		authority->len = (size_t)(q - p);
		if (authority->len == 0)
			return 400;
		p = q;
	}
	if ((q = memchr(p, '?', (size_t)(end - p))) != NULL) {
		h->query.p = q + 1;
		h->query.len = (size_t)(end - (q + 1));
		end = q;
	}
	h->path.p = p;
	h->path.len = (size_t)(end - p);
	if (h->path.len == 0) {
		h->path.p = slash;
		h->path.len = 1;
	}
	return 0;
}

static int
status_line(struct http_head *h, const struct span *line)
{
	const char *p = line->p;
	size_t i;

	if (line->len < 13 || version(p, 8, &h->minor) != 0 || p[8] != ' ')
		return 502;
	for (i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return 502;
		h->status = h->status * 10 + (p[i] - '0');
	}
	if (h->status < 100 || h->status > 599 || p[12] != ' ')
		return 502;
	for (i = 13; i < line->len; i++)
		if (!text_char(p[i]) && (unsigned char)p[i] < 0x80)
			return 502;
	return 0;
}

/* All header lines and the empty one; length of the head, 0 or -status. */
static ssize_t
fields(struct http_head *h, struct input *in)
{
	struct span line;
	ssize_t n;
	int status;

	for (;;) {
		if ((n = next_line(in, &line)) <= 0)
			return n;
		if (line.len == 0)
			return (ssize_t)in->off;
		if ((status = field(h, &line)) != 0)
			return -status;
	}
}

static int
field(struct http_head *h, const struct span *line)
{
	const char *p = line->p, *end = line->p + line->len;
	struct span value;
	enum http_hdr id;

	if (h->nfields == HTTP_MAX_HEADERS)
		return 431;
	while (p < end && token[(unsigned char)*p])
		p++;
	/* Also a folded line, and white space before the colon. */
	if (p == line->p || p == end || *p != ':')
		return 400;
	id = header_of(line->p, (size_t)(p - line->p));
	if (!text_valid(++p, end))
		return 400;
	field_value(&value, p, end);
	h->nfields++;
	if (id != HDR_UNKNOWN)
		field_keep(h, id, &value);
	return 0;
}

/* Without the white space around it. */
static void
field_value(struct span *value, const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	value->p = p;
	value->len = (size_t)(end - p);
}

/* Where it certainly is. */
static const char *
first(const char *p, char c)
{
	while (*p != c)
		p++;
	return p;
}

/* The lines after the first are looked for when somebody asks: the head is
 * known to be whole and well-formed, and to have as many. */
int
http_value(
    const struct http_head *h, enum http_hdr id, int n, struct span *value)
{
	const char *line, *colon, *end;

	if (n < 0 || n >= h->count[id])
		return -1;
	for (*value = h->value[id]; n > 0; n--) {
		end = value->p + value->len;
		do {
			line = first(end, '\n') + 1;
			colon = first(line, ':');
			end = first(colon, '\r');
		} while (header_of(line, (size_t)(colon - line)) != id);
		field_value(value, colon + 1, end);
	}
	return 0;
}

/* Two headers are lists that may come in several lines. */
static void
field_keep(struct http_head *h, enum http_hdr id, const struct span *value)
{
	if (h->count[id]++ == 0)
		h->value[id] = *value;
	if (id == HDR_CONNECTION) {
		h->close |= http_has_token(value, "close");
		h->keep |= http_has_token(value, "keep-alive");
	} else if (id == HDR_EXPECT)
		h->unmet |= !span_caseeq(value, "100-continue");
}

static enum http_hdr
header_of(const char *p, size_t len)
{
#define IS(name, id)                                     \
	if (strncasecmp(p, name, sizeof(name) - 1) == 0) \
	return id
	switch (len) {
	case 4:
		IS("host", HDR_HOST);
		break;
	case 6:
		IS("accept", HDR_ACCEPT);
		IS("origin", HDR_ORIGIN);
		IS("cookie", HDR_COOKIE);
		IS("expect", HDR_EXPECT);
		break;
	case 8:
		IS("mcp-name", HDR_MCP_NAME);
		break;
	case 9:
		IS("forwarded", HDR_FORWARDED);
		break;
	case 10:
		IS("connection", HDR_CONNECTION);
		IS("mcp-method", HDR_MCP_METHOD);
		IS("tracestate", HDR_TRACESTATE);
		break;
	case 11:
		IS("traceparent", HDR_TRACEPARENT);
		IS("retry-after", HDR_RETRY_AFTER);
		break;
	case 12:
		IS("content-type", HDR_CONTENT_TYPE);
		break;
	case 13:
		IS("authorization", HDR_AUTHORIZATION);
		IS("last-event-id", HDR_LAST_EVENT_ID);
		break;
	case 14:
		IS("content-length", HDR_CONTENT_LENGTH);
		IS("mcp-session-id", HDR_MCP_SESSION_ID);
		IS("sec-fetch-site", HDR_SEC_FETCH_SITE);
		break;
	case 15:
		IS("x-forwarded-for", HDR_X_FORWARDED_FOR);
		break;
	case 17:
		IS("transfer-encoding", HDR_TRANSFER_ENCODING);
		break;
	case 20:
		IS("mcp-protocol-version", HDR_MCP_PROTOCOL_VERSION);
		break;
	}
#undef IS
	return HDR_UNKNOWN;
}

static int
framing(struct http_head *h)
{
	int status;

	if (h->count[HDR_TRANSFER_ENCODING] > 0 &&
	    h->count[HDR_CONTENT_LENGTH] > 0)
		return 400;
	if ((status = content_length(h)) != 0)
		return status;
	return transfer_encoding(h);
}

/* Trailing white space is refused here and below although RFC 9110 allows it:
 * not every proxy in front of us reads such a value as we would. */
static int
content_length(struct http_head *h)
{
	const struct span *v = http_get(h, HDR_CONTENT_LENGTH);
	int64_t n = 0;
	size_t i;

	if (v == NULL)
		return 0;
	if (h->count[HDR_CONTENT_LENGTH] > 1 || v->len == 0 ||
	    v->len > MAX_LENGTH_DIGITS || v->p[v->len] != '\r')
		return 400;
	for (i = 0; i < v->len; i++) {
		if (v->p[i] < '0' || v->p[i] > '9')
			return 400;
		n = n * 10 + (v->p[i] - '0');
	}
	h->length = n;
	return 0;
}

static int
transfer_encoding(struct http_head *h)
{
	const struct span *v = http_get(h, HDR_TRANSFER_ENCODING);
	size_t i;

	if (v == NULL)
		return 0;
	if (h->count[HDR_TRANSFER_ENCODING] > 1 || h->minor == 0 ||
	    v->len == 0 || v->p[v->len] != '\r')
		return 400;
	for (i = 0; i < v->len; i++)
		if (!token[(unsigned char)v->p[i]])
			return 400;
	if (!span_caseeq(v, "chunked"))
		return 501;
	h->chunked = 1;
	return 0;
}

static void
connection(struct http_head *h)
{
	h->keepalive = !h->close && (h->minor == 1 || h->keep);
}

static int
host(struct http_head *h, const struct span *authority)
{
	const struct span *v = http_get(h, HDR_HOST);

	if (v == NULL || h->count[HDR_HOST] != 1 || !host_valid(v))
		return 400;
	if (authority->p != NULL &&
	    (authority->len != v->len ||
		strncasecmp(authority->p, v->p, v->len) != 0))
		return 400;
	h->host = *v;
	return 0;
}

/* NAME[:PORT] or [ADDRESS][:PORT]; whether it is ours the router decides. */
static int
host_valid(const struct span *v)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	static const char address[] = "abcdefABCDEF0123456789:.";
	const char *p = v->p, *end = v->p + v->len, *start;
	int literal = v->len > 0 && *p == '[';

	if (literal)
		p++;
	for (start = p; p < end; p++)
		if (*p == '\0' || strchr(literal ? address : name, *p) == NULL)
			break;
	if (p == start)
		return 0;
	if (literal && (p == end || *p++ != ']'))
		return 0;
	if (p == end)
		return 1;
	if (*p++ != ':' || p == end || end - p > 5)
		return 0;
	for (; p < end; p++)
		if (*p < '0' || *p > '9')
			return 0;
	return 1;
}

/* HTTP/1.0 knows no Expect: there it is ignored (RFC 9110 10.1.1). */
static int
expectation(struct http_head *h)
{
	if (h->minor == 0 || h->count[HDR_EXPECT] == 0)
		return 0;
	if (h->unmet)
		return 417;
	h->expect = 1;
	return 0;
}
