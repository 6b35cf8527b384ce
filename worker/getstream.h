#ifndef GETSTREAM_H
#define GETSTREAM_H

/*
 * The GET stream of a legacy session: list_changed, resource updates, log
 * lines, questions outside of any call. This worker owns the streams that were
 * opened here; the keeper sees to it that there is one per session, and which
 * upstream sessions feed it.
 */
#include "mcp.h"
#include "proto.h"

/* GET on an endpoint: opens or resumes (Last-Event-ID). */
void getstream_begin(
    struct request *, const struct proof *, const struct session *);
/* From the keeper: another stream of this session is newer. */
void getstream_release(const struct k_claim *);
/* From the keeper: an upstream session there is, or a new one. */
void getstream_upstream(const struct k_lease *);
/* A new keeper has to be told. */
void getstream_reclaim(void);

/* A new catalog: what it changes is told once all workers have it. */
void getstreams_after(void);
void getstreams_tell(void);

void getstreams_end(uint8_t kind, const uint8_t id[ID_LEN]);
void getstreams_forbid(void);
void getstreams_end_all(void);
/* GET streams of this worker: all, and a subject's, which looks at each. */
size_t getstreams_open(void);
size_t getstreams_of(const char *subject);
void getstreams_tick(void);

#endif
