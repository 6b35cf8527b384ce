/*
 * Dialing: a backend with several addresses, of which some refuse and some do
 * not answer at all.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <dirent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../worker/dial.h"
#include "compat.h"
#include "peer.h"
#include "test.h"

#define FILLERS 16

static struct backend b;
static struct event_base *base;
static int got, got_fd;
static unsigned int got_which;
static int filler[FILLERS];

static void
add(uint16_t port)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&b.addr[b.naddr++];

	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void
forget(void)
{
	memset(b.addr, 0, sizeof(b.addr));
	b.naddr = 0;
}

/* A socket that listens, or (backlog -1) only holds its port. */
static int
taken(uint16_t *port, int backlog)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sin, len) == -1 ||
	    (backlog >= 0 && listen(fd, backlog) == -1) ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		exit(1);
	*port = ntohs(sin.sin_port);
	return fd;
}

/* Nobody accepts and the queue is full: connects are not answered. */
static int
silent(uint16_t *port)
{
	struct sockaddr_in sin;
	int i, fd = taken(port, 0);

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_port = htons(*port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < FILLERS; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(filler[i], (struct sockaddr *)&sin, sizeof(sin));
	}
	usleep(50000);
	return fd;
}

static void
dialed(void *arg, int fd, unsigned int which)
{
	CHECK(arg == &b);
	got++;
	got_fd = fd;
	got_which = which;
	(void)event_base_loopbreak(base);
}

/* How long it took, ms; the descriptor is closed. */
static unsigned int
dial(unsigned int skip)
{
	struct timeval limit = {20, 0};
	uint64_t t0 = mono_msec();

	got = 0;
	CHECK(dial_start(&b, skip, dialed, &b) != NULL);
	CHECK(got == 0);
	(void)event_base_loopexit(base, &limit);
	(void)event_base_dispatch(base);
	CHECK(got == 1);
	if (got_fd != -1)
		close(got_fd);
	return mono_msec() - t0;
}

static int
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

int
main(void)
{
	uint16_t refuses, hangs, serves, serves2;
	int held = taken(&refuses, -1), quiet = silent(&hangs);
	int one = taken(&serves, 16), two = taken(&serves2, 16);
	struct timeval soon = {0, 50000};
	unsigned int ms;
	struct dial *d;
	int i, fds;

	base = event_base_new();
	peer_setbase(base);
	fds = descriptors();

	/* None, and none that answers. */
	(void)dial(0);
	CHECK(got_fd == -1);
	add(refuses);
	add(refuses);
	CHECK(dial(0) < 2000 && got_fd == -1);

	/* One refuses: the next, and from then on that one first. */
	add(serves);
	add(serves2);
	CHECK(dial(0) < 2000 && got_fd != -1 && got_which == 2);
	(void)dial(0);
	CHECK(got_which == 2);
	/* What was tried before is not tried again. */
	(void)dial(1u << 2);
	CHECK(got_which == 3);
	(void)dial(0);
	CHECK(got_which == 3);
	(void)dial(~0u);
	CHECK(got_fd == -1);

	/* One does not answer: the next is not kept waiting for long. */
	forget();
	memset(&b.good, 0, sizeof(b.good));
	add(hangs);
	add(serves);
	ms = dial(0);
	CHECK(got_fd != -1 && got_which == 1);
	CHECK(ms >= 200 && ms < 2000);
	/* Only such: until it is given up. */
	ms = dial(1u << 1);
	CHECK(got_fd == -1 && ms >= 4500 && ms < 9000);

	/* Given up by whoever wanted it. */
	got = 0;
	forget();
	add(hangs);
	d = dial_start(&b, 0, dialed, &b);
	(void)event_base_loopexit(base, &soon);
	(void)event_base_dispatch(base);
	dial_cancel(d);
	(void)event_base_loopexit(base, &soon);
	(void)event_base_dispatch(base);
	CHECK(got == 0);
	CHECK(descriptors() == fds);

	for (i = 0; i < FILLERS; i++)
		close(filler[i]);
	close(held);
	close(quiet);
	close(one);
	close(two);
	peer_setbase(NULL);
	event_base_free(base);
	TEST_END();
}
