/* The store: turns, refused requests, 50 kill -9, a full disk, its guards. */
#include <sys/mount.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "authd_fixture.h"
#include "test.h"

#define KILLS 50

struct peer *
master_peer(void)
{
	return NULL;
}

static int
put(uint64_t n, const char *val)
{
	uint8_t key[8];

	put_be64(key, n);
	return store_put(T_META, key, sizeof(key), val, strlen(val));
}

static int
has(uint64_t n)
{
	uint8_t key[8];
	int r;

	put_be64(key, n);
	if (turn_begin() != 0 || req_begin() != 0)
		return -1;
	r = store_get(T_META, key, sizeof(key), NULL, NULL);
	(void)req_end(0);
	turn_abort();
	return r;
}

static int
count_cb(void *arg, const uint8_t *key, size_t keylen, const uint8_t *val,
    size_t vallen)
{
	(void)key;
	(void)keylen;
	(void)val;
	(void)vallen;
	++*(int *)arg;
	return 0;
}

static void
turns(void)
{
	int n = 0;

	CHECK(turn_begin() == 0);
	CHECK(req_begin() == 0);
	CHECK(put(1, "one") == 0);
	CHECK(req_end(1) == 0);
	CHECK(turn_changed());
	CHECK(req_begin() == 0);
	CHECK(put(2, "two") == 0);
	/* Reads in the same transaction see what an earlier one wrote. */
	CHECK(store_get(T_META, "\0\0\0\0\0\0\0\1", 8, NULL, NULL) == 1);
	CHECK(req_end(0) == 0);
	CHECK(turn_commit() == 0);
	CHECK(has(1) == 1);
	CHECK(has(2) == 0);

	CHECK(turn_begin() == 0 && req_begin() == 0);
	CHECK(put(3, "three") == 0);
	CHECK(req_end(1) == 0);
	turn_abort();
	CHECK(has(3) == 0);
	CHECK(!turn_is_open());

	/* A request that failed is undone even if it is kept. */
	CHECK(turn_begin() == 0 && req_begin() == 0);
	CHECK(put(4, "four") == 0);
	req_setfailed(EINVAL);
	CHECK(req_end(1) == EINVAL);
	CHECK(!turn_changed());
	CHECK(turn_commit() == 0);
	CHECK(has(4) == 0);

	CHECK(turn_begin() == 0 && req_begin() == 0);
	CHECK(put(10, "a") == 0 && put(11, "b") == 0 && put(12, "c") == 0);
	CHECK(
	    store_iterate(T_META, "\0\0\0\0\0\0\0\x0b", 8, count_cb, &n) == 0);
	CHECK(n == 2);
	CHECK(store_del(T_META, "nothing", 7) == 0);
	CHECK(req_end(1) == 0 && turn_commit() == 0);
	CHECK(store_checkpoint(1000) == 0);
}

static void
guards(void)
{
	char path[128];
	int status, fd;
	pid_t pid;

	/* Another process finds it locked. */
	if ((pid = fork()) == 0)
		_exit(store_open(fix_dir, fix_dir) == -1 ? 0 : 1);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	store_close();
	snprintf(path, sizeof(path), "%s/db/DB_CONFIG", fix_dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	CHECK(store_open(fix_dir, fix_dir) == -1);
	CHECK(unlink(path) == 0);
	CHECK(store_open(fix_dir, fix_dir) == 0);
	CHECK(has(1) == 1);
	CHECK(store_open("relative", "relative") == -1);
	/* A row of another version is no row. */
	CHECK(turn_begin() == 0 && req_begin() == 0);
	CHECK(store_put(T_USER, "x", 1, "\x7fzzz", 4) == 0);
	{
		struct row_user u;

		CHECK(row_get(T_USER, "x", 1, &def_row_user, &u) == -1);
		CHECK(req_failed() != 0);
	}
	(void)req_end(0);
	turn_abort();
	store_close();
}

/* ---- kill -9 ---- */

static void
writer(uint64_t from, int fd)
{
	uint64_t msg[2], n;

	if (store_open(fix_dir, fix_dir) == -1)
		_exit(1);
	for (n = from;; n++) {
		msg[0] = n;
		msg[1] = 0;
		if (write(fd, msg, sizeof(msg)) != sizeof(msg))
			_exit(1);
		if (turn_begin() != 0 || req_begin() != 0 ||
		    put(n, "some value of some length, as rows have") != 0 ||
		    req_end(1) != 0 || turn_commit() != 0)
			_exit(1);
		msg[1] = 1;
		if (write(fd, msg, sizeof(msg)) != sizeof(msg))
			_exit(1);
	}
}

static int
drain(int fd, uint64_t *begun, uint64_t *acked)
{
	uint64_t msg[2];
	int n = 0;

	while (read(fd, msg, sizeof(msg)) == sizeof(msg)) {
		if (msg[1])
			*acked = msg[0];
		else
			*begun = msg[0];
		n++;
	}
	return n;
}

static void
kills(void)
{
	uint64_t begun = 1000, acked = 1000, n, first = 1001, lost = 0;
	int fds[2], status, round, between = 0, grew = 0;
	uint64_t before;
	pid_t pid;

	for (round = 0; round < KILLS; round++) {
		before = acked;
		if (pipe(fds) == -1)
			exit(1);
		if ((pid = fork()) == 0) {
			close(fds[0]);
			writer(begun + 1, fds[1]);
		}
		close(fds[1]);
		/* From its first commit on, at another moment each time. */
		while (acked == before) {
			uint64_t msg[2];

			if (read(fds[0], msg, sizeof(msg)) != sizeof(msg))
				break;
			if (msg[1])
				acked = msg[0];
			else
				begun = msg[0];
		}
		usleep(500 + round * 137);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		(void)drain(fds[0], &begun, &acked);
		close(fds[0]);
		between += begun > acked;
		grew += acked > before;
		if (store_open(fix_dir, fix_dir) == -1) {
			CHECK(!"recovery");
			return;
		}
		for (n = first; n <= acked; n++)
			lost += has(n) != 1;
		/* Begun and never acknowledged numbers are not reused. */
		first = begun + 1;
		store_close();
	}
	printf("kill -9: %d, %d between request and reply, %llu commits, "
	       "%llu lost\n",
	    KILLS, between, (unsigned long long)(acked - 1000),
	    (unsigned long long)lost);
	CHECK(lost == 0);
	CHECK(grew == KILLS);
	CHECK(between >= KILLS / 2);
}

/* ---- a full disk ---- */

static int
put_one(uint64_t n, const char *val)
{
	if (turn_begin() != 0 || req_begin() != 0)
		return -1;
	(void)put(n, val);
	(void)req_end(1);
	return turn_commit();
}

static void
full_disk(void)
{
	char dir[] = "/tmp/authd-full."
		     "XX"
		     "XX"
		     "XX",
	     filler[64], buf[4096];
	uint64_t n, acked, lost = 0;
	int e = 0, fd, i;

	if (mkdtemp(dir) == NULL)
		return;
	if (mount("none", dir, "tmpfs", 0, "size=40m") == -1) {
		printf("full disk: skipped, no tmpfs can be mounted here\n");
		(void)rmdir(dir);
		return;
	}
	memset(buf, 'x', sizeof(buf));
	buf[1000] = '\0';
	snprintf(filler, sizeof(filler), "%s/filler", dir);
	CHECK(store_open(dir, dir) == 0);
	fd = open(filler, O_CREAT | O_WRONLY, 0600);
	for (n = 0; n < 30 * 1024 + 512; n++)
		if (write(fd, buf, 1024) != 1024)
			break;
	close(fd);
	for (n = 1; n < 100000; n++) {
		if ((e = put_one(n, buf)) != 0)
			break;
		(void)store_checkpoint(n);
	}
	acked = n - 1;
	CHECK(e == ENOSPC);
	CHECK(acked > 100);
	CHECK(store_full());
	/* Revocations still go. */
	for (i = 0; i < 500; i++)
		CHECK(put_one(1000000 + i, "revoked") == 0);
	CHECK(store_checkpoint(1000000) == 0);
	CHECK(store_full());
	CHECK(unlink(filler) == 0);
	CHECK(store_checkpoint(2000000) == 0);
	CHECK(!store_full());
	CHECK(put_one(999999, "again") == 0);
	store_close();
	CHECK(store_open(dir, dir) == 0);
	for (n = 1; n <= acked; n++)
		lost += has(n) != 1;
	for (i = 0; i < 500; i++)
		lost += has(1000000 + i) != 1;
	CHECK(lost == 0);
	CHECK(has(999999) == 1);
	store_close();
	printf("full disk: %llu acknowledged, %llu lost\n",
	    (unsigned long long)acked + 501, (unsigned long long)lost);
	(void)umount(dir);
	(void)rmdir(dir);
}

int
main(void)
{
	fix_start();
	turns();
	guards();
	kills();
	full_disk();
	keys_free();
	(void)nftw(fix_dir, fix_unlink, 16, FTW_DEPTH | FTW_PHYS);
	wire_free(&def_conf_auth, &fix_slice.conf);
	strv_free(&fix_slice.paths);
	free(fix_slice.hash);
	TEST_END();
}
