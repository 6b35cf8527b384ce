/*
 * Loading the config: includes, defaults, references between the parts.
 */
#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "load.h"
#include "log.h"
#include "reach.h"
#include "slice.h"

#define CONF_MAXSIZE (1024 * 1024)

static void defaults(struct load *);
static void add_scope(struct conf *, const char *, const char *);
static void finish(struct load *);
static void default_endpoints(struct conf *);
static void check_refs(struct load *);
static void merge(struct load *, struct node *, struct node *);
static void merge_map(
    struct load *, const char *, struct node *, struct node *);
static void include_file(
    struct load *, struct node *, const struct node *, const char *);
static void include_glob(
    struct load *, struct node *, const struct node *, const char *);
static void include_all(struct load *, struct node *);
static char *xdg(const char *, const char *, const char *);

/* ---- defaults ---- */

static void
add_scope(struct conf *c, const char *name, const char *text)
{
	struct kv *kv;

	c->scopes.p = kv =
	    xrealloc(c->scopes.p, (c->scopes.n + 1) * sizeof *kv);
	kv += c->scopes.n++;
	kv->name = xstrdup(name);
	kv->value = xstrdup(text);
}

static void
add_all(struct strv *v, const char *const *s)
{
	for (; *s != NULL; s++)
		xstrv_add(v, *s);
}

static void
defaults(struct load *l)
{
	static const char *const origins[] = {"https://claude.ai",
	    "https://claude.com", "https://chatgpt.com", "https://vscode.dev",
	    NULL};
	static const char *const schemes[] = {
	    "cursor", "vscode", "vscode-insiders", NULL};
	struct conf *c = l->conf;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	TAILQ_INIT(&c->listens);
	TAILQ_INIT(&c->backends);
	TAILQ_INIT(&c->endpoints);
	add_all(&c->origins, origins);
	c->workers = cores < 1 ? 1 : cores > 128 ? 128 : (uint32_t)cores;
	c->loglevel = LOG_L_INFO;
	c->session_ttl = 30 * DAY;
	c->keepalive_timeout = 15;
	c->drain = 3600;
	c->access_token_ttl = 3600;
	c->refresh_token_ttl = 30 * DAY;
	c->refresh_grace = 60;
	c->client_ttl = 90 * DAY;
	c->registration = 1;
	add_all(&c->private_use_schemes, schemes);
	add_scope(c, "mcp", "use the tools");
	c->auth_failures_per_ip = (struct rate){10, 60};
	c->register_per_ip = (struct rate){60, 3600};
	c->body = 16 << 20;
	c->streams_per_user = 256;
	c->connections = 10000;
	c->separator = xstrdup("_");
	c->names_max = 44;
	c->state = conf_default_state(l->flags & CONF_ROOT);
	c->control_pos.file = c->state_pos.file = c->files.v[0];
}

static char *
xdg(const char *var, const char *home, const char *name)
{
	const struct passwd *pw;
	const char *dir;
	char *s;

	if ((dir = getenv(var)) != NULL && *dir == '/') {
		xasprintf(&s, "%s/%s", dir, name);
		return s;
	}
	if ((dir = getenv("HOME")) == NULL || *dir != '/')
		dir = (pw = getpwuid(getuid())) != NULL ? pw->pw_dir : "/";
	xasprintf(&s, "%s/%s/%s", dir, home, name);
	return s;
}

char *
conf_default_file(int root)
{
	return root ? xstrdup("/etc/mcpgwd/mcpgwd.conf")
		    : xdg("XDG_CONFIG_HOME", ".config", "mcpgwd/mcpgwd.conf");
}

char *
conf_default_state(int root)
{
	return root ? xstrdup("/var/lib/mcpgwd")
		    : xdg("XDG_STATE_HOME", ".local/state", "mcpgwd");
}

char *
conf_default_control(int root)
{
	const char *dir;

	if (root)
		return xstrdup("/run/mcpgwd/mcpgwd.sock");
	if ((dir = getenv("XDG_RUNTIME_DIR")) != NULL && *dir == '/')
		return xdg("XDG_RUNTIME_DIR", "", "mcpgwd.sock");
	return xdg("XDG_STATE_HOME", ".local/state", "mcpgwd/mcpgwd.sock");
}

/* ---- includes ---- */

/* Moves the entries of one section into the same section of the main file. */
static void
merge_map(
    struct load *l, const char *section, struct node *into, struct node *from)
{
	struct node *kid, *old;
	char full[KEY_PATHMAX];

	while ((kid = TAILQ_FIRST(&from->kids)) != NULL) {
		TAILQ_REMOVE(&from->kids, kid, entry);
		if ((old = node_get(into, kid->key)) != NULL) {
			keys_path(full, sizeof full, section, kid->key);
			node_err(l, kid, full,
			    "given twice; the first is %s:%d", old->file,
			    old->line);
			node_free(kid);
			continue;
		}
		TAILQ_INSERT_TAIL(&into->kids, kid, entry);
		into->nkids++;
	}
}

static void
merge(struct load *l, struct node *into, struct node *from)
{
	struct node *kid, *old;

	while ((kid = TAILQ_FIRST(&from->kids)) != NULL) {
		TAILQ_REMOVE(&from->kids, kid, entry);
		old = node_get(into, kid->key);
		if (strcmp(kid->key, "include") == 0) {
			node_err(
			    l, kid, kid->key, "stands in the main file only");
			node_free(kid);
		} else if (old == NULL) {
			TAILQ_INSERT_TAIL(&into->kids, kid, entry);
			into->nkids++;
		} else {
			if (old->type == NODE_MAP && kid->type == NODE_MAP)
				merge_map(l, kid->key, old, kid);
			else
				node_err(l, kid, kid->key,
				    "given twice; the first is %s:%d",
				    old->file, old->line);
			node_free(kid);
		}
	}
}

static void
include_file(
    struct load *l, struct node *root, const struct node *at, const char *name)
{
	struct node *tree;
	const char *why;
	char *text;
	size_t len;

	if ((text = file_read(name, CONF_MAXSIZE, &len, &why)) == NULL) {
		node_err(l, at, "include", "%s: %s", name, why);
		return;
	}
	tree = node_parse(l, file_keep(l->conf, name), text, len);
	freezero(text, CONF_MAXSIZE + 1);
	if (tree != NULL)
		merge(l, root, tree);
	node_free(tree);
}

static void
include_glob(struct load *l, struct node *root, const struct node *at,
    const char *pattern)
{
	glob_t g;
	char *full;
	size_t i;
	int rv;

	full = path_join(l->dir, pattern);
	rv = glob(full, 0, NULL, &g);
	if (rv == GLOB_NOMATCH) {
		if (strpbrk(pattern, "*?[") == NULL)
			node_err(
			    l, at, "include", "%s: %s", full, strerror(ENOENT));
	} else if (rv != 0)
		node_err(l, at, "include", "%s can not be read", full);
	else {
		for (i = 0; i < g.gl_pathc; i++)
			include_file(l, root, at, g.gl_pathv[i]);
		globfree(&g);
	}
	free(full);
}

static void
include_all(struct load *l, struct node *root)
{
	const struct node *inc, *kid;
	const char *s;

	if ((inc = node_get(root, "include")) == NULL ||
	    (l->flags & CONF_NOSECRETS))
		return;
	if (inc->type != NODE_LIST) {
		if ((s = node_string(l, inc, "include")) != NULL)
			include_glob(l, root, inc, s);
		return;
	}
	TAILQ_FOREACH (kid, &inc->kids, entry)
		if ((s = node_string(l, kid, "include")) != NULL)
			include_glob(l, root, kid, s);
}

/* ---- references ---- */

static void
default_endpoints(struct conf *c)
{
	const struct conf_be *be;
	struct conf_ep *ep;

	ep = xcalloc(1, sizeof *ep);
	ep->path = xstrdup("/mcp");
	ep->all = 1;
	ep->pos.file = ep->bpos.file = c->files.v[0];
	TAILQ_INSERT_TAIL(&c->endpoints, ep, entry);
	TAILQ_FOREACH (be, &c->backends, entry) {
		ep = xcalloc(1, sizeof *ep);
		xasprintf(&ep->path, "/%s/mcp", be->b.name);
		ep->prefix = PREFIX_NONE;
		ep->pos = ep->bpos = be->pos;
		xstrv_add(&ep->backends, be->b.name);
		TAILQ_INSERT_TAIL(&c->endpoints, ep, entry);
	}
}

static void
check_refs(struct load *l)
{
	const struct conf_listen *cl, *open = NULL;
	const struct conf_ep *ep;
	const struct conf_be *be;
	char path[KEY_PATHMAX];
	uint32_t i;

	TAILQ_FOREACH (cl, &l->conf->listens, entry)
		if (!cl->loopback && open == NULL)
			open = cl;
	TAILQ_FOREACH (ep, &l->conf->endpoints, entry) {
		keys_path(path, sizeof path, "endpoints", ep->path);
		for (i = 0; i < ep->backends.n; i++) {
			TAILQ_FOREACH (be, &l->conf->backends, entry)
				if (strcmp(be->b.name, ep->backends.v[i]) == 0)
					break;
			if (be == NULL)
				load_err(l, ep->bpos.file, ep->bpos.line, path,
				    "there is no backend %s under backends",
				    ep->backends.v[i]);
		}
		if (ep->noauth && open != NULL)
			load_err(l, ep->pos.file, ep->pos.line, path,
			    "auth: none is for loopback addresses only, and "
			    "listen has %s",
			    open->text);
		if (ep->noauth && ep->users.n > 0)
			load_err(l, ep->pos.file, ep->pos.line, path,
			    "auth: none knows no users; take one of them out");
	}
}

static void
finish(struct load *l)
{
	struct conf *c = l->conf;
	struct conf_listen *cl;
	struct conf_be *be;

	if (c->issuer == NULL)
		load_err(l, c->files.v[0], 1, "issuer",
		    "is missing; give the address that clients use, as "
		    "https://mcp.example.net");
	if (TAILQ_EMPTY(&c->listens)) {
		cl = xcalloc(1, sizeof *cl);
		cl->text = xstrdup("127.0.0.1:4444");
		cl->pos.file = c->files.v[0];
		cl->pos.line = 1;
		(void)check_listen(cl->text, cl);
		TAILQ_INSERT_TAIL(&c->listens, cl, entry);
	}
	if (c->control == NULL)
		c->control = conf_default_control(l->flags & CONF_ROOT);
	if (strlen(c->control) > 100)
		load_err(l, c->control_pos.file, c->control_pos.line, "control",
		    "%s is too long for a socket; set control", c->control);
	if (c->password == NULL)
		c->password = xstrdup("");
	/* It is put in the place of $STATE, and what is printed reads back. */
	if (strstr(c->state, "$STATE") != NULL) {
		load_err(l, c->state_pos.file, c->state_pos.line, "state",
		    "%s: $STATE is for backends; write the path itself",
		    c->state);
		return;
	}
	reach_ours(c);
	TAILQ_FOREACH (be, &c->backends, entry) {
		child_finish(c, be);
		be->child.x.lax = (l->flags & CONF_SINGLE) != 0;
	}
	reach_check(l, c);
	check_refs(l);
	if (TAILQ_EMPTY(&c->endpoints))
		default_endpoints(c);
	if (l->nerr == 0)
		slice_check(l);
}

struct conf *
conf_parse(const char *name, const char *text, size_t len, unsigned int flags,
    struct strv *errs)
{
	struct load l;
	struct node *tree;
	char *dir, *slash;

	memset(&l, 0, sizeof l);
	l.conf = xcalloc(1, sizeof *l.conf);
	l.errs = errs;
	l.flags = flags;
	dir = xstrdup(name);
	if ((slash = strrchr(dir, '/')) != NULL)
		*slash = '\0';
	l.dir = slash != NULL ? dir : ".";
	(void)file_keep(l.conf, name);
	defaults(&l);
	tree = node_parse(&l, l.conf->files.v[0], text, len);
	if (tree != NULL) {
		include_all(&l, tree);
		keys_walk(&l, schema_top, tree, "", l.conf);
		if (l.nerr == 0)
			finish(&l);
	}
	node_free(tree);
	free(dir);
	if (l.nerr > LOAD_MAXERR)
		(void)strv_add(errs, "and more mistakes");
	if (l.nerr > 0) {
		conf_free(l.conf);
		return NULL;
	}
	return l.conf;
}

struct conf *
conf_load(const char *path, unsigned int flags, struct strv *errs)
{
	struct conf *c;
	const char *why;
	char *text, *msg;
	size_t len;

	if ((text = file_read(path, CONF_MAXSIZE, &len, &why)) == NULL) {
		xasprintf(&msg, "%s: %s", path, why);
		(void)strv_add(errs, msg);
		free(msg);
		return NULL;
	}
	c = conf_parse(path, text, len, flags, errs);
	freezero(text, CONF_MAXSIZE + 1);
	return c;
}

void
conf_free(struct conf *c)
{
	struct conf_listen *cl;
	struct conf_be *be;
	struct conf_ep *ep;
	struct kv *kv;

	if (c == NULL)
		return;
	while ((cl = TAILQ_FIRST(&c->listens)) != NULL) {
		TAILQ_REMOVE(&c->listens, cl, entry);
		pair_free(&cl->tls);
		free(cl->text);
		free(cl);
	}
	while ((be = TAILQ_FIRST(&c->backends)) != NULL) {
		TAILQ_REMOVE(&c->backends, be, entry);
		wire_free(&def_conf_backend, &be->b);
		pem_free(&be->ca);
		pair_free(&be->cert);
		child_free(&be->child);
		free(be);
	}
	while ((ep = TAILQ_FIRST(&c->endpoints)) != NULL) {
		TAILQ_REMOVE(&c->endpoints, ep, entry);
		free(ep->path);
		strv_free(&ep->backends);
		strv_free(&ep->users);
		free(ep);
	}
	while (c->scopes.n > 0) {
		kv = (struct kv *)c->scopes.p + --c->scopes.n;
		free(kv->name);
		free(kv->value);
	}
	free(c->scopes.p);
	if (c->password != NULL)
		freezero(c->password, strlen(c->password));
	free(c->issuer);
	free(c->state);
	free(c->control);
	free(c->separator);
	strv_free(&c->hosts);
	strv_free(&c->origins);
	strv_free(&c->trusted_proxies);
	strv_free(&c->private_use_schemes);
	strv_free(&c->http_redirect_hosts);
	strv_free(&c->files);
	strv_free(&c->ours);
	strv_free(&c->ways);
	free(c);
}
