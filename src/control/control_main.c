/* dormouse-control — see room.md. */
#include "src/control/control_shell.h"

int
main(int argc, char **argv)
{
    return room_main(argc, argv, &control_room);
}
