/*
 * The functions of OpenBSD's libc that glibc lacks, clocks, and allocation
 * that cannot fail.
 */
#include <sys/types.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"

#ifdef __linux__

extern char **environ;

static char *title_start; /* the memory that ps(1) shows */
static size_t title_size;
static char title_prog[64];

#if !defined(__GLIBC__) || __GLIBC__ < 2 || \
    (__GLIBC__ == 2 && __GLIBC_MINOR__ < 38)
size_t
strlcpy(char *dst, const char *src, size_t size)
{
	size_t len, n;

	len = strlen(src);
	if (size > 0) {
		n = len < size ? len : size - 1;
		memcpy(dst, src, n);
		dst[n] = '\0';
	}
	return len;
}

size_t
strlcat(char *dst, const char *src, size_t size)
{
	size_t used;

	used = strnlen(dst, size);
	return used + strlcpy(dst + used, src, size - used);
}
#endif

long long
strtonum(const char *s, long long min, long long max, const char **errstr)
{
	const char *why = NULL;
	char *end;
	long long n = 0;
	int saved = errno;

	errno = 0;
	if (min > max) {
		why = "invalid";
	} else {
		n = strtoll(s, &end, 10);
		if (end == s || *end != '\0')
			why = "invalid";
		else if (n < min || (n == LLONG_MIN && errno == ERANGE))
			why = "too small";
		else if (n > max || (n == LLONG_MAX && errno == ERANGE))
			why = "too large";
	}
	if (why == NULL)
		errno = saved;
	else
		errno = strcmp(why, "invalid") == 0 ? EINVAL : ERANGE;
	if (errstr != NULL)
		*errstr = why;
	return why == NULL ? n : 0;
}

void
freezero(void *p, size_t len)
{
	if (p == NULL)
		return;
	explicit_bzero(p, len);
	free(p);
}

int
timingsafe_bcmp(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char diff = 0;
	size_t i;

	for (i = 0; i < len; i++)
		diff |= x[i] ^ y[i];
	return diff != 0;
}

/*
 * The kernel shows the memory of argv and, behind it, environ: the strings of
 * environ are moved away so that there is room for a title.
 */
void
setproctitle_init(int argc, char **argv, char **envp)
{
	const char *prog;
	char **copy, *end;
	size_t i, n;

	if (argc < 1 || argv[0] == NULL || title_start != NULL)
		return;
	prog = strrchr(argv[0], '/');
	strlcpy(
	    title_prog, prog != NULL ? prog + 1 : argv[0], sizeof(title_prog));
	/* glibc's own names for us point into argv. */
	program_invocation_name = title_prog;
	program_invocation_short_name = title_prog;
	end = argv[0];
	for (i = 0; i < (size_t)argc; i++) {
		if (argv[i] == end)
			end += strlen(argv[i]) + 1;
	}
	for (n = 0; envp[n] != NULL; n++) {
		if (envp[n] == end)
			end += strlen(envp[n]) + 1;
	}
	copy = xcalloc(n + 1, sizeof(*copy));
	for (i = 0; i < n; i++)
		copy[i] = xstrdup(envp[i]);
	environ = copy;
	title_start = argv[0];
	title_size = (size_t)(end - argv[0]);
	for (i = 1; i < (size_t)argc; i++)
		argv[i] = NULL;
}

void
setproctitle(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	size_t n;

	if (title_start == NULL || title_size < 2)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memset(title_start, 0, title_size);
	n = strlcpy(title_start, title_prog, title_size);
	if (n < title_size)
		n += strlcpy(title_start + n, ": ", title_size - n);
	if (n < title_size)
		strlcpy(title_start + n, text, title_size - n);
}

#endif /* __linux__ */

void
close_from(int fd)
{
#ifdef __linux__
	int max;

	if (close_range((unsigned int)fd, ~0U, 0) == 0)
		return;
	for (max = (int)sysconf(_SC_OPEN_MAX); fd < max; fd++)
		close(fd);
#else
	closefrom(fd);
#endif
}

static void
mono(struct timespec *ts)
{
	if (clock_gettime(CLOCK_MONOTONIC, ts) == -1)
		fatal("clock_gettime");
}

uint64_t
mono_sec(void)
{
	struct timespec ts;

	mono(&ts);
	return (uint64_t)ts.tv_sec;
}

uint64_t
mono_msec(void)
{
	struct timespec ts;

	mono(&ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void *
xmalloc(size_t size)
{
	void *p;

	if ((p = malloc(size > 0 ? size : 1)) == NULL)
		fatal("malloc");
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p;

	if ((p = calloc(n > 0 ? n : 1, size > 0 ? size : 1)) == NULL)
		fatal("calloc");
	return p;
}

void *
xrealloc(void *old, size_t size)
{
	void *p;

	if ((p = realloc(old, size > 0 ? size : 1)) == NULL)
		fatal("realloc");
	return p;
}

char *
xstrdup(const char *s)
{
	char *p;

	if ((p = strdup(s)) == NULL)
		fatal("strdup");
	return p;
}

int
xasprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(ret, fmt, ap);
	va_end(ap);
	if (n == -1)
		fatal("vasprintf");
	return n;
}
