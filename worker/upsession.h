#ifndef UPSESSION_H
#define UPSESSION_H

/*
 * The legacy session that a backend keeps for one client session. The keeper
 * knows them all and leases the making of each to exactly one worker; a worker
 * caches those it has used.
 */
#include "backend.h"
#include "proto.h"

struct upsession {
	uint8_t nonce[ID_LEN];
	uint32_t backend;
	uint8_t class;
	char *session; /* "" when the backend keeps none */
	char *revision;
	uint64_t told; /* ms: when the keeper last heard of its use */
};

struct upwait;
/* s is NULL on failure and why says it ("can not be reached"). */
typedef void (*upsession_cb)(
    void *, const struct upsession *s, const char *why);

/* The cached one, or NULL. Valid until the next turn of the loop. */
const struct upsession *upsession_cached(
    const uint8_t nonce[ID_LEN], uint32_t backend);
/* Gets or makes it. subject: who, for a stdio child of his own, or NULL. stale:
 * the session id a 404 was answered to, or NULL. cb is never called from
 * inside. NULL when memory is out. */
struct upwait *upsession_get(const uint8_t nonce[ID_LEN], struct backend *,
    uint8_t class, const char *subject, const char *stale, upsession_cb,
    void *arg);
void upsession_cancel(struct upwait *);
/* A call is open on it, or a GET stream: the keeper is told now and then that
 * it is in use. last (ms): when it was, 0 at first. */
void upsession_used(const uint8_t nonce[ID_LEN], const struct backend *,
    uint8_t class, const char *session, const char *revision, uint64_t *last);
/* The client's session has ended: forgotten here, closed by the keeper. */
void upsession_end(const uint8_t nonce[ID_LEN]);

/* Of a backend of 2024-11-05: this worker's own session, or NULL, and then one
 * is made (the keeper tells when it is there). */
const struct upsession *upsession_old(
    const uint8_t nonce[ID_LEN], struct backend *, uint8_t class);
/* What the client has said to all its sessions is said to those of this worker
 * that the keeper can not reach. type: K_LEVEL (backend 0), K_SUBSCRIBE,
 * K_ROOTS (m has a nonce only). */
void upsession_soft(uint32_t type, const struct k_soft *m);

/* From keeperc.c: an answer; the keeper died; a new one is there. */
void upsession_answer(uint32_t id, struct k_session *);
void upsession_keeper_gone(void);
void upsession_reput(void);
void upsession_tick(void);

#endif
