/*
 * Looking at a parsed head: header values, lists, media ranges, reasons.
 */
#include <string.h>
#include <strings.h>

#include "http.h"

static int next_element(const char **, const char *, struct span *);
static void trim(struct span *);
static int split(struct span *, char, struct span *);
static int range_match(const struct span *, const char *);
static int quality(struct span);
static void accept_line(const struct span *, const char *, int *, int *);

const struct span *
http_get(const struct http_head *h, enum http_hdr id)
{
	return h->count[id] == 0 ? NULL : &h->value[id];
}

int
http_count(const struct http_head *h, enum http_hdr id)
{
	return h->count[id];
}

int
span_eq(const struct span *s, const char *str)
{
	return s->len == strlen(str) && memcmp(s->p, str, s->len) == 0;
}

int
span_caseeq(const struct span *s, const char *str)
{
	return s->len == strlen(str) && strncasecmp(s->p, str, s->len) == 0;
}

int
http_has_token(const struct span *value, const char *token)
{
	const char *p = value->p, *end = value->p + value->len;
	struct span e;

	while (next_element(&p, end, &e))
		if (span_caseeq(&e, token))
			return 1;
	return 0;
}

/* Of the ranges that match, the most specific decides (RFC 9110 12.5.1). */
static void
accept_line(const struct span *line, const char *type, int *best, int *taken)
{
	const char *p = line->p, *end = line->p + line->len;
	struct span e, range;
	int how, q;

	while (next_element(&p, end, &e)) {
		if (!split(&e, ';', &range)) {
			range = e;
			e.len = 0;
		}
		trim(&range);
		if ((how = range_match(&range, type)) == 0 || how < *best)
			continue;
		q = quality(e);
		*taken = how > *best ? q : *taken | q;
		*best = how;
	}
}

int
http_accepts(const struct http_head *h, const char *type)
{
	struct span line;
	int n, best = 0, taken = 0;

	if (http_count(h, HDR_ACCEPT) == 0)
		return 1;
	for (n = 0; http_value(h, HDR_ACCEPT, n, &line) == 0; n++)
		accept_line(&line, type, &best, &taken);
	return taken;
}

/* The next element of a comma-separated list; commas in quotes are none. */
static int
next_element(const char **pp, const char *end, struct span *e)
{
	const char *p = *pp;
	int quoted = 0;

	if (p >= end)
		return 0;
	e->p = p;
	for (; p < end && (quoted || *p != ','); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\' && p + 1 < end)
			p++;
	}
	e->len = (size_t)(p - e->p);
	trim(e);
	*pp = p < end ? p + 1 : end;
	return 1;
}

static void
trim(struct span *s)
{
	while (s->len > 0 && (*s->p == ' ' || *s->p == '\t')) {
		s->p++;
		s->len--;
	}
	while (
	    s->len > 0 && (s->p[s->len - 1] == ' ' || s->p[s->len - 1] == '\t'))
		s->len--;
}

/* Cuts what stands before the first c off s; 0 if there is no c. */
static int
split(struct span *s, char c, struct span *before)
{
	const char *p = s->len == 0 ? NULL : memchr(s->p, c, s->len);

	if (p == NULL)
		return 0;
	before->p = s->p;
	before->len = (size_t)(p - s->p);
	s->p = p + 1;
	s->len -= before->len + 1;
	return 1;
}

/* 3 for the type itself, 2 for its family, 1 for everything, else 0. */
static int
range_match(const struct span *range, const char *type)
{
	size_t family = strcspn(type, "/") + 1;

	if (span_caseeq(range, type))
		return 3;
	if (range->len == family + 1 && range->p[family] == '*' &&
	    strncasecmp(range->p, type, family) == 0)
		return 2;
	return span_eq(range, "*/*");
}

/* Is the weight among these parameters above zero? Absent is 1. */
static int
quality(struct span params)
{
	struct span one;
	size_t i;
	int more = 1;

	while (more) {
		more = split(&params, ';', &one);
		if (!more)
			one = params;
		trim(&one);
		if (one.len < 3 || strncasecmp(one.p, "q=", 2) != 0)
			continue;
		for (i = 2; i < one.len; i++)
			if (one.p[i] >= '1' && one.p[i] <= '9')
				return 1;
		return 0;
	}
	return 1;
}

const char *
http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
	    {100, "Continue"},
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {204, "No Content"},
	    {301, "Moved Permanently"},
	    {302, "Found"},
	    {303, "See Other"},
	    {304, "Not Modified"},
	    {307, "Temporary Redirect"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {406, "Not Acceptable"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {410, "Gone"},
	    {411, "Length Required"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {417, "Expectation Failed"},
	    {421, "Misdirected Request"},
	    {422, "Unprocessable Content"},
	    {426, "Upgrade Required"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"},
	};
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}
