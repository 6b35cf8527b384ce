/*
 * The control socket: mcpgwctl's requests, answered from here or passed on to
 * the process that knows.
 */
#include <sys/types.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "peer.h"
#include "stopped.h"

#define CLIENTS_MAX 16
#define IDLE_MAX    10 /* s that a client may say nothing */
#define ANSWER_MAX  5 /* s that a process may take to answer */
#define PENDING_MAX (512 * 1024)
#define ASKED_MAX   1024 /* processes asked by one request */

/* PEER_S0: may ask; PEER_S1: waits for an answer. */
struct client {
	TAILQ_ENTRY(client) entry;
	uint64_t serial; /* never reused */
	struct peer *peer;
	struct event *idle;
	uint32_t id; /* of its request */
	int busy;
};

/* A request passed on, until everybody asked has answered. */
struct wait {
	TAILQ_ENTRY(wait) entry;
	uint32_t id; /* of M_CTL */
	uint8_t verb;
	uint64_t client;
	struct event *timer;
	const struct proc *asked[ASKED_MAX];
	size_t nasked;
	struct ctl_end end;
};

static TAILQ_HEAD(, client) clients = TAILQ_HEAD_INITIALIZER(clients);
static TAILQ_HEAD(, wait) waits = TAILQ_HEAD_INITIALIZER(waits);
static unsigned int nclients;
static uint64_t last_serial;
static uint32_t last_id;
static int sock = -1;
static struct event *ev_sock;

static void on_accept(evutil_socket_t, short, void *);
static void on_idle(evutil_socket_t, short, void *);
static void on_silent(evutil_socket_t, short, void *);
static void on_request(struct peer *, uint32_t, void *, int);
static void on_gone(struct peer *);
static void client_free(struct client *);
static struct client *client_find(uint64_t);
static void send_row(struct client *, const struct ctl_row *);
static void put(struct ctl_row *, const char *, const char *);
static void send_child(struct client *, const struct ctl_row *);
static void wait_check(struct wait *);
static void ask(struct client *, const struct ctl_req *, uint8_t);
static void show_status(struct client *);
static void set_level(struct client *, const struct ctl_req *);

static const struct peer_rule client_rules[] = {
    {C_REQUEST, &def_ctl_req, PEER_S0, 0, on_request},
};
static const struct peer_class client_class = {"mcpgwctl", client_rules,
    sizeof client_rules / sizeof client_rules[0], 0, on_gone, NULL};

/* ---- the socket ---- */

/* Is somebody there, or is it the socket of a master that crashed? */
static int
alive(const struct sockaddr_un *sun)
{
	int fd, rv;

	if ((fd = socket(
		 AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) == -1)
		return 0;
	rv = connect(fd, (const struct sockaddr *)sun, sizeof *sun);
	close(fd);
	return rv == 0 || errno == EAGAIN;
}

int
control_open(const char *path, char **err)
{
	struct sockaddr_un sun;
	struct stat st;
	mode_t mask;
	int rv;

	memset(&sun, 0, sizeof sun);
	sun.sun_family = AF_UNIX;
	if (strlcpy(sun.sun_path, path, sizeof sun.sun_path) >=
	    sizeof sun.sun_path) {
		xasprintf(err, "control: %s is too long", path);
		return -1;
	}
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode)) {
			xasprintf(err,
			    "control: %s is there and is no socket; remove it",
			    path);
			return -1;
		}
		if (alive(&sun)) {
			xasprintf(err,
			    "control: %s: another mcpgwd is already running; "
			    "stop it, or set control and state to others",
			    path);
			return -1;
		}
		(void)unlink(path);
	}
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0117);
	rv = sock == -1 ? -1 : bind(sock, (struct sockaddr *)&sun, sizeof sun);
	umask(mask);
	if (rv == -1 || listen(sock, CLIENTS_MAX) == -1) {
		xasprintf(err, "control: %s: %s", path, strerror(errno));
		if (rv == 0)
			(void)unlink(path);
		if (sock != -1)
			close(sock);
		sock = -1;
		return -1;
	}
	return 0;
}

int
control_start(void)
{
	ev_sock =
	    event_new(master.base, sock, EV_READ | EV_PERSIST, on_accept, NULL);
	return ev_sock != NULL && event_add(ev_sock, NULL) == 0 ? 0 : -1;
}

void
control_close(void)
{
	struct client *c;

	while ((c = TAILQ_FIRST(&clients)) != NULL) {
		peer_flush(c->peer, 100);
		client_free(c);
	}
	if (ev_sock != NULL)
		event_free(ev_sock);
	ev_sock = NULL;
	if (sock != -1) {
		close(sock);
		(void)unlink(master.control);
	}
	sock = -1;
}

static void
on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct timeval tv = {IDLE_MAX, 0};
	struct client *c;
	uid_t uid;
	pid_t pid = 0;
	int fd;
#ifdef __linux__
	struct ucred cred;
	socklen_t len = sizeof cred;
#else
	gid_t gid;
#endif

	(void)what, (void)arg;
	if ((fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) == -1)
		return;
#ifdef __linux__
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1) {
		close(fd);
		return;
	}
	uid = cred.uid;
	pid = cred.pid;
#else
	if (getpeereid(fd, &uid, &gid) == -1) {
		close(fd);
		return;
	}
#endif
	if ((uid != 0 && uid != geteuid()) || nclients >= CLIENTS_MAX) {
		log_warnx("control: a client of user %u is refused",
		    (unsigned int)uid);
		close(fd);
		return;
	}
	/* Not started by root, the servers that we run have our uid. */
	if (!master.root && !tree_foreign(pid)) {
		log_warnx(
		    "control: a process of ours (%ld) is refused", (long)pid);
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof *c);
	c->serial = ++last_serial;
	c->idle = evtimer_new(master.base, on_idle, c);
	c->peer = peer_new(fd, &client_class, ROLE_CTL, c->serial, 0, c);
	TAILQ_INSERT_TAIL(&clients, c, entry);
	nclients++;
	if (c->peer == NULL || c->idle == NULL || event_add(c->idle, &tv) == -1)
		client_free(c);
}

/* ---- clients ---- */

static void
client_free(struct client *c)
{
	TAILQ_REMOVE(&clients, c, entry);
	nclients--;
	peer_free(c->peer);
	if (c->idle != NULL)
		event_free(c->idle);
	free(c);
}

static struct client *
client_find(uint64_t serial)
{
	struct client *c;

	TAILQ_FOREACH (c, &clients, entry)
		if (c->serial == serial)
			return c;
	return NULL;
}

static void
on_gone(struct peer *peer)
{
	client_free(peer_ctx(peer));
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd, (void)what;
	if (!c->busy)
		client_free(c);
}

/* A client that does not read loses its rows, and sees that the end is
 * missing. */
static void
send_row(struct client *c, const struct ctl_row *row)
{
	if (peer_queued(c->peer) > PENDING_MAX)
		peer_flush(c->peer, 100);
	if (peer_send(c->peer, C_ROW, c->id, &def_ctl_row, row, -1) == -1)
		log_debug("control: a row is lost");
}

void
control_done(uint64_t serial, int failed, const char *message)
{
	struct timeval tv = {IDLE_MAX, 0};
	struct ctl_end end;
	struct client *c;
	char text[4000];

	if (serial == 0 || (c = client_find(serial)) == NULL)
		return;
	(void)strlcpy(text, message != NULL ? message : "", sizeof text);
	end.failed = failed != 0;
	end.message = text;
	c->busy = 0;
	peer_setstate(c->peer, PEER_S0);
	(void)event_add(c->idle, &tv);
	if (peer_send(c->peer, C_END, c->id, &def_ctl_end, &end, -1) == -1)
		client_free(c);
}

/* ---- requests passed on ---- */

static void
wait_free(struct wait *w)
{
	TAILQ_REMOVE(&waits, w, entry);
	event_free(w->timer);
	free(w->end.message);
	free(w);
}

/* Is everybody done? */
static void
wait_check(struct wait *w)
{
	if (w->nasked > 0)
		return;
	control_done(w->client, w->end.failed, w->end.message);
	wait_free(w);
}

static void
wait_fail(struct wait *w, const char *message)
{
	w->end.failed = 1;
	free(w->end.message);
	w->end.message = xstrdup(message);
}

static void
wait_silent(struct wait *w, const struct proc *p)
{
	char text[128];

	(void)snprintf(text, sizeof text, "%s did not answer", proc_name(p));
	wait_fail(w, text);
}

/* Takes p off the list of those who owe an answer; 0 if it was not on it. */
static int
answered(struct wait *w, const struct proc *p)
{
	size_t i;

	for (i = 0; i < w->nasked; i++)
		if (w->asked[i] == p) {
			w->asked[i] = w->asked[--w->nasked];
			return 1;
		}
	return 0;
}

static void
on_silent(evutil_socket_t fd, short what, void *arg)
{
	struct wait *w = arg;

	(void)fd, (void)what;
	if (w->nasked > 0)
		wait_silent(w, w->asked[0]);
	w->nasked = 0;
	wait_check(w);
}

static void
ask(struct client *c, const struct ctl_req *req, uint8_t role)
{
	struct timeval tv = {ANSWER_MAX, 0};
	struct wait *w;
	struct proc *p;
	unsigned int of_role = 0;

	w = xcalloc(1, sizeof *w);
	w->id = ++last_id;
	w->verb = (uint8_t)req->verb;
	w->client = c->serial;
	if ((w->timer = evtimer_new(master.base, on_silent, w)) == NULL ||
	    event_add(w->timer, &tv) == -1)
		fatalx("out of memory");
	TAILQ_INSERT_TAIL(&waits, w, entry);
	TAILQ_FOREACH (p, &procs, entry) {
		if (p->role != role)
			continue;
		of_role++;
		if (p->state != PROC_READY && p->state != PROC_DRAINING) {
			if (role != ROLE_WORKER)
				wait_silent(w, p);
			continue;
		}
		if (p->peer == NULL || w->nasked == ASKED_MAX ||
		    peer_send(p->peer, M_CTL, w->id, &def_ctl_req, req, -1) ==
			-1)
			wait_silent(w, p);
		else
			w->asked[w->nasked++] = p;
	}
	if (of_role == 0)
		wait_fail(w, "there is nobody to ask yet");
	wait_check(w);
}

static struct wait *
wait_find(const struct proc *p, uint32_t id)
{
	struct wait *w;
	size_t i;

	TAILQ_FOREACH (w, &waits, entry)
		for (i = 0; w->id == id && i < w->nasked; i++)
			if (w->asked[i] == p)
				return w;
	return NULL;
}

void
control_row(struct proc *p, uint32_t id, const struct ctl_row *row)
{
	struct wait *w;
	struct client *c;

	if ((w = wait_find(p, id)) == NULL ||
	    (c = client_find(w->client)) == NULL)
		return;
	if (w->verb == CTL_SHOW_CHILDREN)
		send_child(c, row);
	else
		send_row(c, row);
}

static void
put(struct ctl_row *row, const char *name, const char *value)
{
	if (strv_add(&row->names, name) == -1 ||
	    strv_add(&row->values, value) == -1)
		fatalx("out of memory");
}

/* With what runner can not see. It knows but the nanny. */
static void
send_child(struct client *c, const struct ctl_row *row)
{
	struct ctl_row more = {{NULL, 0}, {NULL, 0}};
	const char *nanny = "";
	uint64_t kib, ms;
	char server[32] = "", memory[32] = "", cpu[32] = "";
	uint32_t i;
	pid_t pid;

	for (i = 0; i < row->names.n && i < row->values.n; i++)
		if (strcmp(row->names.v[i], "#pid") == 0 &&
		    *row->values.v[i] != '\0')
			nanny = row->values.v[i];
	if (*nanny != '\0') {
		pid = tree_usage((pid_t)strtol(nanny, NULL, 10), &kib, &ms);
		if (pid > 0)
			(void)snprintf(server, sizeof server, "%ld", (long)pid);
		(void)snprintf(
		    memory, sizeof memory, "%llu", (unsigned long long)kib);
		(void)snprintf(cpu, sizeof cpu, "%llu.%llu",
		    (unsigned long long)ms / 1000,
		    (unsigned long long)ms / 100 % 10);
	}
	for (i = 0; i < row->names.n && i < row->values.n; i++) {
		if (strcmp(row->names.v[i], "#pid") == 0) {
			put(&more, "#pid", server);
			continue;
		}
		/* The last line it said stays last. */
		if (strcmp(row->names.v[i], "said") == 0) {
			put(&more, "#kib", memory);
			put(&more, "#cpu", cpu);
			put(&more, "#nanny", nanny);
		}
		put(&more, row->names.v[i], row->values.v[i]);
	}
	send_row(c, &more);
	strv_free(&more.names);
	strv_free(&more.values);
}

void
control_end(struct proc *p, uint32_t id, const struct ctl_end *end)
{
	struct wait *w;

	if ((w = wait_find(p, id)) == NULL)
		return;
	(void)answered(w, p);
	if (end->failed)
		wait_fail(w, end->message);
	else if (w->end.message == NULL)
		w->end.message = xstrdup(end->message);
	wait_check(w);
}

void
control_lost(const struct proc *p)
{
	struct wait *w, *next;

	for (w = TAILQ_FIRST(&waits); w != NULL; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (!answered(w, p))
			continue;
		wait_silent(w, p);
		wait_check(w);
	}
}

/* ---- requests ---- */

static void
status_row(struct client *c, const char *role, pid_t pid, uint64_t worker,
    uint32_t gen, const char *state, uint64_t started)
{
	static char n0[] = "role", n1[] = "#pid", n2[] = "#worker",
		    n3[] = "#generation", n4[] = "state", n5[] = "#uptime";
	char *names[] = {n0, n1, n2, n3, n4, n5};
	char text[6][32], *values[6];
	struct ctl_row row = {{names, 6}, {values, 6}};
	int i;

	memset(text, 0, sizeof text);
	for (i = 0; i < 6; i++)
		values[i] = text[i];
	(void)strlcpy(text[0], role, sizeof text[0]);
	if (pid > 0)
		(void)snprintf(text[1], sizeof text[1], "%ld", (long)pid);
	if (worker != 0)
		(void)snprintf(text[2], sizeof text[2], "%llu",
		    (unsigned long long)worker);
	if (gen != 0)
		(void)snprintf(text[3], sizeof text[3], "%u", gen);
	(void)strlcpy(text[4], state, sizeof text[4]);
	if (started != 0)
		(void)snprintf(text[5], sizeof text[5], "%llu",
		    (unsigned long long)(mono_msec() - started) / 1000);
	send_row(c, &row);
}

static void
show_status(struct client *c)
{
	const struct generation *g = gen_current();
	const struct proc *p;

	status_row(c, "master", getpid(), 0, g != NULL ? g->gen : 0,
	    master.stopping  ? "ending"
	    : master.started ? "ready"
			     : "starting",
	    master.since);
	TAILQ_FOREACH (p, &procs, entry)
		status_row(c, role_name(p->role), p->pid,
		    p->role == ROLE_WORKER ? p->worker : 0,
		    p->gen != NULL ? p->gen->gen : 0, proc_state_name(p),
		    p->pid > 0 ? p->started : 0);
	control_done(c->serial, 0, NULL);
}

static void
set_level(struct client *c, const struct ctl_req *req)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	uint32_t i;

	for (i = 0; i < 4; i++)
		if (req->args.n == 1 && strcmp(req->args.v[0], names[i]) == 0) {
			master_loglevel(i);
			control_done(c->serial, 0, NULL);
			return;
		}
	control_done(c->serial, 1, "a level is error, warn, info or debug");
}

static void
on_request(struct peer *peer, uint32_t id, void *msg, int fd)
{
	struct client *c = peer_ctx(peer);
	const struct ctl_req *req = msg;

	(void)fd;
	c->id = id;
	c->busy = 1;
	event_del(c->idle);
	peer_setstate(peer, PEER_S1);
	if (req->version != PROTO_VERSION) {
		control_done(c->serial, 1,
		    "mcpgwctl and mcpgwd are not of the same version");
		return;
	}
	switch (req->verb) {
	case CTL_STATUS:
		show_status(c);
		break;
	case CTL_RELOAD:
		gen_reload(c->serial);
		break;
	case CTL_SHOW_WORKERS:
		ask(c, req, ROLE_WORKER);
		break;
	case CTL_SHOW_BACKENDS:
	case CTL_SHOW_TOOLS:
	case CTL_SHOW_SESSIONS:
		ask(c, req, ROLE_KEEPER);
		break;
	case CTL_USER_PASSWD:
	case CTL_CLIENT_DELETE:
	case CTL_TOKEN_REVOKE:
	case CTL_SHOW_CLIENTS:
	case CTL_SHOW_TOKENS:
		ask(c, req, ROLE_AUTHD);
		break;
	case CTL_BACKEND_RESTART:
	case CTL_BACKEND_STOP:
	case CTL_BACKEND_START:
		if (req->args.n > 0 && gen_current() != NULL)
			stopped_set(gen_current()->conf, req->args.v[0],
			    req->verb == CTL_BACKEND_STOP);
		/* FALLTHROUGH */
	case CTL_SHOW_CHILDREN:
	case CTL_SHOW_LOG:
		ask(c, req, ROLE_RUNNER);
		break;
	case CTL_LOG_LEVEL:
		set_level(c, req);
		break;
	default:
		control_done(c->serial, 1, "mcpgwd does not know this verb");
		break;
	}
}
