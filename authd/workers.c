/*
 * Workers. A worker joins by getting keys, live revocations and an end mark;
 * from the end mark on every revocation is pushed to it and waited for. A
 * revocation is known when every worker that master has told us of, and not
 * reported dead, has joined and has acknowledged it (model/revocation.pml).
 * Workers are taken to be hostile: what is not in the table, or not owed, ends
 * them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authd.h"
#include "compat.h"
#include "log.h"
#include "peer.h"

#define QUEUE_HIGH  (512 * 1024)
#define SNAPSHOT_MS 5
#define SILENT_MS   1000
#define JOIN_MS     5000 /* a start takes longer than an answer */
#define CLOCK_S     10
#define GATHER_MS   250 /* for master to tell of all that live */

enum wstate { W_WIRED, W_SNAPSHOT, W_JOINING, W_JOINED, W_GONE };

struct worker {
	LIST_ENTRY(worker) entry;
	uint64_t id, serial;
	struct peer *peer;
	enum wstate state;
	uint64_t next; /* W_SNAPSHOT: number to go on from */
	uint64_t upto; /* all up to this were in the snapshot */
	uint64_t sent, acked;
	uint64_t since; /* ms: what it owes was asked then */
	int held, accused;
};

static LIST_HEAD(, worker) workers = LIST_HEAD_INITIALIZER(workers);
static uint64_t last_serial = SERIAL_MASTER;
static uint64_t opened; /* ms */
static struct loop_timer *pump_timer;

static void on_gone(struct peer *);
static void on_bad(struct peer *, const char *);
static void accuse(struct worker *, const char *);
static void pump(void);
static void pump_soon(void);
static int snapshot(void *);

/* ---- requests ---- */

static struct slice *
slice_of(struct peer *p)
{
	return opened ? conf_find(peer_gen(p)) : NULL;
}

static void
request(struct peer *p, uint32_t id, judge_fn judge, const void *msg,
    uint32_t type, const struct msgdef *def)
{
	struct worker *w = peer_ctx(p);
	struct slice *sl = slice_of(p);

	if (sl == NULL)
		turn_refuse(w->serial, id, type, def);
	else
		(void)turn_request(w->serial, id, sl, judge, msg, type, def);
}

/* A judge of its own types behind one of the general type. */
#define JUDGE(name, fn, req, ans)                                          \
	static enum verdict name(struct slice *sl, const void *m, void *a) \
	{                                                                  \
		return fn(sl, (const struct req *)m, (struct ans *)a);     \
	}                                                                  \
	struct ans
#define HANDLER(name, judge, type, def)                                \
	static void name(struct peer *p, uint32_t id, void *m, int fd) \
	{                                                              \
		(void)fd;                                              \
		request(p, id, judge, m, type, &def);                  \
	}                                                              \
	struct peer

JUDGE(judge_register, client_register, a_register, a_registered);
JUDGE(judge_authorize, authorize_start, a_authorize, a_page);
JUDGE(judge_resume, authorize_resume, a_form, a_page);
JUDGE(judge_decide, authorize_decide, a_form, a_page);
JUDGE(judge_token, token_judge, a_token, a_tokens);
JUDGE(judge_revoke, token_revoke, a_revoke, a_done);
JUDGE(judge_session, session_end, a_revoked, a_done);
HANDLER(on_register, judge_register, A_REGISTERED, def_a_registered);
HANDLER(on_authorize, judge_authorize, A_PAGE, def_a_page);
HANDLER(on_resume, judge_resume, A_PAGE, def_a_page);
HANDLER(on_decide, judge_decide, A_PAGE, def_a_page);
HANDLER(on_token, judge_token, A_TOKENS, def_a_tokens);
HANDLER(on_revoke, judge_revoke, A_DONE, def_a_done);

static void
on_session_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct a_revoked *r = msg;

	(void)fd;
	if (r->kind != REV_SESSION || r->n != 0) {
		accuse(peer_ctx(p), "ends what is no session");
		return;
	}
	request(p, id, judge_session, msg, A_DONE, &def_a_done);
}

static void
on_signin(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct worker *w = peer_ctx(p);

	(void)fd;
	if (slice_of(p) == NULL)
		turn_refuse(w->serial, id, A_PAGE, &def_a_page);
	else
		signin_request(w->serial, id, peer_gen(p), msg);
}

static int
work_used(void *arg)
{
	return refresh_used(arg) == J_KEEP ? 0 : -1;
}

static void
on_used(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id;
	(void)fd;
	if (slice_of(p) != NULL)
		turn_work(work_used, msg);
}

/* ---- joining ---- */

static void
tell(struct worker *w, uint32_t type, const struct msgdef *def, const void *msg)
{
	if (w->peer != NULL && peer_send(w->peer, type, 0, def, msg, -1) == -1)
		accuse(w, "does not read what it is sent");
}

static void
tell_sealkey(void *arg, const struct a_sealkey *key)
{
	tell(arg, A_SEALKEY, &def_a_sealkey, key);
}

static int
send_sealkeys(void *arg)
{
	return sealkey_each(tell_sealkey, arg);
}

static void
on_join(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct worker *w = peer_ctx(p);
	struct a_clock now = {clock_settled()};
	struct a_signkey key;
	size_t i;

	(void)id;
	(void)msg;
	(void)fd;
	peer_setstate(p, PEER_S1);
	w->since = mono_msec();
	tell(w, A_CLOCK, &def_a_clock, &now);
	for (i = 0; i < keys_count(); i++) {
		keys_get(i, &key);
		tell(w, A_SIGNKEY, &def_a_signkey, &key);
	}
	if (turn_read(send_sealkeys, w) == -1)
		fatalx("store: no seal keys");
	w->state = W_SNAPSHOT;
	w->next = 0;
	pump();
}

static int
send_revoked(void *arg, const struct a_revoked *r)
{
	struct worker *w = arg;

	if (w->peer == NULL || peer_queued(w->peer) > QUEUE_HIGH)
		return 1;
	tell(w, A_REVOKED, &def_a_revoked, r);
	w->next = r->n + 1;
	return 0;
}

static int
snapshot(void *arg)
{
	struct worker *w = arg;

	return revoke_each(w->next, send_revoked, w);
}

static void
on_joined(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct worker *w = peer_ctx(p);

	(void)id;
	(void)msg;
	(void)fd;
	if (w->state != W_JOINING) {
		accuse(w, "has joined before the end of it");
		return;
	}
	w->state = W_JOINED;
	peer_setstate(p, PEER_S2);
	log_debug("worker %llu has joined", (unsigned long long)w->id);
	turn_settle();
}

static void
on_ack(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct worker *w = peer_ctx(p);
	const struct a_ack *ack = msg;

	(void)id;
	(void)fd;
	if (ack->n <= w->acked || ack->n > w->sent) {
		accuse(w, "acknowledges what it was not sent");
		return;
	}
	w->acked = ack->n;
	w->since = mono_msec();
	turn_settle();
}

static const struct peer_rule rules[] = {
    {A_JOIN, NULL, PEER_S0, 0, on_join},
    {A_JOINED, NULL, PEER_S1, 0, on_joined},
    {A_ACK, &def_a_ack, PEER_S2, 0, on_ack},
    {A_REGISTER, &def_a_register, PEER_S2, 0, on_register},
    {A_AUTHORIZE, &def_a_authorize, PEER_S2, 0, on_authorize},
    {A_RESUME, &def_a_form, PEER_S2, 0, on_resume},
    {A_SIGNIN, &def_a_form, PEER_S2, 0, on_signin},
    {A_DECIDE, &def_a_form, PEER_S2, 0, on_decide},
    {A_TOKEN, &def_a_token, PEER_S2, 0, on_token},
    {A_REVOKE, &def_a_revoke, PEER_S2, 0, on_revoke},
    {A_SESSION_END, &def_a_revoked, PEER_S2, 0, on_session_end},
    {A_USED, &def_a_used, PEER_S2, 0, on_used},
};
static const struct peer_class class = {
    .name = "worker",
    .rules = rules,
    .nrules = sizeof(rules) / sizeof(rules[0]),
    .gone = on_gone,
    .bad = on_bad,
};

/* Goes on where a full queue has stopped a snapshot, or us reading. */
static void
pump(void)
{
	struct worker *w;
	int again = 0;

	turn_flush();
	LIST_FOREACH (w, &workers, entry) {
		if (w->held && w->peer != NULL &&
		    peer_queued(w->peer) <= QUEUE_HIGH / 2) {
			w->held = 0;
			peer_resume(w->peer);
		}
		if (w->state == W_SNAPSHOT) {
			if (turn_read(snapshot, w) == -1)
				fatalx("store: no revocations");
			if (w->peer != NULL &&
			    peer_queued(w->peer) <= QUEUE_HIGH) {
				tell(w, A_JOIN_END, NULL, NULL);
				w->state = W_JOINING;
				w->upto = w->sent = w->acked = revoke_newest();
			}
		}
		again |= w->held || w->state == W_SNAPSHOT;
	}
	if (again)
		pump_soon();
}

static void
pump_soon(void)
{
	if (pump_timer == NULL)
		pump_timer = loop_timer_new(pump);
	loop_timer_set(pump_timer, SNAPSHOT_MS);
}

/* ---- coming and going ---- */

static struct worker *
find(uint64_t id)
{
	struct worker *w;

	LIST_FOREACH (w, &workers, entry)
		if (w->id == id)
			return w;
	return NULL;
}

void
worker_channel(uint64_t id, uint32_t gen, int fd)
{
	struct worker *w;

	if ((w = find(id)) == NULL) {
		w = xcalloc(1, sizeof(*w));
		w->id = id;
		LIST_INSERT_HEAD(&workers, w, entry);
	}
	if (w->peer != NULL)
		peer_free(w->peer);
	w->serial = ++last_serial;
	w->state = W_WIRED;
	w->sent = w->acked = w->next = 0;
	w->held = w->accused = 0;
	w->since = mono_msec();
	w->peer = peer_new(fd, &class, ROLE_WORKER, id, gen, w);
	if (w->peer == NULL)
		w->state = W_GONE;
}

void
worker_reaped(uint64_t id)
{
	struct worker *w;

	if ((w = find(id)) == NULL)
		return;
	if (w->peer != NULL)
		peer_free(w->peer);
	LIST_REMOVE(w, entry);
	free(w);
	turn_settle();
}

static void
on_gone(struct peer *p)
{
	struct worker *w = peer_ctx(p);

	/* Dead or not: master says so when it is. */
	w->peer = NULL;
	w->state = W_GONE;
	w->since = mono_msec();
}

static void
accuse(struct worker *w, const char *why)
{
	struct m_badpeer m;

	if (w->accused)
		return;
	w->accused = 1;
	log_warnx("worker %llu %s", (unsigned long long)w->id, why);
	memset(&m, 0, sizeof(m));
	m.role = ROLE_WORKER;
	m.worker = w->id;
	m.why = xstrdup(why);
	if (master_peer() != NULL)
		(void)peer_send(
		    master_peer(), M_BADPEER, 0, &def_m_badpeer, &m, -1);
	free(m.why);
	if (w->peer != NULL)
		peer_setstate(w->peer, 0);
}

static void
on_bad(struct peer *p, const char *why)
{
	accuse(peer_ctx(p), why);
}

void
workers_open(void)
{
	if (!opened)
		opened = mono_msec();
}

/* ---- telling ---- */

void
workers_push(const struct a_revoked *r)
{
	struct worker *w;

	LIST_FOREACH (w, &workers, entry) {
		if (w->state != W_JOINING && w->state != W_JOINED)
			continue;
		if (w->acked == w->sent)
			w->since = mono_msec();
		w->sent = r->n;
		tell(w, A_REVOKED, &def_a_revoked, r);
	}
}

/* Once in a while; but at once when time stands still, because the wall clock
 * went back: then all stop at the same. */
void
workers_clock(void)
{
	struct a_clock c = {clock_settled()};
	static int64_t told, last;
	struct worker *w;

	if (c.now - told >= CLOCK_S || (c.now == last && c.now != told)) {
		told = c.now;
		LIST_FOREACH (w, &workers, entry)
			if (w->state >= W_SNAPSHOT && w->state <= W_JOINED)
				tell(w, A_CLOCK, &def_a_clock, &c);
	}
	last = c.now;
}

static int
push_sealkeys(void *arg)
{
	struct worker *w;

	(void)arg;
	LIST_FOREACH (w, &workers, entry)
		if ((w->state == W_JOINING || w->state == W_JOINED) &&
		    send_sealkeys(w) == -1)
			return -1;
	return 0;
}

void
workers_sealkeys(void)
{
	(void)turn_read(push_sealkeys, NULL);
}

static int
knows(const struct worker *w, uint64_t n)
{
	return w->state == W_JOINED && w->acked >= n;
}

int
workers_know(uint64_t n)
{
	struct worker *w;

	/* Just started: there may be more than we have been told of. */
	if (opened && mono_msec() - opened < GATHER_MS)
		return 0;
	LIST_FOREACH (w, &workers, entry)
		if (!knows(w, n))
			return 0;
	return 1;
}

void
workers_watch(void)
{
	uint64_t now = mono_msec(), limit;
	struct worker *w;

	if (turn_waiting() == 0)
		return;
	LIST_FOREACH (w, &workers, entry) {
		if (w->state == W_JOINED && w->acked == w->sent)
			continue;
		limit = w->state == W_JOINED || w->state == W_GONE ? SILENT_MS
								   : JOIN_MS;
		if (now - w->since >= limit)
			accuse(w, "does not say that it knows a revocation");
	}
}

void
workers_send(uint64_t serial, uint32_t type, uint32_t id,
    const struct msgdef *def, const void *msg)
{
	struct worker *w;

	if (serial == SERIAL_MASTER) {
		if (master_peer() != NULL)
			(void)peer_send(master_peer(), type, id, def, msg, -1);
		return;
	}
	LIST_FOREACH (w, &workers, entry)
		if (w->serial == serial && w->peer != NULL)
			break;
	if (w == NULL)
		return;
	if (peer_send(w->peer, type, id, def, msg, -1) == -1) {
		accuse(w, "does not read its answers");
	} else if (!w->held && peer_queued(w->peer) > QUEUE_HIGH) {
		w->held = 1;
		peer_hold(w->peer);
		pump_soon();
	}
}

size_t
workers_joined(void)
{
	struct worker *w;
	size_t n = 0;

	LIST_FOREACH (w, &workers, entry)
		n += w->state == W_JOINED;
	return n;
}

void
workers_flush(void)
{
	struct worker *w;

	LIST_FOREACH (w, &workers, entry)
		if (w->peer != NULL)
			peer_flush(w->peer, 100);
}
