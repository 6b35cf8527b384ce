/*
 * Reads an event stream (WHATWG HTML 9.2.6). A line that is whole in the input
 * is not copied; data of an event is gathered until its empty line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sse.h"

#define KEEP     (64 * 1024) /* no larger buffer outlives its event */
#define BUF_MIN  256
#define BOM_DONE 3

static const char bom[] = "\xef\xbb\xbf";

static int skip_bom(struct sse *, const char **, size_t *);
static size_t line_length(const char *, size_t);
static int append(char **, size_t *, size_t *, const char *, size_t);
static int hold(struct sse *, const char *, size_t);
static int line(struct sse *, const char *, size_t,
    int (*)(void *, const struct sse_event *), void *);
static int field(struct sse *, const char *, size_t);
static void set_retry(struct sse *, const char *, size_t);
static int dispatch(
    struct sse *, int (*)(void *, const struct sse_event *), void *);
static void trim(char **, size_t *);

void
sse_init(struct sse *s, size_t max)
{
	memset(s, 0, sizeof(*s));
	s->max = max;
}

void
sse_free(struct sse *s)
{
	free(s->line);
	free(s->data);
	memset(s, 0, sizeof(*s));
}

int
sse_feed(struct sse *s, const char *p, size_t len,
    int (*cb)(void *, const struct sse_event *), void *arg)
{
	const char *l;
	size_t n;
	int r;

	if (s->bom != BOM_DONE && skip_bom(s, &p, &len) == -1)
		return -1;
	while (len > 0) {
		if (s->cr) {
			s->cr = 0;
			if (*p == '\n') {
				p++;
				len--;
				continue;
			}
		}
		n = line_length(p, len);
		if (n > s->max || s->dlen + s->llen > s->max - n)
			return -1;
		if (n == len)
			return hold(s, p, n);
		l = p;
		if (s->llen > 0) {
			if (hold(s, p, n) == -1)
				return -1;
			l = s->line;
		}
		s->cr = p[n] == '\r';
		p += n + 1;
		len -= n + 1;
		if (s->llen > 0) {
			n = s->llen;
			s->llen = 0;
		}
		if ((r = line(s, l, n, cb, arg)) != 0)
			return r;
	}
	return 0;
}

/* Drops a byte order mark; what only began like one becomes input. */
static int
skip_bom(struct sse *s, const char **p, size_t *len)
{
	size_t n;

	while (*len > 0 && s->bom < BOM_DONE) {
		if (**p != bom[s->bom]) {
			n = (size_t)s->bom;
			s->bom = BOM_DONE;
			return n > s->max ? -1 : hold(s, bom, n);
		}
		s->bom++;
		(*p)++;
		(*len)--;
	}
	return 0;
}

/* Bytes before the first CR or LF, or len. */
static size_t
line_length(const char *p, size_t len)
{
	const char *lf, *cr;

	if (len == 0)
		return 0;
	if ((lf = memchr(p, '\n', len)) != NULL)
		len = (size_t)(lf - p);
	if (len > 0 && (cr = memchr(p, '\r', len)) != NULL)
		len = (size_t)(cr - p);
	return len;
}

static int
append(char **buf, size_t *blen, size_t *cap, const char *p, size_t len)
{
	size_t want;
	char *b;

	if (len >= *cap - *blen) {
		if (len > SIZE_MAX / 4 || *blen > SIZE_MAX / 4)
			return -1;
		want = *cap < BUF_MIN ? BUF_MIN : *cap;
		while (want <= *blen + len)
			want *= 2;
		if ((b = realloc(*buf, want)) == NULL)
			return -1;
		*buf = b;
		*cap = want;
	}
	if (len > 0)
		memcpy(*buf + *blen, p, len);
	*blen += len;
	return 0;
}

static int
hold(struct sse *s, const char *p, size_t len)
{
	if (len == 0)
		return 0;
	return append(&s->line, &s->llen, &s->lcap, p, len);
}

static int
line(struct sse *s, const char *p, size_t len,
    int (*cb)(void *, const struct sse_event *), void *arg)
{
	int r;

	if (len == 0)
		return dispatch(s, cb, arg);
	r = *p == ':' ? 0 : field(s, p, len);
	trim(&s->line, &s->lcap);
	return r;
}

static int
field(struct sse *s, const char *p, size_t len)
{
	const char *v = memchr(p, ':', len);
	size_t namelen = len, vlen = 0;

	if (v != NULL) {
		namelen = (size_t)(v - p);
		v++;
		vlen = len - namelen - 1;
		if (vlen > 0 && *v == ' ') {
			v++;
			vlen--;
		}
	}
	if (namelen == 4 && memcmp(p, "data", 4) == 0) {
		if (s->any &&
		    append(&s->data, &s->dlen, &s->dcap, "\n", 1) == -1)
			return -1;
		s->any = 1;
		return append(&s->data, &s->dlen, &s->dcap, v, vlen);
	}
	if (namelen == 5 && memcmp(p, "event", 5) == 0) {
		/* No name that long means anything to us, but it must not be
		 * taken for a shorter one. */
		if (vlen >= sizeof(s->event))
			return -1;
		if (vlen > 0)
			memcpy(s->event, v, vlen);
		s->event[vlen] = '\0';
	} else if (namelen == 2 && memcmp(p, "id", 2) == 0) {
		if (vlen > 0 && memchr(v, '\0', vlen) != NULL)
			return 0;
		/* One too long to keep: there is none to resume from. */
		if (vlen >= sizeof(s->id))
			vlen = 0;
		if (vlen > 0)
			memcpy(s->id, v, vlen);
		s->id[vlen] = '\0';
	} else if (namelen == 5 && memcmp(p, "retry", 5) == 0)
		set_retry(s, v, vlen);
	return 0;
}

/* Digits only, or the field is ignored; beyond an hour it is an hour. */
static void
set_retry(struct sse *s, const char *v, size_t len)
{
	unsigned int ms = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (v[i] < '0' || v[i] > '9')
			return;
		if (ms < 3600 * 1000)
			ms = ms * 10 + (unsigned int)(v[i] - '0');
	}
	if (len > 0)
		s->retry = ms < 3600 * 1000 ? ms : 3600 * 1000;
}

/* Everything is reset first: the callback may free s. */
static int
dispatch(struct sse *s, int (*cb)(void *, const struct sse_event *), void *arg)
{
	struct sse_event ev;
	char name[sizeof(s->event)], id[sizeof(s->id)];
	int any = s->any, r;

	memcpy(name, s->event, sizeof(name));
	s->event[0] = '\0';
	if (!any)
		return 0;
	memcpy(id, s->id, sizeof(id));
	if (append(&s->data, &s->dlen, &s->dcap, "", 0) == -1)
		return -1;
	s->data[s->dlen] = '\0';

	ev.event = name[0] != '\0' ? name : "message";
	ev.id = id;
	ev.data = s->data;
	ev.len = s->dlen;
	s->dlen = 0;
	s->any = 0;
	if ((r = cb(arg, &ev)) != 0)
		return r;
	trim(&s->data, &s->dcap);
	return 0;
}

static void
trim(char **buf, size_t *cap)
{
	if (*cap > KEEP) {
		free(*buf);
		*buf = NULL;
		*cap = 0;
	}
}
