/*
 * Resuming across workers.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "conn.h"
#include "evlog.h"
#include "keeperc.h"
#include "mcp.h"
#include "resume.h"
#include "revoked.h"

struct resume {
	TAILQ_ENTRY(resume) entry;
	uint32_t id;
	struct request *rq;
	struct stream s;
	int open; /* s is */
	uint64_t begun; /* ms */
};

static void resume_read(void *);
static void resume_drain(void *);
static void resume_gone(struct request *);
static void resume_drained(struct request *);
static void resume_afresh(struct resume *);
static void resume_overdue(uint64_t);
static void resume_free(struct resume *);

static TAILQ_HEAD(, resume) resumes = TAILQ_HEAD_INITIALIZER(resumes);
static uint32_t next_id;

int
resume_elsewhere(struct request *rq, const uint8_t nonce[ID_LEN],
    const struct holder *by, uint64_t wid, uint64_t stream, uint64_t seq)
{
	struct k_resume m;
	struct resume *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return -1;
	r->id = ++next_id;
	r->rq = rq;
	r->begun = mono_msec();
	r->s.fd = -1;
	m.worker = wid;
	memcpy(m.nonce, nonce, ID_LEN);
	memcpy(m.gid, by->gid, ID_LEN);
	memcpy(m.jti, by->jti, ID_LEN);
	m.exp = by->exp;
	m.stream = stream;
	m.seq = seq;
	if (keeperc_resume(r->id, &m) == -1) {
		free(r);
		return -1;
	}
	rq->ctx = r;
	rq->gone = resume_gone;
	rq->resumed = 1;
	TAILQ_INSERT_TAIL(&resumes, r, entry);
	return 0;
}

void
resume_pipe(uint32_t id, int fd)
{
	struct resume *r;

	TAILQ_FOREACH (r, &resumes, entry)
		if (r->id == id && !r->open)
			break;
	if (r == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	if (fd == -1) {
		resume_afresh(r);
		return;
	}
	r->open = 1;
	stream_open(&r->s, fd, resume_read, resume_drain, r);
}

/* Bytes are framed already; they pass as they are. */
static void
resume_read(void *arg)
{
	struct resume *r = arg;
	char buf[16384];
	ssize_t n;

	n = stream_recv(&r->s, buf, sizeof(buf));
	if (n == STREAM_AGAIN)
		return;
	if (n > 0) {
		if (!r->rq->streaming) {
			reply_stream(r->rq, 200, "text/event-stream");
			r->rq->drained = resume_drained;
		}
		if (reply_chunk(r->rq, buf, n) == 0) {
			if (reply_backlog(r->rq) > BACKLOG_HIGH)
				stream_pause(&r->s);
			return;
		}
		r->rq->broken = 1;
	} else if (!r->rq->streaming) {
		resume_afresh(r);
		return;
	}
	r->rq->gone = NULL;
	r->rq->drained = NULL;
	reply_end(r->rq);
	resume_free(r);
}

static void
resume_drain(void *arg)
{
	(void)arg;
}

static void
resume_drained(struct request *rq)
{
	struct resume *r = rq->ctx;

	stream_resume(&r->s);
}

static void
resume_gone(struct request *rq)
{
	resume_free(rq->ctx);
}

/* There is no such stream any more: the request is handled as a new one. */
static void
resume_afresh(struct resume *r)
{
	struct request *rq = r->rq;

	rq->gone = NULL;
	rq->ctx = NULL;
	resume_free(r);
	mcp_request(rq);
}

static void
resume_free(struct resume *r)
{
	TAILQ_REMOVE(&resumes, r, entry);
	if (r->open)
		stream_close(&r->s);
	free(r);
}

/* The first byte, a comment, says that the stream was found. */
void
resume_serve(const struct k_resume *m, int fd)
{
	struct request *rq = conn_pipe(fd);
	struct holder by;

	if (rq == NULL)
		return;
	/* The token was good where it was shown. What has been revoked since,
	 * before we heard of it, ends nothing here. */
	if (revoked_has(REV_GRANT, m->gid) || revoked_has(REV_TOKEN, m->jti) ||
	    !evlog_exists(m->nonce, m->gid, m->stream, m->seq)) {
		reply_end(rq);
		return;
	}
	(void)reply_chunk(rq, ":\n\n", 3);
	memcpy(by.gid, m->gid, ID_LEN);
	memcpy(by.jti, m->jti, ID_LEN);
	by.exp = m->exp;
	(void)evlog_resume(m->nonce, &by, m->stream, m->seq, rq);
}

/* Those that are not answered and have waited for so many ms. */
static void
resume_overdue(uint64_t ms)
{
	struct resume *r, *next;
	uint64_t now = mono_msec();

	for (r = TAILQ_FIRST(&resumes); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (!r->open && now - r->begun >= ms)
			resume_afresh(r);
	}
}

void
resume_keeper_gone(void)
{
	resume_overdue(0);
}

void
resume_tick(void)
{
	resume_overdue(KEEPER_WAIT);
}
