#ifndef SERVER_H
#define SERVER_H

#include "util.h"

/* What the MCP servers of the benchmark answer, over HTTP and over stdio. */

enum kind {
	SAID_NOTHING, /* a notification, or an answer */
	SAID_WRONG, /* no message */
	SAID_HELLO, /* initialize */
	SAID_LIST,
	SAID_OTHER
};

/* So many tools, of which the first is "echo". */
void server_prepare(int);

/* Appends the answer to one message. */
enum kind server_answer(struct span, struct buf *);

#endif
