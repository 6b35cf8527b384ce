#ifndef QUESTION_H
#define QUESTION_H

/*
 * Requests of a backend to the client in the middle of a call: elicitation,
 * sampling, roots. They go to the client on the stream of that call, under an
 * id of ours, and the answer comes back in a POST that may land on any worker.
 */
#include "call.h"

/* The backend asks; what the client can not be asked is refused at once, ping
 * is answered here. */
void question_ask(struct call *, const struct rpc *);
/* The client answers: id and whole message, JSON. 1 when it was for a question
 * of this worker in this session. */
int question_answer(const uint8_t nonce[ID_LEN], const char *id, size_t idlen,
    const char *json, size_t len);
/* A response that a client has posted: here, or by the keeper elsewhere. */
void question_response(const uint8_t nonce[ID_LEN], const struct rpc *,
    const char *json, size_t len);
/* The call is over or its client gone: its questions are refused. */
void questions_end(struct call *);

#endif
