/*
 * Leases of upstream sessions: worker/{upsession,call,keeperc}.c, worker/{lease,keeper}.c; messages M_CHANNEL, K_LEASE,
 * K_SESSION, K_PUT, K_FAIL, K_END.
 *
 * One session of a client, one backend, a worker in each of three slots. A backend's session is a number; the backend
 * forgets all it has at any moment (404 from then on). Workers are replaced, the keeper dies and comes back, a lease
 * runs out, the client ends its session.
 *
 * Promise: the keeper has at most one holder; two leases of one keeper are at work only after one has run out; an asker
 * is never given the session that it says is gone; a call is sent at most twice; and every asker is answered in the end,
 * nobody waits for ever (else: invalid end state).
 *
 * RUN -DDEATHS=1 -DCRASHES=0 -DLATE=1 -DFORGETS=1 -DENDS=0
 * RUN -DDEATHS=0 -DCRASHES=1 -DLATE=0 -DFORGETS=1 -DENDS=0
 * RUN -DDEATHS=1 -DCRASHES=0 -DLATE=0 -DFORGETS=0 -DENDS=1
 * RUN -DDEATHS=1 -DCRASHES=1 -DLATE=1 -DFORGETS=0 -DENDS=0
 * FULL -DDEATHS=1 -DCRASHES=1 -DLATE=0 -DFORGETS=1 -DENDS=0
 * MUTANT TWO_HOLDERS -DDEATHS=0 -DCRASHES=0 -DLATE=0 -DFORGETS=0 -DENDS=0
 * MUTANT NO_PASS_AT_DEATH -DDEATHS=1 -DCRASHES=0 -DLATE=0 -DFORGETS=0 -DENDS=0
 * MUTANT NO_PASS_WHEN_LATE -DDEATHS=0 -DCRASHES=0 -DLATE=1 -DFORGETS=0 -DENDS=0
 * MUTANT FAIL_IS_SILENT -DDEATHS=0 -DCRASHES=0 -DLATE=0 -DFORGETS=0 -DENDS=0
 * MUTANT PUT_IS_SILENT -DDEATHS=0 -DCRASHES=0 -DLATE=0 -DFORGETS=0 -DENDS=0
 * MUTANT FAIL_OF_ANYBODY -DDEATHS=0 -DCRASHES=0 -DLATE=1 -DFORGETS=0 -DENDS=0
 * MUTANT NO_STALE -DDEATHS=0 -DCRASHES=0 -DLATE=0 -DFORGETS=1 -DENDS=0
 * MUTANT KEEPER_GONE_UNSEEN -DDEATHS=0 -DCRASHES=1 -DLATE=0 -DFORGETS=0 -DENDS=0
 * MUTANT NO_REPUT -DDEATHS=0 -DCRASHES=1 -DLATE=0 -DFORGETS=0 -DENDS=0
 * MUTANT PUT_OF_ANYBODY -DDEATHS=0 -DCRASHES=1 -DLATE=0 -DFORGETS=1 -DENDS=0
 * MUTANT END_IS_SILENT -DDEATHS=0 -DCRASHES=0 -DLATE=0 -DFORGETS=0 -DENDS=1
 */
#define N 3
#ifndef CALLS
#define CALLS 1			/* that a worker makes */
#endif
#define NOBODY 3

mtype = { LEASE, PUT, FAIL, END, LEASED, SESSION, REFUSED };

/* Workers: one `making`, for the call that waits for it. */
mtype:w = { IDLE, ASKING, MAKING, SENDING };
mtype:w ws[N] = IDLE;
byte cache[N];		/* 0: none */
byte stale[N];		/* what its call was answered 404 on */
bool leased[N];
bool linked[N];		/* it has a channel to the keeper */
bool cut[N];		/* whose other end is gone */
bool slow[N];		/* what it makes takes longer than a lease */
byte calls[N] = CALLS;
bool ended[N];		/* it knows that the client's session is over */

/* The backend: sessions up to `dead` are forgotten. */
byte last, dead;

/* The keeper's lease of it. */
bool up = true;
bool entry;		/* there is one */
byte session, holder = NOBODY;
byte waits;		/* bits, in the order of slots */
byte told;		/* bits of those whose session it knows, or knew */
byte lateness;		/* leases that have run out: bits of their holders */

byte deaths = DEATHS, crashes = CRASHES, late = LATE, forgets = FORGETS, ends = ENDS;

chan tokeeper[N] = [3] of { mtype, byte };
chan back[N] = [2] of { mtype, byte };

#define BIT(s)	  (1 << (s))
#define UPLINK(s)  (linked[s] && !cut[s])
#define AT_WORK(s) (ws[s] == MAKING && leased[s] && UPLINK(s) && !(lateness & BIT(s)))
#define UNUSED(s)  (UPLINK(s) && cache[s] > dead && len(tokeeper[s]) == 0 && !(told & BIT(s)))

inline drain(c)
{
	do
	:: nempty(c) -> c?_,_
	:: empty(c) -> break
	od
}

inline tell(s, what, n)
{
	if
	:: UPLINK(s) -> tokeeper[s]!what,n
	:: else
	fi
}

/* ---- workers ---- */

inline make(s, under)
{
	ws[s] = MAKING; leased[s] = under;
	if
	:: under && late > 0 -> late--; slow[s] = true
	:: true
	fi;
	assert(ended[s] || AT_WORK(0) + AT_WORK(1) + AT_WORK(2) <= 1)
}

/* upsession_get */
inline get(s)
{
	if
	:: cache[s] == stale[s] -> cache[s] = 0
	:: else
	fi;
	if
	:: linked[s] -> tell(s, LEASE, stale[s]); ws[s] = ASKING
	:: else -> make(s, false)
	fi
}

inline call_over(s)
{
	ws[s] = IDLE; stale[s] = 0; leased[s] = false; slow[s] = false; lateness = lateness & ~BIT(s)
}

/* calls_end, upsession_end; what is being made is made to its end */
inline end_calls(s)
{
	ended[s] = true; cache[s] = 0;
	if
	:: ws[s] == SENDING -> call_over(s)
	:: else
	fi
}

proctype Worker(byte s)
{
	byte n;
end:	do
	/* a call: with what is cached, or after asking */
	:: atomic { ws[s] == IDLE && calls[s] > 0 && !ended[s] && nfull(tokeeper[s]) ->
		calls[s]--;
		if
		:: cache[s] != 0 -> ws[s] = SENDING
		:: else -> get(s)
		fi }
	/* call_done: 404 is asked for again once */
	:: atomic { ws[s] == SENDING && nfull(tokeeper[s]) ->
		if
		:: cache[s] > dead || ended[s] -> call_over(s)
		:: cache[s] <= dead && !ended[s] && stale[s] == 0 -> stale[s] = cache[s]; get(s)
		:: cache[s] <= dead && !ended[s] && stale[s] != 0 ->
			/* a second 404 is the backend's doing, not ours */
			assert(cache[s] != stale[s]);
			call_over(s)
		fi }
	/* upsession_answer */
	:: atomic { nempty(back[s]) ->
		if
		:: back[s]?LEASED,_ -> make(s, true)
		:: back[s]?SESSION,n ->
			assert(n != stale[s]);
			cache[s] = n; n = 0; ws[s] = SENDING
		:: back[s]?REFUSED,_ -> call_over(s)
		fi }
	/* the handshake is over */
	:: atomic { ws[s] == MAKING && nfull(tokeeper[s]) && (!slow[s] || (lateness & BIT(s)) || !leased[s]) ->
		if
		:: last++; cache[s] = last; tell(s, PUT, last); ws[s] = SENDING
		:: leased[s] -> tell(s, FAIL, 0); call_over(s)
		:: !leased[s] -> call_over(s)
		fi;
		leased[s] = false; slow[s] = false; lateness = lateness & ~BIT(s) }
	/* the client ends its session here; the others hear of it as of any revocation */
	:: atomic { ends > 0 && ws[s] == IDLE && nfull(tokeeper[s]) ->
		ends--; tell(s, END, 0);
		end_calls(0); end_calls(1); end_calls(2) }
	od
}

/* ---- the keeper ---- */

inline answer(s, what, n)
{
	back[s]!what,n;
	if
	:: what == SESSION -> told = told | BIT(s)
	:: else
	fi
}

inline grant(s)
{
	/* nobody has one that works, and has not said so */
	assert(!UNUSED(0) && !UNUSED(1) && !UNUSED(2));
	holder = s; answer(s, LEASED, 0)
}

inline lease_free()
{
	entry = false; session = 0; holder = NOBODY
}

/* lease_pass */
inline pass()
{
	holder = NOBODY;
	if
	:: waits == 0 -> lease_free()
	:: waits & 1 -> waits = waits & ~1; grant(0)
	:: waits & 2 -> waits = waits & ~2; grant(1)
	:: waits & 4 -> waits = waits & ~4; grant(2)
	fi
}

inline answer1(s, what, n)
{
	if
	:: waits & BIT(s) -> waits = waits & ~BIT(s); answer(s, what, n)
	:: else
	fi
}

inline answer_all(what, n)
{
	answer1(0, what, n); answer1(1, what, n); answer1(2, what, n)
}

inline lease_ask(s, n)
{
	entry = true;
#ifndef NO_STALE
	if
	:: n != 0 && session == n -> session = 0
	:: else
	fi;
#endif
	if
	:: session != 0 -> answer(s, SESSION, session)
#ifdef TWO_HOLDERS
	:: session == 0 -> grant(s)
#else
	:: session == 0 && holder == NOBODY -> grant(s)
	:: session == 0 && holder != NOBODY -> waits = waits | BIT(s)
#endif
	fi
}

inline lease_put(s, n)
{
	told = told | BIT(s);
	if
	:: session != 0	/* two were made; both work */
#ifndef PUT_OF_ANYBODY
	:: session == 0 && holder != NOBODY && holder != s	/* another makes it now */
	:: session == 0 && (holder == NOBODY || holder == s) ->
#else
	:: session == 0 ->
#endif
		entry = true; session = n; holder = NOBODY;
#ifndef PUT_IS_SILENT
		answer_all(SESSION, n)
#endif
	fi
}

/* A worker dies and another takes its slot. What it had written is read before the end of its channel is; the next one
 * in the slot asks as any other. */
proctype Death(byte s)
{
end:	do
	:: atomic { deaths > 0 && (!UPLINK(s) || len(tokeeper[s]) == 0) ->
		deaths--;
		if
		:: UPLINK(s) ->
#ifndef NO_PASS_AT_DEATH
			/* lease_gone */
			waits = waits & ~BIT(s);
			if
			:: holder == s -> pass()
			:: else
			fi
#endif
		:: else -> linked[s] = false; cut[s] = false
		fi;
		drain(back[s]); call_over(s); cache[s] = 0; told = told & ~BIT(s) }
	od
}

proctype Keeper(byte s)
{
	byte n;
end:	do
	:: atomic { up && UPLINK(s) && nempty(tokeeper[s]) && empty(back[0]) && empty(back[1]) && empty(back[2]) ->
		if
		:: tokeeper[s]?LEASE,n -> lease_ask(s, n)
		:: tokeeper[s]?PUT,n -> lease_put(s, n)
		:: tokeeper[s]?FAIL,_ ->
			if
#ifdef FAIL_OF_ANYBODY
			:: entry ->
#else
			:: entry && holder == s ->
#endif
#ifdef FAIL_IS_SILENT
				lease_free()
#else
				answer_all(REFUSED, 0); lease_free()
#endif
			:: else
			fi
		:: tokeeper[s]?END,_ ->
#ifdef END_IS_SILENT
			waits = 0;
#else
			answer_all(REFUSED, 0);
#endif
			lease_free()
		fi; n = 0 }
	/* lease_tick */
#ifndef NO_PASS_WHEN_LATE
	:: atomic { up && holder == s && slow[s] && empty(back[0]) && empty(back[1]) && empty(back[2]) ->
		lateness = lateness | BIT(s); pass() }
#endif
	od
}

proctype Others()
{
	byte s;
end:	do
	:: atomic { up && crashes > 0 ->
		crashes--; up = false; lease_free(); waits = 0; lateness = 0; told = 0;
		do
		:: s < N -> drain(tokeeper[s]); cut[s] = linked[s]; s++
		:: s == N -> break
		od; s = 0 }
	:: atomic { !up -> up = true }
	/* the backend starts anew */
	:: atomic { forgets > 0 && last > dead -> forgets--; dead = last }
	od
}

/* keeperc_channel, keeper_gone */
proctype Link(byte s)
{
end:	do
	:: atomic { cut[s] && empty(back[s]) ->
		linked[s] = false; cut[s] = false; leased[s] = false;
#ifndef KEEPER_GONE_UNSEEN
		if
		:: ws[s] == ASKING -> make(s, false)
		:: else
		fi
#endif
		}
	:: atomic { up && !linked[s] ->
		linked[s] = true;
#ifndef NO_REPUT
		if
		:: cache[s] != 0 -> tokeeper[s]!PUT,cache[s]
		:: else
		fi
#endif
		}
	od
}

/* Every call is answered. */
proctype Call(byte s)
{
	calls[s] == 0 && ws[s] == IDLE || ended[s] && ws[s] == IDLE
}

init
{
	atomic {
		linked[0] = true; linked[1] = true; linked[2] = true;
		run Worker(0); run Worker(1); run Worker(2);
		run Death(0); run Death(1); run Death(2);
		run Keeper(0); run Keeper(1); run Keeper(2);
		run Link(0); run Link(1); run Link(2);
		run Call(0); run Call(1); run Call(2);
		run Others()
	}
}
