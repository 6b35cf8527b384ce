/* CONS-5: names of programs as they may be shown; scopes and resources. */
#include "authd_fixture.h"
#include "test.h"

struct peer *
master_peer(void)
{
	return NULL;
}

static int
cleans(const char *in, const char *out)
{
	char *s = name_clean(in);
	int same = strcmp(s, out) == 0;

	if (!same)
		printf("got <%s>\n", s);
	free(s);
	return same;
}

static void
names(void)
{
	char big[10241], *s;
	size_t i, chars;

	CHECK(cleans("Claude", "Claude"));
	CHECK(cleans("<script>alert(1)</script>", "<script>alert(1)</script>"));
	CHECK(cleans("ab\xe2\x80\xae"
		     "cd",
	    "abcd")); /* U+202E */
	CHECK(cleans("a\xe2\x80\x8b"
		     "b\xef\xbb\xbf"
		     "c",
	    "abc")); /* zero width, byte order mark */
	CHECK(cleans("a\xf3\xa0\x81\xa1"
		     "b",
	    "ab")); /* tag */
	CHECK(cleans("a\x01\x1b[31m\x7f"
		     "b",
	    "a[31mb"));
	CHECK(cleans("\xe2\x81\xa6"
		     "x\xe2\x81\xa9",
	    "x")); /* isolates */
	CHECK(cleans("  a \t\n  b  ", "a b"));
	CHECK(cleans("a\xff\xfe"
		     "b",
	    "ab"));
	CHECK(cleans("", "An unnamed program"));
	CHECK(cleans("\xe2\x80\x8b \xe3\x85\xa4", "An unnamed program"));
	CHECK(cleans(
	    "Caf\xc3\xa9 \xf0\x9f\x98\x80", "Caf\xc3\xa9 \xf0\x9f\x98\x80"));
	for (i = 0; i + 2 < sizeof(big); i += 2)
		memcpy(big + i, "\xc3\xa9", 2);
	big[i] = '\0';
	s = name_clean(big);
	for (chars = i = 0; s[i] != '\0'; i++)
		chars += ((unsigned char)s[i] & 0xc0) != 0x80;
	CHECK(chars == NAME_CHARS);
	free(s);
}

static int
resource(const char *a, const char *b, const char *want)
{
	struct strv v = {NULL, 0};
	char *s;
	int ok;

	if (a != NULL)
		(void)strv_add(&v, a);
	if (b != NULL)
		(void)strv_add(&v, b);
	s = resource_judge(&fix_slice, &v);
	ok = want == NULL ? s == NULL : s != NULL && strcmp(s, want) == 0;
	free(s);
	strv_free(&v);
	return ok;
}

/* MIX-1 */
static void
resources(void)
{
	const char *def = FIX_ISSUER "/mcp";

	CHECK(resource(NULL, NULL, def));
	CHECK(resource(FIX_ISSUER, NULL, def));
	CHECK(resource(FIX_ISSUER "/", NULL, def));
	CHECK(resource(FIX_ISSUER "/mcp", NULL, def));
	CHECK(resource(FIX_ISSUER "/mcp/", NULL, def));
	CHECK(resource("HTTPS://MCP.Example.NET/mcp", NULL, def));
	CHECK(resource(FIX_ISSUER "/home/mcp", NULL, FIX_ISSUER "/home/mcp"));
	CHECK(resource(FIX_ISSUER "/mcp", FIX_ISSUER "/mcp/", def));
	CHECK(resource(FIX_ISSUER "/mcp", FIX_ISSUER "/home/mcp", NULL));
	CHECK(resource(FIX_ISSUER "/mcp//", NULL, NULL));
	CHECK(resource(FIX_ISSUER "/MCP", NULL, NULL));
	CHECK(resource(FIX_ISSUER "/other", NULL, NULL));
	CHECK(resource(FIX_ISSUER "/mcp#f", NULL, NULL));
	CHECK(resource(FIX_ISSUER "/mcp?x", NULL, NULL));
	CHECK(resource("/mcp", NULL, NULL));
	CHECK(resource("", NULL, NULL));
	CHECK(resource("https://evil.example/mcp", NULL, NULL));
	CHECK(resource(FIX_ISSUER ".evil.example/mcp", NULL, NULL));
	CHECK(resource(FIX_ISSUER ":443/mcp", NULL, NULL));
}

static int
granted(const char *asked, const char *want)
{
	char *s = scope_grant(&fix_slice, asked);
	int ok = strcmp(s, want) == 0;

	free(s);
	return ok;
}

static void
scopes(void)
{
	CHECK(granted("", "mcp"));
	CHECK(granted("mcp offline_access", "mcp"));
	CHECK(granted("offline_access", "mcp"));
	CHECK(granted("extra nonsense mcp", "mcp extra"));
	CHECK(granted("extra", "extra"));
	CHECK(granted("mcpx", "mcp"));
	CHECK(scope_within("", "mcp"));
	CHECK(scope_within("mcp", "mcp extra"));
	CHECK(!scope_within("mcp extra", "mcp"));
	CHECK(!scope_within("mc", "mcp"));
}

int
main(void)
{
	fix_config();
	names();
	resources();
	scopes();
	wire_free(&def_conf_auth, &fix_slice.conf);
	strv_free(&fix_slice.paths);
	free(fix_slice.hash);
	TEST_END();
}
