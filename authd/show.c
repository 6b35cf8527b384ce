/*
 * mcpgwctl show clients and tokens. A row has what an operator needs to end
 * something, and nothing that lets anybody in: no digest, no salt, no token.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "log.h"
#include "peer.h"

#define ROWS_MAX        1000
#define ROOM            (PEER_QUEUE_MAX / 2)
#define SITES_LEN       1024
#define GRANT_OF_CLIENT 'G' /* in T_INDEX: G, client id, 0, grant id */

struct show {
	uint32_t id; /* of the request */
	const char *only; /* client id or user; empty: all */
	size_t rows;
	int more;
};
struct count {
	uint8_t prefix[2 + 64];
	size_t prefixlen;
	size_t n;
};

static void cell(struct ctl_row *, const char *, const char *);
static void time_cell(struct ctl_row *, const char *, int64_t);
static int full(struct show *);
static void send_row(struct show *, struct ctl_row *);
static size_t grants_of(const char *);
static void sites(const struct strv *, char *, size_t);
static void client_row(struct show *, const char *, const struct row_client *);
static void grant_row(struct show *, const uint8_t *, const struct row_grant *);

/* ---- rows ---- */

static void
cell(struct ctl_row *row, const char *name, const char *value)
{
	if (strv_add(&row->names, name) == -1 ||
	    strv_add(&row->values, value != NULL ? value : "") == -1)
		fatal("a row");
}

static void
time_cell(struct ctl_row *row, const char *name, int64_t t)
{
	char text[32] = "";

	if (t != 0)
		snprintf(text, sizeof(text), "%" PRId64, t);
	cell(row, name, text);
}

/* No row may be lost in master's queue unseen. */
static int
full(struct show *s)
{
	if (s->rows < ROWS_MAX &&
	    (master_peer() == NULL || peer_queued(master_peer()) < ROOM))
		return 0;
	s->more = 1;
	return 1;
}

static void
send_row(struct show *s, struct ctl_row *row)
{
	workers_send(SERIAL_MASTER, M_CTL_ROW, s->id, &def_ctl_row, row);
	wire_free(&def_ctl_row, row);
	s->rows++;
}

/* ---- clients ---- */

static int
count_grant(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct count *c = arg;

	(void)val;
	(void)vallen;
	if (keylen < c->prefixlen || memcmp(key, c->prefix, c->prefixlen) != 0)
		return 1;
	c->n++;
	return 0;
}

static size_t
grants_of(const char *client)
{
	struct count c;
	size_t len = strlen(client) + 1;

	memset(&c, 0, sizeof(c));
	c.prefix[0] = GRANT_OF_CLIENT;
	memcpy(c.prefix + 1, client, len);
	c.prefixlen = 1 + len;
	(void)store_iterate(T_INDEX, c.prefix, c.prefixlen, count_grant, &c);
	return c.n;
}

/* Where its redirect URIs lead, each once. */
static void
sites(const struct strv *uris, char *dst, size_t size)
{
	char site[SITES_LEN];
	struct strv seen = {NULL, 0};
	uint32_t i;

	dst[0] = '\0';
	for (i = 0; i < uris->n; i++) {
		redirect_site(uris->v[i], site, sizeof(site));
		if (strv_has(&seen, site) ||
		    strlen(dst) + strlen(site) + 2 > size)
			continue;
		if (dst[0] != '\0')
			(void)strlcat(dst, " ", size);
		(void)strlcat(dst, site, size);
		if (strv_add(&seen, site) == -1)
			break;
	}
	strv_free(&seen);
}

static void
client_row(struct show *s, const char *id, const struct row_client *c)
{
	char where[SITES_LEN], grants[24];
	struct ctl_row row;

	memset(&row, 0, sizeof(row));
	sites(&c->redirect_uris, where, sizeof(where));
	snprintf(grants, sizeof(grants), "%zu", grants_of(id));
	cell(&row, "client", id);
	cell(&row, "name", c->name);
	cell(&row, "redirects", where);
	cell(&row, "auth", c->auth_method);
	time_cell(&row, "@registered", c->created);
	time_cell(&row, "@used", c->used);
	cell(&row, "#grants", grants);
	send_row(s, &row);
}

static int
each_client(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct show *s = arg;
	struct row_client c;
	char id[65];

	if (full(s))
		return 1;
	if (keylen > 64 || row_decode(&def_row_client, &c, val, vallen) == -1)
		return 0;
	memcpy(id, key, keylen);
	id[keylen] = '\0';
	client_row(s, id, &c);
	wire_free(&def_row_client, &c);
	return 0;
}

int
show_clients(uint32_t id, const char *only, int *more)
{
	struct show s = {id, only, 0, 0};
	struct row_client c;
	int r;

	*more = 0;
	if (only[0] == '\0') {
		r = store_iterate(T_CLIENT, "", 0, each_client, &s);
		*more = s.more;
		return r == -1 ? -1 : 1;
	}
	if ((r = client_get(only, &c)) == 1) {
		client_row(&s, only, &c);
		wire_free(&def_row_client, &c);
	}
	return r;
}

/* ---- tokens ---- */

static void
grant_row(struct show *s, const uint8_t *gid, const struct row_grant *g)
{
	char id[B64URL_LEN(ID_LEN) + 1];
	struct row_client c;
	struct ctl_row row;

	memset(&row, 0, sizeof(row));
	b64url_encode(id, gid, ID_LEN);
	(void)client_get(g->client_id, &c);
	cell(&row, "grant", id);
	cell(&row, "user", g->user);
	cell(&row, "client", g->client_id);
	cell(&row, "name", c.name);
	cell(&row, "resource", g->resource);
	cell(&row, "scope", g->scope);
	time_cell(&row, "@created", g->created);
	time_cell(
	    &row, "@used", g->seen_at > g->renewed ? g->seen_at : g->renewed);
	time_cell(&row, "@expires", g->expires);
	wire_free(&def_row_client, &c);
	send_row(s, &row);
}

static int
each_grant(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	struct show *s = arg;
	struct row_grant g;

	if (keylen != ID_LEN ||
	    row_decode(&def_row_grant, &g, val, vallen) == -1)
		return 0;
	/* Those that have run out stay until somebody comes by. */
	if (g.expires > clock_now() &&
	    (s->only[0] == '\0' || strcmp(s->only, g.user) == 0 ||
		strcmp(s->only, g.client_id) == 0)) {
		if (full(s)) {
			wire_free(&def_row_grant, &g);
			return 1;
		}
		grant_row(s, key, &g);
	}
	wire_free(&def_row_grant, &g);
	return 0;
}

int
show_tokens(uint32_t id, const char *only, int *more)
{
	struct show s = {id, only, 0, 0};
	int r;

	r = store_iterate(T_GRANT, "", 0, each_grant, &s);
	*more = s.more;
	return r == -1 ? -1 : 1;
}
