#ifndef STOPPED_H
#define STOPPED_H

/*
 * Stdio backends that mcpgwctl has stopped: they stay so for a runner that is
 * started anew and for every configuration that has the name.
 */
#include "conf.h"

/* A stdio backend of this config is stopped, or is not (any more); a name that
 * it does not have is nobody's. */
void stopped_set(const struct conf *, const char *name, int on);
int stopped_has(const char *name);

#endif
