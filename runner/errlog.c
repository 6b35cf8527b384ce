/*
 * What children say on standard error: always read, so that none waits for
 * it; logged, but not without bound; the last lines kept for mcpgwctl.
 */
#include <event2/event.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "runner.h"

#define LINES_A_SECOND 20 /* of a backend, to the log */
#define READ_SIZE      (64 * 1024)

static void errlog_read(evutil_socket_t, short, void *);
static void errlog_bytes(struct child *, const char *, size_t);
static void errlog_line(struct child *);

static char buf[READ_SIZE];

int
errlog_open(struct child *c, int fd)
{
	if (c->errfd != -1 || evutil_make_socket_nonblocking(fd) == -1)
		return -1;
	c->eev =
	    event_new(peer_base(), fd, EV_READ | EV_PERSIST, errlog_read, c);
	if (c->eev == NULL || event_add(c->eev, NULL) == -1)
		return -1;
	c->errfd = fd;
	return 0;
}

void
errlog_close(struct child *c)
{
	if (c->errfd == -1)
		return;
	/* Its last words, which came before its end. */
	errlog_read(c->errfd, 0, c);
	if (c->errlen > 0)
		errlog_line(c);
	if (c->eev != NULL)
		event_free(c->eev);
	c->eev = NULL;
	if (c->errfd != -1)
		close(c->errfd);
	c->errfd = -1;
}

/* At most so much a turn: a flood is not to take all of it. */
static void
errlog_read(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	ssize_t n;

	(void)what;
	n = read(fd, buf, sizeof(buf));
	if (n > 0)
		errlog_bytes(c, buf, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (c->eev != NULL)
			event_del(c->eev);
	}
}

static void
errlog_bytes(struct child *c, const char *p, size_t len)
{
	const char *nl;
	size_t n, room;

	while (len > 0) {
		nl = memchr(p, '\n', len);
		n = nl == NULL ? len : (size_t)(nl - p);
		room = sizeof(c->errline) - 1 - c->errlen;
		if (!c->errheld) {
			memcpy(c->errline + c->errlen, p, n < room ? n : room);
			c->errlen += n < room ? n : room;
			if (n > room) {
				errlog_line(c);
				c->errheld = 1;
			}
		}
		if (nl == NULL)
			return;
		if (!c->errheld && c->errlen > 0)
			errlog_line(c);
		c->errheld = 0;
		c->errlen = 0;
		p += n + 1;
		len -= n + 1;
	}
}

static void
errlog_line(struct child *c)
{
	struct sbackend *b = c->b;
	struct errlog *l = &b->log;
	char *line = c->errline, *nul;
	uint64_t second = mono_sec();

	/* Whoever shows it escapes the rest. */
	line[c->errlen] = '\0';
	while ((nul = memchr(line, '\0', c->errlen)) != NULL)
		*nul = '?';
	c->errlen = 0;
	free(l->line[l->next]);
	l->line[l->next] = strdup(line);
	l->next = (l->next + 1) % LOG_LINES;
	if (l->second != second) {
		if (l->held > 0)
			log_info(
			    "backend %s: %u more lines", b->conf.name, l->held);
		l->second = second;
		l->shown = l->held = 0;
	}
	if (l->shown >= LINES_A_SECOND) {
		l->held++;
		return;
	}
	l->shown++;
	log_info("backend %s: %s", b->conf.name, line);
}

void
errlog_show(uint32_t id, const struct sbackend *b)
{
	const struct errlog *l = &b->log;
	const char *line;
	unsigned int i;

	for (i = 0; i < LOG_LINES; i++) {
		line = l->line[(l->next + i) % LOG_LINES];
		if (line != NULL)
			master_row(id, "line", line, NULL);
	}
}

const char *
errlog_last(const struct sbackend *b)
{
	const char *line =
	    b->log.line[(b->log.next + LOG_LINES - 1) % LOG_LINES];

	return line == NULL ? "" : line;
}

void
errlog_free(struct sbackend *b)
{
	unsigned int i;

	for (i = 0; i < LOG_LINES; i++)
		free(b->log.line[i]);
}
