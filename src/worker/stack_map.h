/*
 * stack_map — positions in the bundle turned into positions in the app's sources (Source Map v3, ECMA-426).
 *
 * Promise: any text in gives text out; what cannot be mapped stays as it is. The map comes from the deployment and is hostile.
 */
#ifndef DORMOUSE_WORKER_STACK_MAP_H
#define DORMOUSE_WORKER_STACK_MAP_H

#include "lib/base/bytes.h"

struct stack_map;

struct stack_map *stack_map_create(struct bytes json);   /* NULL: not a source map */
void stack_map_destroy(struct stack_map **map);
/* Appends STACK to OUT with every "bundle.js:LINE:COLUMN" replaced by the source's "file:line:column". */
void stack_map_text(const struct stack_map *map, struct bytes stack, struct buf *out);

#endif
