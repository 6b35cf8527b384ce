#ifndef SANDBOX_H
#define SANDBOX_H

#include <sys/types.h>

/*
 * One function per role, called as the last line before the loop: seccomp
 * allow-list (each system call with its reason, in sandbox.c), Landlock where
 * the kernel has it, rlimits. Each logs one line saying what is in force.
 * Fatal if seccomp can not be had; Landlock is best effort. On OpenBSD these
 * are pledge and unveil.
 */
/* A deny-list, since it must exec: its children inherit it and no_new_privs.
 * Whoever loses its parent below it becomes its child. */
void sandbox_master(void);
void sandbox_worker(void);
void sandbox_keeper(void);
void sandbox_resolver(void);
/* dir: the store, the only place it can open ("/" when in a chroot). */
void sandbox_authd(const char *dir);
void sandbox_hasher(void);
void sandbox_runner(void);

/* These two log nothing: -1 and errno. */
struct m_exec;
/* Nanny, whose child has been forked; gated: it serves a gate. */
int sandbox_nanny(int gated);
/* A stdio child, right before exec; nanny is the process it must not touch.
 * With NETWORK_LOOPBACK the gate is sent on sock, a socket to nanny that is
 * closed then. *what names what failed; ELOOP: a path that goes by a link. */
int sandbox_child(
    const struct m_exec *, pid_t nanny, int sock, const char **what);
/* Does the kernel hold a child to the files it was given? */
int sandbox_has_files(void);

/*
 * The gate of a child with NETWORK_LOOPBACK, a descriptor on which the kernel
 * asks nanny what the child may do with the network. take waits for it: -1 if
 * the child has ended before. serve answers one question; call it when poll(2)
 * says that there is one. -1: there will be no more. For that it makes
 * processes, a bounded number: reaped says that the caller has reaped one, or
 * another's.
 */
int sandbox_gate_send(int sock, int fd);
int sandbox_gate_take(int sock);
int sandbox_gate_serve(int gate);
void sandbox_gate_reaped(pid_t pid);

#endif
