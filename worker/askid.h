#ifndef ASKID_H
#define ASKID_H

/*
 * Ids of the requests that this process makes of its own: no session upstream
 * sees one twice, whichever process asks. None looks like the id of a call
 * (splice_readid).
 */
#define ASKID_LEN 48

void askid(char dst[ASKID_LEN]);

#endif
