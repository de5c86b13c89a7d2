/* js_events — the events of the host interface (docs/host-interface.md, table 2): first argument of the library's dispatch. */
#ifndef DORMOUSE_WORKER_JS_EVENTS_H
#define DORMOUSE_WORKER_JS_EVENTS_H

enum js_event {
    JS_BOOT_ENTRY = 1, JS_BOOT_AGENT, JS_ENTRY, JS_FETCH, JS_RPC, JS_ALARM, JS_WS_MESSAGE, JS_WS_CLOSE, JS_WS_ERROR, JS_SCHEDULED, JS_EMAIL,
    JS_PREPARE,
    JS_REPLY = 20, JS_REPLY_RPC, JS_FAIL, JS_BODY, JS_BODY_END, JS_DRAIN, JS_CANCELLED, JS_BODY_CANCELLED, JS_HUNG,
    JS_TIMER = 30, JS_SYNCED, JS_REJECTION, JS_RESTORED, JS_SNAPSHOT, JS_CURSORS
};

#endif
