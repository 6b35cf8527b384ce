/*
 * Questions that children have asked and that are with a worker: when it is
 * gone nobody else knows of them.
 */
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "json.h"
#include "rpc.h"
#include "runner.h"

#define ASKS_MAX 1024 /* open at a time, of one child */
#define ID_MAX   1024

struct ask {
	TAILQ_ENTRY(ask) entry;
	const struct peer *peer; /* it is with */
	const struct session *session; /* of that */
	char *id; /* JSON, as the child wrote it */
};

static void ask_free(struct child *, struct ask *);
static void give_up(const struct peer *, const struct session *);

int
ask_add(struct child *c, struct peer *p, struct session *s,
    const struct json_span *id)
{
	struct ask *a;

	if (c->nasks >= ASKS_MAX || id->len > ID_MAX ||
	    (a = calloc(1, sizeof(*a))) == NULL)
		return -1;
	if ((a->id = strndup(id->p, id->len)) == NULL) {
		free(a);
		return -1;
	}
	a->peer = p;
	a->session = s;
	TAILQ_INSERT_TAIL(&c->asks, a, entry);
	c->nasks++;
	return 0;
}

static void
ask_free(struct child *c, struct ask *a)
{
	TAILQ_REMOVE(&c->asks, a, entry);
	c->nasks--;
	free(a->id);
	free(a);
}

int
ask_remove(struct child *c, const struct peer *p, const struct json_span *id)
{
	struct ask *a;

	TAILQ_FOREACH (a, &c->asks, entry)
		if ((p == NULL || a->peer == p) && strlen(a->id) == id->len &&
		    memcmp(a->id, id->p, id->len) == 0) {
			ask_free(c, a);
			return 1;
		}
	return 0;
}

/* Those that are with this peer, or in this session. */
static void
give_up(const struct peer *p, const struct session *s)
{
	struct sbackend *b;
	struct child *c;
	struct ask *a, *next;
	struct json_span id;

	for (b = backend_first(); b != NULL; b = TAILQ_NEXT(b, entry))
		TAILQ_FOREACH (c, &b->children, entry)
			for (a = TAILQ_FIRST(&c->asks); a != NULL; a = next) {
				next = TAILQ_NEXT(a, entry);
				if (a->peer != p && a->session != s)
					continue;
				id.p = a->id;
				id.len = strlen(a->id);
				id.type =
				    *a->id == '"' ? JSON_STRING : JSON_NUMBER;
				mux_refuse(c, &id, RPC_INTERNAL,
				    "the client can not be reached any more");
				ask_free(c, a);
			}
}

void
asks_gone(const struct peer *p)
{
	give_up(p, NULL);
}

void
asks_of_session(const struct session *s)
{
	give_up(NULL, s);
}

void
asks_free(struct child *c)
{
	struct ask *a;

	while ((a = TAILQ_FIRST(&c->asks)) != NULL)
		ask_free(c, a);
}
