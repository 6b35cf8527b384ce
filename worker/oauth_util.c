/*
 * What the OAuth endpoints share: reading their parameters, asking authd, and
 * the names this gateway goes by.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authc.h"
#include "b64.h"
#include "compat.h"
#include "oauth.h"
#include "oauth_util.h"
#include "proto.h"
#include "request.h"
#include "worker.h"

struct wait {
	struct request *rq;
	struct authd_call *call;
	void (*answer)(struct request *, void *);
};

static int is_alias(const struct request *, const char *, size_t);
static int is_loopback(const char *, size_t);
static char *canonical(const struct request *, const char *);
static int basic(struct request *, const struct span *, struct client_auth *);
static void basic_reading(struct client_auth *);
static int bad_client(struct request *, const char *);
static void answered(void *, void *);
static void gone(struct request *);

void
oauth_no_store(struct request *rq)
{
	reply_header(rq, "Cache-Control", "no-store");
	reply_header(rq, "Pragma", "no-cache");
}

void
oauth_retry_after(struct request *rq, uint32_t seconds)
{
	char s[16];

	snprintf(s, sizeof(s), "%u", seconds == 0 ? 1 : (unsigned int)seconds);
	reply_header(rq, "Retry-After", s);
}

int
oauth_content_is(const struct request *rq, const char *type)
{
	const struct span *v = http_get(&rq->head, HDR_CONTENT_TYPE);
	size_t n = strlen(type);

	if (v == NULL || http_count(&rq->head, HDR_CONTENT_TYPE) != 1 ||
	    v->len < n || strncasecmp(v->p, type, n) != 0)
		return 0;
	return v->len == n || strchr("; \t", v->p[n]) != NULL;
}

/* ---- names of this gateway ---- */

const char *
oauth_host(void)
{
	const char *p = strstr(worker.conf.issuer, "://");

	return p == NULL ? worker.conf.issuer : p + 3;
}

const char *
oauth_base(const struct request *rq, char *dst, size_t dstsize)
{
	const struct span *host = &rq->head.host;
	size_t i, n;

	if (host->p == NULL || !is_alias(rq, host->p, host->len))
		return worker.conf.issuer;
	n = (size_t)(oauth_host() - worker.conf.issuer);
	if (n + host->len >= dstsize)
		return worker.conf.issuer;
	memcpy(dst, worker.conf.issuer, n);
	for (i = 0; i < host->len; i++)
		dst[n + i] = host->p[i] >= 'A' && host->p[i] <= 'Z'
				 ? (char)(host->p[i] + 32)
				 : host->p[i];
	dst[n + host->len] = '\0';
	return dst;
}

/*
 * Another name for the issuer's host: one of `hosts`, or on a loopback issuer
 * another loopback name. The port counts there too: what listens on the next
 * port is somebody else, who must not get tokens that are good here.
 */
static int
is_alias(const struct request *rq, const char *p, size_t len)
{
	const char *own = oauth_host(), *port;
	size_t i, n;

	if (len == strlen(own) && strncasecmp(p, own, len) == 0)
		return 0;
	for (i = 0; i < worker.conf.hosts.n; i++)
		if (len == strlen(worker.conf.hosts.v[i]) &&
		    strncasecmp(p, worker.conf.hosts.v[i], len) == 0)
			return 1;
	if (!worker.issuer_loopback || !rq->loopback_listener)
		return 0;
	port = strrchr(own, ':');
	if (port == NULL || strchr(port, ']') != NULL)
		port = "";
	n = strlen(port);
	return len > n && memcmp(p + len - n, port, n) == 0 &&
	       is_loopback(p, len - n);
}

static int
is_loopback(const char *p, size_t len)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len == strlen(names[i]) &&
		    strncasecmp(p, names[i], len) == 0)
			return 1;
	return 0;
}

int
oauth_resources(
    const struct request *rq, const struct form *f, struct strv *out)
{
	char *s;
	uint32_t i;

	if (form_resources(f, out) == -1)
		return -1;
	for (i = 0; i < out->n; i++) {
		if ((s = canonical(rq, out->v[i])) == NULL) {
			strv_free(out);
			return -1;
		}
		free(out->v[i]);
		out->v[i] = s;
	}
	return 0;
}

static char *
canonical(const struct request *rq, const char *resource)
{
	size_t scheme = (size_t)(oauth_host() - worker.conf.issuer), len;
	const char *host;
	char *s;

	host = resource + scheme;
	if (strncasecmp(resource, worker.conf.issuer, scheme) != 0)
		return strdup(resource);
	len = strcspn(host, "/?#");
	if (!is_alias(rq, host, len))
		return strdup(resource);
	if (asprintf(&s, "%s%s", worker.conf.issuer, host + len) == -1)
		return NULL;
	return s;
}

/* ---- parameters ---- */

char *
oauth_param(const struct form *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->p[i].name, name) == 0 && f->p[i].value[0] != '\0')
			return f->p[i].value;
	return NULL;
}

int
oauth_form(struct request *rq, struct form *f)
{
	int r;

	oauth_no_store(rq);
	if (!oauth_content_is(rq, "application/x-www-form-urlencoded")) {
		reply_error(rq, 415, "invalid_request",
		    "the body must be application/x-www-form-urlencoded");
		return -1;
	}
	r = form_parse(f, rq->body, rq->bodylen);
	oauth_wipe_body(rq);
	if (r == 0)
		return 0;
	reply_error(rq, 400, "invalid_request",
	    r == FORM_TWICE ? "a parameter came twice"
			    : "the body is not a well-formed form");
	return -1;
}

void
oauth_wipe_body(struct request *rq)
{
	if (rq->body != NULL && rq->body == rq->buf + rq->headlen)
		explicit_bzero(rq->buf + rq->headlen, rq->bodylen);
}

/* ---- client authentication ---- */

int
oauth_used_basic(const struct request *rq)
{
	const struct span *v = http_get(&rq->head, HDR_AUTHORIZATION);

	return v != NULL && v->len > 6 && strncasecmp(v->p, "Basic ", 6) == 0;
}

int
oauth_client(struct request *rq, const struct form *f, struct client_auth *ca)
{
	const char *id = oauth_param(f, "client_id");

	memset(ca, 0, sizeof(*ca));
	if (http_count(&rq->head, HDR_AUTHORIZATION) > 1) {
		reply_error(
		    rq, 400, "invalid_request", "Authorization came twice");
		return -1;
	}
	ca->id = oauth_param(f, "client_id");
	ca->secret = oauth_param(f, "client_secret");
	if (!oauth_used_basic(rq)) {
		ca->method = ca->secret == NULL ? CAUTH_NONE : CAUTH_POST;
		return 0;
	}
	if (ca->secret != NULL) {
		reply_error(rq, 400, "invalid_request",
		    "the client authenticated in two ways at once");
		return -1;
	}
	if (basic(rq, http_get(&rq->head, HDR_AUTHORIZATION), ca) == -1)
		return -1;
	if (id != NULL && strcmp(id, ca->id) != 0 &&
	    (ca->id2 == NULL || strcmp(id, ca->id2) != 0)) {
		oauth_client_free(ca);
		reply_error(rq, 400, "invalid_request",
		    "client_id is not the one of Authorization");
		return -1;
	}
	return 0;
}

static int
basic(struct request *rq, const struct span *v, struct client_auth *ca)
{
	size_t skip = 6;
	ssize_t n;
	char *colon;

	while (skip < v->len && v->p[skip] == ' ')
		skip++;
	ca->method = CAUTH_BASIC;
	ca->size = v->len - skip + 1;
	if ((ca->store = malloc(ca->size)) == NULL) {
		reply_unavailable(rq, 1);
		return -1;
	}
	n = b64_decode(
	    (uint8_t *)ca->store, ca->size - 1, v->p + skip, v->len - skip);
	if (n < 0 || memchr(ca->store, '\0', (size_t)n) != NULL ||
	    (colon = memchr(ca->store, ':', (size_t)n)) == NULL) {
		oauth_client_free(ca);
		return bad_client(rq, "Authorization could not be read");
	}
	ca->store[n] = '\0';
	*colon = '\0';
	ca->id = ca->store;
	ca->secret = colon + 1;
	basic_reading(ca);
	return 0;
}

/* RFC 6749 2.3.1 wants id and secret form-encoded first; most clients do not
 * do that. authd tries both readings. */
static void
basic_reading(struct client_auth *ca)
{
	if (strpbrk(ca->id, "%+") == NULL && strpbrk(ca->secret, "%+") == NULL)
		return;
	ca->store_id = form_decode(ca->id, strlen(ca->id));
	ca->store_secret = form_decode(ca->secret, strlen(ca->secret));
	if (ca->store_id == NULL || ca->store_secret == NULL)
		return;
	ca->id2 = ca->store_id;
	ca->secret2 = ca->store_secret;
}

static int
bad_client(struct request *rq, const char *why)
{
	reply_header(rq, "WWW-Authenticate", "Basic realm=\"mcpgwd\"");
	reply_error(rq, 401, "invalid_client", why);
	return -1;
}

void
oauth_client_free(struct client_auth *ca)
{
	if (ca->store != NULL)
		freezero(ca->store, ca->size);
	if (ca->store_id != NULL)
		freezero(ca->store_id, strlen(ca->store_id));
	if (ca->store_secret != NULL)
		freezero(ca->store_secret, strlen(ca->store_secret));
	memset(ca, 0, sizeof(*ca));
}

/* ---- asking authd ---- */

int
oauth_fits(const struct msgdef *def, const void *msg)
{
	const struct wire_field *f;
	const char *base = msg, *s;
	const struct strv *v;
	uint32_t j;
	size_t i;

	for (i = 0; i < def->nf; i++) {
		f = &def->f[i];
		if (f->type == W_STR || f->type == W_SECRET) {
			memcpy(&s, base + f->off, sizeof(s));
			if (s != NULL && strlen(s) > f->max)
				return 0;
		} else if (f->type == W_STRV) {
			v = (const void *)(base + f->off);
			if (v->n > f->maxn)
				return 0;
			for (j = 0; j < v->n; j++)
				if (strlen(v->v[j]) > f->max)
					return 0;
		}
	}
	return 1;
}

int
oauth_ask(struct request *rq, uint32_t type, const struct msgdef *def,
    const void *msg, void (*answer)(struct request *, void *))
{
	struct wait *w;

	if ((w = malloc(sizeof(*w))) == NULL)
		return -1;
	w->rq = rq;
	w->answer = answer;
	if ((w->call = authd_ask(type, def, msg, answered, w)) == NULL) {
		free(w);
		return -1;
	}
	rq->ctx = w;
	rq->gone = gone;
	return 0;
}

static void
answered(void *arg, void *msg)
{
	struct wait w = *(struct wait *)arg;

	free(arg);
	w.rq->ctx = NULL;
	w.rq->gone = NULL;
	w.answer(w.rq, msg);
}

static void
gone(struct request *rq)
{
	struct wait *w = rq->ctx;

	rq->ctx = NULL;
	authd_cancel(w->call);
	free(w);
}
