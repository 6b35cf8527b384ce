/*
 * From a client's session to all upstream sessions of it.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "askid.h"
#include "catalog.h"
#include "json.h"
#include "keeper.h"
#include "lease.h"
#include "spread.h"
#include "notify.h"

struct spread {
	LIST_ENTRY(spread) entry;
	struct peer *peer; /* NULL: gone */
	uint32_t id;
	const char *level;
	int left;
};

static void spread_one(void *, uint32_t, const char *, const char *);
static void spread_done(void *);
static void roots_one(void *, uint32_t, const char *, const char *);

static LIST_HEAD(, spread) spreads = LIST_HEAD_INITIALIZER(spreads);

void
level_spread(struct peer *p, uint32_t id, const struct k_soft *m)
{
	struct spread *s;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		(void)peer_send(p, K_DONE, id, NULL, NULL, -1);
		return;
	}
	s->peer = p;
	s->id = id;
	s->level = m->level;
	s->left = 1;
	LIST_INSERT_HEAD(&spreads, s, entry);
	lease_each(m->nonce, spread_one, s);
	spread_done(s);
}

static void
spread_one(
    void *arg, uint32_t backend, const char *session, const char *revision)
{
	struct backend *b = shelf_backend(backend, CAP_LOGGING);
	struct json_buf j = {0};
	struct spread *s = arg;
	char id[ASKID_LEN], *body;
	size_t len;

	if (b == NULL)
		return;
	askid(id);
	json_puts(&j, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_putstr(&j, id);
	json_puts(&j, ",\"method\":\"logging/setLevel\","
		      "\"params\":{\"level\":");
	json_putstr(&j, s->level);
	json_puts(&j, "}}");
	if ((body = json_buf_take(&j, &len)) != NULL &&
	    notify_ask(
		b, "POST", session, revision, body, len, spread_done, s) == 0)
		s->left++;
}

static void
spread_done(void *arg)
{
	struct spread *s = arg;

	if (--s->left > 0)
		return;
	if (s->peer != NULL)
		(void)peer_send(s->peer, K_DONE, s->id, NULL, NULL, -1);
	LIST_REMOVE(s, entry);
	free(s);
}

static void
roots_one(
    void *arg, uint32_t backend, const char *session, const char *revision)
{
	static const char note[] = "{\"jsonrpc\":\"2.0\",\"method\":"
				   "\"notifications/roots/list_changed\"}";
	struct backend *b = shelf_backend(backend, ~0u);
	char *body;

	(void)arg;
	if (b != NULL && (b->conf.declare & DECLARE_ROOTS) &&
	    (body = strdup(note)) != NULL)
		notify_post(
		    b, "POST", session, revision, body, sizeof(note) - 1);
}

void
roots_spread(const uint8_t nonce[ID_LEN])
{
	lease_each(nonce, roots_one, NULL);
}

void
level_gone(struct peer *p)
{
	struct spread *s;

	LIST_FOREACH (s, &spreads, entry)
		if (s->peer == p)
			s->peer = NULL;
}
