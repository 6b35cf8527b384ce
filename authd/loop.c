/*
 * The event loop, as far as authd needs one beside peer.c.
 */
#include <sys/time.h>

#include <event2/event.h>
#include <stdlib.h>

#include "authd.h"
#include "compat.h"
#include "log.h"
#include "peer.h"

struct loop_timer {
	struct event *ev;
	void (*fn)(void);
};

static struct event_base *base;

void
loop_init(void)
{
	if ((base = event_base_new()) == NULL)
		fatalx("no event loop");
	peer_setbase(base);
}

void
loop_run(void)
{
	if (event_base_dispatch(base) == -1)
		fatal("event loop");
}

static void
fire(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;

	(void)fd;
	(void)what;
	t->fn();
}

struct loop_timer *
loop_timer_new(void (*fn)(void))
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	t->fn = fn;
	if ((t->ev = evtimer_new(base, fire, t)) == NULL)
		fatalx("no timer");
	return t;
}

void
loop_timer_set(struct loop_timer *t, unsigned int ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (!evtimer_pending(t->ev, NULL))
		(void)evtimer_add(t->ev, &tv);
}

void
loop_defer(struct loop_timer *t)
{
	event_active(t->ev, EV_TIMEOUT, 1);
}

void
loop_once(unsigned int ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	(void)event_base_loopexit(base, &tv);
	(void)event_base_loop(base, EVLOOP_ONCE);
}

void
loop_free(void)
{
	event_base_free(base);
	base = NULL;
	peer_setbase(NULL);
}
