/* REV-2 in small: a revocation is answered when every living worker knows it
 * (design 3, model/revocation.pml), with workers played by this program. */
#include <sys/socket.h>

#include <fcntl.h>

#include "authd_fixture.h"
#include "peer.h"
#include "test.h"

struct fake {
	struct peer *peer;
	int auto_join, auto_ack;
	int clocks, signkeys, sealkeys, current, ends, revoked, answers, gone;
	uint64_t last;
	int64_t now;
	int ordered;
	uint16_t status;
};

static struct fake fakes[8];
static struct peer *to_master;
static int accused;
static uint64_t accused_worker;

struct peer *
master_peer(void)
{
	return to_master;
}

static void
f_clock(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct fake *f = peer_ctx(p);

	(void)id, (void)fd;
	f->clocks++;
	f->now = ((struct a_clock *)msg)->now;
	f->ordered &= f->clocks > 1 || f->signkeys == 0;
}

static void
f_signkey(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct fake *f = peer_ctx(p);

	(void)id, (void)msg, (void)fd;
	f->signkeys++;
	f->ordered &= f->ends == 0 && f->sealkeys == 0;
}

static void
f_sealkey(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct fake *f = peer_ctx(p);

	(void)id, (void)fd;
	f->sealkeys++;
	f->current += ((struct a_sealkey *)msg)->current;
}

static void
f_revoked(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct fake *f = peer_ctx(p);
	const struct a_revoked *r = msg;
	struct a_ack ack;

	(void)id, (void)fd;
	f->ordered &= r->n > f->last;
	f->last = r->n;
	f->revoked++;
	if (f->ends > 0 && f->auto_ack) {
		ack.n = r->n;
		(void)peer_send(p, A_ACK, 0, &def_a_ack, &ack, -1);
	}
}

static void
f_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct fake *f = peer_ctx(p);

	(void)id, (void)msg, (void)fd;
	f->ends++;
	if (f->auto_join)
		(void)peer_send(p, A_JOINED, 0, NULL, NULL, -1);
}

static void
f_done(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct fake *f = peer_ctx(p);

	(void)id, (void)fd;
	f->answers++;
	f->status = ((struct a_done *)msg)->status;
}

static void
f_gone(struct peer *p)
{
	struct fake *f = peer_ctx(p);

	f->gone = 1;
	f->peer = NULL;
}

static void
m_bad(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	accused++;
	accused_worker = ((struct m_badpeer *)msg)->worker;
}

static const struct peer_rule worker_rules[] = {
    {A_CLOCK, &def_a_clock, PEER_ANY, 0, f_clock},
    {A_SIGNKEY, &def_a_signkey, PEER_ANY, 0, f_signkey},
    {A_SEALKEY, &def_a_sealkey, PEER_ANY, 0, f_sealkey},
    {A_REVOKED, &def_a_revoked, PEER_ANY, 0, f_revoked},
    {A_JOIN_END, NULL, PEER_ANY, 0, f_end},
    {A_DONE, &def_a_done, PEER_ANY, 0, f_done},
};
static const struct peer_class worker_class = {
    .name = "authd", .rules = worker_rules, .nrules = 6, .gone = f_gone};
static const struct peer_rule master_rules[] = {
    {M_BADPEER, &def_m_badpeer, PEER_ANY, 0, m_bad},
};
static const struct peer_class master_class = {
    .name = "authd", .rules = master_rules, .nrules = 1};
static const struct peer_class authd_class = {.name = "master"};

static void
spin(unsigned int ms)
{
	uint64_t until = mono_msec() + ms;

	do
		loop_once(5);
	while (mono_msec() < until);
}

/* True at the earliest after ms, and then soon. */
#define after(ms, cond)                                      \
	do {                                                 \
		uint64_t late_ = mono_msec() + (ms) + 10000; \
		spin(ms);                                    \
		while (!(cond) && mono_msec() < late_)       \
			loop_once(5);                        \
		CHECK(cond);                                 \
	} while (0)

static void
pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
		exit(1);
}

/* Worker number i appears; it asks to join when join is set. */
static struct fake *
wire(int i, int join, int ack)
{
	struct fake *f = &fakes[i];
	int fds[2];

	pair(fds);
	if (f->peer != NULL)
		peer_free(f->peer);
	memset(f, 0, sizeof(*f));
	f->auto_join = 1;
	f->auto_ack = ack;
	f->ordered = 1;
	f->peer = peer_new(fds[1], &worker_class, ROLE_AUTHD, 0, 0, f);
	worker_channel(100 + i, 1, fds[0]);
	if (join)
		(void)peer_send(f->peer, A_JOIN, 0, NULL, NULL, -1);
	return f;
}

static void
end_session(struct fake *f, uint8_t byte)
{
	struct a_revoked r;

	memset(&r, 0, sizeof(r));
	r.kind = REV_SESSION;
	memset(r.id, byte, sizeof(r.id));
	r.until = fix_wall + 1000;
	(void)peer_send(f->peer, A_SESSION_END, 7, &def_a_revoked, &r, -1);
}

static void
before_commit(void)
{
	struct fake *f = wire(0, 1, 1);

	after(20, f->ends == 1 && f->ordered);
	CHECK(f->clocks == 1 && f->now == clock_settled());
	CHECK(f->signkeys == 1 && f->sealkeys == 1 && f->current == 1);
	end_session(f, 1);
	after(20, f->answers == 1 && f->status == 503);
	conf_commit(1);
	workers_open();
	/* Freshly started: nothing is answered before all can be known. */
	end_session(f, 1);
	after(50, f->answers == 1 && f->revoked == 1);
	after(400, f->answers == 2 && f->status == 200);
}

static void
all_must_know(void)
{
	struct fake *a = &fakes[0], *b = wire(1, 1, 0), *c;
	struct a_ack ack;

	after(20, b->ends == 1);
	CHECK(b->revoked == 1); /* live ones come with the join */
	a->answers = 0;
	end_session(a, 2);
	after(50, a->revoked == 2 && b->revoked == 2);
	CHECK(a->answers == 0);
	ack.n = b->last;
	(void)peer_send(b->peer, A_ACK, 0, &def_a_ack, &ack, -1);
	after(20, a->answers == 1 && a->status == 200);

	/* One that is there and has not joined yet holds it up. */
	b->auto_ack = 1;
	c = wire(2, 0, 1);
	end_session(a, 3);
	after(50, a->answers == 1);
	CHECK(c->revoked == 0);
	(void)peer_send(c->peer, A_JOIN, 0, NULL, NULL, -1);
	after(30, c->revoked == 3 && c->ends == 1);
	CHECK(a->answers == 2);

	/* The same again is nothing new and waits for nobody. */
	end_session(a, 3);
	after(20, a->answers == 3 && c->revoked == 3);
	CHECK(accused == 0);
}

/* What workers are told of the time: only forward, and to the second where it
 * stops. */
static void
times(void)
{
	struct fake *a = &fakes[0], *b = &fakes[1];
	int64_t start = clock_settled();
	int i;

	workers_clock();
	after(10, a->now == start && b->now == start);
	for (i = 0; i < 9; i++) {
		fix_pass(1);
		workers_clock();
	}
	after(10, a->now == start);
	fix_pass(1);
	workers_clock();
	after(10, a->now == start + 10 && b->now == start + 10);
	fix_pass(5);
	workers_clock();
	fix_wall -= 3600;
	workers_clock();
	after(10, a->now == start + 15);
	a->clocks = 0;
	workers_clock();
	fix_wall += 3600;
	/* A leap that is too large to be believed is not told. */
	fix_wall += 2 * 86400;
	workers_clock();
	after(10, a->clocks == 0 && b->now == start + 15);
	fix_wall -= 2 * 86400;
}

static void
silent(void)
{
	struct fake *a = &fakes[0], *b = &fakes[1];
	uint64_t start = mono_msec();

	a->answers = 0;
	b->auto_ack = 0;
	end_session(a, 4);
	while (accused == 0 && mono_msec() - start < 3000)
		loop_once(5);
	CHECK(accused == 1 && accused_worker == 101);
	CHECK(mono_msec() - start >= 1000);
	CHECK(a->answers == 0);
	after(200, accused == 1); /* said once */
	/* Its channel ends: dead or not is for master to say. */
	peer_free(b->peer);
	b->peer = NULL;
	after(50, a->answers == 0);
	worker_reaped(101);
	after(20, a->answers == 1 && a->status == 200);
	accused = 0;
}

static void
hostile(void)
{
	struct a_revoked r;
	struct a_ack ack = {99999};
	struct fake *f;

	/* An acknowledgement that is not owed. */
	f = wire(3, 1, 1);
	spin(20);
	(void)peer_send(f->peer, A_ACK, 0, &def_a_ack, &ack, -1);
	after(20, accused == 1 && accused_worker == 103);
	worker_reaped(103);
	/* A request before the join. */
	f = wire(4, 0, 1);
	end_session(f, 5);
	after(20, accused == 2 && f->gone);
	worker_reaped(104);
	/* A second join, the end of what is no session. */
	f = wire(5, 1, 1);
	spin(20);
	(void)peer_send(f->peer, A_JOIN, 0, NULL, NULL, -1);
	after(20, accused == 3 && f->gone);
	worker_reaped(105);
	f = wire(6, 1, 1);
	spin(20);
	memset(&r, 0, sizeof(r));
	r.kind = REV_GRANT;
	r.until = fix_wall + 100;
	(void)peer_send(f->peer, A_SESSION_END, 1, &def_a_revoked, &r, -1);
	after(20, accused == 4 && f->answers == 0);
	worker_reaped(106);
	accused = 0;
}

static int
work_many(void *arg)
{
	uint8_t id[ID_LEN];
	int i;

	(void)arg;
	for (i = 0; i < 200; i++) {
		random_bytes(id, sizeof(id));
		if (revoke_add(REV_SESSION, id, fix_wall + 5000) == -1)
			return -1;
	}
	return 0;
}

/* A snapshot larger than any queue, and revocations in the middle of it. */
static void
large(void)
{
	struct fake *a = &fakes[0], *f;
	int i;

	for (i = 0; i < 200; i++) {
		turn_work(work_many, NULL);
		turn_flush();
		/* Both ends are in this process: nobody is made to wait long
		 * for the other. */
		after(0, a->last == revoke_newest());
	}
	f = wire(7, 1, 1);
	for (i = 0; i < 5; i++) {
		end_session(a, 50 + i);
		loop_once(1);
	}
	after(1500, f->ends == 1 && turn_waiting() == 0);
	CHECK(f->ordered);
	CHECK(f->last == revoke_newest());
	CHECK(f->revoked == 40004 + 5);
	CHECK(a->last == revoke_newest());
	CHECK(turn_waiting() == 0);
	CHECK(accused == 0);
}

/* What is over is purged, also from the index, and not sent any more. */
static void
purged(void)
{
	struct fake *f;
	int i, n = 0;

	fix_pass(6000);
	for (i = 0; i < 200; i++) {
		if (turn_begin() != 0 || req_begin() != 0)
			exit(1);
		n += expire_run(&fix_slice, 500);
		CHECK(req_end(1) == 0 && turn_commit() == 0);
	}
	CHECK(n >= 40000);
	f = wire(1, 1, 1);
	after(50, f->ends == 1 && f->revoked == 0);
	/* Numbers do not start again. */
	end_session(f, 77);
	after(100, f->revoked == 1 && f->answers == 1);
}

int
main(void)
{
	struct conf_auth c;
	struct conf_endpoint e;
	struct peer *m;
	int fds[2], changed, i;

	fix_start();
	loop_init();
	turn_init();
	pair(fds);
	to_master = peer_new(fds[0], &authd_class, ROLE_MASTER, 0, 0, NULL);
	m = peer_new(fds[1], &master_class, ROLE_AUTHD, 0, 0, NULL);
	if (turn_begin() != 0 || req_begin() != 0 ||
	    sealkey_turn(1000, &changed) == -1 || req_end(1) != 0 ||
	    turn_commit() != 0)
		return 1;
	conf_prepare(1);
	CHECK(wire_copy(&def_conf_auth, &c, &fix_slice.conf) == 0);
	free(c.password);
	c.password = strdup("");
	conf_auth(&c);
	memset(&e, 0, sizeof(e));
	e.path = FIX_S("/mcp");
	conf_endpoint(&e);
	CHECK(conf_end(1) == NULL);

	before_commit();
	all_must_know();
	times();
	silent();
	hostile();
	large();
	purged();

	for (i = 0; i < 8; i++) {
		worker_reaped(100 + i);
		if (fakes[i].peer != NULL)
			peer_free(fakes[i].peer);
	}
	peer_free(m);
	peer_free(to_master);
	conf_prepare(1);
	fix_end();
	TEST_END();
}
