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

static size_t host_len(const char *, size_t);
static const char *issuer_host(void);

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

/* Only the last hop, which the trusted proxy itself wrote, is believed. */
void
origin_client(struct request *rq)
{
	const struct span *xff = http_get(&rq->head, HDR_X_FORWARDED_FOR);
	char addr[INET6_ADDRSTRLEN];
	unsigned char bin[16];
	const char *p;
	size_t len;
	uint32_t i;

	if (xff == NULL || http_count(&rq->head, HDR_X_FORWARDED_FOR) != 1)
		return;
	for (i = 0; i < worker.conf.trusted_proxies.n; i++)
		if (cidr_match(worker.conf.trusted_proxies.v[i], rq->addr))
			break;
	if (i == worker.conf.trusted_proxies.n)
		return;
	p = memrchr(xff->p, ',', xff->len);
	p = p == NULL ? xff->p : p + 1;
	len = xff->len - (p - xff->p);
	while (len > 0 && (*p == ' ' || *p == '\t')) {
		p++;
		len--;
	}
	if (len == 0 || len >= sizeof(addr))
		return;
	memcpy(addr, p, len);
	addr[len] = '\0';
	if (inet_pton(AF_INET, addr, bin) == 1 ||
	    inet_pton(AF_INET6, addr, bin) == 1)
		strlcpy(rq->addr, addr, sizeof(rq->addr));
}
