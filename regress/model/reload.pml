/*
 * Reload: master/{generation,reload,proc,channel}.c, authd/{conf,main}.c, worker/{keeper,shelf}.c; messages M_PREPARE to
 * M_CONF_END (one here), M_PREPARED, M_COMMIT, M_FORGET, M_CHANNEL, M_REAPED, M_DRAIN.
 *
 * Three generations of one worker each, so three workers; generation 1 serves. A reload is refused, or not answered in
 * time, or its worker does not stay up, or it serves. Workers and the long-lived (authd, keeper) die at any moment and
 * are started again; master sees the end of a channel before it reaps, or not.
 *
 * The keeper takes the end of a worker's channel for M_REAPED; what it reads from the dead later names a backend that it
 * does not find.
 *
 * Promise: a worker that is introduced has its slice there; nothing in force and nothing that a living worker needs is
 * forgotten; an undone reload leaves the old workers alone; master writes to no channel that is gone; and when all is
 * quiet one generation serves, is in force with the long-lived, and is all that they hold.
 *
 * RUN -DRELOADS=2 -DDEATHS=0 -DCRASHES=1 -DUNDONE=1
 * RUN -DRELOADS=2 -DDEATHS=1 -DCRASHES=0 -DUNDONE=1
 * RUN -DRELOADS=1 -DDEATHS=1 -DCRASHES=1 -DUNDONE=1
 * FULL -DRELOADS=2 -DDEATHS=1 -DCRASHES=1 -DUNDONE=1
 * MUTANT FORGET_EARLY -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=0
 * MUTANT FORGET_NEVER -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=0
 * MUTANT FORGET_BEFORE_REAPED -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=0
 * MUTANT COMMIT_AT_FIRST -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=1
 * MUTANT UNDO_NO_COMMIT -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=1
 * MUTANT UNDO_KEEPS_WORKERS -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=1
 * MUTANT DRAIN_AT_COMMIT -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=1
 * MUTANT FEED_NO_COMMIT -DRELOADS=1 -DDEATHS=0 -DCRASHES=1 -DUNDONE=1
 * MUTANT FEED_CURRENT_ONLY -DRELOADS=1 -DDEATHS=0 -DCRASHES=1 -DUNDONE=0
 * MUTANT INTRODUCE_FIRST -DRELOADS=0 -DDEATHS=0 -DCRASHES=1 -DUNDONE=0
 * MUTANT GONE_IS_READY -DRELOADS=1 -DDEATHS=0 -DCRASHES=1 -DUNDONE=0
 */
#define GENS 4			/* 1 to 3 */
#define BIT(g) (1 << (g))

mtype = { PREPARE, COMMIT, FORGET, CHANNEL, REAPED };

/* generations */
mtype:gstate = { NONE, PREPARING, STARTING, CURRENT, DRAINING };
mtype:gstate gen[GENS] = NONE;
byte last = 1, current = 1, pending;
byte prepared;

/* workers: OFF is none, DOWN one to be started again */
mtype:wstate = { OFF, DOWN, BOOTING, READY, DRAINS, ENDS, DEAD };
mtype:wstate wk[GENS] = OFF;

/* the long-lived, as they are */
bool up[2];
byte has[2];		/* slices, as bits */
byte force[2];		/* the generation in force */
byte met[2];		/* workers, as bits */
/* and as master has it */
bool peer[2], ready[2];

byte reloads = RELOADS, deaths = DEATHS, crashes = CRASHES, undone = UNDONE;

chan down[2] = [12] of { mtype, byte };
chan back[2] = [4] of { byte, bool };	/* M_PREPARED */

#define LIVES(g)  (wk[g] == BOOTING || wk[g] == READY || wk[g] == DRAINS || wk[g] == ENDS)
/* with a process id, and a control channel that master has not closed */
#define COUNTS(g) (LIVES(g) || wk[g] == DEAD)
#define WIRED(g)  (wk[g] == BOOTING || wk[g] == READY || wk[g] == DRAINS)
#define ROOM	  (len(down[0]) < 6 && len(down[1]) < 6)

#ifdef COMMIT_AT_FIRST
#define ENOUGH true
#else
#define ENOUGH (prepared == 3)
#endif
#ifdef GONE_IS_READY
#define AVAILABLE (ready[0] && ready[1])
#else
#define AVAILABLE (ready[0] && ready[1] && peer[0] && peer[1])
#endif

inline send(l, what, g)
{
	if
	:: peer[l] && up[l] -> down[l]!what,g
	:: else		/* nobody, or dead and master does not know */
	fi
}

inline tell(what, g)
{
	send(0, what, g); send(1, what, g)
}

inline forget(g)
{
#ifndef FORGET_NEVER
	tell(FORGET, g);
#endif
	gen[g] = NONE
}

/* proc_later, start */
inline start(g)
{
	wk[g] = BOOTING; tell(CHANNEL, g)
}

/* drain_old */
inline drain_old(g)
{
	if
	:: wk[g] == DOWN -> wk[g] = OFF
	:: wk[g] == BOOTING -> wk[g] = ENDS
	:: wk[g] == READY -> wk[g] = DRAINS
	:: else
	fi;
	if
	:: !COUNTS(g) -> forget(g)
#ifdef FORGET_EARLY
	:: COUNTS(g) -> tell(FORGET, g)
#else
	:: COUNTS(g)
#endif
	fi
}

inline abort_reload()
{
	assert(gen[current] == CURRENT && wk[current] != DRAINS && wk[current] != ENDS && wk[current] != OFF);
#ifndef UNDO_KEEPS_WORKERS
	if
	:: WIRED(pending) -> wk[pending] = ENDS
	:: wk[pending] == DOWN -> wk[pending] = OFF
	:: else
	fi;
#endif
#ifndef UNDO_NO_COMMIT
	if
	:: gen[pending] == STARTING -> tell(COMMIT, current)
	:: else
	fi;
#endif
	gen[pending] = DRAINING;
	if
	:: !COUNTS(pending) -> forget(pending)
	:: else
	fi;
	pending = 0; prepared = 0
}

proctype Master()
{
	byte l, g;
	bool ok;
end:	do
	/* gen_reload, not_now */
	:: atomic { reloads > 0 && pending == 0 && AVAILABLE && ROOM ->
		reloads--; last++; pending = last; gen[pending] = PREPARING;
		assert(peer[0] && peer[1]);
		tell(PREPARE, pending) }
	/* gen_prepared */
	:: atomic { (nempty(back[0]) || nempty(back[1])) && ROOM ->
		if
		:: back[0]?g,ok -> l = 0
		:: back[1]?g,ok -> l = 1
		fi;
		if
		:: g == pending && gen[g] == PREPARING && !ok -> abort_reload()
		:: g == pending && gen[g] == PREPARING && ok ->
			prepared = prepared | BIT(l);
			if
			:: ENOUGH ->
				/* commit */
				gen[g] = STARTING;
				tell(COMMIT, g);
				start(g);
#ifdef DRAIN_AT_COMMIT
				drain_old(current)
#endif
			:: else
			fi
		:: else
		fi; g = 0; l = 0; ok = false }
	/* check_ready, make_current */
	:: atomic { pending != 0 && gen[pending] == STARTING && wk[pending] == READY && ready[0] && ready[1] && ROOM ->
		g = current; gen[g] = DRAINING;
		current = pending; gen[current] = CURRENT; pending = 0; prepared = 0;
		drain_old(g); g = 0 }
	/* on_timeout */
	:: atomic { pending != 0 && undone > 0 && ROOM -> undone--; abort_reload() }
	od
}

/* A worker, and what master does about it. */
proctype Worker(byte g)
{
end:	do
	/* joined authd, and so ready */
	:: atomic { wk[g] == BOOTING && up[0] && (met[0] & BIT(g)) -> wk[g] = READY }
	:: atomic { wk[g] == DRAINS || wk[g] == ENDS -> wk[g] = DEAD }
	:: atomic { deaths > 0 && (wk[g] == BOOTING || wk[g] == READY) -> deaths--; wk[g] = DEAD }
	/* worker_reaped */
	:: atomic { wk[g] == DEAD && ROOM ->
		wk[g] = DOWN;
#ifndef FORGET_BEFORE_REAPED
		tell(REAPED, g);
#endif
		if
		:: gen[g] == DRAINING -> wk[g] = OFF; forget(g)
		:: gen[g] != DRAINING && g == pending && undone > 0 -> undone--; abort_reload()
		:: gen[g] != DRAINING
		fi;
#ifdef FORGET_BEFORE_REAPED
		tell(REAPED, g)
#endif
		}
	:: atomic { wk[g] == DOWN && ROOM -> start(g) }
	od
}

inline introduce(l)
{
	g = 1;
	do
	:: g < GENS ->
		if
		:: WIRED(g) || wk[g] == DEAD -> down[l]!CHANNEL,g
		:: !WIRED(g)
		fi; g++
	:: g == GENS -> break
	od; g = 0
}

/* gen_feed */
inline feed(l)
{
	g = 1;
	do
	:: g < GENS ->
		if
#ifdef FEED_CURRENT_ONLY
		:: g == current -> down[l]!PREPARE,g; down[l]!COMMIT,g
		:: g != current
#else
		:: gen[g] == NONE
		:: gen[g] == PREPARING -> down[l]!PREPARE,g
		:: gen[g] != NONE && gen[g] != PREPARING -> down[l]!PREPARE,g; down[l]!COMMIT,g
#endif
		fi; g++
	:: g == GENS -> break
	od; g = 0;
#ifndef FEED_NO_COMMIT
	if
	:: pending == 0 -> down[l]!COMMIT,current
	:: else
	fi
#endif
}

/* authd or the keeper, and what master does about it. */
proctype Server(byte l)
{
	byte g;
end:	do
	:: atomic { up[l] && nempty(down[l]) && nfull(back[l]) ->
		if
		:: down[l]?PREPARE,g ->
			if
			:: has[l] = has[l] | BIT(g); back[l]!g,true
			:: undone > 0 && gen[g] == PREPARING -> undone--; back[l]!g,false
			fi
		:: down[l]?COMMIT,g -> assert(has[l] & BIT(g)); force[l] = g
		:: down[l]?CHANNEL,g -> assert(has[l] & BIT(g)); met[l] = met[l] | BIT(g)
		:: down[l]?REAPED,g -> met[l] = met[l] & ~BIT(g)
		:: down[l]?FORGET,g ->
			assert(force[l] != g && !LIVES(g) && !(met[l] & BIT(g)));
			has[l] = has[l] & ~BIT(g)
		fi; g = 0 }
	:: atomic { up[l] && !ready[l] && peer[l] && empty(down[l]) -> ready[l] = true }
	:: atomic { up[l] && crashes > 0 ->
		crashes--; up[l] = false; has[l] = 0; force[l] = 0; met[l] = 0;
		do
		:: nempty(down[l]) -> down[l]?_,_
		:: empty(down[l]) -> break
		od;
		do
		:: nempty(back[l]) -> back[l]?_,_
		:: empty(back[l]) -> break
		od }
	/* on_gone: the channel is seen to be gone */
	:: atomic { !up[l] && peer[l] -> peer[l] = false }
	/* reaped, gen_reaped */
	:: atomic { !up[l] && ready[l] && ROOM ->
		peer[l] = false; ready[l] = false;
		if
		:: pending != 0 && gen[pending] == PREPARING -> abort_reload()
		:: else
		fi }
	/* start */
	:: atomic { !up[l] && !peer[l] && !ready[l] ->
		up[l] = true; peer[l] = true;
#ifdef INTRODUCE_FIRST
		introduce(l); feed(l)
#else
		feed(l); introduce(l)
#endif
		}
	od
}

#define HOLDS(l) (up[l] && ready[l] && force[l] == current && has[l] == BIT(current) && met[l] == BIT(current))

proctype Quiet()
{
end:	do
	:: timeout ->
		assert(pending == 0 && gen[current] == CURRENT && wk[current] == READY && HOLDS(0) && HOLDS(1));
		break
	od
}

init
{
	atomic {
		gen[1] = CURRENT; wk[1] = READY;
		up[0] = true; peer[0] = true; ready[0] = true; has[0] = BIT(1); force[0] = 1; met[0] = BIT(1);
		up[1] = true; peer[1] = true; ready[1] = true; has[1] = BIT(1); force[1] = 1; met[1] = BIT(1);
		run Master(); run Server(0); run Server(1);
		run Worker(1); run Worker(2); run Worker(3);
		run Quiet()
	}
}
