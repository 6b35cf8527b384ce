#ifndef CONN_H
#define CONN_H

/*
 * Client connections: read requests one after the other, hand them to the
 * router, close. Only conn.c, reply.c and unread.c look inside struct conn.
 */
#include <sys/queue.h>

#include "json.h"
#include "request.h"
#include "stream.h"

#define LINGER_TIME 2000 /* ms in which a client closes after our end */

enum conn_state {
	CONN_HEAD, /* waiting for or reading a head */
	CONN_BODY,
	CONN_BUSY, /* a request is with its handler */
	CONN_LINGER, /* shut down for writing, reading to end of file */
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	struct stream s;
	enum conn_state state;
	char *in; /* bytes not yet given to a request */
	size_t inlen, incap;
	size_t bodylen; /* CONN_BODY: decoded so far */
	struct http_chunk chunk;
	struct request *rq;
	uint64_t deadline; /* ms, mono; 0 none */
	uint64_t rate_at; /* CONN_BODY: when bytes were last counted */
	size_t rate_bytes;
	struct json_buf *extra; /* header lines for the next reply */
	uint64_t unread_at; /* ms: see unread.c */
	uint64_t taken; /* of s, then */
	int head_begun;
	int eof; /* the client has said all */
	int close_after;
	int loopback_listener;
	int loopback_peer;
	int in_handler;
	char addr[INET6_ADDRSTRLEN];
};

/* Once, before the first. */
void conn_start(void);
/* A connected socket, which is taken, from this address; loopback: by a listener
 * that only this machine can reach; tls: NULL for plain HTTP. */
void conn_new(int fd, const struct sockaddr_storage *, int loopback,
    struct tls_config *tls);
/* A request whose answer goes to another worker, over a socketpair: a stream
 * without any head. fd is taken; NULL when memory is out. */
struct request *conn_pipe(int fd);
/* Stop accepting, close what is idle: now (stop) or after its time. */
void conn_drain(int stop);
/* The time to drain is over: idle connections are closed, requests that have
 * not come whole are refused. None is left LINGER_TIME later. */
void conn_end_all(void);
size_t conn_count(void);
/* Bytes that clients have not taken yet, of all connections. */
size_t conn_unread(void);
/* Called by reply.c when the answer is complete. */
void conn_done(struct conn *);
/* Broken: close without more ado; rq->gone is called. */
void conn_abort(struct conn *);

#endif
