#ifndef REQUEST_H
#define REQUEST_H

/*
 * A request and its response, as handlers see them. A handler is called once
 * head and body are complete; it answers with one of reply_*, then or later.
 * Answering ends the request: the struct is gone when reply_* returns (for a
 * stream: when reply_end returns).
 *
 * A handler that answers later sets rq->gone, which is called when the client
 * has closed before the answer; the request is freed after it returns.
 */
#include <sys/queue.h>

#include <netinet/in.h>

#include <stddef.h>
#include <stdint.h>

#include "http.h"

struct batch;
struct conn;
struct route;
struct endpoint;

struct request {
	struct conn *conn; /* NULL: a part of a batch */
	const struct route *route;
	const struct endpoint *endpoint; /* MCP routes: whose */
	struct http_head head; /* spans into buf */
	char *buf; /* head and body as received */
	size_t headlen;
	const char *body;
	size_t bodylen;
	char addr[INET6_ADDRSTRLEN]; /* client: peer, or whom a trusted proxy
					names; see origin_client */
	int loopback_listener;
	int loopback_peer;
	size_t limit; /* largest body taken, bytes */
	int cors; /* set by the router: what Access-Control-* to send */
	int streaming; /* reply_stream has been called */
	int resumed; /* a stream of another worker has been looked for */
	int broken; /* a stream whose socket is gone; reply_end cleans up */
	void (*gone)(struct request *);
	void (*drained)(struct request *); /* a stream's backlog is gone */
	void (*lost)(struct request *); /* of a batch: see evlog_ops.missed */
	void *ctx; /* the handler's own */
	struct batch *batch; /* a part of it: batch.c collects the answer */
	TAILQ_ENTRY(request) part;
	int asked; /* whose the resource is that it is about: */
	uint32_t owner; /* this backend's, or 0 */
	uint64_t waiting; /* ms: since when it waits for the catalog */
};

/* Extra header lines for the next reply: name and value are copied; values
 * with bytes below 0x20 are refused and the header is left out. */
void reply_header(struct request *, const char *name, const char *value);

/* Complete answers. ctype may be NULL with len 0. Content-Length, Date and
 * the class's fixed headers are added here. HEAD sends no body. */
void reply(struct request *, int status, const char *ctype, const void *body,
    size_t len);
/* {"error":…,"error_description":…} with the status; description may be NULL.
 * For OAuth endpoints and everything that is not MCP. */
void reply_error(
    struct request *, int status, const char *error, const char *description);
/* A status with an empty body. */
void reply_empty(struct request *, int status);
/* 503 with Retry-After (authd away, queue full). */
void reply_unavailable(struct request *, unsigned int retry_after);

/* A streamed answer (chunked); used for text/event-stream. */
void reply_stream(struct request *, int status, const char *ctype);
/* -1 when the client does not read fast enough and the bound is reached. */
int reply_chunk(struct request *, const void *data, size_t len);
/* Bytes not yet taken by the client's socket. */
size_t reply_backlog(const struct request *);
void reply_end(struct request *);

#endif
