/*
 * Framed messages over a stream socketpair, at most one descriptor each.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "imsg.h"

#define IMSG_FD      0x80000000U /* in hdr.len: a descriptor comes along */
#define READ_MIN     (16 * 1024)
#define IOV_BATCH    64
#define FDS_MAX      16 /* received, their messages not read yet */
#define FDS_PER_READ 4 /* more in one go than the one allowed: refused */

struct imsg_fd {
	TAILQ_ENTRY(imsg_fd) entry;
	int fd;
};

struct imsg_out {
	TAILQ_ENTRY(imsg_out) entry;
	int fd;
	size_t len, off;
	uint8_t data[];
};

static int read_control(struct imsgbuf *, struct msghdr *);
static int peek(const struct imsgbuf *, struct imsg_hdr *, size_t *);

void
imsgbuf_init(struct imsgbuf *ib, int fd)
{
	memset(ib, 0, sizeof(*ib));
	ib->fd = fd;
	TAILQ_INIT(&ib->rfds);
	TAILQ_INIT(&ib->out);
}

void
imsgbuf_allow_fdpass(struct imsgbuf *ib)
{
	ib->allow_fdpass = 1;
}

size_t
imsgbuf_queuelen(const struct imsgbuf *ib)
{
	return ib->queued;
}

/* ---- reading ---- */

/* Header of the next message and its length without the flag: 1; 0 when its
 * header is not there yet; -1 when the length cannot be. */
static int
peek(const struct imsgbuf *ib, struct imsg_hdr *hdr, size_t *len)
{
	if (ib->rlen - ib->rpos < IMSG_HEADER_SIZE)
		return 0;
	memcpy(hdr, ib->rbuf + ib->rpos, sizeof(*hdr));
	*len = hdr->len & ~IMSG_FD;
	if (*len < IMSG_HEADER_SIZE || *len > MAX_IMSGSIZE) {
		errno = EBADMSG;
		return -1;
	}
	return 1;
}

/* Room for at least the rest of the message that is coming in: 1; 0 when a
 * complete one is waiting and the buffer is full; -1. */
static int
make_room(struct imsgbuf *ib)
{
	struct imsg_hdr hdr;
	size_t len, need, rest = ib->rlen - ib->rpos;
	uint8_t *nbuf;

	if (ib->rpos > 0) {
		memmove(ib->rbuf, ib->rbuf + ib->rpos, rest);
		explicit_bzero(ib->rbuf + rest, ib->rpos);
		ib->rlen = rest;
		ib->rpos = 0;
	}
	need = READ_MIN;
	switch (peek(ib, &hdr, &len)) {
	case -1:
		return -1;
	case 1:
		if (len > need)
			need = len;
		break;
	default:
		break;
	}
	if (need > ib->rcap || (rest == 0 && ib->rcap > READ_MIN)) {
		if ((nbuf = malloc(need)) == NULL)
			return -1;
		if (rest > 0)
			memcpy(nbuf, ib->rbuf, rest);
		freezero(ib->rbuf, ib->rcap);
		ib->rbuf = nbuf;
		ib->rcap = need;
	}
	return ib->rlen < ib->rcap;
}

int
imsgbuf_read(struct imsgbuf *ib)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int) * FDS_PER_READ)];
	} control;
	struct msghdr msg;
	struct iovec iov;
	ssize_t n;
	int room;

	if ((room = make_room(ib)) != 1)
		return room == 0 ? 1 : -1;
	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	iov.iov_base = ib->rbuf + ib->rlen;
	iov.iov_len = ib->rcap - ib->rlen;
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control.buf);
	do {
		n = recvmsg(ib->fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 1 : -1;
	if (read_control(ib, &msg) == -1)
		return -1;
	ib->rlen += (size_t)n;
	return n > 0;
}

static int
keep_fd(struct imsgbuf *ib, int fd)
{
	struct imsg_fd *rfd, *f;
	int n = 0;

	TAILQ_FOREACH (f, &ib->rfds, entry)
		n++;
	if (!ib->allow_fdpass || n >= FDS_MAX) {
		errno = EBADMSG;
		return -1;
	}
	if ((rfd = malloc(sizeof(*rfd))) == NULL)
		return -1;
	rfd->fd = fd;
	TAILQ_INSERT_TAIL(&ib->rfds, rfd, entry);
	return 0;
}

/* Takes every descriptor that came, so that none stays open unseen. */
static int
read_control(struct imsgbuf *ib, struct msghdr *msg)
{
	struct cmsghdr *cmsg;
	size_t i, n, got = 0;
	int fd, error = 0;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
		for (i = 0; i < n; i++) {
			memcpy(
			    &fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			if (got++ > 0)
				error = EBADMSG;
			if (error == 0 && keep_fd(ib, fd) == 0)
				continue;
			if (error == 0)
				error = errno;
			close(fd);
		}
	}
	/* Cut off with nothing taken: we are out of descriptors. */
	if (error == 0 && (msg->msg_flags & MSG_CTRUNC) != 0)
		error = got == 0 ? EMFILE : EBADMSG;
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

int
imsg_get(struct imsgbuf *ib, struct imsg *im)
{
	struct imsg_fd *rfd;
	size_t len;
	int ret;

	if ((ret = peek(ib, &im->hdr, &len)) != 1)
		return ret;
	if (ib->rlen - ib->rpos < len)
		return 0;
	im->fd = -1;
	if ((im->hdr.len & IMSG_FD) != 0) {
		if ((rfd = TAILQ_FIRST(&ib->rfds)) == NULL) {
			errno = EBADMSG;
			return -1;
		}
		TAILQ_REMOVE(&ib->rfds, rfd, entry);
		im->fd = rfd->fd;
		free(rfd);
	}
	im->hdr.len = (uint32_t)len;
	im->data = ib->rbuf + ib->rpos + IMSG_HEADER_SIZE;
	im->datalen = len - IMSG_HEADER_SIZE;
	ib->rpos += len;
	return 1;
}

int
imsg_get_fd(struct imsg *im)
{
	int fd = im->fd;

	im->fd = -1;
	return fd;
}

void
imsg_free(struct imsg *im)
{
	if (im->fd != -1)
		close(im->fd);
	if (im->datalen > 0)
		explicit_bzero(im->data, im->datalen);
	im->fd = -1;
	im->data = NULL;
	im->datalen = 0;
}

/* ---- writing ---- */

int
imsg_compose(struct imsgbuf *ib, uint32_t type, uint32_t peerid, int fd,
    const void *data, size_t datalen)
{
	struct imsg_hdr hdr;
	struct imsg_out *out;

	if (datalen > MAX_IMSGSIZE - IMSG_HEADER_SIZE) {
		errno = EMSGSIZE;
		return -1;
	}
	hdr.type = type;
	hdr.len = (uint32_t)(IMSG_HEADER_SIZE + datalen);
	hdr.peerid = peerid;
	hdr.pid = (uint32_t)getpid();
	if ((out = malloc(sizeof(*out) + hdr.len)) == NULL)
		return -1;
	out->fd = fd;
	out->len = hdr.len;
	out->off = 0;
	if (fd != -1)
		hdr.len |= IMSG_FD;
	memcpy(out->data, &hdr, sizeof(hdr));
	if (datalen > 0)
		memcpy(out->data + sizeof(hdr), data, datalen);
	TAILQ_INSERT_TAIL(&ib->out, out, entry);
	ib->queued += out->len;
	return 1;
}

static void
out_free(struct imsgbuf *ib, struct imsg_out *out)
{
	TAILQ_REMOVE(&ib->out, out, entry);
	if (out->fd != -1)
		close(out->fd);
	freezero(out, sizeof(*out) + out->len);
}

/* n bytes have left: the descriptor of a message goes with its first byte. */
static void
out_advance(struct imsgbuf *ib, size_t n)
{
	struct imsg_out *out;
	size_t left;

	ib->queued -= n;
	while (n > 0 && (out = TAILQ_FIRST(&ib->out)) != NULL) {
		left = out->len - out->off;
		if (n < left) {
			out->off += n;
			if (out->fd != -1) {
				close(out->fd);
				out->fd = -1;
			}
			return;
		}
		n -= left;
		out_free(ib, out);
	}
}

/* As many messages as fit one call; only the first may carry a descriptor. */
static int
fill_iov(struct imsgbuf *ib, struct iovec iov[IOV_BATCH])
{
	struct imsg_out *out;
	int n = 0;

	for (out = TAILQ_FIRST(&ib->out); out != NULL;
	     out = TAILQ_NEXT(out, entry)) {
		if (n == IOV_BATCH || (n > 0 && out->fd != -1))
			break;
		iov[n].iov_base = out->data + out->off;
		iov[n].iov_len = out->len - out->off;
		n++;
	}
	return n;
}

int
imsgbuf_write(struct imsgbuf *ib)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov[IOV_BATCH];
	struct cmsghdr *cmsg;
	struct imsg_out *out;
	struct msghdr msg;
	ssize_t n;

	while ((out = TAILQ_FIRST(&ib->out)) != NULL) {
		memset(&msg, 0, sizeof(msg));
		msg.msg_iov = iov;
		msg.msg_iovlen = (size_t)fill_iov(ib, iov);
		if (out->fd != -1) {
			memset(&control, 0, sizeof(control));
			msg.msg_control = &control;
			msg.msg_controllen = sizeof(control.buf);
			cmsg = CMSG_FIRSTHDR(&msg);
			cmsg->cmsg_level = SOL_SOCKET;
			cmsg->cmsg_type = SCM_RIGHTS;
			cmsg->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(cmsg), &out->fd, sizeof(int));
		}
		n = sendmsg(ib->fd, &msg, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n == -1)
			return -1;
		out_advance(ib, (size_t)n);
	}
	return 0;
}

void
imsgbuf_clear(struct imsgbuf *ib)
{
	struct imsg_out *out;
	struct imsg_fd *rfd;

	while ((out = TAILQ_FIRST(&ib->out)) != NULL)
		out_free(ib, out);
	while ((rfd = TAILQ_FIRST(&ib->rfds)) != NULL) {
		TAILQ_REMOVE(&ib->rfds, rfd, entry);
		close(rfd->fd);
		free(rfd);
	}
	freezero(ib->rbuf, ib->rcap);
	ib->rbuf = NULL;
	ib->rlen = ib->rcap = ib->rpos = 0;
	ib->queued = 0;
	if (ib->fd != -1)
		close(ib->fd);
	ib->fd = -1;
}
