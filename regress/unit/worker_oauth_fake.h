#ifndef WORKER_OAUTH_FAKE_H
#define WORKER_OAUTH_FAKE_H

/*
 * What the OAuth handlers of a worker call, replaced: replies are kept to be
 * looked at, authd is a variable. Included by one test program each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../worker/authc.h"
#include "../../worker/backend.h"
#include "../../worker/oauth.h"
#include "../../worker/request.h"
#include "../../worker/worker.h"
#include "compat.h"
#include "json.h"

struct worker worker;

static struct {
	int n; /* replies so far */
	int status;
	char headers[16384]; /* lines ending in LF */
	char *body;
	size_t len;
} got;

static struct {
	int away;
	int cancelled;
	uint32_t type;
	const struct msgdef *def;
	void *msg; /* a copy of what was asked */
	authd_cb cb;
	void *arg;
} asked;

static const char *jwks = "{\"keys\":[]}";
static char fake_buf[128 * 1024];
static struct request rq;

/* ---- request.h ---- */

void
reply_header(struct request *r, const char *name, const char *value)
{
	(void)r;
	if (strpbrk(value, "\r\n") != NULL)
		return;
	strlcat(got.headers, name, sizeof(got.headers));
	strlcat(got.headers, ": ", sizeof(got.headers));
	strlcat(got.headers, value, sizeof(got.headers));
	strlcat(got.headers, "\n", sizeof(got.headers));
}

void
reply(struct request *r, int status, const char *ctype, const void *body,
    size_t len)
{
	if (ctype != NULL)
		reply_header(r, "Content-Type", ctype);
	got.n++;
	got.status = status;
	free(got.body);
	got.body = xcalloc(1, len + 1);
	if (len > 0)
		memcpy(got.body, body, len);
	got.len = len;
}

void
reply_empty(struct request *r, int status)
{
	reply(r, status, NULL, NULL, 0);
}

void
reply_error(
    struct request *r, int status, const char *error, const char *description)
{
	struct json_buf b = {0};

	json_puts(&b, "{\"error\":");
	json_putstr(&b, error);
	json_puts(&b, ",\"error_description\":");
	json_putstr(&b, description == NULL ? "" : description);
	json_puts(&b, "}");
	reply(r, status, "application/json", b.p, b.len);
	json_buf_free(&b);
}

void
reply_unavailable(struct request *r, unsigned int retry_after)
{
	(void)retry_after;
	reply_header(r, "Retry-After", "1");
	reply_error(r, 503, "temporarily_unavailable", NULL);
}

/* ---- authc.h, worker.h ---- */

struct authd_call *
authd_ask(uint32_t type, const struct msgdef *def, const void *msg, authd_cb cb,
    void *arg)
{
	static char call;

	if (asked.away)
		return NULL;
	asked.type = type;
	asked.def = def;
	asked.msg = xcalloc(1, def->size);
	asked.cb = cb;
	asked.arg = arg;
	if (wire_copy(def, asked.msg, msg) == -1)
		abort();
	return (struct authd_call *)(void *)&call;
}

void
authd_cancel(struct authd_call *call)
{
	(void)call;
	asked.cancelled = 1;
}

const char *
authc_jwks(void)
{
	return jwks;
}

struct endpoint *
worker_endpoint(const char *path, size_t len)
{
	size_t i, n;

	for (i = 0; i < worker.nendpoint; i++) {
		n = strlen(worker.endpoint[i].conf.path);
		if (len == n &&
		    memcmp(path, worker.endpoint[i].conf.path, n) == 0)
			return &worker.endpoint[i];
	}
	return NULL;
}

const char *
worker_resource(void)
{
	return worker.endpoint[0].resource;
}

/* ---- for the tests ---- */

static void
fake_reset(void)
{
	if (rq.gone != NULL)
		rq.gone(&rq);
	if (asked.msg != NULL) {
		wire_free(asked.def, asked.msg);
		free(asked.msg);
	}
	free(got.body);
	memset(&asked, 0, sizeof(asked));
	memset(&got, 0, sizeof(got));
	memset(&rq, 0, sizeof(rq));
}

/* A request as the connection hands it over. */
static void
fake_request(const char *head, const char *body)
{
	char length[64];
	ssize_t n;

	fake_reset();
	snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n\r\n",
	    strlen(body));
	strlcpy(fake_buf, head, sizeof(fake_buf));
	if (strstr(head, "\r\nHost: ") == NULL)
		strlcat(fake_buf, "\r\nHost: gw.example", sizeof(fake_buf));
	strlcat(fake_buf, length, sizeof(fake_buf));
	strlcat(fake_buf, body, sizeof(fake_buf));
	n = http_request(&rq.head, fake_buf, strlen(fake_buf));
	if (n <= 0) {
		fprintf(stderr, "bad request in test: %zd\n%s\n", n, fake_buf);
		exit(1);
	}
	rq.buf = fake_buf;
	rq.headlen = (size_t)n;
	rq.body = fake_buf + n;
	rq.bodylen = strlen(body);
	strlcpy(rq.addr, "192.0.2.7", sizeof(rq.addr));
}

static void __attribute__((unused)) fake_answer(void *msg)
{
	asked.cb(asked.arg, msg);
}

/* How many header lines have this name; *value is the first one's. */
static int
fake_header(const char *name, char *value, size_t size)
{
	const char *p = got.headers, *nl;
	size_t n = strlen(name);
	int count = 0;

	if (size > 0)
		value[0] = '\0';
	for (; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
		if (strncasecmp(p, name, n) != 0 || p[n] != ':')
			continue;
		if (count++ == 0 && size > 0)
			snprintf(value, size, "%.*s", (int)(nl - p - n - 2),
			    p + n + 2);
	}
	return count;
}

/* Is it there exactly once with this value? */
static int
fake_header_is(const char *name, const char *value)
{
	char v[16384];

	return fake_header(name, v, sizeof(v)) == 1 && strcmp(v, value) == 0;
}

static __attribute__((unused)) int
count(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}

static struct backend *
fake_backend(const char *name)
{
	struct backend *b = xcalloc(1, sizeof(*b));

	b->conf.name = xstrdup(name);
	return b;
}

static void
fake_worker(const char *issuer)
{
	static struct kv scopes[3];
	static struct endpoint eps[2];
	static struct backend *v[3];
	static const char *const paths[] = {"/mcp", "/home/mcp"};
	static int made;
	size_t i;

	if (!made++) {
		v[0] = fake_backend("home");
		v[1] = fake_backend("files");
		v[2] = fake_backend("erp");
		strv_add(&worker.conf.hosts, "gw.lan:8443");
		scopes[0].name = xstrdup("mcp");
		scopes[0].value = xstrdup("use the tools");
		scopes[1].name = xstrdup("mcp:admin");
		scopes[1].value = xstrdup("administer");
		scopes[2].name = xstrdup("reports");
		scopes[2].value = xstrdup("read <reports>");
	}
	worker.conf.scopes.p = scopes;
	worker.conf.scopes.n = 3;
	worker.conf.registration = 1;
	free(worker.conf.issuer);
	worker.conf.issuer = xstrdup(issuer);
	worker.issuer_https = strncmp(issuer, "https", 5) == 0;
	worker.issuer_loopback = strstr(issuer, "localhost") != NULL;
	for (i = 0; i < 2; i++) {
		free(eps[i].conf.path);
		eps[i].conf.path = xstrdup(paths[i]);
		free(eps[i].resource);
		xasprintf(&eps[i].resource, "%s%s", issuer, paths[i]);
		eps[i].backend = v;
		eps[i].nbackend = i == 0 ? 3 : 1;
	}
	worker.endpoint = eps;
	worker.nendpoint = 2;
	worker.backend = v;
	worker.nbackend = 3;
}

#endif
