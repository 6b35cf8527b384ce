/*
 * runner/exchange.c: calls wait for a child that is not up yet, but not without
 * a bound.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner_child.h"
#include "test.h"

#define LARGE (15 * 1024 * 1024)
#define CALLS 4096

static void gone(struct peer *);
static struct child *born(void);

static const struct peer_class class = {"worker", NULL, 0, 1, gone, NULL};
static struct peer *worker;
static uint32_t next_id;
static int ours; /* the end of a child's input and output that it has */

static void
gone(struct peer *p)
{
	(void)p;
}

static struct child *
born(void)
{
	return TAILQ_FIRST(&backend_find(1)->children);
}

static void
call(struct session *s, const char *body, size_t len)
{
	struct n_send m;

	memset(&m, 0, sizeof(m));
	m.backend = 1;
	m.method = N_POST;
	m.session = s->id;
	exchange_send(worker, ++next_id, &m, body, len);
}

/* A call whose text is so long. */
static char *
text(size_t len)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
				   "\"tools/call\",\"params\":{\"a\":\"";
	char *p = malloc(len);

	CHECK(p != NULL);
	memset(p, 'x', len);
	memcpy(p, head, sizeof(head) - 1);
	memcpy(p + len - 3, "\"}}", 3);
	return p;
}

static void
test_bytes(struct session *s)
{
	char *large = text(LARGE);
	struct child *c;

	call(s, large, LARGE);
	c = born();
	CHECK(c != NULL && c->state != CHILD_UP && c->nwaiting == 1);
	call(s, large, LARGE);
	CHECK(c->nwaiting == 2 && c->waitlen == 2 * LARGE);
	call(s, large, LARGE);
	CHECK(c->nwaiting == 2 && c->waitlen == 2 * LARGE);
	/* Who asks no more makes room. */
	exchange_cancel(worker, next_id - 1);
	CHECK(c->nwaiting == 1 && c->waitlen == LARGE);
	call(s, large, LARGE);
	CHECK(c->nwaiting == 2);
	ours = comes_up(c);
	CHECK(c->nwaiting == 0 && c->waitlen == 0);
	free(large);
}

static void
test_calls(struct session *s)
{
	char *small = text(128);
	struct child *c;
	unsigned int i;

	for (i = 0; i < CALLS + 10; i++)
		call(s, small, 128);
	c = born();
	CHECK(c != NULL && c->nwaiting == CALLS);
	CHECK(c->waitlen == (size_t)CALLS * 128);
	free(small);
}

/* It was told to end: the next one may start at once. */
static void
ends(void)
{
	child_end(born());
	child_exited(spawned, 0, "");
	close(ours);
	CHECK(born() == NULL);
}

int
main(void)
{
	struct session *s;
	struct n_open m;
	char who[] = "";
	int fd[2];

	(void)the_backend(INSTANCE_SHARED, 1);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	worker = peer_new(fd[0], &class, ROLE_WORKER, 1, 1, NULL);
	memset(&m, 0, sizeof(m));
	m.backend = 1;
	m.subject = who;
	session_open(worker, ++next_id, &m);
	CHECK(born() != NULL);
	ours = comes_up(born());
	s = TAILQ_FIRST(&backend_find(1)->sessions);
	CHECK(s != NULL);
	ends();
	test_bytes(s);
	ends();
	test_calls(s);
	child_exited(spawned, 0, "");
	backend_forget(1);
	peer_free(worker);
	close(fd[1]);
	TEST_END();
}
