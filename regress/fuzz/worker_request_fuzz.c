/*
 * Request heads: the same answer however the bytes arrive, spans inside the
 * input, and never two readings of the body's length.
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
	const struct span *value;
	struct span one;
	int k;
	ssize_t n, m;
	size_t i, step;

	n = http_request(&head, p, len);
	if (n > (ssize_t)len || (n > 0 && n > HTTP_MAX_HEAD))
		abort();
	if (n < 0 && n != -400 && n != -417 && n != -431 && n != -501 &&
	    n != -505)
		abort();
	step = len / 512 + 1;
	for (i = 0; i < len; i += step) {
		m = http_request(&part, p, i);
		if (m != 0 && m != n)
			abort();
		if (n > 0 && (m == n) != (i >= (size_t)n))
			abort();
	}
	if (n <= 0)
		return 0;
	if (head.chunked && head.length != -1)
		abort();
	if (head.host.len == 0 || head.path.len == 0 ||
	    http_count(&head, HDR_HOST) != 1)
		abort();
	inside(&head.target, p, (size_t)n);
	inside(&head.host, p, (size_t)n);
	(void)http_accepts(&head, "text/event-stream");
	for (i = 0; i < HDR_MAX; i++) {
		if ((value = http_get(&head, i)) == NULL)
			continue;
		inside(value, p, (size_t)n);
		(void)http_has_token(value, "close");
		for (k = 0; k < http_count(&head, i); k++) {
			if (http_value(&head, i, k, &one) == -1)
				abort();
			inside(&one, p, (size_t)n);
		}
	}
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
