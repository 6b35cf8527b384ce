#ifndef KEEPERC_H
#define KEEPERC_H

/* The worker's side of the channel to the keeper. Every sender returns -1 when
 * the keeper is away: the worker then goes on with what it knows. */
#include "proto.h"

/* ms until an answer is taken for lost: its channel may have been full. */
#define KEEPER_WAIT 10000

void keeperc_channel(int fd);
/* Each second; see master_missed(). */
void keeperc_tick(void);
/* Asks for the upstream session of (nonce, backend): id comes back with
 * upsession_answer. */
int keeperc_lease(uint32_t id, const struct k_lease *);
int keeperc_put(const struct k_lease *);
int keeperc_fail(const struct k_lease *);
int keeperc_end(const uint8_t nonce[ID_LEN]);
/* The client's roots have changed: upstream sessions are told. */
int keeperc_roots(const uint8_t nonce[ID_LEN]);
int keeperc_trouble(uint32_t backend, int unreachable, const char *why);
/* What backends did wrong since the last time, if the keeper can be told. */
void keeperc_count(void);
/* This worker ends. */
void keeperc_leave(void);
int keeperc_class(uint8_t class);
int keeperc_relay(struct k_relay *);
int keeperc_claim(const struct k_claim *);
int keeperc_unclaim(const struct k_claim *);
int keeperc_lists(uint32_t backend);
/* Comes back as level_done(id). */
int keeperc_level(uint32_t id, const struct k_soft *);
/* A resource that is on no list, see reslink.h. */
int keeperc_link(const struct k_soft *);
int keeperc_whose(uint32_t id, const struct k_soft *);
int keeperc_subscribe(const struct k_soft *);
int keeperc_resume(uint32_t id, const struct k_resume *);

#endif
