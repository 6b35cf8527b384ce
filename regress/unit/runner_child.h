/*
 * One backend, and children of it that come up. Included once by each program.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <string.h>

#include "log.h"
#include "runner_main.h"
#include "test.h"

/* The only backend there is, number 1. */
static struct sbackend *
the_backend(uint8_t instance, uint32_t max_instances)
{
	static char name[] = "unit";
	struct conf_stdio conf;

	log_init("test", 1);
	log_setlevel(LOG_L_ERROR);
	peer_setbase(event_base_new());
	memset(&conf, 0, sizeof(conf));
	conf.id = 1;
	conf.name = name;
	conf.instance = instance;
	conf.max_instances = max_instances;
	conf.start_timeout = conf.stop_timeout = 1;
	backend_add(1, &conf);
	backend_commit(1);
	return backend_find(1);
}

/* The child comes up; returns what is its end of input and output. */
static int
comes_up(struct child *c)
{
	static char init[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
			     "{\"protocolVersion\":\"2025-11-25\"}}";
	int fd[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	child_io(c->id, 1, 1, fd[0]);
	mux_line(c, init, sizeof(init) - 1);
	CHECK(c->state == CHILD_UP);
	return fd[1];
}
