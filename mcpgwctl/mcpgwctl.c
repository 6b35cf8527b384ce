/*
 * mcpgwctl: one request to a running mcpgwd over its control socket.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "compat.h"
#include "imsg.h"
#include "log.h"
#include "output.h"
#include "proto.h"

#define ROOT_SOCKET "/run/mcpgwd/mcpgwd.sock"
#define LINE_BYTES  8192

struct verb {
	const char *words[2]; /* NULL: one word */
	enum ctl_verb verb;
	int minargs, maxargs;
	int table; /* answers with rows */
	const char *args; /* for usage */
	enum ctl_verb also; /* asked for more about each row; 0: none */
};
static const struct verb verbs[] = {
    {{"status", NULL}, CTL_STATUS, 0, 0, 1, "", 0},
    {{"reload", NULL}, CTL_RELOAD, 0, 0, 0, "", 0},
    {{"show", "backends"}, CTL_SHOW_BACKENDS, 0, 0, 1, "", CTL_SHOW_CHILDREN},
    {{"show", "tools"}, CTL_SHOW_TOOLS, 0, 1, 1, " [backend]", 0},
    {{"show", "workers"}, CTL_SHOW_WORKERS, 0, 0, 1, "", 0},
    {{"show", "sessions"}, CTL_SHOW_SESSIONS, 0, 1, 1, " [backend]", 0},
    {{"show", "clients"}, CTL_SHOW_CLIENTS, 0, 1, 1, " [client]", 0},
    {{"show", "tokens"}, CTL_SHOW_TOKENS, 0, 1, 1, " [client | user]", 0},
    {{"show", "children"}, CTL_SHOW_CHILDREN, 0, 1, 1, " [backend]", 0},
    {{"show", "log"}, CTL_SHOW_LOG, 1, 1, 1, " backend", 0},
    {{"backend", "restart"}, CTL_BACKEND_RESTART, 1, 1, 0, " backend", 0},
    {{"backend", "stop"}, CTL_BACKEND_STOP, 1, 1, 0, " backend", 0},
    {{"backend", "start"}, CTL_BACKEND_START, 1, 1, 0, " backend", 0},
    {{"user", "passwd"}, CTL_USER_PASSWD, 0, 1, 0, " [name]", 0},
    {{"client", "delete"}, CTL_CLIENT_DELETE, 1, 1, 0, " client", 0},
    {{"token", "revoke"}, CTL_TOKEN_REVOKE, 1, 1, 0, " grant | token | -", 0},
    {{"log", "level"}, CTL_LOG_LEVEL, 1, 1, 0, " error|warn|info|debug", 0},
};
#define NVERBS (sizeof verbs / sizeof verbs[0])

static struct termios saved_tty;
static volatile sig_atomic_t tty_changed;

static void usage(void) __attribute__((noreturn));
static const struct verb *find_verb(int *, char ***);
static char *default_socket(void);
static int dial(const char *);
static void on_interrupt(int);
static char *read_line(void);
static char *ask_once(const char *);
static char *ask_password(void);
static void fill(struct ctl_req *, const struct verb *, int, char **);
static int talk(int, struct ctl_req *, const struct verb *, int);

static void
usage(void)
{
	const struct verb *v;

	fprintf(stderr, "usage: mcpgwctl [-j] [-s socket] verb\n");
	for (v = verbs; v < verbs + NVERBS; v++)
		fprintf(stderr, "       %s%s%s%s\n", v->words[0],
		    v->words[1] != NULL ? " " : "",
		    v->words[1] != NULL ? v->words[1] : "", v->args);
	exit(2);
}

static const struct verb *
find_verb(int *argc, char ***argv)
{
	const struct verb *v;
	int words;

	for (v = verbs; v < verbs + NVERBS; v++) {
		words = v->words[1] != NULL ? 2 : 1;
		if (*argc < words || strcmp((*argv)[0], v->words[0]) != 0 ||
		    (words == 2 && strcmp((*argv)[1], v->words[1]) != 0))
			continue;
		*argc -= words;
		*argv += words;
		if (*argc < v->minargs || *argc > v->maxargs)
			usage();
		return v;
	}
	usage();
}

/* Where mcpgwd puts it by default. */
static char *
default_socket(void)
{
	const char *dir, *rest = "/.local/state/mcpgwd/mcpgwd.sock";
	char *s;

	if (geteuid() == 0)
		return xstrdup(ROOT_SOCKET);
	if ((dir = getenv("XDG_RUNTIME_DIR")) != NULL && *dir == '/')
		rest = "/mcpgwd.sock";
	else if ((dir = getenv("XDG_STATE_HOME")) != NULL && *dir == '/')
		rest = "/mcpgwd/mcpgwd.sock";
	else if ((dir = getenv("HOME")) == NULL)
		dir = "";
	xasprintf(&s, "%s%s", dir, rest);
	return s;
}

static int
dial(const char *path)
{
	struct sockaddr_un sun;
	int fd;

	memset(&sun, 0, sizeof sun);
	sun.sun_family = AF_UNIX;
	if (strlcpy(sun.sun_path, path, sizeof sun.sun_path) >=
	    sizeof sun.sun_path) {
		fprintf(stderr, "mcpgwctl: %s: too long\n", path);
		exit(1);
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof sun) == -1) {
		fprintf(stderr,
		    "mcpgwctl: %s: %s (is mcpgwd running? another socket is "
		    "named with -s)\n",
		    path, strerror(errno));
		exit(1);
	}
	return fd;
}

/* ---- secrets ---- */

static void
on_interrupt(int sig)
{
	if (tty_changed)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved_tty);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

/* One line of standard input without its end; NULL at the end. */
static char *
read_line(void)
{
	char *buf;
	size_t n = 0;
	ssize_t r;

	buf = xcalloc(1, LINE_BYTES);
	while (n < LINE_BYTES - 1) {
		r = read(STDIN_FILENO, buf + n, 1);
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0 || buf[n] == '\n')
			break;
		n++;
	}
	if (n == LINE_BYTES - 1) {
		freezero(buf, LINE_BYTES);
		fprintf(stderr, "mcpgwctl: the line is too long\n");
		exit(1);
	}
	buf[n] = '\0';
	if (n > 0 && buf[n - 1] == '\r')
		buf[--n] = '\0';
	return buf;
}

static char *
ask_once(const char *prompt)
{
	struct termios quiet;
	char *s;

	if (tcgetattr(STDIN_FILENO, &saved_tty) == -1) {
		fprintf(stderr, "mcpgwctl: %s\n", strerror(errno));
		exit(1);
	}
	quiet = saved_tty;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)signal(SIGINT, on_interrupt);
	(void)signal(SIGTERM, on_interrupt);
	tty_changed = 1;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fprintf(stderr, "%s", prompt);
	s = read_line();
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved_tty);
	tty_changed = 0;
	fprintf(stderr, "\n");
	return s;
}

static char *
ask_password(void)
{
	char *a, *b;
	size_t len;

	if (isatty(STDIN_FILENO)) {
		a = ask_once("New password: ");
		b = ask_once("The same again: ");
		if (strcmp(a, b) != 0) {
			fprintf(stderr, "mcpgwctl: the two are not the same\n");
			exit(1);
		}
		freezero(b, LINE_BYTES);
	} else
		a = read_line();
	len = strlen(a);
	if (len < PASSWORD_MIN || len > PASSWORD_MAX) {
		freezero(a, LINE_BYTES);
		fprintf(stderr, "mcpgwctl: a password has %d to %d bytes\n",
		    PASSWORD_MIN, PASSWORD_MAX);
		exit(1);
	}
	return a;
}

/* ---- the request ---- */

static void
fill(struct ctl_req *req, const struct verb *v, int argc, char **argv)
{
	int i;

	memset(req, 0, sizeof *req);
	req->version = PROTO_VERSION;
	req->verb = (uint8_t)v->verb;
	if (v->verb == CTL_USER_PASSWD)
		req->secret = ask_password();
	if (v->verb == CTL_TOKEN_REVOKE && strcmp(argv[0], "-") == 0) {
		req->secret = read_line();
		if (*req->secret == '\0') {
			fprintf(stderr, "mcpgwctl: no token was given\n");
			exit(1);
		}
		return;
	}
	/* A token is a secret wherever it came from; a grant id is none. */
	if (v->verb == CTL_TOKEN_REVOKE &&
	    (strchr(argv[0], '.') != NULL || strncmp(argv[0], "mg", 2) == 0)) {
		req->secret = xcalloc(1, LINE_BYTES);
		(void)strlcpy(req->secret, argv[0], LINE_BYTES);
		return;
	}
	for (i = 0; i < argc; i++)
		if (strv_add(&req->args, argv[i]) == -1)
			fatalx("out of memory");
}

static int
send_request(struct imsgbuf *ib, struct ctl_req *req)
{
	uint8_t *data;
	size_t len;
	int rv;

	data = wire_encode(&def_ctl_req, req, &len);
	if (req->secret != NULL)
		freezero(req->secret, LINE_BYTES);
	req->secret = NULL;
	strv_free(&req->args);
	if (data == NULL) {
		fprintf(stderr, "mcpgwctl: an argument is too long\n");
		return -1;
	}
	rv = imsg_compose(ib, C_REQUEST, 1, -1, data, len);
	freezero(data, len);
	while (rv == 1 && imsgbuf_queuelen(ib) > 0)
		if (imsgbuf_write(ib) == -1)
			return -1;
	return rv == 1 ? 0 : -1;
}

/* 1: go on, 0: the last message came (*end set), -1: broken. */
static int
one_answer(struct imsg *im, struct output *out, struct ctl_end *end)
{
	struct ctl_row row;
	int rv = -1;

	if (im->hdr.type == C_ROW &&
	    wire_decode(&def_ctl_row, &row, im->data, im->datalen) == 0) {
		rv = output_row(out, &row) == 0 ? 1 : -1;
		wire_free(&def_ctl_row, &row);
	} else if (im->hdr.type == C_END &&
		   wire_decode(&def_ctl_end, end, im->data, im->datalen) == 0)
		rv = 0;
	return rv;
}

/* One request and its rows. -1: there is no end. */
static int
ask(struct imsgbuf *ib, struct ctl_req *req, struct output *out,
    struct ctl_end *end)
{
	struct imsg im;
	struct pollfd pfd = {.fd = ib->fd, .events = POLLIN};
	int more = 1, n;

	if (send_request(ib, req) == -1)
		return -1;
	while (more == 1) {
		if (poll(&pfd, 1, -1) == -1 && errno != EINTR)
			break;
		if ((n = imsgbuf_read(ib)) < 1)
			break;
		while (more == 1 && (n = imsg_get(ib, &im)) == 1) {
			more = one_answer(&im, out, end);
			imsg_free(&im);
		}
		if (n == -1)
			break;
	}
	return more == 0 ? 0 : -1;
}

/* Whether the rest is known does not decide whether the command failed. */
static void
ask_also(struct imsgbuf *ib, enum ctl_verb verb, struct output *out,
    struct ctl_end *end)
{
	struct ctl_req req;
	struct ctl_end more;

	memset(&req, 0, sizeof req);
	req.version = PROTO_VERSION;
	req.verb = (uint8_t)verb;
	output_more(out);
	if (ask(ib, &req, out, &more) == -1)
		return;
	if (more.failed) {
		free(end->message);
		end->message = xstrdup(more.message);
	}
	wire_free(&def_ctl_end, &more);
}

static int
talk(int fd, struct ctl_req *req, const struct verb *v, int json)
{
	struct imsgbuf ib;
	struct output *out;
	struct ctl_end end;
	int failed = 1;

	imsgbuf_init(&ib, fd);
	out = output_new(json);
	if (ask(&ib, req, out, &end) == -1)
		fprintf(stderr,
		    "mcpgwctl: mcpgwd ended the conversation; it listens to "
		    "root and to the user it runs as\n");
	else {
		failed = end.failed;
		if (!failed && v->also != 0)
			ask_also(&ib, v->also, out, &end);
		output_end(out, v->table, failed, end.message);
		wire_free(&def_ctl_end, &end);
	}
	output_free(out);
	imsgbuf_clear(&ib);
	return failed != 0;
}

int
main(int argc, char *argv[])
{
	const struct verb *v;
	struct ctl_req req;
	char *path = NULL;
	int ch, json = 0, fd, rv;

	while ((ch = getopt(argc, argv, "+js:")) != -1)
		switch (ch) {
		case 'j':
			json = 1;
			break;
		case 's':
			free(path);
			path = xstrdup(optarg);
			break;
		default:
			usage();
		}
	argc -= optind;
	argv += optind;
	v = find_verb(&argc, &argv);
	log_init("mcpgwctl", 1);
	if (path == NULL)
		path = default_socket();
	/* First, so that nobody types a password for nothing. */
	fd = dial(path);
	if (v->verb == CTL_USER_PASSWD || v->verb == CTL_TOKEN_REVOKE) {
		/* A client that says nothing for long is cut off. */
		close(fd);
		fill(&req, v, argc, argv);
		fd = dial(path);
	} else
		fill(&req, v, argc, argv);
	free(path);
	(void)signal(SIGPIPE, SIG_IGN);
	rv = talk(fd, &req, v, json);
	if (fflush(stdout) != 0)
		rv = 1;
	return rv;
}
