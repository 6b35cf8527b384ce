#ifndef BATCH_H
#define BATCH_H

/*
 * Batches of 2025-03-26: an array of messages. Each is handled as a request of
 * its own, a part of the batch; what it answers is collected here. The answer
 * is one array as long as nothing else has to be said; a progress message, a
 * question or five seconds of silence turn it into an event stream, on which
 * every answer is an event of its own.
 */
#include "evlog.h"
#include "mcp.h"

struct batch;

/* Is the body an array? */
int batch_is(const struct request *);
/* Takes the request apart; one that is no batch of this session's revision is
 * refused. handle is called for each message. */
void batch_begin(struct request *, const struct proof *, const struct session *,
    void (*handle)(struct request *, const struct proof *));
/* From reply.c: a part of a batch is answered (len 0: needs no answer); the
 * part is gone. */
void batch_answer(struct request *part, const void *body, size_t len);
/* The same with an error where the message was a request. */
void batch_refuse(struct request *part, const char *why);

/* The answer becomes a stream, if it is none yet. 0, or -1 if memory is out.
 * Whoever handles a part asks only for a client that takes streams; its
 * part->drained is called when the client has read what was sent, or has gone
 * (it may come back, and the part goes on). */
int batch_stream(struct request *part);
/* The stream, to send on; NULL while there is none. Not to be ended. */
struct evlog *batch_log(const struct request *part);

#endif
