/*
 * What worker -c says of the certificates of a config. Master waits for it: a
 * few milliseconds, at the start and in a reload only.
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
#include "imsg.h"
#include "log.h"
#include "master.h"
#include "slice.h"

#define CHECK_TIME 10 /* s until it is given up */

static int count_one(void *, uint32_t, const struct msgdef *, const void *,
    const struct conf_pos *, const char *);
static int compose(
    struct imsgbuf *, uint32_t, const struct msgdef *, const void *);
static int compose_one(void *, uint32_t, const struct msgdef *, const void *,
    const struct conf_pos *, const char *);
static int ask(struct imsgbuf *, const struct conf *, const struct ids *);
static int answer(struct imsgbuf *, struct strv *);
static void lines(const char *, struct strv *);

static int
count_one(void *arg, uint32_t type, const struct msgdef *def, const void *msg,
    const struct conf_pos *pos, const char *name)
{
	unsigned int *n = arg;

	(void)type, (void)def, (void)msg, (void)pos, (void)name;
	++*n;
	return 0;
}

static int
compose(struct imsgbuf *ib, uint32_t type, const struct msgdef *def,
    const void *msg)
{
	uint8_t *data;
	size_t len;
	int rv;

	if ((data = wire_encode(def, msg, &len)) == NULL)
		return -1;
	rv = imsg_compose(ib, type, 0, -1, data, len);
	freezero(data, len);
	return rv == 1 ? 0 : -1;
}

static int
compose_one(void *arg, uint32_t type, const struct msgdef *def, const void *msg,
    const struct conf_pos *pos, const char *name)
{
	(void)pos, (void)name;
	return compose(arg, type, def, msg);
}

static int
ask(struct imsgbuf *ib, const struct conf *c, const struct ids *gw)
{
	struct m_gen g = {0};
	struct m_start m;
	char root[] = "/", none[] = "";

	memset(&m, 0, sizeof m);
	m.version = PROTO_VERSION;
	m.role = ROLE_CHECKER;
	m.debug = master.debug != 0;
	m.json = c->logjson != 0;
	m.root = master.root != 0;
	/* What its sandbox is would only be noise here. */
	m.loglevel = LOG_L_WARN;
	m.uid = gw->uid;
	m.gid = gw->gid;
	m.jail = master.root ? root : none;
	m.state = none;
	if (compose(ib, M_START, &def_m_start, &m) == -1 ||
	    compose(ib, M_PREPARE, &def_m_gen, &g) == -1 ||
	    slice_each(c, ROLE_CHECKER, compose_one, ib) == -1 ||
	    compose(ib, M_CONF_END, &def_m_gen, &g) == -1)
		return -1;
	/* The socket blocks, for a limited time: nothing may be left. */
	return imsgbuf_write(ib) == 0 && imsgbuf_queuelen(ib) == 0 ? 0 : -1;
}

static void
lines(const char *text, struct strv *errs)
{
	char *copy = xstrdup(text), *rest = copy, *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		(void)strv_add(errs, line);
	free(copy);
}

static int
answer(struct imsgbuf *ib, struct strv *errs)
{
	struct m_prepared m;
	struct imsg imsg;
	int n, rv = -1;

	while ((n = imsg_get(ib, &imsg)) == 0) {
		/* It blocks, so "nothing now" is the end of our patience. */
		errno = 0;
		if (imsgbuf_read(ib) != 1 || errno == EAGAIN)
			return -1;
	}
	if (n == 1 && imsg.hdr.type == M_PREPARED &&
	    wire_decode(&def_m_prepared, &m, imsg.data, imsg.datalen) == 0) {
		rv = 0;
		if (*m.error != '\0')
			lines(m.error, errs);
		wire_free(&def_m_prepared, &m);
	}
	if (n == 1)
		imsg_free(&imsg);
	return rv;
}

int
certs_check(const struct conf *c, struct strv *errs)
{
	const struct timeval tv = {CHECK_TIME, 0};
	struct imsgbuf ib;
	struct ids gw, auth, run;
	unsigned int n = 0;
	uint32_t before = errs->n;
	char *err = NULL;
	pid_t pid;
	int fds[2] = {-1, -1}, status;

	(void)slice_each(c, ROLE_CHECKER, count_one, &n);
	if (n == 0)
		return 0;
	if (setup_users(&gw, &auth, &run, &err) == -1 ||
	    proc_check(&err) == -1) {
		(void)strv_add(errs, err);
		free(err);
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1 ||
	    setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == -1 ||
	    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == -1 ||
	    (pid = fork()) == -1) {
		(void)strv_add(errs, strerror(errno));
		if (fds[0] != -1) {
			close(fds[0]);
			close(fds[1]);
		}
		return -1;
	}
	if (pid == 0)
		proc_exec(ROLE_CHECKER, fds[1]);
	close(fds[1]);
	imsgbuf_init(&ib, fds[0]);
	if (ask(&ib, c, &gw) == -1 || answer(&ib, errs) == -1) {
		(void)strv_add(errs,
		    "the certificates could not be checked: worker -c gave no "
		    "answer");
		(void)kill(pid, SIGKILL);
	}
	imsgbuf_clear(&ib);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	return errs->n == before ? 0 : -1;
}
