#ifndef REACH_H
#define REACH_H

/* What of the file system stdio children reach (reach.c). */
#include "load.h"

/* Once the whole file is known: not as root, where its user does not keep a
 * child from what is ours, what it is given may not hold that. */
void reach_check(struct load *, struct conf *);

#endif
