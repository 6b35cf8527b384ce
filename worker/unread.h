#ifndef UNREAD_H
#define UNREAD_H

/*
 * Answers that clients do not read: what one may leave in the queue of its
 * connection, and for how long.
 */
#include "conn.h"

/* May so many bytes more be queued in this worker? What is small always may. */
int unread_room(size_t);
/* So many have been. */
void unread_queued(size_t);
/* Once a second each connection is looked at between these two: 1 when it takes
 * too little of what is queued and is to be cut off. */
void unread_begin(void);
int unread_late(struct conn *, uint64_t now);
/* The one with most, when there was no room for somebody else's; or NULL. */
struct conn *unread_most(void);

#endif
