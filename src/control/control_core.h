/*
 * control_core — the life of one deployment, as a table.
 *
 *   receiving ──files complete──▶ building ──template built──▶ taking ──every worker took it──▶ done
 *        └────────────────────────────┴────────any failure─────────┴──────────────▶ failed
 *
 * Pure. A deploy that needs no building (assets only, or built before) goes from receiving to taking.
 */
#ifndef DORMOUSE_CONTROL_CORE_H
#define DORMOUSE_CONTROL_CORE_H

enum deploy_state { DEPLOY_RECEIVING, DEPLOY_BUILDING, DEPLOY_TAKING, DEPLOY_DONE, DEPLOY_FAILED, DEPLOY_STATES, DEPLOY_BUG = DEPLOY_STATES };
enum deploy_event {
    DEPLOY_FILES_CAME,             /* all files are on disk; a template must be built */
    DEPLOY_FILES_CAME_BUILT,       /* all files are on disk; nothing to build */
    DEPLOY_BUILT,                  /* the build worker wrote the template */
    DEPLOY_ALL_TOOK,               /* every worker runs it */
    DEPLOY_WENT_WRONG,             /* a file, the build or a worker failed, or its time is over */
    DEPLOY_EVENTS
};
enum deploy_effect {
    DEPLOY_NOTHING,                /* the event comes too late to matter */
    DEPLOY_BUILD,                  /* ask for a build; its time starts */
    DEPLOY_OFFER,                  /* tell the workers; their time starts */
    DEPLOY_COMMIT,                 /* write the state, tell the gateway, answer the operator */
    DEPLOY_REPORT,                 /* answer with the failure; nothing had changed */
    DEPLOY_ROLL_BACK,              /* tell the workers to take the old one again, then answer with the failure */
};

/* The event in the state; *state is the next one afterwards. */
enum deploy_effect deploy_step(enum deploy_state *state, enum deploy_event event);

#endif
