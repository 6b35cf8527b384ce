/*
 * The log: one line per event, made safe for terminals and for tools that
 * split at line ends, whatever a peer put into it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"
#include "utf8.h"

#define LINE_MAX_BYTES 8192 /* newline included */

static const char *log_name = "mcpgwd";
static char log_namebuf[64];
static int log_stderr = 1;
static int log_json;
static enum log_level log_level = LOG_L_INFO;

static void vlog(enum log_level, int, const char *, va_list)
    __attribute__((format(printf, 3, 0)));

void
log_init(const char *name, int to_stderr)
{
	strlcpy(log_namebuf, name, sizeof(log_namebuf));
	log_name = log_namebuf;
	log_stderr = to_stderr;
	if (to_stderr)
		return;
	/* No system log on this machine: better seen than lost. */
	if (access("/dev/log", F_OK) == -1) {
		log_stderr = 1;
		return;
	}
	/* The time zone is read now, while files can be opened. */
	tzset();
	openlog("mcpgwd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void
log_setlevel(enum log_level level)
{
	log_level = level;
}

enum log_level
log_getlevel(void)
{
	return log_level;
}

void
log_setjson(int on)
{
	log_json = on;
}

/* The character that a well-formed sequence of n bytes stands for. */
static uint32_t
utf8_decode(const unsigned char *s, size_t n)
{
	static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t cp = s[0] & lead[n];
	size_t i;

	for (i = 1; i < n; i++)
		cp = cp << 6 | (s[i] & 0x3f);
	return cp;
}

/* Characters that end a line or turn the direction of what follows. */
static int
is_unsafe(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x200e ||
	       cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

/* One character at src as it may stand in a line; returns bytes taken. */
static size_t
escape_one(char out[16], const char *s, size_t left)
{
	static const char plain[] = "abtnvfr";
	static const char code[] = "\a\b\t\n\v\f\r";
	const unsigned char *src = (const unsigned char *)s;
	const char *p;
	uint32_t cp;
	size_t n;

	if ((n = utf8_seq(s, left)) == 0) {
		snprintf(out, 16, "\\x%02x", src[0]);
		return 1;
	}
	cp = utf8_decode(src, n);
	if (cp == '\\') {
		strlcpy(out, "\\\\", 16);
	} else if (cp != 0 && cp < 0x20 && (p = strchr(code, (int)cp))) {
		snprintf(out, 16, "\\%c", plain[p - code]);
	} else if (is_unsafe(cp)) {
		snprintf(out, 16, cp < 0x100 ? "\\x%02x" : "\\u%04x", cp);
	} else {
		memcpy(out, src, n);
		out[n] = '\0';
	}
	return n;
}

char *
log_escape(char *dst, size_t dstsize, const char *src, size_t len)
{
	char one[16];
	size_t i, n, o = 0;

	if (dstsize == 0)
		return dst;
	for (i = 0; i < len;) {
		i += escape_one(one, src + i, len - i);
		n = strlen(one);
		if (o + n >= dstsize)
			break;
		memcpy(dst + o, one, n);
		o += n;
	}
	dst[o] = '\0';
	return dst;
}

/* Escaped text as the inside of a JSON string; both end within dst. */
static void
json_quote(char *dst, size_t dstsize, const char *src)
{
	size_t n, o = 0;

	for (; *src != '\0'; src++) {
		n = *src == '"' || *src == '\\' ? 2 : 1;
		if (o + n >= dstsize)
			break;
		if (n == 2)
			dst[o++] = '\\';
		dst[o++] = *src;
	}
	/* The cut must not leave half of a UTF-8 sequence. */
	if (*src != '\0') {
		while (o > 0 && ((unsigned char)*src & 0xc0) == 0x80) {
			src--;
			o--;
		}
	}
	dst[o] = '\0';
}

static void
json_line(char *line, size_t size, enum log_level level, const char *text)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	struct timespec ts;
	struct tm tm;
	char when[32], *quoted;
	size_t room;

	memset(&tm, 0, sizeof(tm));
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	/* What stands around the text is shorter than this. */
	room = size - 256;
	if ((quoted = malloc(room)) == NULL) {
		line[0] = '\0';
		return;
	}
	json_quote(quoted, room, text);
	snprintf(line, size,
	    "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\","
	    "\"process\":\"%s\",\"pid\":%ld,\"msg\":\"%s\"}",
	    when, ts.tv_nsec / 1000000, names[level], log_name, (long)getpid(),
	    quoted);
	free(quoted);
}

static void
emit(enum log_level level, const char *text)
{
	static const int prio[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	char line[LINE_MAX_BYTES];
	size_t n;

	if (log_json)
		json_line(line, sizeof(line) - 1, level, text);
	else if (log_stderr)
		snprintf(line, sizeof(line) - 1, "%s[%ld]: %s", log_name,
		    (long)getpid(), text);
	else
		snprintf(line, sizeof(line) - 1, "%s: %s", log_name, text);
	if (!log_stderr) {
		syslog(prio[level], "%s", line);
		return;
	}
	n = strlen(line);
	line[n++] = '\n';
	/* One write, so that lines of several processes do not mix. */
	while (write(STDERR_FILENO, line, n) == -1 && errno == EINTR)
		continue;
}

static void
vlog(enum log_level level, int error, const char *fmt, va_list ap)
{
	char raw[LINE_MAX_BYTES], text[LINE_MAX_BYTES - 128];
	size_t len;
	int n, saved = errno;

	if (level > log_level)
		return;
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	if (n < 0)
		strlcpy(raw, fmt, sizeof(raw));
	len = strlen(raw);
	if (error != 0 && len < sizeof(raw) - 1)
		snprintf(raw + len, sizeof(raw) - len, ": %s", strerror(error));
	log_escape(text, sizeof(text), raw, strlen(raw));
	emit(level, text);
	errno = saved;
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_WARN, errno, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_WARN, 0, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_INFO, 0, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_DEBUG, 0, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_ERROR, errno, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_L_ERROR, 0, fmt, ap);
	va_end(ap);
	exit(1);
}
