/*
 * URLs of the config: issuer, origins, backends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "load.h"
#include "url.h"

static const char *split_authority(const char *, size_t, struct url *);

/* host[:port] or [v6][:port]; NULL, or what is wrong with it. */
static const char *
split_authority(const char *s, size_t len, struct url *u)
{
	const char *colon, *why, *errstr;
	char *copy, *host;
	size_t hostlen = len;

	if (len == 0)
		return "has no host";
	if (memchr(s, '@', len) != NULL)
		return "holds a user name; put credentials into headers";
	copy = xmalloc(len + 1);
	memcpy(copy, s, len);
	copy[len] = '\0';
	colon = strrchr(copy, ':');
	if (colon != NULL && strchr(colon, ']') == NULL) {
		hostlen = (size_t)(colon - copy);
		u->port = (uint16_t)strtonum(colon + 1, 1, 65535, &errstr);
		if (errstr != NULL || colon[1] < '1' || colon[1] > '9') {
			free(copy);
			return "has a bad port";
		}
		u->has_port = 1;
	}
	host = copy;
	host[hostlen] = '\0';
	if (*host == '[' && hostlen > 2 && host[hostlen - 1] == ']') {
		host[hostlen - 1] = '\0';
		host++;
	} else if (strchr(host, ':') != NULL) {
		free(copy);
		return "has a bad host; an IPv6 address stands in brackets";
	}
	if ((why = check_hostname(host)) == NULL)
		u->host = xstrdup(host);
	free(copy);
	return why;
}

int
url_parse(const char *s, struct url *u, const char **why)
{
	const char *p, *rest;
	int v6;

	memset(u, 0, sizeof *u);
	for (p = s; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("\"<>\\^`{|}", *p)) {
			*why = "holds a character that no URL may hold";
			return -1;
		}
	if (strncmp(s, "https://", 8) == 0) {
		u->https = 1;
		u->port = 443;
		p = s + 8;
	} else if (strncmp(s, "http://", 7) == 0) {
		u->port = 80;
		p = s + 7;
	} else {
		*why = "does not begin with http:// or https://";
		return -1;
	}
	if (strchr(p, '#') != NULL) {
		*why = "holds a fragment (#)";
		return -1;
	}
	rest = p + strcspn(p, "/?");
	if ((*why = split_authority(p, (size_t)(rest - p), u)) != NULL) {
		url_free(u);
		return -1;
	}
	u->has_path = *rest != '\0';
	xasprintf(&u->target, "%s%s", *rest == '/' ? "" : "/", rest);
	v6 = strchr(u->host, ':') != NULL;
	if (u->port == (u->https ? 443 : 80))
		xasprintf(&u->authority, "%s%s%s", v6 ? "[" : "", u->host,
		    v6 ? "]" : "");
	else
		xasprintf(&u->authority, "%s%s%s:%u", v6 ? "[" : "", u->host,
		    v6 ? "]" : "", u->port);
	return 0;
}

void
url_free(struct url *u)
{
	free(u->host);
	free(u->authority);
	free(u->target);
	memset(u, 0, sizeof *u);
}
