/*
 * jail_sweep — every syscall there is, with junk arguments, as each role: which of them get past the filter?
 *
 * Promise: the answer is compared with tests/jail/syscalls.txt, a reviewed list. A syscall that is let through and not listed
 * is a failure, and so is one that is listed and no longer let through: the list says what a hostile room can reach.
 */
#ifndef DORMOUSE_TESTS_JAIL_SWEEP_H
#define DORMOUSE_TESTS_JAIL_SWEEP_H

#include <stdbool.h>

/* Prints differences; with an empty list it prints what the list should say. */
bool jail_sweep(const char *list_path);

#endif
