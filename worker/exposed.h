#ifndef EXPOSED_H
#define EXPOSED_H

/*
 * mcpgwctl show tools, in the keeper: every tool, its name toward clients, and
 * why it is not shown to them where it is not. It needs what else only workers
 * have of the config: endpoints and the rule for names.
 */
#include <stdint.h>

#include "proto.h"

/* Parts of generation gen as they come. Contents of *conf are taken. */
void exposed_conf(uint32_t gen, struct conf_keeper *conf);
void exposed_backend(uint32_t gen, uint32_t backend);
void exposed_endpoint(uint32_t gen, struct conf_endpoint *conf);
void exposed_commit(uint32_t gen);
void exposed_forget(uint32_t gen);

/* Answers M_CTL id. backend: only its tools; NULL for all. */
void exposed_show(uint32_t id, const char *backend);

#endif
