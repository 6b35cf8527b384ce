#ifndef ANSWER_H
#define ANSWER_H

/*
 * The client's side of a call: one JSON text as long as nothing else has to be
 * said first; a progress message, a question or five seconds of silence turn it
 * into an event stream, if the client takes one. A part of a batch has that of
 * its batch.
 */
#include "call.h"

/* What is said of this call goes to rq from now on. */
void answer_open(struct call *, struct request *);
/* A message that is not the answer; the call is a void *, for an asker. Without
 * a client it waits in the log for its return. -1: it can not be said. */
int answer_event(void *, const char *json, size_t len);
/* The last message; the request is gone afterwards. */
void answer_send(struct call *, const char *json, size_t len);
/* Ends it without an answer: nothing must be said any more. */
void answer_drop(struct call *);
/* It will take a while: a client that knows of that is let go, to come back. */
void answer_pause(struct call *);
/* Is there a client, with a stream? Is there none at all? */
int answer_streams(const struct call *);
int answer_detached(const struct call *);
/* By which token it is waited for: that by which it was begun, or by which the
 * client has come back to its stream. */
const struct holder *answer_by(const struct call *);
/* Each second: a stream after five, comments on it later. */
void answer_tick(struct call *, uint64_t now);

#endif
