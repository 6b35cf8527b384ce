#ifndef PROBE_H
#define PROBE_H

/* Asks one backend what it offers to clients of one capability class. */
#include "backend.h"
#include "catalog.h"

struct probe;

/* cb gets a filled entry (state CAT_UP; it takes the contents, zeroing *e), or
 * NULL and why. Called once, never from inside. NULL when memory is out. */
struct probe *probe_start(struct backend *, uint8_t class,
    void (*cb)(void *, struct cat_entry *e, const char *why), void *arg);
void probe_cancel(struct probe *);

#endif
