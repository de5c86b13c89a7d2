/* The limits of the loop, each with its reason. */
#ifndef DORMOUSE_LOOP_LIMITS_H
#define DORMOUSE_LOOP_LIMITS_H

#define EAGER_US_MAX       200            /* asked for instead of slept for, at once: a sync of a good disk takes 80 to 150, to be woken 10 to 60 */
#define EAGER_OTHERS_US    50             /* a yield that takes longer: somebody else has work for this processor */
#define EAGER_REST_US_MIN  2000           /* after an answer that did not come in time, doubled each time it does not: a slow disk gains nothing … */
#define EAGER_REST_US_MAX  (1000 * 1000)  /* … up to here; and at once where others want the processor: asked again so rarely, it costs them nothing */

#endif
