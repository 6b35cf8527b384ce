#ifndef LISTENER_H
#define LISTENER_H

/*
 * Listening sockets, which are served as long as there is room for one more
 * connection.
 */
struct tls_config;

/* One from master, which is taken; loopback: only this machine can reach it;
 * tls: NULL for plain HTTP. */
void listener_add(int fd, int loopback, struct tls_config *tls);
/* A connection has ended, or time has passed: there may be room again. */
void listeners_again(void);
/* For good. */
void listeners_close(void);

#endif
