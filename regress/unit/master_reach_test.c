/*
 * What stdio children reach, in a tree of links: what the config is refused
 * for, and what one is given.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../master/reach.h"
#include "compat.h"
#include "test.h"

#define SERVER "command: [%/bin/server], "

static char dir[64];

/* "%" in text stands for dir. */
static char *
fill(const char *text)
{
	char *s = xcalloc(1, 4096), *p;

	for (p = s; *text != '\0' && p < s + 3900; text++)
		if (*text == '%')
			p += sprintf(p, "%s", dir);
		else
			*p++ = *text;
	return s;
}

static void
make_dir(const char *name)
{
	char *path = fill(name);

	CHECK(mkdir(path, 0755) == 0);
	free(path);
}

static void
put_file(const char *name, const char *text)
{
	char *path = fill(name);
	int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0700);

	CHECK(
	    fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	free(path);
}

static void
make_file(const char *name)
{
	put_file(name, "");
}

static void
make_link(const char *to, const char *name)
{
	char *path = fill(name), *target = fill(to);

	CHECK(symlink(target, path) == 0);
	free(target);
	free(path);
}

static void
take(const char *name)
{
	char *path = fill(name);

	CHECK(remove(path) == 0);
	free(path);
}

/* text: the keys of backend a, and what may follow; want: part of the first
 * error, or NULL. */
static struct conf *
load(const char *text, const char *want)
{
	struct strv errs = {NULL, 0};
	struct conf *c;
	char *all, *full, *part = want == NULL ? NULL : fill(want), *name;
	int ok;

	xasprintf(&all,
	    "issuer: https://x\nstate: %%/real/state\nbackends:\n  a: {%s}\n",
	    text);
	full = fill(all);
	name = fill("%/etc/conf");
	c = conf_parse(name, full, strlen(full), 0, &errs);
	ok = part == NULL
		 ? errs.n == 0 && c != NULL
		 : errs.n > 0 && c == NULL && strstr(errs.v[0], part) != NULL;
	CHECK(ok);
	if (!ok)
		printf("%s: %s\n", text, errs.n > 0 ? errs.v[0] : "no error");
	strv_free(&errs);
	free(name);
	free(full);
	free(all);
	free(part);
	return c;
}

static void
check(const char *text, const char *want)
{
	conf_free(load(text, want));
}

static void
put(FILE *f, const char *what, const struct strv *v)
{
	uint32_t i;

	for (i = 0; i < v->n; i++)
		fprintf(f, "%s%s %s", i == 0 ? what : "", i == 0 ? ":" : "",
		    v->v[i]);
	if (v->n > 0)
		fputc('\n', f);
}

/* What the first backend is given: lines "program: …", "read: …", "write: …"
 * beside its own state, and "note: …"; or the error. */
static void
gives(const struct conf *c, const char *want)
{
	const struct conf_be *be;
	struct strv notes = {NULL, 0};
	char *got = NULL, *full = fill(want), *err = NULL, *own;
	struct m_exec x;
	size_t len;
	FILE *f;

	if (c == NULL || (f = open_memstream(&got, &len)) == NULL) {
		CHECK(!"something to be given");
		return;
	}
	be = TAILQ_FIRST(&c->backends);
	x = be->child.x;
	own = fill("%/real/state-backends/a");
	if (reach_given(&x, &be->child, &notes, &err) == -1)
		fputs(err, f);
	else {
		CHECK(x.write.n > 0 && strcmp(x.write.v[0], own) == 0);
		put(f, "program", &x.program);
		put(f, "read", &x.read);
		x.write.v++;
		x.write.n--;
		put(f, "write", &x.write);
		put(f, "note", &notes);
		strv_free(&x.program);
		strv_free(&x.read);
	}
	fclose(f);
	CHECK(strcmp(got, full) == 0);
	if (strcmp(got, full) != 0)
		printf("got:\n%swant:\n%s", got, full);
	strv_free(&notes);
	free(err);
	free(own);
	free(got);
	free(full);
}

static void
gives_text(const char *text, const char *want)
{
	struct conf *c = load(text, NULL);

	gives(c, want);
	conf_free(c);
}

/* ---- what is refused ---- */

/* The state is the same place before it is there and after. */
static void
test_state(void)
{
	int there;

	make_link("%/real", "%/alias");
	for (there = 0; there < 2; there++) {
		check(SERVER "read: [%/alias]",
		    "backends.a.read: %/alias holds %/real/state");
		check(SERVER "cwd: %/alias/", "backends.a.cwd: %/alias/ holds");
		check(SERVER "write: [%/x/../alias]", "backends.a.write: ");
		check(SERVER "read: [%/alias/state/keys]",
		    "%/alias/state/keys lies in %/real/state");
		check(SERVER "read: [%/alias/other], write: [%/alias/state-x]",
		    NULL);
		if (!there)
			make_dir("%/real/state");
	}
	take("%/real/state");
	take("%/alias");
}

/* Whoever may change the link to it could change what it is. */
static void
test_ways(void)
{
	make_dir("%/way");
	make_dir("%/elsewhere");
	make_link("../elsewhere", "%/way/to");
	take("%/etc");
	make_link("way/to", "%/etc");
	check(SERVER "read: [%/way]", NULL);
	check(SERVER "write: [%/way/other]", NULL);
	check(SERVER "write: [%/way]", "%/way holds %/way");
	check(SERVER "read: [%/elsewhere]", "holds %/elsewhere/conf");
	take("%/etc");
	make_dir("%/etc");
	take("%/way/to");
	take("%/way");
	take("%/elsewhere");
}

/* What it may change must not be where it can turn it into something else. */
static void
test_turned(void)
{
	make_dir("%/w");
	make_dir("%/w/b");
	make_link("%/w", "%/w/b/up");
	check(SERVER "write: [%/w/b/up]",
	    "backends.a: what it may change is named by way of %/w/b/up, "
	    "which backend a may change");
	check(SERVER "write: [%/w/b/..]", "by way of %/w/b, which backend a");
	/* Between them. */
	make_dir("%/v");
	make_link("%/v", "%/w/to");
	make_link("%/w", "%/v/to");
	check(SERVER "cwd: %/w/to}\n  b: {" SERVER "write: [%/v/to]",
	    "backends.a: what it may change is named by way of %/w/to, which "
	    "backend b may change");
	take("%/v/to");
	/* Known as somebody's without looking: one child is not started. */
	gives_text(SERVER "cwd: %/w/to}\n  b: {" SERVER "write: [%/w]",
	    "program: %/bin/server %/bin\nwrite: %/w/to\n");
	take("%/w/to");
	take("%/w/b/up");
	take("%/w/b");
	take("%/w");
	take("%/v");
}

/* ---- what is given ---- */

static void
test_spelled(void)
{
	make_dir("%/w");
	make_dir("%/v");
	gives_text(SERVER "write: [%/w/., '%/v//', %/v/x, $STATE/x], read: "
			  "[%/./bin, %/w/x]",
	    "program: %/bin/server %/bin\nread: %/bin\nwrite: %/w %/v\n");
	gives_text(SERVER "cwd: /", "program: %/bin/server %/bin\n");
	make_link("w", "%/link");
	gives_text(SERVER "cwd: %/link, write: [%/link/x, %/none/x]",
	    "program: %/bin/server %/bin\nwrite: %/none/x %/w\n");
	take("%/link");
	take("%/w");
	take("%/v");
}

/* The admin's link leads into what a child may change, which then changes what
 * it leads to. */
static void
test_swapped(void)
{
	static const char text[] = SERVER "read: [%/x/data], write: "
					  "[%/x/share]";
	static const char others[] =
	    SERVER "read: [%/x/data]}\n  b: {" SERVER "write: [%/x/share]";
	static const char given[] =
	    "program: %/bin/server %/bin\nwrite: %/x/share\n";
	struct conf *old, *c;

	make_dir("%/real/state");
	make_dir("%/x");
	make_dir("%/x/share");
	make_dir("%/x/share/data");
	make_link("%/x/share/data", "%/x/data");
	gives_text(text, given);
	gives_text(others, "program: %/bin/server %/bin\n"
			   "read: %/x/share/data\n");
	old = load(text, NULL);
	gives(old, given);
	take("%/x/share/data");
	make_link("%/real/state", "%/x/share/data");
	/* The next start of the child. */
	reach_remember(old);
	gives(old,
	    "program: %/bin/server %/bin\nwrite: %/x/share\n"
	    "note: %/x/data: goes by a link in what this backend may change, "
	    "and gives it nothing; name where it leads\n");
	/* A reload without that, which must not follow either. */
	c = load(SERVER "read: [%/x/data]", NULL);
	gives(c, "program: %/bin/server %/bin\nread: %/x/share/data\n");
	conf_free(c);
	gives_text(others, "program: %/bin/server %/bin\n"
			   "read: %/x/share/data\n");
	conf_free(old);
	take("%/x/share/data");
	take("%/x/data");
	take("%/x/share");
	take("%/x");
	take("%/real/state");
}

/* At a start there is nothing to remember but the config itself. */
static void
test_restarted(void)
{
	struct conf *c;

	make_dir("%/y");
	make_dir("%/y/share");
	make_dir("%/out");
	make_link("%/out", "%/y/share/data");
	make_link("%/y/share/data", "%/y/data");
	c = load(SERVER "read: [%/y/data]}\n  b: {" SERVER "write: [%/y/share]",
	    NULL);
	reach_remember(c);
	gives(c, "program: %/bin/server %/bin\nread: %/y/share/data\n");
	conf_free(c);
	/* Elsewhere they are the admin's own. */
	make_link("%/out", "%/y/mine");
	gives_text(SERVER "read: [%/y/mine]",
	    "program: %/bin/server %/bin\nread: %/out\n");
	take("%/y/mine");
	take("%/y/data");
	take("%/y/share/data");
	take("%/y/share");
	take("%/y");
	take("%/out");
}

/* What only root can have put there is no child's, whatever it is given. */
static void
test_roots(void)
{
	char to[16] = "";

	if (readlink("/var/run", to, sizeof to - 1) == -1)
		return;
	gives_text(SERVER "write: [/var, /var/run/x], read: [/var/run/y]",
	    "program: %/bin/server %/bin\nread: /run/y\nwrite: /var /run/x\n");
	gives_text(SERVER "read: [/var/run/y]}\n  b: {" SERVER "write: [/var]",
	    "program: %/bin/server %/bin\nread: /run/y\n");
}

static void
test_program(void)
{
	struct conf *c;

	/* A virtual environment, or a prefix of npm. */
	make_dir("%/venv");
	make_dir("%/lib");
	make_file("%/lib/python3");
	make_link("%/lib/python3", "%/venv/python3");
	make_link("python3", "%/venv/python");
	gives_text(
	    "command: [%/venv/python]", "program: %/lib/python3 %/venv\n");
	/* In what it may change it needs no rule, and a link gets none. */
	c = load("command: [%/venv/python], write: [%/venv]", NULL);
	reach_remember(c);
	gives(c, "write: %/venv\n");
	conf_free(c);
	/* Nor in what another may change. */
	gives_text("command: [%/venv/python]", "program: %/venv\n");
	make_dir("%/real/state");
	make_file("%/real/server");
	gives_text("command: [%/real/server]",
	    "program: %/real/server\n"
	    "note: %/real: is not for this backend, since it holds "
	    "%/real/state; name in read what it needs there\n");
	take("%/real/server");
	take("%/real/state");
	take("%/venv/python");
	take("%/venv/python3");
	take("%/venv");
	take("%/lib/python3");
	take("%/lib");
}

#define TOKEN ", env: {T: {file: %/sec/token}}"
#define KEY                                                               \
	"}\n  b: {url: 'https://x', cert: {certificate: %/tls/crt, key: " \
	"%/tls/key}"

static void
beside(const char *text, const char *at, const char *file)
{
	char *program, *want;

	xasprintf(&program, "%s/server", at);
	make_file(program);
	xasprintf(&want,
	    "program: %s\nnote: %s: is not for this backend, since it holds "
	    "%s; name in read what it needs there\n",
	    program, at, file);
	gives_text(text, want);
	take(program);
	free(program);
	free(want);
}

/* The config, secrets and keys are ours as state is, wherever they lie. */
static void
test_files(void)
{
	char *sec;

	make_dir("%/sec");
	make_dir("%/tls");
	put_file("%/sec/token", "swordfish");
	put_file("%/tls/key", "-----BEGIN X-----");
	put_file("%/tls/crt", "-----BEGIN X-----");
	put_file("%/etc/conf", "");
	beside("command: [%/etc/server]", "%/etc", "%/etc/conf");
	beside("command: [%/sec/server]" TOKEN, "%/sec", "%/sec/token");
	beside("command: [%/tls/server]" KEY, "%/tls", "%/tls/key");
	check(SERVER "read: [%/sec]" TOKEN,
	    "backends.a.read: %/sec holds %/sec/token");
	check(SERVER "write: [%/tls]" KEY,
	    "backends.a.write: %/tls holds %/tls/key");
	check(SERVER "read: [%/tls/key]" KEY, "backends.a.read: %/tls/key");
	check("command: [%/sec/token]" TOKEN,
	    "backends.a.command: %/sec/token holds");
	gives_text(SERVER "read: [%/tls/crt]" KEY,
	    "program: %/bin/server %/bin\nread: %/tls/crt\n");
	sec = fill("%/sec");
	CHECK(setenv("CREDENTIALS_DIRECTORY", sec, 1) == 0);
	free(sec);
	check(SERVER "read: [%/sec], env: {T: {credential: token}}",
	    "backends.a.read: %/sec holds %/sec/token");
	take("%/etc/conf");
	take("%/sec/token");
	take("%/tls/key");
	take("%/tls/crt");
	take("%/sec");
	take("%/tls");
}

int
main(void)
{
	(void)strlcpy(dir,
	    "/tmp/mcpgwd-reach-XXX"
	    "XXX",
	    sizeof dir);
	CHECK(mkdtemp(dir) != NULL);
	make_dir("%/real");
	make_dir("%/etc");
	make_dir("%/bin");
	make_file("%/bin/server");
	test_state();
	test_ways();
	test_turned();
	test_spelled();
	test_swapped();
	test_restarted();
	test_roots();
	test_program();
	test_files();
	take("%/bin/server");
	take("%/bin");
	take("%/real");
	take("%/etc");
	CHECK(rmdir(dir) == 0);
	TEST_END();
}
