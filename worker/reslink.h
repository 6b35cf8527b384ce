#ifndef RESLINK_H
#define RESLINK_H

/*
 * Resources that are named in answers only (resource_link, embedded ones): the
 * keeper is told whose they are, and asked when a client wants one.
 */
#include "call.h"
#include "mcp.h"

/* Looks for them in the result of a tool or a prompt. */
void reslink_learn(const struct call *, const struct json_span *result);
/* Asks whose that is. The request is handled again with rq->asked set and the
 * backend's id, or 0, in rq->owner. -1: nobody can be asked. */
int reslink_ask(const struct mcp *, const char *uri);

/* From keeperc.c. */
void reslink_owner(uint32_t id, const struct k_soft *);
void reslink_keeper_gone(void);
void reslink_tick(void);

#endif
