/* natives — declarations of all native functions of natives.def. */
#ifndef DORMOUSE_WORKER_NATIVES_H
#define DORMOUSE_WORKER_NATIVES_H

#include "src/worker/guest.h"

#define NATIVE(js_name, c_name, args) jsval native_##c_name(NATIVE_PARAMS);
#include "src/worker/natives.def"
#undef NATIVE

#endif
