#ifndef PROTO_H
#define PROTO_H

/*
 * The whole contract between the processes of mcpgwd: an enum by channel, the
 * payload named on each line; the payload structs; one description per struct
 * in proto.c and proto_conf.c. Unless said otherwise a request and its answer carry the same id (the
 * imsg's peerid), chosen by whoever asks, and every request is answered once.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <stdint.h>

#include "wire.h"

#define PROTO_VERSION 2
/* Generations of the configuration that live at a time: what the long-lived have
 * room for, and master makes no more. */
#define MAX_GENS 16

/* What says that it was made so many seconds from now, or later, was made while
 * a clock was wrong, and is not believed: it would end too late. */
#define CLOCK_SKEW 300

/* Bytes of a password: of a new one, and what crypt(3) takes at most. */
#define PASSWORD_MIN 12
#define PASSWORD_MAX 511

/* The descriptor every child of master finds its control channel on. */
#define PROTO_CONTROL_FD 3

enum role {
	ROLE_MASTER,
	ROLE_WORKER,
	ROLE_KEEPER, /* worker -k */
	ROLE_RESOLVER, /* worker -r */
	ROLE_AUTHD,
	ROLE_HASHER, /* authd -p */
	ROLE_CTL, /* mcpgwctl */
	ROLE_CHECKER, /* worker -c */
	ROLE_RUNNER,
	ROLE_NANNY, /* keeps one stdio child; execs it */
};

enum imsg_type {
	/* master -> child, on fd 3; the first message is M_START */
	M_START, /* struct m_start */
	M_CHANNEL, /* struct m_channel, and the descriptor of our end */
	M_PREPARE, /* struct m_gen; a config slice follows */
	M_CONF_WEB, /* struct conf_web: to workers */
	M_CONF_AUTH, /* struct conf_auth: to authd */
	M_CONF_TLS, /* struct conf_tls: to workers and worker -c */
	M_CONF_KEEPER, /* struct conf_keeper: to the keeper */
	M_CONF_BACKEND, /* struct conf_backend: to workers and the keeper */
	M_CONF_ENDPOINT, /* struct conf_endpoint: to workers, authd, keeper */
	M_CONF_STDIO, /* struct conf_stdio: to the runner */
	M_CONF_END, /* struct m_gen; answered by M_PREPARED */
	M_COMMIT, /* struct m_gen: this slice is now in force */
	M_FORGET, /* struct m_gen: nobody of it lives any more */
	M_LISTENER, /* struct m_listener, and the listening socket */
	M_DRAIN, /* struct m_drain: to workers */
	M_ACCESS, /* struct conf_endpoint: to workers of an older generation,
		     whose users are these from now on */
	M_REAPED, /* struct m_reaped: a worker is dead; authd, keeper */
	M_LOGLEVEL, /* struct m_loglevel */
	M_CTL, /* struct ctl_req, answered by M_CTL_ROW* M_CTL_END */
	M_EXEC, /* struct m_exec: to nanny, its only message */
	/* runner <-> master, by backend id alone: no command, path or uid */
	M_SPAWN, /* struct m_spawn -> M_CHILD M_CHILD_LOG, or M_EXITED */
	M_CHILD, /* struct m_child, and its standard input and output */
	M_CHILD_LOG, /* struct m_child, and its standard error */
	M_CHILD_KILL, /* struct m_child_kill: end it */
	M_EXITED, /* struct m_exited: it is gone, or could not be started */

	/* child -> master, on fd 3 */
	M_READY, /* - */
	M_PREPARED, /* struct m_prepared */
	M_BADPEER, /* struct m_badpeer: broke the contract, or is silent */
	M_CTL_ROW, /* struct ctl_row */
	M_CTL_END, /* struct ctl_end */
	M_IDLE, /* - : a draining worker has nothing left and exits */
	/* worker <-> authd */
	A_JOIN, /* - : worker asks; below follow in this order */
	A_CLOCK, /* struct a_clock: also later, while time goes on */
	A_SIGNKEY, /* struct a_signkey: a key to verify with */
	A_SEALKEY, /* struct a_sealkey: a key to seal session ids with */
	A_REVOKED, /* struct a_revoked: outside a join answered by A_ACK */
	A_JOIN_END, /* - : answered by A_JOINED */
	A_JOINED, /* - : this worker now counts */
	A_ACK, /* struct a_ack */
	A_REGISTER, /* struct a_register -> A_REGISTERED */
	A_REGISTERED, /* struct a_registered */
	A_AUTHORIZE, /* struct a_authorize -> A_PAGE */
	A_RESUME, /* struct a_form -> A_PAGE: show the transaction again */
	A_SIGNIN, /* struct a_form -> A_PAGE */
	A_DECIDE, /* struct a_form -> A_PAGE */
	A_PAGE, /* struct a_page */
	A_TOKEN, /* struct a_token -> A_TOKENS */
	A_TOKENS, /* struct a_tokens */
	A_REVOKE, /* struct a_revoke -> A_DONE */
	A_SESSION_END, /* struct a_revoked (kind REV_SESSION) -> A_DONE */
	A_DONE, /* struct a_done */
	A_USED, /* struct a_used: no answer */

	/* authd <-> authd -p */
	P_CHECK, /* struct p_check -> P_RESULT */
	P_HASH, /* struct p_check (hash empty) -> P_RESULT */
	P_RESULT, /* struct p_result */

	/* worker <-> keeper */
	K_CATALOG, /* struct k_catalog, and a sealed memfd: keeper to worker */
	K_ACK, /* struct k_catalog: that version is in use */
	K_CLASS, /* struct k_class: worker wants this class filled */
	K_ADDRS, /* struct k_addrs: keeper to worker */
	K_LEASE, /* struct k_lease -> K_SESSION */
	K_SESSION, /* struct k_session */
	K_PUT, /* struct k_lease: session is made (or re-PUT) */
	K_FAIL, /* struct k_lease: it could not be made */
	K_END, /* struct k_end: the client's session has ended */
	K_TROUBLE, /* struct k_trouble: worker saw a backend fail */
	K_COUNT, /* struct k_count: once a second, of what a backend did wrong */
	K_CLAIM, /* struct k_claim: this worker has the session's GET stream */
	K_RELEASE, /* struct k_claim: another one has it now: end yours */
	K_UNCLAIM, /* struct k_claim: that stream is no more */
	K_OPEN, /* struct k_lease: a session whose stream the owner opens */
	K_LISTS, /* struct k_trouble: a backend says its lists have changed */
	K_CHANGED, /* struct k_catalog: every worker has it, tell clients */
	K_LEVEL, /* struct k_soft -> K_DONE: log level of a session; the keeper
		    tells every worker in the same words */
	K_SUBSCRIBE, /* struct k_soft: a resource is watched, or no more; the
			same */
	K_REMIND, /* struct k_soft: to a new keeper, a level or a watched
		     resource that was told to the one before */
	K_LINK, /* struct k_soft: a backend's answer has named a resource */
	K_WHOSE, /* struct k_soft -> K_OWNER: who has named this one? */
	K_OWNER, /* struct k_soft: backend; 0: nobody */
	K_ROOTS, /* struct k_end: the client's roots have changed */
	K_DONE, /* - */
	K_RESUME, /* struct k_resume -> K_PIPE or K_NOPIPE; to the worker that has
		     the stream it comes with a descriptor to write to */
	K_PIPE, /* - and a descriptor to read the events from */
	K_NOPIPE, /* - : there is no such worker */
	K_RELAY, /* struct k_relay: to another worker, or to all */
	K_RELAY_FD, /* to one, and a sealed memfd: a body over N_INLINE */

	/* worker and keeper <-> runner; a body over N_INLINE comes as a sealed
	 * memfd in the variant with FD */
	N_OPEN, /* struct n_open -> N_OPENED: a session with a stdio child */
	N_OPENED, /* struct n_opened */
	N_SEND, /* struct n_send -> N_MESSAGE* N_DONE */
	N_SEND_FD, /* struct n_send, its body in the descriptor */
	N_CANCEL, /* - : nobody wants id any more: an exchange, a child is
		     told, or a session, -> N_OPENED with an error */
	N_MESSAGE, /* struct n_message: one JSON-RPC message for exchange id */
	N_MESSAGE_FD, /* the same, its body in the descriptor */
	N_DONE, /* struct n_done: exchange id is over */
	N_LOOK, /* - : to the keeper, the lists of backend id may be others */

	/* keeper <-> resolver */
	R_RESOLVE, /* struct r_resolve -> R_ADDRS */
	R_ADDRS, /* struct k_addrs */

	/* mcpgwctl <-> master, on the control socket */
	C_REQUEST, /* struct ctl_req */
	C_ROW, /* struct ctl_row */
	C_END, /* struct ctl_end: last message */
};

/* ---- master and its children ---- */

struct m_start {
	uint32_t version; /* PROTO_VERSION */
	uint8_t role; /* enum role, as the receiver must be */
	uint8_t debug; /* -d: log to stderr, X-Mcpgw-Worker in responses */
	uint8_t json; /* log format */
	uint8_t root; /* 1: started as root, drop to uid/gid, chroot */
	uint32_t loglevel;
	uint32_t uid, gid;
	uint64_t worker; /* worker id, never reused; 0 for the others */
	uint32_t gen; /* generation of a worker */
	char *jail; /* directory to chroot to; authd: the state directory */
	char *state; /* authd without root: the state directory */
};
struct m_channel {
	uint8_t role; /* who is at the other end */
	uint64_t worker;
	uint32_t gen;
};
struct m_gen {
	uint32_t gen;
};
struct m_prepared {
	uint32_t gen;
	char *error; /* empty: accepted */
};
struct m_listener {
	uint8_t loopback; /* the address is a loopback address */
	uint16_t port;
	uint16_t tls; /* 0: plain; n: the nth M_CONF_TLS of the slice */
	char *address; /* as configured, for the log */
};
struct m_drain {
	uint32_t seconds;
	uint8_t streams; /* GET streams end now, between events */
	uint8_t stop; /* the whole daemon ends: idle connections go at once */
};
struct m_reaped {
	uint64_t worker;
};
struct m_loglevel {
	uint32_t level;
};
struct m_badpeer {
	uint8_t role;
	uint64_t worker;
	char *why;
};

struct m_spawn {
	uint32_t backend;
	uint64_t child; /* number that runner gives it, never reused */
};
struct m_child {
	uint64_t child;
	uint32_t pid, uid;
};
struct m_child_kill {
	uint64_t child;
	uint8_t hard; /* 0: SIGTERM to its group; 1: the whole tree, now */
};
struct m_exited {
	uint64_t child;
	uint32_t status; /* as wait(2) gives it */
	char *error; /* empty, or why it was not even started */
};

#include "proto_conf.h"

/* ---- worker and authd ---- */

#define ID_LEN 16 /* grant ids, token ids, session nonces */

/* The time that authd has seen and never goes back behind. What ended by then is
 * over for good, whatever the wall clock says later. */
struct a_clock {
	int64_t now;
};
struct a_signkey {
	char *kid; /* RFC 7638 thumbprint */
	uint8_t x[32], y[32]; /* P-256 */
};
struct a_sealkey {
	uint32_t kid;
	uint8_t current; /* seal with this one */
	uint8_t key[32];
};

#define REV_GRANT   1 /* a grant and every token of it */
#define REV_TOKEN   2 /* one access token, by jti */
#define REV_SESSION 3 /* a legacy MCP session, by nonce */

struct a_revoked {
	uint64_t n; /* number of the revocation; 0 in A_SESSION_END */
	uint8_t kind;
	uint8_t id[ID_LEN];
	int64_t until; /* no token it covers lives longer */
};
struct a_ack {
	uint64_t n;
};
struct a_register {
	char *addr; /* of the client, for limits */
	char *name;
	struct strv redirect_uris;
	char *auth_method; /* empty: none asked for */
	char *application_type;
	char *client_uri;
	char *scope;
	uint8_t grants; /* GRANT_* bits asked for; 0: none named */
};
#define GRANT_CODE    0x01
#define GRANT_REFRESH 0x02
struct a_registered {
	char *error; /* empty, or an RFC 7591 error code */
	char *description;
	uint32_t retry_after; /* s; with error "slow_down" */
	char *client_id;
	char *client_secret; /* empty for a public client */
	int64_t issued_at;
	char *name;
	struct strv redirect_uris; /* those that were accepted */
	char *auth_method;
	char *application_type;
	char *client_uri;
	char *scope;
	uint8_t grants;
};
/* The request of the authorization endpoint, decoded, not judged. */
struct a_authorize {
	char *addr;
	char *cookie; /* of the browser; empty if none came */
	char *response_type;
	char *client_id;
	char *redirect_uri;
	char *scope;
	char *state;
	char *challenge;
	char *challenge_method;
	char *prompt;
	char *response_mode;
	struct strv resources;
	uint8_t has_request; /* bit 0: request, bit 1: request_uri was there */
};
/* A form of the sign-in or consent page, or the page asked for again. */
struct a_form {
	char *addr;
	char *cookie;
	char *txn;
	char *csrf;
	char *user; /* A_SIGNIN */
	char *password; /* A_SIGNIN; wiped */
	char *decision; /* A_DECIDE: only "approve" grants */
};
enum page_kind {
	PAGE_SIGNIN,
	PAGE_CONSENT,
	PAGE_REDIRECT, /* to the client: a code, or an error */
	PAGE_ERROR, /* shown, never redirected: see error */
	PAGE_AGAIN, /* signed in: 303 to the transaction's own address */
	PAGE_RETURN, /* an error, as PAGE_REDIRECT, but the person goes there, or
			not: nobody has ever let this client do anything */
};
struct a_page {
	uint8_t kind;
	char *txn;
	char *csrf;
	char *set_cookie; /* new value of the browser's cookie; empty: keep */
	/* PAGE_SIGNIN, PAGE_CONSENT */
	char *client_id;
	char *client_name; /* cleaned, at most 64 characters */
	int64_t registered;
	int64_t approved; /* when this user last allowed it; 0 never */
	char *user;
	char *scope;
	char *redirect_uri; /* also PAGE_REDIRECT, PAGE_RETURN */
	uint8_t device; /* loopback or private scheme: this device */
	uint8_t no_password; /* PAGE_SIGNIN: none has been set yet */
	char *notice; /* PAGE_SIGNIN: a NOTICE_* word; empty: none */
	uint32_t retry_after;
	/* PAGE_REDIRECT, PAGE_RETURN */
	char *code;
	char *state;
	char *error; /* also PAGE_ERROR: a word, see worker/oauth_page.c */
	char *description; /* also PAGE_ERROR: of PAGE_E_REQUEST */
};
#define NOTICE_WRONG    "wrong" /* that name and password do not match */
#define NOTICE_WAIT     "wait" /* too many tries, see retry_after */
#define NOTICE_BUSY     "busy" /* password check queue full */
#define PAGE_E_CLIENT   "unknown_client"
#define PAGE_E_REDIRECT "bad_redirect"
#define PAGE_E_EXPIRED  "expired" /* the transaction is gone */
#define PAGE_E_BROWSER  "browser" /* other browser, or a bad csrf: 403 */
#define PAGE_E_REQUEST  "bad_request" /* and description */
#define PAGE_E_DOWN     "unavailable" /* 503 */

#define CAUTH_NONE  0 /* client_id in the body */
#define CAUTH_BASIC 1
#define CAUTH_POST  2

struct a_token {
	char *addr;
	char *grant_type;
	uint8_t method; /* struct client_auth, flat */
	char *client_id;
	char *secret;
	char *client_id2;
	char *secret2;
	char *code;
	char *redirect_uri;
	char *verifier;
	char *refresh_token;
	char *scope;
	struct strv resources;
};
struct a_tokens {
	uint16_t status; /* HTTP: 200, 400, 401, 429, 503 */
	char *error; /* empty, or RFC 6749 5.2 / RFC 8707 */
	char *description;
	uint32_t retry_after;
	char *access_token;
	char *refresh_token;
	char *scope;
	uint32_t expires_in;
};
struct a_revoke {
	char *addr;
	uint8_t method;
	char *client_id;
	char *secret;
	char *client_id2;
	char *secret2;
	char *token;
};
struct a_done {
	uint16_t status;
	char *error;
};
/* An access token of grant gid, minted with refresh token number n, was used
 * for the first time in this worker. */
struct a_used {
	uint8_t gid[ID_LEN];
	uint32_t n;
};

/* ---- authd and its hashers ---- */

struct p_check {
	char *hash;
	char *password;
};
struct p_result {
	uint8_t ok;
	char *hash; /* answer to P_HASH */
};

/* ---- worker, keeper, resolver ---- */

struct k_catalog {
	uint64_t version;
	uint32_t size;
};
struct k_class {
	uint8_t class; /* DECLARE_* bits that the client declared */
};
struct k_addr {
	uint8_t family; /* 4 or 6 */
	uint8_t addr[16];
};
struct k_addrs {
	uint32_t backend;
	uint16_t port;
	struct vec addrs; /* struct k_addr; empty: could not be resolved */
};
struct r_resolve {
	uint32_t backend;
	char *host;
	uint16_t port;
};
struct k_lease {
	uint8_t nonce[ID_LEN];
	uint32_t backend;
	uint8_t class;
	char *stale; /* K_LEASE: this session id was answered 404 */
	char *session; /* K_PUT: the backend's id; empty: it gives none */
	char *revision; /* K_PUT: negotiated protocol version */
};
struct k_session {
	uint8_t leased; /* 1: make it, then K_PUT or K_FAIL */
	uint8_t failed; /* whoever held the lease failed, or no more fit */
	char *session;
	char *revision;
	char *level; /* leased: log level to set, empty for none */
	struct strv uris; /* leased: resources to subscribe to */
};
struct k_claim {
	uint8_t nonce[ID_LEN];
	uint64_t stream; /* number of the stream in its worker */
	uint64_t begun; /* mono_msec; the newest has the session */
};
/* What the keeper remembers of a client session for upstream sessions that
 * are made anew. */
struct k_soft {
	uint8_t nonce[ID_LEN];
	char *level; /* K_LEVEL */
	uint32_t backend; /* K_SUBSCRIBE, K_LINK, K_OWNER */
	char *uri;
	uint8_t on;
};
struct k_resume {
	uint64_t worker; /* whose stream */
	uint8_t nonce[ID_LEN];
	uint8_t gid[ID_LEN]; /* by which grant; zeros: none */
	uint8_t jti[ID_LEN]; /* by which token */
	int64_t exp; /* its end; 0: none */
	uint64_t stream;
	uint64_t seq; /* last event seen */
};
struct k_end {
	uint8_t nonce[ID_LEN];
};
struct k_trouble {
	uint32_t backend;
	uint8_t unreachable; /* 1: no address answered */
	char *why;
};
/* Since the last one. */
struct k_count {
	uint32_t backend;
	uint64_t failures; /* calls that it has failed */
	uint64_t dropped; /* messages of it that belong to nothing */
	char *why; /* of the last failure, after its name; or empty */
	int64_t when; /* of that */
};
#define RELAY_CANCEL   1 /* id: the client's request id; body: reason; raw JSON */
#define RELAY_ANSWER   2 /* id: ours; body: the client's message, raw JSON */
#define RELAY_PROGRESS 3 /* the same, with our id as its progress token */
struct k_relay {
	uint8_t kind;
	uint64_t worker; /* 0: every other worker */
	uint8_t nonce[ID_LEN];
	struct blob id;
	uint32_t size; /* K_RELAY_FD: of the body */
	struct blob body;
};

/* ---- worker or keeper, and runner ---- */

#define N_INLINE (16 * 1024)
#define N_BODY   (16 * 1024 * 1024) /* a line, or a body for a child */

struct n_open {
	uint32_t backend;
	uint8_t class; /* DECLARE_* that the client has and we pass on */
	uint8_t nonce[ID_LEN]; /* of the client's session; zeroes: none */
	char *subject; /* who; empty: nobody signed in */
};
struct n_opened {
	char *error; /* empty, or why not, after the backend's name */
	char *session;
	char *revision;
	struct blob result; /* its InitializeResult */
};
enum n_method {
	N_POST = 1,
	N_GET,
	N_DELETE, /* the client's session is over, and so is a child of it */
	N_LEAVE, /* nobody has the session; its child stays */
};
struct n_send {
	uint32_t backend;
	uint8_t method; /* as of Streamable HTTP */
	char *session;
	uint32_t size; /* N_SEND_FD: of the body */
	struct blob body; /* N_SEND */
};
struct n_message {
	uint32_t size; /* N_MESSAGE_FD: of the body */
	struct blob body;
};
enum n_end {
	N_END_OK,
	N_END_SESSION, /* there is no such session (any more) */
	N_END_DIED, /* the child is gone, see why */
	N_END_BUSY, /* it takes no more now, see why */
	N_END_LARGE, /* its answer was too long */
};
struct n_done {
	uint8_t end; /* enum n_end */
	char *why; /* after the backend's name; or empty */
};
/* ---- mcpgwctl ---- */

enum ctl_verb {
	CTL_STATUS,
	CTL_RELOAD,
	CTL_SHOW_BACKENDS,
	CTL_SHOW_TOOLS, /* args: backend, or none */
	CTL_SHOW_WORKERS,
	CTL_USER_PASSWD, /* args: user; secret: password */
	CTL_CLIENT_DELETE, /* args: client id */
	CTL_TOKEN_REVOKE, /* args: grant id; secret: or a token itself */
	CTL_LOG_LEVEL, /* args: level */
	CTL_SHOW_SESSIONS, /* args: backend, or none */
	CTL_SHOW_CLIENTS, /* args: client id, or none */
	CTL_SHOW_TOKENS, /* args: client id or user, or none */
	CTL_SHOW_CHILDREN, /* args: backend, or none */
	CTL_SHOW_LOG, /* args: backend: its last lines on standard error */
	CTL_BACKEND_RESTART, /* args: backend; so for the next two */
	CTL_BACKEND_STOP,
	CTL_BACKEND_START,
};
struct ctl_req {
	uint32_t version; /* PROTO_VERSION */
	uint8_t verb;
	struct strv args;
	char *secret;
};
/* One line of a table: names and values side by side; a name that starts with
 * '#' holds a number, with '?' a truth value ("true"/"false"), with '@' a time
 * in seconds since the epoch (empty: never). */
struct ctl_row {
	struct strv names;
	struct strv values;
};
struct ctl_end {
	uint8_t failed;
	char *message; /* what happened, or why not */
};

extern const struct msgdef def_m_start, def_m_channel, def_m_gen,
    def_m_prepared, def_m_listener, def_m_drain, def_m_reaped, def_m_loglevel,
    def_m_badpeer, def_kv, def_conf_backend, def_conf_endpoint, def_conf_web,
    def_conf_keeper, def_conf_auth, def_conf_tls, def_a_clock, def_a_signkey,
    def_a_sealkey, def_a_revoked, def_a_ack, def_a_register, def_a_registered,
    def_a_authorize, def_a_form, def_a_page, def_a_token, def_a_tokens,
    def_a_revoke, def_a_done, def_a_used, def_p_check, def_p_result,
    def_k_catalog, def_k_class, def_k_addr, def_k_addrs, def_r_resolve,
    def_k_lease, def_k_session, def_k_claim, def_k_soft, def_k_resume,
    def_k_end, def_k_trouble, def_k_count, def_k_relay, def_m_spawn,
    def_m_child, def_m_child_kill, def_m_exited, def_m_exec, def_conf_stdio,
    def_n_open, def_n_opened, def_n_send, def_n_message, def_n_done,
    def_ctl_req, def_ctl_row, def_ctl_end;

/* Every description, NULL at the end: for the fuzzer and the tests. */
extern const struct msgdef *const proto_defs[];

const char *role_name(uint8_t role);

#endif
