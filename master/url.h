#ifndef URL_H
#define URL_H

/* An http or https URL taken apart (RFC 3986); nothing is decoded. */
#include <stdint.h>

struct url {
	int https;
	char *host; /* without brackets */
	uint16_t port; /* given, or that of the scheme */
	int has_port;
	char *authority; /* value for a Host header: no default port */
	char *target; /* path and query, "/" if none */
	int has_path;
};

/* 0, or -1 and *why says what is wrong. */
int url_parse(const char *, struct url *, const char **why);
void url_free(struct url *);

#endif
