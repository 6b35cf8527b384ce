/*
 * runner/errlog.c: what is kept of standard error, whatever is written there.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "runner_main.h"
#include "test.h"

static struct sbackend backend;
static struct child child;
static char shown[LOG_LINES + 10][2048]; /* by errlog_show */
static unsigned int nshown;
static int out;

static void
show(const char *value)
{
	if (nshown < sizeof(shown) / sizeof(shown[0]))
		snprintf(shown[nshown++], sizeof(shown[0]), "%s", value);
}

static void
say(const char *text, size_t len)
{
	CHECK(write(out, text, len) == (ssize_t)len);
	(void)event_base_loop(peer_base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void
test_lines(void)
{
	char line[32];
	int i, held = 0;

	say("first\nsec", 9);
	CHECK(strcmp(errlog_last(&backend), "first") == 0);
	say("ond\n\n", 5);
	CHECK(strcmp(errlog_last(&backend), "second") == 0);
	/* As it is, but for what no string can hold: whoever shows it escapes
	 * it, once. */
	say("\033[2J\a\\\r\n", 8);
	CHECK(strcmp(errlog_last(&backend), "\033[2J\a\\\r") == 0);
	say("a\0b\n", 4);
	CHECK(strcmp(errlog_last(&backend), "a?b") == 0);
	for (i = 0; i < 250; i++) {
		snprintf(line, sizeof(line), "line %d\n", i);
		say(line, strlen(line));
		/* Their bound holds for the log, in every second. */
		CHECK(backend.log.shown <= 20);
		held |= backend.log.held > 0;
	}
	CHECK(held);
	nshown = 0;
	errlog_show(1, &backend);
	CHECK(nshown == LOG_LINES);
	CHECK(strcmp(shown[0], "line 150") == 0);
	CHECK(strcmp(shown[nshown - 1], "line 249") == 0);
}

static void
test_long(void)
{
	static char text[20000];
	int i;

	memset(text, 'x', sizeof(text));
	for (i = 0; i < 3; i++)
		say(text, sizeof(text));
	say("\nafter\n", 7);
	nshown = 0;
	errlog_show(1, &backend);
	CHECK(strcmp(shown[nshown - 1], "after") == 0);
	CHECK(strlen(shown[nshown - 2]) == sizeof(child.errline) - 1);
	CHECK(strcmp(shown[nshown - 3], "line 249") == 0);
}

/* What has no line end when the child goes is a line, too. */
static void
test_last(void)
{
	CHECK(write(out, "last words", 10) == 10);
	errlog_close(&child);
	CHECK(child.errfd == -1);
	CHECK(strcmp(errlog_last(&backend), "last words") == 0);
}

int
main(void)
{
	char name[] = "unit";
	int sv[2];

	log_init("unit", 1);
	log_setlevel(LOG_L_ERROR);
	peer_setbase(event_base_new());
	backend.conf.name = name;
	child.b = &backend;
	child.errfd = -1;
	row_came = show;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	out = sv[1];
	CHECK(errlog_open(&child, sv[0]) == 0);
	test_lines();
	test_long();
	test_last();
	errlog_free(&backend);
	event_base_free(peer_base());
	TEST_END();
}
