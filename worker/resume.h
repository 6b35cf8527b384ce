#ifndef RESUME_H
#define RESUME_H

/* A stream that another worker owns, resumed on this one: its events come
 * through a socketpair that the keeper makes. */
#include "evlog.h"
#include "proto.h"
#include "request.h"

/* Asks; the request is answered later, in the worst case with a new stream.
 * -1 when the keeper can not be asked. */
int resume_elsewhere(struct request *, const uint8_t nonce[ID_LEN],
    const struct holder *, uint64_t worker, uint64_t stream, uint64_t seq);
/* The keeper's answer: the end to read from, or -1. */
void resume_pipe(uint32_t id, int fd);
/* A client of another worker comes back for a stream of ours. fd is taken. */
void resume_serve(const struct k_resume *, int fd);
/* Nobody answers any more; or not in time. */
void resume_keeper_gone(void);
void resume_tick(void);

#endif
