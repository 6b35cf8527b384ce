#ifndef REVOKED_H
#define REVOKED_H

/* The live revocations, as pushed by authd: grants, tokens, sessions. */
#include "proto.h"

/* Adds; -1 if memory is out (the worker must then not go on). */
int revoked_add(uint8_t kind, const uint8_t id[ID_LEN], int64_t until);
int revoked_has(uint8_t kind, const uint8_t id[ID_LEN]);
/* Drops what is past its time, by a clock that never goes back. */
void revoked_purge(int64_t now);
size_t revoked_count(void);

#endif
