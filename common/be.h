#ifndef BE_H
#define BE_H

/* Numbers as 4 or 8 bytes, the highest first: keys that sort, sealed values. */
#include <stdint.h>

void put_be32(uint8_t *, uint32_t);
void put_be64(uint8_t *, uint64_t);
uint32_t get_be32(const uint8_t *);
uint64_t get_be64(const uint8_t *);

#endif
