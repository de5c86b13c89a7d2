/* cli: options from tables, suggestions, and what is printed of untrusted text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/cli/cli_args.h"
#include "src/cli/cli_frame.h"
#include "src/cli/cli_node.h"
#include "src/cli/cli_project.h"
#include "src/cli/cli_where.h"

struct values {
    bool             is_loud;
    const char      *name;
    long             port;
    struct text_list vars;
};

static const struct option options[] = {
    { "loud", 'l', OPTION_FLAG, NULL, "", offsetof(struct values, is_loud), 0, 0 },
    { "name", 0, OPTION_TEXT, "N", "", offsetof(struct values, name), 0, 0 },
    { "port", 'p', OPTION_NUMBER, "N", "", offsetof(struct values, port), 0, 65535 },
    { "var", 0, OPTION_LIST, "K:V", "", offsetof(struct values, vars), 0, 0 },
    { NULL, 0, OPTION_FLAG, NULL, NULL, 0, 0, 0 },
};
static const struct command command = { "try", "[A]", "", NULL, options, 0, 1 };

static bool
parse(struct values *values, struct text_list *operands, struct err *err, int argc, ...)
{
    char *argv[16];
    va_list args;

    va_start(args, argc);
    for (int i = 0; i < argc; i++)
        argv[i] = va_arg(args, char *);
    va_end(args);
    err_clear(err);
    return args_parse(&command, argc, argv, values, operands, err);
}

static void
options_take_their_values(void **state)
{
    struct values v = { .port = 8787 };
    struct text_list operands;
    struct err err = { 0 };

    assert_true(parse(&v, &operands, &err, 8, "--name", "x", "--port=9", "-l", "--var", "a:1", "--var=b:2=3", "dir"));
    assert_string_equal(v.name, "x");
    assert_int_equal(v.port, 9);
    assert_true(v.is_loud);
    assert_int_equal(v.vars.count, 2);
    assert_string_equal(v.vars.item[1], "b:2=3");
    assert_int_equal(operands.count, 1);
    assert_string_equal(operands.item[0], "dir");
    v = (struct values){ 0 };
    assert_true(parse(&v, &operands, &err, 4, "-p", "0", "--", "--loud"));
    assert_string_equal(operands.item[0], "--loud");
    assert_false(v.is_loud);
}

static void
wrong_options_are_named(void **state)
{
    static const struct {
        const char *word, *sentence;
    } rows[] = {
        { "--nmae", "Did you mean '--name'" }, { "--zzz", "see 'dormouse try --help'" }, { "-x", "no option '-x'" },
        { "--loud=1", "takes no value" },      { "--port", "needs a value" },            { "--port=1e3", "not '1e3'" },
        { "--port=", "from 0 to 65535" },      { "--port=-1", "from 0 to 65535" },       { "--port=99999999999999999999", "from 0" },
        { "--name=", "not empty" },            { "-lp", "no option '-lp'" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct values v = { 0 };
        struct text_list operands;
        struct err err = { 0 };

        assert_false(parse(&v, &operands, &err, 1, rows[i].word));
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, rows[i].sentence));
    }
}

static void
operands_and_repetitions_are_bounded(void **state)
{
    struct values v = { 0 };
    struct text_list operands;
    struct err err = { 0 };
    char *argv[2 * CLI_LIST_MAX + 2];

    assert_false(parse(&v, &operands, &err, 2, "a", "b"));
    for (int i = 0; i < 2 * CLI_LIST_MAX + 2; i += 2) {
        argv[i] = (char *)(uintptr_t) "--var";
        argv[i + 1] = (char *)(uintptr_t) "k:v";
    }
    assert_true(args_parse(&command, 2 * CLI_LIST_MAX, argv, &v, &operands, &err));
    v.vars.count = 0;
    assert_false(args_parse(&command, 2 * CLI_LIST_MAX + 2, argv, &v, &operands, &err));
}

static void
near_words_are_suggested(void **state)
{
    static const char *const words[] = { "serve", "deploy", "dev", "logs", NULL };

    assert_string_equal(args_nearest("serv", words), "serve");
    assert_string_equal(args_nearest("depoly", words), "deploy");
    assert_null(args_nearest("xyz", words));
    assert_null(args_nearest("", words));
    assert_null(args_nearest("a word that is much longer than any other could be", words));
}

static void
the_supervisor_gets_what_was_asked_for(void **state)
{
    struct text_list listen = { .item = { "127.0.0.1:0" }, .count = 1 };
    struct node_spec spec = { .data = "/srv/d", .listen = &listen, .workers = 3, .sandbox = "best", .allow_private = true };
    struct err err = { 0 };
    char *text = NULL;
    json_t *config;

    assert_true(node_config(&spec, &text, &err));
    config = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(config, "data")), "/srv/d");
    assert_string_equal(json_string_value(json_object_get(config, "admin")), "/srv/d/admin.sock");
    assert_string_equal(json_string_value(json_array_get(json_object_get(config, "listen"), 0)), "127.0.0.1:0");
    assert_int_equal(json_integer_value(json_object_get(config, "workers")), 3);
    assert_true(json_is_true(json_object_get(config, "allow_private")));
    json_decref(config);
    free(text);
}

static void
a_long_data_path_has_a_short_socket(void **state)
{
    char data[400], socket[CLI_PATH_BYTES], again[CLI_PATH_BYTES];
    struct err err = { 0 };

    memset(data, 'd', sizeof data);
    data[0] = '/';
    data[sizeof data - 1] = '\0';
    assert_true(where_socket(data, socket, &err));
    assert_true(where_socket(data, again, &err));
    assert_string_equal(socket, again);
    assert_true(strlen(socket) < SOCKET_PATH_BYTES_MAX);
    data[10] = 'e';
    assert_true(where_socket(data, again, &err));
    assert_string_not_equal(socket, again);
}

static void
addresses_and_pairs(void **state)
{
    struct text_list good = { .item = { "a=1", "b-c=65535", "d=0" }, .count = 3 };
    static const char *const bad[] = { "a", "=1", "a=", "a=x", "a=65536", "a=-1", "a=1x" };
    char text[CLI_PATH_BYTES];
    struct err err = { 0 };

    assert_true(address_print("::1", 80, text, &err));
    assert_string_equal(text, "[::1]:80");
    assert_true(address_print("localhost", 8787, text, &err));
    assert_string_equal(text, "localhost:8787");
    address_url("0.0.0.0:9", text);
    assert_string_equal(text, "http://127.0.0.1:9");
    address_url("[::]:9", text);
    assert_string_equal(text, "http://127.0.0.1:9");
    address_url("10.0.0.1:9", text);
    assert_string_equal(text, "http://10.0.0.1:9");
    assert_string_equal(address_port("[::1]:80"), "80");
    assert_true(pairs_check_ports(&good, &err));
    assert_string_equal(pair_find(&good, "b-c"), "65535");
    assert_null(pair_find(&good, "b"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct text_list list = { .item = { bad[i] }, .count = 1 };

        assert_false(pairs_check_ports(&list, &err));
    }
}

static void
a_frame_shows_the_users_own_line(void **state)
{
    char folder[] = "/tmp/dormouse-test-XXXXXX", path[128];
    struct buf out = { 0 };
    FILE *file;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/a.ts", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("one\ntwo\n\tthree grüße x\n", file);
    (void)fclose(file);
    assert_true(frame_of_stack(folder, bytes_of("Error: x\n    at f (node_modules/p/i.js:1:1)\n    at g (gone.ts:1:1)\n    at h (a.ts:3:8)\n"), &out));
    assert_string_equal(buf_cstr(&out), "     1 │ one\n     2 │ two\n     3 │ \tthree grüße x\n       ╵ \t      ^\n");
    buf_clear(&out);
    assert_false(frame_of_stack(folder, bytes_of("at h (../../etc/passwd:1:1)\nat h (/etc/passwd:1:1)\nat x (a.ts:99:1)\nat (a.ts:0:0)\n:1:1\n"), &out));
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_take_their_values),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(operands_and_repetitions_are_bounded),
        cmocka_unit_test(near_words_are_suggested),
        cmocka_unit_test(the_supervisor_gets_what_was_asked_for),
        cmocka_unit_test(a_long_data_path_has_a_short_socket),
        cmocka_unit_test(addresses_and_pairs),
        cmocka_unit_test(a_frame_shows_the_users_own_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
