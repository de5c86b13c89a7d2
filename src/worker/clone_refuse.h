/* clone_refuse — the DataCloneErrors of what cannot be copied, in workerd's words. Each returns false with the error pending. */
#ifndef DORMOUSE_WORKER_CLONE_REFUSE_H
#define DORMOUSE_WORKER_CLONE_REFUSE_H

#include "src/worker/guest.h"

bool clone_refuse(jsval v);                /* by its text: functions, generators */
bool clone_refuse_symbol(jsval v);
bool clone_refuse_instance(jsval obj);     /* an instance of a class of the app's, over RPC */
bool clone_refuse_native(jsval obj);       /* #<Promise>, #<WeakMap>, … */

#endif
