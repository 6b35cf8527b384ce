/*
 * One loop turn is one transaction of the store. Requests run as they are
 * read; when all that was ready has been read, the turn is committed and only
 * then is anything answered. An answer to something that was revoked waits
 * until every worker knows (design 3).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"

#define REQUESTS_MAX 256
#define WATCH_MS     100
#define CLOCK_AGE    10

struct answer {
	TAILQ_ENTRY(answer) entry;
	uint64_t serial;
	uint32_t id, type;
	const struct msgdef *def;
	void *msg;
	uint64_t need; /* workers must know this revocation */
};
TAILQ_HEAD(answers, answer);

static struct answers ready = TAILQ_HEAD_INITIALIZER(ready);
static struct answers waiting = TAILQ_HEAD_INITIALIZER(waiting);
static unsigned int nrequests;
static size_t nwaiting;
static struct loop_timer *commit_timer, *watch_timer;
static uint64_t full_said;

static void fill_down(uint32_t, void *);
static void commit_failed(int);

static void
watch(void)
{
	workers_watch();
	turn_settle();
	if (nwaiting > 0)
		loop_timer_set(watch_timer, WATCH_MS);
}

void
turn_init(void)
{
	free(commit_timer);
	free(watch_timer);
	commit_timer = loop_timer_new(turn_flush);
	watch_timer = loop_timer_new(watch);
}

/* ---- answers ---- */

static struct answer *
answer_new(
    uint64_t serial, uint32_t id, uint32_t type, const struct msgdef *def)
{
	struct answer *a = xcalloc(1, sizeof(*a));

	a->serial = serial;
	a->id = id;
	a->type = type;
	a->def = def;
	a->msg = xcalloc(1, def->size);
	return a;
}

static void
answer_free(struct answer *a)
{
	wire_free(a->def, a->msg);
	free(a->msg);
	free(a);
}

static void
answer_send(struct answer *a)
{
	workers_send(a->serial, a->type, a->id, a->def, a->msg);
	answer_free(a);
}

/* What stands for 503 in an answer of that type. */
static void
fill_down(uint32_t type, void *msg)
{
	static const char word[] = "temporarily_unavailable";
	struct a_registered *reg = msg;
	struct a_tokens *tokens = msg;
	struct ctl_end *end = msg;
	struct a_done *done = msg;
	struct a_page *page = msg;

	switch (type) {
	case A_REGISTERED:
		reg->error = xstrdup(word);
		break;
	case A_PAGE:
		page->kind = PAGE_ERROR;
		page->error = xstrdup(PAGE_E_DOWN);
		break;
	case A_TOKENS:
		tokens->status = 503;
		tokens->error = xstrdup(word);
		break;
	case A_DONE:
		done->status = 503;
		done->error = xstrdup(word);
		break;
	case M_CTL_END:
		end->failed = 1;
		end->message = xstrdup("the store could not be written; the "
				       "log says why");
		break;
	}
}

void
turn_refuse(
    uint64_t serial, uint32_t id, uint32_t type, const struct msgdef *def)
{
	struct answer *a = answer_new(serial, id, type, def);

	fill_down(type, a->msg);
	answer_send(a);
}

/* ---- requests ---- */

static void
enter(void)
{
	int e;

	if (!turn_is_open() && (e = turn_begin()) != 0)
		fatalx("store: no transaction (%d)", e);
	if ((e = req_begin()) != 0)
		fatalx("store: no transaction (%d)", e);
	revoke_req_begin();
	client_req_begin();
}

static int
leave(int keep, uint64_t *need)
{
	int e;

	if (req_failed())
		keep = 0;
	e = req_end(keep);
	*need = revoke_req_end(keep && e == 0);
	if (!keep || e != 0)
		client_req_abort();
	loop_defer(commit_timer);
	return e;
}

enum verdict
turn_request(uint64_t serial, uint32_t id, struct slice *sl, judge_fn judge,
    const void *msg, uint32_t type, const struct msgdef *def)
{
	struct answer *a = answer_new(serial, id, type, def);
	enum verdict v;

	enter();
	v = judge(sl, msg, a->msg);
	/* What is left of the disk is for revocations: asked for, or caused
	 * by a code or a refresh token that came again. */
	if (v == J_KEEP && store_full() && type != A_DONE &&
	    type != M_CTL_END && !revoke_req_any())
		req_setfailed(ENOSPC);
	if (leave(v == J_KEEP, &a->need) != 0) {
		wire_free(def, a->msg);
		fill_down(type, a->msg);
		a->need = 0;
		v = J_DROP;
	}
	if (v == J_LATER)
		answer_free(a);
	else
		TAILQ_INSERT_TAIL(&ready, a, entry);
	if (++nrequests >= REQUESTS_MAX)
		turn_flush();
	return v;
}

void
turn_work(int (*work)(void *), void *arg)
{
	uint64_t need;

	enter();
	(void)leave(work(arg) == 0, &need);
}

int
turn_read(int (*work)(void *), void *arg)
{
	int r;

	turn_flush();
	if (turn_begin() != 0 || req_begin() != 0)
		fatalx("store: no transaction");
	r = work(arg);
	(void)req_end(0);
	turn_abort();
	return r;
}

/* ---- the end of a turn ---- */

static int
recount(void *arg)
{
	(void)arg;
	return client_recount() == -1 || revoke_load() == -1 ? -1 : 0;
}

static void
commit_failed(int error)
{
	struct answer *a;

	revoke_abort();
	clock_unsaved();
	TAILQ_FOREACH (a, &ready, entry) {
		wire_free(a->def, a->msg);
		fill_down(a->type, a->msg);
		a->need = 0;
	}
	if (error == ENOSPC) {
		if (full_said == 0 || mono_sec() - full_said >= 60)
			log_warnx("store: the disk is full; requests that "
				  "change anything are refused until there "
				  "is space");
		full_said = mono_sec();
	}
}

static void
save_clock(void)
{
	if (!turn_changed())
		return;
	if (req_begin() == 0) {
		(void)clock_save(CLOCK_AGE);
		(void)req_end(1);
	}
}

void
turn_flush(void)
{
	struct answers now = TAILQ_HEAD_INITIALIZER(now);
	struct answer *a;
	int e;

	if (!turn_is_open())
		return;
	save_clock();
	if ((e = turn_commit()) != 0)
		commit_failed(e);
	else
		revoke_commit();
	nrequests = 0;
	TAILQ_CONCAT(&now, &ready, entry);
	while ((a = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, a, entry);
		if (a->need == 0 || workers_know(a->need)) {
			answer_send(a);
		} else {
			TAILQ_INSERT_TAIL(&waiting, a, entry);
			nwaiting++;
			loop_timer_set(watch_timer, WATCH_MS);
		}
	}
	if (e == 0)
		return;
	if (e != ENOSPC) {
		workers_flush();
		fatalx("store: commit failed (%d): a new start repairs it", e);
	}
	if (turn_read(recount, NULL) == -1)
		fatalx("store: can not be read");
}

void
turn_settle(void)
{
	struct answer *a, *next;

	for (a = TAILQ_FIRST(&waiting); a != NULL; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (!workers_know(a->need))
			continue;
		TAILQ_REMOVE(&waiting, a, entry);
		nwaiting--;
		answer_send(a);
	}
}

size_t
turn_waiting(void)
{
	return nwaiting;
}
