/*
 * Checks on single strings of the config. Each answers NULL, or says what is
 * wrong in words that follow "VALUE: ".
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compat.h"
#include "load.h"
#include "url.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

static int only(const char *, const char *);
static int in_list(const char *const *, const char *, size_t);
static const char *listen_host(struct conf_listen *, char *, const char *);
static const char *listen_add(struct conf_listen *, const char *, const char *);

/* Names that are, or will be, the first part of a path of our own. */
static const char *const reserved[] = {"oauth", "tools", "users", "keys",
    "admin", "dashboard", "verify", "status", "health", "mcp", "register",
    "callback", NULL};
static const char *const reserved_paths[] = {"authorize", "token", "revoke",
    "introspect", "jwks", "openapi.json", ".well-known", NULL};

static int
only(const char *s, const char *set)
{
	return s[strspn(s, set)] == '\0';
}

static int
in_list(const char *const *list, const char *s, size_t len)
{
	for (; *list != NULL; list++)
		if (strlen(*list) == len && strncasecmp(*list, s, len) == 0)
			return 1;
	return 0;
}

const char *
check_backend_name(const char *s)
{
	if (*s == '\0' || strlen(s) > 24 || strchr(LOWER, *s) == NULL ||
	    !only(s, LOWER DIGIT "-"))
		return "a backend's name is at most 24 of a-z, 0-9 and -, "
		       "beginning with a letter";
	if (in_list(reserved, s, strlen(s)) ||
	    in_list(reserved_paths, s, strlen(s)))
		return "this name is reserved for a path of mcpgwd's own; "
		       "choose another";
	return NULL;
}

const char *
check_endpoint_path(const char *s)
{
	const char *p;
	size_t n;

	if (*s != '/' || s[1] == '\0')
		return "the path of an endpoint begins with / and is not / "
		       "alone";
	if (strlen(s) > 200)
		return "longer than 200 characters";
	if (s[strlen(s) - 1] == '/')
		return "a slash at the end";
	for (p = s; *p != '\0'; p += n) {
		n = strcspn(++p, "/");
		if (n == 0)
			return "an empty part between two slashes";
		if (strspn(p, LOWER UPPER DIGIT "-._~") < n)
			return "only letters, digits and - . _ ~ may stand "
			       "between the slashes";
		if (*p == '.')
			return "a part that begins with a dot";
		if (p == s + 1 && (p[n] != '\0' || strcmp(p, "mcp") != 0) &&
		    (in_list(reserved, p, n) || in_list(reserved_paths, p, n)))
			return "a path of mcpgwd's own; choose another";
	}
	return NULL;
}

const char *
check_hostname(const char *s)
{
	struct in6_addr in6;

	if (strchr(s, ':') != NULL)
		return inet_pton(AF_INET6, s, &in6) == 1 ? NULL
							 : "is no IPv6 address";
	if (*s == '\0' || strlen(s) > 253 || *s == '-' || *s == '.' ||
	    strstr(s, "..") != NULL || !only(s, LOWER UPPER DIGIT "-._"))
		return "is no host name";
	return NULL;
}

/* A value of the Host header: host[:port]. */
const char *
check_host(const char *s)
{
	struct url u;
	const char *why;
	char *text;

	if (strstr(s, "://") != NULL)
		return "give the host alone, without scheme and path";
	xasprintf(&text, "http://%s", s);
	if (url_parse(text, &u, &why) == 0) {
		if (u.has_path)
			why = "give the host alone, without scheme and path";
		url_free(&u);
	}
	free(text);
	return why;
}

const char *
check_origin(const char *s)
{
	struct url u;
	const char *why;

	if (url_parse(s, &u, &why) == -1)
		return why;
	if (u.has_path)
		why = "an origin has no path and no slash at its end";
	else if (strpbrk(s, UPPER) != NULL)
		why = "browsers send origins in lower case";
	else if (u.has_port && u.port == (u.https ? 443 : 80))
		why = "browsers leave out the default port";
	else if (strlen(s) > 255)
		why = "longer than 255 characters";
	url_free(&u);
	return why;
}

int
host_is_loopback(const char *s)
{
	struct in6_addr in6;
	struct in_addr in;
	size_t n = strlen(s);

	if (strcasecmp(s, "localhost") == 0)
		return 1;
	if (n > 10 && strcasecmp(s + n - 10, ".localhost") == 0)
		return 1;
	if (inet_pton(AF_INET, s, &in) == 1)
		return ntohl(in.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, s, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

const char *
check_issuer(const char *s)
{
	struct url u;
	const char *why;

	if (url_parse(s, &u, &why) == -1)
		return why;
	if (u.has_path)
		why = "must have no path and no slash at its end: it is used "
		      "byte for byte";
	else if (!u.https && !host_is_loopback(u.host))
		why = "must be https:// unless its host is localhost or a "
		      "loopback address";
	else if (strpbrk(s, UPPER) != NULL)
		why = "must be in lower case: clients compare it byte for byte";
	else if (u.has_port && u.port == (u.https ? 443 : 80))
		why = "must not name the default port: clients leave it out";
	else if (strlen(s) > 200)
		why = "longer than 200 characters";
	url_free(&u);
	return why;
}

const char *
check_cidr(const char *s)
{
	struct in6_addr in6;
	const char *slash, *errstr = NULL;
	char addr[INET6_ADDRSTRLEN];
	int v6 = strchr(s, ':') != NULL;

	slash = strchr(s, '/');
	if (slash != NULL) {
		if (strchr(DIGIT, slash[1]) != NULL)
			strtonum(slash + 1, 0, v6 ? 128 : 32, &errstr);
		else
			errstr = "invalid";
	} else
		slash = s + strlen(s);
	if (errstr != NULL || (size_t)(slash - s) >= sizeof addr)
		return "write it as 192.0.2.0/24 or 2001:db8::/32";
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	if (inet_pton(v6 ? AF_INET6 : AF_INET, addr, &in6) != 1)
		return "write it as 192.0.2.0/24 or 2001:db8::/32";
	return NULL;
}

const char *
check_scheme(const char *s)
{
	static const char *const web[] = {"http", "https", "javascript", "data",
	    "file", "vbscript", "about", "blob", "ws", "wss", "ftp", "mailto",
	    "tel", "view-source", NULL};

	if (strlen(s) > 63 || strchr(LOWER, *s) == NULL ||
	    !only(s, LOWER DIGIT "+-."))
		return "a scheme is a-z, 0-9, +, - and ., beginning with a "
		       "letter, without ://";
	if (in_list(web, s, strlen(s)))
		return "this scheme belongs to no application";
	return NULL;
}

const char *
check_user(const char *s)
{
	if (strlen(s) > 64 || !only(s, LOWER UPPER DIGIT "-._@+"))
		return "a user's name is at most 64 of letters, digits and "
		       "- . _ @ +";
	return NULL;
}

const char *
check_glob(const char *s)
{
	return strlen(s) > 128 ? "longer than 128 characters" : NULL;
}

const char *
check_variable(const char *s)
{
	if (*s == '\0' || strlen(s) > 200 || (*s >= '0' && *s <= '9') ||
	    !only(s, LOWER UPPER DIGIT "_"))
		return "is no name of a variable";
	return NULL;
}

/* The fields that the gateway itself writes towards a backend. */
static const char *const own_headers[] = {"accept", "accept-encoding",
    "connection", "content-length", "content-type", "cookie", "expect", "host",
    "keep-alive", "last-event-id", "mcp-method", "mcp-name",
    "mcp-protocol-version", "mcp-session-id", "proxy-authorization",
    "proxy-connection", "te", "traceparent", "tracestate", "trailer",
    "transfer-encoding", "upgrade", NULL};

const char *
check_header(const char *s)
{
	if (strlen(s) > 64 || *s == '\0' ||
	    !only(s, LOWER UPPER DIGIT "!#$%&'*+-.^_`|~"))
		return "is no name of a header field";
	if (in_list(own_headers, s, strlen(s)))
		return "this header field is mcpgwd's own to write";
	return NULL;
}

const char *
check_header_value(const char *s)
{
	const unsigned char *p;

	for (p = (const unsigned char *)s; *p != '\0'; p++)
		if ((*p < ' ' && *p != '\t') || *p == 0x7f)
			return "the value holds a control character or a "
			       "second line";
	if (*s == ' ' || *s == '\t')
		return "the value begins with a blank";
	return strlen(s) > 4096 ? "the value is longer than 4096 bytes" : NULL;
}

const char *
check_scope(const char *s)
{
	const char *p;

	if (strcmp(s, "mcp:admin") == 0 || strcmp(s, "offline_access") == 0)
		return "exists by itself";
	for (p = s; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '\\')
			return "a scope holds no blank, quote or backslash";
	return *s == '\0' || strlen(s) > 64
		   ? "a scope is 1 to 64 characters long"
		   : NULL;
}

const char *
check_scope_text(const char *s)
{
	const unsigned char *p;

	for (p = (const unsigned char *)s; *p != '\0'; p++)
		if (*p < ' ' || *p == 0x7f)
			return "the text holds a control character";
	return strlen(s) > 200 ? "the text is longer than 200 bytes" : NULL;
}

/* ---- addresses to listen on ---- */

static const char *
listen_add(struct conf_listen *cl, const char *host, const char *port)
{
	struct addrinfo hints, *res;
	struct conf_addr *a = &cl->addr[cl->naddr];

	memset(&hints, 0, sizeof hints);
	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;
	/* Numbers only: root asks no name service. */
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
	if (getaddrinfo(host, port, &hints, &res) != 0)
		return "is no address; give a numeric one, localhost or *";
	memcpy(&a->ss, res->ai_addr, res->ai_addrlen);
	a->len = res->ai_addrlen;
	freeaddrinfo(res);
	cl->naddr++;
	return NULL;
}

static const char *
listen_host(struct conf_listen *cl, char *host, const char *port)
{
	const char *why;
	size_t n = strlen(host);

	if (strcmp(host, "*") == 0) {
		if ((why = listen_add(cl, "0.0.0.0", port)) != NULL)
			return why;
		return listen_add(cl, "::", port);
	}
	if (strcasecmp(host, "localhost") == 0) {
		cl->loopback = 1;
		if ((why = listen_add(cl, "127.0.0.1", port)) != NULL)
			return why;
		return listen_add(cl, "::1", port);
	}
	if (n > 2 && *host == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		host++;
	} else if (strchr(host, ':') != NULL)
		return "an IPv6 address stands in brackets: [::1]:4444";
	cl->loopback = host_is_loopback(host) != 0;
	return listen_add(cl, host, port);
}

const char *
check_listen(const char *s, struct conf_listen *cl)
{
	const char *colon, *errstr, *why;
	char *host;

	cl->naddr = 0;
	cl->loopback = 0;
	colon = strrchr(s, ':');
	if (colon == NULL || colon == s || strchr(DIGIT, colon[1]) == NULL)
		return "write it as 127.0.0.1:4444, [::1]:4444, "
		       "localhost:4444 or *:4444";
	cl->port = (uint16_t)strtonum(colon + 1, 1, 65535, &errstr);
	if (errstr != NULL)
		return "the port is not between 1 and 65535";
	host = xstrdup(s);
	host[colon - s] = '\0';
	why = listen_host(cl, host, colon + 1);
	free(host);
	return why;
}
