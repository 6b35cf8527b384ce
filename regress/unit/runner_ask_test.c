/*
 * runner/ask.c: who may answer what a child has asked, and that it is answered
 * once whatever becomes of who was asked.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "runner_child.h"
#include "test.h"

static void gone(struct peer *);

static const struct peer_class class = {"worker", NULL, 0, 1, gone, NULL};
static struct child *child;
static struct peer *one, *two;
static uint32_t next_id;
static int out; /* what the child reads */

static void
gone(struct peer *p)
{
	(void)p;
}

/* ---- the child and its peers ---- */

static void
child_says(const char *text)
{
	char line[256];

	(void)strlcpy(line, text, sizeof(line));
	mux_line(child, line, strlen(line));
}

static void
asks(const char *id)
{
	char line[256];

	snprintf(line, sizeof(line),
	    "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"roots/list\"}",
	    id);
	child_says(line);
}

static void
sends(struct peer *p, struct session *s, uint8_t method, const char *body)
{
	struct n_send m;

	memset(&m, 0, sizeof(m));
	m.backend = 1;
	m.method = method;
	m.session = s->id;
	exchange_send(p, ++next_id, &m, body, strlen(body));
}

static void
answers(struct peer *p, struct session *s, const char *id)
{
	char line[256];

	snprintf(line, sizeof(line),
	    "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"result\":{}}", id);
	sends(p, s, N_POST, line);
}

/* What has come to the child since it was asked last. */
static const char *
came(void)
{
	static char text[4096];
	ssize_t n;

	(void)event_base_loop(peer_base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
	n = recv(out, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* One refusal of that question, and nothing else. */
static int
refused(const char *text, const char *id)
{
	char want[64];
	const char *nl = strchr(text, '\n');

	snprintf(want, sizeof(want), "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",", id);
	return strncmp(text, want, strlen(want)) == 0 &&
	       strstr(text, "\"error\":{\"code\":-32603") != NULL &&
	       nl != NULL && nl[1] == '\0';
}

static struct peer *
peer(uint64_t id, uint8_t role)
{
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	return peer_new(fd[0], &class, role, id, 1, NULL);
}

static struct session *
session(struct peer *p)
{
	struct n_open m;
	char who[] = "";

	memset(&m, 0, sizeof(m));
	m.backend = 1;
	m.subject = who;
	session_open(p, ++next_id, &m);
	return TAILQ_LAST(&backend_find(1)->sessions, sessions);
}

static void
test_answers(struct session *s)
{
	asks("a");
	CHECK(child->nasks == 1);
	CHECK(*came() == '\0');
	/* Not by whoever has not been asked, nor what has not been. */
	answers(two, s, "a");
	answers(one, s, "b");
	CHECK(*came() == '\0' && child->nasks == 1);
	answers(one, s, "a");
	CHECK(strstr(came(), "\"id\":\"a\",\"result\"") != NULL);
	CHECK(child->nasks == 0);
	answers(one, s, "a");
	CHECK(*came() == '\0');
	/* Nor what was taken back. */
	asks("c");
	child_says("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
		   "cancelled\",\"params\":{\"requestId\":\"c\"}}");
	CHECK(child->nasks == 0);
	answers(one, s, "c");
	CHECK(*came() == '\0');
}

static void
test_bound(struct session *s)
{
	char id[16];
	int i;

	for (i = 0; i < 1024; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		asks(id);
	}
	CHECK(child->nasks == 1024);
	CHECK(*came() == '\0');
	asks("over");
	CHECK(refused(came(), "over"));
	for (i = 0; i < 1024; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		answers(one, s, id);
		(void)came();
	}
	CHECK(child->nasks == 0);
}

/* The newest comes up, and is the one that is looked at from now on. */
static void
up(void)
{
	child = TAILQ_LAST(&backend_find(1)->children, children);
	out = comes_up(child);
	(void)came();
}

int
main(void)
{
	struct session *s, *t;
	struct peer *keeper;
	int looked;

	(void)the_backend(INSTANCE_PRINCIPAL, 1);
	keeper = peer(1, ROLE_KEEPER);
	one = peer(1, ROLE_WORKER);
	two = peer(2, ROLE_WORKER);
	s = session(keeper);
	CHECK(s == NULL);
	up();
	s = TAILQ_FIRST(&backend_find(1)->sessions);
	/* The keeper has nobody whom it could ask. */
	sends(keeper, s, N_GET, "");
	asks("k");
	CHECK(strstr(came(), "nobody can be asked") != NULL);
	session_end(s);
	looked = out;

	/* Its child is nobody's else. */
	s = session(one);
	CHECK(s == NULL);
	up();
	s = TAILQ_FIRST(&backend_find(1)->sessions);
	t = session(two);
	CHECK(s != NULL && t != NULL && s != t);
	sends(one, s, N_GET, "");
	test_answers(s);
	test_bound(s);
	/* The session ends, and its worker and child do not. */
	asks("d");
	session_end(t);
	CHECK(*came() == '\0');
	session_end(s);
	CHECK(refused(came(), "d"));
	/* The worker ends. */
	s = session(one);
	t = session(two);
	sends(one, s, N_GET, "");
	asks("e");
	exchanges_gone(two);
	CHECK(*came() == '\0');
	exchanges_gone(one);
	CHECK(refused(came(), "e"));
	CHECK(child->nasks == 0);
	/* Nobody is there: at once. And one that goes with its question. */
	asks("f");
	CHECK(strstr(came(), "nobody can be asked") != NULL);
	sends(two, t, N_GET, "");
	asks("g");
	child_exited(spawned, 0, "");
	child_exited(spawned - 1, 0, "");
	backend_forget(1);
	peer_free(keeper);
	peer_free(one);
	peer_free(two);
	close(looked);
	close(out);
	TEST_END();
}
