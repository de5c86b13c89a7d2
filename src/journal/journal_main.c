/* dormouse-journal — makes commits durable, many with one sync (room.md). */
#include "src/journal/journal_shell.h"

int
main(int argc, char **argv)
{
    return room_main(argc, argv, &journal_room);
}
