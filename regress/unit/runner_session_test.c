/*
 * runner/session.c: who opens a session is told once, even if it does not read
 * or no longer wants it; and runner/child.c: children that are ending count for
 * max_instances.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "runner_child.h"
#include "test.h"

static void gone(struct peer *);
static void on_opened(struct peer *, uint32_t, void *, int);
static void on_done(struct peer *, uint32_t, void *, int);

static const struct peer_rule rules[] = {
    {N_OPENED, &def_n_opened, PEER_ANY, 0, on_opened},
    {N_DONE, &def_n_done, PEER_ANY, 0, on_done},
};
static const struct peer_class class = {"worker", NULL, 0, 1, gone, NULL};
static const struct peer_class far_class = {
    "runner", rules, sizeof(rules) / sizeof(rules[0]), 1, gone, NULL};
static struct peer *worker, *far; /* runner's end and the worker's */
static struct peer *keeper;
static uint32_t next_id;
static struct sbackend *b;

/* What has come to the worker. */
static unsigned int opened, refused, done;
static uint32_t last_id;
static char last_error[256];
static uint8_t last_end;

static void
gone(struct peer *p)
{
	(void)p;
}

static void
on_opened(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_opened *m = msg;

	(void)p;
	(void)fd;
	last_id = id;
	(void)strlcpy(last_error, m->error, sizeof(last_error));
	if (*m->error != '\0')
		refused++;
	else
		opened++;
}

static void
on_done(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct n_done *m = msg;

	(void)p;
	(void)fd;
	if (id == 0)
		return; /* one that fills the channel */
	done++;
	last_id = id;
	last_end = m->end;
}

/* Everything that is on its way arrives. */
static void
turn(void)
{
	int i;

	for (i = 0; i < 400; i++)
		(void)event_base_loop(
		    peer_base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
reset(void)
{
	turn();
	opened = refused = done = 0;
	last_id = 0;
	*last_error = '\0';
}

static void
open_for(uint8_t who)
{
	struct n_open m;
	char subject[] = "";

	memset(&m, 0, sizeof(m));
	m.backend = 1;
	m.nonce[0] = who;
	m.subject = subject;
	session_open(worker, ++next_id, &m);
}

static void
sends(const char *session, uint8_t method)
{
	struct n_send m;
	char id[48];

	memset(&m, 0, sizeof(m));
	(void)strlcpy(id, session, sizeof(id));
	m.backend = 1;
	m.method = method;
	m.session = id;
	exchange_send(worker, ++next_id, &m, "", 0);
}

static struct child *
newest(void)
{
	return TAILQ_LAST(&b->children, children);
}

static void
fill(void)
{
	char why[1001];
	struct n_done m = {0};

	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	m.why = why;
	while (peer_send(worker, N_DONE, 0, &def_n_done, &m, -1) == 0)
		continue;
	*why = '\0';
	while (peer_send(worker, N_DONE, 0, &def_n_done, &m, -1) == 0)
		continue;
}

static unsigned int
sessions(void)
{
	struct session *s;
	unsigned int n = 0;

	TAILQ_FOREACH (s, &b->sessions, entry)
		n++;
	return n;
}

static void
test_cancel(void)
{
	int fd;

	reset();
	open_for(1);
	CHECK(newest()->state == CHILD_SPAWNING);
	session_cancel(worker, next_id);
	turn();
	CHECK(refused == 1 && last_id == next_id);
	fd = comes_up(newest());
	turn();
	CHECK(opened == 0 && sessions() == 0);
	close(fd);
	child_exited(newest()->id, 0, "");
	b->not_before = 0;
}

/* The session crossed the cancel: the worker has nobody for it. */
static void
test_leave(void)
{
	struct session *s;
	int fd;

	reset();
	open_for(1);
	fd = comes_up(newest());
	turn();
	CHECK(opened == 1 && sessions() == 1);
	s = TAILQ_FIRST(&b->sessions);
	sends(s->id, N_LEAVE);
	turn();
	CHECK(done == 1 && last_end == N_END_OK && sessions() == 0);
	CHECK(newest()->state == CHILD_UP);
	open_for(1);
	turn();
	CHECK(opened == 2 && b->nchildren == 1);
	sends(TAILQ_FIRST(&b->sessions)->id, N_DELETE);
	CHECK(newest()->state == CHILD_ENDING);
	child_exited(newest()->id, 0, "");
	close(fd);
	CHECK(b->nchildren == 0);
}

static void
test_full(void)
{
	int fd;

	reset();
	open_for(1);
	fill();
	fd = comes_up(newest());
	/* Not told: nobody could say which session it is. */
	CHECK(sessions() == 0 && openers_owed(worker) == 1);
	sends("none", N_POST);
	CHECK(exchanges_owed(worker) == 1);
	turn();
	CHECK(opened == 0 && done == 0);
	CHECK(openers_owed(worker) == 0 && exchanges_owed(worker) == 0);
	turn();
	CHECK(opened == 1 && sessions() == 1 && done == 1);
	CHECK(last_end == N_END_SESSION);

	/* What it will be told is what is true then. */
	fill();
	open_for(1);
	CHECK(openers_owed(worker) == 1);
	child_end(newest());
	CHECK(openers_owed(worker) == 1);
	turn();
	CHECK(openers_owed(worker) == 0);
	turn();
	CHECK(opened == 1 && refused == 1 &&
	      strcmp(last_error, "is being ended") == 0);
	child_exited(newest()->id, 0, "");
	close(fd);

	/* And to nobody if there is nobody. */
	open_for(1);
	fill();
	fd = comes_up(newest());
	CHECK(openers_owed(worker) == 1);
	sessions_gone(worker);
	CHECK(openers_owed(worker) == 0);
	child_end(newest());
	child_exited(newest()->id, 0, "");
	close(fd);
}

static void
test_instances(void)
{
	struct child *c[3];
	uint64_t before;
	int fd[3];

	reset();
	open_for(1);
	c[0] = newest();
	fd[0] = comes_up(c[0]);
	open_for(2);
	c[1] = newest();
	fd[1] = comes_up(c[1]);
	open_for(3);
	turn();
	CHECK(opened == 2 && refused == 1 && b->nchildren == 2);

	/* The one that is not used makes room, once it is gone. */
	c[0]->used -= 3000;
	before = spawned;
	open_for(3);
	c[2] = newest();
	CHECK(c[0]->state == CHILD_ENDING && c[2]->state == CHILD_DUE);
	CHECK(spawned == before);
	/* Not twice. */
	open_for(4);
	turn();
	CHECK(refused == 2 && b->nchildren == 3);
	open_for(3);
	CHECK(b->nchildren == 3);
	child_exited(c[0]->id, 0, "");
	CHECK(c[2]->state == CHILD_SPAWNING && spawned == c[2]->id);
	fd[2] = comes_up(c[2]);
	turn();
	CHECK(opened == 4 && b->nchildren == 2);

	child_end(c[1]);
	child_end(c[2]);
	child_exited(c[1]->id, 0, "");
	child_exited(c[2]->id, 0, "");
	CHECK(b->nchildren == 0 && sessions() == 0);
	close(fd[0]);
	close(fd[1]);
	close(fd[2]);
}

/* The keeper looks at the lists: nobody loses a child by that. */
static void
test_looks(void)
{
	struct child *c[4];
	struct n_open m;
	char subject[] = "";
	int i, fd[4];

	reset();
	for (i = 0; i < 2; i++) {
		open_for((uint8_t)i);
		c[i] = newest();
		fd[i] = comes_up(c[i]);
		c[i]->used -= 3000;
	}
	memset(&m, 0, sizeof(m));
	m.backend = 1;
	m.subject = subject;
	session_open(keeper, 1, &m);
	c[2] = newest();
	CHECK(c[2]->state == CHILD_SPAWNING && c[0]->state == CHILD_UP &&
	      c[1]->state == CHILD_UP);
	/* One at a time where there is no place. */
	m.class = 1;
	session_open(keeper, 2, &m);
	c[3] = newest();
	CHECK(c[3]->state == CHILD_DUE);
	fd[2] = comes_up(c[2]);
	child_end(c[2]);
	CHECK(c[3]->state == CHILD_DUE);
	child_exited(c[2]->id, 0, "");
	CHECK(c[3]->state == CHILD_SPAWNING);
	/* Nor does it take a place. */
	child_end(c[1]);
	child_exited(c[1]->id, 0, "");
	open_for(1);
	c[1] = newest();
	CHECK(c[1] != c[3] && c[1]->state == CHILD_SPAWNING);
	close(comes_up(c[1]));
	fd[3] = comes_up(c[3]);
	for (i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		child_end(c[i]);
		child_exited(c[i]->id, 0, "");
	}
	for (i = 0; i < 4; i++)
		close(fd[i]);
	CHECK(b->nchildren == 0);
	session_cancel(keeper, 2);
}

/* What one client does to its child is not another's trouble; what keeps every
 * child from coming up is. */
static void
test_crash(void)
{
	int fd, i;

	reset();
	open_for(1);
	fd = comes_up(newest());
	child_exited(newest()->id, 7 << 8, "");
	close(fd);
	open_for(2);
	CHECK(b->nchildren == 1 && newest()->state == CHILD_SPAWNING);
	child_exited(newest()->id, 7 << 8, "");
	turn();
	CHECK(refused == 1 && strstr(last_error, "exited with status 7"));
	open_for(2);
	turn();
	CHECK(b->nchildren == 0 && refused == 2 &&
	      strstr(last_error, "is restarting"));
	/* Ever longer, up to a minute (ARG-6). */
	for (i = 1; i < 10; i++) {
		CHECK(b->backoff == (i < 7 ? 500ull << i : 60000));
		CHECK(b->not_before <= mono_msec() + b->backoff);
		b->not_before = 0;
		open_for(2);
		child_exited(newest()->id, 7 << 8, "");
	}
	b->not_before = b->backoff = 0;
}

/* Told to end before it has come up: whoever waits hears so at once. */
static void
test_early(void)
{
	struct child *c;
	int fd[2];

	reset();
	*b->why = '\0';
	open_for(1);
	c = newest();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	child_io(c->id, 1, 1, fd[0]);
	CHECK(c->state == CHILD_INIT);
	child_end(c);
	turn();
	CHECK(opened == 0 && refused == 1 && *last_error != '\0');
	child_exited(c->id, 0, "");
	close(fd[1]);
	open_for(1);
	c = newest();
	child_end(c);
	turn();
	CHECK(opened == 0 && refused == 2 && *last_error != '\0');
	CHECK(*b->why == '\0');
	child_exited(c->id, 9, "");
	CHECK(b->nchildren == 0 && b->not_before == 0);
}

int
main(void)
{
	int fd[2], more[2];

	b = the_backend(INSTANCE_SESSION, 2);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	worker = peer_new(fd[0], &class, ROLE_WORKER, 1, 1, NULL);
	far = peer_new(fd[1], &far_class, ROLE_RUNNER, 0, 1, NULL);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, more) == 0);
	keeper = peer_new(more[0], &class, ROLE_KEEPER, 0, 1, NULL);
	signal(SIGPIPE, SIG_IGN);
	test_cancel();
	test_leave();
	test_full();
	test_instances();
	test_looks();
	test_crash();
	test_early();
	backend_forget(1);
	peer_free(worker);
	peer_free(far);
	peer_free(keeper);
	close(more[1]);
	TEST_END();
}
