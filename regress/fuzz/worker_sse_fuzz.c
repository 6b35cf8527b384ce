/*
 * Event streams: the same events whether fed at once or in pieces, none above
 * the limit, none with a line end where there can be none. The first byte of
 * the input says how large the pieces are.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../worker/sse.h"

#define MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct seen {
	unsigned int n;
	uint64_t sum;
};

static void add(struct seen *, const char *, size_t);
static int note(void *, const struct sse_event *);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct seen once = {0, 0}, pieces = {0, 0};
	struct sse s;
	const char *p;
	char *piece;
	size_t step, n, at;
	int a, b = 0;

	if (len < 1)
		return 0;
	step = (size_t)data[0] % 16 + 1;
	p = (const char *)data + 1;
	len--;

	sse_init(&s, MAX);
	a = sse_feed(&s, p, len, note, &once);
	sse_free(&s);

	sse_init(&s, MAX);
	for (at = 0; at < len && b == 0; at += n) {
		n = len - at < step ? len - at : step;
		if ((piece = malloc(n)) == NULL)
			abort();
		memcpy(piece, p + at, n);
		b = sse_feed(&s, piece, n, note, &pieces);
		free(piece);
	}
	sse_free(&s);
	if (a != b || once.n != pieces.n || once.sum != pieces.sum)
		abort();
	return 0;
}

/* FNV-1a, each text with its end. */
static void
add(struct seen *seen, const char *p, size_t len)
{
	size_t i;

	for (i = 0; i <= len; i++) {
		seen->sum ^= i < len ? (unsigned char)p[i] : 0x100;
		seen->sum *= 0x100000001b3ULL;
	}
}

static int
note(void *arg, const struct sse_event *ev)
{
	struct seen *seen = arg;

	if (ev->len > MAX || ev->data[ev->len] != '\0' ||
	    memchr(ev->data, '\r', ev->len) != NULL ||
	    strpbrk(ev->event, "\r\n") != NULL || ev->event[0] == '\0' ||
	    strpbrk(ev->id, "\r\n") != NULL)
		abort();
	seen->n++;
	add(seen, ev->event, strlen(ev->event));
	add(seen, ev->id, strlen(ev->id));
	add(seen, ev->data, ev->len);
	return seen->n > 20 ? 5 : 0;
}
