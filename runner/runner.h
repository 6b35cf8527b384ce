#ifndef RUNNER_H
#define RUNNER_H

/*
 * The runner: stdio backends, their children, the sessions that workers and
 * the keeper have with them, and the exchanges under way.
 *
 *   backend.c   definitions of every living generation
 *   child.c     the life of one child: start, initialize, end, back-off
 *   pipe.c      its standard input and output, line by line
 *   errlog.c    its standard error
 *   session.c   who shares which child
 *   exchange.c  requests of workers, and whom an answer belongs to
 *   ask.c       questions of children, and who was to answer them
 *   mux.c       JSON-RPC: ids and tokens, what a child says
 */
#include <sys/queue.h>

#include <stddef.h>
#include <stdint.h>

#include "peer.h"
#include "proto.h"

struct event;
struct json_span;
struct rpc;

#define LOG_LINES 100
#define PENDING   64 /* buckets */

struct ask;
struct exchange;
struct session;

/* ---- backends ---- */

struct errlog {
	char *line[LOG_LINES]; /* a ring */
	unsigned int next;
	uint64_t second; /* the one that is counted */
	unsigned int shown, held; /* lines of it */
};

TAILQ_HEAD(children, child);
TAILQ_HEAD(sessions, session);

struct sbackend {
	TAILQ_ENTRY(sbackend) entry;
	struct conf_stdio conf;
	uint32_t gens[MAX_GENS]; /* that have it; 0: free */
	struct children children;
	struct sessions sessions;
	unsigned int nchildren;
	struct child *shared; /* the one of INSTANCE_SHARED, or NULL */
	int stopped; /* by mcpgwctl */
	int wanted; /* a shared one is started though nobody asks for it */
	uint64_t starts, crashes, garbage;
	uint64_t backoff, not_before; /* ms */
	char why[256]; /* how the last one ended */
	struct errlog log;
};

void backend_add(uint32_t gen, const struct conf_stdio *);
void backend_commit(uint32_t gen);
void backend_forget(uint32_t gen);
struct sbackend *backend_first(void);
struct sbackend *backend_find(uint32_t id);
struct sbackend *backend_named(const char *name);
int backend_in_force(const struct sbackend *);
/* Each second. */
void backend_tick(uint64_t now);
/* mcpgwctl. */
void backend_ctl(uint32_t id, const struct ctl_req *);

/* ---- children ---- */

enum child_state {
	CHILD_DUE, /* to be started once another has gone */
	CHILD_SPAWNING, /* master was asked */
	CHILD_INIT, /* runs, has not answered initialize */
	CHILD_UP,
	CHILD_ENDING, /* its input is closed, or it is being killed */
};

struct pipe {
	int fd; /* -1: none (any more) */
	struct event *rev, *wev;
	char *in;
	size_t inlen, incap, seen; /* seen: bytes without a line end */
	size_t skipped; /* bytes of a line that is too long */
	char tail[256]; /* its last bytes */
	size_t taillen;
	char *out;
	size_t outpos, outlen, outcap;
	int flushing, draining;
	struct peer *held; /* who does not read: it is not read either */
};

TAILQ_HEAD(asks, ask);
TAILQ_HEAD(exchanges, exchange);

struct child {
	TAILQ_ENTRY(child) entry;
	struct sbackend *b;
	uint64_t id;
	enum child_state state;
	uint8_t class;
	uint8_t nonce[ID_LEN]; /* whose it is: INSTANCE_SESSION */
	char *subject; /* INSTANCE_PRINCIPAL */
	uint32_t pid, uid;
	struct pipe pipe;
	int errfd;
	struct event *eev, *timer;
	char errline[1024];
	size_t errlen;
	int errheld; /* the rest of a long line is dropped */
	int mute; /* it has closed its output */
	int hard; /* steps of its end: 0 input closed, 1 SIGTERM, 2 SIGKILL */
	int dismissed; /* child_end: it is no crash, however it goes */
	int look; /* not a client's: to see what it offers */
	uint64_t begun, used; /* ms */
	uint64_t next; /* number of its last request from us */
	struct exchanges pending[PENDING]; /* by that number */
	unsigned int npending;
	struct exchanges waiting; /* until it is up */
	size_t nwaiting, waitlen; /* of these, and bytes of what they say */
	struct asks asks;
	unsigned int nasks;
	char *revision, *result; /* of initialize */
	size_t resultlen;
};

/* The child that serves such a session: the one there is, or a new one. look:
 * the keeper wants to see what it offers. NULL and *why when there can be none
 * now. */
struct child *child_for(struct sbackend *, uint8_t class,
    const uint8_t nonce[ID_LEN], const char *subject, int look,
    const char **why);
/* Of INSTANCE_SHARED: starts it if it does not run. NULL and *why. */
struct child *child_shared(struct sbackend *, const char **why);
void child_end(struct child *);
/* At once, whatever it does. */
void child_kill(struct child *, const char *why);
/* A shared one that has gone and is wanted, if it may be started now. */
void child_again(struct sbackend *, uint64_t now);
/* Its output has ended: so does it, or it is of no use any more. */
void child_mute(struct child *);
void child_tick(struct child *, uint64_t now);
/* From master. */
void child_io(uint64_t id, uint32_t pid, uint32_t uid, int fd);
void child_err(uint64_t id, int fd);
void child_exited(uint64_t id, uint32_t status, const char *error);
/* From mux.c: it has answered initialize. */
void child_initialized(struct child *, const struct json_span *result);
const char *child_state_name(const struct child *);

/* ---- pipe.c ---- */

int pipe_open(struct child *, int fd);
/* Whole lines; queued and written at the end of the turn. -1 when the child
 * does not read or memory is out: nothing of it is sent then. */
int pipe_write(struct child *, const char *p, size_t len);
/* The same for what no more can be of than of lines that were sent: it goes
 * even if the child does not read. */
int pipe_put(struct child *, const char *p, size_t len);
/* The child gets an end of file. */
void pipe_shut(struct child *);
/* Reads what is left there, then closes it. */
void pipe_drain(struct child *);
void pipe_close(struct child *);
/* Nothing more is taken from the child until pipes_release of that peer. */
void pipe_hold(struct child *, struct peer *);
void pipes_release(struct peer *);

/* ---- errlog.c ---- */

int errlog_open(struct child *, int fd);
void errlog_close(struct child *);
void errlog_show(uint32_t id, const struct sbackend *);
const char *errlog_last(const struct sbackend *);
void errlog_free(struct sbackend *);

/* ---- sessions ---- */

struct session {
	TAILQ_ENTRY(session) entry;
	LIST_ENTRY(session) hash;
	char id[48];
	struct sbackend *b;
	struct child *child; /* NULL: of INSTANCE_SHARED */
	struct strv uris; /* it is subscribed to */
	struct exchanges watchers;
	uint64_t used; /* ms */
};

/* N_OPEN of a peer. */
void session_open(struct peer *, uint32_t id, const struct n_open *);
struct session *session_find(const char *id);
void session_end(struct session *);
/* Nobody waits for that one any more: it is answered, with an error. */
void session_cancel(struct peer *, uint32_t id);
/* The child is up, or never will be: openers are answered. */
void session_opened(struct child *, const char *why);
/* The peer reads again: answers that were kept. 1 when some are kept still. */
int openers_owed(struct peer *);
/* All sessions of a child that is gone. */
void sessions_drop(struct child *);
/* A shared child was started anew: what it was told is told again. */
void sessions_restore(struct child *);
/* The child of a session, started if need be. NULL and *why. */
struct child *session_child(struct session *, const char **why);
/* Is anybody else who has the same child subscribed to that? */
int session_others(const struct session *, const char *uri);
void session_tick(struct sbackend *, uint64_t now);
void sessions_gone(struct peer *);

/* ---- exchanges ---- */

struct exchange {
	TAILQ_ENTRY(exchange) entry; /* pending, waiting or watchers */
	LIST_ENTRY(exchange) hash; /* by peer and id */
	struct exchanges *list; /* that it is on */
	struct peer *peer;
	uint32_t id; /* of the peer */
	struct child *child;
	struct session *session;
	uint64_t n; /* our id for the child; 0: it has not been sent */
	int owed; /* it is over, and its peer could not be told */
	enum n_end end; /* how */
	char *why;
	char *body; /* while it waits; then the original id */
	size_t bodylen;
	char *rpcid, *token; /* JSON, as the peer wrote them; NULL none */
	char *uri; /* of a subscribe */
};

/* N_SEND; takes nothing. */
void exchange_send(struct peer *, uint32_t id, const struct n_send *,
    const char *body, size_t len);
/* Nobody wants its answer: the child is told, and it counts no more. */
void exchange_cancel(struct peer *, uint32_t id);
/* Request number n of the child, or NULL. */
struct exchange *exchange_of(struct child *, uint64_t n);
/* The newest open request of a session, or of any with session NULL. */
struct exchange *exchange_newest(const struct child *, const struct session *);
/* One message of the child for its owner: a, then b, then c. -1: it is lost. */
int exchange_tell(struct child *, const struct exchange *, const char *a,
    size_t alen, const char *b, size_t blen, const char *c, size_t clen);
/* It is over; freed, or kept without its child until its peer reads again. */
void exchange_done(struct exchange *, enum n_end, const char *why);
/* All of a child that is gone; all that waited for it. */
void exchanges_fail(struct child *, enum n_end, const char *why);
/* The child is up: what has waited goes. */
void exchanges_go(struct child *);
/* Requests of a peer that is gone are cancelled. */
void exchanges_gone(struct peer *);
void exchanges_of_session(struct session *, enum n_end);
/* It reads again: of what was kept. 1 when some has to be kept still. */
int exchanges_owed(struct peer *);

/* ---- questions ---- */

/* The child's question with this id is with a peer. -1 when it has too many or
 * memory is out. */
int ask_add(struct child *, struct peer *, struct session *,
    const struct json_span *id);
/* It is answered, or (by any peer: NULL) taken back. 0 when there is none. */
int ask_remove(struct child *, const struct peer *, const struct json_span *);
/* Those that nobody will answer any more: the child gets an error. */
void asks_gone(const struct peer *);
void asks_of_session(const struct session *);
/* The child is gone. */
void asks_free(struct child *);

/* ---- mux.c ---- */

/* Sends a request (scanned: r) of an exchange. -1 and *why; 0 also when it has
 * been answered here, and the exchange is gone. */
int mux_request(struct exchange *, const struct rpc *r, const char *body,
    size_t len, const char **why);
/* A notification, or an answer to what the child has asked this peer. */
void mux_other(const struct peer *, struct child *, const char *, size_t);
/* A request (params: JSON or NULL) or notification of our own; the answer is
 * dropped. -1 when it can not be sent. */
int mux_own(struct child *, const char *method, const char *params);
int mux_initialize(struct child *);
void mux_cancel(struct exchange *);
/* The child's question can not be answered. */
void mux_refuse(
    struct child *, const struct json_span *id, int code, const char *why);
/* A line of the child. */
void mux_line(struct child *, char *, size_t);
/* A line that was too long: its first and last bytes. */
void mux_giant(struct child *, const char *head, size_t headlen,
    const char *tail, size_t taillen);

/* ---- main.c ---- */

int master_spawn(uint32_t backend, uint64_t child);
void master_kill(uint64_t child, int hard);
void master_row(uint32_t id, ...) __attribute__((sentinel));
void master_end(uint32_t id, int failed, const char *message);
/* Something went to this peer, from a child or NULL: does it read? If not the
 * child is held. */
void runner_sent(struct peer *, struct child *);
/* A descriptor with so many bytes is about to be sent. */
void runner_far(struct peer *, size_t);
/* It has not read for so long that nobody is held for it. */
int runner_deaf(const struct peer *);
/* The keeper hears that the lists of this backend may be others now. */
void runner_look(uint32_t backend);
/* Is it the keeper? */
int is_keeper(const struct peer *);

#endif
