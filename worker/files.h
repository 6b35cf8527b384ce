#ifndef FILES_H
#define FILES_H

/*
 * Descriptors. What other processes send comes with some, and must find room:
 * connections leave the last ones alone.
 */

/* Is this new descriptor one of those that connections may not have? */
int files_scarce(int fd);
/* Would the next one be another connection's? */
int files_room(void);

#endif
