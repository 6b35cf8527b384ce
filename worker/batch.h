#ifndef BATCH_H
#define BATCH_H

/*
 * Batches of 2025-03-26: an array of messages, answered by an array. Each
 * message is handled as a request of its own that accepts JSON only; what it
 * answers is collected here.
 */
#include "mcp.h"

struct batch;

/* Is the body an array? */
int batch_is(const struct request *);
/* Takes the request apart; one that is no batch of this session's revision is
 * refused. handle is called for each message. */
void batch_begin(struct request *, const struct proof *, const struct session *,
    void (*handle)(struct request *, const struct proof *));
/* From reply.c: a part of a batch is answered; the part is gone. */
void batch_answer(struct request *, const void *body, size_t len);

#endif
