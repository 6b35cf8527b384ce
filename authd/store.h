#ifndef STORE_H
#define STORE_H

/*
 * The store: tables of byte strings, ordered by key, in transactions. One
 * loop turn is one parent transaction, each request a child of it, and nothing
 * counts before turn_commit has returned 0: then it is on the disk. There is
 * one turn and one request at a time.
 *
 * Every function may fail because of the disk. The first failure is kept until
 * the turn ends, so a caller may go on and look once, at req_failed.
 */
#include <stddef.h>
#include <stdint.h>

enum table {
	T_META, /* name -> clock mark, numbers */
	T_CLIENT, /* client id -> struct row_client */
	T_USER, /* name -> struct row_user */
	T_CONSENT, /* client id, 0, digest -> struct row_consent */
	T_CODE, /* digest of the code -> struct row_code */
	T_GRANT, /* grant id -> struct row_grant */
	T_REVOKED, /* number -> struct row_revoked */
	T_SEALKEY, /* key id -> struct row_sealkey */
	T_EXPIRY, /* time, kind, key -> nothing */
	T_INDEX, /* letter, key -> nothing or a key */
	T_COUNT
};

/* Recovers and opens the store in dir/db, made when missing; shown is what the
 * operator knows dir as (it is "/" in a chroot). -1 after a line
 * that says what is wrong and what to do. */
int store_open(const char *dir, const char *shown);
/* Ends an open turn without effect, makes a checkpoint, closes. */
void store_close(void);

/* The disk was full at a commit. Some space was kept back for what must go on:
 * revocations; nothing else should be written until this is 0 again. */
int store_full(void);

/* 0, or an errno value. */
int turn_begin(void);
/* Makes everything kept since turn_begin durable. 0; ENOSPC: nothing of this
 * turn has happened and the store goes on; any other value: the store must be
 * opened anew. */
int turn_commit(void);
void turn_abort(void);
int turn_is_open(void);
/* Has a request of this turn changed anything? */
int turn_changed(void);

int req_begin(void);
/* keep 0 undoes what the request did. 0, or an errno value (undone). */
int req_end(int keep);
/* Has anything failed since req_begin? The errno value, or 0. */
int req_failed(void);
/* For whoever finds a row that can not be. */
void req_setfailed(int error);

/* 1 and *val malloc'd (free it; NULL val only asks whether it is there), 0
 * when there is no such key, -1 on failure. */
int store_get(
    enum table, const void *key, size_t keylen, uint8_t **val, size_t *vallen);
/* 0 or -1. */
int store_put(
    enum table, const void *key, size_t keylen, const void *val, size_t vallen);
/* 0 also when there was none. */
int store_del(enum table, const void *key, size_t keylen);

/* Calls cb for each row whose key is >= from, in order, until it returns
 * nonzero. cb may not change the table. -1 on failure. */
typedef int (*store_cb)(void *arg, const uint8_t *key, size_t keylen,
    const uint8_t *val, size_t vallen);
int store_iterate(
    enum table, const void *from, size_t fromlen, store_cb cb, void *arg);

/* Checkpoint when 500 changes were made or seconds have passed since the last
 * and there was any; outside a turn. 0 or an errno value. */
int store_checkpoint(uint64_t mono_now);

#endif
