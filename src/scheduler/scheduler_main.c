/* dormouse-scheduler — fires every alarm at least once (room.md). */
#include "src/scheduler/scheduler_shell.h"

int
main(int argc, char **argv)
{
    return room_main(argc, argv, &scheduler_room);
}
