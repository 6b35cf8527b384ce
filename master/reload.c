/*
 * What a reload reads: the config file again, held against what only a restart
 * can change, and its new listeners.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "master.h"

#define READ_TIME 5 /* s until it is given up */

static int has_end(void);
static char *unchanged(const struct conf *);
static char *join(const struct strv *);

/* Nothing that only a restart changes may differ. */
static char *
unchanged(const struct conf *c)
{
	struct ids gw, auth, run;
	char *err = NULL;

	if (strcmp(c->state, master.state) != 0)
		xasprintf(&err,
		    "%s:%d: state: changes only by a restart (now: %s)",
		    c->state_pos.file, c->state_pos.line, master.state);
	else if (strcmp(c->control, master.control) != 0)
		xasprintf(&err,
		    "%s:%d: control: changes only by a restart (now: %s)",
		    c->control_pos.file, c->control_pos.line, master.control);
	else if (setup_users(&gw, &auth, &run, &err) == 0 &&
		 (gw.uid != master.gw.uid || auth.uid != master.auth.uid ||
		     gw.gid != master.gw.gid || auth.gid != master.auth.gid))
		xasprintf(&err, "the ids of our users have changed; restart");
	return err;
}

static char *
join(const struct strv *lines)
{
	char *all, *more;
	uint32_t i;

	all = xstrdup(lines->n > 0 ? lines->v[0] : "out of memory");
	for (i = 1; i < lines->n && strlen(all) < 3000; i++) {
		xasprintf(&more, "%s\n%s", all, lines->v[i]);
		free(all);
		all = more;
	}
	if (strlen(all) > 4000)
		all[4000] = '\0';
	return all;
}

struct conf *
reload_conf(struct strv *errs)
{
	unsigned int flags = master.root ? CONF_ROOT : 0;

	if (master.single != NULL)
		return conf_parse("-S", master.single, strlen(master.single),
		    flags | CONF_SINGLE, errs);
	return conf_load(master.conffile, flags, errs);
}

/* Whether reading it comes to an end: what it names may lie on a file system
 * that does not answer, which master must not wait for. A process does that
 * can be left to it. */
static int
has_end(void)
{
	const struct timeval tv = {READ_TIME, 0};
	struct strv errs = {NULL, 0};
	pid_t pid, self = getpid();
	int fds[2], status;
	ssize_t n;
	char c;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return 1;
	if ((pid = fork()) == 0) {
		proc_signals();
		if (dup2(fds[1], PROTO_CONTROL_FD) == -1)
			_exit(1);
		proc_apart(PROTO_CONTROL_FD + 1, self);
		(void)reload_conf(&errs);
		_exit(0);
	}
	close(fds[1]);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	do
		n = pid == -1 ? 0 : read(fds[0], &c, 1);
	while (n == -1 && errno == EINTR);
	close(fds[0]);
	/* Whom even that does not end is reaped when it has ended. */
	if (n == -1)
		(void)kill(pid, SIGKILL);
	else if (pid != -1)
		(void)waitpid(pid, &status, 0);
	return n == 0;
}

struct conf *
reload_read(char **err)
{
	struct strv errs = {NULL, 0};
	struct conf *c;

	*err = NULL;
	if (!has_end()) {
		*err = xstrdup("a file system with what the config names does "
			       "not answer");
		return NULL;
	}
	c = reload_conf(&errs);
	if (c == NULL)
		*err = join(&errs);
	else if ((*err = unchanged(c)) == NULL &&
		 (certs_check(c, &errs) == -1 || listen_open(c, &errs) == -1))
		*err = join(&errs);
	strv_free(&errs);
	if (*err != NULL) {
		conf_free(c);
		return NULL;
	}
	setup_files(c);
	return c;
}
