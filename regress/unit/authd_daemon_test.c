/*
 * The program itself, sandbox on, with this test as its master and worker:
 * start, sign-in, consent, tokens, kill -9 and start again. As root also in
 * a chroot with another uid. Skipped when authd has not been built.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>

#include "authd_fixture.h"
#include "peer.h"
#include "test.h"

#define PASSWORD "correct horse battery"

struct child {
	struct peer *peer;
	pid_t pid;
	int ready, prepared, ctl_ends, ctl_failed, rows;
};

static char program[PATH_MAX];
static struct child authd, hasher[2];
static struct peer *worker;
static int joined, answered, gone;
static struct a_registered registered;
static struct a_page page;
static struct a_tokens tokens;
static struct a_done done;
static struct jwt_key *key;

struct peer *
master_peer(void)
{
	return NULL;
}

static void
on_ready(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id, (void)msg, (void)fd;
	((struct child *)peer_ctx(p))->ready = 1;
}

static void
on_prepared(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id, (void)fd;
	((struct child *)peer_ctx(p))->prepared =
	    ((struct m_prepared *)msg)->error[0] == '\0';
}

static void
on_badpeer(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	printf("bad peer: %s\n", ((struct m_badpeer *)msg)->why);
	CHECK(!"bad peer");
}

static void
on_row(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id, (void)msg, (void)fd;
	((struct child *)peer_ctx(p))->rows++;
}

static void
on_ctl_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct child *c = peer_ctx(p);

	(void)id, (void)fd;
	c->ctl_ends++;
	c->ctl_failed = ((struct ctl_end *)msg)->failed;
}

static void
on_child_gone(struct peer *p)
{
	((struct child *)peer_ctx(p))->peer = NULL;
}

static const struct peer_rule child_rules[] = {
    {M_READY, NULL, PEER_ANY, 0, on_ready},
    {M_PREPARED, &def_m_prepared, PEER_ANY, 0, on_prepared},
    {M_BADPEER, &def_m_badpeer, PEER_ANY, 0, on_badpeer},
    {M_CTL_ROW, &def_ctl_row, PEER_ANY, 0, on_row},
    {M_CTL_END, &def_ctl_end, PEER_ANY, 0, on_ctl_end},
};
static const struct peer_class child_class = {.name = "authd",
    .rules = child_rules,
    .nrules = 5,
    .fdpass = 1,
    .gone = on_child_gone};

static void
w_signkey(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct a_signkey *k = msg;

	(void)p, (void)id, (void)fd;
	jwt_key_free(key);
	key = jwt_key_new(k->kid, k->x, k->y);
}

static void
w_ignore(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)msg, (void)fd;
}

static void
w_revoked(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct a_ack ack = {((struct a_revoked *)msg)->n};

	(void)id, (void)fd;
	if (joined)
		(void)peer_send(p, A_ACK, 0, &def_a_ack, &ack, -1);
}

static void
w_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)id, (void)msg, (void)fd;
	joined = 1;
	(void)peer_send(p, A_JOINED, 0, NULL, NULL, -1);
}

#define TAKE(name, var, type)                                            \
	static void name(struct peer *p, uint32_t id, void *msg, int fd) \
	{                                                                \
		(void)p, (void)id, (void)fd;                             \
		wire_free(&def_##type, &var);                            \
		memcpy(&var, msg, sizeof(var));                          \
		memset(msg, 0, sizeof(var));                             \
		answered++;                                              \
	}                                                                \
	struct type
TAKE(w_registered, registered, a_registered);
TAKE(w_page, page, a_page);
TAKE(w_tokens, tokens, a_tokens);
TAKE(w_done, done, a_done);

static void
w_gone(struct peer *p)
{
	(void)p;
	gone = 1;
	worker = NULL;
}

static const struct peer_rule worker_rules[] = {
    {A_CLOCK, &def_a_clock, PEER_ANY, 0, w_ignore},
    {A_SIGNKEY, &def_a_signkey, PEER_ANY, 0, w_signkey},
    {A_SEALKEY, &def_a_sealkey, PEER_ANY, 0, w_ignore},
    {A_REVOKED, &def_a_revoked, PEER_ANY, 0, w_revoked},
    {A_JOIN_END, NULL, PEER_ANY, 0, w_end},
    {A_REGISTERED, &def_a_registered, PEER_ANY, 0, w_registered},
    {A_PAGE, &def_a_page, PEER_ANY, 0, w_page},
    {A_TOKENS, &def_a_tokens, PEER_ANY, 0, w_tokens},
    {A_DONE, &def_a_done, PEER_ANY, 0, w_done},
};
static const struct peer_class worker_class = {
    .name = "authd", .rules = worker_rules, .nrules = 9, .gone = w_gone};

/* ---- playing master ---- */

static int
wait_for(const int *flag, unsigned int ms)
{
	uint64_t until = mono_msec() + ms;

	while (!*flag && mono_msec() < until)
		loop_once(20);
	return *flag;
}

static void
start(struct child *c, uint8_t role, int as_root)
{
	struct m_start m;
	int fds[2];

	memset(c, 0, sizeof(*c));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		exit(1);
	if ((c->pid = fork()) == 0) {
		dup2(fds[1], 3);
		(void)fcntl(3, F_SETFD, 0);
		execl(
		    program, program, role == ROLE_HASHER ? "-p" : NULL, NULL);
		_exit(127);
	}
	close(fds[1]);
	c->peer = peer_new(fds[0], &child_class, role, 0, 0, c);
	memset(&m, 0, sizeof(m));
	m.version = PROTO_VERSION;
	m.role = role;
	m.debug = 1;
	m.root = as_root;
	m.loglevel = getenv("V") ? LOG_L_DEBUG : LOG_L_WARN;
	m.uid = m.gid = 65534;
	m.jail = FIX_S(as_root ? role == ROLE_AUTHD ? fix_dir : "/tmp" : "");
	m.state = FIX_S(as_root || role != ROLE_AUTHD ? "" : fix_dir);
	CHECK(peer_send(c->peer, M_START, 0, &def_m_start, &m, -1) == 0);
}

static void
introduce(void)
{
	struct m_channel m;
	int fds[2], i;

	for (i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
			exit(1);
		memset(&m, 0, sizeof(m));
		m.role = ROLE_HASHER;
		(void)peer_send(
		    authd.peer, M_CHANNEL, 0, &def_m_channel, &m, fds[0]);
		m.role = ROLE_AUTHD;
		(void)peer_send(
		    hasher[i].peer, M_CHANNEL, 0, &def_m_channel, &m, fds[1]);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
		exit(1);
	m.role = ROLE_WORKER;
	m.worker = 5;
	m.gen = 1;
	(void)peer_send(authd.peer, M_CHANNEL, 0, &def_m_channel, &m, fds[0]);
	joined = gone = 0;
	worker = peer_new(fds[1], &worker_class, ROLE_AUTHD, 0, 0, NULL);
	(void)peer_send(worker, A_JOIN, 0, NULL, NULL, -1);
}

static void
configure(void)
{
	struct conf_endpoint e;
	struct m_gen g = {1};

	memset(&e, 0, sizeof(e));
	e.path = FIX_S("/mcp");
	(void)peer_send(authd.peer, M_PREPARE, 0, &def_m_gen, &g, -1);
	(void)peer_send(
	    authd.peer, M_CONF_AUTH, 0, &def_conf_auth, &fix_slice.conf, -1);
	(void)peer_send(
	    authd.peer, M_CONF_ENDPOINT, 0, &def_conf_endpoint, &e, -1);
	(void)peer_send(authd.peer, M_CONF_END, 0, &def_m_gen, &g, -1);
	CHECK(wait_for(&authd.prepared, 5000));
	(void)peer_send(authd.peer, M_COMMIT, 0, &def_m_gen, &g, -1);
}

static int
ask(uint32_t type, const struct msgdef *def, const void *msg)
{
	answered = 0;
	if (worker == NULL)
		return 0;
	(void)peer_send(worker, type, 9, def, msg, -1);
	return wait_for(&answered, 10000);
}

static void
stop(struct child *c, int sig)
{
	int status;

	if (sig)
		(void)kill(c->pid, sig);
	else if (c->peer != NULL)
		peer_free(c->peer);
	if (sig && c->peer != NULL)
		peer_free(c->peer);
	c->peer = NULL;
	CHECK(waitpid(c->pid, &status, 0) == c->pid);
	if (!sig)
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- the way of a client ---- */

static char client[64], refresh[256];

static void
sign_up(void)
{
	struct a_register req;

	memset(&req, 0, sizeof(req));
	req.addr = FIX_S(FIX_ADDR);
	req.name = FIX_S("Test");
	req.auth_method = FIX_S("none");
	req.application_type = req.client_uri = req.scope = FIX_S("");
	(void)strv_add(&req.redirect_uris, FIX_CALLBACK);
	CHECK(ask(A_REGISTER, &def_a_register, &req));
	strv_free(&req.redirect_uris);
	CHECK(registered.client_id != NULL && registered.error[0] == '\0');
	strlcpy(client, registered.client_id, sizeof(client));
}

static void
sign_in(const char *password)
{
	struct a_authorize req;
	struct a_page shown;
	struct a_form f;
	char cookie[64];

	fix_authorize_req(&req, client);
	CHECK(ask(A_AUTHORIZE, &def_a_authorize, &req));
	CHECK(page.kind == PAGE_SIGNIN);
	strlcpy(cookie, page.set_cookie, sizeof(cookie));
	memcpy(&shown, &page, sizeof(shown));
	memset(&page, 0, sizeof(page));
	fix_form(&f, cookie, &shown);
	f.user = FIX_S(OWNER);
	f.password = FIX_S("wrong");
	CHECK(ask(A_SIGNIN, &def_a_form, &f));
	CHECK(
	    page.kind == PAGE_SIGNIN && strcmp(page.notice, NOTICE_WRONG) == 0);
	f.password = FIX_S(password);
	CHECK(ask(A_SIGNIN, &def_a_form, &f));
	CHECK(page.kind == PAGE_AGAIN);
	strlcpy(cookie, page.set_cookie, sizeof(cookie));
	CHECK(ask(A_RESUME, &def_a_form, &f) && page.kind == PAGE_CONSENT);
	f.decision = FIX_S("approve");
	CHECK(ask(A_DECIDE, &def_a_form, &f));
	CHECK(page.kind == PAGE_REDIRECT && page.code[0] != '\0');
	wire_free(&def_a_page, &shown);
}

static void
get_tokens(void)
{
	struct jwt_claims *cl = calloc(1, sizeof(*cl));
	struct a_token req;

	fix_token_req(&req, client);
	req.code = page.code;
	CHECK(ask(A_TOKEN, &def_a_token, &req));
	CHECK(tokens.status == 200);
	CHECK(jwt_verify(key, tokens.access_token, strlen(tokens.access_token),
		  cl) == 0);
	CHECK(strcmp(cl->sub, OWNER) == 0);
	strlcpy(refresh, tokens.refresh_token, sizeof(refresh));
	free(cl);
}

static void
use_refresh(int status)
{
	struct a_token req;

	fix_token_req(&req, client);
	req.grant_type = FIX_S("refresh_token");
	req.refresh_token = refresh;
	CHECK(ask(A_TOKEN, &def_a_token, &req));
	CHECK(tokens.status == status);
}

static void
ctl(uint8_t verb, const char *arg, const char *secret, int failed)
{
	struct ctl_req req;

	memset(&req, 0, sizeof(req));
	req.version = PROTO_VERSION;
	req.verb = verb;
	if (arg != NULL)
		(void)strv_add(&req.args, arg);
	req.secret = FIX_S(secret);
	authd.ctl_ends = 0;
	(void)peer_send(authd.peer, M_CTL, 3, &def_ctl_req, &req, -1);
	CHECK(wait_for(&authd.ctl_ends, 10000));
	CHECK(authd.ctl_failed == failed);
	strv_free(&req.args);
}

static void
up(int as_root)
{
	start(&authd, ROLE_AUTHD, as_root);
	CHECK(wait_for(&authd.ready, 10000));
	configure();
	introduce();
	CHECK(wait_for(&joined, 5000));
}

static void
life(int as_root)
{
	int i;

	if (as_root)
		CHECK(chown(fix_dir, 65534, 65534) == 0);
	free(fix_slice.conf.password);
	fix_slice.conf.password = strdup(PASSWORD);
	for (i = 0; i < 2; i++) {
		start(&hasher[i], ROLE_HASHER, as_root);
		CHECK(wait_for(&hasher[i].ready, 5000));
	}
	up(as_root);
	sign_up();
	sign_in(PASSWORD);
	get_tokens();
	use_refresh(200);

	/* Killed at any moment it comes back with everything. */
	stop(&authd, SIGKILL);
	(void)wait_for(&gone, 1000);
	up(as_root);
	use_refresh(200);

	/* A password of the store. */
	free(fix_slice.conf.password);
	fix_slice.conf.password = strdup("");
	stop(&authd, 0);
	(void)wait_for(&gone, 1000);
	up(as_root);
	ctl(CTL_USER_PASSWD, OWNER, "short", 1);
	ctl(CTL_USER_PASSWD, OWNER, "another password", 0);
	sign_in("another password");
	get_tokens();
	ctl(CTL_TOKEN_REVOKE, NULL, refresh, 0);
	use_refresh(400);
	ctl(CTL_STATUS, NULL, "", 0);
	CHECK(authd.rows == 1);
	ctl(CTL_CLIENT_DELETE, "nobody", "", 1);
	ctl(CTL_CLIENT_DELETE, client, "", 0);
	use_refresh(401);
	stop(&authd, 0);
	for (i = 0; i < 2; i++)
		stop(&hasher[i], 0);
	(void)wait_for(&gone, 500);
	(void)nftw(fix_dir, fix_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static void
new_dir(void)
{
	strcpy(fix_dir, "/tmp/authd-test."
			"XX"
			"XX"
			"XX");
	if (mkdtemp(fix_dir) == NULL)
		exit(1);
}

int
main(int argc, char *argv[])
{
	char self[PATH_MAX];
	struct stat st;

	(void)argc;
	log_init("test", 1);
	log_setlevel(LOG_L_WARN);
	strlcpy(self, argv[0], sizeof(self));
	snprintf(program, sizeof(program), "%s/../../authd", dirname(self));
	if (getenv("AUTHD") != NULL)
		strlcpy(program, getenv("AUTHD"), sizeof(program));
	if (stat(program, &st) == -1 || !S_ISREG(st.st_mode)) {
		printf(
		    "authd_daemon_test: skipped, %s is not there\n", program);
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	fix_config();
	loop_init();
	new_dir();
	life(0);
	if (geteuid() == 0) {
		new_dir();
		life(1);
	}
	wire_free(&def_a_registered, &registered);
	wire_free(&def_a_page, &page);
	wire_free(&def_a_tokens, &tokens);
	wire_free(&def_a_done, &done);
	jwt_key_free(key);
	TEST_END();
}
