#ifndef AUTHD_FIXTURE_H
#define AUTHD_FIXTURE_H

/*
 * A store in a folder of its own, a clock that is set by hand, and a way to
 * put one request through a turn.
 */
#include <sys/stat.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../authd/authd.h"
#include "b64.h"
#include "compat.h"
#include "digest.h"
#include "jwt.h"
#include "log.h"

#define FIX_ISSUER    "https://mcp.example.net"
#define FIX_VERIFIER  "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define FIX_CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
#define FIX_CALLBACK  "https://c.example/cb"
#define FIX_ADDR      "192.0.2.1"

static int64_t fix_wall = 1800000000;
static uint64_t fix_mono = 100000;
static char fix_dir[64];
static struct slice fix_slice;
static int fix_changed; /* did the last request write? */
static uint64_t fix_need;

static inline int64_t
fix_wall_now(void)
{
	return fix_wall;
}

static inline uint64_t
fix_mono_now(void)
{
	return fix_mono;
}

static inline void
fix_pass(unsigned int seconds)
{
	fix_wall += seconds;
	fix_mono += seconds;
}

static inline int
fix_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
fix_config(void)
{
	struct conf_auth *c = &fix_slice.conf;
	struct kv *kv = calloc(2, sizeof(*kv));

	memset(&fix_slice, 0, sizeof(fix_slice));
	fix_slice.gen = 1;
	fix_slice.whole = 1;
	c->issuer = strdup(FIX_ISSUER);
	c->access_token_ttl = 3600;
	c->refresh_token_ttl = 30 * 86400;
	c->refresh_grace = 60;
	c->client_ttl = 90 * 86400;
	c->session_ttl = 30 * 86400;
	c->registration = 1;
	c->password = strdup("$");
	fix_slice.hash = strdup("$fake$");
	kv[0].name = strdup("mcp");
	kv[0].value = strdup("use the tools");
	kv[1].name = strdup("extra");
	kv[1].value = strdup("more");
	c->scopes.p = kv;
	c->scopes.n = 2;
	c->fail_count = 10;
	c->fail_window = 60;
	c->register_count = 60;
	c->register_window = 3600;
	(void)strv_add(&c->private_use_schemes, "cursor");
	(void)strv_add(&fix_slice.paths, "/mcp");
	(void)strv_add(&fix_slice.paths, "/home/mcp");
}

static inline void
fix_open(void)
{
	if (store_open(fix_dir, fix_dir) == -1 || secret_init(fix_dir) == -1 ||
	    keys_init(fix_dir) == -1)
		exit(1);
	if (turn_begin() != 0 || req_begin() != 0 || clock_load() == -1 ||
	    client_recount() == -1 || revoke_load() == -1 || req_end(1) != 0 ||
	    turn_commit() != 0)
		exit(1);
}

static inline void
fix_close(void)
{
	store_close();
	keys_free();
}

static inline void
fix_start(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_init("test", 1);
	log_setlevel(getenv("V") ? LOG_L_DEBUG : LOG_L_ERROR);
	strcpy(fix_dir, "/tmp/authd-test."
			"XX"
			"XX"
			"XX");
	if (mkdtemp(fix_dir) == NULL)
		exit(1);
	clock_source(fix_wall_now, fix_mono_now);
	fix_open();
	txn_reset();
	penalty_reset();
	fix_config();
}

static inline void
fix_end(void)
{
	fix_close();
	penalty_reset();
	txn_reset();
	wire_free(&def_conf_auth, &fix_slice.conf);
	strv_free(&fix_slice.paths);
	free(fix_slice.hash);
	(void)nftw(fix_dir, fix_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline enum verdict
fix_run(judge_fn judge, const void *msg, void *ans)
{
	enum verdict v;

	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	revoke_req_begin();
	v = judge(&fix_slice, msg, ans);
	if (req_failed())
		printf("store error %d\n", req_failed());
	(void)req_end(v == J_KEEP);
	fix_need = revoke_req_end(v == J_KEEP);
	fix_changed = turn_changed();
	if (turn_commit() != 0)
		exit(1);
	revoke_commit();
	return v;
}

#define FIX_JUDGE(name, fn, req, ans)                                  \
	static inline enum verdict name(                               \
	    struct slice *sl, const void *m, void *a)                  \
	{                                                              \
		return fn(sl, (const struct req *)m, (struct ans *)a); \
	}                                                              \
	struct ans

FIX_JUDGE(fix_j_register, client_register, a_register, a_registered);
FIX_JUDGE(fix_j_authorize, authorize_start, a_authorize, a_page);
FIX_JUDGE(fix_j_resume, authorize_resume, a_form, a_page);
FIX_JUDGE(fix_j_decide, authorize_decide, a_form, a_page);
FIX_JUDGE(fix_j_token, token_judge, a_token, a_tokens);
FIX_JUDGE(fix_j_revoke, token_revoke, a_revoke, a_done);

#define FIX_S(s) ((char *)(uintptr_t)(s))

/* A client with that redirect URI; its id, and secret if it has one. */
static inline char *
fix_client(const char *uri, const char *method, char **secret)
{
	struct a_registered ans;
	struct a_register req;
	char *id;

	memset(&req, 0, sizeof(req));
	memset(&ans, 0, sizeof(ans));
	req.addr = FIX_S("127.0.0.1");
	req.name = FIX_S("Test");
	(void)strv_add(&req.redirect_uris, uri);
	req.auth_method = FIX_S(method);
	req.application_type = req.client_uri = FIX_S("");
	req.scope = FIX_S("mcp extra");
	(void)fix_run(fix_j_register, &req, &ans);
	strv_free(&req.redirect_uris);
	id = ans.client_id != NULL ? strdup(ans.client_id) : NULL;
	if (secret != NULL)
		*secret = ans.client_secret != NULL ? strdup(ans.client_secret)
						    : NULL;
	wire_free(&def_a_registered, &ans);
	return id;
}

static inline void
fix_authorize_req(struct a_authorize *req, const char *client)
{
	memset(req, 0, sizeof(*req));
	req->addr = FIX_S(FIX_ADDR);
	req->cookie = FIX_S("");
	req->response_type = FIX_S("code");
	req->client_id = FIX_S(client);
	req->redirect_uri = FIX_S(FIX_CALLBACK);
	req->scope = FIX_S("mcp");
	req->state = FIX_S("st4te");
	req->challenge = FIX_S(FIX_CHALLENGE);
	req->challenge_method = FIX_S("S256");
	req->prompt = req->response_mode = FIX_S("");
}

static inline void
fix_form(struct a_form *f, const char *cookie, const struct a_page *page)
{
	memset(f, 0, sizeof(*f));
	f->addr = FIX_S(FIX_ADDR);
	f->cookie = FIX_S(cookie);
	f->txn = FIX_S(page->txn);
	f->csrf = FIX_S(page->csrf != NULL ? page->csrf : "");
	f->user = f->password = f->decision = FIX_S("");
}

/* A signed-in browser's cookie. */
static inline void
fix_browser(char cookie[COOKIE_LEN + 1])
{
	char old[COOKIE_LEN + 1];

	cookie_make(old);
	cookie_make(cookie);
	browser_signin(old, cookie, OWNER);
}

/* A code for that client, approved by the owner. */
static inline char *
fix_code(const char *client, const char *scope)
{
	char cookie[COOKIE_LEN + 1], *code;
	struct a_authorize req;
	struct a_page page, done;
	struct a_form form;

	fix_browser(cookie);
	fix_authorize_req(&req, client);
	req.cookie = cookie;
	req.scope = FIX_S(scope);
	memset(&page, 0, sizeof(page));
	memset(&done, 0, sizeof(done));
	(void)fix_run(fix_j_authorize, &req, &page);
	if (page.kind != PAGE_CONSENT) {
		wire_free(&def_a_page, &page);
		return NULL;
	}
	fix_form(&form, cookie, &page);
	form.decision = FIX_S("approve");
	(void)fix_run(fix_j_decide, &form, &done);
	code = done.code != NULL ? strdup(done.code) : NULL;
	wire_free(&def_a_page, &page);
	wire_free(&def_a_page, &done);
	return code;
}

static inline void
fix_token_req(struct a_token *t, const char *client)
{
	memset(t, 0, sizeof(*t));
	t->addr = FIX_S("127.0.0.1");
	t->client_id = t->client_id2 = FIX_S(client);
	t->grant_type = FIX_S("authorization_code");
	t->secret = t->secret2 = t->code = t->redirect_uri = t->verifier =
	    t->refresh_token = t->scope = FIX_S("");
	t->redirect_uri = FIX_S(FIX_CALLBACK);
	t->verifier = FIX_S(FIX_VERIFIER);
}

static inline int
fix_token(const struct a_token *req, struct a_tokens *ans)
{
	memset(ans, 0, sizeof(*ans));
	(void)fix_run(fix_j_token, req, ans);
	return ans->status;
}

static inline int
fix_redeem(const char *client, const char *code, struct a_tokens *ans)
{
	struct a_token req;

	fix_token_req(&req, client);
	req.code = FIX_S(code);
	return fix_token(&req, ans);
}

static inline int
fix_refresh(const char *client, const char *token, struct a_tokens *ans)
{
	struct a_token req;

	fix_token_req(&req, client);
	req.grant_type = FIX_S("refresh_token");
	req.refresh_token = FIX_S(token);
	return fix_token(&req, ans);
}

/* Claims of an access token; -1 if it is not one of ours. */
static inline int
fix_claims(const char *token, struct jwt_claims *cl)
{
	memset(cl, 0, sizeof(*cl));
	return keys_verify(token, cl);
}

#define FREE_TOKENS(t) wire_free(&def_a_tokens, (t))

#endif
