/*
 * The decoder of every message between processes. What it takes must encode
 * to bytes of the same length, and those decode again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "compat.h"
#include "proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static size_t ndefs;
	const struct msgdef *def;
	uint8_t *enc, *enc2;
	void *msg;
	size_t len, len2;

	while (proto_defs[ndefs] != NULL)
		ndefs++;
	if (size < 1)
		return 0;
	def = proto_defs[data[0] % ndefs];
	if ((msg = malloc(def->size)) == NULL)
		return 0;
	if (wire_decode(def, msg, data + 1, size - 1) == 0) {
		if ((enc = wire_encode(def, msg, &len)) == NULL)
			abort();
		wire_free(def, msg);
		if (len != size - 1 || wire_decode(def, msg, enc, len) != 0)
			abort();
		if ((enc2 = wire_encode(def, msg, &len2)) == NULL)
			abort();
		if (len2 != len || memcmp(enc, enc2, len) != 0)
			abort();
		wire_free(def, msg);
		free(enc);
		free(enc2);
	}
	free(msg);
	return 0;
}
