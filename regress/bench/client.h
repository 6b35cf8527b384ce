#ifndef CLIENT_H
#define CLIENT_H

#include <netinet/in.h>

#include "util.h"

/* One connection of the load generator: an MCP client with its session. */

enum step { INITIALIZE, INITIALIZED, CALL, STREAM };

enum state {
	RESTING, /* nothing is asked; connected or not */
	CONNECTING,
	ASKING,
	STREAMING,
	GONE
};

struct target {
	struct sockaddr_in addr;
	char host[64]; /* as the Host header says it */
	const char *path;
};

struct client {
	int ix, fd;
	const struct target *to;
	enum state state;
	enum step step;
	uint64_t id; /* of the request that is out */
	uint64_t since; /* when it was asked */
	char session[1200];
	struct buf in, out, body;
	size_t sent;
	/* the answer, as far as it is read */
	int status, chunked, sse, last;
	long long length;
	size_t head, pos;
};

/* What all clients say. */
struct manner {
	const char *tool;
	const char *extra; /* header lines */
	size_t filler; /* bytes more in the arguments of a call */
};

extern struct manner manner;

/* Clients are known to this epoll by themselves. */
void client_init(int epoll);
void client_ask(struct client *, enum step);
void client_event(struct client *, uint32_t);
void client_close(struct client *);

/* Its answer has come, NULL, or what was wrong. The state is RESTING. */
void client_done(struct client *, const char *);

#endif
