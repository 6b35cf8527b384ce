/*
 * What the keeper remembers of client sessions: log level and resources
 * watched, given back when an upstream session is made anew.
 */
#include <stdlib.h>
#include <string.h>

#include "../../worker/soft.h"
#include "test.h"

static void watch(const uint8_t *, uint32_t, const char *, uint8_t);
static uint32_t watched(const uint8_t *, uint32_t, const char **);

static void
watch(const uint8_t *nonce, uint32_t backend, const char *uri, uint8_t on)
{
	struct k_soft m;
	char text[64];

	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, nonce, ID_LEN);
	strncpy(text, uri, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	m.backend = backend;
	m.uri = text;
	m.on = on;
	soft_subscribe(&m);
}

static uint32_t
watched(const uint8_t *nonce, uint32_t backend, const char **level)
{
	struct k_session k;

	memset(&k, 0, sizeof(k));
	soft_fill(nonce, backend, &k);
	free(k.uris.v);
	if (level != NULL)
		*level = k.level;
	return k.uris.n;
}

/* The newest stream of a session is not lost by the end of an older one. */
static void
test_owner(const uint8_t *nonce)
{
	static char x, y;
	struct peer *p = (void *)&x, *q = (void *)&y; /* not looked into */
	struct k_claim m;

	memcpy(m.nonce, nonce, ID_LEN);
	m.stream = 7;
	soft_unclaim(p, &m);
	CHECK(soft_owner(nonce) == NULL);
	soft_claim(p, &m);
	CHECK(soft_owner(nonce) == p);
	soft_unclaim(q, &m);
	m.stream = 6;
	soft_unclaim(p, &m);
	CHECK(soft_owner(nonce) == p);
	m.stream = 7;
	soft_unclaim(p, &m);
	CHECK(soft_owner(nonce) == NULL);
}

int
main(void)
{
	/* Both begin alike: they share a bucket of the table. */
	uint8_t a[ID_LEN] = {1, 2, 3}, b[ID_LEN] = {1, 2, 4};
	char debug[] = "debug", error[] = "error", uri[32];
	const char *level;
	struct k_soft m;
	int i;

	CHECK(watched(a, 1, &level) == 0 && level == NULL);
	memset(&m, 0, sizeof(m));
	memcpy(m.nonce, a, ID_LEN);
	m.level = debug;
	soft_level(&m);
	m.level = error;
	soft_level(&m);
	CHECK(watched(a, 1, &level) == 0);
	CHECK(level != NULL && strcmp(level, "error") == 0);
	CHECK(watched(b, 1, &level) == 0 && level == NULL);

	watch(a, 1, "x://1", 1);
	watch(a, 1, "x://1", 1);
	watch(a, 1, "x://2", 1);
	watch(a, 2, "x://1", 1);
	watch(b, 1, "x://1", 1);
	CHECK(watched(a, 1, NULL) == 2);
	CHECK(watched(a, 2, NULL) == 1);
	watch(a, 1, "x://1", 0);
	watch(a, 1, "x://never", 0);
	CHECK(watched(a, 1, NULL) == 1);
	CHECK(watched(a, 2, NULL) == 1);
	CHECK(watched(b, 1, NULL) == 1);

	/* Bounded for each backend. */
	for (i = 0; i < 200; i++) {
		snprintf(uri, sizeof(uri), "y://%d", i);
		watch(a, 3, uri, 1);
	}
	CHECK(watched(a, 3, NULL) == 64);

	CHECK(!soft_room(a, 3, "y://64"));
	CHECK(soft_room(a, 3, "y://0"));
	CHECK(soft_room(a, 4, "y://64") && soft_room(b, 3, "y://64"));

	/* What a client has said to the new keeper is newer. */
	m.uri = uri;
	uri[0] = '\0';
	m.level = debug;
	soft_reminded(&m);
	CHECK(strcmp(soft_levelof(a), "error") == 0);
	memcpy(m.nonce, b, ID_LEN);
	soft_reminded(&m);
	CHECK(strcmp(soft_levelof(b), "debug") == 0);
	strcpy(uri, "z://1");
	m.backend = 9;
	m.on = 1;
	soft_reminded(&m);
	CHECK(watched(b, 9, NULL) == 1);

	test_owner(a);
	soft_end(a);
	CHECK(watched(a, 1, &level) == 0 && level == NULL);
	CHECK(watched(b, 1, NULL) == 1);
	CHECK(soft_owner(a) == NULL && soft_owner(b) == NULL);
	soft_end(b);
	TEST_END();
}
