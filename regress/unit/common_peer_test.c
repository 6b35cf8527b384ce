/*
 * Channels on the loop: what the table allows reaches its handler, anything
 * else ends the channel.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "compat.h"
#include "imsg.h"
#include "log.h"
#include "peer.h"
#include "proto.h"
#include "test.h"

static struct event_base *base;
static struct peer *peer; /* under test */
static struct imsgbuf other; /* its other end, by hand */
static unsigned int n_gen, n_ready, n_fd, n_gone, n_bad;
static uint32_t last_id, last_gen;
static int hold_at, free_at;
static char *taken;

static void
on_gen(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_gen *m = msg;

	CHECK(fd == -1);
	n_gen++;
	last_id = id;
	last_gen = m->gen;
	if (hold_at != 0 && n_gen == (unsigned int)hold_at)
		peer_hold(p);
	if (free_at != 0 && n_gen == (unsigned int)free_at) {
		peer_free(p);
		peer = NULL;
	}
}

static void
on_ready(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id;
	CHECK(msg == NULL && fd == -1);
	n_ready++;
	peer_setstate(p, PEER_S1);
}

static void
on_prepared(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_prepared *m = msg;

	(void)p;
	(void)id;
	(void)fd;
	taken = m->error;
	m->error = NULL;
}

static void
on_channel(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)msg;
	CHECK(fd != -1 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	close(fd);
	n_fd++;
}

static void
on_gone(struct peer *p)
{
	CHECK(p == peer);
	n_gone++;
	peer = NULL;
}

static void
on_bad(struct peer *p, const char *why)
{
	CHECK(p == peer && why[0] != '\0');
	n_bad++;
}

static const struct peer_rule rules[] = {
    {M_PREPARE, &def_m_gen, PEER_ANY, 0, on_gen},
    {M_READY, NULL, PEER_S0, 0, on_ready},
    {M_PREPARED, &def_m_prepared, PEER_S1, 0, on_prepared},
    {M_CHANNEL, &def_m_channel, PEER_ANY, 1, on_channel},
};
static const struct peer_class class = {
    "other", rules, sizeof(rules) / sizeof(rules[0]), 1, on_gone, on_bad};

static void
setup(void)
{
	int sv[2];

	n_gen = n_ready = n_fd = n_gone = n_bad = 0;
	hold_at = free_at = 0;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	peer = peer_new(sv[0], &class, ROLE_AUTHD, 42, 3, &last_id);
	CHECK(peer != NULL);
	CHECK(peer_role(peer) == ROLE_AUTHD && peer_id(peer) == 42 &&
	      peer_gen(peer) == 3 && peer_ctx(peer) == &last_id);
	CHECK(fcntl(sv[1], F_SETFL, O_NONBLOCK) == 0);
	imsgbuf_init(&other, sv[1]);
	imsgbuf_allow_fdpass(&other);
}

static void
teardown(void)
{
	peer_free(peer);
	peer = NULL;
	imsgbuf_clear(&other);
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
send_gen(uint32_t id, uint32_t gen)
{
	struct m_gen m = {gen};
	uint8_t *p;
	size_t len;

	p = wire_encode(&def_m_gen, &m, &len);
	CHECK(imsg_compose(&other, M_PREPARE, id, -1, p, len) == 1);
	free(p);
}

static void
test_dispatch(void)
{
	struct m_prepared m = {7, NULL};
	struct m_channel ch = {ROLE_WORKER, 1, 2};
	uint8_t *p;
	size_t len;
	uint32_t i;

	setup();
	for (i = 1; i <= 50; i++)
		send_gen(i, i * 2);
	CHECK(imsgbuf_write(&other) == 0);
	turn();
	CHECK(n_gen == 50 && last_id == 50 && last_gen == 100);
	CHECK(imsg_compose(&other, M_READY, 0, -1, NULL, 0) == 1);
	m.error = xstrdup("why not");
	p = wire_encode(&def_m_prepared, &m, &len);
	CHECK(imsg_compose(&other, M_PREPARED, 0, -1, p, len) == 1);
	free(p);
	free(m.error);
	p = wire_encode(&def_m_channel, &ch, &len);
	CHECK(imsg_compose(&other, M_CHANNEL, 0, dup(0), p, len) == 1);
	free(p);
	CHECK(imsgbuf_write(&other) == 0);
	turn();
	turn();
	CHECK(n_ready == 1 && n_fd == 1);
	CHECK(taken != NULL && strcmp(taken, "why not") == 0);
	free(taken);
	taken = NULL;
	CHECK(n_bad == 0 && n_gone == 0);
	/* The last words of one that went are heard before its end. */
	send_gen(1, 9);
	CHECK(imsgbuf_write(&other) == 0);
	close(other.fd);
	other.fd = -1;
	CHECK(peer_send(peer, M_READY, 0, NULL, NULL, -1) == 0);
	turn();
	turn();
	CHECK(n_gen == 51 && last_gen == 9 && n_gone == 1 && n_bad == 0);
	teardown();
}

/* One bad message, with good ones around it: bad, gone, and nothing after. */
static void
refused(uint32_t type, const void *data, size_t len, int fd)
{
	setup();
	send_gen(1, 1);
	CHECK(imsg_compose(&other, type, 0, fd, data, len) == 1);
	send_gen(1, 2);
	CHECK(imsgbuf_write(&other) == 0);
	turn();
	turn();
	CHECK(n_gen == 1 && n_bad == 1 && n_gone == 1 && peer == NULL);
	teardown();
}

static void
test_refused(void)
{
	static const uint8_t four[4], five[5];

	refused(M_START, NULL, 0, -1); /* no rule */
	refused(0xffffffffU, NULL, 0, -1); /* no such type */
	refused(M_PREPARE, NULL, 0, -1); /* too short */
	refused(M_PREPARE, five, 5, -1); /* too long */
	refused(M_READY, four, 4, -1); /* payload where none is */
	refused(M_PREPARED, five, 5, -1); /* not in this state */
	refused(M_PREPARE, four, 4, dup(0)); /* an uncalled-for fd */
	refused(M_CHANNEL, five, 5, -1); /* a missing fd */
	refused(M_CHANNEL, four, 4, dup(0)); /* fd, and malformed */

	setup();
	CHECK(write(other.fd, "0123456789abcdef", 16) == 16);
	turn();
	CHECK(n_bad == 1 && n_gone == 1);
	teardown();
}

static void
test_hold(void)
{
	uint32_t i;

	setup();
	hold_at = 3;
	for (i = 1; i <= 10; i++)
		send_gen(i, i);
	CHECK(imsgbuf_write(&other) == 0);
	close(other.fd);
	other.fd = -1;
	turn();
	turn();
	CHECK(n_gen == 3 && n_gone == 0);
	peer_resume(peer);
	turn();
	turn();
	CHECK(n_gen == 10 && n_gone == 1 && n_bad == 0);
	teardown();

	setup();
	free_at = 2;
	for (i = 1; i <= 10; i++)
		send_gen(i, i);
	CHECK(imsgbuf_write(&other) == 0);
	turn();
	turn();
	CHECK(n_gen == 2 && n_gone == 0 && peer == NULL);
	teardown();
}

static void
test_queue(void)
{
	struct n_opened m = {0};
	struct imsg im;
	unsigned int n, got = 0;
	int i;

	setup();
	m.result.len = 60000;
	m.result.p = xcalloc(1, m.result.len);
	for (n = 0; n < 100; n++) {
		if (peer_send(peer, N_OPENED, n, &def_n_opened, &m, -1) == -1)
			break;
	}
	CHECK(n == PEER_QUEUE_MAX / 60000 && errno == ENOBUFS);
	CHECK(peer_queued(peer) <= PEER_QUEUE_MAX);
	CHECK(peer_queued(peer) > PEER_QUEUE_MAX - 61000);
	for (i = 0; i < 1000 && got < n; i++) {
		turn();
		CHECK(imsgbuf_read(&other) == 1);
		while (imsg_get(&other, &im) == 1) {
			CHECK(im.hdr.type == N_OPENED && im.hdr.peerid == got);
			imsg_free(&im);
			got++;
		}
	}
	CHECK(got == n && peer_queued(peer) == 0);
	/* A full socket: flush gives up in time, and what is left goes. */
	while (peer_send(peer, N_OPENED, 0, &def_n_opened, &m, -1) == 0)
		continue;
	peer_flush(peer, 20);
	CHECK(peer_queued(peer) > 0);
	free(m.result.p);
	/* Over the limit of the field. */
	m.result.len = 256 * 1024 + 1;
	m.result.p = xcalloc(1, m.result.len);
	CHECK(peer_send(peer, N_OPENED, 0, &def_n_opened, &m, -1) == -1);
	free(m.result.p);
	teardown();
}

int
main(void)
{
	log_init("test", 1);
	log_setlevel(LOG_L_ERROR);
	signal(SIGPIPE, SIG_IGN);
	CHECK((base = event_base_new()) != NULL);
	peer_setbase(base);
	CHECK(peer_base() == base);
	test_dispatch();
	test_refused();
	test_hold();
	test_queue();
	event_base_free(base);
	TEST_END();
}
