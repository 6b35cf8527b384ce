/*
 * A worker's life: take the config slice, join authd and the keeper, serve,
 * drain, exit. The slice never changes.
 */
#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "authc.h"
#include "backend.h"
#include "call.h"
#include "catalog.h"
#include "child.h"
#include "compat.h"
#include "conn.h"
#include "evlog.h"
#include "getstream.h"
#include "keeperc.h"
#include "level.h"
#include "listener.h"
#include "log.h"
#include "master.h"
#include "oldsse.h"
#include "origin.h"
#include "peer.h"
#include "priv.h"
#include "question.h"
#include "reslink.h"
#include "resume.h"
#include "roles.h"
#include "sandbox.h"
#include "soft.h"
#include "tls.h"
#include "upsession.h"
#include "upstream.h"
#include "worker.h"

#define MAX_SHOWN 32

static void on_prepare(struct peer *, uint32_t, void *, int);
static void on_conf_web(struct peer *, uint32_t, void *, int);
static void on_conf_tls(struct peer *, uint32_t, void *, int);
static void on_conf_backend(struct peer *, uint32_t, void *, int);
static void on_conf_endpoint(struct peer *, uint32_t, void *, int);
static void on_conf_end(struct peer *, uint32_t, void *, int);
static void on_channel(struct peer *, uint32_t, void *, int);
static void on_listener(struct peer *, uint32_t, void *, int);
static void on_drain(struct peer *, uint32_t, void *, int);
static void on_access(struct peer *, uint32_t, void *, int);
static void on_ctl(struct peer *, uint32_t, void *, int);
static void on_tick(evutil_socket_t, short, void *);
static const char *endpoints_resolve(void);

static const struct peer_rule rules[] = {
    {M_PREPARE, &def_m_gen, PEER_S0, 0, on_prepare},
    {M_CONF_WEB, &def_conf_web, PEER_S0, 0, on_conf_web},
    {M_CONF_TLS, &def_conf_tls, PEER_S0, 0, on_conf_tls},
    {M_CONF_BACKEND, &def_conf_backend, PEER_S0, 0, on_conf_backend},
    {M_CONF_ENDPOINT, &def_conf_endpoint, PEER_S0, 0, on_conf_endpoint},
    {M_CONF_END, &def_m_gen, PEER_S0, 0, on_conf_end},
    {M_CHANNEL, &def_m_channel, PEER_ANY, 1, on_channel},
    {M_LISTENER, &def_m_listener, PEER_S1, 1, on_listener},
    {M_DRAIN, &def_m_drain, PEER_S1, 0, on_drain},
    {M_ACCESS, &def_conf_endpoint, PEER_S1, 0, on_access},
    {M_LOGLEVEL, &def_m_loglevel, PEER_ANY, 0, master_loglevel},
    {M_CTL, &def_ctl_req, PEER_ANY, 0, on_ctl},
};

struct worker worker;
static uint64_t drain_until; /* ms, mono */
static int ending; /* that time is over */
static struct tls_config *shown[MAX_SHOWN]; /* what TLS listeners show */
static size_t nshown;
static char *unusable; /* why one of them can not be used */

void
worker_main(const struct m_start *start)
{
	struct timeval tv = {1, 0};
	struct event *tick;

	worker.id = start->worker;
	worker.gen = start->gen;
	worker.debug = start->debug;
	tls_init();
	priv_drop(start);
	master_open(rules, sizeof(rules) / sizeof(rules[0]));
	tick = event_new(peer_base(), -1, EV_PERSIST, on_tick, NULL);
	if (tick == NULL)
		fatalx("out of memory");
	event_add(tick, &tv);
	sandbox_worker();
	event_base_dispatch(peer_base());
	fatalx("event loop ended");
}

static void
on_prepare(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	worker.gen = ((struct m_gen *)msg)->gen;
}

static void
on_conf_web(struct peer *p, uint32_t id, void *msg, int fd)
{
	const char *host;

	(void)p;
	(void)id;
	(void)fd;
	wire_free(&def_conf_web, &worker.conf);
	memcpy(&worker.conf, msg, sizeof(worker.conf));
	memset(msg, 0, sizeof(worker.conf));
	upstream_limit(worker.conf.body);
	worker.issuer_https = strncmp(worker.conf.issuer, "https://", 8) == 0;
	host = strstr(worker.conf.issuer, "://");
	host = host == NULL ? "" : host + 3;
	worker.issuer_loopback = host_loopback(host, strlen(host));
}

/* worker -c has looked at it before: what fails now is not the file. */
static void
on_conf_tls(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct conf_tls *m = msg;
	char err[TLS_ERRLEN];
	int in_key;

	(void)p;
	(void)id;
	(void)fd;
	if (nshown == MAX_SHOWN)
		fatalx("more than %d certificates", MAX_SHOWN);
	shown[nshown] = tls_config_server(m->cert, m->key, err, &in_key);
	if (shown[nshown++] == NULL && unusable == NULL)
		xasprintf(
		    &unusable, "%s: %s", in_key ? m->key_at : m->cert_at, err);
}

static void
on_conf_backend(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct backend **v;

	(void)p;
	(void)id;
	(void)fd;
	v = reallocarray(worker.backend, worker.nbackend + 1, sizeof(*v));
	if (v == NULL)
		fatalx("out of memory");
	worker.backend = v;
	worker.backend[worker.nbackend++] = backend_new(msg);
}

static void
on_conf_endpoint(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct endpoint *e;

	(void)p;
	(void)id;
	(void)fd;
	e = reallocarray(worker.endpoint, worker.nendpoint + 1, sizeof(*e));
	if (e == NULL)
		fatalx("out of memory");
	worker.endpoint = e;
	e += worker.nendpoint++;
	memset(e, 0, sizeof(*e));
	memcpy(&e->conf, msg, sizeof(e->conf));
	memset(msg, 0, sizeof(e->conf));
}

static void
on_conf_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	const char *error;

	(void)id;
	(void)msg;
	(void)fd;
	if ((error = unusable) == NULL)
		error = endpoints_resolve();
	master_prepared(worker.gen, error);
	if (error == NULL)
		peer_setstate(p, PEER_S1);
}

/* Ids to backends, and the audience of each endpoint. */
static const char *
endpoints_resolve(void)
{
	struct endpoint *e;
	size_t i, j, k;

	if (worker.conf.issuer == NULL)
		return "no config came";
	for (i = 0; i < worker.nendpoint; i++) {
		e = &worker.endpoint[i];
		if (xasprintf(&e->resource, "%s%s", worker.conf.issuer,
			e->conf.path) == -1)
			return "out of memory";
		e->backend =
		    xcalloc(e->conf.backends.n + 1, sizeof(*e->backend));
		for (j = 0; j < e->conf.backends.n; j++) {
			for (k = 0; k < worker.nbackend; k++)
				if (worker.backend[k]->conf.id ==
				    e->conf.backends.v[j])
					break;
			if (k == worker.nbackend)
				return "an endpoint names an unknown backend";
			e->backend[e->nbackend++] = worker.backend[k];
		}
	}
	return NULL;
}

static void
on_channel(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_channel *m = msg;

	(void)p;
	(void)id;
	switch (m->role) {
	case ROLE_AUTHD:
		authc_channel(fd);
		break;
	case ROLE_KEEPER:
		keeperc_channel(fd);
		break;
	case ROLE_RUNNER:
		stdio_channel(fd);
		break;
	default:
		log_warnx("a channel to %s came", role_name(m->role));
		close(fd);
		break;
	}
}

static void
on_listener(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_listener *m = msg;

	(void)p;
	(void)id;
	if (m->tls > nshown)
		fatalx("listener %s: no certificate came", m->address);
	listener_add(fd, m->loopback, m->tls > 0 ? shown[m->tls - 1] : NULL);
}

static void
on_drain(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_drain *m = msg;
	uint64_t until = mono_msec() + (uint64_t)m->seconds * 1000;

	(void)p;
	(void)id;
	(void)fd;
	log_debug("draining for at most %u s", m->seconds);
	if (!worker.draining || until < drain_until)
		drain_until = until;
	worker.draining = 1;
	worker.stopping = m->stop;
	conn_drain(m->stop);
	/* Nothing is under way on a GET stream, and it would never end. */
	if (m->streams)
		getstreams_end_all();
	worker_idle();
}

void
worker_idle(void)
{
	uint64_t now = mono_msec();

	if (!worker.draining)
		return;
	if (now < drain_until) {
		if (conn_count() + calls_detached() + questions_left() > 0)
			return;
	} else if (!ending) {
		ending = 1;
		calls_end_all();
		getstreams_end_all();
		conn_end_all();
	}
	/* Nobody's last bytes are lost to a reset. */
	if (conn_count() > 0 && now < drain_until + LINGER_TIME)
		return;
	keeperc_leave();
	master_idle();
	exit(0);
}

/* A newer config is in force: whom it forbids an endpoint is out at once. An
 * endpoint that is gone drains like everything else. */
static void
on_access(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct conf_endpoint *m = msg;
	struct endpoint *e = worker_endpoint(m->path, strlen(m->path));

	(void)p;
	(void)id;
	(void)fd;
	if (e == NULL)
		return;
	strv_free(&e->conf.users);
	e->conf.users = m->users;
	memset(&m->users, 0, sizeof(m->users));
	if (m->noauth != e->conf.noauth)
		e->conf.noauth = 0;
	calls_forbid();
	getstreams_forbid();
}

static void
on_ctl(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct ctl_req *c = msg;
	char n[5][24];

	(void)p;
	(void)fd;
	if (c->verb != CTL_SHOW_WORKERS) {
		master_end(id, 1, "a worker does not do that");
		return;
	}
	snprintf(n[0], sizeof(n[0]), "%llu", (unsigned long long)worker.id);
	snprintf(n[1], sizeof(n[1]), "%u", worker.gen);
	snprintf(
	    n[2], sizeof(n[2]), "%llu", (unsigned long long)worker.connections);
	snprintf(
	    n[3], sizeof(n[3]), "%llu", (unsigned long long)worker.requests);
	snprintf(n[4], sizeof(n[4]), "%llu", (unsigned long long)worker.calls);
	master_row(id, "#worker", n[0], "#generation", n[1], "state",
	    worker.draining ? "draining"
	    : authc_up()    ? "serving"
	    : authc_ready() ? "no authd"
			    : "joining",
	    "#connections", n[2], "#requests", n[3], "#calls", n[4], NULL);
	master_end(id, 0, "");
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	size_t i;

	(void)fd;
	(void)what;
	(void)arg;
	authc_tick();
	upsession_tick();
	getstreams_tick();
	evlog_tick();
	soft_tick();
	upstream_tick();
	for (i = 0; i < worker.nbackend; i++)
		upstream_expire(worker.backend[i]);
	oldsse_tick();
	questions_tick(mono_msec());
	resume_tick();
	level_tick();
	keeperc_tick();
	stdio_tick();
	reslink_tick();
	keeperc_count();
	if (worker.draining)
		worker_idle();
}

struct endpoint *
worker_endpoint(const char *path, size_t len)
{
	const char *p;
	size_t i, n;

	for (i = 0; i < worker.nendpoint; i++) {
		p = worker.endpoint[i].conf.path;
		n = strlen(p);
		if (len >= n && memcmp(path, p, n) == 0 &&
		    (len == n || (len == n + 1 && path[n] == '/')))
			return &worker.endpoint[i];
	}
	return NULL;
}

struct backend *
worker_backend(uint32_t id)
{
	size_t i;

	for (i = 0; i < worker.nbackend; i++)
		if (worker.backend[i]->conf.id == id)
			return worker.backend[i];
	return NULL;
}

const char *
worker_resource(void)
{
	static char *r;

	if (r == NULL)
		xasprintf(&r, "%s/mcp", worker.conf.issuer);
	return r;
}
