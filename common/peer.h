#ifndef PEER_H
#define PEER_H

/*
 * A channel to another process: imsg on the event loop with a dispatch table.
 * The table says which messages this peer may send, in which state; anything
 * else ends the channel and `bad` is called. Handlers get the decoded struct;
 * it is freed after they return (take a string by setting its field to NULL).
 */
#include <stdint.h>

#include "wire.h"

struct event_base;
struct peer;

/* Bits for peer_rule.states; a peer starts in PEER_S0. */
#define PEER_S0  0x01
#define PEER_S1  0x02
#define PEER_S2  0x04
#define PEER_ANY 0xff

struct peer_rule {
	uint32_t type;
	const struct msgdef *def; /* NULL: no payload */
	unsigned int states;
	int wants_fd; /* 1: must carry a descriptor, 0: must not */
	/* fd belongs to the handler (-1 if none). */
	void (*handler)(struct peer *, uint32_t id, void *msg, int fd);
};

struct peer_class {
	const char *name; /* for the log: "authd", "worker" */
	const struct peer_rule *rules;
	size_t nrules;
	int fdpass;
	/* The other end is gone; the peer is freed after this returns. */
	void (*gone)(struct peer *);
	/* It broke the contract; gone is called next. May be NULL. */
	void (*bad)(struct peer *, const char *why);
};

/* For this process; call before the first peer_new. */
void peer_setbase(struct event_base *);
struct event_base *peer_base(void);

/* Owns fd (made non-blocking). role/id/gen/ctx are the caller's to use. NULL
 * when memory is out (fd closed). */
struct peer *peer_new(int fd, const struct peer_class *, uint8_t role,
    uint64_t id, uint32_t gen, void *ctx);
void peer_free(struct peer *);

uint8_t peer_role(const struct peer *);
uint64_t peer_id(const struct peer *);
uint32_t peer_gen(const struct peer *);
void *peer_ctx(const struct peer *);
void peer_setstate(struct peer *, unsigned int state);

/* Queues one message; written at the end of the loop turn, so that several go
 * in one system call. 0, or -1 when the queue (1 MiB) is full or memory is
 * out. fd, if not -1, belongs to the peer on success only. */
int peer_send(struct peer *, uint32_t type, uint32_t id, const struct msgdef *,
    const void *msg, int fd);
/* Bytes waiting; the bound is PEER_QUEUE_MAX. */
size_t peer_queued(const struct peer *);
#define PEER_QUEUE_MAX (1024 * 1024)
/* Stop and resume reading (back-pressure). */
void peer_hold(struct peer *);
void peer_resume(struct peer *);
/* Writes what is queued, blocking for at most ms milliseconds: for a process
 * about to exit. */
void peer_flush(struct peer *, int ms);

#endif
