/* gateway — the room's main. */
#include "src/gateway/gateway_shell.h"

int
main(int argc, char **argv)
{
    return room_main(argc, argv, &gateway_room);
}
