/*
 * Certificates and keys of the config. Only what PEM looks like is known here;
 * worker -c (certs.c) looks into them.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "load.h"

#define CERT_MAX (64 * 1024) /* as the messages between us allow */
#define KEY_MAX  (16 * 1024)

static char *read_path(
    struct load *, const struct node *, const char *, const char *, size_t);
static char *read_env(
    struct load *, const struct node *, const char *, const char *);

static const struct keydef schema_pair[] = {
    {"certificate", set_pem, offsetof(struct conf_pair, cert), 0, CERT_MAX,
	NULL},
    {"key", set_pem, offsetof(struct conf_pair, key), 0, KEY_MAX, NULL},
    {NULL, NULL, 0, 0, 0, NULL},
};

static char *
read_path(struct load *l, const struct node *n, const char *path,
    const char *name, size_t max)
{
	const char *why;
	char *buf;
	size_t len;

	if ((buf = file_read(name, max, &len, &why)) == NULL) {
		node_err(l, n, path, "%s: %s", name, why);
		return NULL;
	}
	if (memchr(buf, '\0', len) != NULL) {
		node_err(l, n, path, "%s: holds a NUL byte", name);
		freezero(buf, max + 1);
		return NULL;
	}
	return buf;
}

static char *
read_env(
    struct load *l, const struct node *n, const char *path, const char *name)
{
	const char *value = getenv(name);

	if (value == NULL || *value == '\0') {
		node_err(l, n, path,
		    "%s is not set in the environment of mcpgwd", name);
		return NULL;
	}
	return xstrdup(value);
}

int
pem_read(struct load *l, const struct node *n, const char *path, size_t max,
    struct conf_pem *pem)
{
	const struct node *kid = n;
	const char *s, *dir = l->dir;
	char *file;

	pem->how = "file";
	if (n->type == NODE_MAP && n->nkids == 1) {
		kid = TAILQ_FIRST(&n->kids);
		pem->how = strcmp(kid->key, "file") == 0         ? "file"
			   : strcmp(kid->key, "env") == 0        ? "env"
			   : strcmp(kid->key, "credential") == 0 ? "credential"
								 : NULL;
	}
	if (pem->how == NULL || kid->type != NODE_SCALAR) {
		node_err(l, n, path,
		    "must be a path, {file: PATH}, {env: NAME} or "
		    "{credential: NAME}");
		return -1;
	}
	if ((s = node_string(l, kid, path)) == NULL)
		return -1;
	pem->pos.file = kid->file;
	pem->pos.line = kid->line;
	pem->from = *pem->how == 'f' ? path_join(dir, s) : xstrdup(s);
	if (l->flags & CONF_NOSECRETS) {
		pem->text = xstrdup("(not read)");
		return 0;
	}
	if (*pem->how == 'e')
		pem->text = read_env(l, kid, path, s);
	else if (*pem->how == 'f')
		pem->text = read_path(l, kid, path, pem->from, max);
	else if ((dir = getenv("CREDENTIALS_DIRECTORY")) == NULL ||
		 strchr(s, '/') != NULL)
		node_err(l, kid, path,
		    "there is no credential %s; add LoadCredential=%s to the "
		    "unit",
		    s, s);
	else {
		file = path_join(dir, s);
		pem->text = read_path(l, kid, path, file, max);
		free(file);
	}
	if (pem->text == NULL)
		return -1;
	if (strstr(pem->text, "-----BEGIN ") == NULL)
		node_err(l, kid, path, "%s: is no PEM text (-----BEGIN ...)",
		    pem->from);
	else if (strlen(pem->text) > max)
		node_err(l, kid, path, "longer than %zu bytes", max);
	return 0;
}

void
pem_free(struct conf_pem *pem)
{
	free(pem->from);
	if (pem->text != NULL)
		freezero(pem->text, strlen(pem->text));
	memset(pem, 0, sizeof *pem);
}

void
pair_free(struct conf_pair *p)
{
	pem_free(&p->cert);
	pem_free(&p->key);
}

void
set_pem(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	(void)pem_read(l, n, path, d->max, field);
}

void
set_pair(struct load *l, const struct node *n, const char *path, void *field,
    const struct keydef *d)
{
	const struct conf_pair *pair = field;
	const char *dir = l->dir;
	char *file;

	(void)d;
	if (node_map(l, n, path) == NULL)
		return;
	if (node_get(n, "certificate") == NULL || node_get(n, "key") == NULL) {
		node_err(
		    l, n, path, "write it as {certificate: FILE, key: FILE}");
		return;
	}
	keys_walk(l, schema_pair, n, path, field);
	if (pair->key.from == NULL || strcmp(pair->key.how, "env") == 0)
		return;
	if (strcmp(pair->key.how, "credential") == 0)
		dir = getenv("CREDENTIALS_DIRECTORY");
	if (dir == NULL)
		return;
	file = path_join(dir, pair->key.from);
	(void)file_keep(l->conf, file);
	free(file);
}
