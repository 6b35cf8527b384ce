#ifndef QUESTION_H
#define QUESTION_H

/*
 * Requests of a backend to the client: elicitation, sampling, roots. They go
 * to the client on the stream of the call that caused them, or outside of any
 * call on its GET stream, under an id of ours; the answer comes back in a POST
 * that may land on any worker.
 */
#include "backend.h"
#include "project.h"
#include "rpc.h"

/* Where questions come from and go to; lives as long as its questions. */
struct asker {
	struct backend *backend;
	const char *session, *revision; /* of the upstream session */
	const uint8_t *nonce; /* of the client's session */
	uint8_t class; /* what may be asked */
	enum project project; /* of the client's revision */
	/* Toward the client; -1 if it can not be reached. */
	int (*send)(void *, const char *json, size_t len);
	void *arg;
	int *open; /* counts those that wait for the client */
};

/* The backend asks; what the client can not be asked is refused at once, ping
 * is answered here. */
void question_ask(struct asker *, const struct rpc *);
/* The client answers: id and whole message, JSON. 1 when it was for a question
 * of this worker in this session. */
int question_answer(const uint8_t nonce[ID_LEN], const char *id, size_t idlen,
    const char *json, size_t len);
/* The client tells how far it is: token and whole message, JSON. The same. */
int question_progress(const uint8_t nonce[ID_LEN], const char *token,
    size_t tokenlen, const char *json, size_t len);
/* The backend takes back what it has asked (notifications/cancelled), on a
 * stream of the same upstream session: the client is told. */
void question_cancelled(const struct asker *, const struct rpc *);
/* A response that a client has posted: for a question of this worker, or by the
 * keeper to another. -1 when it could not be sent there. */
int question_response(const uint8_t nonce[ID_LEN], const struct rpc *,
    const char *json, size_t len);
/* Some of what went to the client is lost: what has been asked is refused, and
 * taken back from a client who may have it all the same. */
void questions_lapse(const struct asker *);
/* The asker ends: what it asked is refused. */
void questions_end(struct asker *);
/* The asker ends, and what it asked stays with the client. A child on stdin and
 * stdout does not say which call makes it ask: the answered one, on whose stream
 * the question went, need not be it. */
void questions_leave(struct asker *);
/* Refuses such questions of a session that ends. */
void questions_forget(const uint8_t nonce[ID_LEN]);
/* Refuses and withdraws whatever has waited for the max_time of its backend. */
void questions_tick(uint64_t now);
/* How many calls have left some. */
size_t questions_left(void);

#endif
