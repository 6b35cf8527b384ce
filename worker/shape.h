#ifndef SHAPE_H
#define SHAPE_H

/*
 * What an item of a list must look like. Clients read a list as a whole: one
 * tool whose description is a number, and they have none.
 */
#include "catalog.h"

/* NULL, or why it is left out. */
const char *shape_wrong(enum cat_kind, const struct json_span *item);

#endif
