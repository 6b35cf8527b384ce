/*
 * GET streams.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "authc.h"
#include "compat.h"
#include "conn.h"
#include "digest.h"
#include "evlog.h"
#include "getstream.h"
#include "keeperc.h"
#include "level.h"
#include "log.h"
#include "notify.h"
#include "oldsse.h"
#include "policy.h"
#include "question.h"
#include "resume.h"
#include "revoked.h"
#include "soft.h"
#include "view.h"
#include "watch.h"

#define GONE_TIME 60000 /* ms until a stream without a client ends */
#define RENEWALS  3 /* of a session none of whose streams ever opened */

struct feed {
	LIST_ENTRY(feed) entry;
	struct getstream *stream;
	struct watch *watch;
	struct asker asker;
	struct upwait *wait; /* for a session in place of one that is gone */
	int questions; /* of this backend, with the client now */
	unsigned int renewals; /* since a stream was open */
	uint64_t told; /* see upsession_used */
};

struct getstream {
	LIST_ENTRY(getstream) entry;
	struct evlog *log;
	const struct endpoint *endpoint;
	char *subject;
	uint8_t nonce[ID_LEN];
	uint8_t class;
	enum project project;
	uint64_t begun; /* ms: when its client came, last */
	uint64_t gone; /* ms since there is no client; 0: there is */
	uint8_t before[CAT_KINDS][DIGEST_LEN]; /* lists of the last catalog */
	int known; /* before is filled */
	int changed; /* bits of enum cat_kind to tell */
	LIST_HEAD(, feed) feeds;
};

static struct getstream *stream_find(const uint8_t *);
static void stream_end(struct getstream *);
static void stream_tell_keeper(
    const struct getstream *, int (*)(const struct k_claim *));
static void stream_claim(const struct getstream *);
static void stream_gone(void *);
static void stream_back(void *, int);
static void stream_lost(void *);
static int stream_expired(const struct getstream *, int64_t);
static void stream_anew(struct getstream *);
static void stream_tell(struct getstream *);
static void stream_updated(struct getstream *, const char *);
static void stream_missed(struct getstream *, const struct backend *);
static void feed_gone(void *);
static void feed_renewed(void *, const struct upsession *, const char *);
static void feed_message(void *, const char *, size_t);
static void feed_stop(struct feed *);
static int feed_ask(void *, const char *, size_t);
static void lists_digest(struct getstream *, uint8_t[][DIGEST_LEN]);

static const struct evlog_ops log_ops = {
    stream_gone, NULL, stream_back, stream_lost};
static LIST_HEAD(, getstream) streams = LIST_HEAD_INITIALIZER(streams);
static size_t nstreams;

static const char *const notes[] = {"tools", "prompts", "resources"};

void
getstream_begin(
    struct request *rq, const struct proof *proof, const struct session *s)
{
	const struct span *last = http_get(&rq->head, HDR_LAST_EVENT_ID);
	struct getstream *g;
	uint64_t wid, stream, seq;
	struct holder by;

	evlog_holder(&by, proof);
	if (last != NULL && evlog_readid(last, &wid, &stream, &seq) == 0) {
		if (wid == worker.id) {
			if (evlog_resume(s->nonce, &by, stream, seq, rq) == 0)
				return;
		} else if (!rq->resumed && resume_elsewhere(rq, s->nonce, &by,
					       wid, stream, seq) == 0)
			return;
	}
	/* One that is there already makes room. */
	if (worker.conf.streams_per_user > 0 &&
	    nstreams >= worker.conf.streams_per_user &&
	    stream_find(s->nonce) == NULL &&
	    getstreams_of(s->subject) >= worker.conf.streams_per_user) {
		reply_header(rq, "Retry-After", "5");
		mcp_error(rq, 429, NULL, RPC_SERVER,
		    "too many streams of this user are open");
		return;
	}
	if ((g = calloc(1, sizeof(*g))) == NULL ||
	    (g->subject = strdup(s->subject)) == NULL ||
	    (g->log = evlog_new(s->nonce, &by, s->revision, &log_ops, g)) ==
		NULL) {
		if (g != NULL)
			free(g->subject);
		free(g);
		reply_unavailable(rq, 1);
		return;
	}
	memcpy(g->nonce, s->nonce, ID_LEN);
	g->class = s->class;
	g->project = project_of(s->revision);
	g->endpoint = rq->endpoint;
	g->begun = mono_msec();
	LIST_INIT(&g->feeds);
	LIST_INSERT_HEAD(&streams, g, entry);
	nstreams++;
	evlog_attach(g->log, rq);
	lists_digest(g, g->before);
	stream_claim(g);
	if (last != NULL)
		stream_anew(g);
}

static void
stream_tell_keeper(
    const struct getstream *g, int (*tell)(const struct k_claim *))
{
	struct k_claim m;

	memcpy(m.nonce, g->nonce, ID_LEN);
	m.stream = evlog_id(g->log);
	m.begun = g->begun;
	(void)tell(&m);
}

static void
stream_claim(const struct getstream *g)
{
	stream_tell_keeper(g, keeperc_claim);
}

static struct getstream *
stream_find(const uint8_t *nonce)
{
	struct getstream *g;

	LIST_FOREACH (g, &streams, entry)
		if (memcmp(g->nonce, nonce, ID_LEN) == 0)
			return g;
	return NULL;
}

static void
stream_gone(void *arg)
{
	struct getstream *g = arg;

	g->gone = mono_msec();
}

static void
stream_back(void *arg, int lost)
{
	struct getstream *g = arg;

	g->gone = 0;
	g->begun = mono_msec();
	stream_claim(g);
	if (lost) {
		stream_lost(g);
		stream_anew(g);
	}
}

/* It may have been a question, which nobody would ever answer. */
static void
stream_lost(void *arg)
{
	struct getstream *g = arg;
	struct feed *f;

	LIST_FOREACH (f, &g->feeds, entry)
		questions_lapse(&f->asker);
}

/* The client has missed what is not known any more: it looks again at all that
 * may have changed. */
static void
stream_anew(struct getstream *g)
{
	struct view *v = view_get(g->endpoint, g->class);
	uint32_t caps = v == NULL ? ~0u : view_caps(v);
	size_t i;

	g->changed |= 1 << CAT_TOOLS;
	if (caps & CAP_PROMPTS)
		g->changed |= 1 << CAT_PROMPTS;
	if (caps & CAP_RESOURCES)
		g->changed |= 1 << CAT_RESOURCES;
	stream_tell(g);
	for (i = 0; i < g->endpoint->nbackend; i++)
		stream_missed(g, g->endpoint->backend[i]);
}

/* Whatever is watched there may have changed unseen. */
static void
stream_missed(struct getstream *g, const struct backend *b)
{
	struct k_session s;
	size_t i;

	memset(&s, 0, sizeof(s));
	soft_fill(g->nonce, b->conf.id, &s);
	for (i = 0; i < s.uris.n; i++)
		stream_updated(g, s.uris.v[i]);
	free(s.uris.v);
}

static void
stream_updated(struct getstream *g, const char *uri)
{
	struct json_buf b = {0};

	json_puts(&b, "{\"jsonrpc\":\"2.0\",\"method\":"
		      "\"notifications/resources/updated\","
		      "\"params\":{\"uri\":");
	json_putstr(&b, uri);
	json_puts(&b, "}}");
	if (!b.err)
		(void)evlog_send(g->log, b.p, b.len);
	json_buf_free(&b);
}

static void
stream_end(struct getstream *g)
{
	struct feed *f;

	while ((f = LIST_FIRST(&g->feeds)) != NULL)
		feed_stop(f);
	stream_tell_keeper(g, keeperc_unclaim);
	LIST_REMOVE(g, entry);
	nstreams--;
	evlog_discard(g->log);
	free(g->subject);
	free(g);
}

void
getstream_release(const struct k_claim *m)
{
	struct getstream *g;

	LIST_FOREACH (g, &streams, entry)
		if (evlog_id(g->log) == m->stream &&
		    memcmp(g->nonce, m->nonce, ID_LEN) == 0) {
			stream_end(g);
			return;
		}
}

/* ---- what feeds it ---- */

void
getstream_upstream(const struct k_lease *l)
{
	struct getstream *g = stream_find(l->nonce);
	struct backend *b = worker_backend(l->backend);
	const char *session = l->session;
	const struct upsession *us;
	unsigned int renewals = 0;
	int anew = 0;
	struct feed *f;

	if (g == NULL || b == NULL || *l->session == '\0')
		return;
	if (oldsse_is(session)) {
		/* It may be another worker's, who alone can use it. */
		if ((us = upsession_old(l->nonce, b, l->class)) == NULL)
			return;
		session = us->session;
	}
	LIST_FOREACH (f, &g->feeds, entry) {
		if (watch_backend(f->watch) != b)
			continue;
		if (strcmp(watch_session(f->watch), session) == 0 &&
		    !watch_dead(f->watch))
			return;
		renewals = f->renewals;
		anew = strcmp(watch_session(f->watch), session) != 0;
		feed_stop(f);
		break;
	}
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return;
	f->stream = g;
	f->renewals = renewals;
	f->watch = watch_start(b, session, l->revision, feed_message, f);
	if (f->watch == NULL) {
		free(f);
		return;
	}
	/* A child that has ended is started by whoever calls it. */
	if (b->conf.stdio == 0)
		watch_ongone(f->watch, feed_gone);
	f->asker.backend = b;
	f->asker.session = watch_session(f->watch);
	f->asker.revision = watch_revision(f->watch);
	f->asker.nonce = g->nonce;
	f->asker.class = view_class(b, g->class);
	f->asker.project = g->project;
	f->asker.send = feed_ask;
	f->asker.arg = g;
	f->asker.open = &f->questions;
	LIST_INSERT_HEAD(&g->feeds, f, entry);
	if (anew)
		stream_missed(g, b);
}

/*
 * The backend has forgotten the session, and a client that only listens would
 * not make another. Where it has never had a stream open, 404 may as well mean
 * that it offers none.
 */
static void
feed_gone(void *arg)
{
	struct feed *f = arg;
	const struct getstream *g = f->stream;

	if (watch_opened(f->watch))
		f->renewals = 0;
	else if (!f->asker.backend->listens || f->renewals >= RENEWALS)
		return;
	f->renewals++;
	f->wait = upsession_get(g->nonce, f->asker.backend, f->asker.class,
	    g->subject, watch_session(f->watch), feed_renewed, f);
	if (f->wait == NULL)
		watch_retry(f->watch);
}

static void
feed_renewed(void *arg, const struct upsession *us, const char *why)
{
	struct feed *f = arg;
	struct k_lease l;

	(void)why;
	f->wait = NULL;
	if (us == NULL) {
		/* No new session has been tried out. */
		f->renewals--;
		watch_retry(f->watch);
		return;
	}
	memset(&l, 0, sizeof(l));
	memcpy(l.nonce, f->asker.nonce, ID_LEN);
	l.backend = f->asker.backend->conf.id;
	l.class = us->class;
	l.session = us->session;
	l.revision = us->revision;
	/* Whoever has forgotten it has most likely been started anew, and may
	 * offer something else now. */
	(void)keeperc_lists(l.backend);
	getstream_upstream(&l);
}

static void
feed_stop(struct feed *f)
{
	if (f->wait != NULL)
		upsession_cancel(f->wait);
	questions_end(&f->asker);
	watch_stop(f->watch);
	LIST_REMOVE(f, entry);
	free(f);
}

static int
feed_ask(void *arg, const char *json, size_t len)
{
	struct getstream *g = arg;

	/* Refused at once where nobody listens: then it is not kept either,
	 * or a user would be asked what is no question any more. */
	return evlog_attached(g->log) ? evlog_send(g->log, json, len) : -1;
}

/*
 * Changed lists are the keeper's business: it asks anew, and every client is
 * told that sees the difference.
 */
static void
feed_message(void *arg, const char *json, size_t len)
{
	struct feed *f = arg;
	struct rpc r;
	const char *why;
	int code;

	switch (rpc_scan(&r, json, len, &code, &why)) {
	case RPC_REQUEST:
		question_ask(&f->asker, &r);
		break;
	case RPC_NOTIFICATION:
		if (strstr(r.method, "/list_changed") != NULL)
			(void)keeperc_lists(f->asker.backend->conf.id);
		else if (strcmp(r.method, "notifications/cancelled") == 0)
			question_cancelled(&f->asker, &r);
		else if ((strcmp(r.method, "notifications/message") == 0 &&
			     level_passes(f->stream->nonce, &r)) ||
			 strcmp(r.method, "notifications/resources/updated") ==
			     0 ||
			 strcmp(r.method,
			     "notifications/elicitation/complete") == 0)
			(void)evlog_send(f->stream->log, json, len);
		break;
	default:
		f->asker.backend->dropped++;
		break;
	}
}

void
getstream_reclaim(void)
{
	struct getstream *g;

	/* One that its client has left must not take the place of another. */
	LIST_FOREACH (g, &streams, entry)
		if (g->gone == 0)
			stream_claim(g);
}

/* ---- changed lists ---- */

static void
lists_digest(struct getstream *g, uint8_t d[][DIGEST_LEN])
{
	struct view *v = view_get(g->endpoint, g->class);
	const uint8_t *digest;
	int k;

	g->known = v != NULL;
	for (k = 0; g->known && k < CAT_KINDS; k++) {
		if ((digest = view_digest(v, k)) == NULL)
			g->known = 0;
		else
			memcpy(d[k], digest, DIGEST_LEN);
	}
}

void
getstreams_after(void)
{
	uint8_t now[CAT_KINDS][DIGEST_LEN];
	struct getstream *g;
	int k, known;

	LIST_FOREACH (g, &streams, entry) {
		known = g->known;
		lists_digest(g, now);
		for (k = 0; known && g->known && k < CAT_KINDS; k++)
			if (memcmp(now[k], g->before[k], DIGEST_LEN) != 0)
				g->changed |=
				    1
				    << (k == CAT_TEMPLATES ? CAT_RESOURCES : k);
		if (g->known)
			memcpy(g->before, now, sizeof(now));
	}
}

static void
stream_tell(struct getstream *g)
{
	struct json_buf b = {0};
	size_t k;

	for (k = 0; k < sizeof(notes) / sizeof(notes[0]); k++) {
		if (!(g->changed & 1 << k))
			continue;
		b.len = 0;
		json_puts(&b, "{\"jsonrpc\":\"2.0\",\"method\":"
			      "\"notifications/");
		json_puts(&b, notes[k]);
		json_puts(&b, "/list_changed\"}");
		if (!b.err)
			(void)evlog_send(g->log, b.p, b.len);
	}
	g->changed = 0;
	json_buf_free(&b);
}

void
getstreams_tell(void)
{
	struct getstream *g;

	LIST_FOREACH (g, &streams, entry)
		stream_tell(g);
}

/* ---- ends ---- */

/*
 * A token opens a stream for as long as it is valid. Whoever has another one of
 * this grant comes back and goes on where he was, as after a lost connection.
 * Not so the streams of calls: what was begun with a valid token is finished,
 * as an answer that comes in one piece would be.
 */
static int
stream_expired(const struct getstream *g, int64_t now)
{
	int64_t exp = evlog_by(g->log)->exp;

	return exp != 0 && now >= exp && evlog_attached(g->log);
}

void
getstreams_end(uint8_t kind, const uint8_t id[ID_LEN])
{
	struct getstream *g, *next;

	for (g = LIST_FIRST(&streams); g != NULL; g = next) {
		next = LIST_NEXT(g, entry);
		if (evlog_revoked(evlog_by(g->log), kind, id) ||
		    (kind == REV_SESSION && memcmp(g->nonce, id, ID_LEN) == 0))
			stream_end(g);
	}
	if (kind == REV_SESSION)
		evlog_forget(id);
}

void
getstreams_forbid(void)
{
	struct getstream *g, *next;

	for (g = LIST_FIRST(&streams); g != NULL; g = next) {
		next = LIST_NEXT(g, entry);
		if (!policy_endpoint(g->endpoint, g->subject))
			stream_end(g);
	}
}

void
getstreams_end_all(void)
{
	struct getstream *g;

	while ((g = LIST_FIRST(&streams)) != NULL)
		stream_end(g);
}

size_t
getstreams_open(void)
{
	return nstreams;
}

size_t
getstreams_of(const char *subject)
{
	struct getstream *g;
	size_t n = 0;

	LIST_FOREACH (g, &streams, entry)
		n += strcmp(g->subject, subject) == 0;
	return n;
}

void
getstreams_tick(void)
{
	struct getstream *g, *next;
	struct feed *f;
	uint64_t now = mono_msec();
	int64_t wall = authc_now();

	for (g = LIST_FIRST(&streams); g != NULL; g = next) {
		next = LIST_NEXT(g, entry);
		if (stream_expired(g, wall))
			evlog_dismiss(g->log);
		else if (g->gone != 0 && now - g->gone >= GONE_TIME)
			stream_end(g);
		else {
			evlog_keepalive(g->log, now);
			soft_touch(g->nonce);
			LIST_FOREACH (f, &g->feeds, entry)
				if (!watch_gone(f->watch))
					upsession_used(g->nonce,
					    f->asker.backend, f->asker.class,
					    f->asker.session, f->asker.revision,
					    &f->told);
		}
	}
}
