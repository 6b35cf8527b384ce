/*
 * The config: regress/conf/good must load and print to something that loads
 * and prints the same; regress/conf/bad must each give exactly the one error
 * that its first line announces, "# expect: LINE: key: part of the message".
 * Then includes, secrets and file modes, in a directory of their own.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../master/conf.h"
#include "compat.h"
#include "test.h"

#define PEM(s) "-----BEGIN X-----\n" s "\n-----END X-----\n"

static char dir[] = "/tmp/mcpgwd-conf-XX"
		    "XX"
		    "XX";

static char *
slurp(const char *path, size_t *len)
{
	FILE *f;
	char *buf;

	buf = xcalloc(1, 65536);
	*len = 0;
	if ((f = fopen(path, "r")) != NULL) {
		*len = fread(buf, 1, 65535, f);
		fclose(f);
	}
	return buf;
}

static char *
print(const struct conf *c)
{
	char *buf = NULL;
	size_t len;
	FILE *f;

	if ((f = open_memstream(&buf, &len)) == NULL)
		return xstrdup("");
	conf_print(f, c);
	fclose(f);
	return buf;
}

static void
complain(const char *path, const struct strv *errs)
{
	uint32_t i;

	printf("%s: %u errors\n", path, errs->n);
	for (i = 0; i < errs->n; i++)
		printf("  %s\n", errs->v[i]);
}

static void
good(const char *path)
{
	struct strv errs = {NULL, 0};
	struct conf *a, *b = NULL;
	char *text, *pa = NULL, *pb = NULL;
	size_t len;

	text = slurp(path, &len);
	a = conf_parse(path, text, len, 0, &errs);
	if (a != NULL) {
		pa = print(a);
		b = conf_parse("printed", pa, strlen(pa), 0, &errs);
	}
	if (b != NULL)
		pb = print(b);
	if (errs.n > 0)
		complain(path, &errs);
	CHECK(a != NULL);
	CHECK(b != NULL);
	CHECK(pa != NULL && pb != NULL && strcmp(pa, pb) == 0);
	CHECK(pa != NULL && strstr(pa, "swordfish") == NULL);
	conf_free(a);
	conf_free(b);
	free(text);
	free(pa);
	free(pb);
	strv_free(&errs);
}

static void
bad(const char *path)
{
	struct strv errs = {NULL, 0};
	struct conf *c;
	char *text, *want, *part = NULL, *line, start[512] = "?";
	size_t len;
	int ok;

	text = slurp(path, &len);
	c = conf_parse(path, text, len, 0, &errs);
	CHECK(c == NULL);
	conf_free(c);
	line = xstrdup(text);
	line[strcspn(line, "\n")] = '\0';
	/* LINE: key: part; a key holds no ": ". */
	if (strncmp(line, "# expect: ", 10) == 0 &&
	    (want = strstr(line + 10, ": ")) != NULL &&
	    (part = strstr(want + 2, ": ")) != NULL) {
		*part = '\0';
		part += 2;
		snprintf(start, sizeof start, "%s:%s: ", path, line + 10);
	}
	ok = errs.n == 1 && part != NULL &&
	     strncmp(errs.v[0], start, strlen(start)) == 0 &&
	     strstr(errs.v[0] + strlen(start), part) != NULL;
	if (!ok)
		complain(path, &errs);
	CHECK(ok);
	free(line);
	free(text);
	strv_free(&errs);
}

static unsigned int
walk(const char *base, const char *sub, void (*one)(const char *))
{
	const struct dirent *de;
	char *name, *path;
	size_t n;
	unsigned int count = 0;
	DIR *d;

	xasprintf(&name, "%s/%s", base, sub);
	if ((d = opendir(name)) == NULL) {
		printf("%s is not there\n", name);
		free(name);
		return 0;
	}
	while ((de = readdir(d)) != NULL) {
		n = strlen(de->d_name);
		if (n < 4 || strcmp(de->d_name + n - 4, ".yml") != 0)
			continue;
		xasprintf(&path, "%s/%s", name, de->d_name);
		one(path);
		free(path);
		count++;
	}
	closedir(d);
	free(name);
	return count;
}

/* ---- files ---- */

static void
put(const char *name, const char *text, mode_t mode)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if ((f = fopen(path, "w")) == NULL)
		return;
	fputs(text, f);
	fclose(f);
	CHECK(chmod(path, mode) == 0);
}

/* Loads DIR/main.conf; want: NULL, or part of the one error. */
static struct conf *
load(const char *text, const char *want)
{
	struct strv errs = {NULL, 0};
	struct conf *c;
	char path[256];

	put("main.conf", text, 0600);
	snprintf(path, sizeof path, "%s/main.conf", dir);
	c = conf_load(path, 0, &errs);
	if (want == NULL) {
		if (c == NULL)
			complain(path, &errs);
		CHECK(c != NULL);
	} else {
		CHECK(c == NULL);
		if (errs.n != 1 || strstr(errs.v[0], want) == NULL)
			complain(want, &errs);
		CHECK(errs.n == 1 && strstr(errs.v[0], want) != NULL);
	}
	strv_free(&errs);
	return c;
}

#define ISSUER "issuer: http://localhost:4444\n"

static void
secrets(void)
{
	struct conf *c;
	const struct kv *kv;

	put("pw", "swordfish swordfish\n", 0600);
	c = load(ISSUER "auth: {password: {file: pw}}\n", NULL);
	CHECK(c != NULL && strcmp(c->password, "swordfish swordfish") == 0);
	conf_free(c);
	put("open", "swordfish\n", 0666);
	load(ISSUER "auth: {password: {file: open}}\n", "chmod go-w");
	put("void", "\n", 0600);
	load(ISSUER "auth: {password: {file: void}}\n", "the file is empty");
	load(ISSUER "auth: {password: {file: none}}\n",
	    "none: No such file or directory");
	load(ISSUER "auth: {password: {file: .}}\n", "not a regular file");
	load(ISSUER "auth: {password: {env: MCPGWD_NONE}}\n", "is not set");
	load(ISSUER "auth: {password: {credential: pw}}\n", "LoadCredential");
	CHECK(setenv("CREDENTIALS_DIRECTORY", dir, 1) == 0);
	load(ISSUER "auth: {password: {credential: ../pw}}\n", "no name of");
	c = load(ISSUER "auth: {password: {credential: pw}}\n", NULL);
	conf_free(c);
	put("two", "a\nb\n", 0600);
	load(ISSUER
	    "backends: {x: {url: 'http://h/', headers: {X-Y: {file: two}}}}\n",
	    "a second line");
	c = load(ISSUER "backends: {x: {url: 'http://h/', "
			"headers: {X-Y: {file: pw}}}}\n",
	    NULL);
	if (c != NULL) {
		kv = TAILQ_FIRST(&c->backends)->b.headers.p;
		CHECK(strcmp(kv->name, "X-Y") == 0);
		CHECK(strcmp(kv->value, "swordfish swordfish") == 0);
	}
	conf_free(c);
}

static void
certificates(void)
{
	struct conf *c;
	const struct conf_listen *cl;
	const struct conf_backend *b;

	put("crt", PEM("the certificate"), 0644);
	put("key", PEM("swordfish"), 0600);
	put("two", PEM("the certificate"), 0666);
	c = load(ISSUER
	    "listen:\n  - {tls: {certificate: crt, key: {file: key}}, "
	    "address: '127.0.0.1:443'}\n  - {address: '127.0.0.1:80'}\n"
	    "backends: {a: {url: 'https://h/', ca: crt, "
	    "cert: {certificate: crt, key: key}}, b: {url: 'https://h/'}}\n",
	    NULL);
	if (c != NULL) {
		cl = TAILQ_FIRST(&c->listens);
		CHECK(strcmp(cl->tls.cert.text, PEM("the certificate")) == 0);
		CHECK(strcmp(cl->tls.key.text, PEM("swordfish")) == 0);
		CHECK(cl->tls.cert.pos.line == 3);
		cl = TAILQ_NEXT(cl, entry);
		CHECK(cl->tls.cert.how == NULL);
		b = &TAILQ_FIRST(&c->backends)->b;
		CHECK(b->tls == 1 && b->port == 443);
		CHECK(strcmp(b->ca, PEM("the certificate")) == 0);
		CHECK(strcmp(b->cert, PEM("the certificate")) == 0);
		CHECK(strcmp(b->key, PEM("swordfish")) == 0);
		b = &TAILQ_NEXT(TAILQ_FIRST(&c->backends), entry)->b;
		CHECK(b->tls == 1 && b->ca == NULL && b->cert == NULL);
	}
	conf_free(c);
	load(ISSUER "listen: [{address: '127.0.0.1:443', "
		    "tls: {certificate: two, key: key}}]\n",
	    "main.conf:2: listen.tls.certificate: ");
	load(ISSUER "listen: [{address: '127.0.0.1:443', "
		    "tls: {certificate: crt, key: pw}}]\n",
	    "main.conf:2: listen.tls.key: ");
}

static void
includes(void)
{
	struct conf *c;
	const struct conf_be *be;
	char path[256];

	snprintf(path, sizeof path, "%s/d", dir);
	CHECK(mkdir(path, 0700) == 0);
	put("d/1.yaml", "backends: {b: {url: 'http://b/'}}\n", 0600);
	put("d/2.yaml", "limits: {body: 1M}\n", 0600);
	c = load(ISSUER "include: d/*.yaml\n"
			"backends: {a: {url: 'http://a/'}}\n",
	    NULL);
	if (c != NULL) {
		be = TAILQ_FIRST(&c->backends);
		CHECK(strcmp(be->b.name, "a") == 0);
		be = TAILQ_NEXT(be, entry);
		CHECK(be != NULL && strcmp(be->b.name, "b") == 0);
		CHECK(be != NULL && strstr(be->pos.file, "d/1.yaml") != NULL);
		CHECK(c->body == 1 << 20);
	}
	conf_free(c);
	load(ISSUER "include: [d/1.yaml]\n"
		    "backends: {b: {url: 'http://a/'}}\n",
	    "d/1.yaml:1: backends.b: given twice");
	put("d/3.yaml", "issuer: https://x\n", 0600);
	load(ISSUER "include: d/3.yaml\n", "d/3.yaml:1: issuer: given twice");
	put("d/3.yaml", "\nlimits: {bodi: 1M}\n", 0600);
	load(ISSUER "include: d/3.yaml\n",
	    "d/3.yaml:2: limits.bodi: unknown key; did you mean body?");
	put("d/3.yaml", "include: x\n", 0600);
	load(ISSUER "include: d/3.yaml\n", "main file only");
	put("d/3.yaml", "names: {max: 40}\n", 0622);
	load(ISSUER "include: d/3.yaml\n", "chmod go-w");
	load(ISSUER "include: none.yaml\n", "No such file");
	c = load(ISSUER "include: none.d/*.yaml\n", NULL);
	conf_free(c);
}

static void
modes(void)
{
	struct strv errs = {NULL, 0};
	char path[256];

	put("open.conf", ISSUER, 0620);
	snprintf(path, sizeof path, "%s/open.conf", dir);
	CHECK(conf_load(path, 0, &errs) == NULL);
	CHECK(errs.n == 1 && strstr(errs.v[0], "chmod go-w") != NULL);
	strv_free(&errs);
	CHECK(conf_load("/nonexistent/x", 0, &errs) == NULL);
	CHECK(errs.n == 1);
	strv_free(&errs);
}

/* What was not said has the value that the manual gives. */
static void
defaults(void)
{
	struct conf *c;
	const struct conf_ep *ep;

	c = load(ISSUER "backends: {a: {url: 'http://[::1]:81/m?q'}}\n", NULL);
	if (c == NULL)
		return;
	CHECK(c->access_token_ttl == 3600 && c->refresh_grace == 60);
	CHECK(c->session_ttl == 2592000 && c->drain == 3600);
	CHECK(c->auth_failures_per_ip.count == 10);
	CHECK(c->auth_failures_per_ip.window == 60);
	CHECK(c->body == 16 << 20 && c->connections == 10000);
	CHECK(c->names_max == 44 && strcmp(c->separator, "_") == 0);
	CHECK(strcmp(TAILQ_FIRST(&c->backends)->b.host, "::1") == 0);
	CHECK(TAILQ_FIRST(&c->backends)->b.port == 81);
	CHECK(strcmp(TAILQ_FIRST(&c->backends)->b.authority, "[::1]:81") == 0);
	CHECK(strcmp(TAILQ_FIRST(&c->backends)->b.target, "/m?q") == 0);
	ep = TAILQ_FIRST(&c->endpoints);
	CHECK(strcmp(ep->path, "/mcp") == 0 && ep->all && !ep->prefix);
	ep = TAILQ_NEXT(ep, entry);
	CHECK(strcmp(ep->path, "/a/mcp") == 0 && ep->prefix == PREFIX_NONE);
	CHECK(TAILQ_FIRST(&c->listens)->loopback);
	conf_free(c);
}

/* ---- stdio backends ---- */

/* want: NULL, or part of the one error. */
static struct conf *
parse(const char *text, unsigned int flags, const char *want)
{
	struct strv errs = {NULL, 0};
	struct conf *c;
	int ok;

	c = conf_parse("text", text, strlen(text), flags, &errs);
	ok = want == NULL
		 ? c != NULL
		 : c == NULL && errs.n == 1 && strstr(errs.v[0], want) != NULL;
	if (!ok)
		complain(want != NULL ? want : text, &errs);
	CHECK(ok);
	strv_free(&errs);
	return c;
}

static const char *
env_of(const struct conf_child *h, const char *name)
{
	const struct kv *kv = h->x.env.p;
	uint32_t i;

	for (i = 0; i < h->x.env.n; i++)
		if (strcmp(kv[i].name, name) == 0)
			return kv[i].value;
	return "(none)";
}

#define STDIO "state: /st\nbackends:\n  a: {command: "

static void
child_defaults(void)
{
	struct conf *c;
	const struct conf_be *be;
	const struct conf_child *h;

	if ((c = parse(ISSUER STDIO "[cat, '']}\n", 0, NULL)) == NULL)
		return;
	be = TAILQ_FIRST(&c->backends);
	h = &be->child;
	CHECK(be->b.stdio == INSTANCE_SHARED && be->b.declare == 0);
	CHECK(strcmp(be->b.url, "stdio") == 0 && be->b.port == 0);
	CHECK(strcmp(h->s.name, "a") == 0 && h->s.instance == be->b.stdio);
	CHECK(h->s.max_instances == 1 && h->s.idle == 1800);
	CHECK(h->s.start_timeout == 30 && h->s.stop_timeout == 5);
	/* Nobody who waits for it gives up before. */
	CHECK(be->b.opening > h->s.start_timeout + h->s.stop_timeout);
	CHECK(strcmp(h->x.name, "a") == 0 && h->x.argv.n == 2);
	CHECK(*h->x.argv.v[0] == '/' && access(h->x.argv.v[0], X_OK) == 0);
	CHECK(*h->x.argv.v[1] == '\0');
	CHECK(strcmp(h->state, "/st-backends/a") == 0);
	CHECK(strcmp(h->x.cwd, "/st-backends/a") == 0);
	CHECK(strcmp(h->x.tmp, "/st-backends/a/tmp") == 0);
	CHECK(h->x.env.n == 2);
	CHECK(strcmp(env_of(h, "TMPDIR"), h->x.tmp) == 0);
	CHECK(strcmp(env_of(h, "PATH"), "/usr/local/bin:/usr/bin:/bin") == 0);
	CHECK(h->x.memory == 1ull << 30 && h->x.processes == 64);
	CHECK(h->x.files == 256 && h->x.cpu == 0 && h->x.jit == 1);
	CHECK(h->x.network == NETWORK_ANY);
	CHECK(h->x.read.n == 0 && h->x.write.n == 0);
	CHECK(!h->x.root && h->x.uid == 0 && h->x.gid == 0);
	conf_free(c);
}

static void
child_values(void)
{
	struct conf *c;
	const struct conf_be *be;
	const struct conf_child *h;
	char *text;

	/* state stands behind what it is put into. */
	c = parse(ISSUER "backends:\n  a: {command: [/bin/cat, $STATE/x], "
			 "instance: principal, memory: 64G, network: none, "
			 "env: {A: 'x:$STATE:$STATE/y', PATH: /p, S: {env: "
			 "MCPGWD_TEST}}, write: [$STATE/w]}\nstate: /st\n",
	    0, NULL);
	if (c != NULL) {
		be = TAILQ_FIRST(&c->backends);
		h = &be->child;
		CHECK(h->s.max_instances == 16 && be->b.declare != 0);
		CHECK(h->x.memory == 64ull << 30);
		CHECK(h->x.network == NETWORK_NONE);
		CHECK(strcmp(h->x.argv.v[1], "/st-backends/a/x") == 0);
		CHECK(strcmp(h->x.write.v[0], "/st-backends/a/w") == 0);
		CHECK(strcmp(env_of(h, "A"),
			  "x:/st-backends/a:/st-backends/a/y") == 0);
		CHECK(strcmp(env_of(h, "PATH"), "/p") == 0);
		CHECK(strcmp(env_of(h, "S"), "swordfish swordfish") == 0);
		text = print(c);
		CHECK(strstr(text, "      S: (set)\n") != NULL);
		CHECK(strstr(text, "      PATH: /p\n") != NULL);
		CHECK(strstr(text, "swordfish") == NULL);
		free(text);
	}
	conf_free(c);
	c = parse(ISSUER STDIO "[no-such-program]}\n", CONF_NOSECRETS, NULL);
	if (c != NULL)
		CHECK(strcmp(TAILQ_FIRST(&c->backends)->child.x.argv.v[0],
			  "/usr/bin/no-such-program") == 0);
	conf_free(c);
	/* What $STATE stands for counts. */
	xasprintf(&text, ISSUER STDIO "[cat, '%01000d']}\n", 0);
	memcpy(strstr(text, "'0") + 1, "$STATE$STATE$STATE", 18);
	conf_free(parse(text, 0, NULL));
	free(text);
}

/* As many variables as there may be, and ours beside them, read back. */
static void
child_env(void)
{
	struct conf *c;
	char *text, *printed, *p;
	int i, n;

	text = xcalloc(1, 4096);
	for (n = 200; n <= 201; n++) {
		p = text;
		p += sprintf(p, ISSUER STDIO "[cat], env: {A0: x");
		for (i = 1; i < n; i++)
			p += sprintf(p, ", A%d: x", i);
		sprintf(p, "}}\n");
		c = parse(text, 0, n == 200 ? NULL : "more than 200");
		if (c == NULL)
			continue;
		CHECK(TAILQ_FIRST(&c->backends)->child.x.env.n == 202);
		printed = print(c);
		conf_free(parse(printed, 0, NULL));
		free(printed);
		conf_free(c);
	}
	free(text);
}

/* ---- users that are on no machine, in the place of libc's ---- */

#define FAKE_AUTH  999001
#define FAKE_GROUP 999003

struct passwd *
getpwnam(const char *name)
{
	static const struct {
		const char *name;
		uid_t uid;
		gid_t gid;
	} fakes[] = {{"_mcpauth", FAKE_AUTH, FAKE_AUTH},
	    {"_mcpgw", FAKE_AUTH + 1, FAKE_GROUP},
	    {"_alias", FAKE_AUTH, 999010}, {"_member", 999011, 999011},
	    {"_primary", 999012, FAKE_GROUP}, {"_good", 999013, 999013},
	    {"nobody", 65534, 65534}};
	static struct passwd pw;
	static char text[32];
	size_t i;

	for (i = 0; i < sizeof fakes / sizeof fakes[0]; i++) {
		if (strcmp(name, fakes[i].name) != 0)
			continue;
		(void)strlcpy(text, name, sizeof text);
		pw.pw_name = text;
		pw.pw_uid = fakes[i].uid;
		pw.pw_gid = fakes[i].gid;
		return &pw;
	}
	if (strcmp(name, "root") != 0)
		return NULL;
	pw.pw_uid = pw.pw_gid = 0;
	return &pw;
}

struct group *
getgrnam(const char *name)
{
	(void)name;
	return NULL;
}

int
getgrouplist(const char *name, gid_t gid, gid_t *groups, int *n)
{
	groups[0] = gid;
	groups[1] = FAKE_AUTH;
	*n = strcmp(name, "_member") == 0 ? 2 : 1;
	return *n;
}

/* Without users of their own only Landlock keeps children from our files. */
static void
child_apart(void)
{
	struct conf *c;

	c = parse(ISSUER STDIO "[cat], cwd: /, read: [/stuff, /st-backends], "
			       "write: [$STATE/x, /st/../other]}\n",
	    0, NULL);
	CHECK(c != NULL);
	conf_free(c);
	parse(ISSUER STDIO "[cat], cwd: /st}\n", 0,
	    "backends.a.cwd: /st holds /st, which is not for a backend");
	parse(ISSUER STDIO "[cat], read: [/usr, /st/]}\n", 0,
	    "backends.a.read: /st/ holds /st");
	parse(ISSUER STDIO "[cat], write: [/]}\n", 0,
	    "backends.a.write: / holds /st");
	c = parse(
	    ISSUER STDIO "[cat], user: nobody, read: [/]}\n", CONF_ROOT, NULL);
	CHECK(c != NULL);
	conf_free(c);
}

/* A user or a group of ours by another name. */
static void
child_ours(void)
{
	struct conf *c;

	c = parse(ISSUER STDIO "[cat], user: _good}\n", CONF_ROOT, NULL);
	CHECK(c != NULL);
	conf_free(c);
	parse(ISSUER STDIO "[cat], user: _alias}\n", CONF_ROOT,
	    "_alias has the id of _mcpauth, a user of mcpgwd's own");
	parse(ISSUER STDIO "[cat], user: _member}\n", CONF_ROOT,
	    "_member is in group 999001 of _mcpauth, a user of mcpgwd's own");
	parse(ISSUER STDIO "[cat], user: _primary}\n", CONF_ROOT,
	    "_primary is in group 999003 of _mcpgw, a user of mcpgwd's own");
}

static void
child_users(void)
{
	struct conf *c;
	const struct conf_child *h;

	parse(ISSUER STDIO "[cat]}\n", CONF_ROOT, "backends.a: has no user");
	c = parse(ISSUER STDIO "[cat], user: nobody}\n", CONF_ROOT, NULL);
	if (c != NULL) {
		h = &TAILQ_FIRST(&c->backends)->child;
		CHECK(h->x.root == 1 && h->x.uid != 0 && h->x.gid != 0);
		CHECK(h->x.groups.n >= 1 && strcmp(h->user, "nobody") == 0);
	}
	conf_free(c);
	parse(ISSUER STDIO "[cat], user: nobody}\n"
			   "  b: {command: [cat], user: nobody}\n",
	    CONF_ROOT, "nobody is that of backend a already");
	parse(ISSUER STDIO "[cat], user: root}\n", CONF_ROOT,
	    "root is root; give the backend a user of its own");
	parse(ISSUER STDIO "[cat], user: _mcpgw}\n", CONF_ROOT,
	    "_mcpgw is a user of mcpgwd's own");
	parse(ISSUER STDIO "[cat], user: _no_such_user}\n", CONF_ROOT,
	    "useradd --system");
}

static void
clean(void)
{
	static const char *const names[] = {"main.conf", "pw", "open", "void",
	    "two", "crt", "key", "d/1.yaml", "d/2.yaml", "d/3.yaml", "d",
	    "open.conf"};
	char path[256];
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		CHECK(remove(path) == 0);
	}
	CHECK(rmdir(dir) == 0);
}

int
main(int argc, char *argv[])
{
	const char *base = argc > 1 ? argv[1] : "regress/conf";
	char *sample;

	umask(022);
	CHECK(setenv("MCPGWD_TEST", "swordfish swordfish", 1) == 0);
	CHECK(setenv("MCPGWD_TEST_PEM", PEM("swordfish"), 1) == 0);
	CHECK(walk(base, "good", good) >= 5);
	CHECK(walk(base, "bad", bad) >= 40);
	xasprintf(&sample, "%s/../../etc/mcpgwd.conf", base);
	good(sample);
	free(sample);
	CHECK(mkdtemp(dir) != NULL);
	secrets();
	certificates();
	includes();
	modes();
	defaults();
	child_defaults();
	child_values();
	child_env();
	child_users();
	child_apart();
	child_ours();
	clean();
	TEST_END();
}
