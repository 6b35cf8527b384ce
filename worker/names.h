#ifndef NAMES_H
#define NAMES_H

/* How a backend's tool or prompt is called toward clients (design 6). */
#include <stddef.h>

#define NAME_MAX_EXPOSED 128

/*
 * Writes the exposed name of `orig` to dst (NAME_MAX_EXPOSED + 1). prefix is
 * the backend's name and sep the separator, or prefix NULL for names passed
 * as they are where the specification allows them. max: longest name. What is
 * changed or too long ends in 6 hex digits of the original's hash, so it does
 * not depend on which other tools there are. -1 if orig is empty.
 */
int name_expose(char *dst, const char *prefix, const char *sep,
    const char *orig, size_t max);

#endif
