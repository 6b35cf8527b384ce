#ifndef ROLES_H
#define ROLES_H

/* The four lives of this program; each runs until master lets it go. */
#include "proto.h"

void worker_main(const struct m_start *);
void keeper_main(const struct m_start *);
void resolver_main(const struct m_start *);
void checker_main(const struct m_start *);

#endif
