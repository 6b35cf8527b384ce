/*
 * For load balancers and start scripts.
 */
#include <string.h>

#include "authc.h"
#include "backend.h"
#include "catalog.h"
#include "health.h"
#include "request.h"
#include "worker.h"

static int backend_up(void);

static int
backend_up(void)
{
	const struct cat_entry *ce;
	size_t i;
	int exact;

	for (i = 0; i < worker.nbackend; i++) {
		ce = catalog_find(worker.backend[i]->conf.id, 0, &exact);
		if (ce != NULL && ce->state == CAT_UP)
			return 1;
	}
	return worker.nbackend == 0;
}

void
health(struct request *rq)
{
	static const char ok[] = "{\"status\":\"ok\"}";
	static const char bad[] = "{\"status\":\"unavailable\"}";

	reply_header(rq, "Cache-Control", "no-store");
	if (authc_up() &&
	    (rq->head.query.p == NULL || !span_eq(&rq->head.query, "ready") ||
		backend_up()))
		reply(rq, 200, "application/json", ok, sizeof(ok) - 1);
	else
		reply(rq, 503, "application/json", bad, sizeof(bad) - 1);
}
