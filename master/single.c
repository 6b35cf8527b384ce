/*
 * mcpgwd -S: the config of one stdio server on loopback, written from its
 * command line, so that it goes through the same checks as a file. The server
 * runs as if the caller had started it: in his directory, with his environment
 * and his files, but for our own state.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "b64.h"
#include "compat.h"
#include "load.h"
#include "log.h"
#include "master.h"
#include "utf8.h"

#define PORT         4444
#define PASSWORD_RAW 9
#define ENV_BYTES    (256 * 1024) /* so that all fits into one message */
#define NAMED_MAX    8 /* of each kind that is left out, in the log */

/* What the server has to do without. */
enum left {
	LEFT_NAME,
	LEFT_LONG,
	LEFT_VARS,
	LEFT_FILE,
	LEFT_FILES,
	NLEFT,
};

struct single {
	struct strv argv, dirs, left[NLEFT];
	struct strv others; /* files that are neither the caller's nor root's */
	unsigned int nvars;
	size_t bytes; /* of variables */
	char cwd[PATH_MAX], *state, *control;
	unsigned int port;
};

extern char **environ;

static int words(const char *, struct strv *);
static const char *unfit(const char *);
static char *bad_word(const struct strv *);
static void say_left(const struct single *);
static char *program(const char *, const char *);
static void put_list(FILE *, const char *, const struct strv *);
static int needed(const char *);
static void put_var(FILE *, struct single *, const char *, const char *);
static void put_env(FILE *, struct single *);
static void sibling(struct single *, const char *);
static int siblings(struct single *, const char *);
static void limit_dirs(struct single *);
static int all_but(struct single *);
static char *state_dir(unsigned int);
static unsigned int port(void);
static char *check(struct single *, const char *);
static char *write_conf(struct single *, const char *, int);

static const char *const lefts[NLEFT] = {
    [LEFT_NAME] = "variables with a name that a config can not have",
    [LEFT_LONG] = "variables that are too long",
    [LEFT_VARS] = "variables, since there are too many (unset some)",
    [LEFT_FILES] = "files beside the state of the gateway, since there are "
		   "too many (set XDG_RUNTIME_DIR to another directory)",
    [LEFT_FILE] = "files whose name is not UTF-8 or holds $STATE",
};

/* Split at blanks; '…' and "…" are the only quoting, there is no shell. */
static int
words(const char *s, struct strv *v)
{
	char *word = xmalloc(strlen(s) + 1), quote;
	size_t n;

	for (;;) {
		s += strspn(s, " \t\n");
		if (*s == '\0')
			break;
		for (n = 0; *s != '\0' && strchr(" \t\n", *s) == NULL;) {
			if (*s != '\'' && *s != '"') {
				word[n++] = *s++;
				continue;
			}
			quote = *s++;
			while (*s != '\0' && *s != quote)
				word[n++] = *s++;
			if (*s == '\0') {
				free(word);
				return -1;
			}
			s++;
		}
		word[n] = '\0';
		xstrv_add(v, word);
	}
	free(word);
	return 0;
}

/* Where the caller's shell would find it; malloc'd or NULL. */
static char *
program(const char *name, const char *cwd)
{
	const char *p = getenv("PATH");
	char *full;
	size_t len;

	if (*name == '/')
		return xstrdup(name);
	if (strchr(name, '/') != NULL) {
		xasprintf(&full, "%s/%s", cwd, name);
		return full;
	}
	for (; p != NULL && *p != '\0'; p += len + (p[len] == ':')) {
		len = strcspn(p, ":");
		if (*p != '/')
			continue;
		xasprintf(&full, "%.*s/%s", (int)len, p, name);
		if (access(full, X_OK) == 0)
			return full;
		free(full);
	}
	return NULL;
}

/* Why a config can not hold a path, as one of a backend's, or NULL. */
static const char *
unfit(const char *s)
{
	if (!utf8_valid(s, strlen(s)))
		return "is not UTF-8";
	if (strstr(s, "$STATE") != NULL)
		return "holds $STATE, which stands for a directory of the "
		       "server's own";
	return NULL;
}

/* Which word can not be passed on, and why; malloc'd or NULL. */
static char *
bad_word(const struct strv *argv)
{
	char text[256], *err;
	size_t len;
	uint32_t i;

	for (i = 0; i < argv->n; i++) {
		len = strlen(argv->v[i]);
		if (len > TEXT_LEN) {
			xasprintf(&err,
			    "-S: word %u of the command is longer than %d "
			    "bytes",
			    i + 1, TEXT_LEN);
			return err;
		}
		if (utf8_valid(argv->v[i], len))
			continue;
		(void)log_escape(text, sizeof text, argv->v[i], len);
		xasprintf(&err,
		    "-S: word %u of the command is not UTF-8, as a config "
		    "is: %s",
		    i + 1, text);
		return err;
	}
	return NULL;
}

/* Each kind in one line, however many there are. */
static void
say_left(const struct single *s)
{
	const struct strv *v;
	char *names, *more;
	uint32_t n;
	int why;

	for (why = 0; why < NLEFT; why++) {
		v = &s->left[why];
		if (v->n == 0)
			continue;
		names = xstrdup(v->v[0]);
		for (n = 1; n < v->n && n < NAMED_MAX; n++) {
			xasprintf(&more, "%s, %s", names, v->v[n]);
			free(names);
			names = more;
		}
		if (n < v->n)
			log_warnx(
			    "-S: the server does without %s: %s and %u more",
			    lefts[why], names, v->n - n);
		else
			log_warnx("-S: the server does without %s: %s",
			    lefts[why], names);
		free(names);
	}
}

static void
put_list(FILE *f, const char *key, const struct strv *v)
{
	uint32_t i;

	fprintf(f, "    %s:\n", key);
	for (i = 0; i < v->n; i++) {
		fputs("      - ", f);
		conf_print_str(f, v->v[i]);
		putc('\n', f);
	}
}

/* What hardly any program does without. */
static int
needed(const char *name)
{
	static const char *const names[] = {
	    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", NULL};
	const char *const *p;

	for (p = names; *p != NULL; p++)
		if (strcmp(name, *p) == 0)
			return 1;
	return 0;
}

/* By name, for a value may be anything but empty, and stays as it is. */
static void
put_var(FILE *f, struct single *s, const char *name, const char *value)
{
	size_t len = strlen(value), bytes = s->bytes + strlen(name) + len;

	if (check_variable(name) != NULL)
		xstrv_add(&s->left[LEFT_NAME], name);
	else if (len > TEXT_LEN)
		xstrv_add(&s->left[LEFT_LONG], name);
	else if (s->nvars == ENV_MAX || bytes > ENV_BYTES)
		xstrv_add(&s->left[LEFT_VARS], name);
	else {
		s->nvars++;
		s->bytes = bytes;
		if (len == 0)
			fprintf(f, "      %s: \"\"\n", name);
		else
			fprintf(f, "      %s: {env: %s}\n", name, name);
	}
}

/* What the caller's shell would give it, in two rounds: if there is no room for
 * all of it, then for what is needed. */
static void
put_env(FILE *f, struct single *s)
{
	const char *value;
	char **e, *name;
	size_t len;
	int rest;

	fputs("    env:\n", f);
	for (rest = 0; rest < 2; rest++)
		for (e = environ; *e != NULL; e++) {
			len = strcspn(*e, "=");
			if (len == 0 || (*e)[len] == '\0')
				continue;
			value = *e + len + 1;
			xasprintf(&name, "%.*s", (int)len, *e);
			/* The first of its name is the one. */
			if (needed(name) != rest && getenv(name) == value &&
			    strcmp(name, "NOTIFY_SOCKET") != 0 &&
			    strcmp(name, "TMPDIR") != 0)
				put_var(f, s, name, value);
			free(name);
		}
	if (s->nvars == 0)
		fputs("      LANG: C\n", f);
}

/* Adds what the server may use; what lies on the way to our state is not. A
 * link needs no mention: where it leads to has one, unless it is our state. */
static void
sibling(struct single *s, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == -1 || S_ISLNK(st.st_mode) ||
	    path_below(s->state, path))
		return;
	if (unfit(path) != NULL)
		xstrv_add(&s->left[LEFT_FILE], path);
	else if (st.st_uid == 0 || st.st_uid == getuid())
		xstrv_add(&s->dirs, path);
	else
		xstrv_add(&s->others, path);
}

/* Everything in dir, which ends in a slash. */
static int
siblings(struct single *s, const char *dir)
{
	const struct dirent *de;
	char *path;
	DIR *d;

	if ((d = opendir(dir)) == NULL)
		return -1;
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		xasprintf(&path, "%s%s", dir, de->d_name);
		sibling(s, path);
		free(path);
	}
	closedir(d);
	return 0;
}

/* As many as write takes; nobody else can push out what is the caller's. */
static void
limit_dirs(struct single *s)
{
	uint32_t i;

	for (i = 0; i < s->others.n; i++)
		xstrv_add(&s->dirs, s->others.v[i]);
	for (i = DIRS_MAX; i < s->dirs.n; i++) {
		xstrv_add(&s->left[LEFT_FILES], s->dirs.v[i]);
		free(s->dirs.v[i]);
	}
	if (s->dirs.n > DIRS_MAX)
		s->dirs.n = DIRS_MAX;
}

/* All files there are but our state: what lies beside each part of its path. */
static int
all_but(struct single *s)
{
	const char *slash = s->state;
	char *dir;
	int rv = 0;

	while (rv == 0 && (slash = strchr(slash, '/')) != NULL) {
		slash++;
		xasprintf(&dir, "%.*s", (int)(slash - s->state), s->state);
		rv = siblings(s, dir);
		free(dir);
	}
	limit_dirs(s);
	return rv;
}

/* Where it is gone with the session: sign-ins of a server that is tried out
 * need not outlive it, and no file of the caller's lies beside it. Without
 * links, so that what lies beside is what is not on its way. */
static char *
state_dir(unsigned int p)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	char real[PATH_MAX], *s;

	if (dir != NULL && *dir == '/' && access(dir, W_OK) == 0 &&
	    realpath(dir, real) != NULL)
		xasprintf(&s, "%s/mcpgwd-%u", real, p);
	else
		xasprintf(&s, "%s/mcpgwd-%u-%u",
		    realpath("/tmp", real) != NULL ? real : "/tmp",
		    (unsigned int)getuid(), p);
	return s;
}

static unsigned int
port(void)
{
	const char *s = getenv("PORT"), *why;
	long long n;

	if (s == NULL)
		return PORT;
	n = strtonum(s, 1, 65535, &why);
	return why != NULL ? 0 : (unsigned int)n;
}

/* What can not be served from here: malloc'd, or NULL and s is filled. */
static char *
check(struct single *s, const char *command)
{
	const char *why;
	char *err = NULL, *full;

	if (s->port == 0)
		xasprintf(&err, "PORT=%s is no port", getenv("PORT"));
	else if (words(command, &s->argv) == -1 || s->argv.n == 0)
		xasprintf(&err, "-S: give the command as one argument, its "
				"words apart by blanks; quotes must be closed");
	else if (s->argv.n > ARGS_MAX)
		xasprintf(
		    &err, "-S: the command has more than %d words", ARGS_MAX);
	else if ((why = unfit(s->state)) != NULL)
		xasprintf(&err,
		    "-S: the name of XDG_RUNTIME_DIR %s; set another", why);
	else if (getcwd(s->cwd, sizeof s->cwd) == NULL)
		xasprintf(&err, "-S: the current directory: %s; go to another",
		    strerror(errno));
	else if ((why = unfit(s->cwd)) != NULL)
		xasprintf(&err,
		    "-S: the name of the current directory %s; go to another",
		    why);
	else if (strcmp(s->cwd, "/") != 0 &&
		 (path_below(s->state, s->cwd) || path_below(s->cwd, s->state)))
		xasprintf(&err,
		    "-S: not from here, where the state of the "
		    "gateway will be (%s): go to another directory",
		    s->state);
	else if ((full = program(s->argv.v[0], s->cwd)) == NULL)
		xasprintf(&err, "-S: %s is not in PATH", s->argv.v[0]);
	else {
		free(s->argv.v[0]);
		s->argv.v[0] = full;
		err = bad_word(&s->argv);
	}
	if (err == NULL && all_but(s) == -1)
		xasprintf(
		    &err, "-S: what lies beside %s can not be read", s->state);
	return err;
}

static char *
write_conf(struct single *s, const char *password, int noauth)
{
	char *text;
	size_t len;
	FILE *f;

	if ((f = open_memstream(&text, &len)) == NULL)
		fatalx("out of memory");
	fprintf(f,
	    "issuer: http://localhost:%u\n"
	    "listen: [{address: \"127.0.0.1:%u\"}]\n"
	    "workers: 2\n"
	    "auth:\n"
	    "  password: %s\n"
	    "endpoints:\n"
	    "  /mcp: {backends: [server], prefix: none, auth: %s}\n"
	    "state: ",
	    s->port, s->port, password, noauth ? "none" : "required");
	conf_print_str(f, s->state);
	fputs("\ncontrol: ", f);
	conf_print_str(f, s->control);
	fputs("\nbackends:\n"
	      "  server:\n"
	      "    instance: session\n"
	      "    declare: [sampling, elicitation, roots]\n"
	      "    cwd: ",
	    f);
	conf_print_str(f, s->cwd);
	putc('\n', f);
	put_list(f, "command", &s->argv);
	put_list(f, "write", &s->dirs);
	put_env(f, s);
	if (ferror(f) || fclose(f) != 0)
		fatalx("out of memory");
	return text;
}

char *
single_conf(const char *command, int noauth, char **err)
{
	struct single s = {.port = port()};
	uint8_t raw[PASSWORD_RAW];
	char password[B64URL_LEN(PASSWORD_RAW) + 1], *text = NULL;
	int i;

	s.state = state_dir(s.port);
	xasprintf(&s.control, "%s.sock", s.state);
	if ((*err = check(&s, command)) == NULL) {
		arc4random_buf(raw, sizeof raw);
		b64url_encode(password, raw, sizeof raw);
		text = write_conf(&s, password, noauth);
		say_left(&s);
		if (noauth)
			xasprintf(&master.banner,
			    "http://localhost:%u/mcp (for everybody on this "
			    "machine)",
			    s.port);
		else
			xasprintf(&master.banner,
			    "http://localhost:%u/mcp  name: owner  password: "
			    "%s",
			    s.port, password);
	}
	strv_free(&s.argv);
	strv_free(&s.dirs);
	strv_free(&s.others);
	for (i = 0; i < NLEFT; i++)
		strv_free(&s.left[i]);
	free(s.state);
	free(s.control);
	return text;
}
