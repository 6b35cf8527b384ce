/*
 * Chunked bodies: decoded in pieces, and in place, they are what they are
 * decoded at once. The first byte of the input says how large the pieces are.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../worker/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_chunk c;
	const char *p;
	char *whole, *copy;
	size_t step, used, n, out, total = 0, at = 0;
	int end, r = CHUNK_MORE;

	if (len < 2)
		return 0;
	step = (size_t)data[0] % 32 + 1;
	p = (const char *)data + 1;
	len--;
	if ((whole = malloc(len)) == NULL || (copy = malloc(len)) == NULL)
		abort();
	memcpy(copy, p, len);

	http_chunk_init(&c);
	used = len;
	end = http_chunk(&c, p, &used, whole, &out);
	if (used > len || out > used || (end == CHUNK_MORE && used != len))
		abort();

	http_chunk_init(&c);
	while (at < len && r == CHUNK_MORE) {
		size_t got;

		n = len - at < step ? len - at : step;
		r = http_chunk(&c, copy + at, &n, copy + at, &got);
		if (total + got > out ||
		    memcmp(whole + total, copy + at, got) != 0)
			abort();
		total += got;
		at += n;
	}
	if (r != end || total != out || at != used)
		abort();
	free(whole);
	free(copy);
	return 0;
}
