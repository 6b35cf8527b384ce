/*
 * load: MCP clients that do one thing without a pause, and check every answer.
 *
 *   call  a session each, then tools/call: warms up, says "ready", waits for a
 *         line on stdin, measures, and says what it found as JSON
 *   init  initialize again and again, measured in the same way
 *   idle  a session each with an open GET stream; says "ready" and holds them
 *         until stdin ends
 *   wait  tries until each target has answered a tools/call once, with -i only
 *         initialize, and says the monotonic clock of that moment in ns
 *
 * Between "ready" and the line nothing is under way, so that who reads the
 * processor time of a server then and at the end has that of these calls.
 */
#include <sys/epoll.h>
#include <sys/resource.h>

#include <arpa/inet.h>
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

#define SECOND      1000000000ull
#define TARGETS_MAX 64
#define EVENTS      512

/* Latencies: 128 linear steps for each power of two of nanoseconds. */
#define STEPS     128
#define STEP_BITS 7
#define BUCKETS   (58 * STEPS)

enum mode { MODE_CALL, MODE_INIT, MODE_IDLE, MODE_WAIT };

static enum mode mode;
static struct target targets[TARGETS_MAX];
static struct client *clients;
static int nclients = 1, ep, greet, parallel = 32;
static double warmup = 0.5, duration = 3, patience = 30;

static int next_client, settled, busy, going;
static uint64_t answered, errors, buckets[BUCKETS];
static char first_error[512];

static size_t
bucket(uint64_t ns)
{
	int shift = ns < STEPS ? 0 : 63 - __builtin_clzll(ns) - STEP_BITS;

	if (ns < STEPS)
		return (size_t)ns;
	return (size_t)(shift + 1) * STEPS +
	       (size_t)((ns >> shift) & (STEPS - 1));
}

/* The microseconds within which this share of the calls was answered. */
static double
quantile(double q)
{
	uint64_t want = (uint64_t)(q * (double)answered), sum = 0;
	size_t i, shift;

	for (i = 0; i < BUCKETS; i++)
		if ((sum += buckets[i]) > want)
			break;
	if (i < STEPS)
		return (double)i / 1000;
	shift = i / STEPS - 1;
	return (double)((STEPS + i % STEPS) << shift) / 1000;
}

/* ---- what a client does next ---- */

static void
begin(struct client *c)
{
	busy++;
	client_ask(c, mode == MODE_INIT ? INITIALIZE : CALL);
}

static void
settle(void)
{
	settled++;
	while (next_client < nclients && next_client - settled < parallel)
		client_ask(&clients[next_client++], INITIALIZE);
}

static void
failed(struct client *c, const char *why)
{
	if (mode == MODE_WAIT)
		return; /* it is asked again */
	if (errors++ == 0)
		snprintf(first_error, sizeof(first_error),
		    "%s (step %d, status %d): %.*s", why, (int)c->step,
		    c->status, c->body.n > 300 ? 300 : (int)c->body.n,
		    c->body.n > 0 ? c->body.p : "");
	client_close(c);
	c->state = GONE;
	if (settled < nclients)
		settle();
	else if (busy > 0)
		busy--;
}

/* An answer to what is measured. */
static void
count(struct client *c)
{
	uint64_t t = now_ns();

	answered++;
	buckets[bucket(t - c->since)]++;
	busy--;
	if (going)
		begin(c);
}

static void
reached(struct client *c)
{
	c->state = GONE;
	settled++;
}

void
client_done(struct client *c, const char *why)
{
	if (why != NULL) {
		failed(c, why);
		return;
	}
	switch (c->step) {
	case INITIALIZE:
		if (mode == MODE_WAIT && greet)
			reached(c);
		else if (mode != MODE_INIT)
			client_ask(c, INITIALIZED);
		else if (settled < nclients)
			settle();
		else
			count(c);
		break;
	case INITIALIZED:
		if (mode == MODE_WAIT)
			client_ask(c, CALL);
		else if (mode == MODE_IDLE)
			client_ask(c, STREAM);
		else
			settle();
		break;
	case CALL:
		if (mode == MODE_WAIT)
			reached(c);
		else
			count(c);
		break;
	case STREAM:
		settle();
		break;
	}
}

/* ---- the loop ---- */

static void
turn(int ms)
{
	static struct epoll_event ev[EVENTS];
	int i, n;

	n = epoll_wait(ep, ev, EVENTS, ms);
	for (i = 0; i < n; i++)
		client_event(ev[i].data.ptr, ev[i].events);
}

/* Fails those that have waited for an answer too long. */
static void
expire(void)
{
	uint64_t t = now_ns();
	struct client *c;
	int i;

	for (i = 0; i < next_client; i++) {
		c = &clients[i];
		if ((c->state == CONNECTING || c->state == ASKING) &&
		    (double)(t - c->since) > patience * (double)SECOND)
			failed(c, "no answer");
	}
}

static void
connect_all(void)
{
	while (next_client < nclients && next_client < parallel)
		client_ask(&clients[next_client++], INITIALIZE);
	while (settled < nclients) {
		turn(100);
		expire();
	}
}

/* All clients ask for so long; returns the nanoseconds until all are quiet. */
static uint64_t
phase(double seconds)
{
	uint64_t start, end;
	int i;

	memset(buckets, 0, sizeof(buckets));
	answered = 0;
	going = 1;
	start = now_ns();
	end = start + (uint64_t)(seconds * (double)SECOND);
	for (i = 0; i < nclients; i++)
		if (clients[i].state == RESTING)
			begin(&clients[i]);
	while (now_ns() < end && busy > 0)
		turn(20);
	going = 0;
	while (busy > 0) {
		turn(100);
		expire();
	}
	return now_ns() - start;
}

static void
ready(void)
{
	printf("ready\n");
	if (fflush(stdout) == EOF)
		die("stdout");
}

static void
measure(void)
{
	char line[16];
	uint64_t ns;

	connect_all();
	phase(warmup);
	ready();
	if (fgets(line, sizeof(line), stdin) == NULL)
		return;
	ns = phase(duration);
	printf("{\"calls\":%llu,\"seconds\":%.4f,\"errors\":%llu,"
	       "\"p50\":%.1f,\"p99\":%.1f}\n",
	    (unsigned long long)answered, (double)ns / (double)SECOND,
	    (unsigned long long)errors, quantile(0.5), quantile(0.99));
}

static void
hold(void)
{
	char c;

	connect_all();
	if (errors == 0)
		ready();
	/* What servers say meanwhile waits in the sockets: keep-alives. */
	while (errors == 0 && read(STDIN_FILENO, &c, 1) > 0)
		;
}

static void
wait_all(void)
{
	uint64_t t = now_ns(), next = t;
	uint64_t end = t + (uint64_t)(patience * (double)SECOND);
	/* Often enough to tell, seldom enough to leave the processors alone. */
	uint64_t step = (uint64_t)(1 + nclients / 5) * 1000000u;
	int i;

	next_client = nclients;
	for (; settled < nclients && t < end; t = now_ns()) {
		for (i = 0; i < nclients && t >= next; i++)
			if (clients[i].state == RESTING)
				client_ask(&clients[i], INITIALIZE);
		if (t >= next)
			next = t + step;
		turn(1);
	}
	if (settled < nclients)
		errx(1, "%d of %d targets have not answered",
		    nclients - settled, nclients);
	printf("%llu\n", (unsigned long long)t);
}

/* ---- options ---- */

__attribute__((noreturn)) static void
usage(void)
{
	fprintf(stderr,
	    "usage: load [-i] [-c clients] [-d seconds] [-f filler] "
	    "[-H header]\n"
	    "            [-p parallel] [-t tool] [-T seconds] [-w seconds]\n"
	    "            call | init | idle | wait address:port/path ...\n");
	exit(2);
}

static void
target(struct target *t, char *s)
{
	char *path = strchr(s, '/'), host[sizeof(t->host)], *colon;

	if (path == NULL || (size_t)(path - s) >= sizeof(t->host))
		usage();
	t->path = path;
	snprintf(t->host, sizeof(t->host), "%.*s", (int)(path - s), s);
	memcpy(host, t->host, sizeof(host));
	if ((colon = strchr(host, ':')) == NULL)
		usage();
	*colon = '\0';
	t->addr.sin_family = AF_INET;
	t->addr.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &t->addr.sin_addr) != 1)
		usage();
}

static enum mode
mode_named(const char *s)
{
	static const char *const names[] = {"call", "init", "idle", "wait"};
	int i;

	for (i = 0; i < 4; i++)
		if (strcmp(names[i], s) == 0)
			return (enum mode)i;
	usage();
}

static void
options(int argc, char **argv)
{
	static struct buf extra;
	int ch;

	while ((ch = getopt(argc, argv, "c:d:f:iH:p:t:T:w:")) != -1) {
		switch (ch) {
		case 'c':
			nclients = atoi(optarg);
			break;
		case 'd':
			duration = atof(optarg);
			break;
		case 'f':
			manner.filler = (size_t)atol(optarg);
			break;
		case 'i':
			greet = 1;
			break;
		case 'H':
			buf_fmt(&extra, "%s\r\n", optarg);
			break;
		case 'p':
			parallel = atoi(optarg);
			break;
		case 't':
			manner.tool = optarg;
			break;
		case 'T':
			patience = atof(optarg);
			break;
		case 'w':
			warmup = atof(optarg);
			break;
		default:
			usage();
		}
	}
	if (extra.n > 0) {
		buf_add(&extra, "", 1);
		manner.extra = extra.p;
	}
}

int
main(int argc, char **argv)
{
	struct rlimit rl;
	int i, n;

	options(argc, argv);
	n = argc - optind - 1;
	if (n < 1 || n > TARGETS_MAX)
		usage();
	mode = mode_named(argv[optind]);
	for (i = 0; i < n; i++)
		target(&targets[i], argv[optind + 1 + i]);
	if (mode == MODE_WAIT)
		nclients = n;
	if (nclients < 1 || parallel < 1)
		usage();

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) == -1)
		die("epoll_create1");
	client_init(ep);
	clients = calloc((size_t)nclients, sizeof(*clients));
	if (clients == NULL)
		die("calloc");
	for (i = 0; i < nclients; i++) {
		clients[i].ix = i;
		clients[i].fd = -1;
		clients[i].to = &targets[i % n];
	}

	if (mode == MODE_IDLE)
		hold();
	else if (mode == MODE_WAIT)
		wait_all();
	else
		measure();
	if (errors > 0)
		warnx("%s", first_error);
	return errors > 0;
}
