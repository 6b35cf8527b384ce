/*
 * The authorization endpoint: a client's request, and the forms of the pages
 * it leads to. authd says which page comes next; here it is asked and shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "oauth.h"
#include "oauth_util.h"
#include "page.h"
#include "request.h"
#include "worker.h"

#define COOKIE_LEN 256

static int parse(struct request *, struct form *);
static void start(struct request *, const struct form *, char *);
static void submit(struct request *, const struct form *, char *);
static void send_on(
    struct request *, uint32_t, const struct msgdef *, const void *);
static const char *cookie_name(void);
static void cookie_read(const struct request *, char *, size_t);
static void cookie_set(struct request *, const char *);
static void answer(struct request *, void *);
static void show(struct request *, const struct a_page *);
static void redirect(struct request *, const struct a_page *);
static void offer(struct request *, const struct a_page *);
static void again(struct request *, const struct a_page *);
static void leave(struct request *, int, const char *);
static void fail(struct request *, int, const char *, const char *);
static int error_status(const char *);

void
oauth_authorize(struct request *rq)
{
	char cookie[COOKIE_LEN];
	struct form f;

	if (parse(rq, &f) == -1)
		return;
	cookie_read(rq, cookie, sizeof(cookie));
	/* A transaction is named by our own pages, a client by the request
	 * that starts one, which may also be posted (OpenID Core 3.1.2.1). */
	if (oauth_param(&f, "txn") != NULL &&
	    oauth_param(&f, "client_id") == NULL)
		submit(rq, &f, cookie);
	else
		start(rq, &f, cookie);
	explicit_bzero(cookie, sizeof(cookie));
	form_free(&f);
}

static int
parse(struct request *rq, struct form *f)
{
	const struct span *q = &rq->head.query;
	int r;

	if (rq->head.method != HTTP_POST)
		r = form_parse(f, q->p == NULL ? "" : q->p, q->len);
	else if (oauth_content_is(rq, "application/x-www-form-urlencoded")) {
		r = form_parse(f, rq->body, rq->bodylen);
		oauth_wipe_body(rq);
	} else {
		fail(rq, 415, PAGE_E_REQUEST, "the body is not a form");
		return -1;
	}
	if (r == 0)
		return 0;
	fail(rq, 400, PAGE_E_REQUEST,
	    r == FORM_TWICE ? "a parameter came twice"
			    : "the parameters could not be read");
	return -1;
}

static void
start(struct request *rq, const struct form *f, char *cookie)
{
	struct a_authorize msg;

	memset(&msg, 0, sizeof(msg));
	msg.addr = rq->addr;
	msg.cookie = cookie;
	msg.response_type = oauth_param(f, "response_type");
	msg.client_id = oauth_param(f, "client_id");
	msg.redirect_uri = oauth_param(f, "redirect_uri");
	msg.scope = oauth_param(f, "scope");
	msg.state = oauth_param(f, "state");
	msg.challenge = oauth_param(f, "code_challenge");
	msg.challenge_method = oauth_param(f, "code_challenge_method");
	msg.prompt = oauth_param(f, "prompt");
	msg.response_mode = oauth_param(f, "response_mode");
	msg.has_request = (oauth_param(f, "request") != NULL) |
			  (oauth_param(f, "request_uri") != NULL) << 1;
	if (oauth_resources(rq, f, &msg.resources) == -1) {
		fail(rq, 503, PAGE_E_DOWN, "");
		return;
	}
	send_on(rq, A_AUTHORIZE, &def_a_authorize, &msg);
	strv_free(&msg.resources);
}

static void
submit(struct request *rq, const struct form *f, char *cookie)
{
	const char *decision = oauth_param(f, "decision");
	uint32_t type = A_RESUME;
	struct a_form msg;

	memset(&msg, 0, sizeof(msg));
	msg.addr = rq->addr;
	msg.cookie = cookie;
	msg.txn = oauth_param(f, "txn");
	if (rq->head.method == HTTP_POST) {
		type = A_DECIDE;
		msg.csrf = oauth_param(f, "csrf");
		msg.decision = oauth_param(f, "decision");
	}
	if (type == A_DECIDE && decision != NULL &&
	    strcmp(decision, "signin") == 0) {
		type = A_SIGNIN;
		msg.user = oauth_param(f, "user");
		msg.password = oauth_param(f, "password");
	}
	send_on(rq, type, &def_a_form, &msg);
}

static void
send_on(struct request *rq, uint32_t type, const struct msgdef *def,
    const void *msg)
{
	if (!oauth_fits(def, msg))
		fail(rq, 400, PAGE_E_REQUEST, "a parameter is too long");
	else if (oauth_ask(rq, type, def, msg, answer) == -1)
		fail(rq, 503, PAGE_E_DOWN, "");
}

/* ---- the browser's cookie ---- */

/* By the issuer's scheme, not the connection's: TLS may end before us. */
static const char *
cookie_name(void)
{
	return worker.issuer_https ? "__Host-mcpgw" : "mcpgw";
}

static void
cookie_read(const struct request *rq, char *dst, size_t size)
{
	const struct span *h = http_get(&rq->head, HDR_COOKIE);
	struct span v;

	dst[0] = '\0';
	if (h == NULL || http_count(&rq->head, HDR_COOKIE) != 1)
		return;
	v = cookie_get(h, cookie_name());
	if (v.p == NULL || v.len >= size)
		return;
	memcpy(dst, v.p, v.len);
	dst[v.len] = '\0';
}

static void
cookie_set(struct request *rq, const char *value)
{
	char s[COOKIE_LEN + 128];

	snprintf(s, sizeof(s),
	    "%s=%s; Path=/; Max-Age=600; HttpOnly; "
	    "SameSite=Lax%s",
	    cookie_name(), value, worker.issuer_https ? "; Secure" : "");
	reply_header(rq, "Set-Cookie", s);
	explicit_bzero(s, sizeof(s));
}

/* ---- answers ---- */

static void
answer(struct request *rq, void *arg)
{
	const struct a_page *p = arg;

	if (p == NULL) {
		fail(rq, 503, PAGE_E_DOWN, "");
		return;
	}
	if (p->set_cookie[0] != '\0')
		cookie_set(rq, p->set_cookie);
	switch (p->kind) {
	case PAGE_SIGNIN:
	case PAGE_CONSENT:
		show(rq, p);
		break;
	case PAGE_REDIRECT:
		redirect(rq, p);
		break;
	case PAGE_RETURN:
		offer(rq, p);
		break;
	case PAGE_AGAIN:
		again(rq, p);
		break;
	default:
		fail(rq, error_status(p->error), p->error, p->description);
		break;
	}
}

static void
show(struct request *rq, const struct a_page *p)
{
	struct json_buf b = {0};
	int status = 200;

	if (p->kind == PAGE_CONSENT)
		page_consent(&b, p);
	else {
		page_signin(&b, p);
		if (strcmp(p->notice, NOTICE_WAIT) == 0)
			status = 429;
		else if (strcmp(p->notice, NOTICE_BUSY) == 0)
			status = 503;
		if (status != 200)
			oauth_retry_after(rq, p->retry_after);
	}
	page_reply(rq, status, p->redirect_uri, &b);
}

static void
redirect(struct request *rq, const struct a_page *p)
{
	char *to = target_location(p, worker.conf.issuer);

	if (to == NULL) {
		fail(rq, 400, PAGE_E_REDIRECT, "");
		return;
	}
	leave(rq, rq->head.method == HTTP_POST ? 303 : 302, to);
	freezero(to, strlen(to));
}

static void
offer(struct request *rq, const struct a_page *p)
{
	char *to = target_location(p, worker.conf.issuer);
	struct json_buf b = {0};

	if (to == NULL) {
		fail(rq, 400, PAGE_E_REDIRECT, "");
		return;
	}
	page_return(&b, p, to);
	page_reply(rq, 400, NULL, &b);
	freezero(to, strlen(to));
}

static void
again(struct request *rq, const struct a_page *p)
{
	char to[1024] = "/oauth/authorize?txn=";

	if (form_encode(to, sizeof(to), p->txn) == -1)
		fail(rq, 503, PAGE_E_DOWN, "");
	else
		leave(rq, 303, to);
}

static void
leave(struct request *rq, int status, const char *to)
{
	reply_header(rq, "Location", to);
	reply_header(rq, "Cache-Control", "no-store");
	reply_header(rq, "Referrer-Policy", "same-origin");
	reply_empty(rq, status);
}

static void
fail(struct request *rq, int status, const char *error, const char *description)
{
	struct json_buf b = {0};

	if (status == 503)
		oauth_retry_after(rq, 1);
	page_error(&b, error, description);
	page_reply(rq, status, NULL, &b);
}

static int
error_status(const char *error)
{
	if (strcmp(error, PAGE_E_BROWSER) == 0)
		return 403;
	return strcmp(error, PAGE_E_DOWN) == 0 ? 503 : 400;
}
