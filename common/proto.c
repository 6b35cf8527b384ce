/*
 * One description per struct of proto.h: field, kind, and the most it may
 * hold. A limit here is the last line of defence between processes; whoever
 * fills a struct has narrower ones where the protocol asks for them.
 */
#include "compat.h"
#include "proto_def.h"

/* ---- master and its children ---- */

#define S m_start
static const struct wire_field f_m_start[] = {
    {U32(version)},
    {U8(role)},
    {U8(debug)},
    {U8(json)},
    {U8(root)},
    {U32(loglevel)},
    {U32(uid)},
    {U32(gid)},
    {U64(worker)},
    {U32(gen)},
    {STR(jail, URL_MAX)},
    {STR(state, URL_MAX)},
};
#undef S
DEF(m_start);

#define S m_channel
static const struct wire_field f_m_channel[] = {
    {U8(role)},
    {U64(worker)},
    {U32(gen)},
};
#undef S
DEF(m_channel);

#define S m_gen
static const struct wire_field f_m_gen[] = {
    {U32(gen)},
};
#undef S
DEF(m_gen);

#define S m_prepared
static const struct wire_field f_m_prepared[] = {
    {U32(gen)},
    {STR(error, TEXT_MAX)},
};
#undef S
DEF(m_prepared);

#define S m_listener
static const struct wire_field f_m_listener[] = {
    {U8(loopback)},
    {U16(port)},
    {U16(tls)},
    {STR(address, HOST_MAX)},
};
#undef S
DEF(m_listener);

#define S m_drain
static const struct wire_field f_m_drain[] = {
    {U32(seconds)},
    {U8(streams)},
    {U8(stop)},
};
#undef S
DEF(m_drain);

#define S m_reaped
static const struct wire_field f_m_reaped[] = {
    {U64(worker)},
};
#undef S
DEF(m_reaped);

#define S m_loglevel
static const struct wire_field f_m_loglevel[] = {
    {U32(level)},
};
#undef S
DEF(m_loglevel);

#define S m_badpeer
static const struct wire_field f_m_badpeer[] = {
    {U8(role)},
    {U64(worker)},
    {STR(why, TEXT_MAX)},
};
#undef S
DEF(m_badpeer);

#define S m_spawn
static const struct wire_field f_m_spawn[] = {
    {U32(backend)},
    {U64(child)},
};
#undef S
DEF(m_spawn);

#define S m_child
static const struct wire_field f_m_child[] = {
    {U64(child)},
    {U32(pid)},
    {U32(uid)},
};
#undef S
DEF(m_child);

#define S m_child_kill
static const struct wire_field f_m_child_kill[] = {
    {U64(child)},
    {U8(hard)},
};
#undef S
DEF(m_child_kill);

#define S m_exited
static const struct wire_field f_m_exited[] = {
    {U64(child)},
    {U32(status)},
    {STR(error, TEXT_MAX)},
};
#undef S
DEF(m_exited);

/* ---- worker and authd ---- */

#define S a_signkey
static const struct wire_field f_a_signkey[] = {
    {STR(kid, WORD_MAX)},
    {FIXED(x)},
    {FIXED(y)},
};
#undef S
DEF(a_signkey);

#define S a_clock
static const struct wire_field f_a_clock[] = {
    {I64(now)},
};
#undef S
DEF(a_clock);

#define S a_sealkey
static const struct wire_field f_a_sealkey[] = {
    {U32(kid)},
    {U8(current)},
    {FIXED(key)},
};
#undef S
DEF(a_sealkey);

#define S a_revoked
static const struct wire_field f_a_revoked[] = {
    {U64(n)},
    {U8(kind)},
    {FIXED(id)},
    {I64(until)},
};
#undef S
DEF(a_revoked);

#define S a_ack
static const struct wire_field f_a_ack[] = {
    {U64(n)},
};
#undef S
DEF(a_ack);

#define S a_register
static const struct wire_field f_a_register[] = {
    {STR(addr, ADDR_MAX)},
    {STR(name, TEXT_MAX)},
    {STRV(redirect_uris, URL_MAX, URIS_MAX)},
    {STR(auth_method, WORD_MAX)},
    {STR(application_type, WORD_MAX)},
    {STR(client_uri, URL_MAX)},
    {STR(scope, SCOPE_MAX)},
    {U8(grants)},
};
#undef S
DEF(a_register);

#define S a_registered
static const struct wire_field f_a_registered[] = {
    {STR(error, WORD_MAX)},
    {STR(description, TEXT_MAX)},
    {U32(retry_after)},
    {STR(client_id, NAME_MAX_LEN)},
    {SECRET(client_secret, TOKEN_MAX)},
    {I64(issued_at)},
    {STR(name, TEXT_MAX)},
    {STRV(redirect_uris, URL_MAX, URIS_MAX)},
    {STR(auth_method, WORD_MAX)},
    {STR(application_type, WORD_MAX)},
    {STR(client_uri, URL_MAX)},
    {STR(scope, SCOPE_MAX)},
    {U8(grants)},
};
#undef S
DEF(a_registered);

#define S a_authorize
static const struct wire_field f_a_authorize[] = {
    {STR(addr, ADDR_MAX)},
    {SECRET(cookie, COOKIE_MAX)},
    {STR(response_type, NAME_MAX_LEN)},
    {STR(client_id, URL_MAX)},
    {STR(redirect_uri, URL_MAX)},
    {STR(scope, SCOPE_MAX)},
    {STR(state, STATE_MAX)},
    {STR(challenge, NAME_MAX_LEN)},
    {STR(challenge_method, WORD_MAX)},
    {STR(prompt, NAME_MAX_LEN)},
    {STR(response_mode, WORD_MAX)},
    {STRV(resources, URL_MAX, URIS_MAX)},
    {U8(has_request)},
};
#undef S
DEF(a_authorize);

#define S a_form
static const struct wire_field f_a_form[] = {
    {STR(addr, ADDR_MAX)},
    {SECRET(cookie, COOKIE_MAX)},
    {SECRET(txn, NAME_MAX_LEN)},
    {SECRET(csrf, NAME_MAX_LEN)},
    {STR(user, NAME_MAX_LEN)},
    {SECRET(password, PASSWORD_MAX)},
    {STR(decision, WORD_MAX)},
};
#undef S
DEF(a_form);

#define S a_page
static const struct wire_field f_a_page[] = {
    {U8(kind)},
    {SECRET(txn, NAME_MAX_LEN)},
    {SECRET(csrf, NAME_MAX_LEN)},
    {SECRET(set_cookie, COOKIE_MAX)},
    {STR(client_id, URL_MAX)},
    {STR(client_name, TEXT_MAX)},
    {I64(registered)},
    {I64(approved)},
    {STR(user, NAME_MAX_LEN)},
    {STR(scope, SCOPE_MAX)},
    {STR(redirect_uri, URL_MAX)},
    {U8(device)},
    {U8(no_password)},
    {STR(notice, WORD_MAX)},
    {U32(retry_after)},
    {SECRET(code, TOKEN_MAX)},
    {STR(state, STATE_MAX)},
    {STR(error, WORD_MAX)},
    {STR(description, TEXT_MAX)},
};
#undef S
DEF(a_page);

#define S a_token
static const struct wire_field f_a_token[] = {
    {STR(addr, ADDR_MAX)},
    {STR(grant_type, NAME_MAX_LEN)},
    {U8(method)},
    {STR(client_id, URL_MAX)},
    {SECRET(secret, TOKEN_MAX)},
    {STR(client_id2, URL_MAX)},
    {SECRET(secret2, TOKEN_MAX)},
    {SECRET(code, TOKEN_MAX)},
    {STR(redirect_uri, URL_MAX)},
    {SECRET(verifier, NAME_MAX_LEN)},
    {SECRET(refresh_token, TOKEN_MAX)},
    {STR(scope, SCOPE_MAX)},
    {STRV(resources, URL_MAX, URIS_MAX)},
};
#undef S
DEF(a_token);

#define S a_tokens
static const struct wire_field f_a_tokens[] = {
    {U16(status)},
    {STR(error, WORD_MAX)},
    {STR(description, TEXT_MAX)},
    {U32(retry_after)},
    {SECRET(access_token, TOKEN_MAX)},
    {SECRET(refresh_token, TOKEN_MAX)},
    {STR(scope, SCOPE_MAX)},
    {U32(expires_in)},
};
#undef S
DEF(a_tokens);

#define S a_revoke
static const struct wire_field f_a_revoke[] = {
    {STR(addr, ADDR_MAX)},
    {U8(method)},
    {STR(client_id, URL_MAX)},
    {SECRET(secret, TOKEN_MAX)},
    {STR(client_id2, URL_MAX)},
    {SECRET(secret2, TOKEN_MAX)},
    {SECRET(token, TOKEN_MAX)},
};
#undef S
DEF(a_revoke);

#define S a_done
static const struct wire_field f_a_done[] = {
    {U16(status)},
    {STR(error, WORD_MAX)},
};
#undef S
DEF(a_done);

#define S a_used
static const struct wire_field f_a_used[] = {
    {FIXED(gid)},
    {U32(n)},
};
#undef S
DEF(a_used);

/* ---- authd and its hashers ---- */

#define S p_check
static const struct wire_field f_p_check[] = {
    {SECRET(hash, HASH_MAX)},
    {SECRET(password, PASSWORD_MAX)},
};
#undef S
DEF(p_check);

#define S p_result
static const struct wire_field f_p_result[] = {
    {U8(ok)},
    {SECRET(hash, HASH_MAX)},
};
#undef S
DEF(p_result);

/* ---- worker, keeper, resolver ---- */

#define S k_catalog
static const struct wire_field f_k_catalog[] = {
    {U64(version)},
    {U32(size)},
};
#undef S
DEF(k_catalog);

#define S k_class
static const struct wire_field f_k_class[] = {
    {U8(class)},
};
#undef S
DEF(k_class);

#define S k_addr
static const struct wire_field f_k_addr[] = {
    {U8(family)},
    {FIXED(addr)},
};
#undef S
DEF(k_addr);

#define S k_addrs
static const struct wire_field f_k_addrs[] = {
    {U32(backend)},
    {U16(port)},
    {VEC(addrs, 64, &def_k_addr)},
};
#undef S
DEF(k_addrs);

#define S r_resolve
static const struct wire_field f_r_resolve[] = {
    {U32(backend)},
    {STR(host, HOST_MAX)},
    {U16(port)},
};
#undef S
DEF(r_resolve);

#define S k_lease
static const struct wire_field f_k_lease[] = {
    {FIXED(nonce)},
    {U32(backend)},
    {U8(class)},
    {SECRET(stale, ID_MAX)},
    {SECRET(session, ID_MAX)},
    {STR(revision, WORD_MAX)},
};
#undef S
DEF(k_lease);

#define S k_session
static const struct wire_field f_k_session[] = {
    {U8(leased)},
    {U8(failed)},
    {SECRET(session, ID_MAX)},
    {STR(revision, WORD_MAX)},
    {STR(level, WORD_MAX)},
    {STRV(uris, URL_MAX, 64)},
};
#undef S
DEF(k_session);

#define S k_claim
static const struct wire_field f_k_claim[] = {
    {FIXED(nonce)},
    {U64(stream)},
    {U64(begun)},
};
#undef S
DEF(k_claim);

#define S k_soft
static const struct wire_field f_k_soft[] = {
    {FIXED(nonce)},
    {STR(level, WORD_MAX)},
    {U32(backend)},
    {STR(uri, URL_MAX)},
    {U8(on)},
};
#undef S
DEF(k_soft);

#define S k_resume
static const struct wire_field f_k_resume[] = {
    {U64(worker)},
    {FIXED(nonce)},
    {FIXED(gid)},
    {FIXED(jti)},
    {I64(exp)},
    {U64(stream)},
    {U64(seq)},
};
#undef S
DEF(k_resume);

#define S k_end
static const struct wire_field f_k_end[] = {
    {FIXED(nonce)},
};
#undef S
DEF(k_end);

#define S k_trouble
static const struct wire_field f_k_trouble[] = {
    {U32(backend)},
    {U8(unreachable)},
    {STR(why, TEXT_MAX)},
};
#undef S
DEF(k_trouble);

#define S k_count
static const struct wire_field f_k_count[] = {
    {U32(backend)},
    {U64(failures)},
    {U64(dropped)},
    {STR(why, TEXT_MAX)},
    {I64(when)},
};
#undef S
DEF(k_count);

#define S k_relay
static const struct wire_field f_k_relay[] = {
    {U8(kind)},
    {U64(worker)},
    {FIXED(nonce)},
    {BLOB(id, ID_MAX)},
    {U32(size)},
    {BLOB(body, N_INLINE)},
};
#undef S
DEF(k_relay);

/* ---- worker or keeper, and runner ---- */

#define S n_open
static const struct wire_field f_n_open[] = {
    {U32(backend)},
    {U8(class)},
    {FIXED(nonce)},
    {STR(subject, NAME_MAX_LEN)},
};
#undef S
DEF(n_open);

#define S n_opened
static const struct wire_field f_n_opened[] = {
    {STR(error, TEXT_MAX)},
    {STR(session, WORD_MAX)},
    {STR(revision, WORD_MAX)},
    {BLOB(result, RESULT_MAX)},
};
#undef S
DEF(n_opened);

#define S n_send
static const struct wire_field f_n_send[] = {
    {U32(backend)},
    {U8(method)},
    {STR(session, WORD_MAX)},
    {U32(size)},
    {BLOB(body, N_INLINE)},
};
#undef S
DEF(n_send);

#define S n_message
static const struct wire_field f_n_message[] = {
    {U32(size)},
    {BLOB(body, N_INLINE)},
};
#undef S
DEF(n_message);

#define S n_done
static const struct wire_field f_n_done[] = {
    {U8(end)},
    {STR(why, TEXT_MAX)},
};
#undef S
DEF(n_done);

/* ---- mcpgwctl ---- */

#define S ctl_req
static const struct wire_field f_ctl_req[] = {
    {U32(version)},
    {U8(verb)},
    {STRV(args, CELL_MAX, ROW_MAX)},
    {SECRET(secret, TOKEN_MAX)},
};
#undef S
DEF(ctl_req);

#define S ctl_row
static const struct wire_field f_ctl_row[] = {
    {STRV(names, NAME_MAX_LEN, ROW_MAX)},
    {STRV(values, CELL_MAX, ROW_MAX)},
};
#undef S
DEF(ctl_row);

#define S ctl_end
static const struct wire_field f_ctl_end[] = {
    {U8(failed)},
    {STR(message, CELL_MAX)},
};
#undef S
DEF(ctl_end);

const struct msgdef *const proto_defs[] = {
    &def_m_start,
    &def_m_channel,
    &def_m_gen,
    &def_m_prepared,
    &def_m_listener,
    &def_m_drain,
    &def_m_reaped,
    &def_m_loglevel,
    &def_m_badpeer,
    &def_kv,
    &def_conf_backend,
    &def_conf_endpoint,
    &def_conf_web,
    &def_conf_keeper,
    &def_conf_auth,
    &def_conf_tls,
    &def_a_signkey,
    &def_a_sealkey,
    &def_a_revoked,
    &def_a_ack,
    &def_a_clock,
    &def_a_register,
    &def_a_registered,
    &def_a_authorize,
    &def_a_form,
    &def_a_page,
    &def_a_token,
    &def_a_tokens,
    &def_a_revoke,
    &def_a_done,
    &def_a_used,
    &def_p_check,
    &def_p_result,
    &def_k_catalog,
    &def_k_class,
    &def_k_addr,
    &def_k_addrs,
    &def_r_resolve,
    &def_k_lease,
    &def_k_session,
    &def_k_claim,
    &def_k_soft,
    &def_k_resume,
    &def_k_end,
    &def_k_trouble,
    &def_k_count,
    &def_k_relay,
    &def_m_spawn,
    &def_m_child,
    &def_m_child_kill,
    &def_m_exited,
    &def_m_exec,
    &def_conf_stdio,
    &def_n_open,
    &def_n_opened,
    &def_n_send,
    &def_n_message,
    &def_n_done,
    &def_ctl_req,
    &def_ctl_row,
    &def_ctl_end,
    NULL,
};

const char *
role_name(uint8_t role)
{
	static const char *const names[] = {
	    [ROLE_MASTER] = "master",
	    [ROLE_WORKER] = "worker",
	    [ROLE_KEEPER] = "keeper",
	    [ROLE_RESOLVER] = "resolver",
	    [ROLE_AUTHD] = "authd",
	    [ROLE_HASHER] = "hasher",
	    [ROLE_CTL] = "mcpgwctl",
	    [ROLE_CHECKER] = "checker",
	    [ROLE_RUNNER] = "runner",
	    [ROLE_NANNY] = "nanny",
	};

	return role < NELEM(names) ? names[role] : "unknown";
}
