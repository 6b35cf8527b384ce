/*
 * Parameters of queries and form bodies, percent-encoding, cookies.
 */
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "form.h"
#include "utf8.h"

static int hexval(char);
static ssize_t decode(char *, const char *, size_t);
static int pair(struct form *, size_t *, const char *, size_t);

int
form_parse(struct form *f, const char *p, size_t len)
{
	const char *amp;
	size_t used = 0, n;
	int r;

	memset(f, 0, sizeof(*f));
	/* Each name and value needs a NUL, where '=' and '&' stood. */
	f->size = len + FORM_MAX_PARAMS + 1;
	if (f->size < len || (f->store = malloc(f->size)) == NULL)
		return FORM_BAD;
	while (len > 0) {
		amp = memchr(p, '&', len);
		n = amp == NULL ? len : (size_t)(amp - p);
		if (n > 0 && (r = pair(f, &used, p, n)) != 0) {
			form_free(f);
			return r;
		}
		if (amp == NULL)
			break;
		p += n + 1;
		len -= n + 1;
	}
	return 0;
}

const char *
form_get(const struct form *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->p[i].name, name) == 0)
			return f->p[i].value[0] != '\0' ? f->p[i].value : NULL;
	return NULL;
}

int
form_resources(const struct form *f, struct strv *v)
{
	size_t i;

	memset(v, 0, sizeof(*v));
	for (i = 0; i < f->n; i++) {
		if (strcmp(f->p[i].name, "resource") != 0 ||
		    f->p[i].value[0] == '\0')
			continue;
		if (strv_add(v, f->p[i].value) == -1) {
			strv_free(v);
			return -1;
		}
	}
	return 0;
}

void
form_free(struct form *f)
{
	freezero(f->store, f->size);
	memset(f, 0, sizeof(*f));
}

char *
form_decode(const char *p, size_t len)
{
	char *s;

	if (len + 1 == 0 || (s = malloc(len + 1)) == NULL)
		return NULL;
	if (decode(s, p, len) == -1) {
		freezero(s, len + 1);
		return NULL;
	}
	return s;
}

int
form_encode(char *dst, size_t dstsize, const char *value)
{
	static const char kept[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	static const char hex[] = "0123456789ABCDEF";
	size_t start = strnlen(dst, dstsize), n = start, need;
	unsigned char c;

	for (; *value != '\0'; value++) {
		c = (unsigned char)*value;
		need = strchr(kept, *value) != NULL ? 1 : 3;
		if (n >= dstsize || need >= dstsize - n) {
			if (start < dstsize)
				dst[start] = '\0';
			return -1;
		}
		if (need == 1)
			dst[n] = *value;
		else {
			dst[n] = '%';
			dst[n + 1] = hex[c >> 4];
			dst[n + 2] = hex[c & 15];
		}
		n += need;
	}
	if (n >= dstsize)
		return -1;
	dst[n] = '\0';
	return 0;
}

struct span
cookie_get(const struct span *header, const char *name)
{
	const struct span none = {NULL, 0};
	struct span found = none;
	const char *p, *end, *semi, *next;
	size_t namelen = strlen(name);

	if (header == NULL || header->len == 0)
		return none;
	end = header->p + header->len;
	for (p = header->p; p < end; p = next) {
		semi = memchr(p, ';', (size_t)(end - p));
		next = semi == NULL ? end : semi + 1;
		if (semi == NULL)
			semi = end;
		while (p < semi && (*p == ' ' || *p == '\t'))
			p++;
		while (semi > p && (semi[-1] == ' ' || semi[-1] == '\t'))
			semi--;
		if ((size_t)(semi - p) <= namelen || p[namelen] != '=' ||
		    memcmp(p, name, namelen) != 0)
			continue;
		if (found.p != NULL)
			return none;
		found.p = p + namelen + 1;
		found.len = (size_t)(semi - found.p);
	}
	return found;
}

/* One NAME or NAME=VALUE. 0 or a FORM_ error. */
static int
pair(struct form *f, size_t *used, const char *p, size_t len)
{
	const char *eq = memchr(p, '=', len);
	size_t namelen = eq == NULL ? len : (size_t)(eq - p), i;
	struct form_param *fp;
	ssize_t n;

	if (f->n == FORM_MAX_PARAMS)
		return FORM_BAD;
	fp = &f->p[f->n];
	fp->name = f->store + *used;
	if ((n = decode(fp->name, p, namelen)) == -1)
		return FORM_BAD;
	*used += (size_t)n + 1;
	fp->value = f->store + *used;
	if (eq == NULL) {
		fp->value[0] = '\0';
		n = 0;
	} else if ((n = decode(fp->value, eq + 1, len - namelen - 1)) == -1)
		return FORM_BAD;
	*used += (size_t)n + 1;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->p[i].name, fp->name) == 0 &&
		    strcmp(fp->name, "resource") != 0)
			return FORM_TWICE;
	f->n++;
	return 0;
}

/* dst has room for len + 1 bytes. Length, or -1 for FORM_BAD. */
static ssize_t
decode(char *dst, const char *p, size_t len)
{
	size_t i, n = 0;
	int hi, lo;
	char c;

	for (i = 0; i < len; i++) {
		c = p[i];
		if (c == '+')
			c = ' ';
		else if (c == '%') {
			if (len - i < 3 || (hi = hexval(p[i + 1])) == -1 ||
			    (lo = hexval(p[i + 2])) == -1)
				return -1;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (c == '\0')
			return -1;
		dst[n++] = c;
	}
	dst[n] = '\0';
	return utf8_valid(dst, n) ? (ssize_t)n : -1;
}

static int
hexval(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
