#ifndef SLICE_H
#define SLICE_H

/*
 * Each process is sent only its slice of the config.
 */
#include <stdint.h>

#include "conf.h"

struct load;
struct peer;

/* Gets each message of a slice, in order; pos and name say where it stands. */
typedef int (*slice_cb)(void *, uint32_t type, const struct msgdef *,
    const void *msg, const struct conf_pos *pos, const char *name);
/* Every message of a role's slice; -1 when cb says so. */
int slice_each(const struct conf *, uint8_t role, slice_cb, void *);
/* Which of the certificates in a worker's slice this listener shows, from 1;
 * 0 for none. */
uint16_t slice_tls(const struct conf *, const struct conf_listen *);

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
