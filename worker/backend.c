/*
 * Backends: definition and addresses.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "compat.h"
#include "json.h"
#include "log.h"
#include "tls.h"
#include "upstream.h"

static void backend_tls(struct backend *);
static int backend_literal(struct backend *);

struct backend *
backend_new(struct conf_backend *conf)
{
	struct backend *b = xcalloc(1, sizeof(*b));
	struct json_buf h = {0};
	const struct kv *kv;
	uint32_t i;

	memcpy(&b->conf, conf, sizeof(b->conf));
	memset(conf, 0, sizeof(*conf));
	TAILQ_INIT(&b->idle);
	json_puts(&h, "Host: ");
	json_puts(&h, b->conf.authority);
	json_puts(&h, "\r\nUser-Agent: mcpgwd\r\n");
	for (i = 0; i < b->conf.headers.n; i++) {
		kv = (const struct kv *)b->conf.headers.p + i;
		json_puts(&h, kv->name);
		json_puts(&h, ": ");
		json_puts(&h, kv->value);
		json_puts(&h, "\r\n");
	}
	if ((b->fixed = json_buf_take(&h, NULL)) == NULL)
		fatalx("out of memory");
	if (b->conf.stdio == 0)
		(void)backend_literal(b);
	if (b->conf.tls)
		backend_tls(b);
	return b;
}

/* Without it no request is sent: the reason is told instead. The key stays with
 * the library only. */
static void
backend_tls(struct backend *b)
{
	char err[TLS_ERRLEN];
	int in_key;

	b->tls = tls_config_client(
	    b->conf.ca, b->conf.cert, b->conf.key, err, &in_key);
	if (b->tls == NULL)
		xasprintf(&b->trouble, "can not be reached by TLS: %s", err);
	if (b->conf.key != NULL)
		freezero(b->conf.key, strlen(b->conf.key));
	b->conf.key = NULL;
	free(b->conf.ca);
	b->conf.ca = NULL;
}

static int
backend_literal(struct backend *b)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&b->addr[0];
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&b->addr[0];

	if (inet_pton(AF_INET, b->conf.host, &sin->sin_addr) == 1) {
		sin->sin_family = AF_INET;
		sin->sin_port = htons(b->conf.port);
	} else if (inet_pton(AF_INET6, b->conf.host, &sin6->sin6_addr) == 1) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(b->conf.port);
	} else
		return 0;
	b->naddr = 1;
	return 1;
}

void
backend_free(struct backend *b)
{
	upstream_close_idle(b);
	tls_config_free(b->tls);
	free(b->trouble);
	free(b->failure);
	wire_free(&def_conf_backend, &b->conf);
	if (b->fixed != NULL)
		freezero(b->fixed, strlen(b->fixed));
	free(b);
}

void
backend_addrs(struct backend *b, const struct k_addrs *a)
{
	const struct k_addr *ka = a->addrs.p;
	struct sockaddr_in6 *sin6;
	struct sockaddr_in *sin;
	uint32_t i, n;

	b->unresolved = a->addrs.n == 0;
	if (b->unresolved)
		return;
	n = a->addrs.n < BACKEND_ADDRS ? a->addrs.n : BACKEND_ADDRS;
	memset(b->addr, 0, sizeof(b->addr));
	for (i = 0; i < n; i++) {
		if (ka[i].family == 4) {
			sin = (struct sockaddr_in *)&b->addr[i];
			sin->sin_family = AF_INET;
			sin->sin_port = htons(a->port);
			memcpy(&sin->sin_addr, ka[i].addr, 4);
		} else {
			sin6 = (struct sockaddr_in6 *)&b->addr[i];
			sin6->sin6_family = AF_INET6;
			sin6->sin6_port = htons(a->port);
			memcpy(&sin6->sin6_addr, ka[i].addr, 16);
		}
	}
	b->naddr = n;
}

void
backend_export(const struct backend *b, struct k_addrs *a, struct k_addr *ka)
{
	const struct sockaddr_in6 *sin6;
	const struct sockaddr_in *sin;
	size_t i;

	memset(ka, 0, BACKEND_ADDRS * sizeof(*ka));
	a->backend = b->conf.id;
	a->port = b->conf.port;
	a->addrs.p = ka;
	a->addrs.n = b->naddr;
	for (i = 0; i < b->naddr; i++) {
		if (b->addr[i].ss_family == AF_INET) {
			sin = (const struct sockaddr_in *)&b->addr[i];
			ka[i].family = 4;
			memcpy(ka[i].addr, &sin->sin_addr, 4);
		} else {
			sin6 = (const struct sockaddr_in6 *)&b->addr[i];
			ka[i].family = 6;
			memcpy(ka[i].addr, &sin6->sin6_addr, 16);
		}
	}
}

void
backend_failed(struct backend *b, const char *why, int64_t when)
{
	free(b->failure);
	b->failure = strdup(why);
	b->failed = when;
}

int
backend_ready(const struct backend *b)
{
	return b->conf.stdio != 0 || b->naddr > 0;
}
