/* control_metrics — the counters of a census as text that Prometheus reads (docs/operating.md has the names). Pure. */
#ifndef DORMOUSE_CONTROL_METRICS_H
#define DORMOUSE_CONTROL_METRICS_H

#include <jansson.h>

#include "lib/base/bytes.h"

/* ROOMS as census_begin() gives them. */
void metrics_print(const json_t *rooms, struct buf *out);

#endif
