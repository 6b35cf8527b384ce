#ifndef STREAM_H
#define STREAM_H

/*
 * A connected socket on the event loop with an output queue; client
 * connections and connections to backends alike. What TLS changes is inside
 * stream_recv and the flush.
 */
#include <sys/types.h>
#include <sys/uio.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <stddef.h>
#include <stdint.h>

struct tls;
struct tls_config;

struct stream {
	int fd; /* -1: closed */
	struct event rev, wev;
	int reading, writing;
	struct tls *tls; /* NULL: plain */
	uint8_t handshake; /* is not over yet */
	uint8_t inside; /* something to read that no event will tell of */
	uint8_t read_on_write, write_on_read; /* TLS wants it so */
	char *out;
	size_t outpos, outlen, outcap;
	uint64_t taken; /* bytes of the queue, so far */
	void (*on_read)(void *);
	/* The queue has become empty (or connect, or the handshake of TLS, has
	 * finished). */
	void (*on_drain)(void *);
	void *arg;
};

#define STREAM_AGAIN (-1)
#define STREAM_ERROR (-2)

/* fd must be non-blocking; it belongs to the stream. Reading is on. */
void stream_open(struct stream *, int fd, void (*on_read)(void *),
    void (*on_drain)(void *), void *arg);
/* From now on with TLS. The handshake begins with the next event; what is sent
 * meanwhile is queued. When it is over on_drain is called; if it fails,
 * on_read, and stream_recv then answers STREAM_ERROR. -1: memory is out. */
int stream_tls_server(struct stream *, struct tls_config *);
/* Starts at once; fd must be connected. host: whom the certificate must name. */
int stream_tls_client(struct stream *, struct tls_config *, const char *host);
/* Bytes, 0 at end of file, STREAM_AGAIN or STREAM_ERROR. */
ssize_t stream_recv(struct stream *, void *, size_t);
/* Writes what the socket takes and queues the rest. 0, or -1 when the socket
 * is broken or memory is out. */
int stream_sendv(struct stream *, struct iovec *, int);
int stream_send(struct stream *, const void *, size_t);
size_t stream_queued(const struct stream *);
/* Calls on_drain once the socket is writable, though nothing is queued: a
 * connect in progress. */
void stream_want_write(struct stream *);
void stream_pause(struct stream *);
void stream_resume(struct stream *);
/* Nothing more will be sent: the other side gets an end of file. */
void stream_shutdown(struct stream *);
void stream_close(struct stream *);

#endif
