/*
 * The store on Berkeley DB: one transactional environment of this process
 * alone, one btree with page checksums per table. The only file that knows.
 */
#include <sys/types.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "store.h"

#define CACHE_SIZE         (16 * 1024 * 1024)
#define LOG_SIZE           (8 * 1024 * 1024)
#define LOG_BUFFER         (256 * 1024)
#define RESERVE_SIZE       (4 * 1024 * 1024)
#define CHECKPOINT_CHANGES 500
#define CHECKPOINT_SECONDS 5

static const char *const table_names[T_COUNT] = {
    [T_META] = "meta.db",
    [T_CLIENT] = "client.db",
    [T_USER] = "user.db",
    [T_CONSENT] = "consent.db",
    [T_CODE] = "code.db",
    [T_GRANT] = "grant.db",
    [T_REVOKED] = "revoked.db",
    [T_SEALKEY] = "sealkey.db",
    [T_EXPIRY] = "expiry.db",
    [T_INDEX] = "index.db",
};

static DB_ENV *env;
static DB *tables[T_COUNT];
static DB_TXN *turn, *req;
static int turn_error, req_error, lock_fd = -1;
static unsigned int turn_changes, req_changes, changes;
static uint64_t checkpointed;
static char reserve_path[PATH_MAX];
static int full; /* the reserve is in use */

static int open_tables(void);
static int open_env(const char *);
static int take_lock(const char *, const char *);
static void explain(const char *, int);
static int has_space(size_t);
static void reserve_make(void);
static void reserve_release(void);

static void
db_said(const DB_ENV *e, const char *prefix, const char *msg)
{
	(void)e;
	(void)prefix;
	log_warnx("store: %s", msg);
}

static void
explain(const char *shown, int error)
{
	/* Recovery that can not write does not say why. */
	if (error == DB_RUNRECOVERY && !has_space(RESERVE_SIZE))
		error = ENOSPC;
	switch (error) {
	case ENOSPC:
		log_warnx("store %s: the disk is full; free some space", shown);
		break;
	case EACCES:
	case EPERM:
		log_warnx("store %s: not readable and writable by this user; "
			  "correct owner and mode of it and what is in it",
		    shown);
		break;
	case DB_RUNRECOVERY:
	case DB_VERIFY_BAD:
		log_warnx("store %s: damaged (%s); move the folder away and "
			  "put a backup in its place: without one, clients "
			  "and people have to sign in again",
		    shown, db_strerror(error));
		break;
	default:
		log_warnx("store %s: %s", shown, db_strerror(error));
	}
}

/* ---- a full disk ---- */

static int
has_space(size_t size)
{
	struct statvfs vfs;

	return lock_fd == -1 || fstatvfs(lock_fd, &vfs) == -1 ||
	       (uint64_t)vfs.f_bavail * vfs.f_frsize >= size;
}

static void
reserve_make(void)
{
	int fd;

	fd =
	    open(reserve_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return;
	/* Where it is not supported there is none. */
	if (fallocate(fd, 0, 0, RESERVE_SIZE) == -1)
		(void)unlink(reserve_path);
	close(fd);
}

static void
reserve_release(void)
{
	full = 1;
	if (unlink(reserve_path) == -1)
		return;
	/* Removes logs that are not needed any more, too. */
	if (env->txn_checkpoint(env, 0, 0, DB_FORCE) == 0)
		changes = 0;
}

int
store_full(void)
{
	return full;
}

/* ---- opening ---- */

/* Berkeley DB can not tell that another process has a private environment
 * open, and recovery under it would destroy the store. */
static int
take_lock(const char *dir, const char *shown)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return -1;
	lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock_fd == -1) {
		log_warn("state %s/lock", shown);
		return -1;
	}
	if (fcntl(lock_fd, F_SETLK, &fl) == -1) {
		log_warnx("state %s: in use by another mcpgwd; stop it, or "
			  "give this one its own state folder",
		    shown);
		close(lock_fd);
		lock_fd = -1;
		return -1;
	}
	return 0;
}

static int
open_env(const char *home)
{
	u_int32_t flags = DB_CREATE | DB_INIT_TXN | DB_INIT_LOG |
			  DB_INIT_MPOOL | DB_INIT_LOCK | DB_RECOVER |
			  DB_PRIVATE;
	int e;

	if ((e = db_env_create(&env, 0)) != 0)
		return e;
	env->set_errcall(env, db_said);
	if ((e = env->set_cachesize(env, 0, CACHE_SIZE, 1)) != 0 ||
	    (e = env->set_lg_max(env, LOG_SIZE)) != 0 ||
	    (e = env->set_lg_bsize(env, LOG_BUFFER)) != 0 ||
	    (e = env->set_lk_max_locks(env, 20000)) != 0 ||
	    (e = env->set_lk_max_objects(env, 20000)) != 0 ||
	    (e = env->set_lk_detect(env, DB_LOCK_DEFAULT)) != 0 ||
	    (e = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1)) != 0)
		return e;
	return env->open(env, home, flags, 0600);
}

static int
open_tables(void)
{
	int e, i;

	for (i = 0; i < T_COUNT; i++) {
		if ((e = db_create(&tables[i], env, 0)) != 0)
			return e;
		if ((e = tables[i]->set_flags(tables[i], DB_CHKSUM)) != 0)
			return e;
		e = tables[i]->open(tables[i], NULL, table_names[i], NULL,
		    DB_BTREE, DB_CREATE | DB_AUTO_COMMIT, 0600);
		if (e != 0)
			return e;
	}
	return 0;
}

int
store_open(const char *dir, const char *shown)
{
	char home[PATH_MAX], path[PATH_MAX];
	struct stat st;
	int e;

	if (dir[0] != '/' ||
	    snprintf(home, sizeof(home), "%s/db", dir) >= (int)sizeof(home) ||
	    snprintf(path, sizeof(path), "%s/db/DB_CONFIG", dir) >=
		(int)sizeof(path) ||
	    snprintf(reserve_path, sizeof(reserve_path), "%s/db/reserve",
		dir) >= (int)sizeof(reserve_path)) {
		log_warnx(
		    "store %s: must be an absolute path, not too long", dir);
		return -1;
	}
	if (mkdir(home, 0700) == -1 && errno != EEXIST) {
		log_warn("state %s/db", shown);
		return -1;
	}
	/* Berkeley DB would obey it: other folders, no syncing. */
	if (lstat(path, &st) == 0) {
		log_warnx("state %s/db/DB_CONFIG: is not allowed here; remove "
			  "it",
		    shown);
		return -1;
	}
	if (take_lock(dir, shown) == -1)
		return -1;
	if ((e = open_env(home)) != 0 || (e = open_tables()) != 0) {
		explain(shown, e);
		store_close();
		return -1;
	}
	changes = CHECKPOINT_CHANGES;
	full = 0;
	reserve_make();
	return 0;
}

void
store_close(void)
{
	int i;

	turn_abort();
	if (env != NULL && changes > 0)
		(void)env->txn_checkpoint(env, 0, 0, 0);
	for (i = 0; i < T_COUNT; i++) {
		if (tables[i] != NULL)
			(void)tables[i]->close(tables[i], 0);
		tables[i] = NULL;
	}
	if (env != NULL)
		(void)env->close(env, 0);
	env = NULL;
	if (lock_fd != -1)
		close(lock_fd);
	lock_fd = -1;
	changes = 0;
}

/* ---- transactions ---- */

int
turn_begin(void)
{
	turn_error = 0;
	turn_changes = 0;
	return env->txn_begin(env, NULL, &turn, 0);
}

int
turn_is_open(void)
{
	return turn != NULL;
}

int
turn_changed(void)
{
	return turn_changes > 0;
}

int
turn_commit(void)
{
	DB_TXN *t = turn;
	int e;

	if (req != NULL)
		(void)req_end(0);
	turn = NULL;
	if ((e = turn_error) != 0)
		(void)t->abort(t);
	else if (turn_changes == 0)
		return t->abort(t);
	else if ((e = t->commit(t, 0)) == 0)
		changes += turn_changes;
	if (e == ENOSPC)
		reserve_release();
	return e;
}

void
turn_abort(void)
{
	DB_TXN *t;

	if (req != NULL)
		(void)req_end(0);
	if ((t = turn) != NULL) {
		turn = NULL;
		(void)t->abort(t);
	}
}

int
req_begin(void)
{
	req_error = 0;
	req_changes = 0;
	return env->txn_begin(env, turn, &req, 0);
}

int
req_end(int keep)
{
	DB_TXN *t = req;
	int e;

	req = NULL;
	if (!keep || req_error != 0) {
		if ((e = t->abort(t)) != 0)
			turn_error = e;
		return req_error;
	}
	if ((e = t->commit(t, 0)) != 0) {
		turn_error = e;
		return e;
	}
	turn_changes += req_changes;
	return 0;
}

int
req_failed(void)
{
	return req_error;
}

void
req_setfailed(int error)
{
	if (req_error == 0)
		req_error = error;
}

/* What Berkeley DB itself could not do ends the whole turn: a later request
 * of it would only meet the same. */
static int
failed(int error)
{
	req_setfailed(error);
	if (turn_error == 0)
		turn_error = error;
	return -1;
}

/* ---- rows ---- */

static void
set_dbt(DBT *d, const void *p, size_t len)
{
	union {
		const void *in;
		void *out;
	} u = {.in = p};

	memset(d, 0, sizeof(*d));
	d->data = u.out;
	d->size = len;
}

int
store_get(
    enum table t, const void *key, size_t keylen, uint8_t **val, size_t *vallen)
{
	DBT k, v;
	int e;

	set_dbt(&k, key, keylen);
	memset(&v, 0, sizeof(v));
	v.flags = DB_DBT_MALLOC;
	if (val != NULL) {
		*val = NULL;
		*vallen = 0;
	}
	e = tables[t]->get(tables[t], req, &k, &v, 0);
	if (e == DB_NOTFOUND)
		return 0;
	if (e != 0)
		return failed(e);
	if (val == NULL) {
		freezero(v.data, v.size);
	} else {
		*val = v.data;
		*vallen = v.size;
	}
	return 1;
}

int
store_put(enum table t, const void *key, size_t keylen, const void *val,
    size_t vallen)
{
	DBT k, v;
	int e;

	set_dbt(&k, key, keylen);
	set_dbt(&v, val, vallen);
	if ((e = tables[t]->put(tables[t], req, &k, &v, 0)) != 0)
		return failed(e);
	req_changes++;
	return 0;
}

int
store_del(enum table t, const void *key, size_t keylen)
{
	DBT k;
	int e;

	set_dbt(&k, key, keylen);
	if ((e = tables[t]->del(tables[t], req, &k, 0)) == DB_NOTFOUND)
		return 0;
	if (e != 0)
		return failed(e);
	req_changes++;
	return 0;
}

int
store_iterate(
    enum table t, const void *from, size_t fromlen, store_cb cb, void *arg)
{
	DBT k, v;
	DBC *c;
	int e;

	if ((e = tables[t]->cursor(tables[t], req, &c, 0)) != 0)
		return failed(e);
	set_dbt(&k, from, fromlen);
	memset(&v, 0, sizeof(v));
	e = c->get(c, &k, &v, DB_SET_RANGE);
	while (e == 0) {
		if (cb(arg, k.data, k.size, v.data, v.size) != 0)
			break;
		e = c->get(c, &k, &v, DB_NEXT);
	}
	if (e == DB_NOTFOUND)
		e = 0;
	if (c->close(c) != 0 && e == 0)
		e = EIO;
	return e != 0 ? failed(e) : 0;
}

int
store_checkpoint(uint64_t mono_now)
{
	int e;

	if (full && has_space(3 * (size_t)RESERVE_SIZE)) {
		log_info("store: there is space on the disk again");
		reserve_make();
		full = 0;
	}
	if (changes == 0 || (changes < CHECKPOINT_CHANGES &&
				mono_now - checkpointed < CHECKPOINT_SECONDS))
		return 0;
	checkpointed = mono_now;
	if ((e = env->txn_checkpoint(env, 0, 0, 0)) == 0)
		changes = 0;
	return e;
}
