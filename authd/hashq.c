/*
 * The queue to the hashers (authd -p): each does one password at a time, at
 * most 32 wait. What a hasher had when it died is given to another once.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"
#include "peer.h"

struct job {
	TAILQ_ENTRY(job) entry;
	struct p_check msg;
	int make, tries;
	void (*cb)(void *, int, const char *);
	void *arg;
};
struct hasher {
	LIST_ENTRY(hasher) entry;
	struct peer *peer;
	struct job *job;
};

static TAILQ_HEAD(, job) jobs = TAILQ_HEAD_INITIALIZER(jobs);
static size_t njobs;
static LIST_HEAD(, hasher) hashers = LIST_HEAD_INITIALIZER(hashers);

static void dispatch(void);
static void on_result(struct peer *, uint32_t, void *, int);
static void on_gone(struct peer *);

static const struct peer_rule rules[] = {
    {P_RESULT, &def_p_result, PEER_ANY, 0, on_result},
};
static const struct peer_class class = {
    .name = "authd -p",
    .rules = rules,
    .nrules = 1,
    .gone = on_gone,
};

static void
done(struct job *j, int ok, const char *hash)
{
	j->cb(j->arg, ok, hash);
	wire_free(&def_p_check, &j->msg);
	free(j);
}

static void
dispatch(void)
{
	struct hasher *h;
	struct job *j;

	LIST_FOREACH (h, &hashers, entry) {
		if ((j = TAILQ_FIRST(&jobs)) == NULL)
			return;
		if (h->job != NULL || h->peer == NULL)
			continue;
		if (peer_send(h->peer, j->make ? P_HASH : P_CHECK, 0,
			&def_p_check, &j->msg, -1) == -1)
			continue;
		TAILQ_REMOVE(&jobs, j, entry);
		njobs--;
		h->job = j;
	}
}

static void
on_result(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct p_result *r = msg;
	struct hasher *h = peer_ctx(p);
	struct job *j;

	(void)id;
	(void)fd;
	if ((j = h->job) == NULL)
		return;
	h->job = NULL;
	dispatch();
	if (j->make)
		done(j, r->ok && r->hash[0] != '\0' ? 1 : -1, r->hash);
	else
		done(j, r->ok == 1, NULL);
}

static void
on_gone(struct peer *p)
{
	struct hasher *h = peer_ctx(p);
	struct job *j = h->job;

	LIST_REMOVE(h, entry);
	free(h);
	if (j == NULL)
		return;
	if (++j->tries > 1) {
		done(j, -1, NULL);
		return;
	}
	TAILQ_INSERT_HEAD(&jobs, j, entry);
	njobs++;
	dispatch();
}

void
hashq_channel(int fd)
{
	struct hasher *h = xcalloc(1, sizeof(*h));

	h->peer = peer_new(fd, &class, ROLE_HASHER, 0, 0, h);
	if (h->peer == NULL) {
		log_warnx("no channel to a hasher");
		free(h);
		return;
	}
	LIST_INSERT_HEAD(&hashers, h, entry);
	dispatch();
}

int
hashq_submit(const char *hash, const char *password,
    void (*cb)(void *, int, const char *), void *arg)
{
	struct job *j;

	if (njobs >= HASHQ_MAX)
		return -1;
	j = xcalloc(1, sizeof(*j));
	j->make = hash == NULL;
	j->msg.hash = xstrdup(hash != NULL ? hash : "");
	j->msg.password = xstrdup(password);
	j->cb = cb;
	j->arg = arg;
	TAILQ_INSERT_TAIL(&jobs, j, entry);
	njobs++;
	dispatch();
	return 0;
}

size_t
hashq_len(void)
{
	return njobs;
}
