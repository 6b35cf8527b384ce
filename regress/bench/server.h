#ifndef SERVER_H
#define SERVER_H

#include "util.h"

/* What the MCP servers of the benchmark answer, over HTTP and over stdio. */

enum kind {
	SAID_NOTHING, /* a notification, or an answer */
	SAID_WRONG, /* no message */
	SAID_HELLO, /* initialize, server/discover */
	SAID_LIST,
	SAID_OTHER
};

/* So many tools, of which the first is "echo". */
void server_prepare(int);

/*
 * Appends the answer to one message. The last argument: whether it came in the
 * revision 2026-07-28, which this server otherwise does not know.
 */
enum kind server_answer(struct span, struct buf *, int);

#endif
