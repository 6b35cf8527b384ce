/*
 * LOG-1: whatever a peer puts into a name, an event stays one line of plain
 * text of at most 8 KiB.
 */
#include <sys/wait.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "test.h"
#include "utf8.h"

static char out[65536];
static size_t outlen;

/* What a child that logs this writes to standard error. */
static void
capture(int json, int do_fatal, const char *text)
{
	int p[2], status;
	ssize_t n;
	pid_t pid;

	CHECK(pipe(p) == 0);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		dup2(p[1], STDERR_FILENO);
		close(p[0]);
		log_init("worker", 1);
		log_setjson(json);
		errno = ENOENT;
		if (do_fatal)
			fatal("%s", text);
		log_warnx("name \"%s\"", text);
		log_debug("not shown");
		_exit(0);
	}
	close(p[1]);
	outlen = 0;
	while ((n = read(p[0], out + outlen, sizeof(out) - 1 - outlen)) > 0)
		outlen += (size_t)n;
	out[outlen] = '\0';
	close(p[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == do_fatal);
}

static int
one_clean_line(void)
{
	size_t i;

	if (outlen == 0 || outlen > 8192 || out[outlen - 1] != '\n')
		return 0;
	for (i = 0; i < outlen - 1; i++) {
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			return 0;
	}
	return utf8_valid(out, outlen) && strstr(out, "\xe2\x80\xa8") == NULL;
}

static void
both(const char *text, const char *escaped)
{
	capture(0, 0, text);
	CHECK(one_clean_line());
	CHECK(strncmp(out, "worker[", 7) == 0);
	CHECK(strstr(out, escaped) != NULL);
	capture(1, 0, text);
	CHECK(one_clean_line());
	CHECK(out[0] == '{' && out[outlen - 2] == '}');
	CHECK(strstr(out, "\"level\":\"warn\",\"process\":\"worker\"") != NULL);
}

static void
test_escape(void)
{
	char buf[16];

	CHECK(strcmp(log_escape(buf, sizeof(buf), "a\0b", 3), "a\\x00b") == 0);
	CHECK(strcmp(log_escape(buf, sizeof(buf), "\\", 1), "\\\\") == 0);
	/* Cut between escapes, never in one. */
	CHECK(strcmp(log_escape(buf, 4, "ab\n", 3), "ab") == 0);
	CHECK(strcmp(log_escape(buf, 5, "ab\n", 3), "ab\\n") == 0);
	CHECK(strcmp(log_escape(buf, 1, "ab", 2), "") == 0);
	CHECK(strcmp(log_escape(buf, 16, "\xc3\xa4\xc3", 3), "\xc3\xa4\\xc3") ==
	      0);
}

int
main(void)
{
	char *huge;

	test_escape();
	both("plain", "name \"plain\"");
	both("a\nb\rc", "a\\nb\\rc");
	both("\033[31mred", "\\x1b[31mred");
	both("\xe2\x80\xa8\xe2\x80\xae", "\\u2028\\u202e");
	both("\xc2\x9b", "\\x9b");
	both("%n%s%n", "%n%s%n");
	both("\xff\xc0\xaf\xed\xa0\x80", "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
	both("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	both("back\\slash", "back\\\\slash");
	huge = xmalloc(1024 * 1024 + 1);
	memset(huge, 'x', 1024 * 1024);
	huge[1024 * 1024] = '\0';
	both(huge, "xxxxxxxxxx");
	memset(huge, '\n', 1024 * 1024);
	both(huge, "\\n\\n\\n\\n");
	memset(huge, '"', 1024 * 1024);
	both(huge, "\"\"\"\"");
	free(huge);
	capture(1, 0, "\"\\\n");
	CHECK(strstr(out, "name \\\"\\\"\\\\\\\\\\\\n\\\"\"}") != NULL);
	capture(0, 1, "open");
	CHECK(strstr(out, "open: No such file or directory\n") != NULL);
	TEST_END();
}
