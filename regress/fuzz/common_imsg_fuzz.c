/*
 * A stream of bytes from a broken or hostile peer into imsg, in pieces whose
 * sizes the input chooses; some pieces carry descriptors.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "imsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
send_piece(int sock, const uint8_t *data, size_t len, int nfds)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int) * 3)];
	} control;
	struct msghdr msg;
	struct cmsghdr *cmsg;
	struct iovec iov;
	int i, fd = STDERR_FILENO;

	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	memcpy(&iov.iov_base, &data, sizeof(data));
	iov.iov_len = len;
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	if (nfds > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		for (i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd,
			    sizeof(int));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imsgbuf ib;
	struct imsg im;
	size_t n;
	int sv[2], got = 1;

	if (size < 1 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1)
		return 0;
	imsgbuf_init(&ib, sv[1]);
	if (data[0] & 1)
		imsgbuf_allow_fdpass(&ib);
	data++;
	size--;
	while (size > 1 && got == 1) {
		n = 1 + data[0] % 64;
		if (n > size - 1)
			n = size - 1;
		if (send_piece(sv[0], data + 1, n, data[0] >> 6) == -1)
			break;
		data += n + 1;
		size -= n + 1;
		if ((got = imsgbuf_read(&ib)) == -1)
			break;
		while ((got = imsg_get(&ib, &im)) == 1) {
			if (im.hdr.len != im.datalen + IMSG_HEADER_SIZE ||
			    im.datalen > MAX_IMSGSIZE)
				abort();
			if (im.datalen > 0 && im.data[im.datalen - 1] == 1)
				close(imsg_get_fd(&im));
			imsg_free(&im);
		}
		got = got == 0;
	}
	close(sv[0]);
	imsgbuf_clear(&ib);
	return 0;
}
