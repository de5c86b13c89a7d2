/* gateway_shell — the room's callbacks: configuration, listeners, links, the end. */
#ifndef DORMOUSE_GATEWAY_SHELL_H
#define DORMOUSE_GATEWAY_SHELL_H

#include "lib/ipc/room.h"

extern const struct room_spec gateway_room;

#endif
