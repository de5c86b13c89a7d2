/* clone_refuse — the DataCloneErrors of what cannot be copied, in workerd's words. Each returns false with the error pending. */
#ifndef DORMOUSE_WORKER_CLONE_REFUSE_H
#define DORMOUSE_WORKER_CLONE_REFUSE_H

#include "src/worker/guest.h"

bool clone_refuse(jsval v);                /* by its text: functions, generators */
bool clone_refuse_symbol(jsval v);
bool clone_refuse_instance(jsval obj);     /* an instance of a class of the app's, over RPC */
bool clone_refuse_native(jsval obj);       /* #<Promise>, #<WeakMap>, … */
bool clone_refuse_platform(jsval obj);     /* an instance of one of the platform's classes: URL, Response, … */

/* Whether the class of OBJ is a global of the platform's. */
bool clone_is_platform(jsval obj);

#endif
