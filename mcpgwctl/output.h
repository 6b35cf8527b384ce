#ifndef OUTPUT_H
#define OUTPUT_H

/*
 * What mcpgwctl prints: aligned tables, or JSON that scripts can rely on.
 */
#include "proto.h"

struct output; /* rows until the end is known */

struct output *output_new(int json);
/* Copies the row. -1 if memory is out. */
int output_row(struct output *, const struct ctl_row *);
/* The rows that follow say more of those that there are: they belong to the one
 * that begins with the same value. */
void output_more(struct output *);
/* Prints everything: rows, then the message. table: this verb shows rows, so
 * that JSON is an array even when there are none. */
void output_end(struct output *, int table, int failed, const char *message);
void output_free(struct output *);

#endif
