/*
 * worker -r: getaddrinfo for the keeper, one name after the other, and nothing
 * else. It needs files and sockets that no other part should have.
 */
#include <sys/socket.h>

#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "peer.h"
#include "priv.h"
#include "roles.h"
#include "sandbox.h"

#define MAX_ADDRS 8

static void on_channel(struct peer *, uint32_t, void *, int);
static void on_resolve(struct peer *, uint32_t, void *, int);
static void keeper_gone(struct peer *);
static uint32_t lookup(const char *, struct k_addr *);

static const struct peer_rule master_rules[] = {
    {M_CHANNEL, &def_m_channel, PEER_ANY, 1, on_channel},
    {M_LOGLEVEL, &def_m_loglevel, PEER_ANY, 0, master_loglevel},
};
static const struct peer_rule keeper_rules[] = {
    {R_RESOLVE, &def_r_resolve, PEER_ANY, 0, on_resolve},
};
static const struct peer_class keeper_class = {
    "keeper", keeper_rules, 1, 0, keeper_gone, NULL};

static struct peer *keeper;

void
resolver_main(const struct m_start *start)
{
	struct addrinfo *ai = NULL;

	priv_drop(start);
	master_open(
	    master_rules, sizeof(master_rules) / sizeof(master_rules[0]));
	/* Loads what the C library loads on its first use. */
	if (getaddrinfo("localhost", NULL, NULL, &ai) == 0)
		freeaddrinfo(ai);
	sandbox_resolver();
	master_ready();
	event_base_dispatch(peer_base());
	fatalx("event loop ended");
}

static void
on_channel(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_channel *m = msg;

	(void)p;
	(void)id;
	if (m->role != ROLE_KEEPER) {
		close(fd);
		return;
	}
	if (keeper != NULL)
		peer_free(keeper);
	keeper = peer_new(fd, &keeper_class, ROLE_KEEPER, 0, 0, NULL);
}

static void
keeper_gone(struct peer *p)
{
	if (p == keeper)
		keeper = NULL;
}

static uint32_t
lookup(const char *host, struct k_addr *out)
{
	struct addrinfo hints, *list = NULL, *ai;
	uint32_t n = 0;
	int error;

	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	if ((error = getaddrinfo(host, NULL, &hints, &list)) != 0) {
		log_warnx("%s: %s", host, gai_strerror(error));
		return 0;
	}
	for (ai = list; ai != NULL && n < MAX_ADDRS; ai = ai->ai_next) {
		if (ai->ai_family == AF_INET) {
			out[n].family = 4;
			memcpy(out[n++].addr,
			    &((struct sockaddr_in *)ai->ai_addr)->sin_addr, 4);
		} else if (ai->ai_family == AF_INET6) {
			out[n].family = 6;
			memcpy(out[n++].addr,
			    &((struct sockaddr_in6 *)ai->ai_addr)->sin6_addr,
			    16);
		}
	}
	freeaddrinfo(list);
	return n;
}

static void
on_resolve(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct k_addr addrs[MAX_ADDRS];
	struct r_resolve *r = msg;
	struct k_addrs m;

	(void)fd;
	memset(addrs, 0, sizeof(addrs));
	memset(&m, 0, sizeof(m));
	m.backend = r->backend;
	m.port = r->port;
	m.addrs.p = addrs;
	m.addrs.n = lookup(r->host, addrs);
	(void)peer_send(p, R_ADDRS, id, &def_k_addrs, &m, -1);
}
