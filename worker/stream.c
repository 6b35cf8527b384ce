/*
 * Sockets on the event loop. The read event is persistent and the write event
 * is added only when the socket is full, so that a request which is answered
 * at once costs no epoll_ctl.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "peer.h"
#include "stream.h"
#include "tls.h"

static void stream_event(evutil_socket_t, short, void *);
static void stream_writable(evutil_socket_t, short, void *);
static int stream_queue(struct stream *, struct iovec *, int);
static int stream_tls(struct stream *, struct tls *);
static void stream_handshake(struct stream *);
static int stream_wants(struct stream *, ssize_t);
static int stream_flush_tls(struct stream *);
static int stream_sendv_tls(struct stream *, struct iovec *, int);
static int stream_flush_plain(struct stream *);
static ssize_t stream_recv_tls(struct stream *, char *, size_t);

void
stream_open(struct stream *s, int fd, void (*on_read)(void *),
    void (*on_drain)(void *), void *arg)
{
	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->on_read = on_read;
	s->on_drain = on_drain;
	s->arg = arg;
	event_assign(
	    &s->rev, peer_base(), fd, EV_READ | EV_PERSIST, stream_event, s);
	event_assign(&s->wev, peer_base(), fd, EV_WRITE, stream_writable, s);
	stream_resume(s);
}

static void
stream_event(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	if (s->tls != NULL) {
		if (s->handshake) {
			stream_handshake(s);
			return;
		}
		if (s->write_on_read) {
			s->write_on_read = 0;
			stream_want_write(s);
		}
	}
	s->on_read(s->arg);
}

static void
stream_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	s->writing = 0;
	if (s->handshake) {
		stream_handshake(s);
		return;
	}
	if (s->read_on_write) {
		s->read_on_write = 0;
		if (s->reading)
			event_active(&s->rev, EV_READ, 0);
		if (s->outpos == s->outlen)
			return;
	}
	switch (s->tls != NULL ? stream_flush_tls(s) : stream_flush_plain(s)) {
	case 0:
		return;
	case -1:
		/* The reader sees the error or end of file. */
		s->outpos = s->outlen = 0;
		break;
	default:
		break;
	}
	free(s->out);
	s->out = NULL;
	s->outpos = s->outlen = s->outcap = 0;
	s->on_drain(s->arg);
}

/* 1 when the queue is empty, 0 when the socket is full, -1. */
static int
stream_flush_plain(struct stream *s)
{
	ssize_t n;

	while (s->outpos < s->outlen) {
		n = send(s->fd, s->out + s->outpos, s->outlen - s->outpos,
		    MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			stream_want_write(s);
			return 0;
		}
		if (n == -1)
			return -1;
		s->outpos += n;
		s->taken += n;
	}
	return 1;
}

/* ---- TLS ---- */

static int
stream_tls(struct stream *s, struct tls *tls)
{
	if (tls == NULL)
		return -1;
	s->tls = tls;
	s->handshake = 1;
	stream_resume(s);
	return 0;
}

int
stream_tls_server(struct stream *s, struct tls_config *c)
{
	return stream_tls(s, tls_server(c, s->fd));
}

int
stream_tls_client(struct stream *s, struct tls_config *c, const char *host)
{
	if (stream_tls(s, tls_client(c, s->fd, host)) == -1)
		return -1;
	stream_want_write(s);
	return 0;
}

/* Waits for what TLS asked for: 1; 0 when it asked for nothing. */
static int
stream_wants(struct stream *s, ssize_t n)
{
	if (n == TLS_WANT_WRITE)
		stream_want_write(s);
	return n == TLS_WANT_READ || n == TLS_WANT_WRITE;
}

static void
stream_handshake(struct stream *s)
{
	int n = tls_handshake(s->tls);

	if (stream_wants(s, n))
		return;
	s->handshake = 0;
	if (n == -1) {
		s->on_read(s->arg);
		return;
	}
	/* The first request may have come with the end of the handshake. */
	if (tls_pending(s->tls))
		event_active(&s->rev, EV_READ, 0);
	if (s->outlen > s->outpos)
		stream_want_write(s);
	else
		s->on_drain(s->arg);
}

static int
stream_flush_tls(struct stream *s)
{
	ssize_t n;

	while (s->outpos < s->outlen) {
		n = tls_write(
		    s->tls, s->out + s->outpos, s->outlen - s->outpos);
		if (n == TLS_WANT_READ) {
			s->write_on_read = 1;
			return 0;
		}
		if (stream_wants(s, n))
			return 0;
		if (n < 0)
			return -1;
		s->outpos += n;
		s->taken += n;
	}
	return 1;
}

/* Reads until the buffer is full or nothing waits inside, for which the loop
 * has no event: what must be left there wakes the reader again. */
static ssize_t
stream_recv_tls(struct stream *s, char *p, size_t len)
{
	size_t got = 0;
	ssize_t n;

	s->inside = 0;
	do {
		n = tls_read(s->tls, p + got, len - got);
		if (n > 0)
			got += n;
	} while (n > 0 && got < len && tls_pending(s->tls));
	if (n == TLS_WANT_WRITE)
		s->read_on_write = 1;
	if (stream_wants(s, n))
		return got > 0 ? (ssize_t)got : STREAM_AGAIN;
	if (got == 0)
		return n == 0 ? 0 : STREAM_ERROR;
	if (n <= 0 || tls_pending(s->tls)) {
		s->inside = 1;
		if (s->reading)
			event_active(&s->rev, EV_READ, 0);
	}
	return got;
}

/* ---- reading and writing ---- */

ssize_t
stream_recv(struct stream *s, void *p, size_t len)
{
	ssize_t n;

	if (s->tls != NULL)
		return stream_recv_tls(s, p, len);
	do {
		n = recv(s->fd, p, len, 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN ? STREAM_AGAIN : STREAM_ERROR;
	return n;
}

int
stream_sendv(struct stream *s, struct iovec *iov, int n)
{
	struct msghdr mh;
	ssize_t sent = 0;

	if (s->fd == -1)
		return -1;
	if (s->tls != NULL)
		return stream_sendv_tls(s, iov, n);
	if (s->outlen == s->outpos && !s->writing) {
		memset(&mh, 0, sizeof(mh));
		mh.msg_iov = iov;
		mh.msg_iovlen = n;
		do {
			sent = sendmsg(s->fd, &mh, MSG_NOSIGNAL);
		} while (sent == -1 && errno == EINTR);
		if (sent == -1 && errno != EAGAIN)
			return -1;
		if (sent == -1)
			sent = 0;
	}
	while (n > 0 && (size_t)sent >= iov->iov_len) {
		sent -= iov->iov_len;
		iov++;
		n--;
	}
	if (n == 0)
		return 0;
	iov->iov_base = (char *)iov->iov_base + sent;
	iov->iov_len -= sent;
	if (stream_queue(s, iov, n) == -1)
		return -1;
	stream_want_write(s);
	return 0;
}

/* Head and body go into one record where they fit, so through the queue. */
static int
stream_sendv_tls(struct stream *s, struct iovec *iov, int n)
{
	int first = s->outlen == s->outpos && !s->writing && !s->handshake;

	if (stream_queue(s, iov, n) == -1)
		return -1;
	if (!first) {
		if (!s->handshake && !s->write_on_read)
			stream_want_write(s);
		return 0;
	}
	switch (stream_flush_tls(s)) {
	case -1:
		return -1;
	case 1:
		free(s->out);
		s->out = NULL;
		s->outpos = s->outlen = s->outcap = 0;
		break;
	default:
		break;
	}
	return 0;
}

static int
stream_queue(struct stream *s, struct iovec *iov, int n)
{
	size_t need = 0, cap;
	char *p;
	int i;

	for (i = 0; i < n; i++)
		need += iov[i].iov_len;
	if (s->outpos > 0) {
		memmove(s->out, s->out + s->outpos, s->outlen - s->outpos);
		s->outlen -= s->outpos;
		s->outpos = 0;
	}
	if (s->outlen + need > s->outcap) {
		cap = s->outcap ? s->outcap : 4096;
		while (cap < s->outlen + need)
			cap *= 2;
		if ((p = realloc(s->out, cap)) == NULL)
			return -1;
		s->out = p;
		s->outcap = cap;
	}
	for (i = 0; i < n; i++) {
		memcpy(s->out + s->outlen, iov[i].iov_base, iov[i].iov_len);
		s->outlen += iov[i].iov_len;
	}
	return 0;
}

int
stream_send(struct stream *s, const void *p, size_t len)
{
	struct iovec iov;

	memcpy(&iov.iov_base, &p, sizeof(p));
	iov.iov_len = len;
	return stream_sendv(s, &iov, 1);
}

size_t
stream_queued(const struct stream *s)
{
	return s->outlen - s->outpos;
}

void
stream_want_write(struct stream *s)
{
	if (!s->writing) {
		event_add(&s->wev, NULL);
		s->writing = 1;
	}
}

void
stream_pause(struct stream *s)
{
	if (s->reading) {
		event_del(&s->rev);
		s->reading = 0;
	}
}

void
stream_resume(struct stream *s)
{
	if (!s->reading && s->fd != -1) {
		event_add(&s->rev, NULL);
		s->reading = 1;
		if (s->inside)
			event_active(&s->rev, EV_READ, 0);
	}
}

void
stream_shutdown(struct stream *s)
{
	if (s->tls != NULL)
		tls_close(s->tls);
	shutdown(s->fd, SHUT_WR);
}

void
stream_close(struct stream *s)
{
	if (s->fd == -1)
		return;
	stream_pause(s);
	if (s->writing)
		event_del(&s->wev);
	s->writing = 0;
	if (s->tls != NULL) {
		/* May also have been made active without being added. */
		event_del(&s->rev);
		tls_close(s->tls);
		tls_free(s->tls);
		s->tls = NULL;
	}
	close(s->fd);
	s->fd = -1;
	free(s->out);
	s->out = NULL;
	s->outpos = s->outlen = s->outcap = 0;
}
