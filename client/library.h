/*
 * What the project's own programs ask of the library beyond gtstore.h: requests of the protocol
 * that have no call of their own.
 */
#ifndef GT_CLIENT_LIBRARY_H
#define GT_CLIENT_LIBRARY_H

#include "client/gtstore.h"
#include "net/msg.h"

/*
 * Blocking, from any thread but the library's. request: SCAN, STATUS, PING or MAP_GET (client/
 * session.h); what it points to lives in hold (may be NULL), kept by reference. 0: *body is that of
 * the reply, one reference, and may hold an error of its own. Otherwise as the session says, or
 * GT_EBUSY, GT_ECLOSED, GT_ENOMEM; the sentence is gtstore_last_error's.
 */
int library_call(gtstore_env *env, const struct msg *request, struct blob *hold,
                 struct blob **body);

#endif
