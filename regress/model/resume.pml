/*
 * A client that comes back by GET with Last-Event-ID for the stream of a call: worker/{evlog,resume,getstream}.c,
 * worker/keeper.c; messages K_RESUME, K_PIPE, K_NOPIPE.
 *
 * One call, whose worker has the log; another worker, where the client may land; the keeper between them. The client
 * leaves whenever it likes and comes back with the last event it has got, directly or by the other worker: then the
 * log's worker writes into a pipe, and the other passes on what comes, so a pipe is the connection itself here. What is
 * on its way to who has left is lost. The owner and the keeper may die. That a backend's session is replaced meanwhile
 * is not seen here: events of a call have one log, whichever session it runs in (lease.pml).
 *
 * Promise: events come in order, none twice, none left out; a client that waits gets the answer, an end, or another
 * stream, nobody waits for ever (else: invalid end state); it gets another stream only if the owner has died, or the
 * keeper while it was asked.
 *
 * RUN -DDEATHS=0 -DCRASHES=0
 * RUN -DDEATHS=1 -DCRASHES=0
 * RUN -DDEATHS=0 -DCRASHES=1
 * FULL -DDEATHS=1 -DCRASHES=1
 * MUTANT LAST_IGNORED -DDEATHS=0 -DCRASHES=0
 * MUTANT OLD_STAYS -DDEATHS=0 -DCRASHES=0
 * MUTANT NO_MARK -DDEATHS=0 -DCRASHES=0
 * MUTANT NOPIPE_IS_SILENT -DDEATHS=1 -DCRASHES=0
 * MUTANT OWNER_GONE_UNSEEN -DDEATHS=1 -DCRASHES=0
 * MUTANT KEEPER_GONE_UNSEEN -DDEATHS=0 -DCRASHES=1
 */
#ifndef C
#define C 3			/* connections, one after another */
#endif
#define E 3			/* events; the last is the answer */
#define NOBODY C

mtype = { EVENT, MARK, PIPE, NOPIPE };

/* Of a connection. */
mtype:at = { UNUSED, OPEN, ASKING };
mtype:at at[C] = UNUSED;
bool via[C];			/* by the other worker */
bool begun[C];			/* a byte of the pipe has come */
bool left[C];
bool shut[C];			/* its end comes behind what is in it */
bool gone[C];			/* the keeper has died while it was asked */
chan out[C] = [2] of { mtype, byte };

/* The owner's log. */
bool alive = true;
byte seq, sent, reader = NOBODY;

/* The client. */
byte conn, got;
bool over;

bool up = true, linked = true;
byte deaths = DEATHS, crashes = CRASHES;

chan ask = [C] of { byte, byte };
chan toowner = [C] of { byte, byte };
chan back = [C] of { byte, mtype };

inline drain2(c)
{
	do
	:: nempty(c) -> c?_,_
	:: empty(c) -> break
	od
}

/* ---- the owner ---- */

/* Whoever had the log has left, whether that is known or not. */
inline detach()
{
	if
	:: reader != NOBODY -> shut[reader] = true; reader = NOBODY
	:: else
	fi
}

/* evlog_resume */
inline resume(c, last)
{
#ifdef OLD_STAYS
	if
	:: reader == NOBODY -> reader = c; sent = last
	:: else
	fi
#else
	detach(); reader = c;
#ifndef LAST_IGNORED
	sent = last
#endif
#endif
}

proctype Owner()
{
	byte c, n;
	bool lost;
end:	do
	:: atomic { alive && seq < E -> seq++ }
	/* evlog_flush */
	:: atomic { alive && reader != NOBODY && sent < seq && nfull(out[reader]) -> sent++; out[reader]!EVENT,sent }
	/* evlog_done */
	:: atomic { alive && reader != NOBODY && seq == E && sent == seq -> detach() }
	/* evlog_rq_gone */
	:: atomic { alive && reader != NOBODY && left[reader] -> reader = NOBODY }
	/* resume_serve */
	:: atomic { alive && nempty(toowner) ->
		toowner?c,n;
#ifndef NO_MARK
		out[c]!MARK,0;
#endif
		resume(c, n); c = 0; n = 0 }
	/* what has been written may come, or not; all its connections end, and pipes not taken yet */
	:: atomic { alive && deaths > 0 ->
		deaths--; alive = false; reader = NOBODY; drain2(toowner);
		if
		:: true -> lost = true
		:: true
		fi;
		do
		:: c < C ->
#ifdef OWNER_GONE_UNSEEN
			shut[c] = !via[c];
#else
			shut[c] = true;
#endif
			if
			:: lost -> drain2(out[c])
			:: else
			fi;
			c++
		:: c == C -> break
		od; c = 0; lost = false }
	od
}

/* ---- the keeper, and the other worker's link to it ---- */

proctype Keeper()
{
	byte c, n;
end:	do
	/* on_resume */
	:: atomic { up && linked && nempty(ask) ->
		ask?c,n;
		if
		:: alive -> toowner!c,n; back!c,PIPE
		:: else ->
#ifndef NOPIPE_IS_SILENT
			back!c,NOPIPE
#else
			skip
#endif
		fi; c = 0; n = 0 }
	:: atomic { crashes > 0 && up -> crashes--; up = false; drain2(ask) }
	/* keeperc_channel: what it had said is read before its end is */
	:: atomic { !up && linked && empty(back) ->
		linked = false;
#ifndef KEEPER_GONE_UNSEEN
		do
		:: c < C && at[c] == ASKING -> gone[c] = true; c++
		:: c < C && at[c] != ASKING -> c++
		:: c == C -> break
		od; c = 0
#endif
		}
	:: atomic { !linked -> up = true; linked = true }
	od
}

/* ---- the client, and the other worker between ---- */

inline another()
{
	assert(!alive || gone[conn]);
	over = true
}

/* Its next connection, or it gives up. */
inline again()
{
	left[conn] = true; drain2(out[conn]);
	if
	:: conn + 1 == C -> over = true
	:: conn + 1 < C ->
		conn++;
		if
		:: alive -> at[conn] = OPEN; resume(conn, got)
		:: linked -> via[conn] = true; shut[conn] = false; at[conn] = ASKING; ask!conn,got
		:: !linked -> gone[conn] = true; via[conn] = true; at[conn] = ASKING
		fi
	fi
}

proctype Client()
{
	byte c, n;
	mtype m;
	do
	:: over -> break
	:: atomic { !over && at[conn] == OPEN && nempty(out[conn]) ->
		out[conn]?m,n;
		if
		:: m == EVENT -> assert(n == got + 1); got = n
		:: m == MARK
		fi; begun[conn] = true; n = 0; m = 0 }
	/* resume_read: an end before the first byte is none */
	:: atomic { !over && at[conn] == OPEN && empty(out[conn]) && shut[conn] ->
		if
		:: via[conn] && !begun[conn] -> another()
		:: !(via[conn] && !begun[conn]) && got == E -> over = true
		:: !(via[conn] && !begun[conn]) && got < E -> again()
		fi }
	/* resume_pipe: to who has left, too */
	:: atomic { nempty(back) ->
		back?c,m;
		if
		:: left[c]
		:: !left[c] && m == PIPE -> at[c] = OPEN
		:: !left[c] && m == NOPIPE -> another()
		fi; c = 0; m = 0 }
	/* resume_keeper_gone */
	:: atomic { !over && at[conn] == ASKING && gone[conn] && empty(back) -> another() }
	/* it leaves; there has been an event, if it is only the first, which is empty */
	:: atomic { !over && conn + 1 < C -> again() }
	od
}

init
{
	atomic {
		at[0] = OPEN; reader = 0;
		run Owner(); run Keeper(); run Client()
	}
}
