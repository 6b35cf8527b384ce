/*
 * Every key of the config file: the tables, and the setters of sections that
 * are more than plain values.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "compat.h"
#include "load.h"
#include "log.h"
#include "url.h"

#define YEARS        (3650 * DAY)
#define LIST_ENTRIES 256 /* of a list, as the messages between us allow */

static void set_issuer(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_path(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_workers(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_listen(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_address(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_scopes(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_separator(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_backends(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void be_tls(
    struct load *, const struct node *, const char *, struct conf_be *);
static void set_url(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_headers(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_declare(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_endpoints(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_all(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_prefix(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_noauth(struct load *, const struct node *, const char *, void *,
    const struct keydef *);
static void set_registration(struct load *, const struct node *, const char *,
    void *, const struct keydef *);
static void set_nothing(struct load *, const struct node *, const char *,
    void *, const struct keydef *);

static const struct listcheck hosts = {check_host};
static const struct listcheck hostnames = {check_hostname};
static const struct listcheck origins = {check_origin};
static const struct listcheck cidrs = {check_cidr};
static const struct listcheck schemes = {check_scheme};
static const struct listcheck users = {check_user};
static const struct listcheck globs = {check_glob};

static const struct word levels[] = {{"error", LOG_L_ERROR},
    {"warn", LOG_L_WARN}, {"info", LOG_L_INFO}, {"debug", LOG_L_DEBUG},
    {NULL, 0}};
static const struct word formats[] = {{"text", 0}, {"json", 1}, {NULL, 0}};
static const struct word registrations[] = {{"off", 0}, {"open", 1}, {NULL, 0}};
static const struct word prefixes[] = {
    {"none", PREFIX_NONE}, {"backend", PREFIX_BACKEND}, {NULL, 0}};
static const struct word auths[] = {{"required", 0}, {"none", 1}, {NULL, 0}};

#define LATER(name)                       \
	{                                 \
		name, NULL, 0, 0, 0, NULL \
	}
#define END                               \
	{                                 \
		NULL, NULL, 0, 0, 0, NULL \
	}

#define C(field) offsetof(struct conf, field)
static const struct keydef schema_log[] = {
    {"level", set_word, C(loglevel), 0, 0, levels},
    {"format", set_word, C(logjson), 0, 0, formats},
    END,
};
static const struct keydef schema_auth[] = {
    {"access_token_ttl", set_duration, C(access_token_ttl), 1, 30 * DAY, NULL},
    {"refresh_token_ttl", set_duration, C(refresh_token_ttl), 1, YEARS, NULL},
    {"refresh_max_age", set_duration, C(refresh_max_age), 0, YEARS, NULL},
    {"refresh_grace", set_duration, C(refresh_grace), 0, DAY, NULL},
    {"client_ttl", set_duration, C(client_ttl), 0, YEARS, NULL},
    {"registration", set_registration, C(registration), 0, 0, registrations},
    {"private_use_schemes", set_list, C(private_use_schemes), 0, LIST_ENTRIES,
	&schemes},
    {"http_redirect_hosts", set_list, C(http_redirect_hosts), 0, LIST_ENTRIES,
	&hostnames},
    {"password", set_secret, C(password), 0, PASSWORD_MAX, NULL},
    {"scopes", set_scopes, C(scopes), 0, 32, NULL},
    LATER("client_documents"),
    LATER("static_key"),
    LATER("static_key_scopes"),
    LATER("providers"),
    LATER("verify"),
    END,
};
static const struct keydef schema_limits[] = {
    {"auth_failures_per_ip", set_rate, C(auth_failures_per_ip), 1, 1000000,
	NULL},
    {"register_per_ip", set_rate, C(register_per_ip), 1, 1000000, NULL},
    {"body", set_size, C(body), 1 << 10, 256 << 20, NULL},
    {"streams_per_user", set_uint, C(streams_per_user), 0, 1000000, NULL},
    {"connections", set_uint, C(connections), 0, 1000000, NULL},
    LATER("calls_per_user"),
    END,
};
static const struct keydef schema_names[] = {
    {"separator", set_separator, C(separator), 0, 0, NULL},
    {"max", set_uint, C(names_max), 33, 128, NULL},
    END,
};
const struct keydef schema_top[] = {
    {"issuer", set_issuer, C(issuer), 0, 0, NULL},
    {"listen", set_listen, C(listens), 0, 32, NULL},
    {"hosts", set_list, C(hosts), 0, LIST_ENTRIES, &hosts},
    {"origins", set_list, C(origins), 0, LIST_ENTRIES, &origins},
    {"trusted_proxies", set_list, C(trusted_proxies), 0, LIST_ENTRIES, &cidrs},
    {"workers", set_workers, C(workers), 1, 128, NULL},
    {"state", set_path, C(state), 0, 1000, NULL},
    {"control", set_path, C(control), 0, 100, NULL},
    {"log", set_map, 0, 0, 0, schema_log},
    {"session_ttl", set_duration, C(session_ttl), 1, YEARS, NULL},
    {"keepalive_timeout", set_duration, C(keepalive_timeout), 1, DAY, NULL},
    {"drain", set_duration, C(drain), 0, 30 * DAY, NULL},
    {"auth", set_map, 0, 0, 0, schema_auth},
    {"limits", set_map, 0, 0, 0, schema_limits},
    {"names", set_map, 0, 0, 0, schema_names},
    {"backends", set_backends, C(backends), 0, LIST_ENTRIES, NULL},
    {"endpoints", set_endpoints, C(endpoints), 0, 512, NULL},
    {"include", set_nothing, 0, 0, 0, NULL},
    LATER("audit"),
    LATER("metrics"),
    LATER("park"),
    LATER("resources"),
    LATER("access"),
    END,
};

static const struct keydef schema_listen[] = {
    {"address", set_address, 0, 0, 0, NULL},
    {"tls", set_pair, offsetof(struct conf_listen, tls), 0, 0, NULL},
    END,
};

#define B(field) offsetof(struct conf_be, b.field)
static const struct keydef schema_tools[] = {
    {"allow", set_list, B(allow), 0, LIST_ENTRIES, &globs},
    {"deny", set_list, B(deny), 0, LIST_ENTRIES, &globs},
    LATER("pin"),
    END,
};
static const struct keydef schema_backend[] = {
    {"url", set_url, 0, 0, 0, NULL},
    {"ca", set_pem, offsetof(struct conf_be, ca), 0, 64 * 1024, NULL},
    {"cert", set_pair, offsetof(struct conf_be, cert), 0, 0, NULL},
    {"headers", set_headers, 0, 0, 32, NULL},
    {"timeout", set_duration, B(timeout), 1, DAY, NULL},
    {"max_time", set_duration, B(max_time), 1, 30 * DAY, NULL},
    {"tools", set_map, 0, 0, 0, schema_tools},
    {"declare", set_declare, 0, 0, 0, NULL},
    LATER("rest"),
    LATER("lists"),
    {NULL, NULL, 0, 0, 0, schema_child},
};

#define E(field) offsetof(struct conf_ep, field)
static const struct keydef schema_endpoint[] = {
    {"backends", set_all, 0, 0, LIST_ENTRIES, NULL},
    {"prefix", set_prefix, E(prefix), 0, 0, prefixes},
    {"users", set_list, E(users), 0, LIST_ENTRIES, &users},
    {"auth", set_noauth, E(noauth), 0, 0, auths},
    LATER("sse"),
    LATER("each"),
    END,
};

static void
replace(char **field, const char *s)
{
	free(*field);
	*field = xstrdup(s);
}

/* Includes are merged before the walk. */
static void
set_nothing(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	(void)l, (void)n, (void)path, (void)field, (void)d;
}

static void
set_issuer(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const char *s, *why;

	(void)d;
	if ((s = node_string(l, n, path)) == NULL)
		return;
	if ((why = check_issuer(s)) != NULL)
		node_err(l, n, path, "%s: %s", s, why);
	replace(field, s); /* also when bad: it is then not missing */
}

static void
set_path(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct conf *c = l->conf;
	struct conf_pos *pos;
	const char *s;

	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (*s != '/')
		node_err(l, n, path, "%s is not absolute; begin it with /", s);
	else if (strlen(s) > d->max)
		node_err(l, n, path, "longer than %u bytes", d->max);
	else if (s[1] == '\0')
		node_err(l, n, path, "can not be the root directory");
	else {
		replace(field, s);
		pos = field == &c->state ? &c->state_pos : &c->control_pos;
		pos->file = n->file;
		pos->line = n->line;
	}
}

static void
set_workers(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	if (n->type != NODE_SCALAR || strcmp(n->value, "auto") != 0)
		set_uint(l, n, path, field, d);
}

static void
set_registration(struct load *l, const struct node *n, const char *path,
    void *field, const struct keydef *d)
{
	if (n->type == NODE_SCALAR && strcmp(n->value, "token") == 0)
		node_err(l, n, path, "token is not built yet; use open or off");
	else
		set_word(l, n, path, field, d);
}

/* ---- listen ---- */

static void
set_address(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const struct conf_listen *other;
	struct conf_listen *cl = field;
	const char *s, *why;

	(void)d;
	if ((s = node_string(l, n, path)) == NULL)
		return;
	if ((why = check_listen(s, cl)) != NULL) {
		node_err(l, n, path, "%s: %s", s, why);
		return;
	}
	TAILQ_FOREACH (other, &l->conf->listens, entry)
		if (other->text != NULL && strcmp(other->text, s) == 0) {
			node_err(l, n, path, "%s is there twice", s);
			return;
		}
	cl->text = xstrdup(s);
	cl->pos.file = n->file;
	cl->pos.line = n->line;
}

static void
set_listen(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct conf_listens *list = field;
	struct conf_listen *cl;
	const struct node *kid;

	if (node_list(l, n, path) == NULL)
		return;
	if (n->nkids == 0 || n->nkids > d->max) {
		node_err(l, n, path, "give 1 to %u addresses", d->max);
		return;
	}
	TAILQ_FOREACH (kid, &n->kids, entry) {
		if (kid->type != NODE_MAP ||
		    (node_get(kid, "address") == NULL && kid->nkids == 0)) {
			node_err(l, kid, path,
			    "write it as - address: 127.0.0.1:4444");
			continue;
		}
		if (node_get(kid, "address") == NULL)
			node_err(l, kid, path, "has no address");
		cl = xcalloc(1, sizeof *cl);
		TAILQ_INSERT_TAIL(list, cl, entry);
		keys_walk(l, schema_listen, kid, path, cl);
	}
}

/* ---- auth, names ---- */

static void
set_scopes(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct vec *v = field;
	struct kv *kv;
	const struct node *kid;
	const char *s, *why;

	if (node_map(l, n, path) == NULL)
		return;
	if (n->nkids > d->max || node_get(n, "mcp") == NULL) {
		node_err(l, n, path,
		    "must hold mcp, and at most %u scopes in all", d->max);
		return;
	}
	while (v->n > 0) {
		kv = (struct kv *)v->p + --v->n;
		free(kv->name);
		free(kv->value);
	}
	v->p = xrealloc(v->p, n->nkids * sizeof *kv);
	TAILQ_FOREACH (kid, &n->kids, entry) {
		if ((s = node_string(l, kid, path)) == NULL)
			continue;
		if ((why = check_scope(kid->key)) != NULL ||
		    (why = check_scope_text(s)) != NULL) {
			node_err(l, kid, path, "%s: %s", kid->key, why);
			continue;
		}
		kv = (struct kv *)v->p + v->n++;
		kv->name = xstrdup(kid->key);
		kv->value = xstrdup(s);
	}
}

static void
set_separator(struct load *l, const struct node *n, const char *path,
    void *field, const struct keydef *d)
{
	const char *s;

	(void)d;
	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (strcmp(s, "_") != 0 && strcmp(s, "__") != 0)
		node_err(l, n, path, "%s: must be _ or __", s);
	else
		replace(field, s);
}

/* ---- backends ---- */

static void
set_url(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct conf_be *be = field;
	struct url u;
	const char *s, *why;

	(void)d;
	if ((s = node_string(l, n, path)) == NULL)
		return;
	if (url_parse(s, &u, &why) == -1) {
		node_err(l, n, path, "%s", why);
		be->b.url = xstrdup(s);
		return;
	}
	if (strlen(s) > 2000)
		node_err(l, n, path, "longer than 2000 characters");
	be->b.url = xstrdup(s);
	be->b.host = u.host;
	be->b.port = u.port;
	be->b.authority = u.authority;
	be->b.target = u.target;
	be->b.tls = u.https != 0;
}

static void
set_headers(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct conf_be *be = field;
	struct kv *kv, *kvs;
	const struct node *kid;
	const char *why;
	char full[KEY_PATHMAX], *s;
	uint32_t i;

	if (node_map(l, n, path) == NULL)
		return;
	if (n->nkids > d->max) {
		node_err(l, n, path, "more than %u header fields", d->max);
		return;
	}
	be->b.headers.p = kvs = xcalloc(n->nkids + 1, sizeof *kvs);
	TAILQ_FOREACH (kid, &n->kids, entry) {
		keys_path(full, sizeof full, path, kid->key);
		why = check_header(kid->key);
		for (i = 0; why == NULL && i < be->b.headers.n; i++)
			if (strcasecmp(kvs[i].name, kid->key) == 0)
				why = "given twice";
		if (why != NULL) {
			node_err(l, kid, full, "%s", why);
			continue;
		}
		if ((s = secret_read(l, kid, full)) == NULL)
			continue;
		if ((why = check_header_value(s)) != NULL) {
			node_err(l, kid, full, "%s", why);
			freezero(s, strlen(s));
			continue;
		}
		kv = &kvs[be->b.headers.n++];
		kv->name = xstrdup(kid->key);
		kv->value = s;
	}
}

static void
set_declare(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	struct conf_be *be = field;
	const struct node *kid;
	const char *s;

	(void)d;
	if (node_list(l, n, path) == NULL)
		return;
	be->b.declare = 0;
	TAILQ_FOREACH (kid, &n->kids, entry) {
		if ((s = node_string(l, kid, path)) == NULL)
			continue;
		if (strcmp(s, "sampling") == 0)
			be->b.declare |=
			    DECLARE_SAMPLING | DECLARE_TOOLS | DECLARE_CONTEXT;
		else if (strcmp(s, "elicitation") == 0)
			be->b.declare |= DECLARE_FORM | DECLARE_URL;
		else if (strcmp(s, "roots") == 0)
			be->b.declare |= DECLARE_ROOTS | DECLARE_CHANGES;
		else
			node_err(l, kid, path,
			    "%s is none of sampling, elicitation or roots", s);
	}
}

/* The texts of ca and cert go where the messages take them from. */
static void
be_tls(
    struct load *l, const struct node *n, const char *path, struct conf_be *be)
{
	char full[KEY_PATHMAX];

	be->b.ca = be->ca.text;
	be->b.cert = be->cert.cert.text;
	be->b.key = be->cert.key.text;
	be->ca.text = be->cert.cert.text = be->cert.key.text = NULL;
	if (be->b.tls || be->b.url == NULL)
		return;
	if (be->ca.how != NULL) {
		keys_path(full, sizeof full, path, "ca");
		node_err(l, node_get(n, "ca"), full,
		    "the url is not https://, so nothing is checked");
	}
	if (be->cert.cert.how != NULL) {
		keys_path(full, sizeof full, path, "cert");
		node_err(l, node_get(n, "cert"), full,
		    "the url is not https://, so nothing is shown");
	}
}

static void
set_backends(struct load *l, const struct node *n, const char *path,
    void *field, const struct keydef *d)
{
	struct conf_bes *list = field;
	struct conf_be *be;
	const struct node *kid;
	const char *why;
	char full[KEY_PATHMAX];

	if (node_map(l, n, path) == NULL)
		return;
	if (n->nkids > d->max)
		node_err(l, n, path, "more than %u backends", d->max);
	TAILQ_FOREACH (kid, &n->kids, entry) {
		keys_path(full, sizeof full, path, kid->key);
		if ((why = check_backend_name(kid->key)) != NULL) {
			node_err(l, kid, full, "%s", why);
			continue;
		}
		if (node_map(l, kid, full) == NULL)
			continue;
		be = xcalloc(1, sizeof *be);
		be->pos.file = kid->file;
		be->pos.line = kid->line;
		be->b.name = xstrdup(kid->key);
		be->b.timeout = 300;
		be->b.max_time = 3600;
		be->b.declare = DECLARE_SAMPLING | DECLARE_TOOLS |
				DECLARE_CONTEXT | DECLARE_FORM | DECLARE_URL;
		(void)strv_add(&be->b.allow, "*");
		TAILQ_INSERT_TAIL(list, be, entry);
		child_defaults(be);
		keys_walk(l, schema_backend, kid, full, be);
		child_check(l, kid, full, be);
		if (be->b.url == NULL && node_get(kid, "url") == NULL &&
		    node_get(kid, "command") == NULL &&
		    node_get(kid, "rest") == NULL)
			node_err(l, kid, full, "has neither url nor command");
		be_tls(l, kid, full, be);
	}
}

/* ---- endpoints ---- */

static void
set_prefix(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	uint32_t v = PREFIX_BACKEND;

	set_word(l, n, path, &v, d);
	*(uint8_t *)field = (uint8_t)v;
}

static void
set_noauth(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	uint32_t v = 0;

	set_word(l, n, path, &v, d);
	*(uint8_t *)field = (uint8_t)v;
}

/* backends of an endpoint: "*" or a list of names. */
static void
set_all(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	static const struct listcheck names = {check_backend_name};
	const struct keydef sub = {d->name, NULL, 0, 0, d->max, &names};
	struct conf_ep *ep = field;

	ep->bpos.file = n->file;
	ep->bpos.line = n->line;
	if (n->type == NODE_SCALAR) {
		if (strcmp(n->value, "*") != 0)
			node_err(
			    l, n, path, "must be \"*\" or a list of backends");
		return;
	}
	if (n->type == NODE_LIST && n->nkids == 0)
		node_err(l, n, path, "is empty; name a backend or write \"*\"");
	ep->all = 0;
	set_list(l, n, path, &ep->backends, &sub);
}

static void
set_endpoints(struct load *l, const struct node *n, const char *path,
    void *field, const struct keydef *d)
{
	struct conf_eps *list = field;
	struct conf_ep *ep;
	const struct node *kid;
	const char *why;
	char full[KEY_PATHMAX];

	if (node_map(l, n, path) == NULL)
		return;
	l->conf->endpoints_pos.file = n->file;
	l->conf->endpoints_pos.line = n->line;
	if (n->nkids == 0 || n->nkids > d->max) {
		node_err(l, n, path,
		    "give 1 to %u endpoints, or leave the section out", d->max);
		return;
	}
	TAILQ_FOREACH (kid, &n->kids, entry) {
		keys_path(full, sizeof full, path, kid->key);
		if ((why = check_endpoint_path(kid->key)) != NULL) {
			node_err(l, kid, full, "%s", why);
			continue;
		}
		if (node_map(l, kid, full) == NULL)
			continue;
		ep = xcalloc(1, sizeof *ep);
		ep->pos.file = ep->bpos.file = kid->file;
		ep->pos.line = ep->bpos.line = kid->line;
		ep->path = xstrdup(kid->key);
		ep->all = 1;
		TAILQ_INSERT_TAIL(list, ep, entry);
		keys_walk(l, schema_endpoint, kid, full, ep);
	}
}
