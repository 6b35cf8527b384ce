#ifndef BACKEND_H
#define BACKEND_H

/* A backend as worker and keeper know it: its definition, where it is, and
 * its pool of idle connections. */
#include <sys/queue.h>
#include <sys/socket.h>

#include "proto.h"

#define BACKEND_ADDRS 8

struct tls_config;
struct upconn;
TAILQ_HEAD(upconns, upconn);

struct backend {
	struct conf_backend conf;
	char *fixed; /* head lines that every request carries */
	struct sockaddr_storage addr[BACKEND_ADDRS];
	size_t naddr;
	struct sockaddr_storage good; /* the last that took a connection */
	int unresolved; /* the resolver found nothing */
	struct tls_config *tls; /* https; NULL then: see trouble */
	char *trouble; /* why the last connection was not trusted, or NULL */
	struct upconns idle;
	size_t nidle;
	uint64_t noreuse; /* ms: idle connections are not trusted until then */
	unsigned int notes_flying, notes_waiting; /* notify.c */
	int oldsse; /* it speaks HTTP+SSE of 2024-11-05, for all we know */
	int listens; /* it has had a GET stream open: it offers them */
	/* Calls that it has failed, messages of it that belong to nothing; in a
	 * worker those that the keeper has not been told of. */
	uint64_t failures, dropped;
	char *failure; /* the last, after its name; NULL: none */
	int64_t failed; /* when; wall clock */
};

/* Takes over *conf. Fatal when memory is out (it is config). A numeric host
 * needs no resolver. */
struct backend *backend_new(struct conf_backend *);
void backend_free(struct backend *);
/* Is it known where it is? */
int backend_ready(const struct backend *);
/* New addresses; the last good ones stay if there are none. */
void backend_addrs(struct backend *, const struct k_addrs *);

/* It has failed a call at that time. */
void backend_failed(struct backend *, const char *why, int64_t when);
/* Its addresses as a message; ka has room for BACKEND_ADDRS. */
void backend_export(const struct backend *, struct k_addrs *, struct k_addr *);

#endif
