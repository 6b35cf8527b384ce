/*
 * initialize: a session is made of what the client says about itself. The
 * answer comes from the catalog; no backend is asked.
 */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "mcp.h"
#include "version.h"
#include "view.h"
#include "worker.h"

static void init_answer(struct request *, const struct json_span *,
    const struct session *, const char *);
static int init_session(struct session *, const struct request *,
    const struct proof *, struct rpc *);
static void init_free(struct session *);
static uint8_t init_class(const struct json_span *);
static void init_extensions(struct session *, const struct json_span *);
static char *init_string(const struct json_span *, const char *, size_t);
static void init_caps(struct json_buf *, uint32_t);

void
mcp_initialize(struct request *rq, const struct proof *proof, struct rpc *r)
{
	const struct json_span *v = rpc_param(r, "protocolVersion");
	struct session s;
	char *sealed;

	if (v == NULL || v->type != JSON_STRING) {
		mcp_error(
		    rq, 200, &r->id, RPC_PARAMS, "protocolVersion is missing");
		return;
	}
	/* Only in the first moments after a start. */
	if (!catalog_ready() && mcp_wait(rq))
		return;
	memset(&s, 0, sizeof(s));
	if (init_session(&s, rq, proof, r) == -1 ||
	    (sealed = session_seal(&s)) == NULL) {
		init_free(&s);
		reply_unavailable(rq, 1);
		return;
	}
	init_answer(rq, &r->id, &s, sealed);
	init_free(&s);
	free(sealed);
}

static int
init_session(struct session *s, const struct request *rq,
    const struct proof *proof, struct rpc *r)
{
	const struct json_span *v = rpc_param(r, "protocolVersion");
	const struct json_span *caps = rpc_param(r, "capabilities");
	const struct json_span *info = rpc_param(r, "clientInfo");
	char revision[16];

	if (json_decode(v, revision, sizeof(revision)) == -1 ||
	    !rpc_legacy_revision(revision, strlen(revision)))
		memcpy(revision, MCP_LATEST_LEGACY, sizeof(MCP_LATEST_LEGACY));
	s->revision = strdup(revision);
	s->subject = strdup(proof ? proof->sub : "");
	s->client = strdup(proof ? proof->client : "");
	s->endpoint = strdup(rq->endpoint->conf.path);
	s->client_name = init_string(info, "name", 64);
	s->client_version = init_string(info, "version", 32);
	s->class = project_class(project_of(revision), init_class(caps));
	init_extensions(s, caps);
	if (s->revision == NULL || s->subject == NULL || s->client == NULL ||
	    s->endpoint == NULL || s->client_name == NULL ||
	    s->client_version == NULL)
		return -1;
	return 0;
}

/* A string member, cut to max bytes between characters; "" if there is none. */
static char *
init_string(const struct json_span *object, const char *key, size_t max)
{
	struct json_span v;
	char *s;
	size_t n;

	if (object == NULL || object->type != JSON_OBJECT ||
	    json_member(object, key, &v) == -1 || (s = json_strdup(&v)) == NULL)
		return strdup("");
	if ((n = strlen(s)) > max) {
		for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;
		     n--)
			;
		s[n] = '\0';
	}
	return s;
}

static uint8_t
init_class(const struct json_span *caps)
{
	struct json_span v, w;
	uint8_t class = 0;

	if (caps == NULL || caps->type != JSON_OBJECT)
		return 0;
	if (json_member(caps, "sampling", &v) == 0 && v.type == JSON_OBJECT) {
		class |= DECLARE_SAMPLING;
		if (json_member(&v, "tools", &w) == 0)
			class |= DECLARE_TOOLS;
		if (json_member(&v, "context", &w) == 0)
			class |= DECLARE_CONTEXT;
	}
	if (json_member(caps, "roots", &v) == 0 && v.type == JSON_OBJECT) {
		class |= DECLARE_ROOTS;
		if (json_member(&v, "listChanged", &w) == 0 &&
		    w.type == JSON_TRUE)
			class |= DECLARE_CHANGES;
	}
	if (json_member(caps, "elicitation", &v) == 0 &&
	    v.type == JSON_OBJECT) {
		if (json_member(&v, "url", &w) == 0)
			class |= DECLARE_URL;
		/* {} is form mode, as it was before there were modes. */
		if (json_member(&v, "form", &w) == 0 || !(class & DECLARE_URL))
			class |= DECLARE_FORM;
	}
	return class;
}

static void
init_extensions(struct session *s, const struct json_span *caps)
{
	struct json_span ext, k, v;
	char name[65];
	size_t pos = 0;

	if (caps == NULL || caps->type != JSON_OBJECT ||
	    json_member(caps, "extensions", &ext) == -1 ||
	    ext.type != JSON_OBJECT)
		return;
	while (s->extensions.n < 8 && json_next(&ext, &pos, &k, &v))
		if (json_decode(&k, name, sizeof(name)) > 0)
			(void)strv_add(&s->extensions, name);
}

static void
init_free(struct session *s)
{
	free(s->subject);
	free(s->client);
	free(s->endpoint);
	free(s->revision);
	free(s->client_name);
	free(s->client_version);
	strv_free(&s->extensions);
}

/* What a backend that has not been seen yet may bring is announced too: an empty
 * list does no harm, a capability that appears in mid-session is never
 * noticed. */
static void
init_caps(struct json_buf *b, uint32_t caps)
{
	json_puts(b, "{\"tools\":{\"listChanged\":true}");
	if (caps & CAP_PROMPTS)
		json_puts(b, ",\"prompts\":{\"listChanged\":true}");
	if (caps & CAP_RESOURCES) {
		json_puts(b, ",\"resources\":{\"listChanged\":true");
		json_puts(
		    b, caps & CAP_SUBSCRIBE ? ",\"subscribe\":true}" : "}");
	}
	if (caps & CAP_COMPLETIONS)
		json_puts(b, ",\"completions\":{}");
	if (caps & CAP_LOGGING)
		json_puts(b, ",\"logging\":{}");
	json_puts(b, "}");
}

static void
init_answer(struct request *rq, const struct json_span *id,
    const struct session *s, const char *sealed)
{
	struct view *v = view_get(rq->endpoint, s->class);
	struct json_buf b = {0}, text = {0};

	if (v != NULL)
		view_instructions(v, &text);
	json_puts(&b, "{\"protocolVersion\":");
	json_putstr(&b, s->revision);
	json_puts(&b, ",\"capabilities\":");
	init_caps(&b, v == NULL ? CAP_ANY : view_caps(v));
	json_puts(&b, ",\"serverInfo\":{\"name\":\"mcpgwd\",\"version\":"
		      "\"" MCPGWD_VERSION "\"}");
	if (text.len > 0) {
		json_puts(&b, ",\"instructions\":");
		json_putstrn(&b, text.p, text.len);
	}
	json_puts(&b, "}");
	reply_header(rq, "Mcp-Session-Id", sealed);
	if (b.err || text.err)
		reply_unavailable(rq, 1);
	else
		mcp_result(rq, id, b.p, b.len);
	json_buf_free(&b);
	json_buf_free(&text);
}
