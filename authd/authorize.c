/*
 * The authorization endpoint's judgements: the request, the sign-in, the
 * decision (OAuth 2.1 4.1, RFC 7636, 8707, 9207). What can not be trusted to
 * go back to the client is shown to the person instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "log.h"

/* T_CONSENT: client id, 0, digest. One says what a user allowed, one that any
 * user has let this client have anything there. */
#define CONSENT_KEY (64 + 1 + DIGEST_SIZE)

/* Of a password nobody knows, as authd -p makes them: for unknown users. */
#define DUMMY_HASH                       \
	"$y$jBT$KqVRkV0hJsnIe8R8ZjE8q/$" \
	"wNAsCRNFhVIc0N0.0KcLVR8sLhDUhUv5qEL0OZgcQ64"

static enum verdict show(
    struct slice *, struct txn *, const char *, struct a_page *);
static size_t consent_key(uint8_t *, const struct txn *);
static const char *judge_request(const struct a_authorize *, const char **);
static int challenge_ok(const char *);
static int may_return(const char *, const char *);
static const char *pick_redirect(
    const struct row_client *, const struct a_authorize *);

static enum verdict
page_error(struct a_page *page, const char *error)
{
	page->kind = PAGE_ERROR;
	free(page->error);
	page->error = xstrdup(error);
	return J_DROP;
}

static enum verdict
page_refuse(struct a_page *page, const char *uri, const char *state,
    const char *error, const char *why)
{
	page->kind = PAGE_REDIRECT;
	page->redirect_uri = xstrdup(uri);
	page->state = xstrdup(state);
	page->error = xstrdup(error);
	page->description = xstrdup(why);
	return J_DROP;
}

/* ---- the request ---- */

static const char *
pick_redirect(const struct row_client *row, const struct a_authorize *req)
{
	uint32_t i;

	for (i = 0; i < row->redirect_uris.n; i++)
		if (redirect_match(row->redirect_uris.v[i], req->redirect_uri))
			return req->redirect_uri;
	return NULL;
}

static int
challenge_ok(const char *s)
{
	uint8_t raw[32];

	return strlen(s) == CHALLENGE_LEN &&
	       b64url_decode(raw, sizeof(raw), s, CHALLENGE_LEN) == 32;
}

/* NULL, or the error to redirect with and *why. */
static const char *
judge_request(const struct a_authorize *req, const char **why)
{
	if (req->has_request & 2) {
		*why = "request_uri is not supported";
		return "request_uri_not_supported";
	}
	if (req->has_request) {
		*why = "request objects are not supported";
		return "request_not_supported";
	}
	if (req->response_type[0] == '\0') {
		*why = "response_type is missing";
		return "invalid_request";
	}
	if (strcmp(req->response_type, "code") != 0) {
		*why = "response_type must be code";
		return "unsupported_response_type";
	}
	if (req->response_mode[0] != '\0' &&
	    strcmp(req->response_mode, "query") != 0) {
		*why = "response_mode must be query";
		return "invalid_request";
	}
	if (!challenge_ok(req->challenge)) {
		*why = "code_challenge must be 43 characters of base64url";
		return "invalid_request";
	}
	if (strcmp(req->challenge_method, "S256") != 0) {
		*why = "code_challenge_method must be S256";
		return "invalid_request";
	}
	if (scope_within("none", req->prompt)) {
		*why = "nobody is signed in silently";
		return "login_required";
	}
	return NULL;
}

static size_t
site_key(uint8_t *key, const char *client, const char *uri)
{
	size_t len = strlen(client) + 1;
	char site[512];

	redirect_site(uri, site, sizeof(site));
	memcpy(key, client, len);
	secret_digest_str(key + len, "consent-site", site);
	return len + DIGEST_SIZE;
}

/* May an error be taken back by itself before anybody has signed in? Anybody
 * can register a client and send people a link, so only where a person has once
 * let this client go, and to this device (RFC 9700 4.11.2). */
static int
may_return(const char *client, const char *uri)
{
	uint8_t key[CONSENT_KEY];

	return redirect_on_device(uri) ||
	       store_get(
		   T_CONSENT, key, site_key(key, client, uri), NULL, NULL) == 1;
}

enum verdict
authorize_start(
    struct slice *sl, const struct a_authorize *req, struct a_page *page)
{
	char fresh[COOKIE_LEN + 1];
	const char *uri, *error, *why, *cookie = req->cookie;
	struct row_client row;
	struct txn what;
	char *resource;
	int r;

	if ((r = client_get(req->client_id, &row)) == -1)
		return J_DROP;
	if (r == 0)
		return page_error(page, PAGE_E_CLIENT);
	/* RFC 6749 3.1.2.3 lets it be left out by a client that has only one.
	 * Nothing is sent anywhere that the request itself does not name. */
	if (req->redirect_uri[0] == '\0') {
		wire_free(&def_row_client, &row);
		page->description = xstrdup("redirect_uri is missing");
		return page_error(page, PAGE_E_REQUEST);
	}
	if ((uri = pick_redirect(&row, req)) == NULL) {
		wire_free(&def_row_client, &row);
		return page_error(page, PAGE_E_REDIRECT);
	}
	resource = NULL;
	if ((error = judge_request(req, &why)) == NULL &&
	    (resource = resource_judge(sl, &req->resources)) == NULL) {
		error = "invalid_target";
		why = "resource is not one of this server";
	}
	if (error != NULL) {
		(void)page_refuse(page, uri, req->state, error, why);
		if (!may_return(req->client_id, uri))
			page->kind = PAGE_RETURN;
		wire_free(&def_row_client, &row);
		return J_DROP;
	}
	if (!cookie_ok(cookie)) {
		cookie_make(fresh);
		cookie = fresh;
		page->set_cookie = xstrdup(fresh);
	}
	memset(&what, 0, sizeof(what));
	what.client_id = xstrdup(req->client_id);
	what.redirect_uri = xstrdup(uri);
	what.state = xstrdup(req->state);
	what.challenge = xstrdup(req->challenge);
	what.scope = scope_grant(sl, req->scope);
	what.resource = resource;
	what.fresh_login = scope_within("login", req->prompt);
	wire_free(&def_row_client, &row);
	return show(sl, txn_new(cookie, req->addr, &what), cookie, page);
}

/* ---- showing a transaction ---- */

static size_t
consent_key(uint8_t *key, const struct txn *t)
{
	char site[512], *all;
	size_t len = strlen(t->client_id) + 1;

	redirect_site(t->redirect_uri, site, sizeof(site));
	xasprintf(&all, "%s\n%s\n%s\n%s", t->user, site, t->scope, t->resource);
	memcpy(key, t->client_id, len);
	secret_digest_str(key + len, "consent", all);
	free(all);
	return len + DIGEST_SIZE;
}

static enum verdict
show(struct slice *sl, struct txn *t, const char *cookie, struct a_page *page)
{
	uint8_t key[CONSENT_KEY];
	struct row_client row;
	struct row_consent ok;
	const char *user;
	int r;

	if ((r = client_get(t->client_id, &row)) == -1)
		return J_DROP;
	if (r == 0) {
		txn_drop(t);
		return page_error(page, PAGE_E_CLIENT);
	}
	if (t->user == NULL && !t->fresh_login &&
	    (user = browser_user(cookie)) != NULL)
		txn_signin(t, user);
	page->kind = t->user != NULL ? PAGE_CONSENT : PAGE_SIGNIN;
	page->txn = xstrdup(t->id);
	page->csrf = xstrdup(t->csrf);
	page->client_id = xstrdup(t->client_id);
	page->client_name = row.name;
	row.name = NULL;
	page->registered = row.created;
	page->user = xstrdup(t->user != NULL ? t->user : OWNER);
	page->scope = xstrdup(t->scope);
	page->redirect_uri = xstrdup(t->redirect_uri);
	page->device = redirect_on_device(t->redirect_uri);
	if (t->user != NULL) {
		if (row_get(T_CONSENT, key, consent_key(key, t),
			&def_row_consent, &ok) == 1)
			page->approved = ok.at;
	} else {
		page->no_password =
		    sl->conf.password[0] == '\0' && user_any() == 0;
	}
	wire_free(&def_row_client, &row);
	return J_DROP;
}

/* The transaction a form speaks of, or NULL and the error page. */
static struct txn *
form_txn(const struct a_form *form, int csrf, struct a_page *page)
{
	struct txn *t;

	if ((t = txn_find(form->txn)) == NULL) {
		(void)page_error(page, PAGE_E_EXPIRED);
		return NULL;
	}
	if (!txn_is_of(t, form->cookie) ||
	    (csrf && !secret_equal(form->csrf, t->csrf))) {
		(void)page_error(page, PAGE_E_BROWSER);
		return NULL;
	}
	return t;
}

enum verdict
authorize_resume(
    struct slice *sl, const struct a_form *form, struct a_page *page)
{
	struct txn *t;

	if ((t = form_txn(form, 0, page)) == NULL)
		return J_DROP;
	return show(sl, t, form->cookie, page);
}

/* ---- the sign-in ---- */

static enum verdict
show_notice(struct slice *sl, struct txn *t, const char *cookie,
    const char *user, const char *notice, uint32_t wait, struct a_page *page)
{
	enum verdict v;

	v = show(sl, t, cookie, page);
	if (page->kind == PAGE_SIGNIN) {
		free(page->user);
		page->user = xstrdup(user);
		page->notice = xstrdup(notice);
		page->retry_after = wait;
	}
	return v;
}

/* What to compare the password with. 1 found, 0 none is set at all, -1. Of users
 * in the store all hashes are as we make them, and so is that which stands for
 * those who are not there; the owner's of the config may be of another kind,
 * but his name is known to everybody. */
static int
pick_hash(struct slice *sl, struct signin *check)
{
	int r, owner = strcmp(check->user, OWNER) == 0;
	struct row_user row;

	if (sl->conf.password[0] == '\0') {
		if ((r = user_any()) != 1)
			return r;
	} else if (owner) {
		if (sl->hash != NULL)
			check->hash = xstrdup(sl->hash);
		return 1;
	}
	if ((r = user_get(check->user, &row)) == -1)
		return -1;
	if (r == 1) {
		check->hash = row.hash;
		row.hash = NULL;
	} else {
		check->dummy = 1;
		check->hash = xstrdup(DUMMY_HASH);
	}
	wire_free(&def_row_user, &row);
	return 1;
}

enum verdict
authorize_signin(struct slice *sl, const struct a_form *form,
    struct a_page *page, struct signin *check)
{
	const char *user = form->user[0] != '\0' ? form->user : OWNER;
	struct txn *t;
	uint32_t wait;
	int r;

	memset(check, 0, sizeof(*check));
	if ((t = form_txn(form, 1, page)) == NULL)
		return J_DROP;
	if ((wait = penalty_check(form->addr, user)) > 0) {
		log_info("AUTH sign-in as %s from %s refused: too many wrong "
			 "passwords",
		    user, form->addr);
		return show_notice(
		    sl, t, form->cookie, user, NOTICE_WAIT, wait, page);
	}
	strlcpy(check->txn, t->id, sizeof(check->txn));
	check->cookie = xstrdup(form->cookie);
	check->addr = xstrdup(form->addr);
	check->user = xstrdup(user);
	if ((r = pick_hash(sl, check)) != 1) {
		signin_free(check);
		return r == 0 ? show(sl, t, form->cookie, page) : J_DROP;
	}
	check->password = xstrdup(form->password);
	/* At once: a hundred tries in parallel are a hundred tries. */
	penalty_add(form->addr, user);
	return J_LATER;
}

enum verdict
authorize_checked(
    struct slice *sl, const struct signin *check, int ok, struct a_page *page)
{
	char cookie[COOKIE_LEN + 1];
	struct txn *t;

	ok = ok && !check->dummy;
	log_info("AUTH sign-in as %s from %s: %s", check->user, check->addr,
	    ok ? "done" : "wrong");
	if (ok)
		penalty_clear(check->addr, check->user);
	if ((t = txn_find(check->txn)) == NULL)
		return page_error(page, PAGE_E_EXPIRED);
	if (!txn_is_of(t, check->cookie))
		return page_error(page, PAGE_E_BROWSER);
	if (!ok)
		return show_notice(
		    sl, t, check->cookie, check->user, NOTICE_WRONG, 0, page);
	cookie_make(cookie);
	browser_signin(check->cookie, cookie, check->user);
	txn_signin(t, check->user);
	t->fresh_login = 0;
	page->kind = PAGE_AGAIN;
	page->txn = xstrdup(t->id);
	page->set_cookie = xstrdup(cookie);
	return J_DROP;
}

enum verdict
authorize_busy(
    struct slice *sl, const struct signin *check, struct a_page *page)
{
	struct txn *t;

	if ((t = txn_find(check->txn)) == NULL)
		return page_error(page, PAGE_E_EXPIRED);
	return show_notice(
	    sl, t, check->cookie, check->user, NOTICE_BUSY, 5, page);
}

void
signin_free(struct signin *s)
{
	free(s->cookie);
	free(s->addr);
	free(s->user);
	if (s->hash != NULL)
		freezero(s->hash, strlen(s->hash));
	if (s->password != NULL)
		freezero(s->password, strlen(s->password));
	memset(s, 0, sizeof(*s));
}

/* ---- the decision ---- */

static enum verdict
approve(struct txn *t, struct a_page *page)
{
	struct row_consent now = {.at = clock_now()};
	uint8_t key[CONSENT_KEY], site[CONSENT_KEY];
	struct row_client row;
	int r;

	if ((r = client_get(t->client_id, &row)) == -1)
		return J_DROP;
	if (r == 0) {
		txn_drop(t);
		return page_error(page, PAGE_E_CLIENT);
	}
	wire_free(&def_row_client, &row);
	if ((page->code = code_issue(t)) == NULL ||
	    row_put(T_CONSENT, key, consent_key(key, t), &def_row_consent,
		&now) == -1 ||
	    row_put(T_CONSENT, site,
		site_key(site, t->client_id, t->redirect_uri), &def_row_consent,
		&now) == -1)
		return J_DROP;
	log_info("AUTH %s lets client %s use %s", t->user, t->client_id,
	    t->resource);
	page->kind = PAGE_REDIRECT;
	page->redirect_uri = xstrdup(t->redirect_uri);
	page->state = xstrdup(t->state);
	txn_drop(t);
	return J_KEEP;
}

enum verdict
authorize_decide(
    struct slice *sl, const struct a_form *form, struct a_page *page)
{
	struct txn *t;

	if ((t = form_txn(form, 1, page)) == NULL)
		return J_DROP;
	if (t->user == NULL)
		return show(sl, t, form->cookie, page);
	if (strcmp(form->decision, "approve") == 0)
		return approve(t, page);
	log_info("AUTH %s refuses client %s", t->user, t->client_id);
	(void)page_refuse(page, t->redirect_uri, t->state, "access_denied",
	    "the request was refused");
	txn_drop(t);
	return J_DROP;
}
