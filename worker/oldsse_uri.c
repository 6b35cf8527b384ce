/*
 * The address that a backend of 2024-11-05 names: what it may say decides where
 * our messages and its credentials go, so only its own host and port will do.
 */
#include <string.h>
#include <strings.h>

#include "json.h"
#include "oldsse.h"

#define MAX_REFERENCE 4096

static int is_authority(const struct backend *, const char *, size_t);

/* Is it the host and port of the backend? */
static int
is_authority(const struct backend *b, const char *p, size_t len)
{
	size_t hostlen = strlen(b->conf.host);
	unsigned int want = b->conf.port, port = b->conf.tls ? 443 : 80;
	int literal = memchr(b->conf.host, ':', hostlen) != NULL;

	if (literal) {
		if (len < hostlen + 2 || p[0] != '[' || p[hostlen + 1] != ']')
			return 0;
		p++;
		len--;
	}
	if (len < hostlen || strncasecmp(p, b->conf.host, hostlen) != 0)
		return 0;
	p += hostlen + literal;
	len -= hostlen + literal;
	if (len == 0)
		return port == want;
	if (*p++ != ':' || --len > 5)
		return 0;
	for (port = len > 0 ? 0 : port; len > 0; len--, p++) {
		if (*p < '0' || *p > '9')
			return 0;
		port = port * 10 + (*p - '0');
	}
	return port == want;
}

/* RFC 3986, 5.2; dot segments are the backend's own business. */
char *
oldsse_target(const struct backend *b, const char *uri, size_t len)
{
	const char *scheme = b->conf.tls ? "https://" : "http://";
	const char *base = b->conf.target;
	struct json_buf t = {0};
	size_t i, n = strlen(scheme), dir;

	if (len == 0 || len > MAX_REFERENCE)
		return NULL;
	for (i = 0; i < len; i++)
		if (uri[i] < 0x21 || uri[i] > 0x7e || uri[i] == '#')
			return NULL;
	if (len > n && strncasecmp(uri, scheme, n) == 0) {
		uri += n - 2;
		len -= n - 2;
	}
	if (len >= 2 && uri[0] == '/' && uri[1] == '/') {
		for (i = 2; i < len && uri[i] != '/' && uri[i] != '?'; i++)
			;
		if (!is_authority(b, uri + 2, i - 2))
			return NULL;
		json_puts(&t, i < len && uri[i] == '/' ? "" : "/");
		json_put(&t, uri + i, len - i);
	} else if (uri[0] == '/')
		json_put(&t, uri, len);
	else {
		for (i = 0; i < len && uri[i] != '/' && uri[i] != '?'; i++)
			if (uri[i] == ':')
				return NULL;
		dir = n = strcspn(base, "?");
		while (dir > 0 && base[dir - 1] != '/')
			dir--;
		json_put(&t, base, uri[0] == '?' ? n : dir);
		json_put(&t, uri, len);
	}
	json_put(&t, "", 1);
	return json_buf_take(&t, NULL);
}
