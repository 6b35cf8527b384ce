#ifndef MASTER_H
#define MASTER_H

/*
 * The running master: one struct of facts, and what its files offer each
 * other. Everything happens on one thread in one loop.
 */
#include <sys/types.h>
#include <sys/queue.h>

#include <stdint.h>
#include <stdio.h>

#include "conf.h"
#include "proto.h"

struct event;
struct peer;

struct ids {
	uid_t uid;
	gid_t gid;
};

struct master {
	int debug;
	int verbose; /* -v: levels more than configured */
	int root;
	int started; /* generation 1 has been ready */
	int stopping; /* a signal to end has come */
	int failed; /* exit status */
	char *conffile;
	char *single; /* -S: the config itself, there is no file */
	char *banner; /* -S: what to print when it serves */
	char *libexec;
	char *state;
	char *control;
	char *jail; /* an empty directory */
	int made_jail; /* by us: taken away at the end */
	int made_state; /* by us: taken away if the start fails */
	struct ids gw; /* _mcpgw */
	struct ids auth; /* _mcpauth */
	struct ids run; /* _mcprun */
	uint64_t since; /* mono_msec of the start */
	struct event_base *base;
};
extern struct master master;

/* ---- setup.c: what must be there before anything starts ---- */

/* Looks up the users (root only). -1 and *err (malloc'd) set. */
int setup_users(struct ids *gw, struct ids *auth, struct ids *run, char **err);
/* Makes or checks state directory and jail. -1 and *err. */
int setup_dirs(const struct conf *, char **err);
void setup_undo(void);
/* RLIMIT_NOFILE up to its hard limit; lowers c->connections if that is not
 * enough, with a warning where the last config had not the same. */
void setup_files(struct conf *);

/* ---- listen.c ---- */

/* Binds what c wants and is not bound yet. -1: nothing new is left open and
 * err has a line. */
int listen_open(const struct conf *c, struct strv *err);
/* Drops what the last listen_open added. */
void listen_undo(void);
/* Makes c the config in force: closes what it does not name. */
void listen_keep(const struct conf *c);
/* Sends every socket of c to a worker. -1 when a send failed. */
int listen_send(struct peer *, const struct conf *c);
void listen_close(void);

/* ---- proc.c: children ---- */

enum proc_state {
	PROC_DOWN, /* waits to be started again */
	PROC_STARTING, /* until M_READY */
	PROC_READY,
	PROC_DRAINING,
	PROC_ENDING, /* its channel is closed, its end awaited */
};

struct generation;

struct proc {
	TAILQ_ENTRY(proc) entry;
	uint8_t role;
	unsigned int inst; /* of several with one role, from 1 */
	uint64_t worker; /* worker id of this start */
	struct generation *gen; /* of a worker */
	pid_t pid;
	struct peer *peer; /* NULL: none */
	enum proc_state state;
	uint64_t started; /* mono_msec; 0: not running */
	uint64_t ready;
	unsigned int delay; /* ms before the next start */
	uint32_t committed; /* last generation it was told to commit */
	struct event *timer; /* back-off, or the end of draining */
};
TAILQ_HEAD(procs, proc);
extern struct procs procs;

/* Signals and tables. */
int proc_init(void);
struct proc *proc_new(uint8_t role, unsigned int inst, struct generation *);
/* Starts the program and sends M_START. -1 after logging. */
int proc_spawn(struct proc *);
/* Starts it after its back-off. */
void proc_later(struct proc *);
/* Closes the channel; the process ends by itself. */
void proc_end(struct proc *);
/* SIGKILL; the rest happens when it is reaped. */
void proc_kill(struct proc *, const char *why);
/* Whether it is one of them. */
int proc_is(pid_t);
/* M_DRAIN: accept no more and end once nothing is left, in that time at last;
 * streams: GET streams end now. */
void proc_drain(struct proc *, uint32_t seconds, int streams);
void proc_free(struct proc *);
struct proc *proc_find(uint8_t role, uint64_t worker);
/* "worker 3", "authd -p", for people. */
const char *proc_name(const struct proc *);
const char *proc_state_name(const struct proc *);
unsigned int proc_count(uint8_t role); /* that have a pid */
/* Is there a program where -L says? -1 and *err. */
int proc_check(char **err);

/* In a child just forked, whose end of the control channel is fd. */
void proc_exec(uint8_t role, int fd) __attribute__((noreturn));
/* In a child, where master's handlers would tell master. */
void proc_signals(void);
/* In one that may have to wait for a file system: lets go of this descriptor and
 * all above, or master's ports and channels outlive it, and ends with parent. */
void proc_apart(int fd, pid_t parent);

/* ---- spawn.c: stdio children, each under a nanny ---- */

/* From runner: starts one, by the id of its backend; ends one. */
void spawn_child(struct peer *, uint32_t, void *, int);
void spawn_kill(struct peer *, uint32_t, void *, int);
/* A process that is none of procs has ended. */
void spawn_reaped(pid_t, int status);
/* Runner is gone: every child is ended at once. */
void spawn_end_all(void);
/* The daemon ends: SIGTERM, and soon SIGKILL. gen_children_gone is called in
 * any case, within 5 s. */
void spawn_stop(void);
unsigned int spawn_count(void);

/* ---- certs.c ---- */

/* Has a child look at the certificates and keys of the config. -1 and lines
 * in errs. */
int certs_check(const struct conf *, struct strv *errs);

/* ---- channel.c: which pairs of processes talk ---- */

/* Makes every channel that should exist and does not. */
void channel_update(void);
/* A process is gone: so are its channels. */
void channel_drop(const struct proc *);
/* Breaks one, so that channel_update makes a new one. */
void channel_reset(const struct proc *, const struct proc *);
int channel_exists(const struct proc *, const struct proc *);

/* ---- generation.c ---- */

enum gen_state {
	GEN_PREPARING, /* authd, keeper and runner are asked */
	GEN_STARTING, /* committed; its workers start */
	GEN_CURRENT,
	GEN_DRAINING,
};

struct generation {
	TAILQ_ENTRY(generation) entry;
	uint32_t gen;
	struct conf *conf;
	enum gen_state state;
	unsigned int prepared; /* who said yes: bits by role */
	unsigned int deaths; /* of its workers before it was current */
};
TAILQ_HEAD(generations, generation);
extern struct generations generations;

struct generation *gen_current(void);
/* Starts everything; conf belongs to it. -1 after logging. */
int gen_boot(struct conf *);
/* Reads the config file and starts a reload. The client (0: none) is answered
 * by control_done when it is over, however it ends. */
void gen_reload(uint64_t client);
/* Events of processes. */
void gen_ready(struct proc *);
void gen_prepared(struct proc *, const struct m_prepared *);
/* said: it has logged why. */
void gen_reaped(struct proc *, const char *how, int said);
/* Sends a fresh process what it must know. -1 when that is not possible. */
int gen_feed(struct proc *);
/* The last stdio child is gone. */
void gen_children_gone(void);
/* Ends everything in order; the loop ends when it is done. */
void gen_stop(void);

/* ---- single.c ---- */

/* The config for one stdio server on loopback, YAML, malloc'd; sets the banner.
 * NULL and *err. */
char *single_conf(const char *command, int noauth, char **err);

/* ---- reload.c ---- */

/* The config as it is now; NULL and lines in errs. */
struct conf *reload_conf(struct strv *errs);

/* The config file as it is now, its new listeners bound; or NULL, nothing
 * changed, and *err (malloc'd lines) says why. */
struct conf *reload_read(char **err);

/* ---- tree.c ---- */

/* Resident memory and processor time (so far) of all that a nanny has below
 * it, at most half a second old. Returns the server itself; 0: it has none. */
pid_t tree_usage(pid_t nanny, uint64_t *kib, uint64_t *ms);
/* Kills all that a nanny has below it, but not nanny. */
void tree_end(pid_t nanny);
/* When it began, in ticks since boot; 0: that can not be told. */
uint64_t tree_born(pid_t pid);
/* Kills those of our children that a nanny of this user, begun then, may have
 * left when it was killed, and all below them; none that ours says is. */
void tree_orphans(uid_t uid, uint64_t born, int (*ours)(pid_t));
/* Does it live, and is it certainly none of ours? */
int tree_foreign(pid_t pid);

/* ---- control.c ---- */

/* -1 and *err: another master lives, or the socket can not be made. */
int control_open(const char *path, char **err);
int control_start(void); /* once there is a loop */
void control_close(void);
/* Ends the request of a client, who may be gone, or nobody (0). */
void control_done(uint64_t client, int failed, const char *message);
/* From children. */
void control_row(struct proc *, uint32_t id, const struct ctl_row *);
void control_end(struct proc *, uint32_t id, const struct ctl_end *);
void control_lost(const struct proc *); /* it will not answer any more */

/* ---- mcpgwd.c ---- */

/* Generation 1 serves: tells whoever started us. */
void master_ready(void);
/* Start-up can not succeed: logs why unless a child has said it, tells, and ends
 * everything. */
void master_fail(const char *why, int said);
/* Sets the level of this process and of all children. */
void master_loglevel(uint32_t level);

#endif
