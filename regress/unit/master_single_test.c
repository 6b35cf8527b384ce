/*
 * -S: the config that is written from a command line holds whatever the caller
 * has, and what it can not hold is said: names that are not UTF-8, too many of
 * them, words that are too long.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../master/conf.h"
#include "../../master/master.h"
#include "compat.h"
#include "test.h"

#define COMMAND "/bin/cat"

struct master master;

extern char **environ;

/* Not in /tmp: what lies beside it counts, and may be any number there. */
static char dir[] = "/var/tmp/mcpgwd-single-XX"
		    "XX"
		    "XX";
static char *err; /* of the last start */
static char said[16384]; /* in the log by it */

/* ---- a start ---- */

/* Standard error from here on goes to a file. */
static int
record(int to)
{
	int saved = dup(STDERR_FILENO);

	fflush(stderr);
	(void)dup2(to, STDERR_FILENO);
	return saved;
}

static void
play(int from, int saved)
{
	ssize_t n;

	fflush(stderr);
	(void)dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(from, said, sizeof said - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	close(from);
}

/* What command is served with; NULL and err where it is not. */
static struct conf *
start(const char *command)
{
	struct strv errs = {NULL, 0};
	struct conf *c = NULL;
	char *text;
	int fd, saved;

	free(err);
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	saved = record(fd);
	text = single_conf(command, 1, &err);
	play(fd, saved);
	free(master.banner);
	master.banner = NULL;
	if (text != NULL && (c = conf_parse("-S", text, strlen(text),
				 CONF_SINGLE, &errs)) == NULL)
		err = xstrdup(errs.n > 0 ? errs.v[0] : "?");
	free(text);
	strv_free(&errs);
	return c;
}

static const struct m_exec *
child(const struct conf *c)
{
	return &TAILQ_FIRST(&c->backends)->child.x;
}

static const char *
variable(const struct conf *c, const char *name)
{
	const struct vec *env = &child(c)->env;
	const struct kv *kv = env->p;
	uint32_t i;

	for (i = 0; i < env->n; i++)
		if (strcmp(kv[i].name, name) == 0)
			return kv[i].value;
	return NULL;
}

static int
may_write(const struct conf *c, const char *name)
{
	char *path;
	int rv;

	xasprintf(&path, "%s/%s", dir, name);
	rv = strv_has(&child(c)->write, path);
	free(path);
	return rv;
}

static void
touch(const char *name)
{
	char *path;
	int fd;

	xasprintf(&path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd != -1);
	close(fd);
	free(path);
}

/* The caller's environment is NULL-terminated all, and where the state is. */
static struct conf *
start_with(const char *const *all, size_t n)
{
	char **saved = environ, **copy = xcalloc(n + 3, sizeof *copy);
	struct conf *c;
	size_t i;

	xasprintf(&copy[0], "XDG_RUNTIME_DIR=%s", dir);
	copy[1] = xstrdup("PORT=4711");
	for (i = 0; i < n; i++)
		copy[i + 2] = xstrdup(all[i]);
	environ = copy;
	c = start(COMMAND);
	environ = saved;
	for (i = 0; i < n + 2; i++)
		free(copy[i]);
	free(copy);
	return c;
}

/* ---- what a config can not hold ---- */

static void
variables(void)
{
	static const char *const all[] = {"caf\xe9=1", "FUNC%%=() { :; }",
	    "LATIN=caf\xe9", "LINES=a\nb\tc\x01\xc2\x85\xef\xbf\xbe\x7f",
	    "QUOTES=\"'\\$STATE", "EMPTY=", "TWICE=1", "TWICE=2",
	    "NOTIFY_SOCKET=/x", "TMPDIR=/x", "PATH=/bin"};
	struct conf *c;

	c = start_with(all, sizeof all / sizeof all[0]);
	CHECK(c != NULL);
	CHECK(strstr(said, "caf\\xe9") != NULL);
	CHECK(strstr(said, "FUNC%%") != NULL);
	CHECK(strstr(said, "LATIN") == NULL);
	CHECK(c != NULL && strcmp(variable(c, "LATIN"), "caf\xe9") == 0);
	CHECK(c != NULL && strcmp(variable(c, "LINES"), all[3] + 6) == 0);
	CHECK(c != NULL && strcmp(variable(c, "QUOTES"), all[4] + 7) == 0);
	CHECK(c != NULL && strcmp(variable(c, "EMPTY"), "") == 0);
	CHECK(c != NULL && strcmp(variable(c, "TWICE"), "1") == 0);
	CHECK(c != NULL && strcmp(variable(c, "PATH"), "/bin") == 0);
	CHECK(c != NULL && variable(c, "NOTIFY_SOCKET") == NULL);
	CHECK(c != NULL && strcmp(variable(c, "TMPDIR"), "/x") != 0);
	conf_free(c);
}

/* More of them than there is room for: nothing is lost unsaid. */
static void
many_variables(void)
{
	const char *all[252];
	char names[250][16], big[9000];
	struct conf *c;
	size_t i;

	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	memcpy(big, "BIG=", 4);
	all[0] = big;
	for (i = 0; i < 250; i++) {
		snprintf(names[i], sizeof names[i], "V%zu=1", i);
		all[i + 1] = names[i];
	}
	all[251] = "PATH=/bin";
	c = start_with(all, 252);
	CHECK(c != NULL && strcmp(variable(c, "PATH"), "/bin") == 0);
	CHECK(c != NULL && variable(c, "V0") != NULL);
	CHECK(c != NULL && variable(c, "V249") == NULL);
	CHECK(strstr(said, "long: BIG\n") != NULL);
	CHECK(strstr(said, ": V197, V198, ") != NULL);
	CHECK(strstr(said, " and 45 more\n") != NULL);
	conf_free(c);
}

/* More than one message between us takes. */
static void
long_variables(void)
{
	const char *all[91];
	char *values[90], x[8001];
	struct conf *c;
	size_t i;

	memset(x, 'x', 8000);
	x[8000] = '\0';
	for (i = 0; i < 90; i++) {
		xasprintf(&values[i], "V%zu=%s", i, x);
		all[i] = values[i];
	}
	all[90] = "HOME=/here";
	c = start_with(all, 91);
	CHECK(c != NULL && strcmp(variable(c, "HOME"), "/here") == 0);
	CHECK(c != NULL && variable(c, "V20") != NULL);
	CHECK(c != NULL && variable(c, "V89") == NULL);
	CHECK(strstr(said, ": V32, V33, ") != NULL);
	CHECK(strstr(said, " and 50 more\n") != NULL);
	conf_free(c);
	for (i = 0; i < 90; i++)
		free(values[i]);
}

/* Anybody's, in /tmp. */
static void
files(void)
{
	struct conf *c;

	touch("caf\xe9");
	touch("\xc2\x85\xef\xbf\xbf\"\n: #");
	touch("$STATE");
	touch("mcpgwd-47112");
	c = start(COMMAND);
	CHECK(c != NULL);
	CHECK(strstr(said, "/caf\\xe9") != NULL);
	CHECK(strstr(said, "/$STATE") != NULL);
	CHECK(c != NULL && may_write(c, "\xc2\x85\xef\xbf\xbf\"\n: #"));
	CHECK(c != NULL && may_write(c, "mcpgwd-47112"));
	CHECK(c != NULL && !may_write(c, "mcpgwd-4711"));
	CHECK(c != NULL && !may_write(c, "mcpgwd-4711.sock"));
	conf_free(c);
}

/* Anybody's, too: one that leads to the state, or above it. */
static void
links(void)
{
	struct conf *c;
	char *up, *in, *state, *run;

	xasprintf(&up, "%s/up", dir);
	xasprintf(&in, "%s/in", dir);
	xasprintf(&state, "%s/mcpgwd-4711", dir);
	CHECK(symlink("..", up) == 0 && symlink(state, in) == 0);
	CHECK(mkdir(state, 0700) == 0);
	touch("mcpgwd-4711/pepper");
	c = start(COMMAND);
	CHECK(c != NULL && !may_write(c, "up") && !may_write(c, "in"));
	conf_free(c);
	free(in);
	xasprintf(&in, "%s/pepper", dir);
	free(state);
	xasprintf(&state, "%s/mcpgwd-4711/pepper", dir);
	CHECK(symlink(state, in) == 0);
	c = start(COMMAND);
	CHECK(c != NULL && !may_write(c, "pepper"));
	conf_free(c);
	/* Where the way to the state itself is one. */
	xasprintf(&run, "%s/%s", up, strrchr(dir, '/') + 1);
	CHECK(setenv("XDG_RUNTIME_DIR", run, 1) == 0);
	c = start(COMMAND);
	CHECK(c != NULL && strncmp(c->state, dir, strlen(dir)) == 0);
	conf_free(c);
	CHECK(setenv("XDG_RUNTIME_DIR", dir, 1) == 0);
	free(up);
	free(in);
	free(state);
	free(run);
}

static void
words(void)
{
	struct conf *c;

	c = start(COMMAND " 'a\nb' \xc2\x85 \xef\xbf\xbe '\x01'");
	CHECK(c != NULL && child(c)->argv.n == 5);
	CHECK(c != NULL && strcmp(child(c)->argv.v[1], "a\nb") == 0);
	CHECK(c != NULL && strcmp(child(c)->argv.v[2], "\xc2\x85") == 0);
	CHECK(c != NULL && strcmp(child(c)->argv.v[3], "\xef\xbf\xbe") == 0);
	conf_free(c);
	c = start(COMMAND " one caf\xe9");
	CHECK(c == NULL && strstr(err, "word 3 of") != NULL &&
	      strstr(err, "not UTF-8") != NULL &&
	      strstr(err, "caf\\xe9") != NULL);
	conf_free(c);
}

static void
long_words(void)
{
	char command[9000];
	struct conf *c;
	size_t i;

	memset(command, 'x', sizeof command);
	memcpy(command, COMMAND " ", sizeof COMMAND);
	command[sizeof command - 1] = '\0';
	c = start(command);
	CHECK(c == NULL && strstr(err, "word 2 of") != NULL &&
	      strstr(err, "8192 bytes") != NULL);
	conf_free(c);
	for (i = sizeof COMMAND; i < 200; i += 2)
		memcpy(command + i, "y ", 2);
	command[200] = '\0';
	c = start(command);
	CHECK(c == NULL && strstr(err, "64 words") != NULL);
	conf_free(c);
}

/* In the directory of the state. */
static void
many_files(void)
{
	struct conf *c;
	char name[16], path[64];
	int i, own = 0, theirs = 0;

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "f%03d", i);
		touch(name);
		snprintf(path, sizeof path, "%s/%s", dir, name);
		if (i < 200 && geteuid() == 0)
			CHECK(chown(path, 65534, 65534) == 0);
	}
	c = start(COMMAND);
	CHECK(c != NULL && strstr(said, "XDG_RUNTIME_DIR") != NULL);
	CHECK(strstr(said, "/f") != NULL && strstr(said, " more\n") != NULL);
	for (i = 0; c != NULL && i < 300; i++) {
		snprintf(name, sizeof name, "f%03d", i);
		*(i < 200 ? &theirs : &own) += may_write(c, name);
	}
	/* What is another's comes last. */
	CHECK(geteuid() != 0 || own == 100 || theirs == 0);
	CHECK(theirs < 200);
	conf_free(c);
}

static void
places(void)
{
	struct conf *c;
	char *path;

	xasprintf(&path, "%s/\xe9", dir);
	CHECK(mkdir(path, 0700) == 0 && chdir(path) == 0);
	c = start(COMMAND);
	CHECK(c == NULL && strstr(err, "current directory is not UTF-8"));
	conf_free(c);
	CHECK(chdir("/") == 0);
	CHECK(setenv("XDG_RUNTIME_DIR", path, 1) == 0);
	c = start(COMMAND);
	CHECK(c == NULL && strstr(err, "XDG_RUNTIME_DIR is not UTF-8"));
	conf_free(c);
	free(path);
	xasprintf(&path, "%s/a: #b", dir);
	CHECK(mkdir(path, 0700) == 0);
	CHECK(setenv("XDG_RUNTIME_DIR", path, 1) == 0);
	c = start(COMMAND);
	CHECK(c != NULL && strstr(c->state, "/a: #b/mcpgwd-4711") != NULL);
	conf_free(c);
	CHECK(setenv("XDG_RUNTIME_DIR", dir, 1) == 0);
	free(path);
}

/* May it be started from there? */
static int
from(const char *name)
{
	struct conf *c;
	char *path;
	int ok;

	xasprintf(&path, "%s/%s", dir, name);
	(void)mkdir(path, 0700);
	CHECK(chdir(path) == 0);
	c = start(COMMAND);
	ok = c != NULL && strcmp(child(c)->cwd, path) == 0;
	CHECK(ok || (c == NULL && strstr(err, "not from here") != NULL));
	conf_free(c);
	CHECK(chdir("/") == 0);
	free(path);
	return ok;
}

static void
near(void)
{
	CHECK(from("mcpgwd"));
	CHECK(from("mcpgwd-47"));
	CHECK(from("mcpgwd-47111"));
	CHECK(!from("."));
	CHECK(!from("mcpgwd-4711"));
	CHECK(!from("mcpgwd-4711/db"));
}

static int
unlink_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

int
main(void)
{
	CHECK(mkdtemp(dir) != NULL && chdir("/") == 0);
	CHECK(setenv("PORT", "4711", 1) == 0);
	CHECK(setenv("XDG_RUNTIME_DIR", dir, 1) == 0);
	variables();
	files();
	links();
	words();
	long_words();
	places();
	near();
	many_variables();
	long_variables();
	many_files();
	free(err);
	CHECK(nftw(dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
	TEST_END();
}
