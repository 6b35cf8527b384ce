#ifndef CONF_H
#define CONF_H

/*
 * The config file as the program uses it: every value checked, every default
 * filled in, secrets read. Immutable once loaded; a reload loads another.
 */
#include <sys/types.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <stdint.h>
#include <stdio.h>

#include "proto.h"

/* Where something stands, for messages that come later. */
struct conf_pos {
	const char *file; /* belongs to the conf */
	int line;
};

struct conf_addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* PEM text of the config: where it stands and where it came from. */
struct conf_pem {
	struct conf_pos pos;
	const char *how; /* "file", "env", "credential"; NULL: not given */
	char *from; /* path or name */
	char *text;
};
/* A certificate with its chain, and its key: both or none. */
struct conf_pair {
	struct conf_pem cert, key;
};

struct conf_listen {
	TAILQ_ENTRY(conf_listen) entry;
	struct conf_pos pos;
	char *text; /* as configured */
	struct conf_addr addr[2]; /* two for localhost and * */
	size_t naddr;
	uint16_t port;
	uint8_t loopback;
	struct conf_pair tls; /* not given: plain HTTP */
};

/* A stdio backend: what only master knows of it, and the runner's slice. */
struct conf_child {
	struct conf_stdio s; /* as sent; id and name are those of b */
	struct m_exec x; /* all filled in; nanny gets what reach_given makes
			  * of its read and write */
	char *user; /* as configured; NULL: not given */
	struct strv secrets; /* variables that are not to be shown */
	/* Real names (reach.c), as those that follow. */
	char *state; /* $STATE, its own; nanny's tmp is in it */
	struct strv own; /* all that it may change */
	struct strv ways; /* links and .. that were followed to that */
	const struct strv *ours; /* of the conf */
};

struct conf_be {
	TAILQ_ENTRY(conf_be) entry;
	struct conf_pos pos;
	struct conf_backend b; /* as sent; id is given per generation */
	struct conf_pem ca; /* their texts are in b */
	struct conf_pair cert;
	struct conf_child child; /* b.stdio != 0 */
};

struct conf_ep {
	TAILQ_ENTRY(conf_ep) entry;
	struct conf_pos pos;
	struct conf_pos bpos; /* of the list of backends */
	char *path;
	struct strv backends; /* names; empty and all: every one */
	uint8_t all;
	uint8_t prefix; /* PREFIX_* */
	uint8_t noauth;
	struct strv users;
};

struct rate {
	uint32_t count, window; /* n per seconds; 0: no limit */
};

TAILQ_HEAD(conf_listens, conf_listen);
TAILQ_HEAD(conf_bes, conf_be);
TAILQ_HEAD(conf_eps, conf_ep);

struct conf {
	struct strv files; /* that it and its secrets were read from */
	/* By their real names: what no child may hold, which is state and
	 * these (state comes first), and the links on the way to them, which
	 * none may change. */
	struct strv ours, ways;

	char *issuer;
	struct conf_listens listens;
	struct strv hosts;
	struct strv origins;
	struct strv trusted_proxies;
	uint32_t workers;
	char *state;
	struct conf_pos state_pos;
	char *control;
	struct conf_pos control_pos;
	uint32_t loglevel; /* enum log_level */
	uint32_t logjson;
	uint32_t session_ttl;
	uint32_t keepalive_timeout;
	uint32_t drain;

	uint32_t access_token_ttl;
	uint32_t refresh_token_ttl;
	uint32_t refresh_max_age;
	uint32_t refresh_grace;
	uint32_t client_ttl;
	uint32_t registration;
	struct strv private_use_schemes;
	struct strv http_redirect_hosts;
	char *password;
	struct vec scopes; /* struct kv */

	struct rate auth_failures_per_ip;
	struct rate register_per_ip;
	uint32_t body;
	uint32_t streams_per_user;
	uint32_t connections;

	char *separator;
	uint32_t names_max;

	struct conf_bes backends; /* in config order */
	struct conf_eps endpoints;
	struct conf_pos endpoints_pos;
};

/* conf_load flags. */
#define CONF_ROOT      0x01 /* defaults of a daemon started by root */
#define CONF_NOSECRETS 0x02 /* do not read files, environment, includes */
#define CONF_SINGLE    0x04 /* -S: what is listed may have gone meanwhile */

/* Reads and checks path (absolute). NULL when anything is wrong; errs then
 * holds at least one line "file:line: key: what". */
struct conf *conf_load(const char *path, unsigned int flags, struct strv *errs);
/* The same from memory; includes and relative paths are relative to the
 * directory of name. */
struct conf *conf_parse(const char *name, const char *text, size_t len,
    unsigned int flags, struct strv *errs);
void conf_free(struct conf *);
/* The effective config as YAML that conf_load reads back; secrets are shown as
 * "(set)". */
void conf_print(FILE *, const struct conf *);
/* A string as it stands in there. */
void conf_print_str(FILE *, const char *);

/* "/etc/mcpgwd/mcpgwd.conf", or below the caller's XDG directories. malloc'd.*/
char *conf_default_file(int root);
char *conf_default_state(int root);
char *conf_default_control(int root);

#endif
