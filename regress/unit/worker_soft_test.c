/*
 * What the keeper remembers of client sessions: log level and resources
 * watched, given back when an upstream session is made anew.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>

#include "../../worker/soft.h"
#include "compat.h"
#include "test.h"

#define ENTRIES 65536

static void watch(const uint8_t *, uint32_t, const char *, uint8_t);
static uint32_t watched(const uint8_t *, uint32_t, const char **);
static void on_told(struct peer *, uint32_t, void *, int);
static void on_gone(struct peer *);

static void on_release(struct peer *, uint32_t, void *, int);

static const struct peer_rule rules[] = {
    {K_REMIND, &def_k_soft, PEER_ANY, 0, on_told},
    {K_RELEASE, &def_k_claim, PEER_ANY, 0, on_release}};
static const struct peer_class class = {"keeper", rules, 2, 0, on_gone, NULL};
static uint32_t told;
static uint64_t released; /* the last one, and by whom */
static const struct peer *by;

static void
on_told(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)msg, (void)fd;
	told++;
}

static void
on_release(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id, (void)fd;
	released = ((struct k_claim *)msg)->stream;
	by = p;
}

static void
on_gone(struct peer *p)
{
	(void)p;
}

static void
watch(const uint8_t *nonce, uint32_t backend, const char *uri, uint8_t on)
{
	struct k_soft m;
	char text[64];

	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, nonce, ID_LEN);
	strncpy(text, uri, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	m.backend = backend;
	m.uri = text;
	m.on = on;
	soft_subscribe(&m);
}

static uint32_t
watched(const uint8_t *nonce, uint32_t backend, const char **level)
{
	struct k_session k;

	memset(&k, 0, sizeof(k));
	soft_fill(nonce, backend, &k);
	free(k.uris.v);
	if (level != NULL)
		*level = k.level;
	return k.uris.n;
}

/* The newest stream of a session is not lost by the end of an older one. */
static void
test_owner(const uint8_t *nonce)
{
	static char x, y;
	struct peer *p = (void *)&x, *q = (void *)&y; /* not looked into */
	struct k_claim m;

	memcpy(m.nonce, nonce, ID_LEN);
	m.stream = m.begun = 7;
	soft_unclaim(p, &m);
	CHECK(soft_owner(nonce) == NULL);
	soft_claim(p, &m);
	CHECK(soft_owner(nonce) == p);
	soft_unclaim(q, &m);
	m.stream = 6;
	soft_unclaim(p, &m);
	CHECK(soft_owner(nonce) == p);
	m.stream = 7;
	soft_unclaim(p, &m);
	CHECK(soft_owner(nonce) == NULL);
}

static void
claim(struct peer *p, uint64_t stream, uint64_t begun)
{
	struct k_claim m;
	int i;

	memset(&m, 0, sizeof(m));
	m.stream = stream;
	m.begun = begun;
	released = 0;
	by = NULL;
	soft_claim(p, &m);
	for (i = 0; i < 10; i++)
		(void)event_base_loop(
		    peer_base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* In whatever order they come, the newest has the session. */
static void
test_newest(void)
{
	static const uint8_t nonce[ID_LEN];
	struct event_base *base = event_base_new();
	struct peer *p[2], *far[2];
	int fd[2], i;

	peer_setbase(base);
	for (i = 0; i < 2; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
		p[i] = peer_new(fd[0], &class, ROLE_WORKER, 1, 1, NULL);
		far[i] = peer_new(fd[1], &class, ROLE_KEEPER, 0, 1, NULL);
	}
	claim(p[0], 7, 100);
	CHECK(by == NULL && soft_owner(nonce) == p[0]);
	claim(p[1], 8, 50);
	CHECK(by == far[1] && released == 8 && soft_owner(nonce) == p[0]);
	claim(p[1], 9, 200);
	CHECK(by == far[0] && released == 7 && soft_owner(nonce) == p[1]);
	claim(p[1], 3, 150);
	CHECK(by == far[1] && released == 3 && soft_owner(nonce) == p[1]);
	claim(p[1], 9, 250);
	CHECK(by == NULL && soft_owner(nonce) == p[1]);
	soft_end(nonce);
	for (i = 0; i < 2; i++) {
		peer_free(p[i]);
		peer_free(far[i]);
	}
	event_base_free(base);
}

static void
level(uint32_t n, const char *word)
{
	struct k_soft m;
	char text[16];

	memset(&m, 0, sizeof(m));
	memset(m.nonce, 0xee, sizeof(m.nonce));
	memcpy(m.nonce, &n, sizeof(n));
	(void)strlcpy(text, word, sizeof(text));
	m.level = text;
	soft_level(&m);
}

static const char *
levelof(uint32_t n)
{
	uint8_t nonce[ID_LEN];

	memset(nonce, 0xee, sizeof(nonce));
	memcpy(nonce, &n, sizeof(n));
	return soft_levelof(nonce);
}

/* Whoever is new has room: it is that of who was away for longest. */
static void
test_bound(void)
{
	static char x;
	struct k_claim m;
	uint32_t i;

	for (i = 0; i < ENTRIES; i++)
		level(i, "info");
	memset(m.nonce, 0xee, sizeof(m.nonce));
	memset(m.nonce, 0, sizeof(uint32_t));
	m.stream = m.begun = 1;
	soft_claim((void *)&x, &m);
	level(1, "error");
	level(ENTRIES, "debug");
	CHECK(levelof(ENTRIES) != NULL);
	CHECK(levelof(0) != NULL && levelof(1) != NULL && levelof(2) == NULL);
	level(ENTRIES + 1, "debug");
	CHECK(levelof(3) == NULL && levelof(4) != NULL);
	/* Not one that has a stream. */
	for (i = 0; i < ENTRIES; i++)
		level(2 * ENTRIES + i, "info");
	CHECK(levelof(0) != NULL && levelof(1) == NULL);
}

/* A new keeper is told of all of them, however many turns that takes. */
static void
test_told(void)
{
	struct event_base *base = event_base_new();
	struct peer *us, *keeper;
	int fd[2], i;

	peer_setbase(base);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	us = peer_new(fd[0], &class, ROLE_KEEPER, 0, 1, NULL);
	keeper = peer_new(fd[1], &class, ROLE_WORKER, 1, 1, NULL);
	soft_remind(us);
	CHECK(peer_queued(us) > 0 && peer_queued(us) < PEER_QUEUE_MAX);
	for (i = 0; i < 1000 && told < ENTRIES; i++) {
		while (peer_queued(us) > 0)
			(void)event_base_loop(base, EVLOOP_ONCE);
		/* The last ones are in the socket. */
		(void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		soft_tick();
	}
	CHECK(told == ENTRIES && i > 1);
	/* Nothing is told to one that is gone. */
	soft_remind(us);
	soft_gone(us);
	peer_free(us);
	soft_tick();
	peer_free(keeper);
	event_base_free(base);
}

int
main(void)
{
	/* Both begin alike: they share a bucket of the table. */
	uint8_t a[ID_LEN] = {1, 2, 3}, b[ID_LEN] = {1, 2, 4};
	char debug[] = "debug", error[] = "error", uri[32];
	const char *level;
	struct k_soft m;
	int i;

	CHECK(watched(a, 1, &level) == 0 && level == NULL);
	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, a, ID_LEN);
	m.level = debug;
	soft_level(&m);
	m.level = error;
	soft_level(&m);
	CHECK(watched(a, 1, &level) == 0);
	CHECK(level != NULL && strcmp(level, "error") == 0);
	CHECK(watched(b, 1, &level) == 0 && level == NULL);

	watch(a, 1, "x://1", 1);
	watch(a, 1, "x://1", 1);
	watch(a, 1, "x://2", 1);
	watch(a, 2, "x://1", 1);
	watch(b, 1, "x://1", 1);
	CHECK(watched(a, 1, NULL) == 2);
	CHECK(watched(a, 2, NULL) == 1);
	watch(a, 1, "x://1", 0);
	watch(a, 1, "x://never", 0);
	CHECK(watched(a, 1, NULL) == 1);
	CHECK(watched(a, 2, NULL) == 1);
	CHECK(watched(b, 1, NULL) == 1);

	/* Bounded for each backend. */
	for (i = 0; i < 200; i++) {
		snprintf(uri, sizeof(uri), "y://%d", i);
		watch(a, 3, uri, 1);
	}
	CHECK(watched(a, 3, NULL) == 64);

	CHECK(!soft_room(a, 3, "y://64"));
	CHECK(soft_room(a, 3, "y://0"));
	CHECK(soft_room(a, 4, "y://64") && soft_room(b, 3, "y://64"));

	/* What a client has said to the new keeper is newer. */
	m.uri = uri;
	uri[0] = '\0';
	m.level = debug;
	soft_reminded(&m);
	CHECK(strcmp(soft_levelof(a), "error") == 0);
	memcpy(m.nonce, b, ID_LEN);
	soft_reminded(&m);
	CHECK(strcmp(soft_levelof(b), "debug") == 0);
	strcpy(uri, "z://1");
	m.backend = 9;
	m.on = 1;
	soft_reminded(&m);
	CHECK(watched(b, 9, NULL) == 1);

	test_owner(a);
	soft_end(a);
	CHECK(watched(a, 1, &level) == 0 && level == NULL);
	CHECK(watched(b, 1, NULL) == 1);
	CHECK(soft_owner(a) == NULL && soft_owner(b) == NULL);
	soft_end(b);
	test_newest();
	test_bound();
	test_told();
	TEST_END();
}
