/*
 * A turn on a full disk: what would grow the store is refused, and takes back
 * what it counted; a code that comes a second time still revokes its grant.
 */
#include <sys/mount.h>

#include "authd_fixture.h"
#include "test.h"

#define REGISTER_MAX 200000

static struct a_register reg;

struct peer *
master_peer(void)
{
	return NULL;
}

static enum verdict
ask(judge_fn judge, const void *msg, uint32_t type, const struct msgdef *def)
{
	enum verdict v = turn_request(1, 1, &fix_slice, judge, msg, type, def);

	turn_flush();
	return v;
}

static enum verdict
ask_client(void)
{
	return ask(fix_j_register, &reg, A_REGISTERED, &def_a_registered);
}

static void
fill_disk(const char *path)
{
	char buf[1024];
	int fd, n;

	memset(buf, 'x', sizeof(buf));
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd != -1);
	for (n = 0; n < 30 * 1024 + 512; n++)
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			break;
	close(fd);
	for (n = 0; n < REGISTER_MAX && !store_full(); n++) {
		(void)ask_client();
		(void)store_checkpoint((uint64_t)n);
	}
	CHECK(store_full());
}

static int
count_rows(void *arg)
{
	size_t counted = client_count();

	(void)arg;
	CHECK(client_recount() == 0);
	CHECK(client_count() == counted);
	return 0;
}

static void
full_disk(void)
{
	char *client, *code, filler[128];
	struct a_token req;
	struct a_tokens t;
	uint64_t known;
	size_t clients;
	int i;

	client = fix_client(FIX_CALLBACK, "none", NULL);
	code = fix_code(client, "mcp");
	CHECK(fix_redeem(client, code, &t) == 200);
	FREE_TOKENS(&t);
	snprintf(filler, sizeof(filler), "%s/filler", fix_dir);
	fill_disk(filler);

	clients = client_count();
	for (i = 0; i < 20; i++)
		CHECK(ask_client() == J_DROP);
	CHECK(client_count() == clients);
	(void)turn_read(count_rows, NULL);

	known = revoke_newest();
	fix_token_req(&req, client);
	req.code = code;
	CHECK(ask(fix_j_token, &req, A_TOKENS, &def_a_tokens) == J_KEEP);
	CHECK(revoke_newest() == known + 1);

	CHECK(unlink(filler) == 0);
	CHECK(store_checkpoint(REGISTER_MAX * 2) == 0);
	CHECK(!store_full());
	CHECK(ask_client() == J_KEEP);
	CHECK(client_count() == clients + 1);
	free(client);
	free(code);
}

int
main(void)
{
	fix_start();
	loop_init();
	turn_init();
	reg.addr = FIX_S("127.0.0.1");
	reg.name = FIX_S("full");
	reg.auth_method = FIX_S("none");
	reg.application_type = reg.client_uri = reg.scope = FIX_S("");
	(void)strv_add(&reg.redirect_uris, FIX_CALLBACK);
	fix_close();
	if (mount("none", fix_dir, "tmpfs", 0, "size=40m,mode=0700") == -1) {
		printf("full disk: skipped, no tmpfs can be mounted here\n");
		fix_open();
	} else {
		fix_open();
		full_disk();
		store_close();
		(void)umount(fix_dir);
		fix_open();
	}
	strv_free(&reg.redirect_uris);
	fix_end();
	loop_free();
	TEST_END();
}
