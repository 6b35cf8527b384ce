/*
 * Framing and descriptors of imsg, against a peer that plays by no rules.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "imsg.h"
#include "test.h"

static struct imsgbuf a, b;

static void
setup(int fdpass)
{
	int sv[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0);
	imsgbuf_init(&a, sv[0]);
	imsgbuf_init(&b, sv[1]);
	if (fdpass)
		imsgbuf_allow_fdpass(&b);
}

static void
teardown(void)
{
	imsgbuf_clear(&a);
	imsgbuf_clear(&b);
}

static int
open_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* n descriptors and these bytes, as a hostile sender may. */
static void
send_raw(int fd, const void *data, size_t len, int nfds)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int) * 32)];
	} control;
	struct iovec iov;
	struct msghdr msg;
	struct cmsghdr *cmsg;
	int i, self = STDIN_FILENO;

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
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &self,
			    sizeof(int));
	}
	CHECK(sendmsg(fd, &msg, 0) == (ssize_t)len);
}

static void
test_frames(void)
{
	struct imsg im;
	uint8_t *big;
	size_t i, got = 0, left;
	int n;

	setup(0);
	for (i = 0; i < 200; i++)
		CHECK(imsg_compose(&a, (uint32_t)i, 7, -1, "data", i % 5) == 1);
	CHECK(imsgbuf_queuelen(&a) == 200 * IMSG_HEADER_SIZE + 400);
	CHECK(imsgbuf_write(&a) == 0);
	CHECK(imsgbuf_queuelen(&a) == 0);
	while (got < 200 && imsgbuf_read(&b) == 1) {
		while ((n = imsg_get(&b, &im)) == 1) {
			CHECK(im.hdr.type == got && im.hdr.peerid == 7);
			CHECK(im.datalen == got % 5);
			CHECK(memcmp(im.data, "data", im.datalen) == 0);
			CHECK(imsg_get_fd(&im) == -1);
			imsg_free(&im);
			got++;
		}
		CHECK(n == 0);
	}
	CHECK(got == 200);
	/* Nothing there is no end. */
	CHECK(imsgbuf_read(&b) == 1 && imsg_get(&b, &im) == 0);

	/* The largest message, in pieces, and one byte more. */
	left = MAX_IMSGSIZE - IMSG_HEADER_SIZE;
	big = xcalloc(1, left + 1);
	big[left - 1] = 'z';
	CHECK(imsg_compose(&a, 1, 2, -1, big, left + 1) == -1);
	CHECK(imsg_compose(&a, 1, 2, -1, big, left) == 1);
	for (i = 0; i < 1000; i++) {
		CHECK(imsgbuf_write(&a) == 0);
		CHECK(imsgbuf_read(&b) == 1);
		if ((n = imsg_get(&b, &im)) != 0)
			break;
	}
	CHECK(n == 1 && im.datalen == left && im.data[left - 1] == 'z');
	imsg_free(&im);
	free(big);
	close(a.fd);
	a.fd = -1;
	CHECK(imsgbuf_read(&b) == 0);
	teardown();
}

/* Byte by byte. */
static void
test_partial(void)
{
	struct imsg_hdr hdr = {9, sizeof(hdr) + 3, 4, 0};
	uint8_t wire[sizeof(hdr) + 3];
	struct imsg im;
	size_t i;

	setup(0);
	memcpy(wire, &hdr, sizeof(hdr));
	memcpy(wire + sizeof(hdr), "abc", 3);
	for (i = 0; i < sizeof(wire); i++) {
		CHECK(imsg_get(&b, &im) == 0);
		CHECK(write(a.fd, wire + i, 1) == 1);
		CHECK(imsgbuf_read(&b) == 1);
	}
	CHECK(imsg_get(&b, &im) == 1);
	CHECK(im.hdr.type == 9 && memcmp(im.data, "abc", 3) == 0);
	imsg_free(&im);
	teardown();
}

static void
test_bad_length(uint32_t len)
{
	struct imsg_hdr hdr = {1, len, 0, 0};
	struct imsg im;

	setup(0);
	CHECK(write(a.fd, &hdr, sizeof(hdr)) == sizeof(hdr));
	CHECK(imsgbuf_read(&b) == 1);
	errno = 0;
	CHECK(imsg_get(&b, &im) == -1 && errno == EBADMSG);
	errno = 0;
	CHECK(imsgbuf_read(&b) == -1 && errno == EBADMSG);
	teardown();
}

static void
test_fds(void)
{
	struct imsg im;
	int i, fd, p[2], before = open_fds();
	char c = 0;

	setup(1);
	/* Descriptors keep to their messages, between others without one. */
	for (i = 0; i < 6; i++) {
		fd = -1;
		if (i % 2 == 1) {
			CHECK(pipe(p) == 0);
			c = (char)('0' + i);
			CHECK(write(p[1], &c, 1) == 1);
			close(p[1]);
			fd = p[0];
		}
		CHECK(imsg_compose(&a, (uint32_t)i, 0, fd, &i, sizeof(i)) == 1);
	}
	CHECK(imsgbuf_write(&a) == 0);
	for (i = 0; i < 6;) {
		CHECK(imsgbuf_read(&b) == 1);
		while (imsg_get(&b, &im) == 1) {
			CHECK(im.hdr.type == (uint32_t)i);
			fd = imsg_get_fd(&im);
			CHECK((fd != -1) == (i % 2 == 1));
			if (fd != -1) {
				CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
				CHECK(read(fd, &c, 1) == 1 && c == '0' + i);
				close(fd);
			}
			imsg_free(&im);
			i++;
		}
	}
	/* Not taken: closed with its message. */
	CHECK(imsg_compose(&a, 1, 0, dup(0), NULL, 0) == 1);
	CHECK(imsgbuf_write(&a) == 0 && imsgbuf_read(&b) == 1);
	CHECK(imsg_get(&b, &im) == 1);
	imsg_free(&im);
	/* Not sent, and not read: closed with the channel. */
	CHECK(imsg_compose(&a, 1, 0, dup(0), NULL, 0) == 1);
	CHECK(imsgbuf_write(&a) == 0 && imsgbuf_read(&b) == 1);
	CHECK(imsg_compose(&a, 1, 0, dup(0), NULL, 0) == 1);
	teardown();
	CHECK(open_fds() == before);
}

/* Descriptors nobody allowed, or more than one, or none where one is due. */
static void
test_bad_fds(void)
{
	struct imsg_hdr hdr = {1, sizeof(hdr), 0, 0};
	struct imsg im;
	int i, before = open_fds();

	setup(0);
	send_raw(a.fd, &hdr, sizeof(hdr), 1);
	errno = 0;
	CHECK(imsgbuf_read(&b) == -1 && errno == EBADMSG);
	teardown();
	CHECK(open_fds() == before);

	setup(1);
	send_raw(a.fd, &hdr, sizeof(hdr), 2);
	CHECK(imsgbuf_read(&b) == -1 && errno == EBADMSG);
	teardown();
	setup(1);
	send_raw(a.fd, &hdr, sizeof(hdr), 32);
	CHECK(imsgbuf_read(&b) == -1 && errno == EBADMSG);
	teardown();
	CHECK(open_fds() == before);

	setup(1);
	hdr.len |= 0x80000000U;
	send_raw(a.fd, &hdr, sizeof(hdr), 0);
	CHECK(imsgbuf_read(&b) == 1);
	CHECK(imsg_get(&b, &im) == -1 && errno == EBADMSG);
	teardown();

	/* Descriptors that no message claims do not pile up. */
	setup(1);
	hdr.len = sizeof(hdr);
	for (i = 0; i < 100; i++) {
		send_raw(a.fd, &hdr, sizeof(hdr), 1);
		if (imsgbuf_read(&b) == -1)
			break;
		CHECK(imsg_get(&b, &im) == 1);
		imsg_free(&im);
	}
	CHECK(i < 32 && errno == EBADMSG);
	teardown();
	CHECK(open_fds() == before);
}

static void
test_gone(void)
{
	setup(0);
	close(b.fd);
	b.fd = -1;
	CHECK(imsg_compose(&a, 1, 0, -1, "x", 1) == 1);
	/* EPIPE, and no signal. */
	CHECK(imsgbuf_write(&a) == -1 && errno == EPIPE);
	teardown();
}

int
main(void)
{
	test_frames();
	test_partial();
	test_bad_length(0);
	test_bad_length(sizeof(struct imsg_hdr) - 1);
	test_bad_length(MAX_IMSGSIZE + 1);
	test_bad_length(0xffffffffU);
	test_fds();
	test_bad_fds();
	test_gone();
	TEST_END();
}
