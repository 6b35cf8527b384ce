/*
 * Reload: master/{generation,reload,proc,channel}.c, authd/{conf,main}.c, worker/{keeper,shelf}.c; messages M_PREPARE to
 * M_CONF_END (one here), M_PREPARED, M_COMMIT, M_FORGET, M_CHANNEL, M_REAPED, M_DRAIN.
 *
 * Three generations of one worker each, or with -DPAIRS of two; generation 1 serves. A reload is refused, or not answered in
 * time, or its worker does not stay up, or it serves. Workers and the long-lived (authd, keeper) die at any moment and
 * are started again; master sees the end of a channel before it reaps, or not.
 *
 * The keeper takes the end of a worker's channel for M_REAPED; what it reads from the dead later names a backend that it
 * does not find.
 *
 * Promise: a worker that is introduced has its slice there; nothing in force and nothing that a living worker needs is
 * forgotten; none is drained before all of the next generation serve; an undone reload leaves the old workers alone; master writes to no channel that is gone; and when all is
 * quiet one generation serves, is in force with the long-lived, and is all that they hold.
 *
 * RUN -DRELOADS=2 -DDEATHS=0 -DCRASHES=1 -DUNDONE=1
 * RUN -DRELOADS=2 -DDEATHS=1 -DCRASHES=0 -DUNDONE=1
 * RUN -DRELOADS=1 -DDEATHS=1 -DCRASHES=1 -DUNDONE=1
 * RUN -DPAIRS -DRELOADS=1 -DDEATHS=1 -DCRASHES=0 -DUNDONE=1
 * RUN -DPAIRS -DRELOADS=1 -DDEATHS=0 -DCRASHES=1 -DUNDONE=1
 * FULL -DRELOADS=2 -DDEATHS=1 -DCRASHES=1 -DUNDONE=1
 * FULL -DPAIRS -DRELOADS=2 -DDEATHS=1 -DCRASHES=0 -DUNDONE=1
 * FULL -DPAIRS -DRELOADS=1 -DDEATHS=1 -DCRASHES=1 -DUNDONE=1
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
 * MUTANT FORGET_AT_FIRST_GONE -DPAIRS -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=0
 * MUTANT DRAIN_AT_FIRST_READY -DPAIRS -DRELOADS=1 -DDEATHS=0 -DCRASHES=0 -DUNDONE=0
 */
#define GENS 4			/* 1 to 3 */
#define BIT(g) (1 << (g))
#ifdef PAIRS
/* Workers 1 to 3, and 4 to 6, are of generations 1 to 3. */
#define WORKERS	 7
#define GEN(w)	 ((w) > 3 -> (w) - 3 : (w))
#define TWIN(g)	 ((g) + 3)
#define BITS(g)	 (BIT(g) | BIT(TWIN(g)))
#define ALL(f,g) (f(g) && f(TWIN(g)))
#define ANY(f,g) (f(g) || f(TWIN(g)))
#else
#define WORKERS	 GENS
#define GEN(w)	 (w)
#define BITS(g)	 BIT(g)
#define ALL(f,g) f(g)
#define ANY(f,g) f(g)
#endif
#ifdef DRAIN_AT_FIRST_READY
#define SERVES(g) ANY(SERVING, g)
#else
#define SERVES(g) ALL(SERVING, g)
#endif

mtype = { PREPARE, COMMIT, FORGET, CHANNEL, REAPED };

/* generations */
mtype:gstate = { NONE, PREPARING, STARTING, CURRENT, DRAINING };
mtype:gstate gen[GENS] = NONE;
byte last = 1, current = 1, pending;
byte prepared;
byte twin;	/* the other worker of a generation, in a step */

/* workers: OFF is none, DOWN one to be started again */
mtype:wstate = { OFF, DOWN, BOOTING, READY, DRAINS, ENDS, DEAD };
mtype:wstate wk[WORKERS] = OFF;

/* the long-lived, as they are */
bool up[2];
byte has[2];		/* slices, as bits */
byte force[2];		/* the generation in force */
byte met[2];		/* workers, as bits */
/* and as master has it */
bool peer[2], ready[2];

byte reloads = RELOADS, deaths = DEATHS, crashes = CRASHES, undone = UNDONE;

chan down[2] = [14] of { mtype, byte };
chan back[2] = [4] of { byte, bool };	/* M_PREPARED */

#define LIVES(g)  (wk[g] == BOOTING || wk[g] == READY || wk[g] == DRAINS || wk[g] == ENDS)
/* with a process id, and a control channel that master has not closed */
#define COUNTS(g) (LIVES(g) || wk[g] == DEAD)
#define WIRED(g)  (wk[g] == BOOTING || wk[g] == READY || wk[g] == DRAINS)
#define SERVING(g) (wk[g] == READY)
#define STAYS(g)  (wk[g] != DRAINS && wk[g] != ENDS && wk[g] != OFF)
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
inline drain(w)
{
	if
	:: wk[w] == DOWN -> wk[w] = OFF
	:: wk[w] == BOOTING -> wk[w] = ENDS
	:: wk[w] == READY -> wk[w] = DRAINS
	:: else
	fi
}

inline drain_old(g)
{
	assert(ALL(SERVING, current));
	drain(g);
#ifdef PAIRS
	twin = TWIN(g); drain(twin); twin = 0;
#endif
	if
	:: !ANY(COUNTS, g) -> forget(g)
#ifdef FORGET_EARLY
	:: ANY(COUNTS, g) -> tell(FORGET, g)
#else
	:: ANY(COUNTS, g)
#endif
	fi
}

inline end_worker(w)
{
	if
	:: WIRED(w) -> wk[w] = ENDS
	:: wk[w] == DOWN -> wk[w] = OFF
	:: else
	fi
}

inline abort_reload()
{
	assert(gen[current] == CURRENT && ALL(STAYS, current));
#ifndef UNDO_KEEPS_WORKERS
	end_worker(pending);
#ifdef PAIRS
	twin = TWIN(pending); end_worker(twin); twin = 0;
#endif
#endif
#ifndef UNDO_NO_COMMIT
	if
	:: gen[pending] == STARTING -> tell(COMMIT, current)
	:: else
	fi;
#endif
	gen[pending] = DRAINING;
	if
	:: !ANY(COUNTS, pending) -> forget(pending)
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
#ifdef PAIRS
				twin = TWIN(g); start(twin); twin = 0;
#endif
#ifdef DRAIN_AT_COMMIT
				drain_old(current)
#endif
			:: else
			fi
		:: else
		fi; g = 0; l = 0; ok = false }
	/* check_ready, make_current */
	:: atomic { pending != 0 && gen[pending] == STARTING && SERVES(pending) && ready[0] && ready[1] && ROOM ->
		g = current; gen[g] = DRAINING;
		current = pending; gen[current] = CURRENT; pending = 0; prepared = 0;
		drain_old(g); g = 0 }
	/* on_timeout */
	:: atomic { pending != 0 && undone > 0 && ROOM -> undone--; abort_reload() }
	od
}

/* A worker, and what master does about it. */
proctype Worker(byte w; byte g)
{
end:	do
	/* joined authd, and so ready */
	:: atomic { wk[w] == BOOTING && up[0] && (met[0] & BIT(w)) -> wk[w] = READY }
	:: atomic { wk[w] == DRAINS || wk[w] == ENDS -> wk[w] = DEAD }
	:: atomic { deaths > 0 && (wk[w] == BOOTING || wk[w] == READY) -> deaths--; wk[w] = DEAD }
	/* worker_reaped */
	:: atomic { wk[w] == DEAD && ROOM ->
		wk[w] = DOWN;
#ifndef FORGET_BEFORE_REAPED
		tell(REAPED, w);
#endif
		if
		:: gen[g] == DRAINING ->
			wk[w] = OFF;
			if
#ifdef FORGET_AT_FIRST_GONE
			:: gen[g] != NONE -> forget(g)
#else
			:: !ANY(COUNTS, g) -> forget(g)
#endif
			:: else
			fi
		:: gen[g] != DRAINING && g == pending && undone > 0 -> undone--; abort_reload()
		:: gen[g] != DRAINING
		fi;
#ifdef FORGET_BEFORE_REAPED
		tell(REAPED, w)
#endif
		}
	:: atomic { wk[w] == DOWN && ROOM -> start(w) }
	od
}

inline introduce(l)
{
	g = 1;
	do
	:: g < WORKERS ->
		if
		:: WIRED(g) || wk[g] == DEAD -> down[l]!CHANNEL,g
		:: !WIRED(g)
		fi; g++
	:: g == WORKERS -> break
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
		:: down[l]?CHANNEL,g -> assert(has[l] & BIT(GEN(g))); met[l] = met[l] | BIT(g)
		:: down[l]?REAPED,g -> met[l] = met[l] & ~BIT(g)
		:: down[l]?FORGET,g ->
			assert(force[l] != g && !ANY(LIVES, g) && !(met[l] & BITS(g)));
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

#define HOLDS(l) (up[l] && ready[l] && force[l] == current && has[l] == BIT(current) && met[l] == BITS(current))

proctype Quiet()
{
end:	do
	:: timeout ->
		assert(pending == 0 && gen[current] == CURRENT && ALL(SERVING, current) && HOLDS(0) && HOLDS(1));
		break
	od
}

init
{
	atomic {
		gen[1] = CURRENT; wk[1] = READY;
#ifdef PAIRS
		wk[TWIN(1)] = READY; run Worker(4, 1); run Worker(5, 2); run Worker(6, 3);
#endif
		up[0] = true; peer[0] = true; ready[0] = true; has[0] = BIT(1); force[0] = 1; met[0] = BITS(1);
		up[1] = true; peer[1] = true; ready[1] = true; has[1] = BIT(1); force[1] = 1; met[1] = BITS(1);
		run Master(); run Server(0); run Server(1);
		run Worker(1, 1); run Worker(2, 2); run Worker(3, 3);
		run Quiet()
	}
}
