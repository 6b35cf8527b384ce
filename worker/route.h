#ifndef ROUTE_H
#define ROUTE_H

/*
 * What is served (design 5): one table of routes, each with its class. The
 * class decides about Host, Origin, CORS and cookies, before any handler runs.
 */
#include "request.h"

enum route_class {
	CLASS_OPEN = 1, /* not even Host is looked at */
	CLASS_PUBLIC, /* no cookie, any Origin, CORS for everybody */
	CLASS_BROWSER, /* pages and their forms: no CORS, own Origin only */
	CLASS_BEARER, /* MCP */
};

struct route {
	const char *path;
	unsigned int methods; /* HTTP_* bits; HEAD comes with GET */
	enum route_class class;
	int prefix; /* what follows the path is the handler's to judge */
	void (*handler)(struct request *);
};

#define CORS_NONE   0
#define CORS_ANY    1 /* Access-Control-Allow-Origin: * */
#define CORS_ORIGIN 2 /* the request's Origin, allowed */

/* The table, for the test that walks it; ends with path NULL. */
extern const struct route routes[];

/* A head has come: finds the route, judges Host, Origin, method and announced
 * length, sets rq->route, endpoint, limit, cors and addr. 0, or the status to
 * refuse with. small: the largest body a stranger may send. */
int route_head(struct request *, size_t small);
/* Body is complete: call the handler. */
void route_dispatch(struct request *);
/* Answers a refused request, in the shape of its class. */
void route_refuse(struct request *, int status);

#endif
