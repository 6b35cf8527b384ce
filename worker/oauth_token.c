/*
 * The token and revocation endpoints (OAuth 2.1 section 3.2, RFC 7009): the
 * form is decoded, authd judges, its verdict is written as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "json.h"
#include "oauth.h"
#include "oauth_util.h"
#include "proto.h"
#include "request.h"

static int ask_token(
    struct request *, const struct form *, const struct client_auth *);
static int ask_revoke(
    struct request *, const struct form *, const struct client_auth *);
static void run(struct request *,
    int (*)(struct request *, const struct form *, const struct client_auth *));
static void token_answer(struct request *, void *);
static void revoke_answer(struct request *, void *);
static void refused(
    struct request *, int, const char *, const char *, uint32_t);
static void put(struct json_buf *, const char *, const char *);

#define SENT     0
#define AWAY     (-1)
#define TOO_LONG (-2)

void
oauth_token(struct request *rq)
{
	run(rq, ask_token);
}

void
oauth_revoke(struct request *rq)
{
	run(rq, ask_revoke);
}

static void
run(struct request *rq, int (*ask)(struct request *, const struct form *,
			    const struct client_auth *))
{
	struct client_auth ca;
	struct form f;
	int r;

	if (oauth_form(rq, &f) == -1)
		return;
	if (oauth_client(rq, &f, &ca) == -1) {
		form_free(&f);
		return;
	}
	r = ask(rq, &f, &ca);
	oauth_client_free(&ca);
	form_free(&f);
	if (r == AWAY)
		reply_unavailable(rq, 1);
	else if (r == TOO_LONG)
		reply_error(
		    rq, 400, "invalid_request", "a parameter is too long");
}

static int
ask_token(
    struct request *rq, const struct form *f, const struct client_auth *ca)
{
	struct a_token msg;
	int r;

	memset(&msg, 0, sizeof(msg));
	msg.addr = rq->addr;
	msg.grant_type = oauth_param(f, "grant_type");
	msg.method = ca->method;
	msg.client_id = ca->id;
	msg.secret = ca->secret;
	msg.client_id2 = ca->id2;
	msg.secret2 = ca->secret2;
	msg.code = oauth_param(f, "code");
	msg.redirect_uri = oauth_param(f, "redirect_uri");
	msg.verifier = oauth_param(f, "code_verifier");
	msg.refresh_token = oauth_param(f, "refresh_token");
	msg.scope = oauth_param(f, "scope");
	if (oauth_resources(rq, f, &msg.resources) == -1)
		return AWAY;
	if (!oauth_fits(&def_a_token, &msg))
		r = TOO_LONG;
	else
		r = oauth_ask(rq, A_TOKEN, &def_a_token, &msg, token_answer);
	strv_free(&msg.resources);
	return r;
}

/* token_type_hint is not needed: a token says itself what it is. */
static int
ask_revoke(
    struct request *rq, const struct form *f, const struct client_auth *ca)
{
	struct a_revoke msg;

	memset(&msg, 0, sizeof(msg));
	msg.addr = rq->addr;
	msg.method = ca->method;
	msg.client_id = ca->id;
	msg.secret = ca->secret;
	msg.client_id2 = ca->id2;
	msg.secret2 = ca->secret2;
	msg.token = oauth_param(f, "token");
	if (!oauth_fits(&def_a_revoke, &msg))
		return TOO_LONG;
	return oauth_ask(rq, A_REVOKE, &def_a_revoke, &msg, revoke_answer);
}

static void
token_answer(struct request *rq, void *arg)
{
	const struct a_tokens *t = arg;
	struct json_buf b = {0};
	char *body;
	size_t len;

	if (t == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	if (t->error[0] != '\0' || t->status != 200) {
		refused(
		    rq, t->status, t->error, t->description, t->retry_after);
		return;
	}
	json_puts(&b, "{\"access_token\":");
	json_putstr(&b, t->access_token);
	json_puts(&b, ",\"token_type\":\"Bearer\",\"expires_in\":");
	json_putint(&b, t->expires_in);
	put(&b, "refresh_token", t->refresh_token);
	put(&b, "scope", t->scope);
	json_puts(&b, "}");
	if ((body = json_buf_take(&b, &len)) == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	reply(rq, 200, "application/json", body, len);
	freezero(body, len);
}

static void
revoke_answer(struct request *rq, void *arg)
{
	const struct a_done *d = arg;

	if (d == NULL)
		reply_unavailable(rq, 1);
	else if (d->error[0] != '\0' || d->status != 200)
		refused(rq, d->status, d->error, "", 0);
	else
		reply_empty(rq, 200);
}

static void
refused(struct request *rq, int status, const char *error, const char *why,
    uint32_t retry_after)
{
	if (status < 400 || status > 599)
		status = 400;
	if (error[0] == '\0')
		error = status == 503 ? "temporarily_unavailable"
				      : "invalid_request";
	if (status == 401 && oauth_used_basic(rq))
		reply_header(rq, "WWW-Authenticate", "Basic realm=\"mcpgwd\"");
	if (status == 429 || status == 503)
		oauth_retry_after(rq, retry_after);
	reply_error(rq, status, error, why[0] == '\0' ? NULL : why);
}

static void
put(struct json_buf *b, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	json_puts(b, ",");
	json_putstr(b, name);
	json_puts(b, ":");
	json_putstr(b, value);
}
