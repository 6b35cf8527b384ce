/*
 * Streams on the loop, plain and with TLS: all bytes come, in order, however
 * small the reader's buffer, with pauses, with what came together with the end
 * of the handshake; nothing is left inside that no event tells of.
 */
#include <event2/event.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../../worker/stream.h"
#include "../../worker/tls.h"
#include "compat.h"
#include "peer.h"
#include "test.h"
#include "worker_tls_certs.h"

#define TOTAL 400000

struct end {
	struct stream s;
	size_t chunk; /* bytes read in one go */
	size_t got, at; /* read; where the next pause is */
	ssize_t over; /* 1: not yet; 0: end of file, STREAM_ERROR */
	unsigned int drains, reads, pauses;
	size_t sent, want;
	size_t all; /* then it shuts down */
	char *in;
};

static char data[TOTAL];
static struct end a, b;
static struct event *later;

static void
resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	stream_resume(&b.s);
}

static void
on_read(void *arg)
{
	const struct timeval tv = {0, 2000};
	struct end *e = arg;
	char buf[70000];
	ssize_t n;

	e->reads++;
	n = stream_recv(&e->s, buf, e->chunk);
	if (n == STREAM_AGAIN)
		return;
	if (n <= 0) {
		e->over = n;
		stream_close(&e->s);
		event_base_loopbreak(peer_base());
		return;
	}
	if (e->got + (size_t)n > TOTAL) {
		CHECK(0);
		event_base_loopbreak(peer_base());
		return;
	}
	memcpy(e->in + e->got, buf, (size_t)n);
	e->got += (size_t)n;
	if (e->at != 0 && e->got >= e->at) {
		/* The last one when the rest is inside. */
		e->at = e->at + 50000 < e->all ? e->at + 50000
			: e->got < e->all - 50 ? e->all - 50
					       : 0;
		e->pauses++;
		stream_pause(&e->s);
		event_add(later, &tv);
	}
	if (e->got == e->all) {
		stream_shutdown(&e->s);
		stream_resume(&e->s);
	}
}

static void
pump(struct end *e)
{
	struct iovec iov[3];
	size_t n, i;

	while (e->sent < e->want && stream_queued(&e->s) < 100000) {
		for (i = 0; i < 3; i++) {
			n = (size_t)random() % 9000;
			if (n > e->want - e->sent)
				n = e->want - e->sent;
			iov[i].iov_base = data + e->sent;
			iov[i].iov_len = n;
			e->sent += n;
		}
		if (stream_sendv(&e->s, iov, 3) == -1)
			return;
	}
}

static void
on_drain(void *arg)
{
	struct end *e = arg;

	e->drains++;
	pump(e);
}

static void
end_open(struct end *e, int fd, size_t chunk)
{
	memset(e, 0, sizeof(*e));
	e->over = 1;
	e->chunk = chunk;
	e->in = xmalloc(TOTAL);
	stream_open(&e->s, fd, on_read, on_drain, e);
}

static void
loop(void)
{
	const struct timeval tv = {100, 0};

	event_base_loopexit(peer_base(), &tv);
	event_base_dispatch(peer_base());
}

/* b reads what a sends, in pieces of chunk. early: a does not wait for the end
 * of the handshake. */
static void
transfer(struct tls_config *sc, struct tls_config *cc, size_t chunk,
    size_t pauses, size_t total, int early)
{
	int fd[2], size = 4096;

	sockets(fd);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	end_open(&a, fd[0], 1000);
	end_open(&b, fd[1], chunk);
	a.want = b.all = total;
	b.at = pauses;
	if (sc != NULL) {
		CHECK(stream_tls_client(&a.s, cc, "gw.example") == 0);
		CHECK(stream_tls_server(&b.s, sc) == 0);
	} else
		stream_want_write(&a.s);
	if (early)
		pump(&a);
	loop();
	CHECK(a.sent == total && b.got == total);
	CHECK(memcmp(b.in, data, b.got) == 0);
	CHECK(a.over == 0);
	CHECK(a.drains > 0 && (pauses == 0 || b.pauses > 0));
	stream_close(&a.s);
	stream_close(&b.s);
	free(a.in);
	free(b.in);
}

/* The client does not trust the server. */
static void
refused(struct tls_config *sc, struct tls_config *cc)
{
	int fd[2];

	sockets(fd);
	end_open(&a, fd[0], 1000);
	end_open(&b, fd[1], 1000);
	a.want = 100;
	CHECK(stream_tls_client(&a.s, cc, "other.example") == 0);
	CHECK(stream_tls_server(&b.s, sc) == 0);
	pump(&a);
	loop();
	CHECK(a.over == STREAM_ERROR && a.drains == 0);
	CHECK(b.got == 0);
	stream_close(&a.s);
	stream_close(&b.s);
	free(a.in);
	free(b.in);
}

int
main(void)
{
	static const size_t chunks[] = {10, 1000, 16384, 65536};
	struct tls_config *sc, *cc;
	struct cert ca, cert;
	char err[TLS_ERRLEN];
	size_t i;
	int in_key;

	(void)signal(SIGPIPE, SIG_IGN);
	tls_init();
	peer_setbase(event_base_new());
	later = event_new(peer_base(), -1, 0, resume, NULL);
	for (i = 0; i < TOTAL; i++)
		data[i] = (char)random();
	ca = cert_make("ca", NULL, NULL, -DAY, DAY);
	cert = cert_make("x", "DNS:gw.example", &ca, -DAY, DAY);
	sc = tls_config_server(cert.pem, cert.keypem, err, &in_key);
	cc = tls_config_client(ca.pem, NULL, NULL, err, &in_key);
	CHECK(sc != NULL && cc != NULL);
	for (i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		transfer(NULL, NULL, chunks[i], 0, TOTAL, 0);
		transfer(NULL, NULL, chunks[i], 20000, TOTAL, 0);
		transfer(sc, cc, chunks[i], 0, TOTAL, 0);
		transfer(sc, cc, chunks[i], 20000, TOTAL, 1);
		/* All of it in one packet with the end of the handshake. */
		transfer(sc, cc, chunks[i], 0, 3000, 1);
		transfer(sc, cc, chunks[i], 1, 3000, 0);
		transfer(sc, cc, chunks[i], 20000, TOTAL, 0);
	}
	refused(sc, cc);
	tls_config_free(sc);
	tls_config_free(cc);
	cert_free(&ca);
	cert_free(&cert);
	event_free(later);
	event_base_free(peer_base());
	TEST_END();
}
