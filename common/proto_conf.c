/*
 * The config slices of proto.h, and what a stdio child is to be.
 */
#include "proto_def.h"

#define S kv
static const struct wire_field f_kv[] = {
    {STR(name, NAME_MAX_LEN)},
    {SECRET(value, KV_VALUE_MAX)},
};
#undef S
DEF(kv);

#define S conf_backend
static const struct wire_field f_conf_backend[] = {
    {U32(id)},
    {STR(name, WORD_MAX)},
    {SECRET(url, URL_MAX)},
    {STR(host, HOST_MAX)},
    {U16(port)},
    {STR(authority, HOST_MAX)},
    {SECRET(target, URL_MAX)},
    {VEC(headers, 32, &def_kv)},
    {U32(timeout)},
    {U32(max_time)},
    {STRV(allow, NAME_MAX_LEN, LIST_MAX)},
    {STRV(deny, NAME_MAX_LEN, LIST_MAX)},
    {U32(declare)},
    {U8(tls)},
    {STR(ca, PEM_MAX)},
    {STR(cert, PEM_MAX)},
    {SECRET(key, KEY_MAX)},
    {U8(stdio)},
    {U32(opening)},
};
#undef S
DEF(conf_backend);

#define S conf_stdio
static const struct wire_field f_conf_stdio[] = {
    {U32(id)},
    {STR(name, WORD_MAX)},
    {U8(instance)},
    {U32(max_instances)},
    {U32(idle)},
    {U32(start_timeout)},
    {U32(stop_timeout)},
    {U8(stopped)},
};
#undef S
DEF(conf_stdio);

#define S m_exec
static const struct wire_field f_m_exec[] = {
    {STR(name, WORD_MAX)},
    {STRV(argv, ARG_MAX_LEN, LIST_MAX)},
    {VEC(env, LIST_MAX, &def_kv)},
    {STR(cwd, PATH_MAX_LEN)},
    {STR(tmp, PATH_MAX_LEN)},
    {U8(root)},
    {U32(uid)},
    {U32(gid)},
    {U32V(groups, 64)},
    {STRV(program, PATH_MAX_LEN, 2)},
    {STRV(read, PATH_MAX_LEN, LIST_MAX)},
    {STRV(write, PATH_MAX_LEN, LIST_MAX)},
    {U8(lax)},
    {U8(network)},
    {U8(jit)},
    {U64(memory)},
    {U32(processes)},
    {U32(files)},
    {U32(cpu)},
};
#undef S
DEF(m_exec);

#define S conf_tls
static const struct wire_field f_conf_tls[] = {
    {STR(cert_at, URL_MAX)},
    {STR(key_at, URL_MAX)},
    {STR(cert, PEM_MAX)},
    {SECRET(key, KEY_MAX)},
};
#undef S
DEF(conf_tls);

#define S conf_endpoint
static const struct wire_field f_conf_endpoint[] = {
    {STR(path, URL_MAX)},
    {U32V(backends, LIST_MAX)},
    {U8(prefix)},
    {U8(noauth)},
    {STRV(users, NAME_MAX_LEN, LIST_MAX)},
};
#undef S
DEF(conf_endpoint);

#define S conf_web
static const struct wire_field f_conf_web[] = {
    {STR(issuer, URL_MAX)},
    {STRV(hosts, HOST_MAX, LIST_MAX)},
    {STRV(origins, HOST_MAX, LIST_MAX)},
    {STRV(trusted_proxies, ADDR_MAX, LIST_MAX)},
    {U32(session_ttl)},
    {U32(keepalive_timeout)},
    {U32(access_token_ttl)},
    {U32(body)},
    {U32(streams_per_user)},
    {U32(connections)},
    {U32(workers)},
    {U32(names_max)},
    {STR(separator, WORD_MAX)},
    {U8(registration)},
    {VEC(scopes, LIST_MAX, &def_kv)},
};
#undef S
DEF(conf_web);

#define S conf_keeper
static const struct wire_field f_conf_keeper[] = {
    {U32(session_ttl)},
    {U32(names_max)},
    {STR(separator, WORD_MAX)},
};
#undef S
DEF(conf_keeper);

#define S conf_auth
static const struct wire_field f_conf_auth[] = {
    {STR(issuer, URL_MAX)},
    {U32(access_token_ttl)},
    {U32(refresh_token_ttl)},
    {U32(refresh_max_age)},
    {U32(refresh_grace)},
    {U32(client_ttl)},
    {U32(session_ttl)},
    {U8(registration)},
    {STRV(private_use_schemes, WORD_MAX, LIST_MAX)},
    {STRV(http_redirect_hosts, HOST_MAX, LIST_MAX)},
    {SECRET(password, PASSWORD_MAX)},
    {VEC(scopes, LIST_MAX, &def_kv)},
    {U32(fail_count)},
    {U32(fail_window)},
    {U32(register_count)},
    {U32(register_window)},
};
#undef S
DEF(conf_auth);
