/*
 * Keys of a stdio backend: the command, its user, its environment, its limits.
 */
#include <sys/stat.h>

#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "load.h"
#include "log.h"

#define OPENING_TIME  14 /* s; of a backend with a url */
#define OPENING_SLACK 2 /* s, for runner to say that it has failed */
#define MINUTE        60u
#define GROUPS_MAX    64
#define MEMORY_MIN    (16ull << 20)
#define MEMORY_MAX    (64ull << 30)
#define GIB           (1ull << 30)

/* What the messages carry, so that what loads is also what can be printed and
 * read back after $STATE has been put in. */
#define PATH_LEN 1024

#define STATE     "$STATE"
#define STATE_LEN (sizeof(STATE) - 1)

static void set_command(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_user(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_env(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_cwd(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_byte(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_memory(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static const char *check_dir(const char *);
static char *lookup(const char *);
static int env_ours(const char *);
static const struct kv *env_find(const struct m_exec *, const char *);
static void env_add(struct m_exec *, const char *, char *);
static void expand(char **, const char *);
static void expand_dirs(struct strv *, const char *);
static void groups_of(struct load *, const struct node *, const char *,
    struct conf_child *, const struct passwd *);
static void check_ours(struct load *, const struct node *, const char *,
    const struct conf_child *, const char *);

/* Whom mcpgwd's own processes run as, or have run. */
static const char *const ours[] = {
    "_mcpgw", "_mcpauth", "_mcprun", "_mcpfetch", NULL};

static const struct listcheck dirs = {check_dir};
static const struct word instances[] = {{"shared", INSTANCE_SHARED},
    {"principal", INSTANCE_PRINCIPAL}, {"session", INSTANCE_SESSION},
    {NULL, 0}};
static const struct word networks[] = {{"any", NETWORK_ANY},
    {"none", NETWORK_NONE}, {"loopback", NETWORK_LOOPBACK}, {NULL, 0}};
static const struct word truths[] = {{"true", 1}, {"false", 0}, {NULL, 0}};

#define H(field) offsetof(struct conf_be, child.field)
const struct keydef schema_child[] = {
    {"command", set_command, H(x.argv), 0, ARGS_MAX, NULL},
    {"user", set_user, 0, 0, 0, NULL},
    {"env", set_env, 0, 0, ENV_MAX, NULL},
    {"cwd", set_cwd, H(x.cwd), 0, 0, NULL},
    {"instance", set_byte, offsetof(struct conf_be, b.stdio), 0, 0, instances},
    {"max_instances", set_uint, H(s.max_instances), 1, 1000, NULL},
    {"idle", set_duration, H(s.idle), 0, 365 * DAY, NULL},
    {"start_timeout", set_duration, H(s.start_timeout), 1, 10 * MINUTE, NULL},
    {"stop_timeout", set_duration, H(s.stop_timeout), 1, 10 * MINUTE, NULL},
    {"memory", set_memory, H(x.memory), 0, 0, NULL},
    {"processes", set_uint, H(x.processes), 0, 100000, NULL},
    {"files", set_uint, H(x.files), 16, 1000000, NULL},
    {"cpu", set_duration, H(x.cpu), 0, 365 * DAY, NULL},
    {"network", set_byte, H(x.network), 0, 0, networks},
    {"read", set_list, H(x.read), 0, DIRS_MAX, &dirs},
    {"write", set_list, H(x.write), 0, DIRS_MAX, &dirs},
    {"jit", set_byte, H(x.jit), 0, 0, truths},
    {NULL, NULL, 0, 0, 0, NULL},
};

void
child_defaults(struct conf_be *be)
{
	be->b.stdio = INSTANCE_SHARED;
	be->child.s.max_instances = 16;
	be->child.s.idle = 30 * MINUTE;
	be->child.s.start_timeout = 30;
	be->child.s.stop_timeout = 5;
	be->child.x.memory = GIB;
	be->child.x.processes = 64;
	be->child.x.files = 256;
	be->child.x.jit = 1;
}

/* ---- setters ---- */

/* A program without a path, where a shell would find it. malloc'd or NULL. */
static char *
lookup(const char *name)
{
	static const char *const path[] = {"/usr/local/sbin", "/usr/local/bin",
	    "/usr/sbin", "/usr/bin", "/sbin", "/bin", NULL};
	struct stat st;
	char *full;
	size_t i;

	for (i = 0; path[i] != NULL; i++) {
		full = path_join(path[i], name);
		if (stat(full, &st) == 0 && S_ISREG(st.st_mode) &&
		    (st.st_mode & 0111))
			return full;
		free(full);
	}
	return NULL;
}

static void
set_command(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct strv *argv = field;
	const struct node *kid;
	struct stat st;
	char *full;

	if (node_list(l, n, path) == NULL)
		return;
	if (n->nkids == 0 || n->nkids > d->max) {
		node_err(l, n, path, "give a program and at most %u arguments",
		    d->max - 1);
		return;
	}
	strv_free(argv);
	TAILQ_FOREACH (kid, &n->kids, entry) {
		if (kid->type != NODE_SCALAR) {
			node_err(l, kid, path, "an argument is a single value");
			return;
		}
		if (strlen(kid->value) > TEXT_LEN) {
			node_err(
			    l, kid, path, "longer than %d bytes", TEXT_LEN);
			return;
		}
		if (strv_add(argv, kid->value) == -1) {
			node_err(l, kid, path, "out of memory");
			return;
		}
	}
	if (l->flags & CONF_NOSECRETS)
		full = *argv->v[0] == '/' ? xstrdup(argv->v[0])
					  : path_join("/usr/bin", argv->v[0]);
	else if (strchr(argv->v[0], '/') == NULL) {
		if ((full = lookup(argv->v[0])) == NULL) {
			node_err(l, n, path,
			    "%s is in none of the directories of programs; "
			    "install it or give its path",
			    argv->v[0]);
			return;
		}
	} else if (*argv->v[0] != '/') {
		node_err(l, n, path, "%s is not absolute; begin it with /",
		    argv->v[0]);
		return;
	} else if (stat(argv->v[0], &st) == -1 || !S_ISREG(st.st_mode) ||
		   !(st.st_mode & 0111)) {
		node_err(l, n, path, "%s is no program", argv->v[0]);
		return;
	} else
		full = xstrdup(argv->v[0]);
	free(argv->v[0]);
	argv->v[0] = full;
}

static void
groups_of(struct load *l, const struct node *n, const char *path,
    struct conf_child *c, const struct passwd *pw)
{
	gid_t groups[GROUPS_MAX];
	int i, ngroups = GROUPS_MAX;

	if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &ngroups) == -1) {
		node_err(l, n, path, "%s is in more than %d groups",
		    pw->pw_name, GROUPS_MAX);
		return;
	}
	c->x.groups.v = xcalloc((size_t)ngroups, sizeof(*c->x.groups.v));
	for (i = 0; i < ngroups; i++) {
		if (groups[i] == 0) {
			node_err(l, n, path,
			    "%s is in the group of root; take it out",
			    pw->pw_name);
			return;
		}
		c->x.groups.v[c->x.groups.n++] = groups[i];
	}
}

/* By number: another name can be one of our users, and a group of theirs opens
 * what they leave to it. */
static void
check_ours(struct load *l, const struct node *n, const char *path,
    const struct conf_child *c, const char *name)
{
	const struct passwd *pw;
	const struct group *gr;
	gid_t gids[2];
	uint32_t i, j, k;

	for (i = 0; ours[i] != NULL; i++) {
		gids[0] = gids[1] = 0;
		if ((pw = getpwnam(ours[i])) != NULL) {
			gids[0] = pw->pw_gid;
			if (pw->pw_uid == c->x.uid) {
				node_err(l, n, path,
				    "%s has the id of %s, a user of mcpgwd's "
				    "own",
				    name, ours[i]);
				return;
			}
		}
		if ((gr = getgrnam(ours[i])) != NULL)
			gids[1] = gr->gr_gid;
		for (j = 0; j < 2; j++)
			for (k = 0; gids[j] != 0 && k <= c->x.groups.n; k++) {
				if (gids[j] != (k < c->x.groups.n
						       ? c->x.groups.v[k]
						       : c->x.gid))
					continue;
				node_err(l, n, path,
				    "%s is in group %u of %s, a user of "
				    "mcpgwd's own; take it out",
				    name, (unsigned int)gids[j], ours[i]);
				return;
			}
	}
}

static void
set_user(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct conf_be *be = field;
	const struct conf_be *other;
	const struct passwd *pw;
	const char *s;
	size_t i;

	(void)d;
	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (!(l->flags & CONF_ROOT)) {
		node_err(l, n, path,
		    "needs root: without, every child runs as you; take this "
		    "key out");
		return;
	}
	for (i = 0; ours[i] != NULL; i++)
		if (strcmp(s, ours[i]) == 0) {
			node_err(l, n, path, "%s is a user of mcpgwd's own", s);
			return;
		}
	be->child.x.root = 1;
	if (!(l->flags & CONF_NOSECRETS)) {
		if ((pw = getpwnam(s)) == NULL) {
			node_err(l, n, path,
			    "there is no user %s; make it with: useradd "
			    "--system --user-group --home-dir /nonexistent "
			    "--shell /usr/sbin/nologin %s",
			    s, s);
			return;
		}
		if (pw->pw_uid == 0) {
			node_err(l, n, path,
			    "%s is root; give the backend a user of its own",
			    s);
			return;
		}
		be->child.x.uid = pw->pw_uid;
		be->child.x.gid = pw->pw_gid;
		groups_of(l, n, path, &be->child, pw);
		check_ours(l, n, path, &be->child, s);
	}
	/* By number as well: two names can be one user. */
	TAILQ_FOREACH (other, &l->conf->backends, entry)
		if (other->child.user != NULL &&
		    (strcmp(other->child.user, s) == 0 ||
			(be->child.x.uid != 0 &&
			    other->child.x.uid == be->child.x.uid))) {
			node_err(l, n, path,
			    "%s is that of backend %s already; give each its "
			    "own",
			    s, other->b.name);
			break;
		}
	be->child.user = xstrdup(s);
}

/* Given by us when the config does not. */
static int
env_ours(const char *name)
{
	return strcmp(name, "PATH") == 0 || strcmp(name, "TMPDIR") == 0;
}

static const struct kv *
env_find(const struct m_exec *x, const char *name)
{
	const struct kv *kv = x->env.p;
	uint32_t i;

	for (i = 0; i < x->env.n; i++)
		if (strcmp(kv[i].name, name) == 0)
			return &kv[i];
	return NULL;
}

/* Takes value. */
static void
env_add(struct m_exec *x, const char *name, char *value)
{
	struct kv *kv;

	x->env.p = kv = xrealloc(x->env.p, (x->env.n + 1) * sizeof(*kv));
	kv += x->env.n++;
	kv->name = xstrdup(name);
	kv->value = value;
}

static void
set_env(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct conf_be *be = field;
	const struct node *kid;
	char full[KEY_PATHMAX], *s;
	const char *why;
	uint32_t count = 0;

	if (node_map(l, n, path) == NULL)
		return;
	TAILQ_FOREACH (kid, &n->kids, entry)
		count += !env_ours(kid->key);
	if (count > d->max) {
		node_err(l, n, path, "more than %u variables", d->max);
		return;
	}
	TAILQ_FOREACH (kid, &n->kids, entry) {
		keys_path(full, sizeof(full), path, kid->key);
		if ((why = check_variable(kid->key)) != NULL) {
			node_err(l, kid, full, "%s", why);
			continue;
		}
		if (kid->type == NODE_SCALAR)
			s = xstrdup(kid->value);
		else if ((s = secret_read(l, kid, full)) == NULL)
			continue;
		else
			(void)strv_add(&be->child.secrets, kid->key);
		if (strlen(s) > TEXT_LEN)
			node_err(
			    l, kid, full, "longer than %d bytes", TEXT_LEN);
		env_add(&be->child.x, kid->key, s);
	}
}

/* An absolute path, or one below $STATE. */
static const char *
check_dir(const char *s)
{
	if (*s != '/' && strcmp(s, "$STATE") != 0 &&
	    strncmp(s, "$STATE/", 7) != 0)
		return "is not absolute; begin it with / or $STATE";
	return strlen(s) > PATH_LEN ? "longer than 1024 bytes" : NULL;
}

static void
set_cwd(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const char *s, *why;
	char **cwd = field;

	(void)d;
	if ((s = node_string(l, n, path)) == NULL)
		return;
	if ((why = check_dir(s)) != NULL) {
		node_err(l, n, path, "%s: %s", s, why);
		return;
	}
	free(*cwd);
	*cwd = xstrdup(s);
}

static void
set_byte(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	uint32_t v = *(uint8_t *)field;

	set_word(l, n, path, &v, d);
	*(uint8_t *)field = (uint8_t)v;
}

/* Sizes of memory do not fit set_size. */
static void
set_memory(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const char *s, *p;
	uint64_t v = 0;
	unsigned int shift = 0;

	(void)d;
	if ((s = node_string(l, n, path)) == NULL)
		return;
	for (p = s; *p >= '0' && *p <= '9'; p++)
		if (v <= MEMORY_MAX)
			v = v * 10 + (uint64_t)(*p - '0');
	if (p > s && (*p == 'K' || *p == 'M' || *p == 'G'))
		shift = *p == 'K' ? 10 : *p == 'M' ? 20 : 30;
	if (shift != 0)
		p++;
	if (p == s || *p != '\0') {
		node_err(
		    l, n, path, "%s is no size; write it as 512M or 2G", s);
		return;
	}
	if (v > MEMORY_MAX >> shift || (v != 0 && v << shift < MEMORY_MIN)) {
		node_err(l, n, path,
		    "%s is out of range, 16M to 64G, or 0 for no limit", s);
		return;
	}
	*(uint64_t *)field = v << shift;
}

/* ---- what follows from it ---- */

void
child_check(
    struct load *l, const struct node *n, const char *path, struct conf_be *be)
{
	static const char *const url_only[] = {
	    "url", "ca", "cert", "headers", NULL};
	const struct keydef *d;
	const struct node *kid;
	char full[KEY_PATHMAX];
	size_t i;

	if (node_get(n, "command") == NULL) {
		be->b.stdio = 0;
		for (d = schema_child; d->name != NULL; d++)
			if ((kid = node_get(n, d->name)) != NULL) {
				keys_path(full, sizeof(full), path, d->name);
				node_err(l, kid, full,
				    "is for a backend with a command");
			}
		return;
	}
	for (i = 0; url_only[i] != NULL; i++)
		if ((kid = node_get(n, url_only[i])) != NULL) {
			keys_path(full, sizeof(full), path, url_only[i]);
			node_err(l, kid, full,
			    "is for a backend with a url; this one has a "
			    "command");
		}
	if ((l->flags & CONF_ROOT) && be->child.user == NULL &&
	    node_get(n, "user") == NULL)
		node_err(l, n, path,
		    "has no user; give it one of its own, as user: _mcp%s",
		    be->b.name);
	if (be->b.stdio != INSTANCE_SHARED)
		return;
	if (node_get(n, "declare") != NULL) {
		keys_path(full, sizeof(full), path, "declare");
		node_err(l, node_get(n, "declare"), full,
		    "a shared child can not ask anybody; use instance: "
		    "principal or session");
	}
	be->b.declare = 0;
	if (be->child.s.max_instances != 1 &&
	    (kid = node_get(n, "max_instances")) != NULL) {
		keys_path(full, sizeof(full), path, "max_instances");
		node_err(l, kid, full,
		    "a shared child is only one; use instance: principal or "
		    "session");
	}
	be->child.s.max_instances = 1;
}

static void
expand(char **s, const char *state)
{
	const char *from, *at;
	size_t n = 0;
	char *out, *to;

	for (at = *s; (at = strstr(at, STATE)) != NULL; at += STATE_LEN)
		n++;
	if (n == 0)
		return;
	to = out = xmalloc(strlen(*s) + n * strlen(state) + 1);
	for (from = *s; (at = strstr(from, STATE)) != NULL;
	     from = at + STATE_LEN) {
		memcpy(to, from, (size_t)(at - from));
		to += at - from;
		memcpy(to, state, strlen(state));
		to += strlen(state);
	}
	memcpy(to, from, strlen(from) + 1);
	free(*s);
	*s = out;
}

/* Two ways to write one directory are one. */
static void
expand_dirs(struct strv *dirv, const char *state)
{
	struct strv out = {NULL, 0};
	uint32_t i;

	for (i = 0; i < dirv->n; i++) {
		expand(&dirv->v[i], state);
		if (!strv_has(&out, dirv->v[i]) &&
		    strv_add(&out, dirv->v[i]) == -1)
			fatalx("out of memory");
	}
	strv_free(dirv);
	*dirv = out;
}

void
child_finish(struct conf *c, struct conf_be *be)
{
	struct conf_child *h = &be->child;
	struct kv *kv;
	uint32_t i;

	be->b.opening = OPENING_TIME;
	if (be->b.stdio == 0)
		return;
	/* The one before it may have to end first. */
	be->b.opening = h->s.start_timeout + h->s.stop_timeout + OPENING_SLACK;
	xasprintf(&h->state, "%s-backends/%s", c->ours.v[0], be->b.name);
	xasprintf(&h->x.tmp, "%s/tmp", h->state);
	if (h->x.cwd == NULL)
		h->x.cwd = xstrdup("$STATE");
	expand(&h->x.cwd, h->state);
	expand_dirs(&h->x.read, h->state);
	expand_dirs(&h->x.write, h->state);
	kv = h->x.env.p;
	for (i = 0; i < h->x.env.n; i++)
		if (!strv_has(&h->secrets, kv[i].name))
			expand(&kv[i].value, h->state);
	for (i = 1; i < h->x.argv.n; i++)
		expand(&h->x.argv.v[i], h->state);
	if (env_find(&h->x, "PATH") == NULL)
		env_add(&h->x, "PATH", xstrdup("/usr/local/bin:/usr/bin:/bin"));
	if (env_find(&h->x, "TMPDIR") == NULL)
		env_add(&h->x, "TMPDIR", xstrdup(h->x.tmp));
	h->x.name = xstrdup(be->b.name);
	h->s.name = xstrdup(be->b.name);
	h->s.instance = be->b.stdio;
	be->b.url = xstrdup("stdio");
}

void
child_free(struct conf_child *h)
{
	wire_free(&def_m_exec, &h->x);
	wire_free(&def_conf_stdio, &h->s);
	strv_free(&h->secrets);
	strv_free(&h->own);
	strv_free(&h->ways);
	free(h->state);
	free(h->user);
}
