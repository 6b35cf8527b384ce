/*
 * The JSON scanner: grammar, watched keys, walking, decoding and writing
 * (ref rows JSON-1 to JSON-4, JSON-6, JSON-7, JSON-10).
 */
#include <sys/mman.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "test.h"

#define S(s) s, sizeof(s) - 1

static const char *const chain[] = {"params", "_meta", NULL};

static enum json_error scan(const char *, size_t);
static void test_grammar(void);
static void test_depth(void);
static void test_keys(void);
static void test_watch(void);
static void test_bytes(void);
static void test_walk(void);
static void test_decode(void);
static void test_numbers(void);
static void test_write(void);
static void test_prefixes(void);

static struct json_doc doc;

int
main(void)
{
	test_grammar();
	test_depth();
	test_keys();
	test_watch();
	test_bytes();
	test_walk();
	test_decode();
	test_numbers();
	test_write();
	test_prefixes();
	TEST_END();
}

/* From a buffer of exactly len bytes, so that a sanitizer sees one more. */
static enum json_error
scan(const char *text, size_t len)
{
	static char *copy;

	free(copy);
	if ((copy = malloc(len ? len : 1)) == NULL)
		return JSON_E_MANY;
	memcpy(copy, text, len);
	return json_scan(&doc, copy, len, chain);
}

static void
test_grammar(void)
{
	static const char *const good[] = {"{}", "[]", " {} ", "0", "-0", "10",
	    "1.5", "-1.5e10", "1E+2", "0e-0", "\"\"", "true", "false", "null",
	    "[1,2]", "[[],{}]", "{\"a\":1}", "\t\r\n [ 1 , 2 ] \n",
	    "{ \"a\" : { \"b\" : [ ] } }",
	    "\"\\u00e9\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\x7f\"", "{\"\":0}",
	    "[\"\\ud800\"]", "\"\xc3\xa9\"", "\"\xf4\x8f\xbf\xbf\"", "1e400",
	    "[null,true,false]"};
	static const char *const bad[] = {"", " ", "{", "[", "}", "]", "\"",
	    "{}x", "{} {}", "[1,]", "[,1]", "[,]", "{,}", "{\"a\":1,}",
	    "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{a:1}", "{1:1}", "{'a':1}",
	    "'a'", "[1 2]", "[1}", "{\"a\":1]", "01", "-", "+1", "1.", ".5",
	    "-.5", "1e", "1e+", "0x10", "1_0", "00", "-01", "NaN", "Infinity",
	    "-Infinity", "nul", "nulll", "True", "tru", "// c\n{}", "/**/{}",
	    "{}/**/", "# c\n{}", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"",
	    "\"\\\"", "\"a\nb\"", "\"a\tb\"", "\"\x1f\"", "\"\\", "[\"a\"",
	    "{\"a\":1", "{\"a\":1,", "{\"a\":", "{\"a\"", "{:1}", "[1:2]",
	    "{\"a\",\"b\"}", "[}", "{]", "\xc2\xa0{}", "\v{}", "{}\f", "1,2",
	    "\"\\u\"", "\"\\U0041\"", "{\"a\":1 \"b\":2}"};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (scan(good[i], strlen(good[i])) != JSON_OK)
			printf("refused: %s\n", good[i]);
		CHECK(scan(good[i], strlen(good[i])) == JSON_OK);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (scan(bad[i], strlen(bad[i])) == JSON_OK)
			printf("JSON-10 taken: %s\n", bad[i]);
		CHECK(scan(bad[i], strlen(bad[i])) != JSON_OK);
	}
	CHECK(scan("[1]", 3) == JSON_OK && doc.root == JSON_ARRAY);
	CHECK(scan("7", 1) == JSON_OK && doc.root == JSON_NUMBER);
	CHECK(strcmp(json_strerror(JSON_E_DUP), "duplicate key") == 0);
}

/* JSON-1 */
static void
test_depth(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 100000, i;
	char *big;

	/* What is too deep is refused where it is, and not read to its end. */
	big = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (big == MAP_FAILED || mprotect(big + page, page, PROT_NONE) == -1)
		exit(1);
	memset(big, '[', page);
	CHECK(json_scan(&doc, big, 2 * page, chain) == JSON_E_DEPTH);
	for (i = 0; i < page; i++)
		big[i] = "{\"a\":"[i % 5];
	CHECK(json_scan(&doc, big, 2 * page, chain) == JSON_E_DEPTH);
	(void)munmap(big, 2 * page);

	if ((big = malloc(n * 3 + 1)) == NULL)
		exit(1);
	memset(big, '[', JSON_MAX_DEPTH);
	memset(big + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	CHECK(json_scan(&doc, big, JSON_MAX_DEPTH * 2, chain) == JSON_OK);
	memset(big, '[', JSON_MAX_DEPTH + 1);
	memset(big + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	CHECK(json_scan(&doc, big, JSON_MAX_DEPTH * 2 + 2, chain) ==
	      JSON_E_DEPTH);
	/* Many in a row are not deep. */
	for (i = 0; i < n; i++)
		memcpy(big + 1 + i * 3, "[],", 3);
	big[0] = '[';
	big[n * 3] = ']';
	CHECK(json_scan(&doc, big, n * 3 + 1, chain) == JSON_OK);
	free(big);
}

static void
test_keys(void)
{
	char many[4096];
	size_t i, n = 0;

	/* JSON-2 */
	CHECK(
	    scan(S("{\"method\":\"tools/list\",\"method\":\"tools/call\"}")) ==
	    JSON_E_DUP);
	CHECK(scan(S("{\"params\":{\"name\":\"a\",\"name\":\"b\"}}")) ==
	      JSON_E_DUP);
	CHECK(scan(S("{\"params\":{\"_meta\":{\"x\":1,\"y\":2,\"x\":3}}}")) ==
	      JSON_E_DUP);
	CHECK(scan(S("{\"params\":{},\"params\":{}}")) == JSON_E_DUP);
	CHECK(scan(S("{\"a\":1,\"params\":{\"a\":1,\"_meta\":{\"a\":1}}}")) ==
	      JSON_OK);
	CHECK(scan(S("{\"params\":{\"arguments\":{\"a\":1,\"a\":2}}}")) ==
	      JSON_OK);
	/* JSON-3: no folding of any kind */
	CHECK(
	    scan(S("{\"Method\":1,\"param\xc5\xbf\":2,\"\xe2\x84\xaa\":3}")) ==
	    JSON_OK);
	CHECK(json_get(&doc, 0, "method") == NULL);
	CHECK(json_get(&doc, 0, "params") == NULL);
	CHECK(json_get(&doc, 0, "K") == NULL);
	/* JSON-4 */
	CHECK(scan(S("{\"method\\u0000\":\"x\"}")) == JSON_E_KEY);
	CHECK(scan(S("{\"m\\u0065thod\":\"x\"}")) == JSON_E_KEY);
	CHECK(scan(S("{\"params\":{\"n\\/\":\"x\"}}")) == JSON_E_KEY);
	CHECK(
	    scan(S("{\"params\":{\"_meta\":{\"\\u0061\":1}}}")) == JSON_E_KEY);
	CHECK(scan(S("{\"x\":{\"\\u0061\":1}}")) == JSON_OK);
	CHECK(scan(S("{\"a\":\"\\\\\",\"b\":1}")) == JSON_OK);

	many[n++] = '{';
	for (i = 0; i < JSON_MAX_MEMBERS; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n,
		    "%s\"k%zu\":0", i ? "," : "", i);
	snprintf(many + n, sizeof(many) - n, "}");
	CHECK(scan(many, strlen(many)) == JSON_OK && doc.n == JSON_MAX_MEMBERS);
	snprintf(many + n, sizeof(many) - n, ",\"more\":0}");
	CHECK(scan(many, strlen(many)) == JSON_E_MANY);
}

static void
test_watch(void)
{
	static const char text[] =
	    "{\"jsonrpc\": \"2.0\", \"id\":12, \"params\" : {\"name\":\"t\","
	    " \"arguments\":{\"params\":{\"_meta\":{\"q\":1}}} ,"
	    "\"_meta\":{\"v\": [1, {\"_meta\":{}}] }}, \"last\":null }";
	const struct json_member *m;

	CHECK(scan(S(text)) == JSON_OK);
	CHECK(doc.root == JSON_OBJECT);
	CHECK(doc.n == 8);
	m = json_get(&doc, 0, "id");
	CHECK(m != NULL && m->val.type == JSON_NUMBER && m->val.len == 2 &&
	      memcmp(m->val.p, "12", 2) == 0);
	m = json_get(&doc, 0, "params");
	CHECK(m != NULL && m->val.type == JSON_OBJECT &&
	      m->val.p[m->val.len - 1] == '}');
	m = json_get(&doc, 1, "arguments");
	CHECK(m != NULL && m->val.len == 28);
	CHECK(json_get(&doc, 2, "q") == NULL);
	m = json_get(&doc, 2, "v");
	CHECK(m != NULL && m->val.type == JSON_ARRAY &&
	      memcmp(m->val.p, "[1, {\"_meta\":{}}]", m->val.len) == 0);
	m = json_get(&doc, 0, "last");
	CHECK(m != NULL && m->val.type == JSON_NULL && m->val.len == 4);
	CHECK(json_get(&doc, 0, "name") == NULL);

	CHECK(json_scan(&doc, S(text), NULL) == JSON_OK && doc.n == 4);
	/* The chain goes through objects only. */
	CHECK(
	    scan(S("{\"params\":[{\"_meta\":{\"a\":1,\"a\":2}}]}")) == JSON_OK);
	CHECK(doc.n == 1);
	CHECK(scan(S("[{\"params\":{\"a\":1,\"a\":2}}]")) == JSON_OK &&
	      doc.n == 0);
	CHECK(scan(S("{\"_meta\":{\"a\":1,\"a\":2}}")) == JSON_OK);
	CHECK(scan(S("{\"params\":{\"params\":{\"_meta\":{\"a\":1}}}}")) ==
	      JSON_OK);
	CHECK(doc.n == 2);
}

/* JSON-6 */
static void
test_bytes(void)
{
	CHECK(scan(S("\"\xff\xfe\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"\xc0\xaf\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"\xe0\x80\xaf\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"\xed\xa0\x80\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"\xf4\x90\x80\x80\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"\xf8\x88\x80\x80\x80\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"\xe2\x82\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"abcdefgh\x80ijkl\"")) == JSON_E_UTF8);
	CHECK(scan(S("\"abcdefghijk\xe2\x82")) == JSON_E_UTF8);
	CHECK(scan(S("\xef\xbb\xbf{}")) == JSON_E_SYNTAX);
	CHECK(scan(S("\xff\xfe{\0}\0")) == JSON_E_SYNTAX);
	CHECK(scan(S("\0{\0}")) == JSON_E_SYNTAX);
	CHECK(scan(S("{\"a\":\"x\0y\"}")) == JSON_E_SYNTAX);
	CHECK(scan(S("{}\0")) == JSON_E_SYNTAX);
	CHECK(scan(S("{\"x\":{\"deep\":[\"\\u0000\\ud800\"]}}")) == JSON_OK);
	CHECK(scan(S("\"abcdefg\nabcdefgh\"")) == JSON_E_SYNTAX);
	CHECK(
	    scan(S("\"\xe6\x97\xa5\xe6\x9c\xac abcdefgh \xf0\x9f\x98\x80\"")) ==
	    JSON_OK);
}

static void
test_walk(void)
{
	static const char text[] = " { \"a\" : 1 , \"b\\\"}\":\"]\\\\\", "
				   "\"c\":{\"x\":[\"}\"]},\"d\":[] }";
	static const char arr[] = "[1, \"two\" ,[3,[4]],{\"f\":5},null]";
	struct json_span o, k, v;
	size_t pos = 0;

	CHECK(scan(S(text)) == JSON_E_KEY);
	CHECK(scan(S("[1]")) == JSON_OK);
	o.p = text + 1;
	o.len = sizeof(text) - 2;
	o.type = JSON_OBJECT;
	CHECK(json_next(&o, &pos, &k, &v) == 1 && json_equals(&k, "a") &&
	      v.type == JSON_NUMBER && v.len == 1);
	CHECK(json_next(&o, &pos, &k, &v) == 1 && json_equals(&k, "b\"}") &&
	      json_equals(&v, "]\\"));
	CHECK(json_next(&o, &pos, &k, &v) == 1 && json_equals(&k, "c") &&
	      v.type == JSON_OBJECT && v.len == 11);
	CHECK(json_next(&o, &pos, &k, &v) == 1 && v.type == JSON_ARRAY &&
	      v.len == 2);
	CHECK(json_next(&o, &pos, &k, &v) == 0);
	CHECK(json_next(&o, &pos, &k, &v) == 0);
	CHECK(json_member(&o, "c", &v) == 0 && v.type == JSON_OBJECT);
	CHECK(json_member(&v, "x", &v) == 0 && v.type == JSON_ARRAY);
	CHECK(json_member(&o, "x", &v) == -1);
	CHECK(json_member(&v, "x", &v) == -1);

	o.p = arr;
	o.len = sizeof(arr) - 1;
	o.type = JSON_ARRAY;
	for (pos = 0, k.len = 0; json_next(&o, &pos, NULL, &v); k.len++)
		CHECK(v.p >= arr && v.p + v.len < arr + sizeof(arr));
	CHECK(k.len == 5 && v.type == JSON_NULL);
	o.p = "[ ]";
	o.len = 3;
	pos = 0;
	CHECK(json_next(&o, &pos, NULL, &v) == 0);
}

static void
test_decode(void)
{
	static const struct {
		const char *json, *text; /* text NULL: refused */
	} t[] = {
	    {"\"\"", ""},
	    {"\"abc\"", "abc"},
	    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
	    {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
	    {"\"x\\ud83d\\ude00y\"", "x\xf0\x9f\x98\x80y"},
	    {"\"\\uffff\"", "\xef\xbf\xbf"},
	    {"\"\\u0000\"", NULL},
	    {"\"\\ud800\"", NULL},
	    {"\"\\ud800x\"", NULL},
	    {"\"\\ud800\\u0041\"", NULL},
	    {"\"\\ud800\\ud800\"", NULL},
	    {"\"\\udc00\"", NULL},
	    {"\"\\udc00\\ud800\"", NULL},
	};
	struct json_span v;
	char dst[64], *s;
	size_t i, n;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		v.p = t[i].json;
		v.len = strlen(t[i].json);
		v.type = JSON_STRING;
		s = json_strdup(&v);
		if (t[i].text == NULL) {
			CHECK(json_decode(&v, dst, sizeof(dst)) == -1);
			CHECK(dst[0] == '\0' && s == NULL);
			continue;
		}
		n = strlen(t[i].text);
		CHECK(json_decode(&v, dst, sizeof(dst)) == (ssize_t)n);
		CHECK(strcmp(dst, t[i].text) == 0);
		CHECK(s != NULL && strcmp(s, t[i].text) == 0);
		CHECK(json_equals(&v, t[i].text));
		CHECK(!json_equals(&v, "other"));
		CHECK(json_decode(&v, dst, n + 1) == (ssize_t)n);
		if (n > 0)
			CHECK(json_decode(&v, dst, n) == -1 && dst[0] == '\0');
		CHECK(json_decode(&v, dst, 0) == -1);
		free(s);
	}
	v.p = "12";
	v.len = 2;
	v.type = JSON_NUMBER;
	CHECK(json_decode(&v, dst, sizeof(dst)) == -1);
	CHECK(json_strdup(&v) == NULL && !json_equals(&v, "12"));
}

/* JSON-5, JSON-7: numbers are kept as text. */
static void
test_numbers(void)
{
	static const char *const n[] = {"1.0", "1e400", "12345678901234567890",
	    "-0", "9223372036854775808", "1e308", "0.10"};
	const struct json_member *m;
	struct json_span v;
	struct json_buf b;
	char text[128], *out;
	uint64_t u;
	size_t i;

	for (i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		snprintf(text, sizeof(text), "{\"id\":%s }", n[i]);
		CHECK(scan(text, strlen(text)) == JSON_OK);
		m = json_get(&doc, 0, "id");
		memset(&b, 0, sizeof(b));
		json_putspan(&b, &m->val);
		out = json_buf_take(&b, NULL);
		CHECK(out != NULL && strcmp(out, n[i]) == 0);
		free(out);
	}
	v.type = JSON_NUMBER;
#define UINT(s) (v.p = s, v.len = sizeof(s) - 1, json_uint(&v, &u))
	CHECK(UINT("0") == 0 && u == 0);
	CHECK(UINT("18446744073709551615") == 0 && u == UINT64_MAX);
	CHECK(UINT("18446744073709551616") == -1);
	CHECK(UINT("99999999999999999999999") == -1);
	CHECK(UINT("-0") == -1 && UINT("-1") == -1);
	CHECK(UINT("1.0") == -1 && UINT("1e3") == -1);
	v.type = JSON_STRING;
	CHECK(UINT("\"1\"") == -1);
}

static void
test_write(void)
{
	struct json_buf b = {0};
	char *s, big[5000];
	size_t n;

	json_puts(&b, "[");
	json_putstr(&b, "a\"\\\b\f\n\r\t\x01\x1f\x7f/\xc3\xa9");
	json_puts(&b, ",");
	json_putstr(&b, "x\xff\xc0\xafy\xe2\x82");
	json_puts(&b, ",");
	json_putstrn(&b, "a\0b", 3);
	json_puts(&b, ",");
	json_putint(&b, INT64_MIN);
	json_puts(&b, "]");
	s = json_buf_take(&b, &n);
	CHECK(s != NULL && n == strlen(s));
	CHECK(s != NULL &&
	      strcmp(s,
		  "[\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f/\xc3\xa9\","
		  "\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy"
		  "\xef\xbf\xbd\xef\xbf\xbd\",\"a\\u0000b\","
		  "-9223372036854775808]") == 0);
	CHECK(s != NULL && scan(s, n) == JSON_OK);
	free(s);

	memset(big, 'x', sizeof(big));
	json_putstrn(&b, big, sizeof(big));
	CHECK(b.len == sizeof(big) + 2 && b.err == 0);
	b.err = 1;
	json_puts(&b, "y");
	CHECK(b.len == sizeof(big) + 2);
	CHECK(json_buf_take(&b, &n) == NULL && n == 0 && b.p == NULL);
	s = json_buf_take(&b, &n);
	CHECK(s != NULL && n == 0 && s[0] == '\0');
	free(s);
	json_buf_free(&b);
}

/* No part of a text that is cut is taken, and every byte matters. */
static void
test_prefixes(void)
{
	static const char text[] =
	    "{\"a\":[1,-2.5e3,\"x\\u00e9\xe2\x82\xac\",true,null],\"b\":{}}";
	char copy[sizeof(text)];
	size_t i;

	for (i = 0; i < sizeof(text) - 1; i++)
		CHECK(scan(text, i) != JSON_OK);
	CHECK(scan(S(text)) == JSON_OK);
	for (i = 0; i < sizeof(text) - 1; i++) {
		memcpy(copy, text, sizeof(text));
		copy[i] = '\0';
		CHECK(scan(copy, sizeof(text) - 1) != JSON_OK);
		copy[i] = '\xff';
		CHECK(scan(copy, sizeof(text) - 1) != JSON_OK);
	}
}
