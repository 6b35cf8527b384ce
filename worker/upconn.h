#ifndef UPCONN_H
#define UPCONN_H

/*
 * A connection to a backend and the request on it, for the two files that look
 * inside: upstream.c (sending, pool) and upread.c (reading answers).
 */
#include "backend.h"
#include "http.h"
#include "sse.h"
#include "stream.h"
#include "upstream.h"

#define UP_DRAIN_TIME 2000 /* ms for the rest of what nobody waits for */

enum up_state { UP_CONNECTING, UP_HEAD, UP_BODY, UP_DRAIN, UP_IDLE };
enum up_kind { KIND_JSON, KIND_SSE, KIND_REFUSAL, KIND_DROP };

struct upreq {
	TAILQ_ENTRY(upreq) entry; /* while it is dialed */
	struct dial *dial;
	struct upconn *conn; /* NULL until there is one */
	struct backend *backend;
	char *head;
	size_t headlen;
	const char *body;
	size_t bodylen;
	const struct upreq_ops *ops;
	void *arg;
	unsigned int tried; /* bits of addresses that were connected to */
	int distrusted; /* TLS to an address failed: see the backend */
	char session[512];
	char last[256]; /* id of the last event */
	unsigned int retry; /* ms the backend asked for */
	int status;
	char *refusal; /* the body that came with an error */
	size_t refusallen;
	int batches; /* arrays of messages may come */
	int drop; /* whatever the body of the answer is */
	/* Told the data of endpoint events, or NULL (2024-11-05). */
	void (*endpoint)(void *, const char *, size_t);
	struct childreq *child; /* it is one of child.c */
	struct oldreq *old; /* it is one of oldsse.c, without a connection */
};

struct upconn {
	TAILQ_ENTRY(upconn) entry;
	struct stream s;
	struct backend *backend;
	struct upreq *req; /* NULL when idle or draining */
	enum up_state state;
	enum up_kind kind;
	uint64_t deadline; /* ms: connect, drain, idle; 0 none */
	char *in; /* an unfinished head, a JSON body or a refusal */
	size_t inlen, incap;
	struct http_chunk chunk;
	struct sse sse;
	int64_t left; /* of a body with a length; -1: until the end */
	int chunked;
	int keep;
	int interim;
	int reused;
	int busy; /* inside a callback: do not free */
	int dead;
};

/* upread.c */
extern size_t up_body_max;
void up_read(void *);

/* upstream_send, but to a target of its own, and always by HTTP itself. */
struct upreq *upstream_raw(struct backend *, const struct upreq_head *,
    const char *target, const char *body, size_t len, const struct upreq_ops *,
    void *arg);
/* upstream.c; both may free the connection */
void up_finish(struct upconn *, enum up_result);
void up_free(struct upconn *);
/* Was it TLS that failed, before any answer? 1, and the reason is kept. */
int up_refused(struct upconn *);
/* Nothing was sent to this address: goes on with the next. */
void up_next(struct upconn *);
/* Back to the pool. */
void up_idle(struct upconn *);
/* Tells whoever asked; the request is gone. */
void up_over(struct upreq *, enum up_result);
/* What is needed to come back for the rest of a stream. */
void up_remember(struct upconn *);

#endif
