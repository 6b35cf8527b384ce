/*
 * The limit of connections that descriptors allow: lowered in every config, but
 * said only when what there is to say is new.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../master/conf.h"
#include "../../master/master.h"
#include "test.h"

#define MANY 2000000 /* more than are ever allowed */

struct master master;

static char said[4096];

/* What a config with so many becomes, and what is said of it. */
static uint32_t
connections(uint32_t n, uint32_t workers)
{
	struct conf c;
	ssize_t len;
	int fd, saved;

	memset(&c, 0, sizeof c);
	c.connections = n;
	c.workers = workers;
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	saved = dup(STDERR_FILENO);
	CHECK(fd != -1 && saved != -1);
	(void)dup2(fd, STDERR_FILENO);
	setup_files(&c);
	(void)dup2(saved, STDERR_FILENO);
	close(saved);
	len = pread(fd, said, sizeof said - 1, 0);
	said[len > 0 ? len : 0] = '\0';
	close(fd);
	return c.connections;
}

/* The same, and it is said. */
static int
lowered(uint32_t n, uint32_t to)
{
	char text[64];

	snprintf(text, sizeof text, "lowered from %u to %u", n, to);
	return connections(n, 1) == to && strstr(said, text) != NULL;
}

int
main(void)
{
	uint32_t fit;

	/* 0: as many as there is room for. */
	fit = connections(0, 1);
	CHECK(fit > 1 && fit < MANY && *said == '\0');
	CHECK(lowered(MANY, fit));
	CHECK(connections(MANY, 1) == fit && *said == '\0');
	CHECK(lowered(MANY + 1, fit));
	CHECK(connections(MANY + 1, 1) == fit && *said == '\0');
	/* What was right in between is said again. */
	CHECK(connections(fit, 1) == fit && *said == '\0');
	CHECK(lowered(MANY + 1, fit));
	TEST_END();
}
