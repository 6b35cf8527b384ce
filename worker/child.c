/*
 * The channel to runner.
 */
#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "compat.h"
#include "log.h"
#include "master.h"
#include "memfd.h"
#include "peer.h"
#include "rpc.h"
#include "upconn.h"
#include "worker.h"

#define BUCKETS      256
#define CANCEL_AGAIN 50 /* ms */
#define GONE         "can not be reached: its runner is away"

/* What a caller of stdio_send holds. */
struct childreq {
	TAILQ_ENTRY(childreq) entry;
	struct upreq up;
	uint32_t id; /* 0: its end is only to be told */
	int held; /* its client does not read */
	enum up_result result; /* while it waits to be told */
};
TAILQ_HEAD(childreqs, childreq);

struct stdio_open {
	TAILQ_ENTRY(stdio_open) entry;
	uint32_t backend;
	uint32_t id; /* 0: failed, and only to be told */
	/* NULL: nobody wants it any more */
	void (*cb)(void *, const char *, const char *, const char *,
	    const char *, size_t);
	void *arg;
};

/* A request that runner has not been told to cancel: its channel was full. */
struct owed {
	TAILQ_ENTRY(owed) entry;
	uint32_t id;
};

static void runner_gone(struct peer *);
static void runner_lost(void);
static void on_opened(struct peer *, uint32_t, void *, int);
static void leave(uint32_t, char *);
static void on_message(struct peer *, uint32_t, void *, int);
static void on_message_fd(struct peer *, uint32_t, void *, int);
static void on_done(struct peer *, uint32_t, void *, int);
static void on_look(struct peer *, uint32_t, void *, int);
static void tell(uint32_t, const char *, size_t);
static struct childreq *req_find(uint32_t);
static int req_send(
    struct childreq *, const struct upreq_head *, const char *, size_t);
static void req_over(struct childreq *, enum up_result, int);
static void req_cancel(uint32_t);
static void on_owed(evutil_socket_t, short, void *);
static void req_later(struct childreq *, enum up_result);
static void later(void);
static void on_late(evutil_socket_t, short, void *);
static void remember(struct backend *, const char *);

static const struct peer_rule rules[] = {
    {N_OPENED, &def_n_opened, PEER_ANY, 0, on_opened},
    {N_MESSAGE, &def_n_message, PEER_ANY, 0, on_message},
    {N_MESSAGE_FD, &def_n_message, PEER_ANY, 1, on_message_fd},
    {N_DONE, &def_n_done, PEER_ANY, 0, on_done},
    {N_LOOK, NULL, PEER_ANY, 0, on_look},
};
static const struct peer_class runner_class = {
    "runner", rules, sizeof(rules) / sizeof(rules[0]), 1, runner_gone, NULL};

static struct peer *runner;
static uint64_t lost; /* ms: when it ended; 0: it has not */
static void (*look)(uint32_t);
static uint32_t next_id;
static struct childreqs reqs[BUCKETS]; /* by id */
static struct childreqs late = TAILQ_HEAD_INITIALIZER(late);
static TAILQ_HEAD(, stdio_open) opens = TAILQ_HEAD_INITIALIZER(opens);
static struct event *late_timer, *owed_timer;
static TAILQ_HEAD(, owed) owed = TAILQ_HEAD_INITIALIZER(owed);
static int ready;

static void
init(void)
{
	size_t i;

	for (i = 0; !ready && i < BUCKETS; i++)
		TAILQ_INIT(&reqs[i]);
	ready = 1;
}

void
stdio_channel(int fd)
{
	init();
	if (runner != NULL) {
		peer_free(runner);
		runner = NULL;
		runner_lost();
	}
	lost = 0;
	runner = peer_new(fd, &runner_class, ROLE_RUNNER, 0, worker.gen, NULL);
	if (runner == NULL)
		log_warnx("runner: out of memory");
}

int
stdio_up(void)
{
	return runner != NULL;
}

static void
runner_gone(struct peer *p)
{
	if (p != runner)
		return;
	runner = NULL;
	lost = mono_msec();
	runner_lost();
}

void
stdio_tick(void)
{
	master_missed(ROLE_RUNNER, &lost);
}

/* Nothing will be answered any more. */
static void
runner_lost(void)
{
	struct stdio_open *o;
	struct childreq *c;
	size_t i;

	TAILQ_FOREACH (o, &opens, entry)
		o->id = 0;
	for (i = 0; i < BUCKETS; i++)
		while ((c = TAILQ_FIRST(&reqs[i])) != NULL) {
			TAILQ_REMOVE(&reqs[i], c, entry);
			remember(c->up.backend, GONE);
			req_later(c, UP_CHILD);
		}
	later();
}

/* up_strerror tells it. */
static void
remember(struct backend *b, const char *why)
{
	free(b->trouble);
	b->trouble = strdup(why);
}

void
stdio_onlook(void (*cb)(uint32_t))
{
	look = cb;
}

static void
on_look(struct peer *p, uint32_t backend, void *msg, int fd)
{
	(void)p;
	(void)msg;
	(void)fd;
	if (look != NULL)
		look(backend);
}

/* ---- sessions ---- */

struct stdio_open *
stdio_open(struct backend *b, uint8_t class, const uint8_t *nonce,
    const char *subject,
    void (*cb)(
	void *, const char *, const char *, const char *, const char *, size_t),
    void *arg)
{
	struct stdio_open *o;
	struct n_open m;
	char who[256];

	init();
	if ((o = calloc(1, sizeof(*o))) == NULL)
		return NULL;
	o->backend = b->conf.id;
	o->cb = cb;
	o->arg = arg;
	memset(&m, 0, sizeof(m));
	m.backend = b->conf.id;
	m.class = class;
	if (nonce != NULL)
		memcpy(m.nonce, nonce, ID_LEN);
	(void)strlcpy(who, subject, sizeof(who));
	m.subject = who;
	if (++next_id == 0)
		next_id++;
	o->id = next_id;
	TAILQ_INSERT_TAIL(&opens, o, entry);
	if (runner == NULL ||
	    peer_send(runner, N_OPEN, o->id, &def_n_open, &m, -1) == -1) {
		o->id = 0;
		later();
	}
	return o;
}

void
stdio_open_cancel(struct stdio_open *o)
{
	if (o->id != 0 && runner != NULL)
		(void)peer_send(runner, N_CANCEL, o->id, NULL, NULL, -1);
	o->cb = NULL;
}

/* What was opened while its cancel was on the way. */
static void
leave(uint32_t backend, char *session)
{
	struct n_send m;

	memset(&m, 0, sizeof(m));
	m.backend = backend;
	m.method = N_LEAVE;
	m.session = session;
	if (++next_id == 0)
		next_id++;
	(void)peer_send(runner, N_SEND, next_id, &def_n_send, &m, -1);
}

static void
on_opened(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_opened *m = msg;
	struct stdio_open *o;

	(void)p;
	(void)fd;
	TAILQ_FOREACH (o, &opens, entry)
		if (o->id == id)
			break;
	if (o == NULL)
		return;
	TAILQ_REMOVE(&opens, o, entry);
	if (o->cb == NULL) {
		if (*m->error == '\0')
			leave(o->backend, m->session);
	} else if (*m->error != '\0')
		o->cb(o->arg, m->error, NULL, NULL, NULL, 0);
	else
		o->cb(o->arg, NULL, m->session, m->revision,
		    (const char *)m->result.p, m->result.len);
	free(o);
}

/* ---- requests ---- */

static struct childreq *
req_find(uint32_t id)
{
	struct childreq *c;

	TAILQ_FOREACH (c, &reqs[id % BUCKETS], entry)
		if (c->id == id)
			return c;
	return NULL;
}

struct upreq *
stdio_send(struct backend *b, const struct upreq_head *h, const char *body,
    size_t len, const struct upreq_ops *ops, void *arg)
{
	struct childreq *c;

	init();
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->up.backend = b;
	c->up.ops = ops;
	c->up.arg = arg;
	c->up.child = c;
	(void)strlcpy(
	    c->up.session, h->session ? h->session : "", sizeof(c->up.session));
	if (req_send(c, h, body, len) == -1) {
		remember(b, runner == NULL ? GONE
					   : "can not be asked now: "
					     "its runner is busy");
		req_later(c, UP_CHILD);
		later();
	} else
		TAILQ_INSERT_TAIL(&reqs[c->id % BUCKETS], c, entry);
	return &c->up;
}

static int
req_send(struct childreq *c, const struct upreq_head *h, const char *body,
    size_t len)
{
	struct n_send m;
	int fd;

	if (runner == NULL || len > N_BODY)
		return -1;
	memset(&m, 0, sizeof(m));
	m.backend = c->up.backend->conf.id;
	m.method = strcmp(h->method, "GET") == 0      ? N_GET
		   : strcmp(h->method, "DELETE") == 0 ? N_DELETE
						      : N_POST;
	m.session = c->up.session;
	if (++next_id == 0)
		next_id++;
	c->id = next_id;
	if (len <= N_INLINE) {
		if (len > 0)
			memcpy(&m.body.p, &body, sizeof(body));
		m.body.len = (uint32_t)len;
		return peer_send(runner, N_SEND, c->id, &def_n_send, &m, -1);
	}
	m.size = (uint32_t)len;
	if ((fd = memfd_seal(body, len)) == -1)
		return -1;
	if (peer_send(runner, N_SEND_FD, c->id, &def_n_send, &m, fd) == 0)
		return 0;
	close(fd);
	return -1;
}

void
stdio_drop(struct upreq *r)
{
	struct childreq *c = r->child;

	if (c->id == 0)
		TAILQ_REMOVE(&late, c, entry);
	else {
		TAILQ_REMOVE(&reqs[c->id % BUCKETS], c, entry);
		req_cancel(c->id);
	}
	free(c);
}

/* What the child never hears of it goes on with for nobody. No more are kept
 * than requests were sent. */
static void
req_cancel(uint32_t id)
{
	struct timeval tv = {0, CANCEL_AGAIN * 1000};
	struct owed *o;

	if (runner == NULL ||
	    (TAILQ_EMPTY(&owed) &&
		peer_send(runner, N_CANCEL, id, NULL, NULL, -1) == 0))
		return;
	if (owed_timer == NULL)
		owed_timer = event_new(peer_base(), -1, 0, on_owed, NULL);
	if (owed_timer == NULL || (o = calloc(1, sizeof(*o))) == NULL)
		fatalx("out of memory");
	o->id = id;
	TAILQ_INSERT_TAIL(&owed, o, entry);
	event_add(owed_timer, &tv);
}

static void
on_owed(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {0, CANCEL_AGAIN * 1000};
	struct owed *o;

	(void)fd;
	(void)what;
	(void)arg;
	while ((o = TAILQ_FIRST(&owed)) != NULL) {
		if (runner != NULL &&
		    peer_send(runner, N_CANCEL, o->id, NULL, NULL, -1) == -1) {
			event_add(owed_timer, &tv);
			return;
		}
		TAILQ_REMOVE(&owed, o, entry);
		free(o);
	}
}

void
stdio_hold(struct upreq *r, int on)
{
	r->child->held = on;
}

static void
on_message(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_message *m = msg;

	(void)p;
	(void)fd;
	tell(id, (const char *)m->body.p, m->body.len);
}

static void
on_message_fd(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_message *m = msg;
	char *body = NULL;

	(void)p;
	if (m->size <= 2 * N_BODY)
		body = memfd_take(fd, m->size);
	close(fd);
	if (body == NULL) {
		log_warnx("runner: a message is lost");
		return;
	}
	tell(id, body, m->size);
	free(body);
}

/* A client that does not read loses progress and log lines, never an answer or
 * a question: a child that others use can not be made to wait for it. */
static void
tell(uint32_t id, const char *json, size_t len)
{
	struct childreq *c = req_find(id);
	struct rpc r;
	const char *why;
	int code;

	if (c == NULL || (c->held && rpc_scan(&r, json, len, &code, &why) ==
					 RPC_NOTIFICATION))
		return;
	if (c->up.ops->message(c->up.arg, json, len) == 1 &&
	    (c = req_find(id)) != NULL) {
		TAILQ_REMOVE(&reqs[id % BUCKETS], c, entry);
		req_over(c, UP_OK, 200);
	}
}

static void
on_done(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_done *m = msg;
	struct childreq *c = req_find(id);

	(void)p;
	(void)fd;
	if (c == NULL)
		return;
	TAILQ_REMOVE(&reqs[id % BUCKETS], c, entry);
	switch (m->end) {
	case N_END_OK:
		req_over(c, UP_OK, 202);
		break;
	case N_END_SESSION:
		req_over(c, UP_STATUS, 404);
		break;
	case N_END_LARGE:
		req_over(c, UP_LARGE, 0);
		break;
	default:
		remember(c->up.backend, m->why);
		req_over(c, UP_CHILD, 0);
		break;
	}
}

static void
req_over(struct childreq *c, enum up_result res, int status)
{
	c->up.ops->done(c->up.arg, res, status);
	free(c);
}

/* ---- ends that are told in the next turn of the loop ---- */

static void
req_later(struct childreq *c, enum up_result res)
{
	c->id = 0;
	c->result = res;
	TAILQ_INSERT_TAIL(&late, c, entry);
}

static void
later(void)
{
	struct timeval now = {0, 0};

	if (late_timer == NULL &&
	    (late_timer = event_new(peer_base(), -1, 0, on_late, NULL)) == NULL)
		fatalx("out of memory");
	event_add(late_timer, &now);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	struct childreq *c, *last = TAILQ_LAST(&late, childreqs);
	struct stdio_open *o, *next;
	int more = last != NULL;

	(void)fd;
	(void)what;
	(void)arg;
	while (more && (c = TAILQ_FIRST(&late)) != NULL) {
		more = c != last;
		TAILQ_REMOVE(&late, c, entry);
		req_over(c, c->result, 0);
	}
	for (o = TAILQ_FIRST(&opens); o != NULL; o = next) {
		next = TAILQ_NEXT(o, entry);
		if (o->id != 0)
			continue;
		TAILQ_REMOVE(&opens, o, entry);
		if (o->cb != NULL)
			o->cb(o->arg, GONE, NULL, NULL, NULL, 0);
		free(o);
		next = TAILQ_FIRST(&opens);
	}
	if (!TAILQ_EMPTY(&late))
		later();
}

void
stdio_forget(struct backend *b)
{
	struct childreq *c, *next;
	size_t i;

	init();
	for (i = 0; i < BUCKETS; i++)
		for (c = TAILQ_FIRST(&reqs[i]); c != NULL; c = next) {
			next = TAILQ_NEXT(c, entry);
			if (c->up.backend != b)
				continue;
			TAILQ_REMOVE(&reqs[i], c, entry);
			req_over(c, UP_CLOSED, 0);
			next = TAILQ_FIRST(&reqs[i]);
		}
	do {
		TAILQ_FOREACH (c, &late, entry)
			if (c->up.backend == b)
				break;
		if (c != NULL) {
			TAILQ_REMOVE(&late, c, entry);
			req_over(c, c->result, 0);
		}
	} while (c != NULL);
}
