/*
 * Rows as text or JSON. Names and texts come from backends: nothing of them
 * reaches the terminal unescaped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compat.h"
#include "json.h"
#include "log.h"
#include "output.h"

#define CELL_WIDTH 1024

struct output {
	int json;
	struct ctl_row *rows;
	size_t n, cap;
	size_t own; /* those before output_more */
	int more; /* it has been called */
};

static size_t width(const char *);
static const char *heading(const char *);
static int same_names(const struct ctl_row *, const struct ctl_row *);
static void print_line(const struct ctl_row *, int, const size_t *);
static void print_table(const struct ctl_row *, size_t);
static void put_value(struct json_buf *, const char *, const char *);
static void put_members(struct json_buf *, const struct ctl_row *, uint32_t);
static void put_children(
    struct json_buf *, const struct output *, const struct ctl_row *);
static void print_json(const struct output *, int, int, const char *);
static void put_notice(struct json_buf *, size_t, const char *);

struct output *
output_new(int json)
{
	struct output *o;

	o = xcalloc(1, sizeof *o);
	o->json = json;
	return o;
}

void
output_free(struct output *o)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		wire_free(&def_ctl_row, &o->rows[i]);
	free(o->rows);
	free(o);
}

int
output_row(struct output *o, const struct ctl_row *row)
{
	if (row->names.n != row->values.n)
		return 0;
	if (o->n == o->cap) {
		o->cap = o->cap == 0 ? 64 : o->cap * 2;
		o->rows = xrealloc(o->rows, o->cap * sizeof *o->rows);
	}
	if (wire_copy(&def_ctl_row, &o->rows[o->n], row) == -1)
		return -1;
	o->n++;
	return 0;
}

void
output_more(struct output *o)
{
	o->own = o->n;
	o->more = 1;
}

/* ---- text ---- */

/* Characters, not bytes. */
static size_t
width(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static const char *
heading(const char *name)
{
	return *name == '#' || *name == '?' || *name == '@' ? name + 1 : name;
}

/* UTC: such a table is also shown to others. */
static const char *
date(const char *seconds, char *buf, size_t size)
{
	time_t t = (time_t)strtoll(seconds, NULL, 10);
	struct tm tm;

	if (*seconds == '\0' || gmtime_r(&t, &tm) == NULL ||
	    strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return seconds;
	return buf;
}

static const char *
cell(const struct ctl_row *row, uint32_t i, int head, char *buf)
{
	const char *s = head ? heading(row->names.v[i]) : row->values.v[i];
	char when[64];

	if (!head && *row->names.v[i] == '@')
		s = date(s, when, sizeof when);
	log_escape(buf, CELL_WIDTH, s, strlen(s));
	if (*buf == '\0')
		(void)strlcpy(buf, "-", CELL_WIDTH);
	return buf;
}

static int
same_names(const struct ctl_row *a, const struct ctl_row *b)
{
	uint32_t i;

	if (a->names.n != b->names.n)
		return 0;
	for (i = 0; i < a->names.n; i++)
		if (strcmp(a->names.v[i], b->names.v[i]) != 0)
			return 0;
	return 1;
}

static void
print_line(const struct ctl_row *row, int head, const size_t *widths)
{
	char buf[CELL_WIDTH];
	const char *s;
	uint32_t i;
	int pad;

	for (i = 0; i < row->names.n; i++) {
		s = cell(row, i, head, buf);
		pad = (int)(widths[i] - width(s));
		if (*row->names.v[i] == '#')
			printf("%*s%s", pad, "", s);
		else if (i + 1 < row->names.n)
			printf("%s%*s", s, pad, "");
		else
			printf("%s", s);
		printf("%s", i + 1 < row->names.n ? "  " : "\n");
	}
}

static void
print_table(const struct ctl_row *rows, size_t n)
{
	char buf[CELL_WIDTH];
	size_t *widths, r, w;
	uint32_t i;

	widths = xcalloc(rows->names.n + 1, sizeof *widths);
	for (i = 0; i < rows->names.n; i++) {
		widths[i] = width(cell(&rows[0], i, 1, buf));
		for (r = 0; r < n; r++)
			if ((w = width(cell(&rows[r], i, 0, buf))) > widths[i])
				widths[i] = w;
	}
	print_line(&rows[0], 1, widths);
	for (r = 0; r < n; r++)
		print_line(&rows[r], 0, widths);
	free(widths);
}

/* ---- JSON ---- */

static int
is_number(const char *s)
{
	size_t n;

	if (*s == '-')
		s++;
	n = strspn(s, "0123456789");
	if (n == 0 || (n > 1 && *s == '0'))
		return 0;
	if (s[n] == '.' && s[n + 1] != '\0') {
		s += n + 1;
		n = strspn(s, "0123456789");
	}
	return s[n] == '\0';
}

static void
put_value(struct json_buf *b, const char *name, const char *value)
{
	if (*name == '#' || *name == '@')
		json_puts(b, is_number(value) ? value : "null");
	else if (*name == '?')
		json_puts(b, strcmp(value, "true") == 0 ? "true" : "false");
	else
		json_putstr(b, value);
}

/* Those of a row from column `from` on. */
static void
put_members(struct json_buf *b, const struct ctl_row *row, uint32_t from)
{
	uint32_t i;

	for (i = from; i < row->names.n; i++) {
		if (i > from)
			json_puts(b, ",");
		json_putstr(b, heading(row->names.v[i]));
		json_puts(b, ":");
		put_value(b, row->names.v[i], row->values.v[i]);
	}
}

/* The further rows that begin with the same value. */
static void
put_children(
    struct json_buf *b, const struct output *o, const struct ctl_row *row)
{
	const struct ctl_row *r;
	int n = 0;

	for (r = o->rows + o->own; r < o->rows + o->n; r++) {
		if (r->names.n == 0 || row->names.n == 0 ||
		    strcmp(r->values.v[0], row->values.v[0]) != 0)
			continue;
		json_puts(b, n++ > 0 ? ",{" : ",\"children\":[{");
		put_members(b, r, 1);
		json_puts(b, "}");
	}
	if (n > 0)
		json_puts(b, "]");
}

/* What is to be said of a table is its last row. */
static void
put_notice(struct json_buf *b, size_t rows, const char *message)
{
	json_puts(b, rows > 0 ? ",\n {\"notice\":" : "{\"notice\":");
	json_putstr(b, message);
	json_puts(b, "}");
}

static void
print_json(const struct output *o, int table, int failed, const char *message)
{
	struct json_buf b;
	size_t r, n = o->more ? o->own : o->n;
	char *text;

	memset(&b, 0, sizeof b);
	if (!table || failed) {
		json_puts(&b, failed ? "{\"ok\":false,\"message\":"
				     : "{\"ok\":true,\"message\":");
		json_putstr(&b, message);
		json_puts(&b, "}");
	} else {
		json_puts(&b, "[");
		for (r = 0; r < n; r++) {
			json_puts(&b, r > 0 ? ",\n {" : "{");
			put_members(&b, &o->rows[r], 0);
			if (o->more)
				put_children(&b, o, &o->rows[r]);
			json_puts(&b, "}");
		}
		if (*message != '\0')
			put_notice(&b, n, message);
		json_puts(&b, "]");
	}
	text = json_buf_take(&b, NULL);
	if (text == NULL)
		fatalx("out of memory");
	printf("%s\n", text);
	free(text);
}

/* A message may have several lines; each is escaped by itself. */
static void
print_message(FILE *f, const char *message)
{
	char buf[4 * CELL_WIDTH];
	size_t n;

	while (*message != '\0') {
		n = strcspn(message, "\n");
		log_escape(buf, sizeof buf, message, n);
		fprintf(f, "%s\n", buf);
		message += n + (message[n] == '\n');
	}
}

void
output_end(struct output *o, int table, int failed, const char *message)
{
	size_t from, to;

	if (o->json) {
		print_json(o, table, failed, message);
		return;
	}
	for (from = 0; from < o->n; from = to) {
		for (to = from + 1; to < o->n; to++)
			if (!same_names(&o->rows[from], &o->rows[to]))
				break;
		if (from > 0)
			printf("\n");
		if (o->rows[from].names.n > 0)
			print_table(&o->rows[from], to - from);
	}
	print_message(failed ? stderr : stdout, message);
}
