/*
 * worker -c: looks at the certificates and keys of a config before any process
 * that serves gets them, says what is wrong, and ends.
 */
#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "log.h"
#include "master.h"
#include "priv.h"
#include "roles.h"
#include "sandbox.h"
#include "tls.h"

#define ERROR_MAX 1000 /* of all of them, as M_PREPARED can carry */

static void on_prepare(struct peer *, uint32_t, void *, int);
static void on_conf_tls(struct peer *, uint32_t, void *, int);
static void on_conf_end(struct peer *, uint32_t, void *, int);
static void complain(const char *, const char *);

static const struct peer_rule rules[] = {
    {M_PREPARE, &def_m_gen, PEER_S0, 0, on_prepare},
    {M_CONF_TLS, &def_conf_tls, PEER_S0, 0, on_conf_tls},
    {M_CONF_END, &def_m_gen, PEER_S0, 0, on_conf_end},
};

static char errors[ERROR_MAX]; /* a line each, without the last newline */

void
checker_main(const struct m_start *start)
{
	tls_init();
	priv_drop(start);
	master_open(rules, sizeof(rules) / sizeof(rules[0]));
	sandbox_hasher();
	event_base_dispatch(peer_base());
	fatalx("event loop ended");
}

static void
on_prepare(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)msg, (void)fd;
}

static void
complain(const char *at, const char *why)
{
	char line[ERROR_MAX];
	int n;

	n = snprintf(
	    line, sizeof(line), "%s%s: %s", *errors ? "\n" : "", at, why);
	if (n > 0 && (size_t)n < sizeof(errors) - strlen(errors))
		strlcat(errors, line, sizeof(errors));
	else if (*errors == '\0')
		strlcpy(errors, line, sizeof(errors));
}

static void
on_conf_tls(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct conf_tls *m = msg;
	struct tls_config *c;
	char err[TLS_ERRLEN];
	int in_key;

	(void)p, (void)id, (void)fd;
	if (*m->key == '\0') {
		if (tls_check_ca(m->cert, err) == -1)
			complain(m->cert_at, err);
		return;
	}
	c = tls_config_server(m->cert, m->key, err, &in_key);
	if (c == NULL)
		complain(in_key ? m->key_at : m->cert_at, err);
	tls_config_free(c);
}

/* Master reads the answer and closes the channel, which ends us. */
static void
on_conf_end(struct peer *p, uint32_t id, void *msg, int fd)
{
	(void)p, (void)id, (void)fd;
	master_prepared(((struct m_gen *)msg)->gen, errors);
}
