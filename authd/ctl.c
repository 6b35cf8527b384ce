/*
 * What mcpgwctl asks of authd, by way of master.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "jwt.h"
#include "log.h"

struct passwd_job {
	uint32_t id;
	char *user;
	char *hash;
};

struct show_job {
	uint32_t id;
	const struct ctl_req *req;
};

static enum verdict end(struct ctl_end *, int, const char *);
static void refuse(uint32_t, const char *);

static enum verdict
end(struct ctl_end *e, int failed, const char *message)
{
	e->failed = failed != 0;
	e->message = xstrdup(message);
	return failed ? J_DROP : J_KEEP;
}

static void
refuse(uint32_t id, const char *why)
{
	struct ctl_end e;

	memset(&e, 0, sizeof(e));
	(void)end(&e, 1, why);
	workers_send(SERIAL_MASTER, M_CTL_END, id, &def_ctl_end, &e);
	wire_free(&def_ctl_end, &e);
}

static const char *
arg_of(const struct ctl_req *req, uint32_t i)
{
	return i < req->args.n ? req->args.v[i] : "";
}

/* ---- user passwd ---- */

static enum verdict
judge_passwd(struct slice *sl, const void *msg, void *ans)
{
	const struct passwd_job *j = msg;
	struct slice *now = conf_current();
	enum verdict v;
	char *text;

	(void)sl;
	if (user_set(j->user, j->hash) == -1)
		return J_DROP;
	browser_signout(j->user);
	log_info("AUTH the password of %s is changed by mcpgwctl", j->user);
	if (strcmp(j->user, OWNER) == 0 && now != NULL &&
	    now->conf.password[0] != '\0')
		return end(ans, 0,
		    "stored, but not in use: the config has a "
		    "password of its own for the owner");
	xasprintf(&text,
	    "the password is changed; every browser has to sign in again, but "
	    "apps that are connected stay so: \"show tokens %s\" lists them, "
	    "\"token revoke\" ends one",
	    j->user);
	v = end(ans, 0, text);
	free(text);
	return v;
}

static void
on_hashed(void *arg, int ok, const char *hash)
{
	struct passwd_job *j = arg;

	if (ok != 1) {
		refuse(j->id, "the password could not be hashed; try again");
	} else {
		j->hash = xstrdup(hash);
		(void)turn_request(SERIAL_MASTER, j->id, NULL, judge_passwd, j,
		    M_CTL_END, &def_ctl_end);
		freezero(j->hash, strlen(j->hash));
	}
	free(j->user);
	free(j);
}

static void
user_passwd(uint32_t id, const struct ctl_req *req)
{
	const char *user = req->args.n > 0 ? req->args.v[0] : OWNER;
	size_t len = strlen(req->secret);
	struct passwd_job *j;
	char why[64];

	if (!user_name_ok(user)) {
		refuse(id, "a user's name has 1 to 64 letters, digits and "
			   ". _ @ + -");
		return;
	}
	if (len < PASSWORD_MIN || len > PASSWORD_MAX) {
		snprintf(why, sizeof(why), "a password has %d to %d bytes",
		    PASSWORD_MIN, PASSWORD_MAX);
		refuse(id, why);
		return;
	}
	j = xcalloc(1, sizeof(*j));
	j->id = id;
	j->user = xstrdup(user);
	if (hashq_submit(NULL, req->secret, on_hashed, j) == 0)
		return;
	free(j->user);
	free(j);
	refuse(id, "too many passwords are being checked; try again");
}

/* ---- client delete, token revoke ---- */

static enum verdict
judge_client(struct slice *sl, const void *msg, void *ans)
{
	const char *id = arg_of(msg, 0);
	int r;

	(void)sl;
	if ((r = client_delete(id)) == -1)
		return J_DROP;
	if (r == 0)
		return end(ans, 1, "no such client");
	log_info("AUTH client %s is deleted by mcpgwctl", id);
	return end(ans, 0, "the client and all its tokens are gone");
}

/* By an access token, be it over or not: what it came of ends. Of a grant that
 * is gone the token itself may be left. */
static int
revoke_by_access(const char *token)
{
	struct jwt_claims *cl = xcalloc(1, sizeof(*cl));
	int r = 0;

	if (keys_verify(token, cl) == 0 && (r = grant_revoke(cl->gid)) == 0)
		r = token_revoke_access(token, NULL);
	free(cl);
	return r;
}

/* 1 found and revoked, 0 unknown, -1 failure. */
static int
revoke_named(const struct ctl_req *req)
{
	const char *name = arg_of(req, 0);
	uint8_t gid[ID_LEN];
	struct row_grant g;
	uint32_t n;
	int r;

	if (req->secret[0] == '\0') {
		if (b64url_decode(gid, sizeof(gid), name, strlen(name)) !=
		    ID_LEN)
			return 0;
		return grant_revoke(gid);
	}
	if ((r = refresh_parse(req->secret, gid, &n, &g)) == 1) {
		wire_free(&def_row_grant, &g);
		return grant_revoke(gid);
	}
	return r == -1 ? -1 : revoke_by_access(req->secret);
}

static enum verdict
judge_token(struct slice *sl, const void *msg, void *ans)
{
	int r;

	(void)sl;
	if ((r = revoke_named(msg)) == -1)
		return J_DROP;
	if (r == 0)
		return end(ans, 1, "no such grant or token");
	log_info("AUTH a grant or token is revoked by mcpgwctl");
	return end(ans, 0, "revoked on all workers");
}

/* ---- status ---- */

static void
cell(struct ctl_row *row, const char *name, size_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", value);
	if (strv_add(&row->names, name) == -1 ||
	    strv_add(&row->values, text) == -1)
		fatal("status");
}

static enum verdict
judge_status(struct slice *sl, const void *msg, void *ans)
{
	const uint32_t *id = msg;
	struct ctl_row row;

	(void)sl;
	memset(&row, 0, sizeof(row));
	cell(&row, "#clients", client_count());
	cell(&row, "#grants", grant_count());
	cell(&row, "#signins", txn_count());
	cell(&row, "#hashing", hashq_len());
	cell(&row, "#joined", workers_joined());
	workers_send(SERIAL_MASTER, M_CTL_ROW, *id, &def_ctl_row, &row);
	wire_free(&def_ctl_row, &row);
	(void)end(ans, 0, "");
	return J_DROP;
}

/* ---- clients, tokens ---- */

static enum verdict
judge_show(struct slice *sl, const void *msg, void *ans)
{
	const struct show_job *j = msg;
	const char *only = arg_of(j->req, 0);
	int more, r;

	(void)sl;
	r = j->req->verb == CTL_SHOW_CLIENTS ? show_clients(j->id, only, &more)
					     : show_tokens(j->id, only, &more);
	if (r == 0)
		(void)end(ans, 1, "no such client");
	else if (r == 1)
		(void)end(ans, 0,
		    !more ? ""
		    : j->req->verb == CTL_SHOW_CLIENTS
			? "there are more; name a client to see it"
			: "there are more; name a client or a user to see only "
			  "its own");
	return J_DROP;
}

void
ctl_request(uint32_t id, const struct ctl_req *req)
{
	const struct show_job show = {id, req};
	judge_fn judge;

	switch (req->verb) {
	case CTL_USER_PASSWD:
		user_passwd(id, req);
		return;
	case CTL_STATUS:
		(void)turn_request(SERIAL_MASTER, id, NULL, judge_status, &id,
		    M_CTL_END, &def_ctl_end);
		return;
	case CTL_SHOW_CLIENTS:
	case CTL_SHOW_TOKENS:
		(void)turn_request(SERIAL_MASTER, id, NULL, judge_show, &show,
		    M_CTL_END, &def_ctl_end);
		return;
	case CTL_CLIENT_DELETE:
		judge = judge_client;
		break;
	case CTL_TOKEN_REVOKE:
		judge = judge_token;
		break;
	default:
		refuse(id, "authd does not know this command");
		return;
	}
	(void)turn_request(
	    SERIAL_MASTER, id, NULL, judge, req, M_CTL_END, &def_ctl_end);
}
