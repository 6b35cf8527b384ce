/*
 * authd -p: compares and makes password hashes, one at a time, and has nothing
 * else to lose. yescrypt, cost 7: 64 MiB and a tenth of a second.
 */
#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "authd.h"
#include "compat.h"
#include "log.h"
#include "peer.h"

#define METHOD "$y$"
#define COST   7

static struct crypt_data data;
static struct peer *control;

static void on_control_gone(struct peer *);
static void on_channel(struct peer *, uint32_t, void *, int);
static void on_loglevel(struct peer *, uint32_t, void *, int);
static void on_check(struct peer *, uint32_t, void *, int);
static void on_make(struct peer *, uint32_t, void *, int);

static const struct peer_rule control_rules[] = {
    {M_CHANNEL, &def_m_channel, PEER_ANY, 1, on_channel},
    {M_LOGLEVEL, &def_m_loglevel, PEER_ANY, 0, on_loglevel},
};
static const struct peer_class control_class = {
    .name = "master",
    .rules = control_rules,
    .nrules = 2,
    .fdpass = 1,
    .gone = on_control_gone,
};
static const struct peer_rule authd_rules[] = {
    {P_CHECK, &def_p_check, PEER_ANY, 0, on_check},
    {P_HASH, &def_p_check, PEER_ANY, 0, on_make},
};
static const struct peer_class authd_class = {
    .name = "authd",
    .rules = authd_rules,
    .nrules = 2,
};

int
passwd_check(const char *hash, const char *password)
{
	const char *out;
	int ok;

	memset(&data, 0, sizeof(data));
	out = crypt_r(password, hash, &data);
	ok = out != NULL && out[0] != '*' && strlen(hash) >= 13 &&
	     strlen(out) == strlen(hash) &&
	     timingsafe_bcmp(out, hash, strlen(hash)) == 0;
	explicit_bzero(&data, sizeof(data));
	return ok;
}

int
passwd_make(const char *password, char *dst, size_t size)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *out;
	int r = -1;

	if (crypt_gensalt_rn(METHOD, COST, NULL, 0, salt, sizeof(salt)) == NULL)
		return -1;
	memset(&data, 0, sizeof(data));
	out = crypt_r(password, salt, &data);
	if (out != NULL && out[0] != '*' && strlcpy(dst, out, size) < size)
		r = 0;
	explicit_bzero(&data, sizeof(data));
	return r;
}

static void
answer(struct peer *p, uint32_t id, struct p_result *r)
{
	if (peer_send(p, P_RESULT, id, &def_p_result, r, -1) == -1)
		log_warnx("no answer could be sent");
}

static void
on_check(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct p_check *c = msg;
	struct p_result r = {.ok = 0, .hash = NULL};

	(void)fd;
	r.ok = passwd_check(c->hash, c->password) != 0;
	answer(p, id, &r);
}

static void
on_make(struct peer *p, uint32_t id, void *msg, int fd)
{
	char hash[CRYPT_OUTPUT_SIZE];
	const struct p_check *c = msg;
	struct p_result r = {.ok = 0, .hash = NULL};

	(void)fd;
	if (passwd_make(c->password, hash, sizeof(hash)) == 0) {
		r.ok = 1;
		r.hash = hash;
	} else {
		log_warnx("a password could not be hashed: too long?");
	}
	answer(p, id, &r);
	explicit_bzero(hash, sizeof(hash));
}

static void
on_channel(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_channel *m = msg;

	(void)p;
	(void)id;
	if (m->role != ROLE_AUTHD)
		fatalx("a channel to %s", role_name(m->role));
	(void)peer_new(fd, &authd_class, ROLE_AUTHD, 0, 0, NULL);
}

static void
on_loglevel(struct peer *p, uint32_t id, void *msg, int fd)
{
	const struct m_loglevel *m = msg;

	(void)p;
	(void)id;
	(void)fd;
	if (m->level <= LOG_L_DEBUG)
		log_setlevel((enum log_level)m->level);
}

static void
on_control_gone(struct peer *p)
{
	(void)p;
	exit(0);
}

void
passwd_main(void)
{
	control =
	    peer_new(PROTO_CONTROL_FD, &control_class, ROLE_MASTER, 0, 0, NULL);
	if (control == NULL ||
	    peer_send(control, M_READY, 0, NULL, NULL, -1) == -1)
		fatalx("no control channel");
}
