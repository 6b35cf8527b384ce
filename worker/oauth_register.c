/*
 * Dynamic client registration (RFC 7591): lenient in what it reads, exact in
 * what it echoes. What may be registered is authd's to say.
 */
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "json.h"
#include "oauth.h"
#include "oauth_util.h"
#include "proto.h"
#include "request.h"
#include "utf8.h"

#define BODY_MAX (64 * 1024)
/* authd keeps 64 characters of it. */
#define NAME_MAX_BYTES 256

static int parse(struct request *, struct a_register *);
static int redirect_uris(const struct json_doc *, struct strv *);
static uint8_t grants(const struct json_doc *);
static char *text(const struct json_doc *, const char *);
static void clip(char *, size_t);
static void answer(struct request *, void *);
static void refused(struct request *, const struct a_registered *);
static void echo(struct json_buf *, const struct a_registered *);
static void put(struct json_buf *, const char *, const char *);
static int bad(struct request *, int, const char *, const char *);

void
oauth_register(struct request *rq)
{
	struct a_register msg;
	int sent;

	oauth_no_store(rq);
	if (!oauth_content_is(rq, "application/json")) {
		bad(rq, 415, "invalid_client_metadata",
		    "the body must be application/json");
		return;
	}
	memset(&msg, 0, sizeof(msg));
	if (parse(rq, &msg) == -1) {
		wire_free(&def_a_register, &msg);
		return;
	}
	sent = oauth_ask(rq, A_REGISTER, &def_a_register, &msg, answer);
	wire_free(&def_a_register, &msg);
	if (sent == -1)
		reply_unavailable(rq, 1);
}

/* 0, or -1 when the answer has been given. */
static int
parse(struct request *rq, struct a_register *msg)
{
	static const char invalid[] = "invalid_client_metadata";
	struct json_doc doc;
	enum json_error e;

	if (rq->bodylen > BODY_MAX)
		return bad(rq, 400, invalid, "the body is too large");
	if ((e = json_scan(&doc, rq->body, rq->bodylen, NULL)) != JSON_OK)
		return bad(rq, 400, invalid, json_strerror(e));
	if (doc.root != JSON_OBJECT)
		return bad(rq, 400, invalid, "the body must be an object");
	if (redirect_uris(&doc, &msg->redirect_uris) == -1)
		return bad(rq, 400, "invalid_redirect_uri",
		    "redirect_uris must be an array of strings");
	msg->addr = strdup(rq->addr);
	msg->name = text(&doc, "client_name");
	msg->auth_method = text(&doc, "token_endpoint_auth_method");
	msg->application_type = text(&doc, "application_type");
	msg->client_uri = text(&doc, "client_uri");
	msg->scope = text(&doc, "scope");
	msg->grants = grants(&doc);
	if (msg->name != NULL)
		clip(msg->name, NAME_MAX_BYTES);
	if (!oauth_fits(&def_a_register, msg))
		return bad(rq, 400, invalid, "a value is too long");
	return 0;
}

static int
redirect_uris(const struct json_doc *doc, struct strv *out)
{
	const struct json_member *m = json_get(doc, 0, "redirect_uris");
	struct json_span v;
	size_t pos = 0;
	char *s;
	int r = 0;

	if (m == NULL || m->val.type != JSON_ARRAY)
		return -1;
	while (r == 0 && json_next(&m->val, &pos, NULL, &v)) {
		if (v.type != JSON_STRING || (s = json_strdup(&v)) == NULL)
			continue;
		r = strv_add(out, s);
		free(s);
	}
	return r;
}

/* Grants we do not have are dropped, not refused: clients list what they
 * might use somewhere. */
static uint8_t
grants(const struct json_doc *doc)
{
	const struct json_member *m = json_get(doc, 0, "grant_types");
	struct json_span v;
	size_t pos = 0;
	uint8_t bits = 0;

	if (m == NULL || m->val.type != JSON_ARRAY)
		return 0;
	while (json_next(&m->val, &pos, NULL, &v)) {
		if (json_equals(&v, "authorization_code"))
			bits |= GRANT_CODE;
		else if (json_equals(&v, "refresh_token"))
			bits |= GRANT_REFRESH;
	}
	return bits;
}

/* NULL when absent or no string we can use. */
static char *
text(const struct json_doc *doc, const char *key)
{
	const struct json_member *m = json_get(doc, 0, key);

	if (m == NULL || m->val.type != JSON_STRING)
		return NULL;
	return json_strdup(&m->val);
}

static void
clip(char *s, size_t max)
{
	size_t n = 0, step, len = strlen(s);

	while (
	    n < len && (step = utf8_seq(s + n, len - n)) > 0 && n + step <= max)
		n += step;
	s[n] = '\0';
}

static void
answer(struct request *rq, void *arg)
{
	const struct a_registered *r = arg;
	struct json_buf b = {0};
	char *body;
	size_t len;

	if (r == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	if (r->error[0] != '\0') {
		refused(rq, r);
		return;
	}
	echo(&b, r);
	if ((body = json_buf_take(&b, &len)) == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	reply(rq, 201, "application/json", body, len);
	freezero(body, len);
}

static void
refused(struct request *rq, const struct a_registered *r)
{
	const char *why = r->description[0] == '\0' ? NULL : r->description;

	if (strcmp(r->error, "slow_down") == 0) {
		oauth_retry_after(rq, r->retry_after);
		reply_error(rq, 429, r->error, why);
	} else if (strcmp(r->error, "temporarily_unavailable") == 0)
		reply_unavailable(rq, r->retry_after);
	else if (strcmp(r->error, "access_denied") == 0)
		reply_error(rq, 403, r->error, why);
	else
		reply_error(rq, 400, r->error, why);
}

static void
echo(struct json_buf *b, const struct a_registered *r)
{
	uint32_t i;

	json_puts(b, "{\"client_id\":");
	json_putstr(b, r->client_id);
	json_puts(b, ",\"client_id_issued_at\":");
	json_putint(b, r->issued_at);
	if (r->client_secret[0] != '\0') {
		put(b, "client_secret", r->client_secret);
		json_puts(b, ",\"client_secret_expires_at\":0");
	}
	put(b, "client_name", r->name);
	json_puts(b, ",\"redirect_uris\":[");
	for (i = 0; i < r->redirect_uris.n; i++) {
		if (i > 0)
			json_puts(b, ",");
		json_putstr(b, r->redirect_uris.v[i]);
	}
	json_puts(b, "],\"grant_types\":[");
	if (r->grants & GRANT_CODE)
		json_puts(b, "\"authorization_code\"");
	if (r->grants == (GRANT_CODE | GRANT_REFRESH))
		json_puts(b, ",");
	if (r->grants & GRANT_REFRESH)
		json_puts(b, "\"refresh_token\"");
	json_puts(b, "],\"response_types\":[\"code\"]");
	put(b, "token_endpoint_auth_method", r->auth_method);
	put(b, "scope", r->scope);
	put(b, "application_type", r->application_type);
	put(b, "client_uri", r->client_uri);
	json_puts(b, "}");
}

/* A member, left out when there is nothing to say. */
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

static int
bad(struct request *rq, int status, const char *error, const char *why)
{
	reply_error(rq, status, error, why);
	return -1;
}
