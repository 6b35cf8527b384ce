/*
 * mcpgwd -S: the config of one stdio server on loopback, written from its
 * command line, so that it goes through the same checks as a file. The server
 * runs as if the caller had started it: in his directory, with his environment
 * and his files, but for our own state.
 */
#include <sys/types.h>

#include <dirent.h>
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

#define PORT         4444
#define PASSWORD_RAW 9
#define WORDS_MAX    64
#define VARS_MAX     100 /* as env takes */
#define VALUE_MAX    8192
#define DIRS_MAX     250 /* as write takes */

extern char **environ;

static int words(const char *, struct strv *);
static void put_string(FILE *, const char *, size_t);
static int printable(const char *);
static char *program(const char *, const char *);
static void put_list(FILE *, const char *, const struct strv *);
static void put_env(FILE *);
static int siblings(struct strv *, const char *, const char *);
static int all_but(struct strv *, const char *);
static char *state_dir(unsigned int);
static unsigned int port(void);

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
		if (strv_add(v, word) == -1)
			fatalx("out of memory");
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

static int
printable(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return 0;
	return 1;
}

/* A double-quoted YAML string. */
static void
put_string(FILE *f, const char *s, size_t len)
{
	putc('"', f);
	for (; len > 0; len--, s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', f);
		putc(*s, f);
	}
	putc('"', f);
}

static void
put_list(FILE *f, const char *key, const struct strv *v)
{
	uint32_t i;

	fprintf(f, "    %s:\n", key);
	for (i = 0; i < v->n; i++) {
		fputs("      - ", f);
		put_string(f, v->v[i], strlen(v->v[i]));
		putc('\n', f);
	}
}

/* What the caller's shell would give it. */
static void
put_env(FILE *f)
{
	const char *eq;
	char **e;
	int n = 0;

	fputs("    env:\n", f);
	for (e = environ; *e != NULL && n < VARS_MAX; e++) {
		if ((eq = strchr(*e, '=')) == NULL || strlen(eq) > VALUE_MAX ||
		    !printable(*e) || eq == *e ||
		    strspn(*e, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
			       "uvwxyz0123456789_") < (size_t)(eq - *e) ||
		    (**e >= '0' && **e <= '9') ||
		    strncmp(*e, "NOTIFY_SOCKET=", 14) == 0 ||
		    strncmp(*e, "TMPDIR=", 7) == 0)
			continue;
		fprintf(f, "      %.*s: ", (int)(eq - *e), *e);
		put_string(f, eq + 1, strlen(eq + 1));
		putc('\n', f);
		n++;
	}
	if (n == 0)
		fputs("      LANG: C\n", f);
}

/* Everything in dir (which ends in a slash) but what lies on the way to not. */
static int
siblings(struct strv *v, const char *dir, const char * not )
{
	const struct dirent *de;
	char *path;
	size_t len;
	DIR *d;

	if ((d = opendir(dir)) == NULL)
		return -1;
	while ((de = readdir(d)) != NULL && v->n < DIRS_MAX) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0 || !printable(de->d_name))
			continue;
		xasprintf(&path, "%s%s", dir, de->d_name);
		len = strlen(path);
		if ((strncmp(not, path, len) != 0 ||
			(not [len] != '/' && not [len] != '\0')) &&
		    access(path, F_OK) == 0 && strv_add(v, path) == -1)
			fatalx("out of memory");
		free(path);
	}
	closedir(d);
	return 0;
}

/* All files there are but our state: what lies beside each part of its path. */
static int
all_but(struct strv *v, const char *state)
{
	const char *slash = state;
	char *dir;
	int rv = 0;

	while (rv == 0 && (slash = strchr(slash, '/')) != NULL) {
		slash++;
		xasprintf(&dir, "%.*s", (int)(slash - state), state);
		rv = siblings(v, dir, state);
		free(dir);
	}
	return rv;
}

/* Where it is gone with the session: sign-ins of a server that is tried out
 * need not outlive it, and no file of the caller's lies beside it. */
static char *
state_dir(unsigned int p)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	char *s;

	if (dir != NULL && *dir == '/' && access(dir, W_OK) == 0)
		xasprintf(&s, "%s/mcpgwd-%u", dir, p);
	else
		xasprintf(&s, "/tmp/mcpgwd-%u-%u", (unsigned int)getuid(), p);
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

char *
single_conf(const char *command, int noauth, char **err)
{
	struct strv argv = {NULL, 0}, dirs = {NULL, 0};
	uint8_t raw[PASSWORD_RAW];
	char password[B64URL_LEN(PASSWORD_RAW) + 1];
	char cwd[PATH_MAX], *state, *text = NULL, *full = NULL;
	unsigned int p = port();
	size_t len;
	FILE *f;

	*err = NULL;
	state = state_dir(p);
	if (p == 0)
		xasprintf(err, "PORT=%s is no port", getenv("PORT"));
	else if (!printable(command) || words(command, &argv) == -1 ||
		 argv.n == 0 || argv.n > WORDS_MAX)
		xasprintf(err, "-S: give the command as one argument, its "
			       "words apart by blanks; quotes must be closed");
	else if (getcwd(cwd, sizeof cwd) == NULL || !printable(cwd) ||
		 (strcmp(cwd, "/") != 0 &&
		     strncmp(state, cwd, strlen(cwd)) == 0))
		xasprintf(err,
		    "-S: not from here, where the state of the "
		    "gateway will be (%s): go to another directory",
		    state);
	else if ((full = program(argv.v[0], cwd)) == NULL)
		xasprintf(err, "-S: %s is not in PATH", argv.v[0]);
	else if (all_but(&dirs, state) == -1)
		xasprintf(
		    err, "-S: what lies beside %s can not be read", state);
	if (*err != NULL)
		goto out;
	free(argv.v[0]);
	argv.v[0] = full;
	arc4random_buf(raw, sizeof raw);
	b64url_encode(password, raw, sizeof raw);
	if ((f = open_memstream(&text, &len)) == NULL)
		fatalx("out of memory");
	fprintf(f,
	    "issuer: http://localhost:%u\n"
	    "listen: [{address: \"127.0.0.1:%u\"}]\n"
	    "workers: 2\n"
	    "state: %s\n"
	    "control: %s.sock\n"
	    "auth:\n"
	    "  password: %s\n"
	    "endpoints:\n"
	    "  /mcp: {backends: [server], prefix: none, auth: %s}\n"
	    "backends:\n"
	    "  server:\n"
	    "    instance: session\n"
	    "    declare: [sampling, elicitation, roots]\n"
	    "    cwd: ",
	    p, p, state, state, password, noauth ? "none" : "required");
	put_string(f, cwd, strlen(cwd));
	putc('\n', f);
	put_list(f, "command", &argv);
	put_list(f, "write", &dirs);
	put_env(f);
	if (ferror(f) || fclose(f) != 0)
		fatalx("out of memory");
	if (noauth)
		xasprintf(&master.banner,
		    "http://localhost:%u/mcp (for everybody on this machine)",
		    p);
	else
		xasprintf(&master.banner,
		    "http://localhost:%u/mcp  name: owner  password: %s", p,
		    password);
out:
	strv_free(&argv);
	strv_free(&dirs);
	free(state);
	return text;
}
