/*
 * Log levels of sessions.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "keeperc.h"
#include "level.h"
#include "soft.h"

#define NLEVELS 8

struct pending {
	TAILQ_ENTRY(pending) entry;
	uint32_t id;
	struct request *rq;
	char *rpcid; /* JSON */
	uint64_t begun; /* ms */
};

static int level_number(const struct json_span *);
static void pending_gone(struct request *);
static void pending_finish(struct pending *, int);

static const char *const levels[NLEVELS] = {"debug", "info", "notice",
    "warning", "error", "critical", "alert", "emergency"};

static TAILQ_HEAD(, pending) all = TAILQ_HEAD_INITIALIZER(all);
static uint32_t next_id;

static int
level_number(const struct json_span *s)
{
	size_t i;

	for (i = 0; s != NULL && i < NLEVELS; i++)
		if (json_equals(s, levels[i]))
			return i;
	return -1;
}

int
level_passes(const uint8_t nonce[ID_LEN], const struct rpc *r)
{
	const char *word = soft_levelof(nonce);
	int n = level_number(rpc_param(r, "level")), set;

	for (set = 0; word != NULL && set < NLEVELS; set++)
		if (strcmp(levels[set], word) == 0)
			break;
	return word == NULL || n == -1 || n >= set;
}

void
mcp_set_level(const struct mcp *m)
{
	const struct json_span *level = rpc_param(m->rpc, "level");
	struct k_soft soft;
	struct pending *p;
	char word[16];
	int n;

	if ((n = level_number(level)) == -1) {
		mcp_error(m->rq, 200, &m->rpc->id, RPC_PARAMS,
		    "params.level is no log level");
		return;
	}
	if ((p = calloc(1, sizeof(*p))) == NULL ||
	    (p->rpcid = strndup(m->rpc->id.p, m->rpc->id.len)) == NULL) {
		free(p);
		reply_unavailable(m->rq, 1);
		return;
	}
	memset(&soft, 0, sizeof(soft));
	memcpy(soft.nonce, m->session->nonce, ID_LEN);
	(void)strlcpy(word, levels[n], sizeof(word));
	soft.level = word;
	p->id = ++next_id;
	p->begun = mono_msec();
	p->rq = m->rq;
	p->rq->ctx = p;
	p->rq->gone = pending_gone;
	TAILQ_INSERT_TAIL(&all, p, entry);
	if (keeperc_level(p->id, &soft) == -1)
		pending_finish(p, 0);
}

static void
pending_gone(struct request *rq)
{
	struct pending *p = rq->ctx;

	TAILQ_REMOVE(&all, p, entry);
	free(p->rpcid);
	free(p);
}

static void
pending_finish(struct pending *p, int ok)
{
	struct json_span id = {p->rpcid, strlen(p->rpcid), JSON_STRING};
	struct request *rq = p->rq;

	rq->gone = NULL;
	if (ok)
		mcp_result(rq, &id, "{}", 2);
	else
		reply_unavailable(rq, 1);
	TAILQ_REMOVE(&all, p, entry);
	free(p->rpcid);
	free(p);
}

void
level_done(uint32_t id)
{
	struct pending *p;

	TAILQ_FOREACH (p, &all, entry)
		if (p->id == id) {
			pending_finish(p, 1);
			return;
		}
}

void
level_keeper_gone(void)
{
	struct pending *p;

	while ((p = TAILQ_FIRST(&all)) != NULL)
		pending_finish(p, 0);
}

void
level_tick(void)
{
	struct pending *p;

	while ((p = TAILQ_FIRST(&all)) != NULL &&
	       mono_msec() - p->begun >= KEEPER_WAIT)
		pending_finish(p, 0);
}
