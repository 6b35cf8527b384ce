/*
 * The routes and the checks that come before every handler. Nothing is served
 * that is not in the table, and nothing is in the table without its class.
 */
#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bearer.h"
#include "conn.h"
#include "health.h"
#include "log.h"
#include "mcp.h"
#include "oauth.h"
#include "origin.h"
#include "route.h"
#include "worker.h"

static const struct route *route_find(struct request *);
static int route_origin(struct request *);
static int route_body(struct request *, size_t);
static void route_preflight(struct request *);
static int path_is(const struct span *, const char *, int);

#define WK "/.well-known/"

const struct route routes[] = {
    {"/health", HTTP_GET, CLASS_OPEN, 0, health},
    {WK "oauth-protected-resource", HTTP_GET, CLASS_PUBLIC, 1,
	oauth_resource_metadata},
    {WK "oauth-authorization-server", HTTP_GET, CLASS_PUBLIC, 0,
	oauth_server_metadata},
    {WK "openid-configuration", HTTP_GET, CLASS_PUBLIC, 0,
	oauth_openid_metadata},
    {WK "jwks.json", HTTP_GET, CLASS_PUBLIC, 0, oauth_jwks},
    {"/oauth/jwks", HTTP_GET, CLASS_PUBLIC, 0, oauth_jwks},
    {"/oauth/register", HTTP_POST, CLASS_PUBLIC, 0, oauth_register},
    {"/oauth/token", HTTP_POST, CLASS_PUBLIC, 0, oauth_token},
    {"/oauth/revoke", HTTP_POST, CLASS_PUBLIC, 0, oauth_revoke},
    {"/oauth/authorize", HTTP_GET | HTTP_POST, CLASS_BROWSER, 0,
	oauth_authorize},
    {"/oauth/style.css", HTTP_GET, CLASS_BROWSER, 0, oauth_style},
    /* aliases for clients of 2025-03-26, which look at the root */
    {"/jwks", HTTP_GET, CLASS_PUBLIC, 0, oauth_jwks},
    {"/register", HTTP_POST, CLASS_PUBLIC, 0, oauth_register},
    {"/token", HTTP_POST, CLASS_PUBLIC, 0, oauth_token},
    {"/revoke", HTTP_POST, CLASS_PUBLIC, 0, oauth_revoke},
    {"/authorize", HTTP_GET | HTTP_POST, CLASS_BROWSER, 0, oauth_authorize},
    {NULL, 0, 0, 0, NULL},
};

/* Every endpoint of the config. */
static const struct route endpoint_route = {
    "", HTTP_GET | HTTP_POST | HTTP_DELETE, CLASS_BEARER, 0, mcp_request};

/* One trailing slash is the same path. */
static int
path_is(const struct span *path, const char *want, int prefix)
{
	size_t n = strlen(want);

	if (path->len < n || memcmp(path->p, want, n) != 0)
		return 0;
	if (path->len == n || (path->len == n + 1 && path->p[n] == '/'))
		return 1;
	return prefix && path->p[n] == '/';
}

static const struct route *
route_find(struct request *rq)
{
	const struct route *r;

	rq->endpoint = worker_endpoint(rq->head.path.p, rq->head.path.len);
	if (rq->endpoint != NULL && rq->endpoint->conf.noauth &&
	    !origin_local(rq))
		rq->endpoint = NULL;
	if (rq->endpoint != NULL)
		return &endpoint_route;
	for (r = routes; r->path != NULL; r++)
		if (path_is(&rq->head.path, r->path, r->prefix))
			return r;
	return NULL;
}

int
route_head(struct request *rq, size_t small)
{
	const struct route *r;
	unsigned int m = rq->head.method;

	r = rq->route = route_find(rq);
	rq->limit = small;
	if (r == NULL || r->class != CLASS_OPEN) {
		if (!host_allowed(rq))
			return 421;
	}
	origin_client(rq);
	if (r == NULL)
		return 404;
	if (route_origin(rq) == -1)
		return 403;
	if (m == HTTP_OPTIONS && r->class != CLASS_BROWSER)
		return 0;
	if (m == HTTP_HEAD)
		m = HTTP_GET;
	if (!(r->methods & m))
		return 405;
	return route_body(rq, small);
}

/* Announced length against what this client may send. */
static int
route_body(struct request *rq, size_t small)
{
	int64_t length = rq->head.length;

	if (rq->route->class == CLASS_BEARER &&
	    ((length > 0 && (size_t)length > small) || rq->head.chunked) &&
	    (rq->endpoint->conf.noauth || bearer_known(rq)))
		rq->limit = worker.conf.body;
	if (length > 0 && (size_t)length > rq->limit)
		return 413;
	return 0;
}

static int
route_origin(struct request *rq)
{
	const struct span *origin = http_get(&rq->head, HDR_ORIGIN);

	rq->cors = CORS_NONE;
	if (http_count(&rq->head, HDR_ORIGIN) > 1)
		return -1;
	switch (rq->route->class) {
	case CLASS_OPEN:
		return 0;
	case CLASS_PUBLIC:
		rq->cors = CORS_ANY;
		return 0;
	case CLASS_BEARER:
		if (origin == NULL)
			return 0;
		if (!origin_allowed(rq, origin))
			return -1;
		rq->cors = CORS_ORIGIN;
		return 0;
	case CLASS_BROWSER:
		return origin_own(rq, origin) ? 0 : -1;
	}
	return -1;
}

void
route_dispatch(struct request *rq)
{
	if (rq->head.method == HTTP_OPTIONS &&
	    rq->route->class != CLASS_BROWSER) {
		route_preflight(rq);
		return;
	}
	rq->route->handler(rq);
}

static void
route_preflight(struct request *rq)
{
	reply_header(
	    rq, "Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
	reply_header(rq, "Access-Control-Allow-Headers",
	    "Authorization, Content-Type, Accept, Last-Event-ID, "
	    "MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, "
	    "traceparent, tracestate");
	reply_header(rq, "Access-Control-Max-Age", "600");
	reply_empty(rq, 204);
}

void
route_refuse(struct request *rq, int status)
{
	const struct proof *proof;
	char allow[64];
	unsigned int m;
	enum bearer b;

	/* What is too large for a stranger may be so for want of a token. */
	if (status == 413 && rq->endpoint != NULL &&
	    !rq->endpoint->conf.noauth &&
	    (b = bearer_check(rq, rq->endpoint->resource, &proof)) !=
		BEARER_OK) {
		bearer_refuse(rq, b);
		return;
	}

	if (status == 405) {
		m = rq->route->methods;
		snprintf(allow, sizeof(allow), "%s%s%s%s",
		    m & HTTP_GET ? "GET, HEAD, " : "",
		    m & HTTP_POST ? "POST, " : "",
		    m & HTTP_DELETE ? "DELETE, " : "", "OPTIONS");
		reply_header(rq, "Allow", allow);
	}
	switch (status) {
	case 503:
		reply_unavailable(rq, 1);
		break;
	case 404:
		reply_error(rq, status, "not_found", NULL);
		break;
	case 413:
		reply_error(rq, status, "too_large",
		    "the body is larger than this gateway takes");
		break;
	case 421:
		reply_error(rq, status, "misdirected_request",
		    "this host name is not served here");
		break;
	case 403:
		reply_error(
		    rq, status, "forbidden", "this origin is not allowed");
		break;
	default:
		reply_error(rq, status, "invalid_request", NULL);
		break;
	}
}
