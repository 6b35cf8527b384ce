/*
 * mcpgwd: options, the order of starting up and ending, signals, the loop.
 */
#include <sys/types.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "peer.h"
#include "sandbox.h"

#ifndef LIBEXECDIR
#define LIBEXECDIR "/usr/local/libexec/mcpgwd"
#endif

struct master master;

static int starter = -1; /* pipe to the process that waits for us */

static void usage(void) __attribute__((noreturn));
static void say(const char *, ...) __attribute__((format(printf, 1, 2)));
static void say_all(const struct strv *);
static char *absolute(const char *);
static void read_single(const char *, int);
static struct conf *read_conf(void);
static void prepare(struct conf *);
static void background(void);
static void wait_for_child(int) __attribute__((noreturn));
static void on_signal(evutil_socket_t, short, void *);
static void on_boot(evutil_socket_t, short, void *);
static void end_now(void) __attribute__((noreturn));
static void notify(const char *);
static int run(struct conf *);

static void
usage(void)
{
	fprintf(stderr, "usage: mcpgwd [-dnv] [-f file] [-L libexecdir]\n"
			"       mcpgwd -d [-nv] [-L libexecdir] [--no-auth] "
			"-S command\n");
	exit(2);
}

/* To whoever typed the command, before there is a log. */
static void
say(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "mcpgwd: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

static void
say_all(const struct strv *lines)
{
	uint32_t i;

	for (i = 0; i < lines->n; i++)
		fprintf(stderr, "%s\n", lines->v[i]);
}

/* The directory may change, and reloads come later. */
static char *
absolute(const char *path)
{
	char cwd[PATH_MAX], *s;

	if (*path == '/')
		return xstrdup(path);
	if (getcwd(cwd, sizeof cwd) == NULL)
		fatal("getcwd");
	xasprintf(&s, "%s/%s", cwd, path);
	return s;
}

static struct conf *
read_conf(void)
{
	struct strv errs = {NULL, 0};
	struct conf *c;

	c = reload_conf(&errs);
	if (c == NULL) {
		say_all(&errs);
		if (errs.n == 0)
			say("out of memory");
		exit(1);
	}
	if (certs_check(c, &errs) == -1) {
		say_all(&errs);
		exit(1);
	}
	return c;
}

/* -S stands in the place of a config file. */
static void
read_single(const char *command, int noauth)
{
	char *err;

	if (!master.debug || master.conffile != NULL)
		usage();
	if (master.root) {
		say("-S: as root every server needs a user of its own, and so "
		    "a config file (mcpgwd.conf(5)); or run it as another "
		    "user");
		exit(1);
	}
	if ((master.single = single_conf(command, noauth, &err)) == NULL) {
		say("%s", err);
		exit(1);
	}
}

/* All that can be known to be wrong before anything is started, while the
 * caller still reads standard error. */
static void
prepare(struct conf *c)
{
	struct strv errs = {NULL, 0};
	char *err;

	master.state = xstrdup(c->state);
	master.control = xstrdup(c->control);
	if (proc_check(&err) == -1 ||
	    setup_users(&master.gw, &master.auth, &master.run, &err) == -1) {
		say("%s", err);
		exit(1);
	}
	if (listen_open(c, &errs) == -1) {
		say_all(&errs);
		exit(1);
	}
	listen_keep(c);
	if (setup_dirs(c, &err) == -1 ||
	    control_open(master.control, &err) == -1) {
		say("%s", err);
		setup_undo();
		exit(1);
	}
	if (!master.root)
		say("not started by root: every process runs as you, each in "
		    "its sandbox, and the limit processes of a backend does "
		    "not hold");
	setup_files(c);
}

/* ---- becoming a daemon ---- */

/* A NUL byte: it serves. Text: why it does not. */
static void
wait_for_child(int fd)
{
	char text[1024];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof text - 1) {
		n = read(fd, text + len, sizeof text - 1 - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (text[len] == '\0')
			_exit(0);
		len += (size_t)n;
	}
	text[len] = '\0';
	say("%s", len > 0 ? text : "ended before it was ready; see syslog");
	_exit(1);
}

static void
background(void)
{
	int fds[2], null;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1 || (pid = fork()) == -1) {
		say("%s", strerror(errno));
		control_close();
		setup_undo();
		exit(1);
	}
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(fds[0]);
	}
	close(fds[0]);
	starter = fds[1];
	if (setsid() == -1 || chdir("/") == -1)
		say("%s", strerror(errno));
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) != -1) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
}

/* systemd's readiness protocol, when it is asked for. */
static void
notify(const char *what)
{
	struct sockaddr_un sun;
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;
	int fd;

	if (path == NULL || (*path != '/' && *path != '@') ||
	    (len = strlen(path)) >= sizeof sun.sun_path)
		return;
	memset(&sun, 0, sizeof sun);
	sun.sun_family = AF_UNIX;
	memcpy(sun.sun_path, path, len);
	if (*path == '@')
		sun.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	if (sendto(fd, what, strlen(what), MSG_NOSIGNAL,
		(struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) ==
	    -1)
		log_warn("NOTIFY_SOCKET");
	close(fd);
}

void
master_ready(void)
{
	char text[64];

	master.started = 1;
	log_info("ready after %llu ms",
	    (unsigned long long)(mono_msec() - master.since));
	if (master.banner != NULL) {
		printf("%s\n", master.banner);
		(void)fflush(stdout);
		freezero(master.banner, strlen(master.banner));
		master.banner = NULL;
	}
	if (starter != -1) {
		if (write(starter, "", 1) == -1)
			log_warn("the process that started us");
		close(starter);
		starter = -1;
	}
	(void)snprintf(
	    text, sizeof text, "READY=1\nMAINPID=%ld", (long)getpid());
	notify(text);
}

void
master_fail(const char *why, int said)
{
	if (master.stopping)
		return;
	if (said)
		log_debug("%s", why);
	else
		log_warnx("%s", why);
	master.failed = 1;
	master.stopping = 1;
	/* Not closed: it waits for our end, when nothing is left of us. */
	if (starter != -1 && write(starter, why, strlen(why)) == -1)
		log_warn("the process that started us");
	gen_stop();
}

void
master_loglevel(uint32_t level)
{
	struct m_loglevel m;
	struct proc *p;

	m.level = level > LOG_L_DEBUG ? LOG_L_DEBUG : level;
	log_setlevel((enum log_level)m.level);
	TAILQ_FOREACH (p, &procs, entry)
		if (p->peer != NULL && peer_send(p->peer, M_LOGLEVEL, 0,
					   &def_m_loglevel, &m, -1) == -1)
			log_debug("%s: level not sent", proc_name(p));
}

/* ---- signals ---- */

static void
end_now(void)
{
	const struct proc *p;

	TAILQ_FOREACH (p, &procs, entry)
		if (p->pid > 0)
			(void)kill(p->pid, SIGKILL);
	spawn_end_all();
	control_close();
	setup_undo();
	_exit(1);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)what, (void)arg;
	if (sig == SIGHUP) {
		gen_reload(0);
		return;
	}
	if (master.stopping)
		end_now();
	log_info("ending");
	notify("STOPPING=1");
	master.stopping = 1;
	gen_stop();
}

static void
on_boot(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	if (gen_boot(arg) == -1)
		master_fail("not everything could be started", 0);
}

static int
run(struct conf *c)
{
	static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
	struct event *ev;
	uint32_t level = c->loglevel + (uint32_t)master.verbose;
	struct timeval now = {0, 0};
	size_t i;

	log_init("mcpgwd", master.debug);
	log_setlevel(level > LOG_L_DEBUG ? LOG_L_DEBUG : (enum log_level)level);
	log_setjson(c->logjson != 0);
	(void)signal(SIGPIPE, SIG_IGN);
	if ((master.base = event_base_new()) == NULL)
		fatalx("no event loop");
	peer_setbase(master.base);
	for (i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if ((ev = evsignal_new(
			 master.base, signals[i], on_signal, NULL)) == NULL ||
		    event_add(ev, NULL) == -1)
			fatalx("no signal handler");
	if (proc_init() == -1 || control_start() == -1)
		fatalx("no event loop");
	sandbox_master();
	/* From inside the loop, so that a failure can end it. */
	if (event_base_once(master.base, -1, EV_TIMEOUT, on_boot, c, &now) ==
	    -1)
		fatalx("no event loop");
	if (event_base_dispatch(master.base) == -1)
		log_warnx("event loop");
	control_close();
	setup_undo();
	return master.failed;
}

int
main(int argc, char *argv[])
{
	static const struct option long_options[] = {
	    {"no-auth", no_argument, NULL, 'A'}, {NULL, 0, NULL, 0}};
	const char *file = NULL, *libexec = LIBEXECDIR, *single = NULL;
	struct conf *c;
	int ch, check = 0, noauth = 0, fd;

	while ((fd = open("/dev/null", O_RDWR)) != -1 && fd <= STDERR_FILENO)
		continue;
	close(fd);
	while ((ch = getopt_long(
		    argc, argv, "df:L:nS:v", long_options, NULL)) != -1)
		switch (ch) {
		case 'A':
			noauth = 1;
			break;
		case 'd':
			master.debug = 1;
			break;
		case 'f':
			file = optarg;
			break;
		case 'L':
			libexec = optarg;
			break;
		case 'n':
			check++;
			break;
		case 'S':
			single = optarg;
			break;
		case 'v':
			master.verbose++;
			break;
		default:
			usage();
		}
	if (argc != optind || (noauth && single == NULL))
		usage();
	log_init("mcpgwd", 1);
	umask(022);
	master.since = mono_msec();
	master.root = geteuid() == 0;
	master.conffile = file != NULL ? absolute(file) : NULL;
	master.libexec = absolute(libexec);
	if (single != NULL)
		read_single(single, noauth);
	else if (master.conffile == NULL)
		master.conffile = conf_default_file(master.root);
	c = read_conf();
	if (check > 0) {
		if (check > 1)
			conf_print(stdout, c);
		else
			fprintf(stderr, "configuration OK\n");
		conf_free(c);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	prepare(c);
	if (!master.debug)
		background();
	return run(c);
}
