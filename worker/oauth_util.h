#ifndef OAUTH_UTIL_H
#define OAUTH_UTIL_H

/*
 * What the OAuth endpoints share: reading their parameters, asking authd, and
 * the names this gateway goes by.
 */
#include <stddef.h>
#include <stdint.h>

#include "form.h"
#include "wire.h"

struct request;

/* Cache-Control and Pragma of RFC 6749 5.1 for the next reply; call once. */
void oauth_no_store(struct request *);
/* Retry-After for the next reply; 0 becomes 1. */
void oauth_retry_after(struct request *, uint32_t seconds);
/* Is the media type of Content-Type this one (parameters ignored)? */
int oauth_content_is(const struct request *, const char *type);

/* The issuer without its scheme. */
const char *oauth_host(void);

/* As form_get; the value stays the form's. */
char *oauth_param(const struct form *, const char *name);
/*
 * Parameters of a form body. 0, and form_free is due; or -1 when the answer
 * (RFC 6749 5.2 JSON) has been given. Either way the reply is no-store.
 */
int oauth_form(struct request *, struct form *);
/*
 * All values of resource, with other names of this gateway replaced by the
 * issuer, so that one audience stands for each endpoint. -1 if memory is out.
 */
int oauth_resources(const struct request *, const struct form *, struct strv *);

/* Overwrites the body, once it has been decoded. */
void oauth_wipe_body(struct request *);

/* Client authentication of RFC 6749 2.3.1. The strings are the form's or in
 * store. */
struct client_auth {
	uint8_t method; /* CAUTH_* */
	char *id;
	char *secret;
	char *id2; /* Basic: the form-decoded reading, where it differs */
	char *secret2;
	char *store;
	size_t size;
	char *store_id, *store_secret; /* id2, secret2 when ours */
};
/* 0, or -1 when the answer has been given. */
int oauth_client(struct request *, const struct form *, struct client_auth *);
void oauth_client_free(struct client_auth *);
/* Did the client use Basic? Then a 401 names it. */
int oauth_used_basic(const struct request *);

/* Does every field keep the limits of its description? authd is never sent
 * what it would take for a broken contract. */
int oauth_fits(const struct msgdef *, const void *msg);
/*
 * Asks authd; answer is called with its message, or NULL when authd is away,
 * and must reply. Nothing is called any more once the client has gone. -1
 * when nothing could be sent: the caller replies.
 */
int oauth_ask(struct request *, uint32_t type, const struct msgdef *,
    const void *msg, void (*answer)(struct request *, void *));

#endif
