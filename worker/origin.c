/*
 * DNS rebinding and foreign pages stop here: Host must be ours on every route,
 * Origin where a browser could be used against us.
 */
#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compat.h"
#include "origin.h"
#include "worker.h"

/* As an address in authd's limits: one key for all who are not known. */
#define ADDR_UNKNOWN "unknown"

static size_t host_len(const char *, size_t);
static const char *issuer_host(void);
static int trusted(const char *);
static int forwarded(const struct http_head *, char *);
static int last_element(struct span *, struct span *);
static int address(const struct span *, char *);
static int port_valid(const char *, const char *);
static int loopback(const char *);

/* Length of the host in host[:port] or [v6][:port]. */
static size_t
host_len(const char *p, size_t len)
{
	const char *q;

	if (len > 0 && p[0] == '[') {
		q = memchr(p, ']', len);
		return q == NULL ? len : (size_t)(q - p) + 1;
	}
	q = memchr(p, ':', len);
	return q == NULL ? len : (size_t)(q - p);
}

int
host_loopback(const char *p, size_t len)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	size_t i, n = host_len(p, len);

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == n && strncasecmp(p, names[i], n) == 0)
			return 1;
	return 0;
}

static const char *
issuer_host(void)
{
	const char *p = strstr(worker.conf.issuer, "://");

	return p == NULL ? worker.conf.issuer : p + 3;
}

int
host_allowed(const struct request *rq)
{
	const struct span *h = &rq->head.host;
	const char *own = issuer_host();
	uint32_t i;

	if (strlen(own) == h->len && strncasecmp(h->p, own, h->len) == 0)
		return 1;
	for (i = 0; i < worker.conf.hosts.n; i++) {
		own = worker.conf.hosts.v[i];
		if (strlen(own) == h->len &&
		    strncasecmp(h->p, own, h->len) == 0)
			return 1;
	}
	return rq->loopback_listener && host_loopback(h->p, h->len);
}

/* A tunnel ends here like any program of this machine: by the name that its
 * clients have asked for it is told, or by what it says of them. */
int
origin_local(const struct request *rq)
{
	const struct span *h = &rq->head.host;
	char addr[INET6_ADDRSTRLEN];

	return rq->loopback_listener && rq->loopback_peer &&
	       http_count(&rq->head, HDR_X_FORWARDED_FOR) == 0 &&
	       http_count(&rq->head, HDR_FORWARDED) == 0 &&
	       (host_loopback(h->p, h->len) ||
		   (address(h, addr) == 0 && loopback(addr)));
}

int
origin_allowed(const struct request *rq, const struct span *o)
{
	const char *p;
	uint32_t i;

	if (span_caseeq(o, worker.conf.issuer))
		return 1;
	for (i = 0; i < worker.conf.origins.n; i++)
		if (span_caseeq(o, worker.conf.origins.v[i]))
			return 1;
	if (!worker.issuer_loopback && !rq->loopback_listener)
		return 0;
	if (o->len > 7 && strncasecmp(o->p, "http://", 7) == 0)
		p = o->p + 7;
	else if (o->len > 8 && strncasecmp(o->p, "https://", 8) == 0)
		p = o->p + 8;
	else
		return 0;
	return host_loopback(p, o->len - (p - o->p));
}

/*
 * A GET may come from anywhere: it is how clients open the page. A POST is one
 * of our own forms: same Origin, or none (or null, which some browsers send
 * after a redirect) with Sec-Fetch-Site saying same-origin.
 */
int
origin_own(const struct request *rq, const struct span *o)
{
	const struct span *site = http_get(&rq->head, HDR_SEC_FETCH_SITE);

	if (o != NULL && span_caseeq(o, worker.conf.issuer))
		return 1;
	if (o != NULL && !span_eq(o, "null"))
		return 0;
	if (rq->head.method != HTTP_POST)
		return o == NULL;
	return site != NULL && span_eq(site, "same-origin");
}

int
cidr_match(const char *cidr, const char *addr)
{
	unsigned char net[16], a[16];
	char buf[64], *slash;
	int family, bits, full;

	if (strlcpy(buf, cidr, sizeof(buf)) >= sizeof(buf))
		return 0;
	if ((slash = strchr(buf, '/')) != NULL)
		*slash++ = '\0';
	family = strchr(buf, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, buf, net) != 1 || inet_pton(family, addr, a) != 1)
		return 0;
	full = family == AF_INET6 ? 128 : 32;
	bits = slash == NULL ? full : atoi(slash);
	if (bits < 0 || bits > full)
		return 0;
	if (memcmp(net, a, bits / 8) != 0)
		return 0;
	if (bits % 8 == 0)
		return 1;
	return ((net[bits / 8] ^ a[bits / 8]) >> (8 - bits % 8)) == 0;
}

static int
trusted(const char *addr)
{
	uint32_t i;

	for (i = 0; i < worker.conf.trusted_proxies.n; i++)
		if (cidr_match(worker.conf.trusted_proxies.v[i], addr))
			return 1;
	return 0;
}

/*
 * Whom a proxy names is believed, and nothing that stands before that. One that
 * names nobody is asked by somebody all the same, who has no right to what the
 * proxy's own address may do.
 */
void
origin_client(struct request *rq)
{
	char addr[INET6_ADDRSTRLEN];

	if (!trusted(rq->addr))
		return;
	strlcpy(rq->addr, forwarded(&rq->head, addr) == 0 ? addr : ADDR_UNKNOWN,
	    sizeof(rq->addr));
}

/*
 * All lines are one list (RFC 9110 5.3), to which each proxy adds at the end
 * who has asked it: from there, the first that is no proxy of ours. A loopback
 * address is the other machine's, where we trust nobody but the proxy.
 */
static int
forwarded(const struct http_head *h, char *addr)
{
	struct span v, e;
	int n;

	for (n = http_count(h, HDR_X_FORWARDED_FOR) - 1; n >= 0; n--) {
		if (http_value(h, HDR_X_FORWARDED_FOR, n, &v) == -1)
			return -1;
		while (last_element(&v, &e)) {
			if (e.len == 0)
				continue; /* RFC 9110 5.6.1 */
			if (address(&e, addr) == -1)
				return -1;
			if (!trusted(addr))
				return loopback(addr) ? -1 : 0;
		}
	}
	return -1;
}

/* Takes the last element off a list; 0: there is none. */
static int
last_element(struct span *list, struct span *e)
{
	const char *p;

	if (list->p == NULL)
		return 0;
	p = list->len == 0 ? NULL : memrchr(list->p, ',', list->len);
	e->p = p == NULL ? list->p : p + 1;
	e->len = list->len - (size_t)(e->p - list->p);
	if (p == NULL)
		list->p = NULL;
	else
		list->len = (size_t)(p - list->p);
	while (e->len > 0 && (*e->p == ' ' || *e->p == '\t')) {
		e->p++;
		e->len--;
	}
	while (
	    e->len > 0 && (e->p[e->len - 1] == ' ' || e->p[e->len - 1] == '\t'))
		e->len--;
	return 1;
}

/*
 * ADDRESS, ADDRESS:PORT with IPv4 only, [ADDRESS] or [ADDRESS]:PORT. In one
 * form, so that nobody is counted twice.
 */
static int
address(const struct span *e, char *addr)
{
	const char *p = e->p, *end = e->p + e->len, *q, *port;
	struct in6_addr a6;
	struct in_addr a4;
	size_t len;

	if (*p == '[') {
		p++;
		if ((q = memchr(p, ']', (size_t)(end - p))) == NULL)
			return -1;
		port = q + 1;
	} else {
		q = memchr(p, ':', e->len);
		if (q == NULL || memrchr(p, ':', e->len) != q)
			q = end;
		port = q;
	}
	len = (size_t)(q - p);
	if (!port_valid(port, end) || len == 0 || len >= INET6_ADDRSTRLEN)
		return -1;
	memcpy(addr, p, len);
	addr[len] = '\0';
	if (inet_pton(AF_INET, addr, &a4) == 1)
		return 0;
	if (inet_pton(AF_INET6, addr, &a6) != 1)
		return -1;
	if (IN6_IS_ADDR_V4MAPPED(&a6))
		inet_ntop(AF_INET, &a6.s6_addr[12], addr, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, &a6, addr, INET6_ADDRSTRLEN);
	return 0;
}

/* Nothing, or :PORT. */
static int
port_valid(const char *p, const char *end)
{
	if (p == end)
		return 1;
	if (*p++ != ':' || p == end || end - p > 5)
		return 0;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p == end;
}

static int
loopback(const char *addr)
{
	return cidr_match("127.0.0.0/8", addr) || cidr_match("::1/128", addr);
}
