/*
 * Config slices: one per generation that still has a worker.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"

static TAILQ_HEAD(, slice) slices = TAILQ_HEAD_INITIALIZER(slices);
static struct slice *filling, *current;

static struct slice *find_any(uint32_t);
static void slice_free(struct slice *);
static void on_hashed(void *, int, const char *);

static struct slice *
find_any(uint32_t gen)
{
	struct slice *sl;

	TAILQ_FOREACH (sl, &slices, entry)
		if (sl->gen == gen)
			return sl;
	return NULL;
}

static void
slice_free(struct slice *sl)
{
	if (sl == filling)
		filling = NULL;
	if (sl == current)
		current = NULL;
	TAILQ_REMOVE(&slices, sl, entry);
	wire_free(&def_conf_auth, &sl->conf);
	strv_free(&sl->paths);
	if (sl->hash != NULL)
		freezero(sl->hash, strlen(sl->hash));
	freezero(sl, sizeof(*sl));
}

void
conf_prepare(uint32_t gen)
{
	struct slice *sl;

	if ((sl = find_any(gen)) != NULL)
		slice_free(sl);
	sl = xcalloc(1, sizeof(*sl));
	sl->gen = gen;
	TAILQ_INSERT_TAIL(&slices, sl, entry);
	filling = sl;
}

void
conf_auth(struct conf_auth *c)
{
	if (filling == NULL)
		return;
	wire_free(&def_conf_auth, &filling->conf);
	filling->conf = *c;
	memset(c, 0, sizeof(*c));
}

void
conf_endpoint(struct conf_endpoint *e)
{
	if (filling != NULL && strv_add(&filling->paths, e->path) == -1)
		fatal("config");
}

/* ---- the owner's password ---- */

static void
on_hashed(void *arg, int ok, const char *hash)
{
	uint32_t gen = (uint32_t)(uintptr_t)arg;
	struct slice *sl;

	if ((sl = find_any(gen)) == NULL)
		return;
	sl->hashing = 0;
	if (ok == 1) {
		sl->hash = xstrdup(hash);
		/* The plain one is not needed any more, only that there is
		 * one. */
		freezero(sl->conf.password, strlen(sl->conf.password));
		sl->conf.password = xstrdup("$");
	} else {
		log_warnx("the password of the config could not be hashed");
	}
	signin_hashed(gen);
}

void
conf_hash(struct slice *sl)
{
	if (sl->hash != NULL || sl->hashing || sl->conf.password[0] == '\0')
		return;
	if (hashq_submit(NULL, sl->conf.password, on_hashed,
		(void *)(uintptr_t)sl->gen) == 0)
		sl->hashing = 1;
}

static void
take_password(struct slice *sl)
{
	struct slice *old;

	if (sl->conf.password[0] == '\0')
		return;
	secret_digest_str(sl->pwmac, "config-password", sl->conf.password);
	if (sl->conf.password[0] == '$') {
		sl->hash = xstrdup(sl->conf.password);
		return;
	}
	TAILQ_FOREACH (old, &slices, entry)
		if (old != sl && old->hash != NULL &&
		    memcmp(old->pwmac, sl->pwmac, sizeof(old->pwmac)) == 0)
			break;
	if (old != NULL)
		sl->hash = xstrdup(old->hash);
	else
		conf_hash(sl);
}

const char *
conf_end(uint32_t gen)
{
	struct slice *sl = filling;

	if (sl == NULL || sl->gen != gen)
		return "the slice was not begun";
	filling = NULL;
	if (sl->conf.issuer == NULL) {
		slice_free(sl);
		return "the slice has no auth section";
	}
	sl->whole = 1;
	take_password(sl);
	return NULL;
}

void
conf_commit(uint32_t gen)
{
	struct slice *sl;

	if ((sl = conf_find(gen)) == NULL) {
		log_warnx("config %u is not known here", gen);
		return;
	}
	current = sl;
}

void
conf_forget(uint32_t gen)
{
	struct slice *sl;

	if ((sl = find_any(gen)) != NULL && sl != current)
		slice_free(sl);
}

struct slice *
conf_find(uint32_t gen)
{
	struct slice *sl = find_any(gen);

	return sl != NULL && sl->whole ? sl : NULL;
}

struct slice *
conf_current(void)
{
	return current;
}
