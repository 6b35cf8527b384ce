#ifndef CALL_H
#define CALL_H

/*
 * A client's request that a backend answers: from the moment it is routed to
 * its answer, whatever becomes of client, backend or session meanwhile.
 */
#include <sys/queue.h>

#include "backend.h"
#include "evlog.h"
#include "json.h"
#include "project.h"
#include "question.h"
#include "request.h"
#include "rpc.h"
#include "session.h"
#include "upsession.h"

enum call_kind {
	CALL_TOOL,
	CALL_PROMPT,
	CALL_RESOURCE,
	CALL_COMPLETION,
	CALL_SUBSCRIBE,
	CALL_UNSUBSCRIBE,
};

struct call {
	TAILQ_ENTRY(call) entry;
	uint64_t id; /* ours: "<worker id>.<id>" upstream */
	struct request *rq; /* NULL: the client has gone, or has a stream */
	struct evlog *log; /* the stream, once there is one */
	enum call_kind kind;
	struct backend *backend;
	uint8_t class, client_class; /* toward this backend; in all */
	const struct endpoint *endpoint;
	char *subject;
	char *client_revision;
	enum project project; /* of that revision */
	int wrap; /* see project_wraps */
	char *client_id; /* JSON, as the client wrote it */
	size_t client_idlen;
	char *token; /* progressToken, JSON; NULL: none asked for */
	size_t tokenlen;
	uint8_t nonce[ID_LEN];
	struct holder by; /* who began it */
	char *body; /* of the request upstream */
	size_t bodylen;
	char *extra; /* trace header lines, or NULL */
	char session[512];
	char revision[16];
	struct upwait *wait;
	struct upreq *up;
	struct event *again; /* to come back for the rest of an answer */
	char last[256]; /* from its event on */
	uint64_t begun, heard; /* ms; heard: last sign of life */
	uint64_t told; /* see upsession_used */
	int json_ok, sse_ok; /* what the client accepts */
	struct asker asker;
	int questions; /* with the client now */
	int sent; /* the backend knows of it */
	int retried; /* after a 404 */
	int answered;
	char *uri; /* CALL_SUBSCRIBE and CALL_UNSUBSCRIBE */
};

/* What is needed to begin one. Everything is copied. */
struct call_start {
	enum call_kind kind;
	const struct session *session;
	const struct proof *proof; /* NULL: nobody signed in */
	struct backend *backend;
	const struct rpc *rpc;
	/* A string of params to send in place of the client's: its key at the
	 * top of params, or (ref) inside params.ref. NULL: none. */
	const char *key, *value;
	int ref;
	const char *uri; /* CALL_SUBSCRIBE, CALL_UNSUBSCRIBE */
	int wrap; /* CALL_TOOL: see project_wraps */
};

/* Sends the call on its way. The request is answered later, or at once when
 * nothing can be begun. */
void call_begin(struct request *, const struct call_start *);
/* The client cancels: by its own id. reason: a JSON string, or NULL. 1 if it is
 * one of this worker's. */
int call_cancel(const uint8_t nonce[ID_LEN], const char *id, size_t idlen,
    const struct json_span *reason);
/* Ends what a revocation covers (REV_*). */
void calls_end(uint8_t kind, const uint8_t id[ID_LEN]);
/* Ends calls of users whose endpoint they may not use any more. */
void calls_forbid(void);
void calls_end_all(void);
/* Calls that are open in this worker: all, and a subject's, which looks at each
 * of them. */
size_t calls_open(void);
size_t calls_of(const char *subject);
/* Calls whose client has gone. */
size_t calls_detached(void);

#endif
