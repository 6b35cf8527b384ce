#ifndef UPSTREAM_H
#define UPSTREAM_H

/*
 * Requests to HTTP backends: one exchange at a time on a connection, a pool of
 * idle connections per backend. A connection goes back to the pool only after
 * an answer that was framed without doubt.
 */
#include <sys/types.h>

#include "backend.h"
#include "http.h"

struct upreq;

enum up_result {
	UP_OK,
	UP_STATUS, /* a status other than 2xx */
	UP_CONNECT, /* no address took a connection: nothing was sent */
	UP_ADDRESS, /* the name has no address */
	UP_TLS, /* no trusted connection: nothing was sent */
	UP_CLOSED, /* closed before the answer was complete */
	UP_BAD, /* not HTTP, not JSON-RPC over HTTP, lying about length */
	UP_CHILD, /* a stdio child has ended or takes no more: see trouble */
	UP_LARGE, /* more than `body` allows */
};

struct upreq_ops {
	/* One JSON text: the body, or one SSE event. 1 when the answer that
	 * was waited for has come: done(UP_OK) follows at once and the rest is
	 * read and dropped. */
	int (*message)(void *, const char *json, size_t len);
	/* The exchange is over; the upreq is gone when this is called. */
	void (*done)(void *, enum up_result, int status);
};

struct upreq_head {
	const char *method; /* "POST", "GET", "DELETE" */
	const char *session; /* Mcp-Session-Id, or NULL, or "" */
	const char *revision; /* MCP-Protocol-Version, or NULL */
	const char *last; /* Last-Event-ID, or NULL */
	const char *extra; /* whole header lines, or NULL */
};

/* Bytes of answer that are buffered at most. */
void upstream_limit(size_t);
/* body is borrowed until done or upreq_cancel. done is never called from
 * inside this function. NULL when memory or descriptors are out. */
struct upreq *upstream_send(struct backend *, const struct upreq_head *,
    const char *body, size_t len, const struct upreq_ops *, void *arg);
/* Ends it without calling anybody. */
void upreq_cancel(struct upreq *);
/* The session id of the answer's head; "" if it had none. */
const char *upreq_session(const struct upreq *);
/* In done: the id of the last event of a stream ("" if it had none) and after
 * how many ms to come back for what follows it. */
const char *upreq_last(const struct upreq *, unsigned int *retry);
/* In done(UP_STATUS): the body, unless it was too large or did not come; NULL
 * then. */
const char *upreq_refusal(const struct upreq *, size_t *len);
/* Of the answer only the status counts, whatever its body is; after
 * upstream_send. */
void upreq_drop(struct upreq *);
/* Stops and goes on reading the answer. */
void upreq_pause(struct upreq *);
void upreq_resume(struct upreq *);

/* Each second. */
void upstream_tick(void);
/* Closes what has been idle for too long to be trusted, or all. */
void upstream_expire(struct backend *);
void upstream_close_idle(struct backend *);
/* Ends every exchange with a backend that is about to be freed. */
void upstream_forget(struct backend *);
/* What to tell about a result, without anything from the backend. */
const char *up_strerror(const struct backend *, enum up_result);

#endif
