#ifndef PROTO_DEF_H
#define PROTO_DEF_H

/* How proto.c and proto_conf.c describe a struct, and the limits of its
 * fields; nobody else includes this. */
#include <stddef.h>

#include "proto.h"

#define NAME_MAX_LEN 256
#define TEXT_MAX     1024 /* messages for people */
#define URL_MAX      2048 /* URLs, redirect URIs, paths */
#define SCOPE_MAX    1024
#define STATE_MAX    4096 /* OAuth state, echoed */
#define TOKEN_MAX    4096 /* tokens, client secrets as sent by a client */
#define COOKIE_MAX   256
#define HASH_MAX     512
#define WORD_MAX     64 /* grant_type and other words of a protocol */
#define ADDR_MAX     64 /* an address as text */
#define HOST_MAX     256
#define ID_MAX       1024 /* JSON-RPC id as raw JSON; session ids */
#define KV_VALUE_MAX 8192
#define URIS_MAX     32 /* redirect URIs, resources */
#define LIST_MAX     256 /* hosts, users, globs, backends */
#define ROW_MAX      64 /* columns of a table of mcpgwctl */
#define CELL_MAX     4096
#define PEM_MAX      (64 * 1024) /* certificates */
#define KEY_MAX      (16 * 1024) /* a private key */
#define ARG_MAX_LEN  8192 /* an argument of a command */
#define PATH_MAX_LEN 1024
#define RESULT_MAX   (256 * 1024) /* an InitializeResult */

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* One field of struct S, which each table names first. */
#define AT(m)              offsetof(struct S, m)
#define U8(m)              W_U8, AT(m), 0, 0, NULL
#define U16(m)             W_U16, AT(m), 0, 0, NULL
#define U32(m)             W_U32, AT(m), 0, 0, NULL
#define U64(m)             W_U64, AT(m), 0, 0, NULL
#define I64(m)             W_I64, AT(m), 0, 0, NULL
#define FIXED(m)           W_FIXED, AT(m), sizeof(((struct S *)0)->m), 0, NULL
#define STR(m, max)        W_STR, AT(m), max, 0, NULL
#define SECRET(m, max)     W_SECRET, AT(m), max, 0, NULL
#define STRV(m, max, maxn) W_STRV, AT(m), max, maxn, NULL
#define U32V(m, maxn)      W_U32V, AT(m), 0, maxn, NULL
#define BLOB(m, max)       W_BLOB, AT(m), max, 0, NULL
#define VEC(m, maxn, sub)  W_VEC, AT(m), 0, maxn, sub
#define DEF(s)                          \
	const struct msgdef def_##s = { \
	    #s, sizeof(struct s), f_##s, NELEM(f_##s)}

#endif
