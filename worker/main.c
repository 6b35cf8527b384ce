/*
 * worker: the process that serves clients; with -k the keeper, with -r the
 * resolver, with -c a look at the certificates of a config.
 */
#include <event2/event.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "digest.h"
#include "log.h"
#include "peer.h"
#include "priv.h"
#include "roles.h"
#include "sandbox.h"

extern char **environ;

#define HEAP_SLACK (4 << 20)
#define HEAP_BLOCK (1 << 20)

static void usage(void) __attribute__((noreturn));
static struct event_base *base_new(void);
static void heap_init(void);

static void
usage(void)
{
	fprintf(stderr, "usage: worker [-c | -k | -r]\n"
			"started by mcpgwd only\n");
	exit(2);
}

static struct event_base *
base_new(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (cfg != NULL) {
		event_config_set_flag(
		    cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
		base = event_base_new_with_config(cfg);
		event_config_free(cfg);
	}
	if (base == NULL)
		fatalx("can not make an event loop");
	return base;
}

/*
 * glibc gives free memory at the end of the heap back from 128 KiB on: with
 * bodies of 64 KiB that is a system call and new pages for every third of them.
 */
static void
heap_init(void)
{
#ifdef __GLIBC__
	mallopt(M_TRIM_THRESHOLD, HEAP_SLACK);
	mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK);
#endif
}

int
main(int argc, char *argv[])
{
	enum role role = ROLE_WORKER;
	struct m_start start;
	uint8_t digest[DIGEST_LEN];
	int ch;

	while ((ch = getopt(argc, argv, "ckr")) != -1) {
		switch (ch) {
		case 'c':
			role = ROLE_CHECKER;
			break;
		case 'k':
			role = ROLE_KEEPER;
			break;
		case 'r':
			role = ROLE_RESOLVER;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
	setproctitle_init(argc, argv, environ);
	priv_boot(&start, role);
	log_init(role_name(role), start.debug);
	log_setjson(start.json);
	log_setlevel((enum log_level)start.loglevel);
	if (role == ROLE_WORKER)
		setproctitle("%llu", (unsigned long long)start.worker);
	else
		setproctitle("%s", role_name(role));
	heap_init();
	peer_setbase(base_new());
	/* OpenSSL reads its configuration on its first use. */
	sha256(digest, "", 0);
	switch (role) {
	case ROLE_KEEPER:
		keeper_main(&start);
		break;
	case ROLE_RESOLVER:
		resolver_main(&start);
		break;
	case ROLE_CHECKER:
		checker_main(&start);
		break;
	default:
		worker_main(&start);
		break;
	}
	return 0;
}
