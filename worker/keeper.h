#ifndef KEEPER_H
#define KEEPER_H

/* The keeper's parts: keeper.c has the channels, shelf.c the backends. */
#include "peer.h"
#include "proto.h"

struct cat_entry;
struct drops;

/* To every worker; fd (or -1) stays the caller's. */
void keeper_all(uint32_t type, const struct msgdef *, const void *msg, int fd);
/* Asks the resolver; -1 when there is none now. */
int keeper_resolve(const struct r_resolve *);

/* A backend of generation gen; takes the contents of *conf. */
void shelf_add(uint32_t gen, struct conf_backend *conf);
/* The generation is in force: its backends are probed. */
void shelf_commit(uint32_t gen);
/* Nobody of it lives: backends only it had are dropped. */
void shelf_forget(uint32_t gen);
/* Names to the resolver, all of them. */
void shelf_resolve(void);
/* A new resolver knows of no question. */
void shelf_unresolved(void);
/* A runner is there: stdio backends are asked. */
void shelf_runner(void);
void shelf_addrs(struct k_addrs *);
/* A new worker: addresses and the catalog. */
void shelf_greet(struct peer *);
/* A worker saw a backend fail: look soon. */
void shelf_trouble(uint32_t backend, int unreachable);
/* What a worker saw it do wrong. */
void shelf_count(const struct k_count *);
/* A backend says that its lists have changed. */
void shelf_lists(uint32_t backend);
/* The runner knows it: its child is another, or mcpgwctl has spoken. */
void shelf_look(uint32_t backend);
/* Of the newest catalog. */
uint64_t shelf_version(void);
/* The backend, and has it this capability (CAP_*) for clients of any class? */
struct backend *shelf_backend(uint32_t id, uint32_t cap);
/* ms in which a session with that backend has been opened, or has not. */
uint64_t shelf_opening(uint32_t id);
/* Clients of this class have come. */
void shelf_class(uint8_t class);
void shelf_tick(void);
/* The name of a backend of any generation, "" when it is gone. */
const char *shelf_name(uint32_t backend);
/* Is that the name of one in force? */
int shelf_known(const char *name);
/* What a backend offers to clients of class 0; -1 when it is gone. Borrowed. */
struct shelf_offer {
	const struct backend *backend;
	const struct cat_entry *entry;
	const struct drops *drops; /* or NULL */
	int64_t seen; /* when it last answered; wall clock, 0 never */
};
int shelf_offer(uint32_t backend, struct shelf_offer *);
/* The same of the i-th that is in force; -1 past the last. */
int shelf_each(size_t i, struct shelf_offer *);
/* mcpgwctl show backends. */
void shelf_show(uint32_t id);

#endif
