/*
 * The life of a child: asked for from master, spoken to, ended in three steps,
 * and after a crash not started again at once.
 */
#include <sys/wait.h>

#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "json.h"
#include "log.h"
#include "rpc.h"
#include "runner.h"

#define BACKOFF_MIN 1000 /* ms */
#define BACKOFF_MAX 60000
#define LIFE_SHORT  10000 /* ms; a death before is a crash loop */
#define SPARE_AGE   2000 /* ms without use before one makes room */
#define MUTE_TIME   1000 /* ms from the end of its output to its own end */
#define STOP_STEP   400 /* ms of each second of stop_timeout: two of five parts */

static struct child *child_start(struct sbackend *, int, const char **);
static int child_spawn(struct child *);
static unsigned int child_count(const struct sbackend *, int, int);
static int child_place(const struct child *);
static void child_turn(struct sbackend *, uint64_t);
static void child_undo(struct child *, const char *);
static const char *restarting(const struct sbackend *, uint64_t);
static struct child *child_find(uint64_t);
static int child_room(struct sbackend *);
static void child_later(struct child *, uint64_t);
static void child_timer(evutil_socket_t, short, void *);
static void child_gone(struct child *, const char *);
static int child_busy(const struct child *);
static void child_free(struct child *);
static void describe(char *, size_t, uint32_t);

static uint64_t last_child;

const char *
child_state_name(const struct child *c)
{
	static const char *const names[] = {[CHILD_DUE] = "due",
	    [CHILD_SPAWNING] = "starting",
	    [CHILD_INIT] = "initializing",
	    [CHILD_UP] = "up",
	    [CHILD_ENDING] = "ending"};

	return names[c->state];
}

/* ---- which one ---- */

struct child *
child_for(struct sbackend *b, uint8_t class, const uint8_t nonce[ID_LEN],
    const char *subject, int look, const char **why)
{
	struct child *c;

	if (b->conf.instance == INSTANCE_SHARED)
		return child_shared(b, why);
	TAILQ_FOREACH (c, &b->children, entry)
		if (c->state != CHILD_ENDING && c->class == class &&
		    c->look == look &&
		    (b->conf.instance == INSTANCE_SESSION
			    ? memcmp(c->nonce, nonce, ID_LEN) == 0
			    : strcmp(c->subject, subject) == 0))
			return c;
	/* A look at its lists takes nobody's child. */
	if (!look && child_count(b, 0, CHILD_ENDING) >= b->conf.max_instances &&
	    !child_room(b)) {
		*why = "runs as many instances as max_instances allows";
		return NULL;
	}
	if ((c = child_start(b, look, why)) == NULL)
		return NULL;
	c->class = class;
	memcpy(c->nonce, nonce, ID_LEN);
	if ((c->subject = strdup(subject)) == NULL)
		fatalx("out of memory");
	return c;
}

struct child *
child_shared(struct sbackend *b, const char **why)
{
	if (b->shared == NULL)
		b->shared = child_start(b, 0, why);
	return b->shared;
}

/* Those for looks, or the others; but those in that state. */
static unsigned int
child_count(const struct sbackend *b, int look, int but)
{
	const struct child *c;
	unsigned int n = 0;

	TAILQ_FOREACH (c, &b->children, entry)
		n += c->look == look && (int)c->state != but;
	return n;
}

/* The one that nobody has used for longest makes room, if nothing is under way
 * in it. 1 when one has been told to end. */
static int
child_room(struct sbackend *b)
{
	struct child *c, *oldest = NULL;
	uint64_t now = mono_msec();

	TAILQ_FOREACH (c, &b->children, entry)
		if (c->state == CHILD_UP && !c->look && !child_busy(c) &&
		    now - c->used >= SPARE_AGE &&
		    (oldest == NULL || c->used < oldest->used))
			oldest = c;
	if (oldest == NULL)
		return 0;
	child_end(oldest);
	return 1;
}

static struct child *
child_find(uint64_t id)
{
	struct sbackend *b;
	struct child *c;

	for (b = backend_first(); b != NULL; b = TAILQ_NEXT(b, entry))
		TAILQ_FOREACH (c, &b->children, entry)
			if (c->id == id)
				return c;
	return NULL;
}

/* ---- start ---- */

static struct child *
child_start(struct sbackend *b, int look, const char **why)
{
	uint64_t now = mono_msec();
	struct child *c;
	size_t i;

	if (b->stopped) {
		*why = "has been stopped with mcpgwctl";
		return NULL;
	}
	if (now < b->not_before) {
		*why = restarting(b, now);
		return NULL;
	}
	*why = "can not be started: out of memory";
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->b = b;
	c->look = look;
	/* Never those of a runner before. */
	if (last_child == 0)
		last_child = mono_msec() << 16;
	c->id = ++last_child;
	c->pipe.fd = c->errfd = -1;
	c->begun = c->used = now;
	for (i = 0; i < PENDING; i++)
		TAILQ_INIT(&c->pending[i]);
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->asks);
	c->timer = event_new(peer_base(), -1, 0, child_timer, c);
	c->state = CHILD_DUE;
	if (c->timer == NULL || (child_place(c) && child_spawn(c) == -1)) {
		child_free(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&b->children, c, entry);
	b->nchildren++;
	return c;
}

static int
child_spawn(struct child *c)
{
	if (master_spawn(c->b->conf.id, c->id) == -1)
		return -1;
	c->state = CHILD_SPAWNING;
	c->begun = mono_msec();
	c->b->starts++;
	c->b->wanted = 0;
	child_later(c, c->b->conf.start_timeout * 1000ull);
	return 0;
}

static const char *
restarting(const struct sbackend *b, uint64_t now)
{
	static char text[400];

	snprintf(text, sizeof(text),
	    "%s and is restarting; try again in %llu s", b->why,
	    (unsigned long long)(b->not_before - now) / 1000 + 1);
	return text;
}

/*
 * May it start now? Those that are ending count: two of a shared one would have
 * one $STATE. The looks at its lists share the places that are free, and one
 * has a place in any case.
 */
static int
child_place(const struct child *c)
{
	const struct sbackend *b = c->b;
	unsigned int n = child_count(b, 0, CHILD_DUE),
		     looks = child_count(b, 1, CHILD_DUE);

	if (b->conf.instance == INSTANCE_SHARED)
		return n == 0;
	return c->look ? looks == 0 || n + looks < b->conf.max_instances
		       : n < b->conf.max_instances;
}

/* One has gone: another may have waited for that. */
static void
child_turn(struct sbackend *b, uint64_t now)
{
	struct child *c;

	TAILQ_FOREACH (c, &b->children, entry)
		if (c->state == CHILD_DUE && child_place(c))
			break;
	if (c == NULL)
		return;
	if (now < b->not_before) {
		b->wanted = c == b->shared;
		child_undo(c, restarting(b, now));
	} else if (child_spawn(c) == -1)
		child_undo(c, "can not be started: out of memory");
}

/* It has not been started, and will not be. */
static void
child_undo(struct child *c, const char *why)
{
	struct sbackend *b = c->b;

	if (b->shared == c)
		b->shared = NULL;
	session_opened(c, why);
	exchanges_fail(c, N_END_DIED, why);
	sessions_drop(c);
	TAILQ_REMOVE(&b->children, c, entry);
	b->nchildren--;
	child_free(c);
}

static void
child_later(struct child *c, uint64_t ms)
{
	struct timeval tv;

	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	if (event_add(c->timer, &tv) == -1)
		fatalx("out of memory");
}

void
child_io(uint64_t id, uint32_t pid, uint32_t uid, int fd)
{
	struct child *c = child_find(id);

	if (c == NULL || c->state == CHILD_ENDING || pipe_open(c, fd) == -1) {
		close(fd);
		if (c != NULL)
			child_kill(c, "could not be started: out of memory");
		return;
	}
	c->pid = pid;
	c->uid = uid;
	c->state = CHILD_INIT;
	log_debug("backend %s: process %u", c->b->conf.name, pid);
	if (mux_initialize(c) == -1)
		child_kill(c, "could not be started: out of memory");
}

void
child_err(uint64_t id, int fd)
{
	struct child *c = child_find(id);

	if (c == NULL || errlog_open(c, fd) == -1)
		close(fd);
}

void
child_initialized(struct child *c, const struct json_span *result)
{
	struct json_span v;
	char revision[16];

	if (c->state != CHILD_INIT)
		return;
	if (result == NULL || result->type != JSON_OBJECT) {
		child_kill(c, "refused to initialize");
		return;
	}
	if (json_member(result, "protocolVersion", &v) == -1 ||
	    json_decode(&v, revision, sizeof(revision)) == -1 ||
	    !rpc_legacy_revision(revision, strlen(revision))) {
		child_kill(c, "speaks no revision of MCP that is known here");
		return;
	}
	if (result->len > 200 * 1024) {
		child_kill(c, "sent an answer to initialize that is too long");
		return;
	}
	c->revision = xstrdup(revision);
	if ((c->result = malloc(result->len)) == NULL) {
		child_kill(c, "could not be started: out of memory");
		return;
	}
	memcpy(c->result, result->p, result->len);
	c->resultlen = result->len;
	event_del(c->timer);
	c->state = CHILD_UP;
	c->used = mono_msec();
	(void)mux_own(c, "notifications/initialized", NULL);
	log_info("backend %s: process %u is up: %s", c->b->conf.name, c->pid,
	    c->revision);
	session_opened(c, NULL);
	sessions_restore(c);
	exchanges_go(c);
}

/* ---- end ---- */

void
child_end(struct child *c)
{
	if (c->state == CHILD_ENDING)
		return;
	c->dismissed = 1;
	if (c->state == CHILD_DUE) {
		child_undo(c, c->b->stopped ? "has been stopped with mcpgwctl"
					    : "was ended");
		return;
	}
	if (c->state == CHILD_SPAWNING || c->pipe.fd == -1) {
		child_kill(c, "was ended");
		return;
	}
	c->state = CHILD_ENDING;
	c->hard = 0;
	if (c->b->shared == c)
		c->b->shared = NULL;
	session_opened(c, "is being ended");
	exchanges_fail(c, N_END_DIED, "is being ended");
	sessions_drop(c);
	pipe_shut(c);
	child_later(c, (uint64_t)c->b->conf.stop_timeout * STOP_STEP);
}

void
child_kill(struct child *c, const char *why)
{
	if (c->state == CHILD_ENDING && c->hard == 2)
		return;
	if (c->state != CHILD_ENDING && !c->dismissed) {
		(void)strlcpy(c->b->why, why, sizeof(c->b->why));
		if (c->state != CHILD_UP)
			log_warnx("backend %s %s", c->b->conf.name, why);
	}
	if (c->b->shared == c)
		c->b->shared = NULL;
	session_opened(c, why);
	exchanges_fail(c, N_END_DIED, why);
	sessions_drop(c);
	c->state = CHILD_ENDING;
	c->hard = 2;
	master_kill(c->id, 1);
	event_del(c->timer);
}

void
child_mute(struct child *c)
{
	if (c->state == CHILD_ENDING)
		return;
	c->mute = 1;
	child_later(c, MUTE_TIME);
}

/* It did not start in time, or its end takes its next step: the last one leaves
 * a fifth of stop_timeout to be over in. */
static void
child_timer(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;

	(void)fd;
	(void)what;
	if (c->state != CHILD_ENDING) {
		child_kill(c, c->mute ? "was ended: it closed its output"
				      : "did not answer initialize in time");
		return;
	}
	if (c->hard >= 1) {
		c->hard = 2;
		master_kill(c->id, 1);
		return;
	}
	c->hard = 1;
	master_kill(c->id, 0);
	child_later(c, (uint64_t)c->b->conf.stop_timeout * STOP_STEP);
}

static void
describe(char *text, size_t size, uint32_t status)
{
	int st = (int)status;

	if (WIFSIGNALED(st))
		snprintf(text, size, "was killed by signal %d", WTERMSIG(st));
	else if (WEXITSTATUS(st) == 127)
		snprintf(text, size, "could not be executed");
	else
		snprintf(text, size, "exited with status %d", WEXITSTATUS(st));
}

void
child_exited(uint64_t id, uint32_t status, const char *error)
{
	struct child *c = child_find(id);
	char text[256];

	if (c == NULL)
		return;
	if (*error != '\0')
		snprintf(text, sizeof(text), "can not be started: %s", error);
	else
		describe(text, sizeof(text), status);
	/* What it said before it went is still told. */
	if (c->state != CHILD_ENDING)
		pipe_drain(c);
	child_gone(c, text);
}

static void
child_gone(struct child *c, const char *text)
{
	struct sbackend *b = c->b;
	uint64_t now = mono_msec();

	if (b->shared == c)
		b->shared = NULL;
	if (c->state != CHILD_ENDING)
		(void)strlcpy(b->why, text, sizeof(b->why));
	if (!c->dismissed && !b->stopped) {
		b->wanted = b->conf.instance == INSTANCE_SHARED;
		b->crashes++;
	}
	/* One that came up and was made to die by what its own client said is
	 * no reason to keep others waiting. */
	if (!c->dismissed && !b->stopped &&
	    (c->revision == NULL || (b->conf.instance == INSTANCE_SHARED &&
					now - c->begun < LIFE_SHORT))) {
		b->backoff = b->backoff == 0 ? BACKOFF_MIN : b->backoff * 2;
		if (b->backoff > BACKOFF_MAX)
			b->backoff = BACKOFF_MAX;
		b->not_before = now + b->backoff;
	} else if (c->revision != NULL)
		b->backoff = 0;
	if (c->state != CHILD_ENDING)
		log_warnx(
		    "backend %s: process %u %s", b->conf.name, c->pid, text);
	else
		log_debug(
		    "backend %s: process %u %s", b->conf.name, c->pid, text);
	c->state = CHILD_ENDING;
	session_opened(c, text);
	exchanges_fail(c, N_END_DIED, text);
	sessions_drop(c);
	TAILQ_REMOVE(&b->children, c, entry);
	b->nchildren--;
	child_free(c);
	child_turn(b, now);
	child_again(b, now);
}

/* One that crashed comes back by itself; one that was ended for want of work
 * when it is wanted. */
void
child_again(struct sbackend *b, uint64_t now)
{
	const char *why;

	if (b->conf.instance == INSTANCE_SHARED && b->shared == NULL &&
	    b->wanted && b->nchildren == 0 && !b->stopped &&
	    now >= b->not_before && backend_in_force(b))
		(void)child_shared(b, &why);
}

static void
child_free(struct child *c)
{
	pipe_close(c);
	errlog_close(c);
	asks_free(c);
	if (c->timer != NULL)
		event_free(c->timer);
	free(c->subject);
	free(c->revision);
	free(c->result);
	free(c);
}

/* Its client waits for it, or it for its client. */
static int
child_busy(const struct child *c)
{
	return c->npending > 0 || c->nasks > 0;
}

void
child_tick(struct child *c, uint64_t now)
{
	uint64_t idle = c->b->conf.idle * 1000ull;

	/* The one of the configuration in force has the same $STATE. */
	if (c->b->conf.instance == INSTANCE_SHARED && !backend_in_force(c->b))
		idle = SPARE_AGE;
	if (c->state == CHILD_UP && child_busy(c))
		c->used = now;
	else if (c->state == CHILD_UP && idle > 0 && now - c->used >= idle) {
		log_debug(
		    "backend %s: process %u is idle", c->b->conf.name, c->pid);
		child_end(c);
	}
}
