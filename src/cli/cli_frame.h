/*
 * cli_frame — the lines of a source file around a place, as the bundler shows them.
 */
#ifndef DORMOUSE_CLI_FRAME_H
#define DORMOUSE_CLI_FRAME_H

#include "lib/base/bytes.h"

/* The first place "FILE:LINE:COLUMN" in STACK whose FILE lies in FOLDER and not in node_modules: its frame is appended to OUT.
 * False when there is none. */
bool frame_of_stack(const char *folder, struct bytes stack, struct buf *out);

#endif
