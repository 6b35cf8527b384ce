#ifndef PROTO_CONF_H
#define PROTO_CONF_H

/*
 * Config as it goes between processes: the slices of PREPARE, and what nanny is
 * told. From proto.h, which has the types of their fields.
 */

struct kv {
	char *name;
	char *value; /* wiped when freed */
};

#define DECLARE_SAMPLING 0x01
#define DECLARE_FORM     0x02 /* elicitation */
#define DECLARE_URL      0x04 /* elicitation */
#define DECLARE_ROOTS    0x08
#define DECLARE_LISTS    0x0f /* all that a server's lists may depend on */
#define DECLARE_TOOLS    0x10 /* sampling that uses tools */
#define DECLARE_CONTEXT  0x20 /* sampling with the context of servers */
#define DECLARE_CHANGES  0x40 /* of roots are told */

struct conf_backend {
	uint32_t id; /* of this effective definition; never reused */
	char *name;
	char *url; /* as configured, for messages */
	char *host;
	uint16_t port;
	char *authority; /* value of the Host header */
	char *target; /* request target: path and query */
	struct vec headers; /* struct kv */
	uint32_t timeout; /* s of silence */
	uint32_t max_time; /* s, absolute */
	struct strv allow, deny; /* globs on the backend's own tool names */
	uint32_t declare; /* DECLARE_* bits */
	uint8_t tls; /* https */
	char *ca; /* PEM; empty: the system's authorities */
	char *cert; /* PEM, what we show; empty: nothing */
	char *key; /* PEM */
	uint8_t stdio; /* INSTANCE_*; 0: it is reached by url */
	uint32_t
	    opening; /* s until it has opened a session, or has failed to */
};

#define INSTANCE_SHARED    1 /* one child for everybody */
#define INSTANCE_PRINCIPAL 2 /* one for each signed-in user */
#define INSTANCE_SESSION   3 /* one for each session of a client */

/* A stdio backend as the runner knows it. */
struct conf_stdio {
	uint32_t id; /* of the backend */
	char *name;
	uint8_t instance;
	uint32_t max_instances;
	uint32_t idle; /* s without a call until a child is ended; 0: never */
	uint32_t start_timeout; /* s until it has answered initialize */
	uint32_t stop_timeout; /* s, of its end in all */
	uint8_t stopped; /* 1: none is started until mcpgwctl says so */
};

#define NETWORK_ANY      0
#define NETWORK_NONE     1 /* no socket but of AF_UNIX */
#define NETWORK_LOOPBACK 2 /* TCP to this machine */

/* What nanny makes of itself and then executes. */
struct m_exec {
	char *name; /* of the backend */
	struct strv argv; /* argv[0] is an absolute path */
	struct vec env; /* struct kv; exact */
	char *cwd;
	char *tmp; /* in $STATE; made where it is not there */
	uint8_t root; /* 1: become uid, gid and groups */
	uint32_t uid, gid;
	struct u32v groups;
	/* Directories and files; on the way to none of them is a link, or
	 * nanny goes no further. */
	struct strv program; /* with what is beside it; need not be there */
	struct strv read; /* it may read and execute */
	struct strv write; /* it may change */
	uint8_t lax; /* 1: read and write need not be there */
	uint8_t network; /* NETWORK_* */
	uint8_t jit; /* 0: may not make memory executable */
	uint64_t memory; /* bytes of private memory; 0: no limit */
	uint32_t processes; /* of its user; 0: no limit */
	uint32_t files; /* descriptors */
	uint32_t cpu; /* s; 0: no limit */
};

/* What a listener shows; to worker -c also each ca, with an empty key. */
struct conf_tls {
	char *cert_at; /* "file:line: listen.tls.certificate", for messages */
	char *key_at;
	char *cert; /* PEM: its own certificate, then the chain */
	char *key; /* PEM */
};

#define PREFIX_BACKEND 0 /* <backend>_<name> */
#define PREFIX_NONE    1

struct conf_endpoint {
	char *path; /* "/mcp", "/home/mcp" */
	struct u32v backends; /* ids, in config order */
	uint8_t prefix;
	uint8_t noauth; /* auth: none; for this machine only */
	struct strv users; /* empty: everybody */
};

struct conf_web {
	char *issuer; /* emitted byte for byte */
	struct strv hosts;
	struct strv origins;
	struct strv trusted_proxies; /* CIDR */
	uint32_t session_ttl;
	uint32_t keepalive_timeout;
	uint32_t access_token_ttl;
	uint32_t body; /* largest request or answer body, bytes */
	uint32_t streams_per_user;
	uint32_t connections; /* of all workers together */
	uint32_t workers; /* how many share that */
	uint32_t names_max;
	char *separator;
	uint8_t registration; /* 1: open */
	struct vec scopes; /* struct kv: name, description */
};

struct conf_keeper {
	uint32_t session_ttl;
	uint32_t names_max;
	char *separator;
};

struct conf_auth {
	char *issuer;
	uint32_t access_token_ttl;
	uint32_t refresh_token_ttl;
	uint32_t refresh_max_age; /* 0: none */
	uint32_t refresh_grace;
	uint32_t client_ttl; /* 0: for ever */
	uint32_t session_ttl;
	uint8_t registration; /* 1: open */
	struct strv private_use_schemes;
	struct strv http_redirect_hosts;
	char *password; /* owner's, plain or crypt(3); empty: from the store */
	struct vec scopes; /* struct kv: name, description */
	uint32_t fail_count, fail_window; /* auth_failures_per_ip: n per s */
	uint32_t register_count, register_window; /* register_per_ip */
};

#endif
