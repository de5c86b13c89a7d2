/* The limits of the scheduler, each with its reason. */
#ifndef DORMOUSE_SCHEDULER_LIMITS_H
#define DORMOUSE_SCHEDULER_LIMITS_H

#define ALARMS_MAX             8000000   /* about 300 bytes each in memory; more are left out, which is logged */
#define ALARM_RETRIES_MAX      6         /* surface spec 3.2: counted retries, then the alarm is given up */
#define ALARM_BACKOFF_FIRST_S  2         /* surface spec 3.2: 2 << n seconds … */
#define ALARM_BACKOFF_STEPS    9         /* … up to 1,024 s */
#define ALARM_JITTER_PARTS     4         /* up to a quarter more, so that what failed together does not come back together */
#define ALARM_ELSEWHERE_MS     250       /* a worker said "not mine": the number of workers was not known yet; ask again soon */
#define ALARMS_FRESH_MAX       64        /* alarms started on one worker within ALARMS_FRESH_MS: requests are served between them */
#define ALARMS_FRESH_MS        20        /* 64 per 20 ms start 10,000 in 3.2 s even when each of them waits for minutes */
#define ALARMS_UNREAD_MAX      4         /* sent to one worker and not yet read by it: a request waits behind so many at most, however long each takes */
#define ALARMS_PACE            2         /* a worker is asked after so many what it has read: half a window, so that it never runs dry */
#define ALARMS_IN_FLIGHT_MAX   8192      /* on one worker: half of the calls it accepts */
#define KEEP_MS                100       /* between commits of the book: nobody waits for them, what is lost is heard again */
#define CLOCK_LOOK_MS          2000      /* the longest the wall clock goes unread: a step is seen after so long at most */
#define CLOCK_STEP_MS          500       /* a smaller change is slewing */
#define BOOK_RETRY_MS          500       /* a book that could not be written is tried again: alarms go on soon after there is space */
#define APP_WORKERS_MAX        256       /* workers of one app, as in the gateway */

#endif
