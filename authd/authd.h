#ifndef AUTHD_H
#define AUTHD_H

/*
 * What the files of authd share. Judges (J_*) decide one request: they read
 * and write the store inside the request's transaction and fill the answer;
 * they know nothing of channels and turns, so that tests call them directly.
 */
#include <sys/types.h>
#include <sys/queue.h>

#include <stdint.h>

#include "proto.h"
#include "row.h"

/* ---- a config slice, one per living generation (conf.c) ---- */

struct slice {
	TAILQ_ENTRY(slice) entry;
	uint32_t gen;
	int whole; /* M_CONF_END has come */
	struct conf_auth conf;
	struct strv paths; /* of the endpoints */
	char *hash; /* of the owner's configured password, or NULL */
	uint8_t pwmac[DIGEST_SIZE]; /* tells whether it changed */
	int hashing; /* the hash is being made */
};

/* Slices by generation; the handlers of M_PREPARE..M_FORGET. */
void conf_prepare(uint32_t gen);
void conf_auth(struct conf_auth *);
void conf_endpoint(struct conf_endpoint *);
/* The error is NULL when accepted, else what is wrong. */
const char *conf_end(uint32_t gen);
void conf_commit(uint32_t gen);
void conf_forget(uint32_t gen);
/* NULL: unknown or not whole. */
struct slice *conf_find(uint32_t gen);
/* The one in force, or NULL before the first commit. */
struct slice *conf_current(void);
/* Starts the hashing of its password if that is due; it stays NULL when the
 * queue is full. */
void conf_hash(struct slice *);

/* ---- verdicts ---- */

enum verdict {
	J_DROP, /* answered; undo what was written */
	J_KEEP, /* answered; what was written counts */
	J_LATER, /* answered by itself, later */
};
typedef enum verdict (*judge_fn)(struct slice *, const void *msg, void *answer);

/* ---- clock.c ---- */

/* For tests: where seconds since the epoch and steady seconds come from. */
void clock_source(int64_t (*wall)(void), uint64_t (*mono)(void));
/* The time that expiry is judged by: never goes back, not even over a restart
 * (design 3). */
int64_t clock_now(void);
/* The time up to which rows may be deleted: does not follow a jump. */
int64_t clock_settled(void);
/* Has a time ahead of what was believed been taken back? Once each; true at the
 * start, when nobody knows. */
int clock_corrected(void);
uint64_t clock_mono(void);
/* In a request: reads the stored mark. -1 on failure. */
int clock_load(void);
/* In a request: stores the mark if it moved by more than age seconds. */
int clock_save(int64_t age);
/* After a commit that failed: what was saved was not, nor what was done about a
 * correction. */
void clock_unsaved(void);

/* ---- secret.c ---- */

#define SECRET_RANDOM 32

void random_bytes(void *, size_t);
/* prefix + base64url of 32 random bytes; malloc'd. */
char *secret_make(const char *prefix);
/* Loads dir/pepper or makes it. -1 after a line that says what is wrong. */
int secret_init(const char *dir);
/* HMAC with the pepper; label keeps the uses apart. */
void secret_digest(
    uint8_t out[DIGEST_SIZE], const char *label, const void *, size_t);
void secret_digest_str(
    uint8_t out[DIGEST_SIZE], const char *label, const char *);
/* HMAC(pepper, a || b), as design 3 "Refresh" has it. */
void secret_mac(uint8_t out[DIGEST_SIZE], const void *a, size_t alen,
    const void *b, size_t blen);
/* Constant time in the content. */
int secret_equal(const char *, const char *);
/* A file of ours, 0400, one link, no symlink: its size, or -1. ENOENT when
 * there is none. */
ssize_t secret_read(const char *path, void *buf, size_t size);
/* Writes path anew: temporary file, fsync, rename, fsync of dir. 0 or -1. */
int secret_write(const char *dir, const char *path, const void *, size_t);

/* ---- keys.c ---- */

/* Loads the signing keys of dir/keys, makes the first. -1 after a line. */
int keys_init(const char *dir);
void keys_free(void);
size_t keys_count(void);
void keys_get(size_t, struct a_signkey *); /* strings stay ours */
/* Signs claims with the newest key; malloc'd, or NULL. */
struct jwt_claims;
char *keys_mint(const struct jwt_claims *);
/* Checks a token of ours. 0 or -1. */
int keys_verify(const char *token, struct jwt_claims *);

/* ---- sealkey.c ---- */

/* In a request: makes the first key, rotates, forgets. *changed is set when
 * workers have to be told. -1 on failure. */
int sealkey_turn(uint32_t session_ttl, int *changed);
/* In a request: calls cb for every key, the current one marked. */
int sealkey_each(void (*cb)(void *, const struct a_sealkey *), void *);

/* ---- expire.c ---- */

enum expiry {
	EXP_CODE = 1,
	EXP_GRANT,
	EXP_CLIENT,
	EXP_REVOKED,
};
/* In a request: look at this row again at that time. A row has one entry;
 * when its time has moved the entry is moved as it is met. */
int expire_at(enum expiry, int64_t when, const void *key, size_t keylen);
/* In a request: at most max rows. The number looked at, or -1. */
int expire_run(struct slice *, int max);

/* ---- redirect.c: pure ---- */

/* May a client register this redirect URI? */
int redirect_allowed(
    const char *uri, const struct strv *schemes, const struct strv *http_hosts);
/* Is given the registered one: the same bytes, or the same but for the port of
 * an http loopback address (RFC 8252 7.3)? */
int redirect_match(const char *registered, const char *given);
/* Does it lead to this device: loopback or a private-use scheme? */
int redirect_on_device(const char *uri);
/* Scheme and host, without the port of a loopback address, for consents. */
void redirect_site(const char *uri, char *dst, size_t size);

/* ---- name.c: pure ---- */

#define NAME_CHARS 64
/* A client's name fit to be shown (CONS-5); malloc'd. */
char *name_clean(const char *);

/* ---- scope.c: pure but for the slice ---- */

/* Those of asked that the slice knows, in its order; malloc'd, NULL: none. */
char *scope_known(const struct slice *, const char *asked);
/* The same, "mcp" when that would be none. */
char *scope_grant(const struct slice *, const char *asked);
/* Every word of a in b? */
int scope_within(const char *a, const char *b);
/* Our resource that the parameters name, or the default; malloc'd, or NULL:
 * invalid_target. */
char *resource_judge(const struct slice *, const struct strv *);

/* ---- client.c ---- */

#define CLIENTS_UNUSED_MAX 10000
#define CLIENT_UNUSED_TTL  (30 * 86400)

/* In a request: counts, after start and after a failed commit. */
int client_recount(void);
/* A request aborted alone takes back what it counted. */
void client_req_begin(void);
void client_req_abort(void);
enum verdict client_register(
    struct slice *, const struct a_register *, struct a_registered *);
int client_get(const char *id, struct row_client *);
/* How a client shows itself at the token and revocation endpoints. */
struct client_proof {
	uint8_t method;
	const char *id, *secret, *id2, *secret2;
};
/* 1: *id (points into the proof) is that client, *row filled; 0: refused; -1
 * failure. */
int client_auth(
    const struct client_proof *, const char **id, struct row_client *);
/* It was used now. */
int client_touch(struct slice *, const char *id, struct row_client *);
/* With its grants and consents. 1, 0 unknown, -1. */
int client_delete(const char *id);
/* For expire.c. Next time to look at it; 0: gone. */
int64_t client_expire(struct slice *, const char *id);
size_t client_count(void);

/* ---- user.c ---- */

#define OWNER "owner"
int user_get(const char *name, struct row_user *);
int user_set(const char *name, const char *hash);
/* Are there any? 1, 0, -1. */
int user_any(void);
/* May this be a user's name? */
int user_name_ok(const char *);

/* ---- penalty.c ---- */

void penalty_reset(void);
/* Seconds this address or user has to wait; 0: go on. */
uint32_t penalty_check(const char *addr, const char *user);
/* A try begins: counts as wrong until penalty_clear. */
void penalty_add(const char *addr, const char *user);
/* The password was right: what these two have added is taken back, and from now
 * on this address does not wait for what others do to this user. */
void penalty_clear(const char *addr, const char *user);
/* Windows per address. Seconds to wait when count in window is reached. */
enum window { WIN_FAIL, WIN_REGISTER, WIN_COUNT };
uint32_t window_check(
    enum window, const char *addr, uint32_t count, uint32_t seconds);
void window_add(enum window, const char *addr, uint32_t seconds);
int addr_is_loopback(const char *);
/* Equal for what counts as one address: of IPv6 a network of 64 bits. */
void addr_digest(uint8_t out[DIGEST_SIZE], const char *label, const char *addr);

/* ---- txn.c: sign-ins under way, in RAM ---- */

#define TXN_MAX    10000
#define TXN_ADDR   32 /* of one address */
#define TXN_BYTES  (16 * 1024 * 1024) /* of all */
#define TXN_TTL    600
#define TXN_ID_LEN 22 /* base64url of 16 bytes */
#define COOKIE_LEN 43

struct origin;
struct txn {
	TAILQ_ENTRY(txn) age;
	TAILQ_ENTRY(txn) same; /* of the same origin */
	LIST_ENTRY(txn) hash;
	struct origin *origin;
	size_t bytes;
	uint64_t born;
	char id[TXN_ID_LEN + 1];
	char csrf[COOKIE_LEN + 1];
	uint8_t browser[DIGEST_SIZE];
	char *client_id;
	char *redirect_uri;
	char *state;
	char *challenge;
	char *scope;
	char *resource;
	char *user; /* NULL until signed in; txn_signin sets it */
	int fresh_login; /* prompt=login: a remembered sign-in is no good */
};

void txn_reset(void);
/* Bound to the browser with this cookie; takes over the strings and fresh_login
 * of what. Another one may have to go for it. */
struct txn *txn_new(
    const char *cookie, const char *addr, const struct txn *what);
void txn_signin(struct txn *, const char *user);
struct txn *txn_find(const char *id);
int txn_is_of(const struct txn *, const char *cookie);
void txn_drop(struct txn *);
size_t txn_count(void);
void txn_age(void);
/* A cookie that we may have made? */
int cookie_ok(const char *);
void cookie_make(char dst[COOKIE_LEN + 1]);
/* This browser has signed in: remembered for TXN_TTL under a new cookie, which
 * takes over the browser's transactions. */
void browser_signin(
    const char *oldcookie, const char *newcookie, const char *user);
/* Who has signed in here within TXN_TTL, or NULL. */
const char *browser_user(const char *cookie);
void browser_signout(const char *user);

/* ---- authorize.c ---- */

enum verdict authorize_start(
    struct slice *, const struct a_authorize *, struct a_page *);
enum verdict authorize_resume(
    struct slice *, const struct a_form *, struct a_page *);
/* J_LATER: *check is to be done, then authorize_checked called. */
struct signin {
	char txn[TXN_ID_LEN + 1];
	char *cookie;
	char *addr;
	char *user;
	char *hash; /* NULL: the slice's, which is still being made */
	char *password; /* wiped */
	int dummy; /* no such user: the result does not count */
};
enum verdict authorize_signin(struct slice *, const struct a_form *,
    struct a_page *, struct signin *check);
enum verdict authorize_checked(
    struct slice *, const struct signin *, int ok, struct a_page *);
/* The check could not be queued. */
enum verdict authorize_busy(
    struct slice *, const struct signin *, struct a_page *);
enum verdict authorize_decide(
    struct slice *, const struct a_form *, struct a_page *);
void signin_free(struct signin *);

/* ---- code.c, grant.c, refresh.c, token.c ---- */

#define CODE_TTL 60

/* In a request: a code for an approved transaction; malloc'd, or NULL. */
char *code_issue(const struct txn *);
/* Both judge one grant type; the client has proved itself. */
struct token_ctx {
	struct slice *slice;
	const struct a_token *req;
	const char *client_id;
	struct row_client *client;
};
enum verdict code_redeem(const struct token_ctx *, struct a_tokens *);
enum verdict refresh_use(const struct token_ctx *, struct a_tokens *);
/* Next time to look at a code; 0: gone. */
int64_t code_expire(const uint8_t digest[DIGEST_SIZE]);

int grant_create(const uint8_t gid[ID_LEN], struct row_grant *);
int grant_get(const uint8_t gid[ID_LEN], struct row_grant *);
/* In a request: those of a time that is still to come count from now. -1 on
 * failure. */
int grants_settle(void);
/* Idle and absolute life judged now. */
int grant_alive(const struct slice *, const struct row_grant *);
/* Sets expires and writes. */
int grant_save(
    const struct slice *, const uint8_t gid[ID_LEN], struct row_grant *);
/* Revokes: the grant goes, a revocation is numbered. 1, 0 none, -1. */
int grant_revoke(const uint8_t gid[ID_LEN]);
int64_t grant_expire(const uint8_t gid[ID_LEN]);
size_t grant_count(void);

#define REFRESH_RAW (ID_LEN + 4 + DIGEST_SIZE)
/* Token n of a family; malloc'd. */
char *refresh_make(
    const uint8_t gid[ID_LEN], const struct row_grant *, uint32_t n);
/* Whose is it? 1 and gid, n and *row filled; 0 not one of ours (any more). */
int refresh_parse(
    const char *token, uint8_t gid[ID_LEN], uint32_t *n, struct row_grant *);
/* An access token minted with n was used. */
enum verdict refresh_used(const struct a_used *);

/* Fills answer: refusal. */
enum verdict token_error(struct a_tokens *, uint16_t status, const char *error,
    const char *description);
/* Mints an access token with number row->n and fills the answer; sets
 * row->token_exp. with: give the refresh token too. 0 or -1. */
int token_answer(const struct token_ctx *, const uint8_t gid[ID_LEN],
    struct row_grant *, const char *scope, int with, struct a_tokens *);
enum verdict token_judge(
    struct slice *, const struct a_token *, struct a_tokens *);
enum verdict token_revoke(
    struct slice *, const struct a_revoke *, struct a_done *);
/* An access token, of that client only unless it is NULL. 1 revoked, 0 not one
 * of ours or over, -1. */
int token_revoke_access(const char *token, const char *client);
enum verdict session_end(
    struct slice *, const struct a_revoked *, struct a_done *);

/* ---- revoke.c: what is revoked, by number ---- */

#define SESSIONS_MAX 100000 /* ended sessions kept */

/* In a request: numbers and stores one; told to the workers after the commit.
 * An equal one is not stored twice. 0 or -1. */
int revoke_add(uint8_t kind, const uint8_t id[ID_LEN], int64_t until);
/* In a request: reads the counters, at start and after a failed commit. */
int revoke_load(void);
void revoke_req_begin(void);
/* The request is to be answered once workers know of all there is. */
void revoke_wait(void);
/* What workers must know before this request is answered: a number, or 0. */
uint64_t revoke_req_end(int keep);
/* Has the request at hand revoked anything? */
int revoke_req_any(void);
/* The turn's revocations are durable and are pushed, or never happened. */
void revoke_commit(void);
void revoke_abort(void);
/* For expire.c. Next time to look at it; 0: gone. */
int64_t revoke_expire(uint64_t n);
/* In a request: calls cb for those from number n on until it returns nonzero.
 * -1 on failure. */
int revoke_each(
    uint64_t n, int (*cb)(void *, const struct a_revoked *), void *);
uint64_t revoke_newest(void);

/* ---- workers.c: channels to workers ---- */

struct peer;
/* A channel from master; owns fd. */
void worker_channel(uint64_t worker, uint32_t gen, int fd);
void worker_reaped(uint64_t worker);
/* The first config is in force: from now on requests are answered. */
void workers_open(void);
/* Tells all that count. */
void workers_push(const struct a_revoked *);
void workers_sealkeys(void);
/* What time it is, when there is something new to it. */
void workers_clock(void);
/* Do all living workers know revocation n? */
int workers_know(uint64_t n);
/* Complains to master about those that are silent for long since a push. */
void workers_watch(void);
/* Sends to whoever has that serial; nobody any more: nothing. */
void workers_send(uint64_t serial, uint32_t type, uint32_t id,
    const struct msgdef *, const void *msg);
size_t workers_joined(void);
/* Writes out what is queued, before an exit. */
void workers_flush(void);

/* ---- signin.c: sign-ins that wait for a hasher ---- */

void signin_request(
    uint64_t serial, uint32_t id, uint32_t gen, const struct a_form *);
/* The hash of that generation's password has been made, or could not be. */
void signin_hashed(uint32_t gen);

/* ---- hashq.c ---- */

#define HASHQ_MAX 32

/* hash NULL: make one. cb is called once: ok 1 or 0, hash only for a new one;
 * ok -1: it could not be done. Copies. -1: the queue is full, no cb. */
int hashq_submit(const char *hash, const char *password,
    void (*cb)(void *, int ok, const char *hash), void *arg);
/* A channel to a hasher; owns fd. */
void hashq_channel(int fd);
size_t hashq_len(void);

/* ---- passwd.c: authd -p ---- */

/* Is this the password of that hash? */
int passwd_check(const char *hash, const char *password);
/* A new hash in dst, or -1. */
int passwd_make(const char *password, char *dst, size_t size);
/* Runs as a hasher; returns when master is gone. */
void passwd_main(void);

/* ---- turn.c ---- */

void turn_init(void);
/* Runs one request in the turn; its answer goes to serial when the turn is
 * committed and what it revoked is known to all workers. After J_LATER it has
 * not been answered. */
enum verdict turn_request(uint64_t serial, uint32_t id, struct slice *,
    judge_fn, const void *msg, uint32_t type, const struct msgdef *);
/* Answers 503, or what is the like of it. */
void turn_refuse(
    uint64_t serial, uint32_t id, uint32_t type, const struct msgdef *);
/* Work of our own in the turn; undone when it returns -1. */
void turn_work(int (*work)(void *), void *arg);
/* Reads what is committed; the turn so far is ended first. */
int turn_read(int (*work)(void *), void *arg);
/* Commits what is open and sends the answers. */
void turn_flush(void);
/* Answers that wait for workers: look again. */
void turn_settle(void);
size_t turn_waiting(void);

/* ---- ctl.c ---- */

#define SERIAL_MASTER 1
void ctl_request(uint32_t id, const struct ctl_req *);

/* ---- show.c: rows for mcpgwctl ---- */

/* In a request: the rows of request id, at most 1,000; *more: there are
 * others. only: a client id (or, of tokens, a user); empty for all. 1, 0 no
 * such client, -1. */
int show_clients(uint32_t id, const char *only, int *more);
int show_tokens(uint32_t id, const char *only, int *more);

/* ---- loop.c ---- */

struct loop_timer;
void loop_init(void);
void loop_run(void);
struct loop_timer *loop_timer_new(void (*)(void));
void loop_timer_set(struct loop_timer *, unsigned int ms);
/* Once, after what is now ready has been read. */
void loop_defer(struct loop_timer *);
/* One turn, for tests; waits for at most ms. */
void loop_once(unsigned int ms);
void loop_free(void);

/* ---- main.c ---- */

/* NULL in tests. */
struct peer *master_peer(void);

#endif
