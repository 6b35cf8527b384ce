/*
 * Random values, the pepper under which everything secret is digested before
 * it is stored, and the files that hold secrets.
 */
#include <sys/types.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authd.h"
#include "b64.h"
#include "compat.h"
#include "digest.h"
#include "log.h"

#define PEPPER_LEN 32

static uint8_t pepper[PEPPER_LEN];

static int sync_dir(const char *);

void
random_bytes(void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		if ((n = getrandom(p, len, 0)) == -1) {
			if (errno == EINTR)
				continue;
			fatal("getrandom");
		}
		p += n;
		len -= n;
	}
}

char *
secret_make(const char *prefix)
{
	uint8_t raw[SECRET_RANDOM];
	size_t plen = strlen(prefix);
	char *s;

	s = xmalloc(plen + B64URL_LEN(sizeof(raw)) + 1);
	memcpy(s, prefix, plen);
	random_bytes(raw, sizeof(raw));
	b64url_encode(s + plen, raw, sizeof(raw));
	explicit_bzero(raw, sizeof(raw));
	return s;
}

ssize_t
secret_read(const char *path, void *buf, size_t size)
{
	struct stat st;
	ssize_t n;
	int fd, e;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1) {
		e = errno;
		if (e != ENOENT)
			log_warn("%s", path);
		errno = e;
		return -1;
	}
	if (fstat(fd, &st) == -1) {
		log_warn("%s", path);
		goto bad;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 0377) != 0 || st.st_nlink != 1) {
		log_warnx("%s: must be a plain file of uid %u, mode 0400, "
			  "without further links",
		    path, (unsigned int)geteuid());
		goto bad;
	}
	if ((n = read(fd, buf, size)) == -1) {
		log_warn("%s", path);
		goto bad;
	}
	close(fd);
	return n;
bad:
	close(fd);
	errno = EPERM;
	return -1;
}

static int
sync_dir(const char *dir)
{
	int fd, r;

	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	r = fsync(fd);
	close(fd);
	return r;
}

int
secret_write(const char *dir, const char *path, const void *buf, size_t len)
{
	char tmp[PATH_MAX];
	int fd;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return -1;
	(void)unlink(tmp);
	fd = open(
	    tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd == -1) {
		log_warn("%s", tmp);
		return -1;
	}
	if (write(fd, buf, len) != (ssize_t)len || fsync(fd) == -1) {
		log_warn("%s", tmp);
		close(fd);
		(void)unlink(tmp);
		return -1;
	}
	close(fd);
	if (rename(tmp, path) == -1 || sync_dir(dir) == -1) {
		log_warn("%s", path);
		(void)unlink(tmp);
		return -1;
	}
	return 0;
}

int
secret_init(const char *dir)
{
	char path[PATH_MAX];
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/pepper", dir) >= (int)sizeof(path))
		return -1;
	if ((n = secret_read(path, pepper, sizeof(pepper))) == PEPPER_LEN)
		return 0;
	if (n != -1) {
		log_warnx("%s: damaged; put it back from a backup: without it "
			  "every client and refresh token is void",
		    path);
		return -1;
	}
	if (errno != ENOENT)
		return -1;
	random_bytes(pepper, sizeof(pepper));
	return secret_write(dir, path, pepper, sizeof(pepper));
}

void
secret_digest(
    uint8_t out[DIGEST_SIZE], const char *label, const void *p, size_t len)
{
	/* With its NUL: no label is the beginning of another input. */
	hmac_sha256(
	    out, pepper, sizeof(pepper), label, strlen(label) + 1, p, len);
}

void
secret_digest_str(uint8_t out[DIGEST_SIZE], const char *label, const char *s)
{
	secret_digest(out, label, s, strlen(s));
}

void
secret_mac(uint8_t out[DIGEST_SIZE], const void *a, size_t alen, const void *b,
    size_t blen)
{
	hmac_sha256(out, pepper, sizeof(pepper), a, alen, b, blen);
}

int
secret_equal(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && timingsafe_bcmp(a, b, n) == 0;
}
