/*
 * -S: the config that is written from a command line holds whatever the caller
 * has, and what it can not hold is said: names that are not UTF-8.
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

static char dir[] = "/tmp/mcpgwd-single-XX"
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

/* ---- what a config can not hold ---- */

static void
variables(void)
{
	char given[64];
	char *const all[] = {"caf\xe9=1", "FUNC%%=() { :; }", "LATIN=caf\xe9",
	    "LINES=a\nb\tc\x01\xc2\x85\xef\xbf\xbe\x7f", "QUOTES=\"'\\$STATE",
	    "EMPTY=", "TWICE=1", "TWICE=2", "NOTIFY_SOCKET=/x", "TMPDIR=/x",
	    given, "PATH=/bin", NULL};
	char **saved = environ, *copy[sizeof all / sizeof all[0]];
	struct conf *c;

	snprintf(given, sizeof given, "XDG_RUNTIME_DIR=%s", dir);
	memcpy(copy, all, sizeof copy);
	environ = copy;
	c = start(COMMAND);
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
	environ = saved;
}

/* Anybody's, in /tmp. */
static void
files(void)
{
	struct conf *c;

	touch("caf\xe9");
	touch("\xc2\x85\xef\xbf\xbf\"\n: #");
	touch("$STATE");
	touch("mcpgwd-47111");
	c = start(COMMAND);
	CHECK(c != NULL);
	CHECK(strstr(said, "/caf\\xe9") != NULL);
	CHECK(strstr(said, "/$STATE") != NULL);
	CHECK(c != NULL && may_write(c, "\xc2\x85\xef\xbf\xbf\"\n: #"));
	CHECK(c != NULL && may_write(c, "mcpgwd-47111"));
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
	places();
	free(err);
	CHECK(nftw(dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
	TEST_END();
}
