/* cli_rates — two answers to `top`, and what happened per second between them: as JSON, and as lines for people. Pure. */
#ifndef DORMOUSE_CLI_RATES_H
#define DORMOUSE_CLI_RATES_H

#include <jansson.h>

#include "lib/base/bytes.h"

/* NOW with what changed since BEFORE: {time_ms, seconds, rooms:[{role, app, index, pid, memory_bytes, cpu, counters:{…}, per_second:{…}}]}.
 * cpu is a share of one core. A room that was started between them counts from zero. BEFORE NULL: no rates yet. Owned by
 * the caller. */
json_t *rates_between(const json_t *before, const json_t *now);

/* Appends lines of text: the node, its workers, refused images, the other rooms. */
void rates_print(const json_t *rates, struct buf *out);

#endif
