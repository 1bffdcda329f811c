/*
 * How many files and sockets this process may open. libuv ends the process when it finds none left
 * at the wrong moment, so whoever needs some asks before.
 */
#ifndef GT_ENGINE_BASE_DESCRIPTORS_H
#define GT_ENGINE_BASE_DESCRIPTORS_H

/* How many can be opened now, counted up to `most`, by opening them. */
unsigned descriptors_free(unsigned most);
/* Raises the limit as far as this process may. */
void descriptors_raise(void);

#endif
