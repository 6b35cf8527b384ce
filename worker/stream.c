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

static void stream_event(evutil_socket_t, short, void *);
static void stream_writable(evutil_socket_t, short, void *);
static int stream_queue(struct stream *, struct iovec *, int);

void
stream_open(struct stream *s, int fd, void (*on_read)(void *),
    void (*on_drain)(void *), void *arg)
{
	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->on_read = on_read;
	s->on_drain = on_drain;
	s->arg = arg;
	event_assign(&s->rev, peer_base(), fd, EV_READ | EV_PERSIST,
	    stream_event, s);
	event_assign(&s->wev, peer_base(), fd, EV_WRITE, stream_writable, s);
	stream_resume(s);
}

static void
stream_event(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	s->on_read(s->arg);
}

static void
stream_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	ssize_t n;

	(void)fd;
	(void)what;
	s->writing = 0;
	while (s->outpos < s->outlen) {
		n = send(s->fd, s->out + s->outpos, s->outlen - s->outpos,
		    MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			stream_want_write(s);
			return;
		}
		if (n == -1) {
			/* The reader sees the error or end of file. */
			s->outpos = s->outlen = 0;
			break;
		}
		s->outpos += n;
	}
	free(s->out);
	s->out = NULL;
	s->outpos = s->outlen = s->outcap = 0;
	s->on_drain(s->arg);
}

ssize_t
stream_recv(struct stream *s, void *p, size_t len)
{
	ssize_t n;

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
	return stream_queue(s, iov, n);
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
	stream_want_write(s);
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
	}
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
	close(s->fd);
	s->fd = -1;
	free(s->out);
	s->out = NULL;
	s->outpos = s->outlen = s->outcap = 0;
}
