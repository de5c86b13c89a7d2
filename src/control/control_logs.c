/*
 * control_logs — see control_logs.h.
 */
#include "src/control/control_logs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "src/control/control_limits.h"

struct line {
    struct list_node in_logs;
    int64_t          time_ms;
    uint64_t         turn;
    struct agent_id  agent;
    uint8_t          level;
    const char      *room;         /* a constant of role_name() */
    struct bytes     app, class_name, name, text;      /* into bytes[] */
    size_t           size;
    uint8_t          bytes[];
};

struct reader {
    struct list_node  in_logs;
    struct admin_ref  to;
    struct log_filter filter;      /* its strings are owned */
    uint64_t          dropped;
};

struct logs {
    struct list_node lines;        /* oldest first */
    struct list_node readers;
    size_t           count;
    size_t           bytes;
};

struct logs *
logs_create(void)
{
    struct logs *logs = calloc(1, sizeof *logs);

    assert(logs != NULL);
    list_init(&logs->lines);
    list_init(&logs->readers);
    return logs;
}

static void
reader_destroy(struct reader *r)
{
    list_remove(&r->in_logs);
    free((void *)r->filter.app.data);
    free((void *)r->filter.class_name.data);
    free((void *)r->filter.name.data);
    free(r);
}

void
logs_destroy(struct logs **logs)
{
    struct logs *l = STEAL(*logs);
    struct line *line;
    struct reader *reader;

    if (l == NULL)
        return;
    list_each(line, &l->lines, struct line, in_logs)
        free(line);
    list_each(reader, &l->readers, struct reader, in_logs)
        reader_destroy(reader);
    free(l);
}

static struct bytes
line_keep(struct line *line, struct bytes from)
{
    struct bytes kept = bytes_from(line->bytes + line->size, from.len);

    if (from.len > 0)
        memcpy(line->bytes + line->size, from.data, from.len);
    line->size += from.len;
    return kept;
}

static struct line *
line_create(struct bytes app, const char *room, const struct msg_LOG *msg)
{
    size_t size = app.len + msg->class_name.len + msg->name.len + msg->text.len;
    struct line *line = malloc(sizeof *line + size);

    assert(line != NULL);
    *line = (struct line){ .time_ms = msg->time_ms, .turn = msg->turn, .agent = msg->agent, .level = msg->level, .room = room };
    line->app = line_keep(line, app);
    line->class_name = line_keep(line, msg->class_name);
    line->name = line_keep(line, msg->name);
    line->text = line_keep(line, msg->text);
    return line;
}

static bool
filter_matches(const struct log_filter *f, const struct line *line)
{
    return line->level >= f->level_min && (f->app.len == 0 || bytes_equal(f->app, line->app)) &&
           (f->class_name.len == 0 || bytes_equal(f->class_name, line->class_name)) &&
           (f->name.len == 0 || bytes_equal(f->name, line->name)) &&
           (agent_id_is_none(&f->agent) || agent_id_equal(&f->agent, &line->agent));
}

/* Bytes from a worker as a JSON string; what is no UTF-8 is shown byte for byte as Latin-1, so that nothing is lost. */
static json_t *
text_json(struct bytes text)
{
    json_t *out = json_stringn((const char *)text.data, text.len);
    struct buf utf8 = { 0 };

    if (out != NULL)
        return out;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] >= 0x80)
            buf_append_byte(&utf8, (uint8_t)(0xc0 | text.data[i] >> 6));
        buf_append_byte(&utf8, text.data[i] < 0x80 ? text.data[i] : (uint8_t)(0x80 | (text.data[i] & 0x3f)));
    }
    out = json_stringn((const char *)utf8.data, utf8.len);
    buf_fini(&utf8);
    return out != NULL ? out : json_string("");
}

static json_t *
line_json(const struct line *line)
{
    json_t *out = json_pack("{s:I, s:i, s:s, s:o, s:o}", "time_ms", (json_int_t)line->time_ms, "level", (int)line->level, "room",
                            line->room, "app", text_json(line->app), "text", text_json(line->text));
    char hex[65];

    assert(out != NULL);
    if (line->class_name.len > 0)
        (void)json_object_set_new(out, "class", text_json(line->class_name));
    if (line->name.len > 0)
        (void)json_object_set_new(out, "name", text_json(line->name));
    if (!agent_id_is_none(&line->agent)) {
        agent_id_to_hex(&line->agent, hex);
        (void)json_object_set_new(out, "agent", json_string(hex));
        (void)json_object_set_new(out, "turn", json_integer((json_int_t)line->turn));
    }
    return out;
}

static void
reader_tell(struct reader *r, struct admin *admin, const struct line *line)
{
    if (!filter_matches(&r->filter, line))
        return;
    if (admin_unsent_bytes(admin, r->to.connection) > ADMIN_UNSENT_MAX_BYTES) {
        r->dropped++;
        return;
    }
    if (r->dropped > 0)
        admin_event(admin, r->to, "dropped", json_pack("{s:I}", "lines", (json_int_t)r->dropped));
    r->dropped = 0;
    admin_event(admin, r->to, "log", line_json(line));
}

static void
lines_trim(struct logs *logs)
{
    while (logs->count > LOG_LINES_MAX || logs->bytes > LOG_BYTES_MAX) {
        struct line *oldest = list_first(&logs->lines, struct line, in_logs);

        list_remove(&oldest->in_logs);
        logs->count--;
        logs->bytes -= sizeof *oldest + oldest->size;
        free(oldest);
    }
}

void
logs_add(struct logs *logs, struct admin *admin, struct bytes app, const char *room, const struct msg_LOG *msg)
{
    struct line *line = line_create(app, room, msg);
    struct reader *reader;

    list_push_back(&logs->lines, &line->in_logs);
    logs->count++;
    logs->bytes += sizeof *line + line->size;
    list_each(reader, &logs->readers, struct reader, in_logs)
        reader_tell(reader, admin, line);
    lines_trim(logs);
}

void
logs_replay(const struct logs *logs, struct admin *admin, struct admin_ref to, const struct log_filter *filter, size_t backlog)
{
    const struct list_node *head = &logs->lines, *at = head;
    size_t found = 0;

    while (found < backlog && at->prev != head) {
        at = at->prev;
        if (filter_matches(filter, list_entry(at, const struct line, in_logs)))
            found++;
    }
    for (; at != head && found > 0; at = at->next) {
        const struct line *line = list_entry(at, const struct line, in_logs);

        if (filter_matches(filter, line) && admin_unsent_bytes(admin, to.connection) <= ADMIN_UNSENT_MAX_BYTES)
            admin_event(admin, to, "log", line_json(line));
    }
}

static struct bytes
bytes_keep(struct bytes b)
{
    return b.len > 0 ? bytes_from(bytes_dup(b), b.len) : BYTES_NONE;
}

void
logs_follow(struct logs *logs, struct admin_ref to, const struct log_filter *filter)
{
    struct reader *r = calloc(1, sizeof *r);

    assert(r != NULL);
    r->to = to;
    r->filter = *filter;
    r->filter.app = bytes_keep(filter->app);
    r->filter.class_name = bytes_keep(filter->class_name);
    r->filter.name = bytes_keep(filter->name);
    list_push_back(&logs->readers, &r->in_logs);
}

void
logs_unfollow(struct logs *logs, uint64_t connection)
{
    struct reader *reader;

    list_each(reader, &logs->readers, struct reader, in_logs)
        if (reader->to.connection == connection)
            reader_destroy(reader);
}
