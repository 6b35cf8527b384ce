/*
 * Revocation: authd/{revoke,workers,turn}.c, worker/authc.c, master/{channel,proc,generation}.c; messages M_CHANNEL,
 * M_REAPED, M_BADPEER, A_JOIN, A_REVOKED, A_JOIN_END, A_JOINED, A_ACK.
 *
 * Promise: once a revocation is answered no living worker accepts what it covers; and every revocation is answered in
 * the end (else: invalid end state). Three worker slots, two revocations; workers die, hang, and do not read what they
 * are sent; authd dies at any moment, also between commit and push. What authd knows of a worker it has read from
 * master, in order, behind whatever else master has sent. GATHERED stands for GATHER_MS: what master sends a new
 * authd at once is read within it.
 *
 * RUN -DREVS=1 -DDEATHS=1 -DCRASHES=1 -DHANGS=0 -DFULLS=0
 * RUN -DREVS=1 -DDEATHS=0 -DCRASHES=1 -DHANGS=1 -DFULLS=0
 * RUN -DREVS=2 -DDEATHS=1 -DCRASHES=0 -DHANGS=0 -DFULLS=1
 * RUN -DREVS=2 -DDEATHS=0 -DCRASHES=0 -DHANGS=1 -DFULLS=1
 * FULL -DREVS=1 -DDEATHS=1 -DCRASHES=2 -DHANGS=0 -DFULLS=0
 * FULL -DREVS=1 -DDEATHS=2 -DCRASHES=1 -DHANGS=0 -DFULLS=0
 * FULL -DREVS=1 -DDEATHS=1 -DCRASHES=1 -DHANGS=1 -DFULLS=0
 * MUTANT NO_GATHER -DREVS=1 -DDEATHS=0 -DCRASHES=1 -DHANGS=0 -DFULLS=0
 * MUTANT NO_WAIT_JOIN -DREVS=1 -DDEATHS=0 -DCRASHES=1 -DHANGS=0 -DFULLS=0
 * MUTANT NO_PUSH -DREVS=1 -DDEATHS=0 -DCRASHES=0 -DHANGS=0 -DFULLS=0
 * MUTANT MARK_AT_JOINED -DREVS=1 -DDEATHS=1 -DCRASHES=0 -DHANGS=0 -DFULLS=0
 * MUTANT SNAPSHOT_SHORT -DREVS=1 -DDEATHS=1 -DCRASHES=0 -DHANGS=0 -DFULLS=0
 * MUTANT EOF_IS_DEATH -DREVS=2 -DDEATHS=0 -DCRASHES=0 -DHANGS=0 -DFULLS=1
 * MUTANT BELIEVE_ACCUSED -DREVS=2 -DDEATHS=1 -DCRASHES=0 -DHANGS=0 -DFULLS=1
 * MUTANT READY_EARLY -DREVS=1 -DDEATHS=1 -DCRASHES=0 -DHANGS=0 -DFULLS=0
 * MUTANT REAPED_EARLY -DREVS=1 -DDEATHS=0 -DCRASHES=0 -DHANGS=1 -DFULLS=0
 * MUTANT FOUND_IS_KNOWN -DREVS=1 -DDEATHS=0 -DCRASHES=1 -DHANGS=0 -DFULLS=0
 * MUTANT NO_ACCUSE -DREVS=1 -DDEATHS=0 -DCRASHES=0 -DHANGS=1 -DFULLS=0
 */
#define N 3
#define ALL (BIT(REVS + 1) - 1)	/* as bits */
#define BIT(n) (1 << ((n) - 1))

mtype = { CHANNEL, REAPED, GATHERED, JOIN, JOINED, ACK, REVOKED, JOIN_END };

/* Workers. An id is the slot and the count of its starts. */
mtype:w = { NONE, START, UP, DEAD };	/* DEAD: not yet reaped */
mtype:w wk[N] = NONE;
byte inc[N];
byte knows[N];
bool ready[N];		/* ever_joined: it serves from here on */
bool joined[N];		/* on this channel */
bool live[N];		/* the other end of its channel is there */
bool offer[N];		/* M_CHANNEL is on its way to it */
bool hung[N], killed[N];

/* authd's table. */
mtype:a = { UNKNOWN, WIRED, SNAPSHOT, JOINING, MEMBER, GONE };
mtype:a ws[N] = UNKNOWN;
byte aid[N];
byte next[N], sent[N], acked[N];
bool accused[N];
bool up, gathered;
byte newest;		/* committed; survives */
byte waiting, answered;	/* callers */

/* master */
bool aview;		/* it has a channel to an authd that it believes in */
bool bad[N];		/* M_BADPEER is on its way */

byte deaths = DEATHS, crashes = CRASHES, hangs = HANGS, fulls = FULLS;

chan toauthd = [5] of { mtype, byte, byte };	/* from master */
chan down[N] = [3] of { mtype, byte };
chan back[N] = [4] of { mtype, byte, byte };

#ifdef BELIEVE_ACCUSED
#define ADMITTED(s) true
#else
#define ADMITTED(s) (!accused[s])
#endif
#ifdef SNAPSHOT_SHORT
#define LAST(s)	  sent[s]
#else
#define LAST(s)	  newest
#endif
#define LIVES(s)  (wk[s] == START || wk[s] == UP)
#define SAFE(s)	  (!LIVES(s) || !ready[s] || (answered & ~knows[s]) == 0)
#define CHECK()	  assert(SAFE(0) && SAFE(1) && SAFE(2))
#define RUNS(s)	  (LIVES(s) && !hung[s])

#ifdef NO_WAIT_JOIN
#define KNOWS(s, n) (ws[s] != MEMBER || acked[s] >= n)
#else
#define KNOWS(s, n) (ws[s] == UNKNOWN || (ws[s] == MEMBER && acked[s] >= n))
#endif
#ifdef NO_GATHER
#define KNOWN(n) (KNOWS(0, n) && KNOWS(1, n) && KNOWS(2, n))
#else
#define KNOWN(n) (gathered && KNOWS(0, n) && KNOWS(1, n) && KNOWS(2, n))
#endif

inline drain(c)
{
	do
	:: nempty(c) -> c?_,_
	:: empty(c) -> break
	od
}

/* What is left of a channel that is no more. */
inline drain_id(s, id)
{
	do
	:: back[s]?[_,_,eval(id)] -> back[s]?_,_,_
	:: else -> break
	od
}

inline die(s)
{
	wk[s] = DEAD; knows[s] = 0; ready[s] = false; joined[s] = false; live[s] = false; offer[s] = false;
	hung[s] = false; killed[s] = false;
	drain(down[s])
}

proctype Worker(byte s)
{
	byte n;
end:	do
	/* authc_channel */
	:: atomic { RUNS(s) && offer[s] && nfull(back[s]) ->
		offer[s] = false; wk[s] = UP; joined[s] = false; live[s] = true;
		drain(down[s]); back[s]!JOIN,0,inc[s] }
	/* on_revoked */
	:: atomic { RUNS(s) && nfull(back[s]) && down[s]?[REVOKED,_] ->
		down[s]?REVOKED,n; knows[s] = knows[s] | BIT(n);
		if
		:: joined[s] && live[s] -> back[s]!ACK,n,inc[s]
		:: else
		fi; n = 0 }
	/* on_join_end */
	:: atomic { RUNS(s) && nfull(back[s]) && down[s]?[JOIN_END,_] ->
		down[s]?JOIN_END,_; joined[s] = true; ready[s] = true;
		if
		:: live[s] -> back[s]!JOINED,0,inc[s]
		:: else
		fi;
		CHECK() }
	:: atomic { RUNS(s) && hangs > 0 -> hangs--; hung[s] = true }
	:: atomic { LIVES(s) && deaths > 0 -> deaths--; die(s) }
	:: atomic { LIVES(s) && killed[s] -> die(s) }
	od
}

/* tell: lost if nobody is at the other end. */
inline tell(s, what, n)
{
	if
	:: LIVES(s) && live[s] && inc[s] == aid[s] -> down[s]!what,n
	:: else
	fi
}

inline accuse(s)
{
	if
	:: !accused[s] -> accused[s] = true; bad[s] = (inc[s] == aid[s])
	:: else
	fi
}

/* workers_push, of one worker */
inline push1(s, n)
{
	if
	:: ws[s] == JOINING || ws[s] == MEMBER ->
		sent[s] = n;
		if
		:: tell(s, REVOKED, n)
		:: fulls > 0 -> fulls--; accuse(s)	/* its queue is full */
		fi
	:: else
	fi
}

inline forget_worker(s)
{
	ws[s] = UNKNOWN; aid[s] = 0; next[s] = 0; sent[s] = 0; acked[s] = 0; accused[s] = false
}

inline crash1(s)
{
	forget_worker(s); live[s] = false; offer[s] = false;
	do
	:: nempty(back[s]) -> back[s]?_,_,_
	:: empty(back[s]) -> break
	od
}

inline crash()
{
	crashes--; up = false; gathered = false; waiting = 0;
	crash1(0); crash1(1); crash1(2);
	do
	:: nempty(toauthd) -> toauthd?_,_,_
	:: empty(toauthd) -> break
	od
}

/* authd's side of one worker */
#define HEARD(s) (ws[s] != UNKNOWN && ws[s] != GONE && back[s]?[_,_,eval(aid[s])])

proctype Peer(byte s)
{
	byte n;
end:	do
	:: atomic { up && HEARD(s) ->
		if
#ifndef BELIEVE_ACCUSED
		:: accused[s] ->
			/* not allowed in this state: the channel ends */
			drain_id(s, aid[s]);
#ifdef EOF_IS_DEATH
			forget_worker(s)
#else
			ws[s] = GONE
#endif
		:: !accused[s] && back[s]?[JOIN,_,_] ->
#else
		:: back[s]?[JOIN,_,_] ->
#endif
			back[s]?JOIN,_,_;
			assert(ws[s] == WIRED);
			ws[s] = SNAPSHOT; next[s] = 1;
#ifdef SNAPSHOT_SHORT
			sent[s] = newest
#endif
		:: ADMITTED(s) && back[s]?[JOINED,_,_] ->
			back[s]?JOINED,_,_;
			assert(ws[s] == JOINING);
			ws[s] = MEMBER;
#ifdef MARK_AT_JOINED
			acked[s] = newest
#endif
		:: ADMITTED(s) && back[s]?[ACK,_,_] ->
			back[s]?ACK,n,_;
#ifndef MARK_AT_JOINED
			/* an honest worker is never accused of this */
			assert(ws[s] == MEMBER && n > acked[s] && n <= sent[s]);
#endif
			acked[s] = n; n = 0
		fi }
	/* pump: the snapshot, as far as the queue lets it, then the end mark */
	:: atomic { up && ws[s] == SNAPSHOT && nfull(down[s]) ->
		if
		:: next[s] <= LAST(s) -> tell(s, REVOKED, next[s]); next[s]++
		:: else -> tell(s, JOIN_END, 0); next[s] = 0;
			ws[s] = JOINING; sent[s] = newest; acked[s] = newest
		fi }
#ifndef NO_ACCUSE
	/* workers_watch */
	:: atomic { up && waiting && gathered && ws[s] != UNKNOWN && hung[s] && !accused[s] -> accuse(s) }
#endif
	od
}

/* A caller asks: commit, then push. What is stored already needs what it was numbered. */
inline ask(n)
{
	if
	:: n > newest ->
		newest = n;
		if
		:: crashes > 0 -> crash()
		:: waiting = waiting | BIT(n);
#ifndef NO_PUSH
			push1(0, n); push1(1, n); push1(2, n)
#endif
		fi
	:: else -> waiting = waiting | BIT(n);
#ifdef FOUND_IS_KNOWN
		answered = answered | BIT(n); CHECK()
#endif
	fi
}

#define ASKABLE(n) (up && newest + 1 >= n && ((answered | waiting) & BIT(n)) == 0 && \
	(newest >= n || (nfull(down[0]) && nfull(down[1]) && nfull(down[2]))))

proctype Authd()
{
	byte s;
	byte i;
end:	do
	/* worker_channel, worker_reaped */
	:: atomic { up && nempty(toauthd) ->
		if
		:: toauthd?CHANNEL,s,i ->
			assert(ws[s] == UNKNOWN);
			ws[s] = WIRED; aid[s] = i
		:: toauthd?REAPED,s,i -> drain_id(s, i); forget_worker(s)
		:: toauthd?GATHERED,_,_ -> gathered = true
		fi; s = 0; i = 0 }
	:: atomic { ASKABLE(1) -> ask(1) }
#if REVS > 1
	:: atomic { ASKABLE(2) -> ask(2) }
#endif
	/* turn_settle */
	:: atomic { up && (waiting & 1) && KNOWN(1) ->
		waiting = waiting & ~1; answered = answered | 1; CHECK() }
	:: atomic { up && (waiting & 2) && KNOWN(2) ->
		waiting = waiting & ~2; answered = answered | 2; CHECK() }
	:: atomic { up && crashes > 0 -> crash() }
	od
}

inline introduce(s)
{
	if
	:: up -> toauthd!CHANNEL,s,inc[s]; offer[s] = LIVES(s)
	:: else		/* dead, and master does not know: lost */
	fi
}

inline reaped(s)
{
	if
	:: aview && up -> toauthd!REAPED,s,inc[s]
	:: else
	fi
}

proctype Slot(byte s)
{
end:	do
	/* reaped; then, later, the next start */
	:: atomic { wk[s] == DEAD && nfull(toauthd) ->
		wk[s] = NONE; bad[s] = false;
#ifndef REAPED_EARLY
		reaped(s)
#endif
		}
	:: atomic { wk[s] == NONE && nfull(toauthd) ->
		inc[s]++; wk[s] = START;
#ifdef READY_EARLY
		ready[s] = true;
#endif
		CHECK();
		if
		:: aview -> introduce(s)
		:: else
		fi }
	/* on_badpeer: the signal is sent, the process ends when it ends */
	:: atomic { bad[s] && nfull(toauthd) ->
		bad[s] = false;
		if
		:: LIVES(s) && aview -> killed[s] = true;
#ifdef REAPED_EARLY
			reaped(s)
#endif
		:: else
		fi }
	od
}

proctype Master()
{
	byte s;
end:	do
	/* authd is gone; a new one is told at once of all that live, or died and have not been seen to */
	:: atomic { !up && aview -> aview = false }
	:: atomic { !up && !aview ->
		up = true; aview = true;
		do
		:: s < N ->
			if
			:: LIVES(s) || wk[s] == DEAD -> introduce(s)
			:: !LIVES(s)
			fi; s++
		:: s == N -> break
		od;
		toauthd!GATHERED,0,0; s = 0 }
	od
}

/* Whoever asked waits for nothing else. */
proctype Callers()
{
	answered == ALL
}

inline settle(s)
{
	inc[s] = 1; aid[s] = 1; wk[s] = UP; ready[s] = true; joined[s] = true; live[s] = true; ws[s] = MEMBER
}

init
{
	/* all is settled */
	atomic {
		up = true; aview = true; gathered = true;
		settle(0); settle(1); settle(2);
		run Worker(0); run Worker(1); run Worker(2);
		run Peer(0); run Peer(1); run Peer(2);
		run Slot(0); run Slot(1); run Slot(2);
		run Authd(); run Master(); run Callers() }
}
