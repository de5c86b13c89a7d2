/* eager — see eager.h. */
#include "lib/loop/eager.h"

#include "lib/loop/loop_limits.h"
#include "lib/sys/sys.h"

static void
rest(struct eager *eager, int64_t now_us, int64_t rest_us)
{
    eager->rest_us = rest_us < EAGER_REST_US_MIN ? EAGER_REST_US_MIN : rest_us > EAGER_REST_US_MAX ? EAGER_REST_US_MAX : rest_us;
    eager->rest_until_us = now_us + eager->rest_us;
}

void
eager_wait(struct eager *eager, int fd, int64_t us)
{
    const int64_t began_us = clock_mono_us();
    const int64_t end_us = began_us + (us < EAGER_US_MAX ? us : EAGER_US_MAX);
    int64_t now_us = began_us;

    if (began_us < eager->rest_until_us || sys_processors() < 2)
        return;
    /* Only the first time round: the kernel lets who yields wait for as long as a slice of each of the others. */
    sys_yield();
    now_us = clock_mono_us();
    if (now_us - began_us > EAGER_OTHERS_US) {
        rest(eager, now_us, EAGER_REST_US_MAX);
        return;
    }
    while (now_us < end_us) {
        if (sys_is_readable(fd)) {
            eager->rest_us = 0;
            return;
        }
        now_us = clock_mono_us();
    }
    rest(eager, now_us, eager->rest_us * 2);
}
