/*
 * jail_attacks — what hostile native code in a room would try: each attack says whether it got what it wanted.
 *
 * Promise: an attack that succeeds leaves the machine as it was (the control run does all of them for real, as the user that
 * runs the tests, root included): nothing is rebooted, no clock is set, no module is loaded.
 */
#ifndef DORMOUSE_TESTS_JAIL_ATTACKS_H
#define DORMOUSE_TESTS_JAIL_ATTACKS_H

#include <stdbool.h>
#include <sys/types.h>

#define BREACH 77                      /* exit status of a process whose attack worked */

enum attack_scope {
    ON_WORKER  = 1,
    ON_GATEWAY = 2,
    ON_EGRESS  = 4,
    ON_ALL     = 7,
    OUTER      = 8,                    /* must fail with jail_prepare() alone: it does not lean on the syscall list */
};

struct targets {                       /* what the test put up to be attacked */
    pid_t victim;                      /* a process of the user that the rooms run as */
    int   port;                        /* a TCP listener on loopback */
    char  own[256];                    /* the room's own folder, absolute */
    char  other[256];                  /* another app's folder, with a file "secret" */
};

struct attack {
    const char *name;
    unsigned    scope;                 /* of enum attack_scope */
    bool      (*run)(const struct targets *targets);   /* true: a breach */
};

extern const struct attack attacks[];
extern const unsigned attacks_count;

#endif
