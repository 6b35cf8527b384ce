/*
 * worker/evlog.c: what a client that comes back finds, and whom it wakes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../worker/evlog.h"
#include "../../worker/worker.h"
#include "compat.h"
#include "test.h"

#define KEPT  (32 * 1024 * 1024) /* bytes, of ended streams */
#define EVENT (1000 * 1024)

static void on_gone(void *);
static void on_drained(void *);

static const struct evlog_ops ops = {on_gone, on_drained, NULL, NULL};
static const uint8_t mine[ID_LEN] = {1}, other[ID_LEN] = {2};
static const uint8_t grant[ID_LEN] = {3}, later[ID_LEN] = {4};
static const struct holder owner = {{3}, {5}, 100};
static const struct holder newer = {{3}, {6}, 200};
static const struct holder stranger = {{4}, {7}, 300};
static struct request rq[3];
static size_t backlog[3], chunks[3];
static int ended[3], drained, gone;
static const struct request *broken; /* nothing can be written there */
static char large[EVENT];

struct worker worker;

/* ---- what reply.c would do ---- */

void
reply_stream(struct request *r, int status, const char *ctype)
{
	CHECK(status == 200 && strcmp(ctype, "text/event-stream") == 0);
	r->streaming = 1;
}

int
reply_chunk(struct request *r, const void *data, size_t len)
{
	(void)data;
	(void)len;
	if (r == broken)
		return -1;
	chunks[r - rq]++;
	return 0;
}

size_t
reply_backlog(const struct request *r)
{
	return backlog[r - rq];
}

void
reply_end(struct request *r)
{
	ended[r - rq]++;
}

static void
on_gone(void *arg)
{
	(void)arg;
	gone++;
}

static void
on_drained(void *arg)
{
	(void)arg;
	drained++;
}

static struct evlog *
begun(const uint8_t *nonce)
{
	struct evlog *l = evlog_new(nonce, &owner, "2025-11-25", &ops, NULL);

	CHECK(l != NULL);
	return l;
}

/* Whoever feeds a stream waits for the connection before, which is left. */
static void
test_wakes(void)
{
	struct evlog *l = begun(mine);
	uint64_t id = evlog_id(l);

	evlog_attach(l, &rq[0]);
	backlog[0] = 1024 * 1024;
	CHECK(evlog_send(l, "{}", 2) == 0);
	CHECK(chunks[0] == 1 && drained == 0);
	/* It does not fit in either: the connection tells when it does. */
	backlog[1] = 1024 * 1024;
	CHECK(evlog_resume(mine, &owner, id, 1, &rq[1]) == 0);
	CHECK(ended[0] == 1 && chunks[1] == 0 && drained == 0);
	CHECK(evlog_resume(mine, &owner, id, 1, &rq[2]) == 0);
	CHECK(ended[1] == 1 && chunks[2] == 1 && drained == 1);
	CHECK(evlog_resume(other, &owner, id, 1, &rq[0]) == -1);
	/* Nor by a grant of the same client that is another. */
	CHECK(evlog_resume(mine, &stranger, id, 1, &rq[0]) == -1);
	CHECK(!evlog_exists(mine, later, id, 1));
	evlog_end(l);
	CHECK(ended[2] == 1);
}

/* What could not be written to a client is there when it comes back: nobody may
 * be told that it was not sent. */
static void
test_lost(void)
{
	struct evlog *l = begun(mine);
	uint64_t id = evlog_id(l);
	size_t before;

	evlog_attach(l, &rq[0]);
	gone = 0;
	backlog[0] = backlog[1] = 0;
	broken = &rq[0];
	CHECK(evlog_send(l, "{}", 2) == 0);
	CHECK(gone == 1 && !evlog_attached(l));
	CHECK(evlog_send(l, "{}", 2) == 0);
	broken = NULL;
	before = chunks[1];
	CHECK(evlog_resume(mine, &owner, id, 1, &rq[1]) == 0);
	CHECK(chunks[1] == before + 2);
	/* Where nothing is to be sent the comments tell. */
	evlog_keepalive(l, mono_msec() + 14000);
	CHECK(chunks[1] == before + 2 && evlog_attached(l));
	evlog_keepalive(l, mono_msec() + 16000);
	CHECK(chunks[1] == before + 3 && evlog_attached(l));
	rq[1].broken = 1;
	evlog_keepalive(l, mono_msec());
	CHECK(gone == 2 && !evlog_attached(l));
	rq[1].broken = 0;
	evlog_end(l);
}

/* Of a stream that was not to end only what is missing is worth a visit. */
static void
test_discarded(void)
{
	struct evlog *l = begun(mine);
	uint64_t id = evlog_id(l);

	CHECK(evlog_send(l, "{}", 2) == 0);
	CHECK(evlog_send(l, "{}", 2) == 0);
	evlog_discard(l);
	CHECK(evlog_exists(mine, grant, id, 1));
	CHECK(!evlog_exists(mine, grant, id, 2));
	CHECK(evlog_resume(mine, &owner, id, 2, &rq[0]) == -1);
	evlog_tick();
	CHECK(!evlog_exists(mine, grant, id, 1));
}

/* It is read by whoever has come last. One who is sent away finds what came
 * meanwhile. */
static void
test_dismissed(void)
{
	struct evlog *l = evlog_new(mine, &owner, "2025-03-26", &ops, NULL);
	uint64_t id = evlog_id(l);
	int before = ended[0];
	size_t had;

	backlog[0] = backlog[1] = 0;
	gone = 0;
	evlog_dismiss(l);
	CHECK(gone == 0 && evlog_by(l)->exp == 100);
	evlog_attach(l, &rq[0]);
	evlog_dismiss(l);
	CHECK(gone == 1 && ended[0] == before + 1 && !evlog_attached(l));
	CHECK(rq[0].gone == NULL && rq[0].drained == NULL);
	CHECK(evlog_send(l, "{}", 2) == 0);
	had = chunks[1];
	CHECK(evlog_resume(mine, &stranger, id, 0, &rq[1]) == -1);
	CHECK(evlog_by(l)->exp == 100);
	CHECK(evlog_resume(mine, &newer, id, 0, &rq[1]) == 0);
	CHECK(chunks[1] == had + 1 && evlog_by(l)->exp == 200);
	evlog_end(l);
}

/* One token, or all of its grant. */
static void
test_revoked(void)
{
	static const uint8_t none[ID_LEN];
	struct holder free;

	CHECK(evlog_revoked(&owner, REV_GRANT, grant));
	CHECK(evlog_revoked(&newer, REV_GRANT, grant));
	CHECK(!evlog_revoked(&stranger, REV_GRANT, grant));
	CHECK(evlog_revoked(&owner, REV_TOKEN, owner.jti));
	CHECK(!evlog_revoked(&newer, REV_TOKEN, owner.jti));
	CHECK(!evlog_revoked(&owner, REV_TOKEN, grant));
	CHECK(!evlog_revoked(&owner, REV_SESSION, owner.jti));
	evlog_holder(&free, NULL);
	CHECK(free.exp == 0 && memcmp(free.jti, none, ID_LEN) == 0);
}

/* What others do with streams that live takes nothing from who is away; of
 * those that have ended the oldest goes. */
static void
test_bound(void)
{
	struct evlog *l, *live[KEPT / EVENT + 2];
	uint64_t first, id = 0;
	size_t i;

	l = begun(mine);
	first = evlog_id(l);
	(void)evlog_send(l, "{}", 2);
	evlog_end(l);
	for (i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		live[i] = begun(other);
		(void)evlog_send(live[i], large, sizeof(large));
	}
	evlog_tick();
	CHECK(evlog_exists(mine, grant, first, 0));
	for (i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		id = evlog_id(live[i]);
		evlog_end(live[i]);
	}
	evlog_tick();
	CHECK(!evlog_exists(mine, grant, first, 0));
	CHECK(evlog_exists(other, grant, id, 0));
	evlog_forget(other);
	CHECK(!evlog_exists(other, grant, id, 0));
}

int
main(void)
{
	memset(large, 'x', sizeof(large));
	test_wakes();
	test_lost();
	test_discarded();
	test_dismissed();
	test_revoked();
	test_bound();
	/* What is kept for five minutes. */
	evlog_forget(mine);
	TEST_END();
}
