#ifndef EVLOG_H
#define EVLOG_H

/*
 * An event stream toward a client and its log: what was sent stays for a while,
 * so that a client which lost the connection can go on from the last event it
 * has seen (Last-Event-ID), on this worker or through a pipe from another.
 * Event ids are <worker id>.<stream>.<number>.
 */
#include <stdint.h>

#include "request.h"
#include "session.h"

/* Bytes that a client has not read, beyond which whoever feeds a stream to it
 * had better wait. */
#define BACKLOG_HIGH (64 * 1024)

/* By which token a stream is read. */
struct holder {
	uint8_t gid[ID_LEN]; /* its grant; zeros: no sign-in */
	uint8_t jti[ID_LEN];
	int64_t exp; /* its end; 0: none */
};

struct evlog;

/* What whoever feeds a stream wants to hear of its client. */
struct evlog_ops {
	void (*gone)(void *); /* the connection is lost, or too slow */
	void (*drained)(void *); /* it takes more now */
	/* A client is attached again; lost: what it has missed is not all there
	 * any more. */
	void (*back)(void *, int lost);
	void (*missed)(void *); /* an event went that nobody has been sent */
};

/* Of the token that has just been proved; NULL: of none. */
void evlog_holder(struct holder *, const struct proof *);
/* Is it this token, or this grant, that is revoked (REV_*)? */
int evlog_revoked(
    const struct holder *, uint8_t kind, const uint8_t id[ID_LEN]);
/* A new stream of a session, for whoever has this grant, who alone can resume
 * it: the end of a grant ends what is sent by it. NULL when memory is out. */
struct evlog *evlog_new(const uint8_t nonce[ID_LEN], const struct holder *,
    const char *revision, const struct evlog_ops *, void *arg);
uint64_t evlog_id(const struct evlog *);
/* Who reads it: the last that has come for it. */
const struct holder *evlog_by(const struct evlog *);
/* The request becomes the stream (reply_stream); with a priming event where
 * the revision has one. */
void evlog_attach(struct evlog *, struct request *);
/* Logs one JSON message, and sends it if a client is there; one who is lost by
 * that, or is away, finds it when he comes back. -1: memory is out. */
int evlog_send(struct evlog *, const char *json, size_t len);
/* A comment, if the last byte is older than 15 s. */
void evlog_keepalive(struct evlog *, uint64_t now);
size_t evlog_backlog(const struct evlog *);
int evlog_attached(const struct evlog *);
/* Lets the client go, to come back for more (SSE polling, 2025-11-25 on);
 * nothing for clients that know no such thing. */
void evlog_pause(struct evlog *);
/* Sends the client away, whatever it knows, and says that it has gone: it may
 * come back with another token. */
void evlog_dismiss(struct evlog *);
/* Nothing more will come: the client's stream ends cleanly and the log stays
 * for those who come back for the end of it. Not to be used afterwards. */
void evlog_end(struct evlog *);

/* The same for a stream that never was to end: whoever comes back to it shall
 * have a new one and not the end of the old. */
void evlog_discard(struct evlog *);

/* Reads an event id; 0 or -1. */
int evlog_readid(
    const struct span *, uint64_t *worker, uint64_t *stream, uint64_t *seq);
/* The client comes back on rq: replays what followed seq and goes on. -1 (rq
 * untouched): no such stream of this session and grant. */
int evlog_resume(const uint8_t nonce[ID_LEN], const struct holder *,
    uint64_t stream, uint64_t seq, struct request *rq);
/* Whether evlog_resume() would find it. */
int evlog_exists(const uint8_t nonce[ID_LEN], const uint8_t gid[ID_LEN],
    uint64_t stream, uint64_t seq);
/* Drops the logs of a session whose streams have ended. */
void evlog_forget(const uint8_t nonce[ID_LEN]);
void evlog_tick(void);

#endif
