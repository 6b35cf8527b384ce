/*
 * struct conf cut into what each process may know, and the ids of backends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "imsg.h"
#include "load.h"
#include "log.h"
#include "peer.h"
#include "slice.h"
#include "stopped.h"

/* Queued before a new child reads anything, so well below PEER_QUEUE_MAX. */
#define SLICE_MAX (900 * 1024)

struct measure {
	struct load *load;
	size_t total;
};
struct sender {
	struct peer *peer;
};

/* A definition that some generation has, and its id. */
struct ident {
	TAILQ_ENTRY(ident) entry;
	uint32_t id;
	int keep;
	uint8_t *def;
	size_t len;
};

static TAILQ_HEAD(, ident) idents = TAILQ_HEAD_INITIALIZER(idents);
static uint32_t last_id;

static void web_of(const struct conf *, struct conf_web *);
static void auth_of(const struct conf *, struct conf_auth *);
static int endpoints(const struct conf *, slice_cb, void *);
static int backends(const struct conf *, slice_cb, void *);
static int children(const struct conf *, slice_cb, void *);
static int append(uint8_t **, size_t *, const struct msgdef *, const void *);
static int certificates(const struct conf *, slice_cb, void *);
static int check_certificates(const struct conf *, slice_cb, void *);
static int one_pair(const struct conf_pem *, const struct conf_pem *, char *,
    char *, const char *, slice_cb, void *);
static int measure_one(void *, uint32_t, const struct msgdef *, const void *,
    const struct conf_pos *, const char *);
static int send_one(void *, uint32_t, const struct msgdef *, const void *,
    const struct conf_pos *, const char *);

/* The views below share the strings of the conf and are never freed. */
static void
web_of(const struct conf *c, struct conf_web *w)
{
	memset(w, 0, sizeof *w);
	w->issuer = c->issuer;
	w->hosts = c->hosts;
	w->origins = c->origins;
	w->trusted_proxies = c->trusted_proxies;
	w->session_ttl = c->session_ttl;
	w->keepalive_timeout = c->keepalive_timeout;
	w->access_token_ttl = c->access_token_ttl;
	w->body = c->body;
	w->streams_per_user = c->streams_per_user;
	w->connections = c->connections;
	w->workers = c->workers;
	w->names_max = c->names_max;
	w->separator = c->separator;
	w->registration = (uint8_t)c->registration;
	w->scopes = c->scopes;
}

static void
auth_of(const struct conf *c, struct conf_auth *a)
{
	memset(a, 0, sizeof *a);
	a->issuer = c->issuer;
	a->access_token_ttl = c->access_token_ttl;
	a->refresh_token_ttl = c->refresh_token_ttl;
	a->refresh_max_age = c->refresh_max_age;
	a->refresh_grace = c->refresh_grace;
	a->client_ttl = c->client_ttl;
	a->session_ttl = c->session_ttl;
	a->registration = (uint8_t)c->registration;
	a->private_use_schemes = c->private_use_schemes;
	a->http_redirect_hosts = c->http_redirect_hosts;
	a->password = c->password;
	a->scopes = c->scopes;
	a->fail_count = c->auth_failures_per_ip.count;
	a->fail_window = c->auth_failures_per_ip.window;
	a->register_count = c->register_per_ip.count;
	a->register_window = c->register_per_ip.window;
}

static int
endpoints(const struct conf *c, slice_cb cb, void *arg)
{
	struct conf_endpoint e;
	const struct conf_ep *ep;
	const struct conf_be *be;
	uint32_t ids[512];
	int rv = 0;

	TAILQ_FOREACH (ep, &c->endpoints, entry) {
		memset(&e, 0, sizeof e);
		e.path = ep->path;
		e.prefix = ep->prefix;
		e.noauth = ep->noauth;
		e.users = ep->users;
		e.backends.v = ids;
		TAILQ_FOREACH (be, &c->backends, entry)
			if (ep->all || strv_has(&ep->backends, be->b.name))
				if (e.backends.n < 512)
					ids[e.backends.n++] = be->b.id;
		if ((rv = cb(arg, M_CONF_ENDPOINT, &def_conf_endpoint, &e,
			 &ep->pos, ep->path)) == -1)
			break;
	}
	return rv;
}

static int
backends(const struct conf *c, slice_cb cb, void *arg)
{
	const struct conf_be *be;

	TAILQ_FOREACH (be, &c->backends, entry)
		if (cb(arg, M_CONF_BACKEND, &def_conf_backend, &be->b, &be->pos,
			be->b.name) == -1)
			return -1;
	return 0;
}

/* For the runner. */
static int
children(const struct conf *c, slice_cb cb, void *arg)
{
	const struct conf_be *be;
	struct conf_stdio s;

	TAILQ_FOREACH (be, &c->backends, entry) {
		if (be->b.stdio == 0)
			continue;
		s = be->child.s;
		s.id = be->b.id;
		s.stopped = stopped_has(be->b.name) != 0;
		if (cb(arg, M_CONF_STDIO, &def_conf_stdio, &s, &be->pos,
			be->b.name) == -1)
			return -1;
	}
	return 0;
}

/* ---- certificates ---- */

static int
same_pair(const struct conf_listen *a, const struct conf_listen *b)
{
	return strcmp(a->tls.cert.text, b->tls.cert.text) == 0 &&
	       strcmp(a->tls.key.text, b->tls.key.text) == 0;
}

/* The first listener with the same pair. */
static const struct conf_listen *
first_of(const struct conf *c, const struct conf_listen *cl)
{
	const struct conf_listen *other;

	TAILQ_FOREACH (other, &c->listens, entry)
		if (other->tls.cert.how != NULL && same_pair(other, cl))
			return other;
	return cl;
}

uint16_t
slice_tls(const struct conf *c, const struct conf_listen *cl)
{
	const struct conf_listen *other, *first;
	uint16_t n = 0;

	if (cl->tls.cert.how == NULL)
		return 0;
	first = first_of(c, cl);
	TAILQ_FOREACH (other, &c->listens, entry) {
		n += other->tls.cert.how != NULL && first_of(c, other) == other;
		if (other == first)
			break;
	}
	return n;
}

/* key: NULL for a ca alone. */
static int
one_pair(const struct conf_pem *cert, const struct conf_pem *key, char *text,
    char *keytext, const char *name, slice_cb cb, void *arg)
{
	struct conf_tls t = {NULL, NULL, text, keytext};
	int rv;

	xasprintf(&t.cert_at, "%s:%d: %s%s", cert->pos.file, cert->pos.line,
	    name, key != NULL ? ".certificate" : "");
	if (key != NULL)
		xasprintf(&t.key_at, "%s:%d: %s.key", key->pos.file,
		    key->pos.line, name);
	rv = cb(arg, M_CONF_TLS, &def_conf_tls, &t, &cert->pos, name);
	free(t.cert_at);
	free(t.key_at);
	return rv;
}

/* For workers: each pair once, as slice_tls counts them. */
static int
certificates(const struct conf *c, slice_cb cb, void *arg)
{
	const struct conf_listen *cl;

	TAILQ_FOREACH (cl, &c->listens, entry)
		if (cl->tls.cert.how != NULL && first_of(c, cl) == cl &&
		    one_pair(&cl->tls.cert, &cl->tls.key, cl->tls.cert.text,
			cl->tls.key.text, "listen.tls", cb, arg) == -1)
			return -1;
	return 0;
}

/* For worker -c: those, and what the backends have. */
static int
check_certificates(const struct conf *c, slice_cb cb, void *arg)
{
	const struct conf_be *be;
	char name[KEY_PATHMAX];

	if (certificates(c, cb, arg) == -1)
		return -1;
	TAILQ_FOREACH (be, &c->backends, entry) {
		snprintf(name, sizeof name, "backends.%s.ca", be->b.name);
		if (be->ca.how != NULL && one_pair(&be->ca, NULL, be->b.ca,
					      NULL, name, cb, arg) == -1)
			return -1;
		snprintf(name, sizeof name, "backends.%s.cert", be->b.name);
		if (be->cert.cert.how != NULL &&
		    one_pair(&be->cert.cert, &be->cert.key, be->b.cert,
			be->b.key, name, cb, arg) == -1)
			return -1;
	}
	return 0;
}

int
slice_each(const struct conf *c, uint8_t role, slice_cb cb, void *arg)
{
	const struct conf_pos top = {c->files.v[0], 1};
	struct conf_web web;
	struct conf_auth auth;
	struct conf_keeper keeper;

	switch (role) {
	case ROLE_AUTHD:
		auth_of(c, &auth);
		if (cb(arg, M_CONF_AUTH, &def_conf_auth, &auth, &top, "auth") ==
		    -1)
			return -1;
		return endpoints(c, cb, arg);
	case ROLE_KEEPER:
		keeper.session_ttl = c->session_ttl;
		keeper.names_max = c->names_max;
		keeper.separator = c->separator;
		if (cb(arg, M_CONF_KEEPER, &def_conf_keeper, &keeper, &top,
			"keeper") == -1 ||
		    backends(c, cb, arg) == -1)
			return -1;
		return endpoints(c, cb, arg);
	case ROLE_WORKER:
		web_of(c, &web);
		if (cb(arg, M_CONF_WEB, &def_conf_web, &web, &top, "web") ==
			-1 ||
		    certificates(c, cb, arg) == -1 ||
		    backends(c, cb, arg) == -1)
			return -1;
		return endpoints(c, cb, arg);
	case ROLE_RUNNER:
		return children(c, cb, arg);
	case ROLE_CHECKER:
		return check_certificates(c, cb, arg);
	default:
		return 0;
	}
}

static int
measure_one(void *arg, uint32_t type, const struct msgdef *def, const void *msg,
    const struct conf_pos *pos, const char *name)
{
	struct measure *m = arg;
	uint8_t *data;
	size_t len;

	(void)type;
	data = wire_encode(def, msg, &len);
	if (data == NULL || len > MAX_IMSGSIZE - IMSG_HEADER_SIZE)
		load_err(m->load, pos->file, pos->line, name,
		    "a value or a list in here is too long");
	if (data != NULL) {
		m->total += len;
		freezero(data, len);
	}
	return 0;
}

void
slice_check(struct load *l)
{
	static const uint8_t roles[] = {
	    ROLE_AUTHD, ROLE_KEEPER, ROLE_RUNNER, ROLE_WORKER};
	const struct conf_be *be;
	struct measure m = {l, 0};
	size_t i;

	TAILQ_FOREACH (be, &l->conf->backends, entry)
		if (be->b.stdio != 0)
			(void)measure_one(&m, M_EXEC, &def_m_exec, &be->child.x,
			    &be->pos, be->b.name);
	for (i = 0; i < sizeof roles && l->nerr == 0; i++) {
		m.total = 0;
		(void)slice_each(l->conf, roles[i], measure_one, &m);
		if (l->nerr == 0 && m.total > SLICE_MAX)
			load_err(l, l->conf->files.v[0], 1, "backends",
			    "all of them together are larger than %d KiB",
			    SLICE_MAX / 1024);
	}
}

static int
send_one(void *arg, uint32_t type, const struct msgdef *def, const void *msg,
    const struct conf_pos *pos, const char *name)
{
	struct sender *s = arg;

	(void)pos, (void)name;
	return peer_send(s->peer, type, 0, def, msg, -1);
}

int
slice_send(struct peer *peer, uint8_t role, uint32_t gen, const struct conf *c)
{
	struct m_gen g = {gen};
	struct sender s = {peer};

	if (peer_send(peer, M_PREPARE, 0, &def_m_gen, &g, -1) == -1 ||
	    slice_each(c, role, send_one, &s) == -1 ||
	    peer_send(peer, M_CONF_END, 0, &def_m_gen, &g, -1) == -1)
		return -1;
	return 0;
}

static int
send_access(void *arg, uint32_t type, const struct msgdef *def, const void *msg,
    const struct conf_pos *pos, const char *name)
{
	(void)type;
	return send_one(arg, M_ACCESS, def, msg, pos, name);
}

int
slice_access(struct peer *peer, const struct conf *c)
{
	struct sender s = {peer};

	return endpoints(c, send_access, &s);
}

/* ---- ids ---- */

/* The canonical form of a definition: all of it but the id. NULL without
 * memory. */
static uint8_t *
canonical(const struct conf_be *be, size_t *len)
{
	struct conf_backend copy = be->b;
	uint8_t *def = NULL;

	copy.id = 0;
	*len = 0;
	if (append(&def, len, &def_conf_backend, &copy) == -1 ||
	    (be->b.stdio != 0 &&
		(append(&def, len, &def_conf_stdio, &be->child.s) == -1 ||
		    append(&def, len, &def_m_exec, &be->child.x) == -1))) {
		if (def != NULL)
			freezero(def, *len);
		return NULL;
	}
	return def;
}

static int
append(uint8_t **to, size_t *tolen, const struct msgdef *def, const void *msg)
{
	uint8_t *data, *all;
	size_t len;

	if ((data = wire_encode(def, msg, &len)) == NULL)
		return -1;
	if ((all = malloc(*tolen + len)) != NULL) {
		if (*tolen > 0)
			memcpy(all, *to, *tolen);
		memcpy(all + *tolen, data, len);
	}
	freezero(data, len);
	if (all == NULL)
		return -1;
	if (*to != NULL)
		freezero(*to, *tolen);
	*to = all;
	*tolen += len;
	return 0;
}

static struct ident *
ident_find(const uint8_t *def, size_t len)
{
	struct ident *id;

	TAILQ_FOREACH (id, &idents, entry)
		if (id->len == len && memcmp(id->def, def, len) == 0)
			return id;
	return NULL;
}

void
slice_ids(struct conf *c)
{
	struct conf_be *be;
	struct ident *id;
	uint8_t *def;
	size_t len;

	TAILQ_FOREACH (be, &c->backends, entry) {
		/* Checked by slice_check: only memory can be missing, and a
		 * new id is right then, too. */
		if ((def = canonical(be, &len)) == NULL) {
			be->b.id = ++last_id;
			continue;
		}
		if ((id = ident_find(def, len)) != NULL) {
			be->b.id = id->id;
			freezero(def, len);
			continue;
		}
		id = xcalloc(1, sizeof *id);
		id->id = be->b.id = ++last_id;
		id->def = def;
		id->len = len;
		TAILQ_INSERT_TAIL(&idents, id, entry);
	}
}

void
slice_mark(void)
{
	struct ident *id;

	TAILQ_FOREACH (id, &idents, entry)
		id->keep = 0;
}

void
slice_keep(const struct conf *c)
{
	const struct conf_be *be;
	struct ident *id;

	TAILQ_FOREACH (be, &c->backends, entry)
		TAILQ_FOREACH (id, &idents, entry)
			if (id->id == be->b.id)
				id->keep = 1;
}

void
slice_sweep(void)
{
	struct ident *id, *next;

	for (id = TAILQ_FIRST(&idents); id != NULL; id = next) {
		next = TAILQ_NEXT(id, entry);
		if (id->keep)
			continue;
		TAILQ_REMOVE(&idents, id, entry);
		freezero(id->def, id->len);
		free(id);
	}
}
