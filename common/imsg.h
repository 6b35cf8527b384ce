#ifndef IMSG_H
#define IMSG_H

/*
 * Framed messages over a socketpair, with at most one descriptor each; the
 * names are those of OpenBSD's libutil, which is used where there is one.
 */
#include <sys/types.h>
#include <sys/queue.h>

#include <stdint.h>

#define IMSG_HEADER_SIZE sizeof(struct imsg_hdr)
#define MAX_IMSGSIZE     (512 * 1024)

struct imsg_hdr {
	uint32_t type;
	uint32_t len; /* header included; IMSG_FD in the top bit */
	uint32_t peerid; /* request id: an answer carries that of its request */
	uint32_t pid;
};

struct imsg {
	struct imsg_hdr hdr;
	int fd; /* -1, or owned by the imsg until taken */
	uint8_t *data;
	size_t datalen;
};

struct imsg_out;
struct imsg_fd;
struct imsgbuf {
	int fd;
	int allow_fdpass;
	uint8_t *rbuf;
	size_t rlen, rcap, rpos;
	TAILQ_HEAD(imsg_fds, imsg_fd) rfds;
	TAILQ_HEAD(imsg_outs, imsg_out) out;
	size_t queued; /* bytes waiting to be written */
};

/* fd is owned by the imsgbuf from now on. */
void imsgbuf_init(struct imsgbuf *, int fd);
/* Default is no descriptor passing: a descriptor that comes is closed and
 * imsgbuf_read fails. */
void imsgbuf_allow_fdpass(struct imsgbuf *);
/* Reads once. 1: got bytes, or nothing now (EAGAIN); 0: end of file; -1: error
 * or a frame that breaks the rules (errno EBADMSG). */
int imsgbuf_read(struct imsgbuf *);
/* Writes until the queue is empty or the socket full. 0 or -1. */
int imsgbuf_write(struct imsgbuf *);
/* Bytes queued. */
size_t imsgbuf_queuelen(const struct imsgbuf *);
/* Closes fd, drops queues and received descriptors. */
void imsgbuf_clear(struct imsgbuf *);

/* Next complete message: 1, none: 0, error: -1. Free with imsg_free; data is
 * valid until then and until the next imsgbuf_read. */
int imsg_get(struct imsgbuf *, struct imsg *);
/* Takes the descriptor out of the message, or -1. */
int imsg_get_fd(struct imsg *);
void imsg_free(struct imsg *);
/* Queues; fd (or -1) is closed once sent. Data is copied. 1, or -1 when it is
 * too large or memory is out (fd is then still the caller's). */
int imsg_compose(struct imsgbuf *, uint32_t type, uint32_t peerid, int fd,
    const void *data, size_t datalen);

#endif
