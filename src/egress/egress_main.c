/* egress — the room's main. */
#include "src/egress/egress.h"

int
main(int argc, char **argv)
{
    return room_main(argc, argv, &egress_room);
}
