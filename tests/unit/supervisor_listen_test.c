/* Listening sockets: what may be written as an address, and what a second dormouse is told. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_folders.h"
#include "src/supervisor/supervisor_listen.h"

static void
test_port_zero_becomes_a_port(void **state)
{
    static const char *const good[] = { "127.0.0.1:0", "localhost:0", "*:0", ":0" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char address[LISTEN_ADDRESS_MAX] = "";
        struct err err = { 0 };
        const char *port;
        int fd = -1;

        assert_true(listen_tcp(good[i], &fd, address, &err));
        port = strrchr(address, ':');
        assert_non_null(port);
        assert_true(strtol(port + 1, NULL, 10) > 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        sys_close(fd);
    }
}

static void
test_what_is_no_address_is_refused(void **state)
{
    static const char *const bad[] = { "", "8787", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
                                       "example.com:80", "[::1:80", "127.0.0.1:80 ", "300.0.0.1:80" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char address[LISTEN_ADDRESS_MAX];
        struct err err = { 0 };
        int fd = -1;

        assert_false(listen_tcp(bad[i], &fd, address, &err));
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(fd, -1);
    }
}

static void
test_a_port_in_use_says_how_to_find_its_owner(void **state)
{
    char address[LISTEN_ADDRESS_MAX];
    char again[LISTEN_ADDRESS_MAX];
    struct err err = { 0 };
    int first = -1;
    int second = -1;

    assert_true(listen_tcp("127.0.0.1:0", &first, address, &err));
    assert_false(listen_tcp(address, &second, again, &err));
    assert_int_equal(err.code, ERR_EXISTS);
    assert_non_null(strstr(err.message, address));
    assert_non_null(strstr(err.message, "ss -ltnp"));
    sys_close(first);
}

static void
test_a_dead_admin_socket_is_replaced_a_living_one_is_not(void **state)
{
    char folder[] = "/tmp/dormouse-listen-XXXXXX";
    char path[64];
    struct err err = { 0 };
    struct stat st;
    int first = -1;
    int second = -1;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/admin.sock", folder);
    assert_true(listen_unix(path, &first, &err));
    assert_int_equal(sys_fstatat(AT_FDCWD, path, &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(listen_unix(path, &second, &err));
    assert_int_equal(err.code, ERR_EXISTS);
    sys_close(first);
    err_clear(&err);
    assert_true(listen_unix(path, &second, &err));
    sys_close(second);
    assert_int_equal(sys_unlinkat(AT_FDCWD, path, 0), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void
test_a_socket_path_that_is_too_long_is_named(void **state)
{
    char path[200];
    struct err err = { 0 };
    int fd = -1;

    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_false(listen_unix(path, &fd, &err));
    assert_int_equal(err.code, ERR_CONFIG);
}

static void
test_reach_finds_the_closed_folder(void **state)
{
    char folder[] = "/tmp/dormouse-reach-XXXXXX";
    char path[64];
    char barrier[64] = "";

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/data", folder);
    assert_true(folder_is_reachable(path, geteuid(), getegid(), barrier, sizeof barrier));
    assert_false(folder_is_reachable(path, geteuid() + 1, getegid() + 1, barrier, sizeof barrier));
    assert_int_equal(strncmp(barrier, folder, strlen(folder)), 0);
    assert_int_equal(chmod(folder, 0711), 0);
    assert_true(folder_is_reachable(path, geteuid() + 1, getegid() + 1, barrier, sizeof barrier));
    assert_int_equal(rmdir(folder), 0);
}

static void
test_folders_are_made_with_their_parents_and_locked_once(void **state)
{
    char folder[] = "/tmp/dormouse-make-XXXXXX";
    char path[64];
    char command[96];
    struct err err = { 0 };
    struct stat st;
    int first = -1;
    int second = -1;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/a/b/c", folder);
    assert_true(folder_make(path, geteuid(), getegid(), &err));
    assert_true(folder_make(path, geteuid(), getegid(), &err));
    assert_int_equal(sys_fstatat(AT_FDCWD, path, &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_true(folder_lock(path, &first, &err));
    assert_false(folder_lock(path, &second, &err));
    assert_int_equal(err.code, ERR_EXISTS);
    sys_close(first);
    assert_true(folder_lock(path, &second, &err));
    sys_close(second);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_zero_becomes_a_port),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_a_port_in_use_says_how_to_find_its_owner),
        cmocka_unit_test(test_a_dead_admin_socket_is_replaced_a_living_one_is_not),
        cmocka_unit_test(test_a_socket_path_that_is_too_long_is_named),
        cmocka_unit_test(test_reach_finds_the_closed_folder),
        cmocka_unit_test(test_folders_are_made_with_their_parents_and_locked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
