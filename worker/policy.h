#ifndef POLICY_H
#define POLICY_H

/* Who may use what. One decision for every revision and every route: what it
 * refuses is not listed either. */
#include "backend.h"
#include "worker.h"

/* May this subject ("" for nobody signed in) use the endpoint at all? */
int policy_endpoint(const struct endpoint *, const char *subject);
/* Why nobody may use that tool, or NULL. */
const char *policy_refusal(const struct backend *, const char *tool);
/* May the tool of that backend, by the backend's own name for it, be used? */
int policy_tool(const struct backend *, const char *tool);
/* '*' and '?'; time linear in the name for each star. */
int glob_match(const char *pattern, const char *name);

#endif
