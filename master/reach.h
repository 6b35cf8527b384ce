#ifndef REACH_H
#define REACH_H

/* What of the file system stdio children reach (reach.c). */
#include "load.h"

/* The real name of state, before child_finish; what is not for children. */
void reach_ours(struct conf *);
/* After it: which directories children may change. Refused is what one child
 * could turn into something else and, not as root, where its user does not
 * keep it from what is ours, what holds that. */
void reach_check(struct load *, struct conf *);
/* Children of this config may run from now on. */
void reach_remember(const struct conf *);
/* Right before one is started, in a process that may hang where a file system
 * does: what it is given, in the place of what is configured. -1 and *err;
 * else notes for its log are added. */
int reach_given(
    struct m_exec *, const struct conf_child *, struct strv *notes, char **err);

#endif
