/*
 * The effective config as YAML that reads back to the same (mcpgwd -nn).
 */
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "log.h"

#define SAFE \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-"

static uint32_t character(const unsigned char *, size_t *);
static void put_list(FILE *, const char *, const char *, const struct strv *);
static void put_duration(FILE *, const char *, const char *, uint32_t);
static void put_size(FILE *, const char *, const char *, uint32_t);
static void put_rate(FILE *, const char *, const char *, const struct rate *);
static void put_pem(FILE *, const struct conf_pem *);
static void put_pair(FILE *, const char *, const struct conf_pair *);
static void put_declare(FILE *, uint32_t);
static void put_top(FILE *, const struct conf *);
static void put_auth(FILE *, const struct conf *);
static void put_child(FILE *, const struct conf_be *);
static void put_reach(FILE *, const struct conf_be *);
static void put_backend(FILE *, const struct conf_be *);
static void put_endpoint(FILE *, const struct conf_ep *);

/* The character at p, which is UTF-8 as the parser gave it, and its bytes; a
 * stray byte stands for itself. */
static uint32_t
character(const unsigned char *p, size_t *len)
{
	uint32_t c = *p;
	size_t i, n;

	n = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	c &= n == 0 ? 0xff : 0x3fu >> n;
	for (i = 1; i <= n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*len = 1;
			return *p;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	*len = n + 1;
	return c;
}

/* Plain where that can not be misread, else in double quotes. What the parser
 * would refuse or take for the end of a line is escaped. */
void
conf_print_str(FILE *f, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	size_t len;

	if (*s != '\0' && *s != '-' && *s != '.' &&
	    s[strspn(s, SAFE)] == '\0') {
		fputs(s, f);
		return;
	}
	putc('"', f);
	for (; *p != '\0'; p += len) {
		c = character(p, &len);
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", (int)c);
		else if (c < ' ' || (c >= 0x7f && c <= 0xa0))
			fprintf(f, "\\x%02x", (unsigned int)c);
		else if (c == 0x2028 || c == 0x2029 || c == 0xfeff ||
			 c == 0xfffe || c == 0xffff)
			fprintf(f, "\\u%04x", (unsigned int)c);
		else
			fwrite(p, 1, len, f);
	}
	putc('"', f);
}

static void
put_list(FILE *f, const char *indent, const char *key, const struct strv *v)
{
	uint32_t i;

	fprintf(f, "%s%s: [", indent, key);
	for (i = 0; i < v->n; i++) {
		if (i > 0)
			fputs(", ", f);
		conf_print_str(f, v->v[i]);
	}
	fputs("]\n", f);
}

static void
put_duration(FILE *f, const char *indent, const char *key, uint32_t s)
{
	char unit = 's';

	if (s != 0 && s % 86400 == 0) {
		s /= 86400;
		unit = 'd';
	} else if (s != 0 && s % 3600 == 0) {
		s /= 3600;
		unit = 'h';
	} else if (s != 0 && s % 60 == 0) {
		s /= 60;
		unit = 'm';
	}
	fprintf(f, "%s%s: %u%c\n", indent, key, s, unit);
}

static void
put_size(FILE *f, const char *indent, const char *key, uint32_t n)
{
	const char *unit = "";

	if (n != 0 && n % (1 << 20) == 0) {
		n >>= 20;
		unit = "M";
	} else if (n != 0 && n % (1 << 10) == 0) {
		n >>= 10;
		unit = "K";
	}
	fprintf(f, "%s%s: %u%s\n", indent, key, n, unit);
}

static void
put_rate(FILE *f, const char *indent, const char *key, const struct rate *r)
{
	if (r->count == 0)
		fprintf(f, "%s%s: 0\n", indent, key);
	else
		fprintf(f, "%s%s: %u/%c\n", indent, key, r->count,
		    r->window == 1    ? 's'
		    : r->window == 60 ? 'm'
				      : 'h');
}

static void
put_pem(FILE *f, const struct conf_pem *pem)
{
	if (*pem->how == 'f') {
		conf_print_str(f, pem->from);
		return;
	}
	fprintf(f, "{%s: ", pem->how);
	conf_print_str(f, pem->from);
	putc('}', f);
}

static void
put_pair(FILE *f, const char *key, const struct conf_pair *p)
{
	if (p->cert.how == NULL)
		return;
	fprintf(f, "    %s: {certificate: ", key);
	put_pem(f, &p->cert);
	fputs(", key: ", f);
	put_pem(f, &p->key);
	fputs("}\n", f);
}

static void
put_declare(FILE *f, uint32_t bits)
{
	const char *sep = "";

	fputs("    declare: [", f);
	if (bits & DECLARE_SAMPLING) {
		fputs("sampling", f);
		sep = ", ";
	}
	if (bits & DECLARE_FORM) {
		fprintf(f, "%selicitation", sep);
		sep = ", ";
	}
	if (bits & DECLARE_ROOTS)
		fprintf(f, "%sroots", sep);
	fputs("]\n", f);
}

static void
put_top(FILE *f, const struct conf *c)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	const struct conf_listen *cl;

	fputs("issuer: ", f);
	conf_print_str(f, c->issuer);
	fputs("\nlisten:\n", f);
	TAILQ_FOREACH (cl, &c->listens, entry) {
		fputs("  - address: ", f);
		conf_print_str(f, cl->text);
		putc('\n', f);
		put_pair(f, "tls", &cl->tls);
	}
	put_list(f, "", "hosts", &c->hosts);
	put_list(f, "", "origins", &c->origins);
	put_list(f, "", "trusted_proxies", &c->trusted_proxies);
	fprintf(f, "workers: %u\nstate: ", c->workers);
	conf_print_str(f, c->state);
	fputs("\ncontrol: ", f);
	conf_print_str(f, c->control);
	fprintf(f, "\nlog: {level: %s, format: %s}\n", levels[c->loglevel & 3],
	    c->logjson ? "json" : "text");
	put_duration(f, "", "session_ttl", c->session_ttl);
	put_duration(f, "", "keepalive_timeout", c->keepalive_timeout);
	put_duration(f, "", "drain", c->drain);
}

static void
put_auth(FILE *f, const struct conf *c)
{
	const struct kv *kv = c->scopes.p;
	uint32_t i;

	fputs("auth:\n", f);
	put_duration(f, "  ", "access_token_ttl", c->access_token_ttl);
	put_duration(f, "  ", "refresh_token_ttl", c->refresh_token_ttl);
	put_duration(f, "  ", "refresh_max_age", c->refresh_max_age);
	put_duration(f, "  ", "refresh_grace", c->refresh_grace);
	put_duration(f, "  ", "client_ttl", c->client_ttl);
	fprintf(f, "  registration: %s\n", c->registration ? "open" : "off");
	put_list(f, "  ", "private_use_schemes", &c->private_use_schemes);
	put_list(f, "  ", "http_redirect_hosts", &c->http_redirect_hosts);
	if (*c->password != '\0')
		fputs("  password: (set)\n", f);
	fputs("  scopes:\n", f);
	for (i = 0; i < c->scopes.n; i++) {
		fputs("    ", f);
		conf_print_str(f, kv[i].name);
		fputs(": ", f);
		conf_print_str(f, kv[i].value);
		putc('\n', f);
	}
}

static void
put_child(FILE *f, const struct conf_be *be)
{
	static const char *const instances[] = {
	    "", "shared", "principal", "session"};
	const struct conf_child *c = &be->child;
	const struct kv *kv = c->x.env.p;
	uint32_t i;

	put_list(f, "    ", "command", &c->x.argv);
	if (c->user != NULL) {
		fputs("    user: ", f);
		conf_print_str(f, c->user);
		putc('\n', f);
	}
	fputs("    env:\n", f);
	for (i = 0; i < c->x.env.n; i++) {
		fprintf(f, "      %s: ", kv[i].name);
		if (strv_has(&c->secrets, kv[i].name))
			fputs("(set)", f);
		else
			conf_print_str(f, kv[i].value);
		putc('\n', f);
	}
	fputs("    cwd: ", f);
	conf_print_str(f, c->x.cwd);
	fprintf(f, "\n    instance: %s\n    max_instances: %u\n",
	    instances[be->b.stdio & 3], c->s.max_instances);
	put_duration(f, "    ", "idle", c->s.idle);
	put_duration(f, "    ", "start_timeout", c->s.start_timeout);
	put_duration(f, "    ", "stop_timeout", c->s.stop_timeout);
	if (c->x.memory >> 20 << 20 == c->x.memory)
		fprintf(f, "    memory: %lluM\n",
		    (unsigned long long)c->x.memory >> 20);
	else
		fprintf(
		    f, "    memory: %llu\n", (unsigned long long)c->x.memory);
	fprintf(f, "    processes: %u\n    files: %u\n", c->x.processes,
	    c->x.files);
	put_duration(f, "    ", "cpu", c->x.cpu);
	fprintf(f, "    network: %s\n",
	    c->x.network == NETWORK_NONE       ? "none"
	    : c->x.network == NETWORK_LOOPBACK ? "loopback"
					       : "any");
	put_list(f, "    ", "read", &c->x.read);
	put_list(f, "    ", "write", &c->x.write);
	fprintf(f, "    jit: %s\n", c->x.jit ? "true" : "false");
}

static void
put_reach(FILE *f, const struct conf_be *be)
{
	const struct conf_backend *b = &be->b;
	const struct kv *kv = b->headers.p;
	uint32_t i;

	fputs("    url: ", f);
	conf_print_str(f, b->url);
	putc('\n', f);
	if (be->ca.how != NULL) {
		fputs("    ca: ", f);
		put_pem(f, &be->ca);
		putc('\n', f);
	}
	put_pair(f, "cert", &be->cert);
	if (b->headers.n > 0)
		fputs("    headers:\n", f);
	for (i = 0; i < b->headers.n; i++) {
		fputs("      ", f);
		conf_print_str(f, kv[i].name);
		fputs(": (set)\n", f);
	}
}

static void
put_backend(FILE *f, const struct conf_be *be)
{
	const struct conf_backend *b = &be->b;

	fprintf(f, "  %s:\n", b->name);
	if (b->stdio != 0)
		put_child(f, be);
	else
		put_reach(f, be);
	put_duration(f, "    ", "timeout", b->timeout);
	put_duration(f, "    ", "max_time", b->max_time);
	fputs("    tools:\n", f);
	put_list(f, "      ", "allow", &b->allow);
	put_list(f, "      ", "deny", &b->deny);
	/* A shared child is declared nothing, and may not be. */
	if (b->stdio != INSTANCE_SHARED)
		put_declare(f, b->declare);
}

static void
put_endpoint(FILE *f, const struct conf_ep *ep)
{
	fputs("  ", f);
	conf_print_str(f, ep->path);
	fputs(":\n", f);
	if (ep->all)
		fputs("    backends: \"*\"\n", f);
	else
		put_list(f, "    ", "backends", &ep->backends);
	fprintf(f, "    prefix: %s\n",
	    ep->prefix == PREFIX_NONE ? "none" : "backend");
	if (ep->users.n > 0)
		put_list(f, "    ", "users", &ep->users);
	fprintf(f, "    auth: %s\n", ep->noauth ? "none" : "required");
}

void
conf_print(FILE *f, const struct conf *c)
{
	const struct conf_be *be;
	const struct conf_ep *ep;

	put_top(f, c);
	put_auth(f, c);
	fputs("limits:\n", f);
	put_rate(f, "  ", "auth_failures_per_ip", &c->auth_failures_per_ip);
	put_rate(f, "  ", "register_per_ip", &c->register_per_ip);
	put_size(f, "  ", "body", c->body);
	fprintf(f, "  streams_per_user: %u\n", c->streams_per_user);
	fprintf(f, "  connections: %u\n", c->connections);
	fprintf(
	    f, "names: {separator: %s, max: %u}\n", c->separator, c->names_max);
	fputs(TAILQ_EMPTY(&c->backends) ? "backends: {}\n" : "backends:\n", f);
	TAILQ_FOREACH (be, &c->backends, entry)
		put_backend(f, be);
	fputs("endpoints:\n", f);
	TAILQ_FOREACH (ep, &c->endpoints, entry)
		put_endpoint(f, ep);
}
