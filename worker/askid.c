/*
 * Sessions outlive the keeper, so the next one must not count from where it
 * began: its ids bear a number drawn at its start.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "askid.h"

void
askid(char dst[ASKID_LEN])
{
	static uint64_t self, n;

	if (n++ == 0)
		arc4random_buf(&self, sizeof(self));
	snprintf(dst, ASKID_LEN, "g%016" PRIx64 ".%" PRIu64, self, n);
}
