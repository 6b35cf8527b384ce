/* RDR-1, RDR-8, PKCE-1, PKCE-2, MIX-1, CONS-1, CONS-2, CONS-6: the requests,
 * the sign-in and the decision. */
#include "authd_fixture.h"
#include "test.h"

struct peer *
master_peer(void)
{
	return NULL;
}

static char *client, *native;
static struct a_page page;

static int
ask(const struct a_authorize *req)
{
	wire_free(&def_a_page, &page);
	(void)fix_run(fix_j_authorize, req, &page);
	return page.kind;
}

static int
is_error(int kind, const char *error)
{
	return page.kind == kind && page.error != NULL &&
	       strcmp(page.error, error) == 0;
}

static void
rdr_1(void)
{
	struct a_authorize r;

	fix_authorize_req(&r, "nobody");
	(void)ask(&r);
	CHECK(is_error(PAGE_ERROR, PAGE_E_CLIENT));
	fix_authorize_req(&r, client);
	r.redirect_uri = FIX_S("https://evil.example/cb");
	(void)ask(&r);
	CHECK(is_error(PAGE_ERROR, PAGE_E_REDIRECT));
	CHECK(page.redirect_uri == NULL && page.code == NULL);
	/* Absent: never guessed, though only one is registered. */
	r.redirect_uri = FIX_S("");
	(void)ask(&r);
	CHECK(is_error(PAGE_ERROR, PAGE_E_REQUEST));
	CHECK(page.redirect_uri == NULL && page.code == NULL);
	fix_authorize_req(&r, native);
	r.redirect_uri = FIX_S("http://127.0.0.1:51234/cb");
	CHECK(ask(&r) == PAGE_SIGNIN);
	CHECK(page.device);
	CHECK(strcmp(page.redirect_uri, "http://127.0.0.1:51234/cb") == 0);
}

/* One field wrong, the error by redirect. */
static void
wrong_fields(void)
{
	struct a_authorize r;

#define WRONG(set, err)                                        \
	fix_authorize_req(&r, native);                         \
	r.redirect_uri = FIX_S("http://127.0.0.1:7/cb");       \
	set;                                                   \
	(void)ask(&r);                                         \
	CHECK(is_error(PAGE_REDIRECT, err));                   \
	CHECK(strcmp(page.state, "st4te") == 0);               \
	CHECK(strcmp(page.redirect_uri, r.redirect_uri) == 0); \
	CHECK(page.code == NULL)

	WRONG(r.response_type = FIX_S("token"), "unsupported_response_type");
	WRONG(r.response_type = FIX_S(""), "invalid_request");
	/* PKCE-1, PKCE-2 */
	WRONG(r.challenge = FIX_S(""), "invalid_request");
	WRONG(r.challenge = FIX_S("short"), "invalid_request");
	WRONG(r.challenge = FIX_S(FIX_CHALLENGE "A"), "invalid_request");
	WRONG(
	    r.challenge = FIX_S("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"),
	    "invalid_request");
	WRONG(r.challenge_method = FIX_S("plain"), "invalid_request");
	WRONG(r.challenge_method = FIX_S(""), "invalid_request");
	WRONG(r.challenge_method = FIX_S("s256"), "invalid_request");
	WRONG(r.challenge_method = FIX_S("S256 "), "invalid_request");
	/* RDR-8 */
	WRONG(r.prompt = FIX_S("none"), "login_required");
	WRONG(r.response_mode = FIX_S("form_post"), "invalid_request");
	WRONG(r.response_mode = FIX_S("fragment"), "invalid_request");
	WRONG(r.has_request = 1, "request_not_supported");
	WRONG(r.has_request = 2, "request_uri_not_supported");
	WRONG((void)strv_add(&r.resources, "https://evil.example/mcp"),
	    "invalid_target");
	strv_free(&r.resources);
	fix_authorize_req(&r, client);
	r.prompt = FIX_S("consent");
	r.response_mode = FIX_S("query");
	CHECK(ask(&r) == PAGE_SIGNIN);
}

/* RFC 9700 4.11.2: nobody is sent anywhere by a link that somebody made, but
 * to a site where a person has let this client go. */
static void
no_open_redirector(void)
{
	static const char app[] = "cursor://cb",
			  evil[] = "https://e.example/cb";
	char *two, *code, *private = fix_client(app, "none", NULL);
	struct a_register reg;
	struct a_registered made;
	struct a_authorize r;

	fix_authorize_req(&r, client);
	r.response_type = FIX_S("token");
	(void)ask(&r);
	CHECK(is_error(PAGE_RETURN, "unsupported_response_type"));
	CHECK(strcmp(page.redirect_uri, FIX_CALLBACK) == 0);
	CHECK(strcmp(page.state, "st4te") == 0 && page.code == NULL);
	r.response_type = FIX_S("code");
	r.prompt = FIX_S("none");
	(void)ask(&r);
	CHECK(is_error(PAGE_RETURN, "login_required"));
	r.client_id = private;
	r.redirect_uri = FIX_S(app);
	(void)ask(&r);
	CHECK(is_error(PAGE_REDIRECT, "login_required"));
	free(private);

	/* One site approved is not the other. */
	memset(&reg, 0, sizeof(reg));
	memset(&made, 0, sizeof(made));
	reg.addr = FIX_S("127.0.0.1");
	reg.name = reg.application_type = reg.client_uri = reg.scope =
	    FIX_S("");
	reg.auth_method = FIX_S("none");
	(void)strv_add(&reg.redirect_uris, FIX_CALLBACK);
	(void)strv_add(&reg.redirect_uris, evil);
	(void)fix_run(fix_j_register, &reg, &made);
	strv_free(&reg.redirect_uris);
	two = strdup(made.client_id);
	wire_free(&def_a_registered, &made);
	r.client_id = two;
	r.redirect_uri = FIX_S(FIX_CALLBACK);
	(void)ask(&r);
	CHECK(is_error(PAGE_RETURN, "login_required"));
	code = fix_code(two, "mcp");
	CHECK(code != NULL);
	free(code);
	(void)ask(&r);
	CHECK(is_error(PAGE_REDIRECT, "login_required"));
	r.redirect_uri = FIX_S(evil);
	(void)ask(&r);
	CHECK(is_error(PAGE_RETURN, "login_required"));
	free(two);
}

static enum verdict
j_signin(struct slice *sl, const void *msg, void *ans)
{
	struct signin check;
	enum verdict v;

	v = authorize_signin(sl, msg, ans, &check);
	if (v == J_LATER) {
		/* The hasher's work, done by comparing. */
		CHECK(check.hash != NULL);
		v = authorize_checked(sl, &check,
		    strcmp(((const struct a_form *)msg)->password, "right") ==
			0,
		    ans);
	}
	signin_free(&check);
	return v;
}

static int
signin(const char *cookie, const struct a_page *shown, const char *user,
    const char *password, struct a_page *out)
{
	struct a_form f;

	fix_form(&f, cookie, shown);
	f.user = FIX_S(user);
	f.password = FIX_S(password);
	wire_free(&def_a_page, out);
	(void)fix_run(j_signin, &f, out);
	return out->kind;
}

/* The whole way, and every wrong turn of it. */
static void
flow(void)
{
	struct a_page shown, next, third;
	char cookie[64], foreign[64];
	struct a_authorize r;
	struct a_form f;

	penalty_reset();
	memset(&shown, 0, sizeof(shown));
	memset(&next, 0, sizeof(next));
	memset(&third, 0, sizeof(third));
	fix_authorize_req(&r, client);
	CHECK(fix_run(fix_j_authorize, &r, &shown) == J_DROP);
	CHECK(!fix_changed);
	CHECK(shown.kind == PAGE_SIGNIN && !shown.no_password);
	CHECK(strlen(shown.set_cookie) == COOKIE_LEN);
	CHECK(strcmp(shown.client_name, "Test") == 0);
	CHECK(shown.registered == fix_wall);
	strcpy(cookie, shown.set_cookie);
	cookie_make(foreign);

	/* CONS-2: csrf and cookie, both, always. */
	CHECK(signin(foreign, &shown, OWNER, "right", &next) == PAGE_ERROR);
	CHECK(strcmp(next.error, PAGE_E_BROWSER) == 0);
	CHECK(signin("", &shown, OWNER, "right", &next) == PAGE_ERROR);
	fix_form(&f, cookie, &shown);
	f.csrf = FIX_S("wrong");
	f.password = FIX_S("right");
	wire_free(&def_a_page, &next);
	(void)fix_run(j_signin, &f, &next);
	CHECK(strcmp(next.error, PAGE_E_BROWSER) == 0);
	f.txn = FIX_S("AAAAAAAAAAAAAAAAAAAAAA");
	wire_free(&def_a_page, &next);
	(void)fix_run(j_signin, &f, &next);
	CHECK(strcmp(next.error, PAGE_E_EXPIRED) == 0);

	/* A decision before the sign-in is none. */
	fix_form(&f, cookie, &shown);
	f.decision = FIX_S("approve");
	wire_free(&def_a_page, &next);
	(void)fix_run(fix_j_decide, &f, &next);
	CHECK(next.kind == PAGE_SIGNIN && next.code == NULL);

	/* LOGIN-2: an unknown user is as a wrong password. */
	CHECK(signin(cookie, &shown, OWNER, "wrong", &next) == PAGE_SIGNIN);
	CHECK(strcmp(next.notice, NOTICE_WRONG) == 0);
	CHECK(strcmp(next.user, OWNER) == 0);
	CHECK(signin(cookie, &shown, "mallory", "right", &next) == PAGE_SIGNIN);
	CHECK(strcmp(next.notice, NOTICE_WRONG) == 0);
	CHECK(signin(cookie, &shown, "", "right", &next) == PAGE_AGAIN);
	CHECK(strcmp(next.txn, shown.txn) == 0);
	CHECK(strcmp(next.set_cookie, cookie) != 0);

	/* The old cookie is worth nothing any more. */
	fix_form(&f, cookie, &shown);
	(void)fix_run(fix_j_resume, &f, &third);
	CHECK(third.kind == PAGE_ERROR);
	strcpy(cookie, next.set_cookie);
	wire_free(&def_a_page, &third);
	fix_form(&f, cookie, &shown);
	(void)fix_run(fix_j_resume, &f, &third);
	CHECK(third.kind == PAGE_CONSENT && third.approved == 0);

	/* CONS-2, CONS-3: another browser can not approve. */
	fix_form(&f, foreign, &third);
	f.decision = FIX_S("approve");
	wire_free(&def_a_page, &next);
	(void)fix_run(fix_j_decide, &f, &next);
	CHECK(next.kind == PAGE_ERROR && next.code == NULL);

	fix_form(&f, cookie, &third);
	f.decision = FIX_S("approve");
	wire_free(&def_a_page, &next);
	CHECK(fix_run(fix_j_decide, &f, &next) == J_KEEP);
	CHECK(next.kind == PAGE_REDIRECT && next.code != NULL);
	CHECK(strcmp(next.state, "st4te") == 0);
	/* Once. */
	wire_free(&def_a_page, &next);
	(void)fix_run(fix_j_decide, &f, &next);
	CHECK(
	    next.kind == PAGE_ERROR && strcmp(next.error, PAGE_E_EXPIRED) == 0);

	/* The browser is remembered: consent at once, and it says since when
	 * this client was allowed; CONS-1: another client was not. */
	fix_pass(10);
	r.cookie = cookie;
	CHECK(ask(&r) == PAGE_CONSENT);
	CHECK(page.set_cookie == NULL);
	CHECK(page.approved == fix_wall - 10);
	r.scope = FIX_S("mcp extra");
	CHECK(ask(&r) == PAGE_CONSENT && page.approved == 0);
	r.prompt = FIX_S("login");
	CHECK(ask(&r) == PAGE_SIGNIN);
	fix_authorize_req(&r, native);
	r.cookie = cookie;
	r.redirect_uri = FIX_S("http://127.0.0.1:1/cb");
	CHECK(ask(&r) == PAGE_CONSENT && page.approved == 0);
	fix_pass(TXN_TTL);
	CHECK(ask(&r) == PAGE_SIGNIN);
	wire_free(&def_a_page, &shown);
	wire_free(&def_a_page, &next);
	wire_free(&def_a_page, &third);
}

static char *picked; /* the hash that a password would be compared with */
static int picked_dummy;

static enum verdict
j_pick(struct slice *sl, const void *msg, void *ans)
{
	struct signin check;

	(void)authorize_signin(sl, msg, ans, &check);
	free(picked);
	picked = check.hash != NULL ? strdup(check.hash) : strdup("");
	picked_dummy = check.dummy;
	signin_free(&check);
	return J_DROP;
}

static void
pick(const struct a_page *shown, const char *user)
{
	struct a_page next;
	struct a_form f;

	memset(&next, 0, sizeof(next));
	fix_form(&f, shown->set_cookie, shown);
	f.user = FIX_S(user);
	f.password = FIX_S("wrong");
	(void)fix_run(j_pick, &f, &next);
	wire_free(&def_a_page, &next);
}

/* LOGIN-2: where the owner's hash is of another method than all the others. */
static void
methods(void)
{
	char made[512], *was = fix_slice.hash;
	struct a_authorize r;
	struct a_page shown;
	size_t salt;

	penalty_reset();
	memset(&shown, 0, sizeof(shown));
	fix_slice.hash = FIX_S("$6$other$");
	CHECK(passwd_make("a long password", made, sizeof(made)) == 0);
	CHECK(turn_begin() == 0 && req_begin() == 0);
	CHECK(user_set("alice", made) == 0);
	CHECK(req_end(1) == 0 && turn_commit() == 0);
	fix_authorize_req(&r, client);
	(void)fix_run(fix_j_authorize, &r, &shown);
	pick(&shown, OWNER);
	CHECK(strcmp(picked, "$6$other$") == 0 && !picked_dummy);
	pick(&shown, "alice");
	CHECK(strcmp(picked, made) == 0 && !picked_dummy);
	/* Method and cost: $y$jBT$ */
	pick(&shown, "mallory");
	salt = strcspn(made + 3, "$") + 4;
	CHECK(salt > 4 && strncmp(picked, made, salt) == 0);
	CHECK(strlen(picked) == strlen(made));
	CHECK(picked_dummy);
	wire_free(&def_a_page, &shown);
	free(picked);
	fix_slice.hash = was;
	penalty_reset();
}

/* CONS-6 */
static void
cons_6(void)
{
	static const char *const words[] = {
	    "", "Approve", "yes", "approve ", "deny", "APPROVE"};
	char cookie[COOKIE_LEN + 1];
	struct a_authorize r;
	struct a_page done;
	struct a_form f;
	size_t i;

	fix_browser(cookie);
	fix_authorize_req(&r, client);
	r.cookie = cookie;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		CHECK(ask(&r) == PAGE_CONSENT);
		fix_form(&f, cookie, &page);
		f.decision = FIX_S(words[i]);
		memset(&done, 0, sizeof(done));
		(void)fix_run(fix_j_decide, &f, &done);
		CHECK(done.kind == PAGE_REDIRECT && done.code == NULL);
		CHECK(strcmp(done.error, "access_denied") == 0);
		CHECK(!fix_changed);
		wire_free(&def_a_page, &done);
	}
}

static struct txn *
begin(const char *addr, size_t state)
{
	struct txn what;

	memset(&what, 0, sizeof(what));
	what.client_id = strdup(client);
	what.redirect_uri = strdup(FIX_CALLBACK);
	what.state = calloc(1, state + 1);
	memset(what.state, 's', state);
	what.challenge = strdup(FIX_CHALLENGE);
	what.scope = strdup("mcp");
	what.resource = strdup(FIX_ISSUER "/mcp");
	return txn_new("cookie", addr, &what);
}

static void
begin_as(char id[TXN_ID_LEN + 1], const char *addr, const char *user)
{
	struct txn *t = begin(addr, 0);

	if (user != NULL)
		txn_signin(t, user);
	strcpy(id, t->id);
}

/* Who begins sign-ins without end keeps nobody else from his own. */
static void
bounds(void)
{
	char cookie[COOKIE_LEN + 1], addr[64];
	char one[TXN_ID_LEN + 1], mine[TXN_ID_LEN + 1], done[TXN_ID_LEN + 1];
	char near[TXN_ID_LEN + 1];
	int i;

	txn_reset();
	begin_as(one, "192.0.2.1", NULL);
	begin_as(near, "2001:db8:1:3::1", NULL);
	begin_as(done, "2001:db8:1:2::1", OWNER);
	begin_as(mine, "2001:db8:1:2::1", NULL);
	/* Of one address, or network, the oldest go, those that somebody has
	 * signed in to last. */
	for (i = 0; i < TXN_MAX + 50; i++) {
		snprintf(addr, sizeof(addr), "2001:db8:1:2:%x::1", i);
		(void)begin(addr, 0);
	}
	CHECK(txn_count() == 2 + TXN_ADDR);
	CHECK(txn_find(mine) == NULL && txn_find(done) != NULL);
	CHECK(txn_find(near) != NULL && txn_find(one) != NULL);
	/* Of many, those of the address that has most. */
	for (i = 0; i < TXN_MAX + 50; i++) {
		snprintf(addr, sizeof(addr), "10.1.%d.%d", i / TXN_ADDR / 200,
		    i / TXN_ADDR % 200);
		(void)begin(addr, 0);
	}
	CHECK(txn_count() == TXN_MAX);
	CHECK(txn_find(one) != NULL && txn_find(near) != NULL);
	/* Loopback is no address, but has to give, too. */
	begin_as(mine, "127.0.0.1", NULL);
	for (i = 0; i < TXN_ADDR + 8; i++)
		(void)begin("127.0.0.1", 0);
	CHECK(txn_find(mine) != NULL);
	for (i = 0; i < TXN_MAX + 50; i++)
		(void)begin("::1", 0);
	CHECK(txn_count() == TXN_MAX && txn_find(mine) == NULL);
	CHECK(txn_find(one) != NULL && txn_find(done) != NULL);
	fix_pass(TXN_TTL);
	txn_age();
	CHECK(txn_count() == 0);

	/* And by size. */
	begin_as(one, "192.0.2.1", NULL);
	for (i = 0; i < TXN_MAX; i++)
		(void)begin("127.0.0.1", 4000);
	CHECK(txn_count() > 1000 && txn_count() < TXN_BYTES / 4000);
	CHECK(txn_find(one) != NULL);
	/* Where each has been signed in to, the oldest. */
	txn_reset();
	begin_as(one, "192.0.2.1", OWNER);
	for (i = 0; i < TXN_MAX; i++)
		begin_as(mine, "127.0.0.1", OWNER);
	CHECK(txn_count() == TXN_MAX && txn_find(one) == NULL);
	txn_reset();
	CHECK(txn_count() == 0);

	cookie_make(cookie);
	CHECK(!cookie_ok(""));
	CHECK(!cookie_ok("short"));
	CHECK(cookie_ok(cookie));
}

static void
no_password(void)
{
	struct a_authorize r;
	struct a_page shown, next;

	memset(&shown, 0, sizeof(shown));
	memset(&next, 0, sizeof(next));
	fix_slice.conf.password[0] = '\0';
	fix_authorize_req(&r, client);
	(void)fix_run(fix_j_authorize, &r, &shown);
	CHECK(shown.kind == PAGE_SIGNIN && shown.no_password);
	CHECK(signin(shown.set_cookie, &shown, OWNER, "right", &next) ==
	      PAGE_SIGNIN);
	CHECK(next.no_password);
	CHECK(turn_begin() == 0 && req_begin() == 0);
	CHECK(user_set(OWNER, "$fake$") == 0);
	CHECK(req_end(1) == 0 && turn_commit() == 0);
	CHECK(signin(shown.set_cookie, &shown, OWNER, "right", &next) ==
	      PAGE_AGAIN);
	wire_free(&def_a_page, &shown);
	wire_free(&def_a_page, &next);
	fix_slice.conf.password[0] = '$';
}

int
main(void)
{
	fix_start();
	client = fix_client(FIX_CALLBACK, "none", NULL);
	native = fix_client("http://127.0.0.1/cb", "none", NULL);
	rdr_1();
	wrong_fields();
	no_open_redirector();
	flow();
	cons_6();
	no_password();
	methods();
	bounds();
	wire_free(&def_a_page, &page);
	free(client);
	free(native);
	fix_end();
	TEST_END();
}
