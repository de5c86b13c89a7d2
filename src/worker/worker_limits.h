/* The limits of a worker, each with its reason. */
#ifndef DORMOUSE_WORKER_LIMITS_H
#define DORMOUSE_WORKER_LIMITS_H

#define HEAP_BYTES_MAX_DEFAULT   (128u << 20)  /* surface spec 3.3: 128 MB per isolate; "limits.memory_mb" changes it */
#define HEAP_PROCESS_PART        2             /* a heap may be half of what the process may be (worker_memory_mb) */
#define HEAP_MB_MIN              32            /* … but not less: an SDK app's template alone takes 16 MB of its addresses */
#define HEAP_SPARE_PAGES         32            /* 2 MiB that each heap has mapped to grow into: a mapping less per heap, and the pool keeps its pages */
#define TURN_CPU_MS_DEFAULT      30000         /* surface spec 3.3: 30 s per event; "limits.cpu_ms" changes it */
#define GUEST_STACK_BYTES        (256u << 10)  /* of the guest's own stack; beyond it JavaScript gets a RangeError */
#define NATIVE_STACK_BYTES       (64u << 20)   /* what 256 KiB of guest stack may need natively, with a wide margin */
#define GC_SLACK_BYTES           (2u << 20)    /* what a constructor may make beyond the template before a collection */
#define GC_TURN_SLACK_BYTES      (128u << 10)  /* garbage a heap may keep between turns, or half of what is its own: it is all in its image */
#define SCRATCH_BYTES_MAX        (96u << 20)   /* of one native call: two copies of the largest message */
#define REJECTIONS_MAX           64            /* unhandled rejections reported per turn; more are counted in one line */
#define HEAP_POOL_MAX            256           /* mapped address ranges kept for the next wake */
#define HEAP_POOL_PAGES_MAX      128           /* of a range that keeps its pages for what is born or wakes while others fall asleep: more is a heap that was large */
#define HEAP_POOL_WARM_PAGES_MAX 4096          /* of all such ranges: 16 MiB, some hundred of usual heaps */
#define HEAP_WATCHED_TURNS       8             /* in which a heap that woke is asked whether pages changed hands (1 us); who goes on is looked at as a whole later */
#define HEAP_USUAL_SCANS         16            /* heaps whose pages are compared to learn which ones every heap comes to own */
#define IMAGE_BYTES_MAX          (32u << 20)   /* of a heap's image; a larger heap is cheaper to keep than to pack */
#define IMAGE_ABOUT_BYTES_MAX    (272u << 10)  /* of what an agent's image says besides its heap: the numbers of all its sockets, 8 bytes each */
#define IMAGE_BLOCK_BYTES        (256u << 10)  /* compressed at once: four of LZ4's windows, and bounded memory for a large heap */
#define IMAGE_KIN_MAX            16            /* classes of a deployment whose images share */
#define IMAGE_KIN_VARIANTS       4             /* of each: the lengths of names shift what a constructor makes */
#define IMAGE_KIN_PAGES_MAX      256           /* 1 MiB per variant: a constructor makes 10 to 60 pages */
#define IMAGE_STRANGE_BYTES      4096          /* an image that says more is of no kin's kind */
#define SOURCE_BYTES_MAX         (64u << 20)   /* of a bundle */
#define MODULE_NAME_MAX          512           /* of an import specifier */

#define AGENT_QUEUE_MAX          2048          /* events waiting for one agent; more are refused as overloaded. For the entry: CALLS_MAX */
#define ENTRY_ANSWERED_MAX       8192          /* URLs remembered: 64 KB; more than are asked at once of one worker */
#define ENTRY_OTHERS_PART        4             /* a quarter of the requests that begin, at least, is for other URLs */
#define AGENT_IDLE_MS_DEFAULT    10000         /* surface spec 3.3: hibernation after 10 s without events */
#define AGENT_WARM_MS_DEFAULT    2000          /* idle so long, a heap becomes an image: "limits.warm_ms" */
#define AGENT_COLD_MS_DEFAULT    10000         /* warm so long, an image goes to disk: "limits.cold_ms"; below the 30 s after which the kernel writes it for good */
#define COLD_UNBORN_MAX          65536         /* images of agents that never wrote, 8 to 40 KB each, stored by one worker: more are thrown away, as the platform does after 10 s */
#define COLD_SWEEP_FILES         200           /* of those, left by an earlier start of the machine, removed at once: 2 ms … */
#define COLD_SWEEP_PAUSE_MS      50            /* … and these between */
#define SLEEP_STAY_WARM_TIMES    6             /* of it an agent stays warm that comes back by then: storing and reading cost 0.13 ms (SDK 0.6) */
#define SLEEP_STAY_MS_MAX        16000         /* who is touched every few seconds stays awake, up to here */
#define SLEEP_AWAKE_MAX          4096          /* heaps: 4 GiB of address space each, and maps (vm.max_map_count is 65,530) */
#define SLEEP_SPARE_PART         4             /* of fewer addresses than that: for agents that wake while the others are busy */
#define SLEEP_WARM_BYTES_MAX     (1ull << 30)  /* of images in a worker's memory */
#define SLEEP_WARM_BYTES         2048          /* what a warm agent holds besides its image */
#define SLEEP_SCRATCH_BYTES_MAX  (1u << 20)    /* kept between two images */
#define STARTS_SLICE_US          2000          /* of heaps made in one pass of the loop: 10 to 20; of requests begun: about as many. Then others have their turn */
#define STARTS_PASSES            4             /* a fifth of the time is for heaps, however many requests come */
#define STARTS_ALARMS_PART       4             /* a quarter of the heaps, at least, is for agents with alarms: late ones are late anyway */
#define SLEEPS_PER_ROUND         32            /* 100 to 500 us each; then events have their turn */
#define AGENT_REST_MS            1000          /* idle so long, an agent closes its database; the heap stays */
#define AGENT_SHARE_MS_MIN       10000         /* awake for longer, a young heap looks for pages that are the template's again (100 us) */
#define GIVE_BACK_PRESSED_MS     25            /* the same under pressure */
#define STARVING_LEAVES          4             /* agents that go before one comes, memory being starved: what leaves is smaller than what comes */
#define PRESSED_REST_MS          10            /* between two rounds under pressure on memory: some 4 MB of new heaps */
#define GIVE_BACK_MS             500           /* between two rounds of giving free memory back to the kernel */
#define GIVE_BACK_STARTS         50            /* more heaps than that are made in GIVE_BACK_MS: their memory is not spare … */
#define GIVE_BACK_MS_MAX         5000          /* … for so long at most: it may have been a crowd that is leaving */
#define AGENT_YOUNG_REST_MS      200           /* the first time after its constructor, which leaves twice the memory that stays */
#define DEPLOY_GRACE_MS          30000         /* surface spec 3.3: what runs at a code update may go on so long */
#define DEPLOY_WAIT_MS           2000          /* new turns wait so long for the old code of their agent to finish */
#define PEER_AWAIT_MS            5000          /* calls to a worker that is being started wait: a start takes 50 ms, its back-off 100 ms at first */
#define PEER_AWAIT_BYTES_MAX     (16u << 20)   /* beyond it calls to that worker fail at once */
#define CALLS_MAX                16384         /* open calls per worker and direction */
#define CALL_ABOUT_BYTES_MAX     100           /* of a method or URL, kept to be shown while the call is open */
#define WHY_ITEMS_MAX            100           /* things that an agent waits for, shown one by one */
#define TIMERS_MAX               10000         /* per heap: beyond it setTimeout throws */
#define RPC_BYTES_MAX            (32u << 20)   /* surface spec 3.3: 32 MiB messages */
#define WS_MESSAGE_BYTES_MAX     (32u << 20)
#define CAST_KEPT_BYTES_MAX      (256u << 10)  /* kept for the next message to WebSockets */
#define INLINE_BODY_BYTES        (64u * 1024)  /* a body up to here travels with its head */
#define SOCKETS_PER_AGENT_MAX    32768         /* surface spec 3.3 */
#define DEFLATE_STREAMS_MAX      64            /* open per agent: 300 KB each when compressing */
#define DEFLATE_STEP_BYTES       (64u << 10)
#define DEFLATE_PUSH_BYTES_MAX   (32u << 20)   /* out of one chunk: a bomb ends here */
#define COMMITS_BYTES_MAX        (32u << 20)   /* on their way to the journal; beyond it agents take no new events until some are durable */
#define BASE_AGE_S               (10 * 24 * 3600)  /* a base of the history so often: what the journal keeps beyond the days asked for */
#define BASE_KIB_MIN             1024          /* … and once more was committed since than this, and than the database is large */
#define BASE_BYTES_MAX           (64ll << 20)  /* of a base: reading and packing it takes 0.2 s; larger databases can be restored from backups */
#define RESTORE_BYTES_MAX        (64ll << 20)  /* of a database: a restore is one commit, in memory until it is durable */
#define SNAPSHOTS_MAX            100           /* of one agent; beyond it the oldest without a label goes */
#define SNAPSHOT_AGENT_BYTES_MAX (256ll << 20) /* of one agent's snapshots: four of the largest, thousands of usual ones */
#define SNAPSHOT_SHARE_BYTES_MIN (256ll << 10) /* of a database, from which on its snapshots share pages: a second file and its sync cost more than writing less */
#define SNAPSHOT_PACKS_MAX       32            /* files that a restore reads */
#define SNAPSHOT_LABEL_BYTES_MAX 256           /* as long as a class's name */
#define SNAPSHOT_FILE_BYTES_MAX  (112ll << 20) /* the largest database and heap that a snapshot takes, with their heads: read at once */
#define SNAPSHOTS_UNDER_WAY_MAX  4             /* of one agent: each is in memory as a whole until it is on disk */
#define SNAPSHOT_PASSING_MS_MAX  600000        /* of one made for a clone that nobody took away: its clone has been answered, or never will be */
#define BOOKMARK_AGE_MS_MAX      (30ll * 24 * 3600 * 1000)   /* surface spec 3.4 */
#define JOURNAL_SOON_US          200           /* in which a commit that is alone is durable on a good disk: asked for, not slept for … */
#define JOURNAL_SOON_LONE_MIN    8             /* … after so many in a row that were alone: among many there is something else to do meanwhile, here or on this processor */
#define JOURNAL_PATIENCE_MS      10000         /* a journal that is away so long: what waits for it is given up with a clear error */
#define JOURNAL_PATIENCE_TIMES   3             /* then the worker itself starts over */
#define RECALL_SWEEP_MAX         4             /* suspects made whole at a time in the background: requests pass between them */
#define RECALL_RETRY_MS          200           /* after records could not be had or used, doubled each time: asking reads all of them from the disk … */
#define RECALL_RETRY_MS_MAX      2000          /* … up to here: a disk that has space again heals its agents in 5 s */
#define RECALL_LATER_MS          10000         /* until who left without a checkpoint is asked for one again: a disk that is full mostly still is */
#define SCAN_SLICE_US            3000          /* of a scan for alarms, at once: a request waits no longer for it … */
#define SCAN_PAUSE_MS            20            /* … and these between: an eighth of the core, 600 agents per second and more */
#define SCAN_WAIT_MS             100           /* until what was not readable is looked at again */
#define CURSOR_REST_BYTES_MAX    (1u << 20)    /* of rows that a cursor takes into the heap before the agent leaves memory; with more it stays there */
#define CURSORS_MAX              128           /* kept per agent, newest first: a row costs its statement, a finished one 150 bytes */

#endif
