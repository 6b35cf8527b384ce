/*
 * Upstream GET streams.
 */
#include <event2/event.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "oldsse.h"
#include "peer.h"
#include "refusal.h"
#include "upstream.h"
#include "watch.h"

#define BACKOFF_MAX   30000 /* ms */
#define CONFLICT_TIME 300 /* ms */
#define RETRY_TIME    1000 /* ms, the first time */

struct watch {
	struct backend *backend;
	char *session, *revision;
	char last[256];
	struct upreq *up;
	struct event *timer;
	unsigned int backoff; /* ms */
	int heard; /* a message came on this connection */
	int opened; /* once, with this session */
	int dead;
	int gone; /* dead: the session is */
	void (*ongone)(void *);
	void (*cb)(void *, const char *, size_t);
	void *arg;
};

static void watch_open(struct watch *);
static void watch_later(struct watch *, unsigned int);
static void watch_timer(evutil_socket_t, short, void *);
static int watch_message(void *, const char *, size_t);
static void watch_done(void *, enum up_result, int);

static const struct upreq_ops ops = {watch_message, watch_done};

struct watch *
watch_start(struct backend *b, const char *session, const char *revision,
    void (*cb)(void *, const char *, size_t), void *arg)
{
	struct watch *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->backend = b;
	w->session = strdup(session);
	w->revision = strdup(revision);
	w->cb = cb;
	w->arg = arg;
	w->timer = event_new(peer_base(), -1, 0, watch_timer, w);
	if (w->session == NULL || w->revision == NULL || w->timer == NULL) {
		watch_stop(w);
		return NULL;
	}
	watch_open(w);
	return w;
}

static void
watch_open(struct watch *w)
{
	struct upreq_head h = {"GET", w->session, w->revision, w->last, NULL};

	w->heard = 0;
	w->up = upstream_send(w->backend, &h, NULL, 0, &ops, w);
	if (w->up == NULL)
		watch_later(w, BACKOFF_MAX);
}

static void
watch_later(struct watch *w, unsigned int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_add(w->timer, &tv);
}

static void
watch_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	watch_open(arg);
}

static int
watch_message(void *arg, const char *json, size_t len)
{
	struct watch *w = arg;

	w->heard = 1;
	w->backoff = 0;
	w->cb(w->arg, json, len);
	return 0;
}

/*
 * 4xx: there is no such stream, or no such session any more. 409: the stream
 * that another worker had is not closed there yet.
 */
static void
watch_done(void *arg, enum up_result res, int status)
{
	struct watch *w = arg;
	struct refusal f;
	unsigned int retry;

	if (status == 200 && (res == UP_OK || res == UP_CLOSED))
		w->opened = w->backend->listens = 1;
	if (res == UP_STATUS) {
		refusal_read(&f, w->up, status);
		w->gone = refusal_session(&f);
	}
	strlcpy(w->last, upreq_last(w->up, &retry), sizeof(w->last));
	w->up = NULL;
	if (res == UP_STATUS && status >= 400 && status < 500 &&
	    status != 409 && status != 429) {
		w->dead = 1;
		if (w->gone && w->ongone != NULL)
			w->ongone(w->arg);
		return;
	}
	if (status == 409)
		retry = CONFLICT_TIME;
	else if (res != UP_OK && !w->heard)
		w->backoff = w->backoff ? w->backoff * 2 : retry;
	if (w->backoff > BACKOFF_MAX)
		w->backoff = BACKOFF_MAX;
	watch_later(w, w->backoff > retry ? w->backoff : retry);
}

void
watch_stop(struct watch *w)
{
	if (w->up != NULL)
		upreq_cancel(w->up);
	if (w->timer != NULL)
		event_free(w->timer);
	free(w->session);
	free(w->revision);
	free(w);
}

void
watch_ongone(struct watch *w, void (*gone)(void *))
{
	w->ongone = gone;
}

void
watch_retry(struct watch *w)
{
	w->dead = w->gone = 0;
	w->backoff = w->backoff ? w->backoff * 2 : RETRY_TIME;
	if (w->backoff > BACKOFF_MAX)
		w->backoff = BACKOFF_MAX;
	watch_later(w, w->backoff);
}

int
watch_opened(const struct watch *w)
{
	return w->opened || oldsse_is(w->session);
}

int
watch_gone(const struct watch *w)
{
	return w->gone;
}

int
watch_dead(const struct watch *w)
{
	return w->dead;
}

struct backend *
watch_backend(const struct watch *w)
{
	return w->backend;
}

const char *
watch_session(const struct watch *w)
{
	return w->session;
}

const char *
watch_revision(const struct watch *w)
{
	return w->revision;
}
