#ifndef HTTP_H
#define HTTP_H

/*
 * HTTP/1.1 messages (RFC 9110, 9112), requests and responses. Pure functions
 * over bytes: no allocation, no I/O. One strict reading of a message or an
 * error; on any doubt about framing the connection is closed by the caller.
 */
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_HEADERS 100
#define HTTP_MAX_LINE    8192
#define HTTP_MAX_HEAD    (32 * 1024)

struct span {
	const char *p;
	size_t len;
};

enum http_method {
	HTTP_GET = 1,
	HTTP_HEAD = 2,
	HTTP_POST = 4,
	HTTP_PUT = 8,
	HTTP_DELETE = 16,
	HTTP_OPTIONS = 32,
	HTTP_OTHER = 64,
};

/* Headers that something in the gateway looks at. */
enum http_hdr {
	HDR_UNKNOWN,
	HDR_ACCEPT,
	HDR_AUTHORIZATION,
	HDR_CONNECTION,
	HDR_CONTENT_LENGTH,
	HDR_CONTENT_TYPE,
	HDR_COOKIE,
	HDR_EXPECT,
	HDR_FORWARDED,
	HDR_HOST,
	HDR_LAST_EVENT_ID,
	HDR_MCP_METHOD,
	HDR_MCP_NAME,
	HDR_MCP_PROTOCOL_VERSION,
	HDR_MCP_SESSION_ID,
	HDR_ORIGIN,
	HDR_RETRY_AFTER,
	HDR_SEC_FETCH_SITE,
	HDR_TRACEPARENT,
	HDR_TRACESTATE,
	HDR_TRANSFER_ENCODING,
	HDR_X_FORWARDED_FOR,
	HDR_MAX,
};

struct http_head {
	/* request */
	enum http_method method;
	struct span target; /* as sent */
	struct span path; /* up to '?', as sent */
	struct span query; /* after '?', or p == NULL */
	struct span host; /* value of the one Host header */
	/* response */
	int status;
	/* both */
	int minor; /* HTTP/1.minor, 0 or 1 */
	int chunked;
	int64_t length; /* Content-Length; -1 if absent */
	int keepalive;
	int expect; /* Expect: 100-continue */
	uint8_t close, keep; /* said by Connection */
	uint8_t unmet; /* an Expect of something else */
	uint8_t nfields;
	uint8_t count[HDR_MAX];
	/* Where count is not 0: the first, without white space around it. */
	struct span value[HDR_MAX];
};

/*
 * Parse a head at the start of buf. Returns its length (first body byte), 0
 * when more bytes are needed, or minus the status to answer and close with:
 * -400, -405 never, -417 (Expect), -431 (too large), -501 (unknown transfer
 * coding), -505 (version). A response that is malformed gives -502.
 */
ssize_t http_request(struct http_head *, const char *buf, size_t len);
ssize_t http_response(struct http_head *, const char *buf, size_t len);

/* Value of a known header, or NULL. */
const struct span *http_get(const struct http_head *, enum http_hdr);
/* How often it came. */
int http_count(const struct http_head *, enum http_hdr);
/* Of one that came more than once the value number n, from 0 in the order they
 * came in. The buffer of the head must still be there. 0, or -1: not so many. */
int http_value(const struct http_head *, enum http_hdr, int n, struct span *);
/* Is token one of the comma-separated elements of value (no case)? */
int http_has_token(const struct span *value, const char *token);
/* Does its Accept, in however many lines, take this media type? Without one all
 * are taken. Honours wildcards and q=0. */
int http_accepts(const struct http_head *, const char *type);
int span_eq(const struct span *, const char *);
int span_caseeq(const struct span *, const char *);
/* May c stand in a token, e.g. a header name (RFC 9110 5.6.2)? */
int http_tchar(char c);

/* ---- chunked bodies ---- */

struct http_chunk {
	int state;
	uint64_t left; /* of the current chunk */
	uint32_t line; /* bytes of the current size or trailer line */
};

#define CHUNK_MORE 0 /* wants more input */
#define CHUNK_END  1 /* body complete */
#define CHUNK_BAD  (-1)

void http_chunk_init(struct http_chunk *);
/*
 * Decodes *inlen bytes of in to out (out may be in: it never runs ahead).
 * On return *inlen is what was consumed and *outlen what was produced.
 * Trailers are dropped.
 */
int http_chunk(struct http_chunk *, const char *in, size_t *inlen, char *out,
    size_t *outlen);

const char *http_reason(int status);

#endif
