#ifndef HEALTH_H
#define HEALTH_H

struct request;

/* GET /health: 200 while this worker serves and authd lives; ?ready also wants
 * one backend up (none configured: ready). No counts, no names. */
void health(struct request *);

#endif
