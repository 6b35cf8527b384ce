/*
 * echo: an MCP server on stdin and stdout that does nothing but answer, so that
 * what is measured is what stands before it.
 */
#include <string.h>
#include <unistd.h>

#include "server.h"

#define CHUNK 65536

static int
say(struct buf *out)
{
	size_t done = 0;
	ssize_t n;

	for (; done < out->n; done += (size_t)n)
		if ((n = write(STDOUT_FILENO, out->p + done, out->n - done)) <
		    0)
			return -1;
	out->n = 0;
	return 0;
}

int
main(void)
{
	struct buf in = {NULL, 0, 0}, out = {NULL, 0, 0};
	size_t off, n, had;
	char *nl;
	ssize_t r;

	server_prepare(20);
	for (;;) {
		buf_need(&in, CHUNK);
		if ((r = read(STDIN_FILENO, in.p + in.n, CHUNK)) <= 0)
			return r < 0;
		in.n += (size_t)r;
		for (off = 0;; off += n + 1) {
			nl = memchr(in.p + off, '\n', in.n - off);
			if (nl == NULL)
				break;
			n = (size_t)(nl - (in.p + off));
			had = out.n;
			server_answer((struct span){in.p + off, n}, &out);
			if (out.n > had)
				buf_add(&out, "\n", 1);
		}
		buf_eat(&in, off);
		if (say(&out) == -1)
			return 1;
	}
}
