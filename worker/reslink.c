/*
 * Named resources, the worker's side.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "keeperc.h"
#include "reslink.h"
#include "view.h"

#define MAX_LINKS 64 /* of one answer */

struct asking {
	TAILQ_ENTRY(asking) entry;
	uint32_t id;
	struct request *rq;
	uint64_t begun; /* ms */
};

static void learn_content(
    const struct call *, const struct json_span *, unsigned int *);
static void learn_uri(const struct call *, const struct json_span *);
static void asking_gone(struct request *);
static void asking_end(struct asking *, uint32_t);

static TAILQ_HEAD(, asking) all = TAILQ_HEAD_INITIALIZER(all);
static uint32_t next_id;

void
reslink_learn(const struct call *c, const struct json_span *result)
{
	struct json_span list, item, content;
	unsigned int n = 0;
	size_t pos = 0;

	/* With one backend there is no question whose it is. */
	if (c->endpoint->nbackend < 2 || result->type != JSON_OBJECT)
		return;
	if (json_member(result, c->kind == CALL_TOOL ? "content" : "messages",
		&list) == -1 ||
	    list.type != JSON_ARRAY)
		return;
	while (n < MAX_LINKS && json_next(&list, &pos, NULL, &item)) {
		if (item.type != JSON_OBJECT)
			continue;
		if (c->kind == CALL_TOOL)
			learn_content(c, &item, &n);
		else if (json_member(&item, "content", &content) == 0 &&
			 content.type == JSON_OBJECT)
			learn_content(c, &content, &n);
	}
}

/* One item of content: a link, or a resource that came with it. */
static void
learn_content(
    const struct call *c, const struct json_span *item, unsigned int *n)
{
	struct json_span type, resource, uri;

	if (json_member(item, "type", &type) == -1)
		return;
	if (json_equals(&type, "resource_link")) {
		if (json_member(item, "uri", &uri) == -1)
			return;
	} else if (!json_equals(&type, "resource") ||
		   json_member(item, "resource", &resource) == -1 ||
		   resource.type != JSON_OBJECT ||
		   json_member(&resource, "uri", &uri) == -1)
		return;
	++*n;
	learn_uri(c, &uri);
}

static void
learn_uri(const struct call *c, const struct json_span *uri)
{
	struct view *v = view_get(c->endpoint, c->client_class);
	char buf[CAT_MAX_NAME];
	struct k_soft m;

	if (json_decode(uri, buf, sizeof(buf)) <= 0 ||
	    (v != NULL && view_listed(v, buf) != NULL))
		return;
	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, c->nonce, ID_LEN);
	m.backend = c->backend->conf.id;
	m.uri = buf;
	(void)keeperc_link(&m);
}

int
reslink_ask(const struct mcp *m, const char *uri)
{
	struct asking *a;
	struct k_soft k;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		return -1;
	memset(&k, 0, sizeof(k));
	memcpy(k.nonce, m->session->nonce, ID_LEN);
	k.uri = (char *)(uintptr_t)uri;
	a->id = ++next_id;
	a->rq = m->rq;
	a->begun = mono_msec();
	if (keeperc_whose(a->id, &k) == -1) {
		free(a);
		return -1;
	}
	m->rq->ctx = a;
	m->rq->gone = asking_gone;
	TAILQ_INSERT_TAIL(&all, a, entry);
	return 0;
}

static void
asking_gone(struct request *rq)
{
	struct asking *a = rq->ctx;

	TAILQ_REMOVE(&all, a, entry);
	free(a);
}

static void
asking_end(struct asking *a, uint32_t owner)
{
	struct request *rq = a->rq;

	TAILQ_REMOVE(&all, a, entry);
	free(a);
	rq->gone = NULL;
	rq->asked = 1;
	rq->owner = owner;
	mcp_request(rq);
}

void
reslink_owner(uint32_t id, const struct k_soft *m)
{
	struct asking *a;

	TAILQ_FOREACH (a, &all, entry)
		if (a->id == id) {
			asking_end(a, m->backend);
			return;
		}
}

void
reslink_keeper_gone(void)
{
	struct asking *a;

	while ((a = TAILQ_FIRST(&all)) != NULL)
		asking_end(a, 0);
}

void
reslink_tick(void)
{
	struct asking *a;

	while ((a = TAILQ_FIRST(&all)) != NULL &&
	       mono_msec() - a->begun >= KEEPER_WAIT)
		asking_end(a, 0);
}
