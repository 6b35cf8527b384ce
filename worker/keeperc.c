/*
 * The channel to the keeper: catalog and addresses come, sessions are leased.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "call.h"
#include "catalog.h"
#include "compat.h"
#include "getstream.h"
#include "keeperc.h"
#include "level.h"
#include "log.h"
#include "master.h"
#include "memfd.h"
#include "peer.h"
#include "question.h"
#include "reslink.h"
#include "resume.h"
#include "soft.h"
#include "upsession.h"
#include "worker.h"

#define LEAVE_TIME 200 /* ms */

static void keeper_gone(struct peer *);
static void on_catalog(struct peer *, uint32_t, void *, int);
static void on_addrs(struct peer *, uint32_t, void *, int);
static void on_session(struct peer *, uint32_t, void *, int);
static void on_relay(struct peer *, uint32_t, void *, int);
static void on_relay_fd(struct peer *, uint32_t, void *, int);
static void on_subscribe(struct peer *, uint32_t, void *, int);
static void on_owner(struct peer *, uint32_t, void *, int);
static void on_roots(struct peer *, uint32_t, void *, int);
static void on_release(struct peer *, uint32_t, void *, int);
static void on_open(struct peer *, uint32_t, void *, int);
static void on_changed(struct peer *, uint32_t, void *, int);
static void on_done(struct peer *, uint32_t, void *, int);
static void on_level(struct peer *, uint32_t, void *, int);
static void on_resume(struct peer *, uint32_t, void *, int);
static void on_pipe(struct peer *, uint32_t, void *, int);
static void on_nopipe(struct peer *, uint32_t, void *, int);
static void relayed(const struct k_relay *, size_t);
static int tell(uint32_t, uint32_t, const struct msgdef *, const void *);

static const struct peer_rule rules[] = {
    {K_CATALOG, &def_k_catalog, PEER_ANY, 1, on_catalog},
    {K_ADDRS, &def_k_addrs, PEER_ANY, 0, on_addrs},
    {K_SESSION, &def_k_session, PEER_ANY, 0, on_session},
    {K_RELAY, &def_k_relay, PEER_ANY, 0, on_relay},
    {K_RELAY_FD, &def_k_relay, PEER_ANY, 1, on_relay_fd},
    {K_RELEASE, &def_k_claim, PEER_ANY, 0, on_release},
    {K_OPEN, &def_k_lease, PEER_ANY, 0, on_open},
    {K_CHANGED, &def_k_catalog, PEER_ANY, 0, on_changed},
    {K_DONE, NULL, PEER_ANY, 0, on_done},
    {K_LEVEL, &def_k_soft, PEER_ANY, 0, on_level},
    {K_SUBSCRIBE, &def_k_soft, PEER_ANY, 0, on_subscribe},
    {K_OWNER, &def_k_soft, PEER_ANY, 0, on_owner},
    {K_ROOTS, &def_k_end, PEER_ANY, 0, on_roots},
    {K_RESUME, &def_k_resume, PEER_ANY, 1, on_resume},
    {K_PIPE, NULL, PEER_ANY, 1, on_pipe},
    {K_NOPIPE, NULL, PEER_ANY, 0, on_nopipe},
};
static const struct peer_class keeper_class = {
    "keeper", rules, sizeof(rules) / sizeof(rules[0]), 1, keeper_gone, NULL};

static struct peer *keeper;
static uint64_t lost; /* ms: when it ended; 0: it has not */

void
keeperc_channel(int fd)
{
	struct peer *old = keeper;

	if (old != NULL) {
		keeper_gone(old);
		peer_free(old);
	}
	lost = 0;
	keeper = peer_new(fd, &keeper_class, ROLE_KEEPER, 0, worker.gen, NULL);
	if (keeper == NULL) {
		log_warnx("keeper: out of memory");
		return;
	}
	getstream_reclaim();
	upsession_reput();
	catalog_reask();
	soft_remind(keeper);
}

static void
keeper_gone(struct peer *p)
{
	if (p != keeper)
		return;
	keeper = NULL;
	lost = mono_msec();
	soft_gone(p);
	upsession_keeper_gone();
	resume_keeper_gone();
	level_keeper_gone();
	reslink_keeper_gone();
}

void
keeperc_tick(void)
{
	master_missed(ROLE_KEEPER, &lost);
}

static void
on_catalog(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_catalog *m = msg;

	(void)id;
	if (catalog_take(fd, m->size) == -1)
		log_warnx("a catalog came that can not be used");
	close(fd);
	(void)peer_send(p, K_ACK, 0, &def_k_catalog, m, -1);
}

static void
on_addrs(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_addrs *m = msg;
	size_t i;

	(void)p;
	(void)id;
	(void)fd;
	for (i = 0; i < worker.nbackend; i++)
		if (worker.backend[i]->conf.id == m->backend)
			backend_addrs(worker.backend[i], m);
}

static void
on_session(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)fd;
	upsession_answer(id, msg);
}

static void
on_relay(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_relay *m = msg;

	(void)p;
	(void)id;
	(void)fd;
	relayed(m, m->body.len);
}

static void
relayed(const struct k_relay *m, size_t len)
{
	const char *id = (const char *)m->id.p;
	const char *body = (const char *)m->body.p;
	struct json_span reason = {body, len, JSON_STRING};

	if (m->kind == RELAY_CANCEL)
		(void)call_cancel(
		    m->nonce, id, m->id.len, len > 0 ? &reason : NULL);
	else if (m->kind == RELAY_ANSWER && body != NULL)
		(void)question_answer(m->nonce, id, m->id.len, body, len);
	else if (m->kind == RELAY_PROGRESS && body != NULL)
		(void)question_progress(m->nonce, id, m->id.len, body, len);
}

static void
on_relay_fd(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_relay *m = msg;

	(void)p;
	(void)id;
	if (m->size <= worker.conf.body)
		m->body.p = memfd_take(fd, m->size);
	close(fd);
	relayed(m, m->size);
}

static void
on_release(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	getstream_release(msg);
}

static void
on_open(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	getstream_upstream(msg);
}

static void
on_changed(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)msg;
	(void)fd;
	getstreams_tell();
}

static void
on_done(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)msg;
	(void)fd;
	level_done(id);
}

static void
on_level(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	soft_level(msg);
	upsession_soft(K_LEVEL, msg);
}

static void
on_subscribe(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	(void)fd;
	soft_subscribe(msg);
	upsession_soft(K_SUBSCRIBE, msg);
}

static void
on_owner(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)fd;
	reslink_owner(id, msg);
}

static void
on_roots(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_soft m;

	(void)p;
	(void)id;
	(void)fd;
	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, ((struct k_end *)msg)->nonce, ID_LEN);
	upsession_soft(K_ROOTS, &m);
}

static void
on_resume(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)id;
	resume_serve(msg, fd);
}

static void
on_pipe(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)msg;
	resume_pipe(id, fd);
}

static void
on_nopipe(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p;
	(void)msg;
	(void)fd;
	resume_pipe(id, -1);
}

static int
tell(uint32_t type, uint32_t id, const struct msgdef *def, const void *msg)
{
	return keeper == NULL ? -1 : peer_send(keeper, type, id, def, msg, -1);
}

int
keeperc_lease(uint32_t id, const struct k_lease *m)
{
	return tell(K_LEASE, id, &def_k_lease, m);
}

int
keeperc_put(const struct k_lease *m)
{
	return tell(K_PUT, 0, &def_k_lease, m);
}

int
keeperc_fail(const struct k_lease *m)
{
	return tell(K_FAIL, 0, &def_k_lease, m);
}

int
keeperc_end(const uint8_t nonce[ID_LEN])
{
	struct k_end m;

	memcpy(m.nonce, nonce, ID_LEN);
	return tell(K_END, 0, &def_k_end, &m);
}

int
keeperc_roots(const uint8_t nonce[ID_LEN])
{
	struct k_end m;

	memcpy(m.nonce, nonce, ID_LEN);
	return tell(K_ROOTS, 0, &def_k_end, &m);
}

int
keeperc_trouble(uint32_t backend, int unreachable, const char *why)
{
	struct k_trouble m = {backend, unreachable, NULL};
	int r;

	if ((m.why = strdup(why)) == NULL)
		return -1;
	r = tell(K_TROUBLE, 0, &def_k_trouble, &m);
	free(m.why);
	return r;
}

void
keeperc_count(void)
{
	struct backend *b;
	struct k_count m;
	size_t i;

	for (i = 0; i < worker.nbackend; i++) {
		b = worker.backend[i];
		if (b->failures == 0 && b->dropped == 0)
			continue;
		m.backend = b->conf.id;
		m.failures = b->failures;
		m.dropped = b->dropped;
		m.why = b->failure;
		m.when = b->failed;
		if (tell(K_COUNT, 0, &def_k_count, &m) == 0)
			b->failures = b->dropped = 0;
	}
}

void
keeperc_leave(void)
{
	keeperc_count();
	if (keeper != NULL)
		peer_flush(keeper, LEAVE_TIME);
}

int
keeperc_class(uint8_t class)
{
	struct k_class m = {class};

	return tell(K_CLASS, 0, &def_k_class, &m);
}

int
keeperc_relay(struct k_relay *m)
{
	struct k_relay large = *m;
	int fd;

	if (m->body.len <= N_INLINE)
		return tell(K_RELAY, 0, &def_k_relay, m);
	if (keeper == NULL || (fd = memfd_seal(m->body.p, m->body.len)) == -1)
		return -1;
	large.size = m->body.len;
	memset(&large.body, 0, sizeof(large.body));
	if (peer_send(keeper, K_RELAY_FD, 0, &def_k_relay, &large, fd) == 0)
		return 0;
	close(fd);
	return -1;
}

int
keeperc_claim(const struct k_claim *m)
{
	return tell(K_CLAIM, 0, &def_k_claim, m);
}

int
keeperc_unclaim(const struct k_claim *m)
{
	return tell(K_UNCLAIM, 0, &def_k_claim, m);
}

int
keeperc_lists(uint32_t backend)
{
	struct k_trouble m = {backend, 0, NULL};

	return tell(K_LISTS, 0, &def_k_trouble, &m);
}

int
keeperc_level(uint32_t id, const struct k_soft *m)
{
	return tell(K_LEVEL, id, &def_k_soft, m);
}

int
keeperc_subscribe(const struct k_soft *m)
{
	return tell(K_SUBSCRIBE, 0, &def_k_soft, m);
}

int
keeperc_link(const struct k_soft *m)
{
	if (tell(K_LINK, 0, &def_k_soft, m) == -1)
		return -1;
	/* Before the client can know of it, and ask another worker. */
	peer_flush(keeper, 0);
	return 0;
}

int
keeperc_whose(uint32_t id, const struct k_soft *m)
{
	return tell(K_WHOSE, id, &def_k_soft, m);
}

int
keeperc_resume(uint32_t id, const struct k_resume *m)
{
	return tell(K_RESUME, id, &def_k_resume, m);
}
