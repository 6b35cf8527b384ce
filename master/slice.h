#ifndef SLICE_H
#define SLICE_H

/*
 * Each process is sent only its slice of the config.
 */
#include <stdint.h>

#include "conf.h"

struct load;
struct peer;

/* Reports what is too large to be sent. */
void slice_check(struct load *);
/* Gives every backend its id: the one its effective definition has had since
 * it was first seen, or a new one. Ids are never reused. */
void slice_ids(struct conf *);
/* Dropping definitions that no living config has: mark, keep each living one,
 * sweep. */
void slice_mark(void);
void slice_keep(const struct conf *);
void slice_sweep(void);
/* PREPARE, the slice of this role, END. 0, or -1 when the queue of the peer is
 * full or memory is out. */
int slice_send(struct peer *, uint8_t role, uint32_t gen, const struct conf *);
/* Who may use which endpoint by the newest config, to an older worker. */
int slice_access(struct peer *, const struct conf *);

#endif
