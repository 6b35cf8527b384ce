/*
 * initialize and initialized toward a backend of a legacy revision.
 */
#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "compat.h"
#include "handshake.h"
#include "oldsse.h"
#include "peer.h"
#include "rpc.h"
#include "upstream.h"

enum hs_step { HS_INITIALIZE, HS_INITIALIZED };

struct handshake {
	struct backend *backend;
	enum hs_step step;
	struct upreq *up;
	struct event *timer;
	char *body;
	size_t bodylen;
	char *result; /* copy of the InitializeResult */
	size_t resultlen;
	char session[512];
	char revision[16];
	struct oldsse *old; /* being opened */
	struct stdio_open *child; /* the same with a stdio child */
	int fell; /* back to HTTP+SSE, or back from it: only once */
	int status; /* that the POST was answered with */
	int kept; /* the session is somebody else's now */
	const char *error;
	void (*cb)(void *, const struct handshake_result *);
	void *arg;
};

static int hs_message(void *, const char *, size_t);
static void hs_done(void *, enum up_result, int);
static void hs_timeout(evutil_socket_t, short, void *);
static void hs_finish(struct handshake *, int, const char *);
static void hs_initialized(struct handshake *);
static int hs_send(struct handshake *);
static int hs_begin(struct handshake *);
static int hs_fall(struct handshake *);
static void hs_opened(void *, const char *, enum up_result, int);
static void hs_refused(struct handshake *, int);
static void hs_child(
    void *, const char *, const char *, const char *, const char *, size_t);

static const struct upreq_ops ops = {hs_message, hs_done};

struct handshake *
handshake_start(struct backend *b, uint8_t class, const uint8_t *nonce,
    const char *subject, void (*cb)(void *, const struct handshake_result *),
    void *arg)
{
	struct timeval tv = {b->conf.opening, 0};
	struct handshake *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	h->backend = b;
	h->cb = cb;
	h->arg = arg;
	h->body = rpc_initialize(class, "\"init\"", &h->bodylen);
	h->timer = event_new(peer_base(), -1, 0, hs_timeout, h);
	if (h->timer != NULL && b->conf.stdio != 0)
		h->child = stdio_open(
		    b, class, nonce, subject ? subject : "", hs_child, h);
	if (h->body == NULL || h->timer == NULL ||
	    (b->conf.stdio != 0 ? h->child == NULL : hs_begin(h) == -1)) {
		handshake_cancel(h);
		return NULL;
	}
	event_add(h->timer, &tv);
	return h;
}

static int
hs_send(struct handshake *h)
{
	struct upreq_head head = {"POST", h->session, h->revision, NULL, NULL};

	h->up = upstream_send(h->backend, &head, h->body, h->bodylen, &ops, h);
	if (h->up == NULL)
		return -1;
	/* To a notification many say "OK", or nothing in chunks. */
	if (h->step == HS_INITIALIZED)
		upreq_drop(h->up);
	return 0;
}

static int
hs_begin(struct handshake *h)
{
	return h->backend->oldsse ? hs_fall(h) : hs_send(h);
}

/* ref/protocol.md 1.4 */
static int
hs_fall(struct handshake *h)
{
	h->old = oldsse_open(h->backend, hs_opened, h);
	return h->old == NULL ? -1 : 0;
}

static void
hs_opened(void *arg, const char *session, enum up_result res, int status)
{
	struct handshake *h = arg;

	(void)status;
	h->old = NULL;
	if (session != NULL) {
		h->backend->oldsse = h->fell = 1;
		strlcpy(h->session, session, sizeof(h->session));
	} else if (h->status != 0) {
		hs_refused(h, h->status);
		return;
	} else if (res != UP_STATUS && res != UP_BAD) {
		hs_finish(h, HS_DOWN, up_strerror(h->backend, res));
		return;
	} else /* It has learnt a newer revision meanwhile. */
		h->backend->oldsse = 0;
	if (hs_send(h) == -1)
		hs_finish(h, HS_DOWN, "out of memory");
}

/* Runner has initialized it, once for all. */
static void
hs_child(void *arg, const char *why, const char *session, const char *revision,
    const char *result, size_t len)
{
	struct handshake *h = arg;

	h->child = NULL;
	if (why != NULL) {
		hs_finish(h, HS_DOWN, why);
		return;
	}
	(void)strlcpy(h->session, session, sizeof(h->session));
	(void)strlcpy(h->revision, revision, sizeof(h->revision));
	if ((h->result = malloc(len + 1)) == NULL) {
		hs_finish(h, HS_DOWN, "can not be asked: out of memory");
		return;
	}
	memcpy(h->result, result, len);
	h->resultlen = len;
	hs_finish(h, HS_OK, NULL);
}

static void
hs_refused(struct handshake *h, int status)
{
	static char text[64];

	snprintf(text, sizeof(text), "answered HTTP status %d", status);
	hs_finish(h, status >= 500 ? HS_DOWN : HS_REFUSED, text);
}

static int
hs_message(void *arg, const char *json, size_t len)
{
	struct handshake *h = arg;
	struct json_span version;
	struct rpc r;
	const char *why;
	int code;

	if (h->step != HS_INITIALIZE)
		return 1;
	if (rpc_scan(&r, json, len, &code, &why) != RPC_RESPONSE ||
	    !json_equals(&r.id, "init"))
		return 0;
	if (r.error != NULL) {
		h->error = "refused to initialize";
		return 1;
	}
	if (r.result->val.type != JSON_OBJECT ||
	    json_member(&r.result->val, "protocolVersion", &version) == -1 ||
	    json_decode(&version, h->revision, sizeof(h->revision)) == -1 ||
	    !rpc_legacy_revision(h->revision, strlen(h->revision))) {
		h->error = "speaks no revision of MCP that is known here";
		return 1;
	}
	if ((h->result = malloc(r.result->val.len)) == NULL) {
		h->error = "out of memory";
		return 1;
	}
	memcpy(h->result, r.result->val.p, r.result->val.len);
	h->resultlen = r.result->val.len;
	strlcpy(h->session, upreq_session(h->up), sizeof(h->session));
	return 1;
}

static void
hs_done(void *arg, enum up_result res, int status)
{
	struct handshake *h = arg;

	h->up = NULL;
	if (h->step == HS_INITIALIZED && res == UP_OK) {
		hs_finish(h, HS_OK, NULL);
		return;
	}
	if (res == UP_STATUS && h->step == HS_INITIALIZE && !h->fell &&
	    (status == 400 || status == 404 || status == 405)) {
		h->fell = 1;
		h->status = status;
		if (hs_fall(h) == 0)
			return;
	}
	if (res == UP_STATUS)
		hs_refused(h, status);
	else if (res != UP_OK)
		hs_finish(h, res == UP_BAD ? HS_BAD : HS_DOWN,
		    up_strerror(h->backend, res));
	else if (h->error != NULL)
		hs_finish(h, HS_REFUSED, h->error);
	else if (h->result == NULL)
		hs_finish(h, HS_BAD, "did not answer initialize");
	else
		hs_initialized(h);
}

static void
hs_initialized(struct handshake *h)
{
	static const char note[] =
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

	free(h->body);
	h->step = HS_INITIALIZED;
	h->body = strdup(note);
	h->bodylen = sizeof(note) - 1;
	if (h->body == NULL || hs_send(h) == -1)
		hs_finish(h, HS_DOWN, "out of memory");
}

static void
hs_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hs_finish(arg, HS_DOWN, "did not answer in time");
}

static void
hs_finish(struct handshake *h, int kind, const char *error)
{
	struct handshake_result r;

	memset(&r, 0, sizeof(r));
	r.kind = kind;
	r.error = error;
	r.session = h->session;
	r.revision = h->revision;
	r.result = h->result;
	r.resultlen = h->resultlen;
	h->kept = error == NULL;
	h->cb(h->arg, &r);
	handshake_cancel(h);
}

void
handshake_cancel(struct handshake *h)
{
	if (h->up != NULL)
		upreq_cancel(h->up);
	if (h->old != NULL)
		oldsse_cancel(h->old);
	if (h->child != NULL)
		stdio_open_cancel(h->child);
	if (!h->kept && oldsse_is(h->session))
		oldsse_close(h->session);
	if (h->timer != NULL)
		event_free(h->timer);
	free(h->body);
	free(h->result);
	free(h);
}
