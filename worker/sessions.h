#ifndef SESSIONS_H
#define SESSIONS_H

/* mcpgwctl show sessions, in the keeper. */
#include <stdint.h>

/* Answers M_CTL id: a row for each client session, the last used first.
 * backend: only those that have a session there; NULL for all. */
void sessions_show(uint32_t id, const char *backend);

#endif
