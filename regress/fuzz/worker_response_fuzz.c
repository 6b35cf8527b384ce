/*
 * Response heads, as a hostile backend may send them: the same answer however
 * the bytes arrive, spans inside the input, one reading of the length.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../worker/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void inside(const struct span *, const char *, size_t);

static struct http_head head, part;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *p = (const char *)data;
	ssize_t n, m;
	size_t i, step;

	n = http_response(&head, p, len);
	if (n > (ssize_t)len || (n < 0 && n != -502))
		abort();
	step = len / 512 + 1;
	for (i = 0; i < len; i += step) {
		m = http_response(&part, p, i);
		if (m != 0 && m != n)
			abort();
		if (n > 0 && (m == n) != (i >= (size_t)n))
			abort();
	}
	if (n <= 0)
		return 0;
	if (head.status < 100 || head.status > 599 ||
	    (head.chunked && head.length != -1))
		abort();
	for (i = 0; i < HDR_MAX; i++)
		if (http_get(&head, i) != NULL)
			inside(http_get(&head, i), p, (size_t)n);
	return 0;
}

static void
inside(const struct span *s, const char *p, size_t len)
{
	if (s->p < p || s->len > len || (size_t)(s->p - p) > len - s->len)
		abort();
	if (memchr(s->p, '\r', s->len) != NULL ||
	    memchr(s->p, '\n', s->len) != NULL ||
	    memchr(s->p, '\0', s->len) != NULL)
		abort();
}
