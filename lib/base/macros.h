/* macros — the few macros every file of the house may use. */
#ifndef DORMOUSE_BASE_MACROS_H
#define DORMOUSE_BASE_MACROS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE        __attribute__((warn_unused_result))
#define PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define UNUSED          __attribute__((unused))
#define NORETURN        __attribute__((noreturn))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Takes the value of a pointer variable and leaves NULL behind: ownership moves, visibly. */
#define STEAL(p) ({ __typeof__(p) stolen_ = (p); (p) = NULL; stolen_; })
#define STEAL_FD(fd) ({ int stolen_ = (fd); (fd) = -1; stolen_; })

/* The struct that embeds MEMBER at PTR. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
