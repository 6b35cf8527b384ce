/* RT-1 to RT-5 as design 3 "Refresh" and 12 have them, with the clock set. */
#include "authd_fixture.h"
#include "test.h"

struct peer *
master_peer(void)
{
	return NULL;
}

static char *client, *other;
static char rt[8][128]; /* rt[n]: token number n, once seen */
static struct a_tokens ans;
static uint8_t gid[ID_LEN];

/* Number of the refresh token in ans, remembered; 0 when refused. */
static uint32_t
got(void)
{
	struct row_grant g;
	uint32_t n = 0;

	if (ans.status != 200 || ans.refresh_token == NULL)
		return 0;
	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	if (refresh_parse(ans.refresh_token, gid, &n, &g) == 1) {
		wire_free(&def_row_grant, &g);
		if (n < 8)
			strlcpy(rt[n], ans.refresh_token, sizeof(rt[n]));
	}
	(void)req_end(0);
	turn_abort();
	return n;
}

/* Presents token n; the number that comes back, 0 when refused. */
static uint32_t
present(uint32_t n)
{
	FREE_TOKENS(&ans);
	(void)fix_refresh(client, rt[n], &ans);
	return got();
}

/* Number the access token in ans was minted with. */
static uint32_t
minted(void)
{
	struct jwt_claims *cl = calloc(1, sizeof(*cl));
	uint32_t n;

	n = fix_claims(ans.access_token, cl) == 0 ? cl->n : 0;
	free(cl);
	return n;
}

static void
family(const char *scope)
{
	char *code = fix_code(client, scope);

	memset(rt, 0, sizeof(rt));
	FREE_TOKENS(&ans);
	CHECK(fix_redeem(client, code, &ans) == 200);
	CHECK(got() == 1);
	free(code);
}

static enum verdict
j_used(struct slice *sl, const void *msg, void *a)
{
	(void)sl;
	(void)a;
	return refresh_used(msg);
}

static enum verdict
used(uint32_t n)
{
	struct a_used u;

	memcpy(u.gid, gid, ID_LEN);
	u.n = n;
	return fix_run(j_used, &u, NULL);
}

/* At most one rotation per refresh_grace. */
static void
once_per_grace(void)
{
	family("mcp");
	CHECK(present(1) == 1); /* just issued */
	CHECK(minted() == 1);
	fix_pass(59);
	CHECK(present(1) == 1);
	fix_pass(1);
	CHECK(present(1) == 2);
	CHECK(minted() == 2);
	CHECK(present(2) == 2);
	fix_pass(60);
	CHECK(present(2) == 3);
}

/* RT-2: a lost reply: n-1 gives n again. Later it gives another, so that n is
 * worth nothing to whoever else has got it; but it always gives one. */
static void
lost_reply(void)
{
	family("mcp");
	fix_pass(3600);
	CHECK(present(1) == 2);
	fix_pass(59);
	CHECK(present(1) == 2);
	fix_pass(5 * 3600);
	CHECK(present(1) == 3);
	CHECK(minted() == 3);
	CHECK(present(1) == 3);
	fix_pass(60);
	CHECK(present(1) == 4);
	fix_pass(5 * 3600);
	CHECK(present(1) == 5);
	/* What has got there is as ever. */
	fix_pass(3600);
	CHECK(present(5) == 6);
	CHECK(present(5) == 6);
	fix_pass(60);
	CHECK(present(6) == 7);
	/* 5 is a grandparent now. */
	CHECK(present(5) == 0);
	CHECK(present(7) == 0); /* the family is gone */
}

/* Two present the same token, so long one after the other that the reply to the
 * first is taken for lost: one has 2, the other 3. */
static void
two_ask(void)
{
	family("mcp");
	fix_pass(60);
	CHECK(present(1) == 2);
	fix_pass(60);
	CHECK(present(1) == 3);
}

/* A thief who presents what he has stolen and then keeps still. */
static void
patient_thief(void)
{
	/* He has 2, the owner 3, by the same 1. */
	two_ask();
	CHECK(present(2) == 0);
	CHECK(fix_changed && fix_need > 0);
	CHECK(present(3) == 0);
	/* The same when the owner has shown that he has 3. */
	two_ask();
	CHECK(used(3) == J_KEEP && fix_need == 0);
	CHECK(present(2) == 0);
	CHECK(present(3) == 0);
	/* And when he uses only the access token that came with it. */
	two_ask();
	CHECK(used(1) == J_DROP && used(4) == J_DROP);
	CHECK(used(2) == J_KEEP);
	CHECK(fix_changed && fix_need > 0);
	CHECK(present(3) == 0 && present(1) == 0);
	/* He has 3 after the owner got 2, who then comes. */
	two_ask();
	fix_pass(3600);
	CHECK(present(3) == 4);
	CHECK(present(2) == 0);
	CHECK(present(4) == 0);
	/* In their graces all of this is one client that asks twice. */
	family("mcp");
	fix_pass(60);
	CHECK(present(1) == 2);
	CHECK(present(1) == 2);
	CHECK(used(2) == J_KEEP);
	CHECK(present(1) == 2);
	CHECK(present(2) == 2);
}

/* A grant stored before there were such. */
static void
old_row(void)
{
	uint8_t *val;
	size_t len;

	family("mcp");
	fix_pass(60);
	CHECK(present(1) == 2);
	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	CHECK(store_get(T_GRANT, gid, ID_LEN, &val, &len) == 1);
	CHECK(val[0] == 2);
	val[0] = 1;
	CHECK(store_put(T_GRANT, gid, ID_LEN, val, len - 4) == 0);
	free(val);
	CHECK(req_end(1) == 0 && turn_commit() == 0);
	CHECK(present(1) == 2);
	fix_pass(60);
	CHECK(present(1) == 3);
}

/* Within the grace of the rotation n stays n, and n-1 is good for the grace
 * after n was first presented. */
static void
grace_after_presented(void)
{
	family("mcp");
	fix_pass(3600);
	CHECK(present(1) == 2);
	fix_pass(10);
	CHECK(present(2) == 2); /* seen now */
	fix_pass(59);
	CHECK(present(1) == 2);
	fix_pass(1);
	CHECK(present(1) == 0); /* RT-1 */
	CHECK(fix_changed && fix_need > 0);
	CHECK(present(2) == 0);
}

/* The same when an access token minted with n is used. */
static void
grace_after_used(void)
{
	family("mcp");
	fix_pass(3600);
	CHECK(present(1) == 2);
	CHECK(used(1) == J_DROP); /* an older number says nothing */
	CHECK(used(3) == J_DROP);
	fix_pass(7200);
	CHECK(used(2) == J_KEEP);
	CHECK(used(2) == J_DROP); /* only the first use counts */
	fix_pass(59);
	CHECK(present(1) == 2);
	fix_pass(1);
	CHECK(present(1) == 0);
	CHECK(present(2) == 0);
}

/* RT-2: a grandparent never, not even inside a grace. */
static void
grandparent(void)
{
	family("mcp");
	fix_pass(60);
	CHECK(present(1) == 2);
	fix_pass(60);
	CHECK(present(2) == 3);
	CHECK(present(1) == 0);
	CHECK(present(3) == 0);
}

/* RT-3: fifty at once get one successor. */
static void
rt_3(void)
{
	int i, same = 0;

	family("mcp");
	fix_pass(3600);
	for (i = 0; i < 50; i++)
		same += present(1) == 2;
	CHECK(same == 50);
}

static int
refused(
    const char *who, const char *scope, const char *resource, const char *error)
{
	struct a_token req;
	int ok;

	fix_token_req(&req, who);
	req.grant_type = FIX_S("refresh_token");
	req.refresh_token = rt[1];
	req.scope = FIX_S(scope);
	if (resource != NULL)
		(void)strv_add(&req.resources, resource);
	FREE_TOKENS(&ans);
	(void)fix_token(&req, &ans);
	strv_free(&req.resources);
	ok = error == NULL ? ans.status == 200
			   : ans.status == 400 &&
				 strcmp(ans.error, error) == 0 && !fix_changed;
	return ok;
}

/* RT-4: refused without changing anything. */
static void
rt_4(void)
{
	family("mcp");
	fix_pass(3600);
	CHECK(refused(other, "", NULL, "invalid_grant"));
	CHECK(refused(client, "mcp extra", NULL, "invalid_scope"));
	CHECK(refused(client, "", FIX_ISSUER "/home/mcp", "invalid_target"));
	CHECK(
	    refused(client, "", "https://evil.example/mcp", "invalid_target"));
	CHECK(refused(client, "mcp nonsense", FIX_ISSUER "/mcp/", NULL));
	CHECK(strcmp(ans.scope, "mcp") == 0);
	CHECK(got() == 2);
	family("mcp extra");
	CHECK(refused(client, "extra", NULL, NULL));
	CHECK(strcmp(ans.scope, "extra") == 0);
	CHECK(refused(client, "offline_access", NULL, NULL));
	CHECK(strcmp(ans.scope, "mcp extra") == 0);
}

/* RT-5: idle time, renewed by every use; and the absolute age if set. */
static void
rt_5(void)
{
	int i;

	family("mcp");
	fix_pass(30 * 86400);
	CHECK(present(1) == 0);
	CHECK(!fix_changed);
	family("mcp");
	fix_pass(30 * 86400 - 1);
	CHECK(present(1) == 2);
	for (i = 0; i < 3; i++) {
		fix_pass(29 * 86400);
		CHECK(present(2 + i) == (uint32_t)(3 + i));
	}
	/* n-1 renews as well. */
	fix_pass(29 * 86400);
	CHECK(present(4) == 6);
	fix_pass(29 * 86400);
	CHECK(present(6) == 7);

	fix_slice.conf.refresh_max_age = 3 * 86400;
	family("mcp");
	fix_pass(2 * 86400);
	CHECK(present(1) == 2);
	fix_pass(86400 - 1);
	CHECK(present(2) == 3);
	fix_pass(1);
	CHECK(present(3) == 0);
	fix_slice.conf.refresh_max_age = 0;
}

static void
no_grace(void)
{
	fix_slice.conf.refresh_grace = 0;
	family("mcp");
	CHECK(present(1) == 2);
	CHECK(present(1) == 3);
	CHECK(present(3) == 4);
	CHECK(present(3) == 5);
	CHECK(used(5) == J_KEEP);
	CHECK(present(3) == 0);
	CHECK(present(5) == 0);
	fix_slice.conf.refresh_grace = 60;
}

/* Tokens survive a restart, and neither pepper nor store alone makes one. */
static void
forging(void)
{
	char bad[128];
	size_t i;

	family("mcp");
	fix_close();
	fix_open();
	fix_pass(60);
	CHECK(present(1) == 2);
	for (i = 4; i < strlen(rt[2]); i += 7) {
		strcpy(bad, rt[2]);
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		FREE_TOKENS(&ans);
		CHECK(fix_refresh(client, bad, &ans) == 400);
		CHECK(!fix_changed); /* DOS-8 */
	}
	CHECK(present(2) == 2);
	FREE_TOKENS(&ans);
	CHECK(fix_refresh(client, "", &ans) == 400);
	CHECK(strcmp(ans.error, "invalid_request") == 0);
}

/* Time that goes back revives nothing (TOK-4). */
static void
clock_back(void)
{
	int day;

	family("mcp");
	for (day = 0; day < 30; day++) {
		fix_pass(86400);
		(void)clock_now();
	}
	CHECK(present(1) == 0);
	fix_wall -= 10 * 86400;
	CHECK(present(1) == 0);
	fix_wall += 10 * 86400;
}

/* What was made while the clock was a year ahead outlives its correction by no
 * more than all else. */
static void
clock_ahead(void)
{
	const int64_t year = 365 * 86400;
	char *code, *kept;

	(void)clock_corrected();
	fix_wall += year;
	family("mcp");
	kept = fix_code(client, "mcp");
	fix_pass(3600);
	CHECK(present(1) == 2);
	CHECK(!clock_corrected());
	fix_wall -= year;
	CHECK(clock_corrected());
	/* What was written for that is not in the store. */
	clock_unsaved();
	CHECK(clock_corrected());
	CHECK(!clock_corrected());
	clock_unsaved();
	CHECK(!clock_corrected());
	FREE_TOKENS(&ans);
	CHECK(fix_redeem(client, kept, &ans) == 400);
	free(kept);
	/* It rotates when it always does, from now on. */
	CHECK(present(2) == 2);
	fix_pass(60);
	CHECK(present(2) == 3);
	fix_pass(30 * 86400);
	CHECK(present(3) == 0);

	/* Not used at all: as when authd looks for such. */
	fix_wall += year;
	family("mcp");
	(void)clock_now();
	fix_wall -= year;
	CHECK(clock_corrected());
	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	CHECK(grants_settle() == 0);
	CHECK(req_end(1) == 0 && turn_changed() && turn_commit() == 0);
	fix_pass(30 * 86400 - 1);
	CHECK(present(1) == 2);
	fix_wall += year;
	family("mcp");
	code = fix_code(client, "mcp");
	CHECK(code != NULL);
	free(code);
	fix_wall -= year;
	CHECK(clock_corrected());
	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	CHECK(grants_settle() == 0);
	CHECK(req_end(1) == 0 && turn_commit() == 0);
	fix_pass(30 * 86400);
	CHECK(present(1) == 0);
}

static void
client_gone(void)
{
	family("mcp");
	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	revoke_req_begin();
	CHECK(client_delete(client) == 1);
	CHECK(req_end(1) == 0);
	CHECK(revoke_req_end(1) > 0);
	CHECK(turn_commit() == 0);
	revoke_commit();
	FREE_TOKENS(&ans);
	CHECK(fix_refresh(client, rt[1], &ans) == 401);
}

/* What has expired goes, all of it. */
static void
forgotten(void)
{
	int i, n = 0;

	fix_pass(365 * 86400);
	fix_mono += 365 * 86400;
	/* The jump is believed only when it has lasted. */
	for (i = 0; i < 3; i++) {
		(void)clock_settled();
		fix_pass(86000);
	}
	for (i = 0; i < 20; i++) {
		if (turn_begin() != 0 || req_begin() != 0)
			exit(1);
		n += expire_run(&fix_slice, 500) > 0;
		CHECK(req_end(1) == 0 && turn_commit() == 0);
	}
	CHECK(n > 0);
	if (turn_begin() != 0 || req_begin() != 0)
		exit(1);
	CHECK(grant_count() == 0);
	CHECK(client_recount() == 0);
	CHECK(client_count() == 0);
	(void)req_end(0);
	turn_abort();
}

int
main(void)
{
	fix_start();
	client = fix_client(FIX_CALLBACK, "none", NULL);
	other = fix_client(FIX_CALLBACK, "none", NULL);
	once_per_grace();
	lost_reply();
	patient_thief();
	old_row();
	grace_after_presented();
	grace_after_used();
	grandparent();
	rt_3();
	rt_4();
	rt_5();
	no_grace();
	forging();
	clock_back();
	clock_ahead();
	client_gone();
	forgotten();
	FREE_TOKENS(&ans);
	free(client);
	free(other);
	fix_end();
	TEST_END();
}
