/* cli_rates — see cli_rates.h. */
#include "src/cli/cli_rates.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/macros.h"
#include "src/cli/cli_out.h"

/* Counters that only grow, of any room: the others are states. */
static const char *const growing[] = {
    "calls", "turns", "births", "wakes", "warm_wakes", "cold_wakes", "sleeps", "colds", "evictions", "resets", "commits", "requests",
    "bytes", "syncs", "alarms_fired",
};

static const json_t *
same_room(const json_t *answer, const json_t *room)
{
    const json_t *rooms = json_object_get(answer, "rooms");

    for (size_t i = 0; i < json_array_size(rooms); i++) {
        const json_t *other = json_array_get(rooms, i);
        bool is_same = true;

        for (const char *const *field = (const char *const[]){ "role", "app", "index", "pid", NULL }; *field != NULL; field++)
            is_same = is_same && json_equal(json_object_get(room, *field), json_object_get(other, *field));
        if (is_same)
            return other;
    }
    return NULL;
}

static double
growth(const json_t *before, const json_t *now, const char *name, double seconds)
{
    json_int_t grown = json_integer_value(json_object_get(now, name)) - json_integer_value(json_object_get(before, name));

    return seconds > 0 && grown > 0 ? (double)grown / seconds : 0;
}

static json_t *
room_between(const json_t *before, const json_t *now, double seconds)
{
    json_t *room = json_copy((json_t *)(uintptr_t)now), *rates = json_object();
    const json_t *counters = json_object_get(now, "counters"), *counters_before = json_object_get(before, "counters");

    for (size_t i = 0; i < ARRAY_LEN(growing); i++)
        if (json_object_get(counters, growing[i]) != NULL)
            (void)json_object_set_new(rates, growing[i], json_real(growth(counters_before, counters, growing[i], seconds)));
    (void)json_object_set_new(room, "per_second", rates);
    if (json_object_get(now, "cpu_us") != NULL)
        (void)json_object_set_new(room, "cpu", json_real(growth(before, now, "cpu_us", seconds) / 1e6));
    return room;
}

json_t *
rates_between(const json_t *before, const json_t *now)
{
    json_int_t since_us = json_integer_value(json_object_get(before != NULL ? before : now, "mono_us"));
    double seconds = (double)(json_integer_value(json_object_get(now, "mono_us")) - since_us) / 1e6;
    const json_t *rooms = json_object_get(now, "rooms");
    json_t *out = json_object(), *list = json_array();

    for (size_t i = 0; i < json_array_size(rooms); i++) {
        const json_t *room = json_array_get(rooms, i);

        (void)json_array_append_new(list, room_between(same_room(before, room), room, seconds));
    }
    (void)json_object_set(out, "time_ms", json_object_get(now, "time_ms"));
    (void)json_object_set_new(out, "seconds", json_real(seconds));
    (void)json_object_set_new(out, "rooms", list);
    return out;
}

/* ---- for people ---- */

static bool
is_role(const json_t *room, const char *role)
{
    const char *name = json_string_value(json_object_get(room, "role"));

    return name != NULL && strcmp(name, role) == 0;
}

static const json_t *
room_of_role(const json_t *rates, const char *role)
{
    const json_t *rooms = json_object_get(rates, "rooms");

    for (size_t i = 0; i < json_array_size(rooms); i++)
        if (is_role(json_array_get(rooms, i), role))
            return json_array_get(rooms, i);
    return NULL;
}

static long long
count_of(const json_t *room, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(room, "counters"), name));
}

static double
rate_of(const json_t *room, const char *name)
{
    return json_real_value(json_object_get(json_object_get(room, "per_second"), name));
}

#define CELL_BYTES 24

/* 0, 0.3, 12, 4.1k: what fits into a narrow column. */
static const char *
rate_text(char out[CELL_BYTES], double rate)
{
    if (rate >= 9999.5)
        (void)snprintf(out, CELL_BYTES, "%.1fk", rate / 1000);
    else
        (void)snprintf(out, CELL_BYTES, rate == 0 ? "0" : rate < 9.95 ? "%.1f" : "%.0f", rate);
    return out;
}

static const char *
bytes_text(char out[CELL_BYTES], double bytes)
{
    static const char *const units[] = { "B", "K", "M", "G", "T" };
    size_t unit = 0;

    while (bytes >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(out, CELL_BYTES, unit == 0 || bytes >= 9.95 ? "%.0f%s" : "%.1f%s", bytes, units[unit]);
    return out;
}

static void
print_node(const json_t *rates, struct buf *out)
{
    const json_t *rooms = json_object_get(rates, "rooms"), *gateway = room_of_role(rates, "gateway"), *egress = room_of_role(rates, "egress");
    const json_t *journal = room_of_role(rates, "journal"), *scheduler = room_of_role(rates, "scheduler");
    double cpu = 0, memory = 0;
    char a[CELL_BYTES], b[CELL_BYTES], c[CELL_BYTES], d[CELL_BYTES];

    for (size_t i = 0; i < json_array_size(rooms); i++) {
        cpu += json_real_value(json_object_get(json_array_get(rooms, i), "cpu"));
        memory += (double)json_integer_value(json_object_get(json_array_get(rooms, i), "memory_bytes"));
    }
    buf_printf(out, "%srooms%s     %zu, %s memory, %.0f %% of a core\n", out_colour(COLOUR_DIM), out_off(), json_array_size(rooms), bytes_text(a, memory),
               cpu * 100);
    buf_printf(out, "%soutside%s   %s requests/s (%lld open), %lld connections, %lld WebSockets in and %lld out, %s fetches/s (%lld open)\n",
               out_colour(COLOUR_DIM), out_off(), rate_text(a, rate_of(gateway, "requests")), count_of(gateway, "requests_open"),
               count_of(gateway, "connections"), count_of(gateway, "sockets"), count_of(egress, "sockets"), rate_text(b, rate_of(egress, "calls")),
               count_of(egress, "calls_open"));
    buf_printf(out, "%sjournal%s   %s commits/s, %s/s, %s syncs/s; %lld segments with %s, %lld agents not in their databases yet\n",
               out_colour(COLOUR_DIM), out_off(), rate_text(a, rate_of(journal, "commits")), bytes_text(b, rate_of(journal, "bytes")),
               rate_text(c, rate_of(journal, "syncs")), count_of(journal, "segments"), bytes_text(d, (double)count_of(journal, "log_bytes")),
               count_of(journal, "agents_not_in_their_database"));
    buf_printf(out, "%salarms%s    %lld set, %lld due, %lld running, %s/s\n\n", out_colour(COLOUR_DIM), out_off(), count_of(scheduler, "alarms"),
               count_of(scheduler, "alarms_due"), count_of(scheduler, "alarms_running"), rate_text(a, rate_of(scheduler, "alarms_fired")));
}

static void
print_worker(const json_t *room, struct buf *out)
{
    static const char *const pressure[] = { "", "tight", "starving" };
    static const char *const rates[] = { "births", "wakes", "warm_wakes", "cold_wakes", "sleeps", "colds", "calls", "commits" };
    long long level = count_of(room, "pressure");
    char cell[CELL_BYTES];
    struct buf name = { 0 };

    buf_printf(&name, "%s/%lld", json_string_value(json_object_get(room, "app")), (long long)json_integer_value(json_object_get(room, "index")));
    buf_printf(out, "%-20s %7lld %8lld %7s %7lld", buf_cstr(&name), count_of(room, "awake"), count_of(room, "warm"),
               bytes_text(cell, (double)count_of(room, "warm_bytes")), count_of(room, "waiting"));
    for (size_t i = 0; i < ARRAY_LEN(rates); i++)
        buf_printf(out, " %7s", rate_text(cell, rate_of(room, rates[i])));
    buf_printf(out, " %7s %4.0f%%", bytes_text(cell, (double)json_integer_value(json_object_get(room, "memory_bytes"))),
               json_real_value(json_object_get(room, "cpu")) * 100);
    if (level > 0 && level < (long long)ARRAY_LEN(pressure))
        buf_printf(out, "  %s%s%s", out_colour(level == 1 ? COLOUR_YELLOW : COLOUR_RED), pressure[level], out_off());
    else if (json_object_get(room, "counters") == NULL)
        buf_printf(out, "  %sdoes not answer%s", out_colour(COLOUR_YELLOW), out_off());
    buf_append_byte(out, '\n');
    buf_fini(&name);
}

static void
print_refusals(const json_t *room, struct buf *out)
{
    static const char prefix[] = "images_refused.";
    const char *name, *app = json_string_value(json_object_get(room, "app"));
    json_t *value;

    json_object_foreach (json_object_get(room, "counters"), name, value)
        if (strncmp(name, prefix, sizeof prefix - 1) == 0)
            buf_printf(out, "%s%s/%lld%s images refused: %lld, %s\n", out_colour(COLOUR_YELLOW), app,
                       (long long)json_integer_value(json_object_get(room, "index")), out_off(), (long long)json_integer_value(value),
                       name + sizeof prefix - 1);
}

void
rates_print(const json_t *rates, struct buf *out)
{
    const json_t *rooms = json_object_get(rates, "rooms");
    char cell[CELL_BYTES];

    print_node(rates, out);
    buf_printf(out, "%s%-20s %7s %8s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %5s%s\n", out_colour(COLOUR_DIM), "APP/WORKER", "AWAKE", "WARM",
               "IMAGES", "WAITING", "BORN/s", "BUILT/s", "WAKES/s", "COLD/s", "SLEEP/s", "TODISK", "EVENT/s", "COMMIT", "MEMORY", "CPU", out_off());
    for (size_t i = 0; i < json_array_size(rooms); i++)
        if (is_role(json_array_get(rooms, i), "worker"))
            print_worker(json_array_get(rooms, i), out);
    for (size_t i = 0; i < json_array_size(rooms); i++)
        print_refusals(json_array_get(rooms, i), out);
    buf_printf(out, "\n%s%-20s %7s %5s%s\n", out_colour(COLOUR_DIM), "ROOM", "MEMORY", "CPU", out_off());
    for (size_t i = 0; i < json_array_size(rooms); i++) {
        const json_t *room = json_array_get(rooms, i);

        if (!is_role(room, "worker"))
            buf_printf(out, "%-20s %7s %4.0f%%\n", json_string_value(json_object_get(room, "role")),
                       bytes_text(cell, (double)json_integer_value(json_object_get(room, "memory_bytes"))),
                       json_real_value(json_object_get(room, "cpu")) * 100);
    }
}
