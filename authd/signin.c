/*
 * Sign-ins between the form and the hasher's answer. While the configured
 * password is itself being hashed they wait for that first.
 */
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"

struct job {
	TAILQ_ENTRY(job) entry;
	uint64_t serial;
	uint32_t id, gen;
	struct signin check;
	int ok;
};

static TAILQ_HEAD(, job) parked = TAILQ_HEAD_INITIALIZER(parked);
static unsigned int nparked;

static void submit(struct job *);
static void finish(struct job *, judge_fn);
static enum verdict judge_form(struct slice *, const void *, void *);
static enum verdict judge_result(struct slice *, const void *, void *);
static enum verdict judge_busy(struct slice *, const void *, void *);

struct form_arg {
	const struct a_form *form;
	struct signin *check;
};

static enum verdict
judge_form(struct slice *sl, const void *msg, void *ans)
{
	const struct form_arg *arg = msg;

	return authorize_signin(sl, arg->form, ans, arg->check);
}

static enum verdict
judge_result(struct slice *sl, const void *msg, void *ans)
{
	const struct job *j = msg;

	return authorize_checked(sl, &j->check, j->ok, ans);
}

static enum verdict
judge_busy(struct slice *sl, const void *msg, void *ans)
{
	const struct job *j = msg;

	return authorize_busy(sl, &j->check, ans);
}

static void
finish(struct job *j, judge_fn judge)
{
	struct slice *sl = conf_find(j->gen);

	if (sl == NULL)
		turn_refuse(j->serial, j->id, A_PAGE, &def_a_page);
	else
		(void)turn_request(
		    j->serial, j->id, sl, judge, j, A_PAGE, &def_a_page);
	signin_free(&j->check);
	free(j);
}

static void
on_result(void *arg, int ok, const char *hash)
{
	struct job *j = arg;

	(void)hash;
	j->ok = ok == 1;
	finish(j, ok == -1 ? judge_busy : judge_result);
}

static void
submit(struct job *j)
{
	if (hashq_submit(j->check.hash, j->check.password, on_result, j) == -1)
		finish(j, judge_busy);
}

void
signin_request(
    uint64_t serial, uint32_t id, uint32_t gen, const struct a_form *form)
{
	struct slice *sl = conf_find(gen);
	struct job *j = xcalloc(1, sizeof(*j));
	struct form_arg arg = {form, &j->check};

	j->serial = serial;
	j->id = id;
	j->gen = gen;
	if (turn_request(serial, id, sl, judge_form, &arg, A_PAGE,
		&def_a_page) != J_LATER) {
		signin_free(&j->check);
		free(j);
		return;
	}
	if (j->check.hash != NULL) {
		submit(j);
		return;
	}
	conf_hash(sl);
	if (!sl->hashing || nparked >= HASHQ_MAX) {
		finish(j, judge_busy);
		return;
	}
	nparked++;
	TAILQ_INSERT_TAIL(&parked, j, entry);
}

void
signin_hashed(uint32_t gen)
{
	struct slice *sl = conf_find(gen);
	struct job *j, *next;

	for (j = TAILQ_FIRST(&parked); j != NULL; j = next) {
		next = TAILQ_NEXT(j, entry);
		if (j->gen != gen)
			continue;
		TAILQ_REMOVE(&parked, j, entry);
		nparked--;
		if (sl == NULL || sl->hash == NULL) {
			finish(j, judge_busy);
		} else {
			j->check.hash = xstrdup(sl->hash);
			submit(j);
		}
	}
}
