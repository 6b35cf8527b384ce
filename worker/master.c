/*
 * The channel to master: what worker, keeper and resolver have in common.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "log.h"
#include "master.h"

#define ROOM         (PEER_QUEUE_MAX / 2)
#define CHANNEL_WAIT 2000 /* ms for master to see that a process has gone */

static void master_gone(struct peer *);

static struct peer_class master_class = {
    "master", NULL, 0, 1, master_gone, NULL};
static struct peer *master;

void
master_open(const struct peer_rule *rules, size_t n)
{
	master_class.rules = rules;
	master_class.nrules = n;
	master =
	    peer_new(PROTO_CONTROL_FD, &master_class, ROLE_MASTER, 0, 0, NULL);
	if (master == NULL)
		fatalx("out of memory");
}

/* Without master there is nobody to serve for. */
static void
master_gone(struct peer *p)
{
	(void)p;
	exit(0);
}

void
master_ready(void)
{
	/* When master is gone its own event says so. */
	if (peer_send(master, M_READY, 0, NULL, NULL, -1) == -1 &&
	    errno != EPIPE)
		fatalx("can not report to master");
}

void
master_prepared(uint32_t gen, const char *error)
{
	struct m_prepared m = {gen, NULL};

	if (error != NULL && (m.error = strdup(error)) == NULL)
		fatalx("out of memory");
	if (peer_send(master, M_PREPARED, 0, &def_m_prepared, &m, -1) == -1 &&
	    errno != EPIPE)
		fatalx("can not report to master");
	free(m.error);
}

void
master_idle(void)
{
	(void)peer_send(master, M_IDLE, 0, NULL, NULL, -1);
	peer_flush(master, 1000);
}

void
master_badpeer(uint8_t role, uint64_t id, const char *why)
{
	struct m_badpeer m = {role, id, NULL};

	if ((m.why = strdup(why)) == NULL)
		fatalx("out of memory");
	(void)peer_send(master, M_BADPEER, 0, &def_m_badpeer, &m, -1);
	free(m.why);
}

void
master_missed(uint8_t role, uint64_t *lost)
{
	if (*lost == 0 || mono_msec() - *lost < CHANNEL_WAIT)
		return;
	*lost = mono_msec();
	master_badpeer(role, 0, "its channel has ended");
}

void
master_loglevel(struct peer *p, uint32_t id, void *msg, int fd)
{
	struct m_loglevel *m = msg;

	(void)p;
	(void)id;
	(void)fd;
	log_setlevel((enum log_level)m->level);
}

void
master_row(uint32_t id, ...)
{
	struct ctl_row row = {{NULL, 0}, {NULL, 0}};
	const char *name, *value;
	va_list ap;

	va_start(ap, id);
	while ((name = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		if (strv_add(&row.names, name) == -1 ||
		    strv_add(&row.values, value ? value : "") == -1)
			fatalx("out of memory");
	}
	va_end(ap);
	(void)peer_send(master, M_CTL_ROW, id, &def_ctl_row, &row, -1);
	wire_free(&def_ctl_row, &row);
}

int
master_room(void)
{
	return peer_queued(master) < ROOM;
}

void
master_end(uint32_t id, int failed, const char *message)
{
	struct ctl_end end = {failed, NULL};

	if ((end.message = strdup(message)) == NULL)
		fatalx("out of memory");
	(void)peer_send(master, M_CTL_END, id, &def_ctl_end, &end, -1);
	free(end.message);
}
