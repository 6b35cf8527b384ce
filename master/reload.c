/*
 * What a reload reads: the config file again, held against what only a restart
 * can change, and its new listeners.
 */
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "master.h"

static char *unchanged(const struct conf *);
static char *join(const struct strv *);

/* Nothing that only a restart changes may differ. */
static char *
unchanged(const struct conf *c)
{
	struct ids gw, auth, run;
	char *err = NULL;

	if (strcmp(c->state, master.state) != 0)
		xasprintf(&err,
		    "%s:%d: state: changes only by a restart (now: %s)",
		    c->state_pos.file, c->state_pos.line, master.state);
	else if (strcmp(c->control, master.control) != 0)
		xasprintf(&err,
		    "%s:%d: control: changes only by a restart (now: %s)",
		    c->control_pos.file, c->control_pos.line, master.control);
	else if (setup_users(&gw, &auth, &run, &err) == 0 &&
		 (gw.uid != master.gw.uid || auth.uid != master.auth.uid ||
		     gw.gid != master.gw.gid || auth.gid != master.auth.gid))
		xasprintf(&err, "the ids of our users have changed; restart");
	return err;
}

static char *
join(const struct strv *lines)
{
	char *all, *more;
	uint32_t i;

	all = xstrdup(lines->n > 0 ? lines->v[0] : "out of memory");
	for (i = 1; i < lines->n && strlen(all) < 3000; i++) {
		xasprintf(&more, "%s\n%s", all, lines->v[i]);
		free(all);
		all = more;
	}
	if (strlen(all) > 4000)
		all[4000] = '\0';
	return all;
}

struct conf *
reload_conf(struct strv *errs)
{
	unsigned int flags = master.root ? CONF_ROOT : 0;

	if (master.single != NULL)
		return conf_parse("-S", master.single, strlen(master.single),
		    flags | CONF_SINGLE, errs);
	return conf_load(master.conffile, flags, errs);
}

struct conf *
reload_read(char **err)
{
	struct strv errs = {NULL, 0};
	struct conf *c;

	*err = NULL;
	c = reload_conf(&errs);
	if (c == NULL)
		*err = join(&errs);
	else if ((*err = unchanged(c)) == NULL &&
		 (certs_check(c, &errs) == -1 || listen_open(c, &errs) == -1))
		*err = join(&errs);
	strv_free(&errs);
	if (*err != NULL) {
		conf_free(c);
		return NULL;
	}
	setup_files(c);
	return c;
}
