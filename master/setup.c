/*
 * Users, directories and limits: what must be right before anything starts.
 * Each error says what to do.
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "master.h"

#define STATE_MINFREE (4u * 1024 * 1024)
#define USER_GW       "_mcpgw"
#define USER_AUTH     "_mcpauth"
#define USER_RUN      "_mcprun"

static int find_user(const char *, struct ids *, char **);
static int parents(const char *, mode_t);
static int dir_empty(const char *);
static int state_free(const struct conf *, char **);
static int state_dir(const struct conf *, char **);
static int state_owner(const struct conf *, const struct stat *, char **);
static int jail_dir(const char *, char **);

static int
find_user(const char *name, struct ids *ids, char **err)
{
	const struct passwd *pw;

	if ((pw = getpwnam(name)) == NULL || pw->pw_uid == 0) {
		xasprintf(err,
		    "user %s does not exist; make it with: useradd --system "
		    "--home-dir /nonexistent --shell /usr/sbin/nologin %s",
		    name, name);
		return -1;
	}
	ids->uid = pw->pw_uid;
	ids->gid = pw->pw_gid;
	return 0;
}

int
setup_users(struct ids *gw, struct ids *auth, struct ids *run, char **err)
{
	if (!master.root) {
		gw->uid = auth->uid = run->uid = geteuid();
		gw->gid = auth->gid = run->gid = getegid();
		return 0;
	}
	if (find_user(USER_GW, gw, err) == -1 ||
	    find_user(USER_AUTH, auth, err) == -1 ||
	    find_user(USER_RUN, run, err) == -1)
		return -1;
	if (gw->uid == auth->uid || gw->uid == run->uid ||
	    auth->uid == run->uid) {
		xasprintf(err, "users %s, %s and %s must have different ids",
		    USER_GW, USER_AUTH, USER_RUN);
		return -1;
	}
	return 0;
}

/* Makes the directories down to path's last slash. */
static int
parents(const char *path, mode_t mode)
{
	char *copy, *p;
	int rv = 0;

	copy = xstrdup(path);
	for (p = copy + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(copy, mode) == -1 && errno != EEXIST &&
		    access(copy, F_OK) == -1) {
			rv = -1;
			break;
		}
		*p = '/';
	}
	free(copy);
	return rv;
}

static int
dir_empty(const char *path)
{
	const struct dirent *de;
	DIR *d;
	int n = 0;

	if ((d = opendir(path)) == NULL)
		return 0;
	while ((de = readdir(d)) != NULL)
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0)
			n++;
	closedir(d);
	return n == 0;
}

/* A directory that root has just been given (by systemd, by mkdir) and that is
 * still empty is taken over; any other owner or mode is somebody's mistake. */
static int
state_owner(const struct conf *c, const struct stat *st, char **err)
{
	const char *user = master.root ? USER_AUTH : "you";

	if (!S_ISDIR(st->st_mode)) {
		xasprintf(err, "state: %s is no directory", c->state);
		return -1;
	}
	if (st->st_uid != master.auth.uid && st->st_uid == 0 && master.root &&
	    dir_empty(c->state)) {
		if (chown(c->state, master.auth.uid, master.auth.gid) == -1 ||
		    chmod(c->state, 0700) == -1) {
			xasprintf(
			    err, "state: %s: %s", c->state, strerror(errno));
			return -1;
		}
		return 0;
	}
	if (st->st_uid != master.auth.uid) {
		xasprintf(err,
		    "state: %s does not belong to %s; if its content is "
		    "yours to keep: chown -R %s %s",
		    c->state, user, master.root ? USER_AUTH : "$USER",
		    c->state);
		return -1;
	}
	if (st->st_mode & 077) {
		xasprintf(err,
		    "state: %s can be entered by others; run: chmod 700 %s",
		    c->state, c->state);
		return -1;
	}
	return 0;
}

/* authd takes the lock, and refuses. Asked here as well, while whoever started
 * us still reads what we say. */
static int
state_free(const struct conf *c, char **err)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char *path, by[32] = "";
	int fd, rv;

	xasprintf(&path, "%s/lock", c->state);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	free(path);
	if (fd == -1)
		return 0;
	rv = fcntl(fd, F_GETLK, &fl);
	close(fd);
	if (rv == -1 || fl.l_type == F_UNLCK)
		return 0;
	if (fl.l_pid > 0)
		snprintf(by, sizeof by, " (process %ld)", (long)fl.l_pid);
	xasprintf(err,
	    "state: %s: in use by another mcpgwd%s; stop it, or give this one "
	    "its own state folder",
	    c->state, by);
	return -1;
}

static int
state_dir(const struct conf *c, char **err)
{
	struct statvfs vfs;
	struct stat st;

	if (parents(c->state, master.root ? 0755 : 0700) == -1 ||
	    (!(master.made_state = mkdir(c->state, 0700) == 0) &&
		errno != EEXIST) ||
	    lstat(c->state, &st) == -1) {
		xasprintf(err, "state: %s: %s", c->state, strerror(errno));
		return -1;
	}
	if (state_owner(c, &st, err) == -1 || state_free(c, err) == -1)
		return -1;
	if (access(c->state, R_OK | W_OK | X_OK) == -1 ||
	    statvfs(c->state, &vfs) == -1) {
		xasprintf(err, "state: %s: %s", c->state, strerror(errno));
		return -1;
	}
	if ((uint64_t)vfs.f_bavail * vfs.f_frsize < STATE_MINFREE) {
		xasprintf(err,
		    "state: %s: %s; the store needs at least %u MiB: "
		    "free some, or set state to a folder elsewhere",
		    c->state, strerror(ENOSPC), STATE_MINFREE >> 20);
		return -1;
	}
	return 0;
}

/* An empty directory that nobody can write to, beside the control socket. */
static int
jail_dir(const char *control, char **err)
{
	struct stat st;
	const char *slash;

	slash = strrchr(control, '/');
	xasprintf(&master.jail, "%.*s/empty", (int)(slash - control), control);
	master.made_jail = mkdir(master.jail, 0555) == 0;
	if ((!master.made_jail && errno != EEXIST) ||
	    (master.made_jail && chmod(master.jail, 0555) == -1) ||
	    lstat(master.jail, &st) == -1) {
		xasprintf(err, "%s: %s", master.jail, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) ||
	    !dir_empty(master.jail)) {
		xasprintf(err,
		    "%s must be an empty directory of root's that nobody can "
		    "write to; remove it",
		    master.jail);
		return -1;
	}
	return 0;
}

int
setup_dirs(const struct conf *c, char **err)
{
	if (parents(c->control, master.root ? 0755 : 0700) == -1) {
		xasprintf(err, "control: %s: %s", c->control, strerror(errno));
		return -1;
	}
	if (master.root && jail_dir(c->control, err) == -1)
		return -1;
	return state_dir(c, err);
}

void
setup_undo(void)
{
	if (master.made_jail)
		(void)rmdir(master.jail);
	master.made_jail = 0;
	/* Only an empty one goes, and only if nothing ever ran. */
	if (master.made_state && !master.started)
		(void)rmdir(master.state);
}

void
setup_files(struct conf *c)
{
	static uint64_t said_need, said_fit; /* 0: nothing is lowered */
	struct rlimit rl;
	uint64_t need, fit;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return;
	if (rl.rlim_cur != rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
			log_warn("RLIMIT_NOFILE");
		if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
			return;
	}
	/* Two descriptors a connection (client and backend), 64 for the rest;
	 * every worker has the limit for itself. */
	fit = rl.rlim_cur > 66 ? ((uint64_t)rl.rlim_cur - 64) / 2 : 1;
	fit *= c->workers;
	if (fit > 1000000)
		fit = 1000000;
	need = c->connections;
	if (need == 0 || need > fit)
		c->connections = (uint32_t)fit;
	if (need <= fit)
		need = fit = 0;
	else if (need != said_need || fit != said_fit)
		log_warnx("limits.connections lowered from %llu to %llu: only "
			  "%llu descriptors per process; raise ulimit -Hn",
		    (unsigned long long)need, (unsigned long long)fit,
		    (unsigned long long)rl.rlim_cur);
	said_need = need;
	said_fit = fit;
}
