/*
 * What clients read before anything else: where the authorization server is
 * (RFC 9728), what it can do (RFC 8414, and its OpenID mirror), and its keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authc.h"
#include "json.h"
#include "oauth.h"
#include "oauth_util.h"
#include "origin.h"
#include "proto.h"
#include "request.h"
#include "worker.h"

#define WELL_KNOWN "/.well-known/oauth-protected-resource"
#define HOST_MAX   300
/* Of the default audience, which exists whether or not it is an endpoint. */
#define DEFAULT_PATH "/mcp"

struct doc {
	char *text;
	size_t len;
};

static void put(struct json_buf *, const char *, const char *);
static void put_joined(struct json_buf *, const char *, const char *);
static void put_url(struct json_buf *, const char *, const char *);
static void put_scopes(struct json_buf *, const char *);
static int build(struct doc *, const char *);
static void serve(struct request *, struct doc *, const char *);
static void send_doc(struct request *, const char *, size_t);

/* These depend on nothing but the config, which never changes here. */
static struct doc server, openid;

void
oauth_resource_metadata(struct request *rq)
{
	const struct span *path = &rq->head.path;
	const char *base, *name, *at = DEFAULT_PATH;
	struct json_buf b = {0};
	struct endpoint *ep;
	char host[HOST_MAX], *text;
	size_t skip = sizeof(WELL_KNOWN) - 1, len;

	if (path->len > skip + 1) {
		ep = worker_endpoint(path->p + skip, path->len - skip);
		if (ep == NULL || (ep->conf.noauth && !origin_local(rq))) {
			reply_error(rq, 404, "not_found", "no such resource");
			return;
		}
		at = ep->conf.path;
	}
	base = oauth_base(rq, host, sizeof(host));
	name = strstr(base, "://");
	json_puts(&b, "{\"resource\":");
	put_joined(&b, base, at);
	json_puts(&b, ",\"authorization_servers\":[");
	json_putstr(&b, worker.conf.issuer);
	json_puts(&b, "],");
	put_scopes(&b, NULL);
	json_puts(&b, "\"bearer_methods_supported\":[\"header\"],"
		      "\"resource_name\":");
	put_joined(&b, "mcpgwd at ", name == NULL ? base : name + 3);
	json_puts(&b, "}");
	if ((text = json_buf_take(&b, &len)) == NULL) {
		reply_unavailable(rq, 1);
		return;
	}
	send_doc(rq, text, len);
	free(text);
}

void
oauth_server_metadata(struct request *rq)
{
	serve(rq, &server, "");
}

/* The two members are there for clients' schemas only: no id token is ever
 * made (design 12). */
void
oauth_openid_metadata(struct request *rq)
{
	serve(rq, &openid,
	    ",\"subject_types_supported\":[\"public\"],"
	    "\"id_token_signing_alg_values_supported\":[\"ES256\"]");
}

void
oauth_jwks(struct request *rq)
{
	const char *keys = authc_jwks();

	if (keys[0] == '\0')
		reply_unavailable(rq, 1);
	else
		send_doc(rq, keys, strlen(keys));
}

static void
serve(struct request *rq, struct doc *doc, const char *more)
{
	if (doc->text == NULL && build(doc, more) == -1)
		reply_unavailable(rq, 1);
	else
		send_doc(rq, doc->text, doc->len);
}

static void
send_doc(struct request *rq, const char *text, size_t len)
{
	reply_header(rq, "Cache-Control", "public, max-age=300");
	reply(rq, 200, "application/json", text, len);
}

/* Lists what is built and nothing else. */
static int
build(struct doc *doc, const char *more)
{
	struct json_buf b = {0};

	json_puts(&b, "{");
	put(&b, "issuer", worker.conf.issuer);
	put_url(&b, "authorization_endpoint", "/oauth/authorize");
	put_url(&b, "token_endpoint", "/oauth/token");
	if (worker.conf.registration)
		put_url(&b, "registration_endpoint", "/oauth/register");
	put_url(&b, "revocation_endpoint", "/oauth/revoke");
	put_url(&b, "jwks_uri", "/oauth/jwks");
	put_scopes(&b, "offline_access");
	json_puts(&b,
	    "\"response_types_supported\":[\"code\"],"
	    "\"response_modes_supported\":[\"query\"],"
	    "\"grant_types_supported\":[\"authorization_code\","
	    "\"refresh_token\"],"
	    "\"code_challenge_methods_supported\":[\"S256\"],"
	    "\"token_endpoint_auth_methods_supported\":[\"none\","
	    "\"client_secret_post\",\"client_secret_basic\"],"
	    "\"revocation_endpoint_auth_methods_supported\":[\"none\","
	    "\"client_secret_post\",\"client_secret_basic\"],"
	    "\"authorization_response_iss_parameter_supported\":true");
	json_puts(&b, more);
	json_puts(&b, "}");
	doc->text = json_buf_take(&b, &doc->len);
	return doc->text == NULL ? -1 : 0;
}

/* mcp first, then what the config adds; mcp:admin is never advertised. */
static void
put_scopes(struct json_buf *b, const char *last)
{
	const struct kv *s = worker.conf.scopes.p;
	uint32_t i;

	json_puts(b, "\"scopes_supported\":[\"mcp\"");
	for (i = 0; i < worker.conf.scopes.n; i++) {
		if (strcmp(s[i].name, "mcp") == 0 ||
		    strcmp(s[i].name, "mcp:admin") == 0 ||
		    strcmp(s[i].name, "offline_access") == 0)
			continue;
		json_puts(b, ",");
		json_putstr(b, s[i].name);
	}
	if (last != NULL) {
		json_puts(b, ",");
		json_putstr(b, last);
	}
	json_puts(b, "],");
}

static void
put(struct json_buf *b, const char *name, const char *value)
{
	json_putstr(b, name);
	json_puts(b, ":");
	json_putstr(b, value);
	json_puts(b, ",");
}

static void
put_url(struct json_buf *b, const char *name, const char *path)
{
	json_putstr(b, name);
	json_puts(b, ":");
	put_joined(b, worker.conf.issuer, path);
	json_puts(b, ",");
}

static void
put_joined(struct json_buf *b, const char *one, const char *two)
{
	char *s;

	if (asprintf(&s, "%s%s", one, two) == -1) {
		b->err = 1;
		return;
	}
	json_putstr(b, s);
	free(s);
}
