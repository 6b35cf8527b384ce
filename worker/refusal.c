/*
 * Refusals.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "refusal.h"
#include "utf8.h"

#define MAX_MESSAGE 2048

static int mentions(const char *, size_t, const char *);

void
refusal_read(struct refusal *f, const struct upreq *r, int status)
{
	const struct json_member *m;
	const char *why;
	int code;

	memset(f, 0, sizeof(*f));
	f->status = status;
	f->text = upreq_refusal(r, &f->len);
	if (f->text == NULL)
		return;
	/* One without an id, or with null, is no message and usual here. */
	if (rpc_scan(&f->rpc, f->text, f->len, &code, &why) == RPC_RESPONSE)
		f->whole = f->rpc.error != NULL;
	else if (code == RPC_PARSE)
		return;
	m = json_get(&f->rpc.doc, 0, "error");
	if (m != NULL && m->val.type == JSON_OBJECT)
		f->error = m->val;
	else
		f->whole = 0;
}

static int
mentions(const char *p, size_t len, const char *word)
{
	size_t n = strlen(word), i;

	for (i = 0; i + n <= len; i++)
		if (strncasecmp(p + i, word, n) == 0)
			return 1;
	return 0;
}

int
refusal_session(const struct refusal *f)
{
	return f->status == 404 ||
	       (f->status == 400 &&
		   (f->len == 0 || mentions(f->text, f->len, "session")));
}

void
refusal_say(const struct refusal *f, char *dst, size_t size)
{
	char message[MAX_MESSAGE];
	struct json_span v;
	size_t n, room, used = 0;
	ssize_t len;

	n = snprintf(dst, size, "answered HTTP status %d", f->status);
	if (f->error.type == JSON_NONE || n + 3 >= size ||
	    json_member(&f->error, "message", &v) == -1 ||
	    (len = json_decode(&v, message, sizeof(message))) <= 0)
		return;
	room = size - n - 3;
	while (used < (size_t)len &&
	       used + utf8_seq(message + used, len - used) <= room)
		used += utf8_seq(message + used, len - used);
	snprintf(dst + n, size - n, ": %.*s", (int)used, message);
}
