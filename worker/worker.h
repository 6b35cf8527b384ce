#ifndef WORKER_H
#define WORKER_H

/*
 * What every file of the worker may know: who we are and the config slice,
 * immutable for the worker's life.
 */
#include <stddef.h>
#include <stdint.h>

#include "proto.h"

struct backend; /* upstream.h */

struct endpoint {
	struct conf_endpoint conf;
	char *resource; /* issuer + path: the audience */
	struct backend **backend; /* in config order */
	size_t nbackend;
};

struct worker {
	uint64_t id;
	uint32_t gen;
	int debug; /* X-Mcpgw-Worker in responses */
	int draining;
	int stopping; /* the whole daemon ends, not only this worker */
	int issuer_https; /* scheme of the issuer */
	int issuer_loopback; /* its host is a loopback name or address */
	struct conf_web conf;
	struct endpoint *endpoint;
	size_t nendpoint;
	struct backend **backend; /* every one of the slice */
	size_t nbackend;
	uint64_t connections; /* open now, for status */
	uint64_t requests;
	uint64_t calls;
};

extern struct worker worker;

/* The endpoint whose path this is (one trailing slash allowed), or NULL. */
struct endpoint *worker_endpoint(const char *path, size_t len);
/* The backend with this id, or NULL. */
struct backend *worker_backend(uint32_t id);
/* Draining: reports M_IDLE and exits once nothing is left. */
void worker_idle(void);
/* "issuer/mcp": the default audience. */
const char *worker_resource(void);

#endif
