/*
 * Reload: master/{generation,reload,proc,channel}.c, authd/conf.c, worker/shelf.c; messages M_PREPARE to M_CONF_END (one
 * here), M_PREPARED, M_COMMIT, M_FORGET, M_CHANNEL, M_REAPED.
 *
 * Slots of generations are the generations 1, 2, 3 (1 serves at first), each of one worker: three workers. A reload is
 * asked for up to RELOADS times; it is refused by a process, or not answered in time, or its workers do not stay up, or
 * it serves. Workers and the long-lived (authd and the keeper, alike here) die at any moment and are started again.
 *
 * Promise: a living worker that has been introduced to a long-lived process finds its slice there; what is in force there
 * when all is quiet is what master holds to be; a slice is forgotten after the last worker of it, and is forgotten; a
 * reload that is undone leaves the old generation's worker serving; master writes to no channel that is gone; somebody
 * always serves, or is about to.
 */
