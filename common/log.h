#ifndef LOG_H
#define LOG_H

#include <stdarg.h>
#include <stddef.h>

/*
 * One line per event, control characters escaped, at most 8 KiB. To standard
 * error when debug is set, else to syslog, whose descriptor is opened at once
 * so that it survives chroot and the sandbox.
 */
enum log_level { LOG_L_ERROR, LOG_L_WARN, LOG_L_INFO, LOG_L_DEBUG };

/* Call first. name: the role, e.g. "worker"; to_stderr: mcpgwd -d. */
void log_init(const char *name, int to_stderr);
void log_setlevel(enum log_level level);
/* JSON lines instead of text. */
void log_setjson(int on);
enum log_level log_getlevel(void);

/* The variants without x append strerror(errno). */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Our own bug or a start that cannot go on: logs and exits 1. */
void fatal(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
void fatalx(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* C-escapes src[0..len) into dst (always terminated); returns dst. */
char *log_escape(char *dst, size_t dstsize, const char *src, size_t len);

#endif
