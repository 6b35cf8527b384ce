/*
 * Files that must not be anybody's to change, and secrets that stand in the
 * config, in a file, in the environment or in systemd's credentials.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "load.h"

#define SECRET_MAX 8192

static const char *why_not(int);
static char *from_file(
    struct load *, const struct node *, const char *, const char *);

static const char *
why_not(int error)
{
	switch (error) {
	case ENOENT:
		return "No such file or directory; make it, or name another";
	case EACCES:
		return "Permission denied; it must be readable for the user "
		       "who starts mcpgwd";
	default:
		return strerror(error);
	}
}

char *
file_read(const char *path, size_t max, size_t *len, const char **why)
{
	struct stat st;
	char *buf = NULL;
	ssize_t n;
	int fd;

	*len = 0;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1 ||
	    fstat(fd, &st) == -1) {
		*why = why_not(errno);
		goto bad;
	}
	*why = NULL;
	if (!S_ISREG(st.st_mode))
		*why = "not a regular file";
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		*why = "its owner is neither root nor you; chown it";
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		*why = "others can write to it; chmod go-w it";
	else if ((uintmax_t)st.st_size > max)
		*why = "too large";
	if (*why != NULL)
		goto bad;
	buf = xmalloc(max + 1);
	while (*len < max) {
		if ((n = read(fd, buf + *len, max - *len)) == -1) {
			*why = strerror(errno);
			goto bad;
		}
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	close(fd);
	buf[*len] = '\0';
	return buf;
bad:
	if (buf != NULL)
		freezero(buf, max + 1);
	if (fd != -1)
		close(fd);
	return NULL;
}

const char *
file_keep(struct conf *c, const char *path)
{
	xstrv_add(&c->files, path);
	return c->files.v[c->files.n - 1];
}

int
path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 0 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

char *
path_join(const char *dir, const char *path)
{
	char *s;

	if (*path == '/')
		return xstrdup(path);
	xasprintf(&s, "%s/%s", dir, path);
	return s;
}

static char *
from_file(
    struct load *l, const struct node *n, const char *path, const char *name)
{
	const char *why;
	char *buf, *s = NULL;
	size_t len;

	if ((buf = file_read(name, SECRET_MAX, &len, &why)) == NULL) {
		node_err(l, n, path, "%s: %s", name, why);
		return NULL;
	}
	if (len > 0 && buf[len - 1] == '\n')
		len--;
	if (len > 0 && buf[len - 1] == '\r')
		len--;
	if (len == 0)
		node_err(l, n, path, "%s: the file is empty", name);
	else if (memchr(buf, '\0', len) != NULL)
		node_err(l, n, path, "%s: holds a NUL byte", name);
	else {
		s = xmalloc(len + 1);
		memcpy(s, buf, len);
		s[len] = '\0';
	}
	freezero(buf, SECRET_MAX + 1);
	return s;
}

char *
secret_read(struct load *l, const struct node *n, const char *path)
{
	const struct node *kid;
	const char *s, *dir, *value;
	char *file, *secret = NULL;

	if (n->type == NODE_SCALAR)
		return (s = node_string(l, n, path)) == NULL ? NULL
							     : xstrdup(s);
	if (n->type != NODE_MAP || n->nkids != 1) {
		node_err(l, n, path,
		    "must be a string, {file: PATH}, {env: NAME} or "
		    "{credential: NAME}");
		return NULL;
	}
	kid = TAILQ_FIRST(&n->kids);
	if ((s = node_string(l, kid, path)) == NULL)
		return NULL;
	if (strcmp(kid->key, "file") != 0 && strcmp(kid->key, "env") != 0 &&
	    strcmp(kid->key, "credential") != 0) {
		node_err(l, kid, path,
		    "a secret comes from file, env or credential, not from %s",
		    kid->key);
		return NULL;
	}
	if (l->flags & CONF_NOSECRETS)
		return xstrdup("(not read)");
	if (strcmp(kid->key, "file") == 0) {
		file = path_join(l->dir, s);
		(void)file_keep(l->conf, file);
		secret = from_file(l, kid, path, file);
		free(file);
	} else if (strcmp(kid->key, "env") == 0) {
		if ((value = getenv(s)) == NULL || *value == '\0')
			node_err(l, kid, path,
			    "%s is not set in the environment of mcpgwd", s);
		else
			secret = xstrdup(value);
	} else if ((dir = getenv("CREDENTIALS_DIRECTORY")) == NULL)
		node_err(l, kid, path,
		    "there are no credentials: $CREDENTIALS_DIRECTORY is not "
		    "set; add LoadCredential=%s to the unit",
		    s);
	else if (strchr(s, '/') != NULL)
		node_err(l, kid, path, "%s is no name of a credential", s);
	else {
		xasprintf(&file, "%s/%s", dir, s);
		(void)file_keep(l->conf, file);
		secret = from_file(l, kid, path, file);
		free(file);
	}
	return secret;
}
