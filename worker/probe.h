#ifndef PROBE_H
#define PROBE_H

/* Asks one backend what it offers to clients of one capability class. */
#include "backend.h"
#include "catalog.h"

struct probe;

#define DROPS_MAX 64 /* of a backend */

/* Tools that were left out, and why. */
struct drops {
	struct {
		char *name; /* as far as it has one */
		const char *why;
	} v[DROPS_MAX];
	unsigned int n, more;
};
void drops_free(struct drops *); /* or NULL */

/*
 * cb gets a filled entry (state CAT_UP; it takes the contents, zeroing *e), or
 * NULL and why; called once, never from inside. old and session: a session of
 * an earlier probe and what was learnt when it was opened; session NULL opens
 * one. NULL when memory is out.
 */
struct probe *probe_start(struct backend *, uint8_t class,
    const struct cat_entry *old, const char *session,
    void (*cb)(void *, struct cat_entry *e, const char *why), void *arg);
/* In cb, after success: the session, "" where the backend keeps none. It stays
 * open and is the caller's to end. */
const char *probe_session(const struct probe *);
/* In cb, after success: what it has left out, the caller's from now on; NULL
 * for nothing. */
struct drops *probe_drops(struct probe *);
void probe_cancel(struct probe *);

#endif
