/* control_metrics — see control_metrics.h. */
#include "src/control/control_metrics.h"

#include <string.h>

enum unit { UNIT_ONE, UNIT_MICROSECONDS };     /* as counted; microseconds are told in seconds */

/* Rows of one metric stand together: the format wants all its samples in one group. */
static const struct metric {
    const char *name, *type, *help;
    const char *role;                  /* whose counter; NULL: what the supervisor knows of every room */
    const char *counter;               /* a trailing dot: all counters that begin so; what follows is the value of LABEL */
    const char *label;                 /* "state=\"awake\"", or the name of a label; NULL */
    enum unit   unit;
} metrics[] = {
    { "dormouse_agents", "gauge", "Agents with a heap: awake in memory, or warm, an image of it in memory.", "worker", "awake", "state=\"awake\"", 0 },
    { "dormouse_agents", NULL, NULL, "worker", "warm", "state=\"warm\"", 0 },
    { "dormouse_agents_in_memory", "gauge", "Agents of which anything is in memory.", "worker", "agents_in_memory", NULL, 0 },
    { "dormouse_agents_waiting", "gauge", "Agents with an event that wait for their turn to wake.", "worker", "waiting", NULL, 0 },
    { "dormouse_image_bytes", "gauge", "Images of warm agents, with what else is kept for these.", "worker", "warm_bytes", NULL, 0 },
    { "dormouse_memory_pressure", "gauge", "0 at ease, 1 tight, 2 starving.", "worker", "pressure", NULL, 0 },
    { "dormouse_agents_born_total", "counter", "Agents that exist since then.", "worker", "births", NULL, 0 },
    { "dormouse_agent_starts_total", "counter", "Heaps made: by a constructor, of an image in memory, of an image on disk.", "worker", "wakes",
      "from=\"constructor\"", 0 },
    { "dormouse_agent_starts_total", NULL, NULL, "worker", "warm_wakes", "from=\"warm\"", 0 },
    { "dormouse_agent_starts_total", NULL, NULL, "worker", "cold_wakes", "from=\"cold\"", 0 },
    { "dormouse_agent_sleeps_total", "counter", "Agents gone to sleep: heaps made into images, images moved to disk.", "worker", "sleeps",
      "to=\"warm\"", 0 },
    { "dormouse_agent_sleeps_total", NULL, NULL, "worker", "colds", "to=\"cold\"", 0 },
    { "dormouse_agent_sleep_seconds_total", "counter", "Processor time of making images.", "worker", "sleep_us", NULL, UNIT_MICROSECONDS },
    { "dormouse_agent_wake_seconds_total", "counter", "Processor time of making heaps of images.", "worker", "wake_us", NULL, UNIT_MICROSECONDS },
    { "dormouse_images_refused_total", "counter", "Images that could not be used; the constructor ran instead.", "worker", "images_refused.",
      "reason", 0 },
    { "dormouse_agent_evictions_total", "counter", "Agents of which nothing is in memory any more.", "worker", "evictions", NULL, 0 },
    { "dormouse_agent_resets_total", "counter", "Heaps that were thrown away by a fault, a limit or abort().", "worker", "resets", NULL, 0 },
    { "dormouse_events_total", "counter", "Requests, calls and alarms that came for the app or its agents.", "worker", "calls", NULL, 0 },
    { "dormouse_events_open", "gauge", "Of these, not answered yet.", "worker", "calls_open", NULL, 0 },
    { "dormouse_turns_total", "counter", "Times that an app's or agent's code was entered.", "worker", "turns", NULL, 0 },
    { "dormouse_commits_total", "counter", "Commits of agents.", "worker", "commits", NULL, 0 },
    { "dormouse_http_requests_total", "counter", "Requests from outside that went to workers.", "gateway", "requests", NULL, 0 },
    { "dormouse_http_requests_open", "gauge", "Of these, not answered yet.", "gateway", "requests_open", NULL, 0 },
    { "dormouse_connections", "gauge", "Connections from outside.", "gateway", "connections", NULL, 0 },
    { "dormouse_websockets", "gauge", "Open WebSockets, from outside and to outside.", "gateway", "sockets", "side=\"in\"", 0 },
    { "dormouse_websockets", NULL, NULL, "egress", "sockets", "side=\"out\"", 0 },
    { "dormouse_websocket_unsent_bytes", "gauge", "What clients of WebSockets have not taken yet.", "gateway", "socket_bytes_unsent", NULL, 0 },
    { "dormouse_fetches_total", "counter", "Requests of agents to the outside.", "egress", "calls", NULL, 0 },
    { "dormouse_fetches_open", "gauge", "Of these, not finished yet.", "egress", "calls_open", NULL, 0 },
    { "dormouse_journal_commits_total", "counter", "Commits that the journal took.", "journal", "commits", NULL, 0 },
    { "dormouse_journal_written_bytes_total", "counter", "What it made durable.", "journal", "bytes", NULL, 0 },
    { "dormouse_journal_syncs_total", "counter", "How many syncs that took.", "journal", "syncs", NULL, 0 },
    { "dormouse_journal_segments", "gauge", "Files of the journal, without history.", "journal", "segments", NULL, 0 },
    { "dormouse_journal_bytes", "gauge", "What the records in these take.", "journal", "log_bytes", NULL, 0 },
    { "dormouse_journal_agents", "gauge", "Agents with commits that are in the journal, and in their databases not yet for sure.", "journal",
      "agents_not_in_their_database", NULL, 0 },
    { "dormouse_alarms", "gauge", "Alarms that are set: due ones wait for their worker.", "scheduler", "alarms", NULL, 0 },
    { "dormouse_alarms_due", "gauge", "Of these, due and not begun.", "scheduler", "alarms_due", NULL, 0 },
    { "dormouse_alarms_running", "gauge", "Of these, being handled.", "scheduler", "alarms_running", NULL, 0 },
    { "dormouse_alarms_fired_total", "counter", "Alarms handed to workers, repetitions included.", "scheduler", "alarms_fired", NULL, 0 },
    { "dormouse_room_cpu_seconds_total", "counter", "Processor time of the room's process.", NULL, "cpu_us", NULL, UNIT_MICROSECONDS },
    { "dormouse_room_memory_bytes", "gauge", "Memory of the room's process that is no file's, which the kernel could not take back.", NULL,
      "memory_bytes", NULL, 0 },
};

/* A label's value: the format escapes backslash, quote and newline. */
static void
put_label(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s%s=\"", out->data[out->len - 1] == '{' ? "" : ",", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buf_append_str(out, "\\n");
            continue;
        }
        if (*value == '\\' || *value == '"')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)*value);
    }
    buf_append_byte(out, '"');
}

static void
put_sample(struct buf *out, const struct metric *m, const json_t *room, const char *label_value, json_int_t value)
{
    const char *app = json_string_value(json_object_get(room, "app")), *role = json_string_value(json_object_get(room, "role"));

    buf_printf(out, "%s{", m->name);
    if (m->role == NULL)
        put_label(out, "room", role != NULL ? role : "");
    if (app != NULL && app[0] != '\0') {
        put_label(out, "app", app);
        buf_printf(out, ",worker=\"%lld\"", (long long)json_integer_value(json_object_get(room, "index")));
    }
    if (m->label != NULL && label_value == NULL)
        buf_printf(out, "%s%s", out->data[out->len - 1] == '{' ? "" : ",", m->label);
    else if (m->label != NULL)
        put_label(out, m->label, label_value);
    if (out->data[out->len - 1] == '{')
        out->len--;
    else
        buf_append_byte(out, '}');
    if (m->unit == UNIT_MICROSECONDS)
        buf_printf(out, " %lld.%06lld\n", (long long)(value / 1000000), (long long)(value % 1000000));
    else
        buf_printf(out, " %lld\n", (long long)value);
}

static void
put_room(struct buf *out, const struct metric *m, const json_t *room)
{
    const json_t *counters = m->role == NULL ? room : json_object_get(room, "counters");
    const size_t len = strlen(m->counter);
    const char *name;
    json_t *value;

    if (m->counter[len - 1] != '.') {
        value = json_object_get(counters, m->counter);
        if (json_is_integer(value))
            put_sample(out, m, room, NULL, json_integer_value(value));
        return;
    }
    json_object_foreach ((json_t *)(uintptr_t)counters, name, value)
        if (strncmp(name, m->counter, len) == 0 && json_is_integer(value))
            put_sample(out, m, room, name + len, json_integer_value(value));
}

void
metrics_print(const json_t *rooms, struct buf *out)
{
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        const struct metric *m = &metrics[i];

        if (m->help != NULL)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
        for (size_t r = 0; r < json_array_size(rooms); r++) {
            const json_t *room = json_array_get(rooms, r);
            const char *role = json_string_value(json_object_get(room, "role"));

            if (role != NULL && (m->role == NULL || strcmp(role, m->role) == 0))
                put_room(out, m, room);
        }
    }
}
