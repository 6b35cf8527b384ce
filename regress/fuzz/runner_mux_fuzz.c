/*
 * What a child writes: lines, some of them answers to calls that are open, and
 * what becomes of them. The child dies at the end.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/runner_main.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void gone(struct peer *);

static const struct peer_class class = {"worker", NULL, 0, 1, gone, NULL};

static void
gone(struct peer *p)
{
	(void)p;
}

static void
ask(struct peer *p, uint32_t id, char *session, uint8_t method,
    const char *body)
{
	struct n_send m;

	memset(&m, 0, sizeof(m));
	m.backend = 1;
	m.method = method;
	m.session = session;
	exchange_send(p, id, &m, body, strlen(body));
}

static void
lines(struct child *c, char *text, size_t len)
{
	char *nl, *line = text, *end = text + len;

	for (; line < end; line = nl + 1) {
		if ((nl = memchr(line, '\n', (size_t)(end - line))) == NULL)
			nl = end;
		mux_line(c, line, (size_t)(nl - line));
	}
}

/* The first byte says who shares the child. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char init[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
			     "{\"protocolVersion\":\"2025-11-25\"}}";
	static struct event_base *base;
	struct conf_stdio conf;
	struct n_open open;
	struct sbackend *b;
	struct session *s;
	struct peer *p;
	char name[] = "fuzz", who[] = "", *text;
	int io[2], ch[2];

	if (size < 1)
		return 0;
	if (base == NULL) {
		log_init("fuzz", 1);
		log_setlevel(LOG_L_ERROR);
		peer_setbase(base = event_base_new());
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, io) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, ch) == -1 ||
	    (text = malloc(size)) == NULL)
		abort();
	memset(&conf, 0, sizeof(conf));
	conf.id = 1;
	conf.name = name;
	conf.instance = data[0] % 3 + 1;
	conf.max_instances = 1;
	conf.start_timeout = conf.stop_timeout = 1;
	backend_add(1, &conf);
	backend_commit(1);
	b = backend_find(1);
	p = peer_new(
	    ch[0], &class, data[0] & 4 ? ROLE_KEEPER : ROLE_WORKER, 1, 1, NULL);
	memset(&open, 0, sizeof(open));
	open.backend = 1;
	open.subject = who;
	session_open(p, 1, &open);
	child_io(spawned, 1, 1, io[0]);
	mux_line(TAILQ_FIRST(&b->children), init, sizeof(init) - 1);
	s = TAILQ_FIRST(&b->sessions);
	ask(p, 2, s->id, N_GET, "");
	ask(p, 3, s->id, N_POST,
	    "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\","
	    "\"params\":{\"_meta\":{\"progressToken\":\"t\"}}}");
	ask(p, 4, s->id, N_POST,
	    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"resources/subscribe\","
	    "\"params\":{\"uri\":\"x:y\"}}");
	memcpy(text, data, size);
	lines(TAILQ_FIRST(&b->children), text + 1, size - 1);
	exchanges_gone(p);
	sessions_gone(p);
	child_exited(spawned, 0, "");
	backend_forget(1);
	b = NULL;
	peer_free(p);
	close(io[1]);
	close(ch[1]);
	free(text);
	return 0;
}
