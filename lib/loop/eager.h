/*
 * eager — asking for an answer that is due at once, in place of sleeping until it comes.
 *
 * Who sleeps frees the processor, but to be woken takes 10 to 60 us where idle processors halt, most of all in a virtual machine. So who has sent
 * something whose answer is due within EAGER_US_MAX may ask for so long. It is never done on one processor, and not for a while after it was
 * in vain or somebody else had work for the processor: it shall cost only what nobody wants.
 */
#ifndef DORMOUSE_LOOP_EAGER_H
#define DORMOUSE_LOOP_EAGER_H

#include <stdint.h>

struct eager {                             /* zero at first; the caller's memory */
    int64_t rest_until_us;
    int64_t rest_us;                       /* the last one's length; 0 after success */
};

/* Returns when FD is readable, or after US at most, or at once. */
void eager_wait(struct eager *eager, int fd, int64_t us);

#endif
