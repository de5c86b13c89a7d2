/* egress_policy_test — which addresses are public, and what the operator's list opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "src/egress/egress_limits.h"
#include "src/egress/egress_policy.h"

static const struct sockaddr *
address(const char *text, uint16_t port)
{
    static struct sockaddr_storage storage;
    struct sockaddr_in *in = (void *)&storage;
    struct sockaddr_in6 *in6 = (void *)&storage;

    memset(&storage, 0, sizeof storage);
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
    }
    return (const void *)&storage;
}

static void
special_addresses_are_not_public(void **state)
{
    static const struct { const char *text; const char *kind; } cases[] = {
        { "0.0.0.0", "unspecified" }, { "0.1.2.3", "unspecified" }, { "10.0.0.0", "private" }, { "10.255.255.255", "private" },
        { "100.64.0.0", "carrier-grade NAT" }, { "100.127.255.255", "carrier-grade NAT" }, { "127.0.0.1", "loopback" },
        { "127.255.255.254", "loopback" }, { "169.254.169.254", "link-local" }, { "172.16.0.1", "private" },
        { "172.31.255.255", "private" }, { "192.0.0.1", "protocol assignment" }, { "192.0.2.1", "documentation" },
        { "192.88.99.1", "6to4 relay" }, { "192.168.255.1", "private" }, { "198.18.0.1", "benchmark" }, { "198.19.255.1", "benchmark" },
        { "198.51.100.7", "documentation" }, { "203.0.113.9", "documentation" }, { "224.0.0.1", "multicast" },
        { "239.255.255.250", "multicast" }, { "240.0.0.1", "reserved" }, { "255.255.255.255", "reserved" },
        { "::", "unspecified" }, { "::1", "loopback" }, { "::2", "IPv4-compatible" }, { "::127.0.0.1", "IPv4-compatible" },
        { "::ffff:127.0.0.1", "IPv4-mapped" }, { "::ffff:8.8.8.8", "IPv4-mapped" }, { "64:ff9b::7f00:1", "NAT64" },
        { "64:ff9b:1::1", "NAT64" }, { "100::1", "reserved" }, { "2001::1", "Teredo" }, { "2001:20::1", "ORCHID" },
        { "2001:db8::1", "documentation" }, { "2001:2::1", "protocol assignment" }, { "2002:7f00:1::1", "6to4" },
        { "3fff::1", "documentation" }, { "4000::1", "reserved" }, { "fc00::1", "private" }, { "fdff::1", "private" },
        { "fe80::1", "link-local" }, { "febf::1", "link-local" }, { "fec0::1", "site-local" }, { "ff02::1", "multicast" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *kind = egress_address_kind(address(cases[i].text, 80));
        if (kind == NULL)
            fail_msg("%s is taken as public", cases[i].text);
        assert_string_equal(kind, cases[i].kind);
    }
}

static void
neighbours_of_special_ranges_are_public(void **state)
{
    static const char *const cases[] = {
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255",
        "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
        "198.20.0.0", "203.0.112.255", "223.255.255.255", "8.8.8.8", "2000::1", "2001:200::1", "2001:4860:4860::8888", "2001:db9::1",
        "2003::1", "2606:4700::1111", "3ffe::1", "3fff:1000::1",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (egress_address_kind(address(cases[i], 80)) != NULL)
            fail_msg("%s is taken as %s", cases[i], egress_address_kind(address(cases[i], 80)));
}

static bool
allows(const struct egress_policy *policy, const char *host, const char *text, uint16_t port)
{
    return egress_policy_allows(policy, bytes_of(host), address(text, port));
}

static void
without_a_list_only_the_public_is_open(void **state)
{
    struct egress_policy *policy = NULL;
    struct err err = { 0 };
    struct sockaddr_un local = { .sun_family = AF_UNIX };

    assert_true(egress_policy_create(&policy, false, NULL, 0, &err));
    assert_true(allows(policy, "example.com", "93.184.216.34", 443));
    assert_false(allows(policy, "example.com", "127.0.0.1", 443)); /* a name that points inside */
    assert_false(allows(policy, "localhost", "::1", 80));
    assert_false(egress_policy_allows(policy, BYTES_LIT("x"), (const void *)&local));
    egress_policy_destroy(&policy);
    assert_null(policy);
    assert_true(egress_policy_create(&policy, true, NULL, 0, &err));
    assert_true(allows(policy, "localhost", "127.0.0.1", 80));
    assert_true(allows(policy, "x", "169.254.169.254", 80));
    assert_false(egress_policy_allows(policy, BYTES_LIT("x"), (const void *)&local)); /* not the network, even so */
    egress_policy_destroy(&policy);
}

static void
the_list_opens_what_it_names(void **state)
{
    static const char *const list[] = {
        "127.0.0.1:9000", ".internal.example", "db.example:5432", "10.1.0.0/16", "[::1]:8080", "fd00::/8", "192.168.0.0/15:443",
    };
    struct egress_policy *policy = NULL;
    struct err err = { 0 };

    assert_true(egress_policy_create(&policy, false, list, ARRAY_LEN(list), &err));
    assert_true(allows(policy, "anything", "127.0.0.1", 9000));
    assert_false(allows(policy, "anything", "127.0.0.1", 9001));
    assert_false(allows(policy, "anything", "127.0.0.2", 9000));
    assert_true(allows(policy, "a.internal.example", "10.9.9.9", 1));
    assert_true(allows(policy, "A.B.Internal.Example", "10.9.9.9", 1));
    assert_false(allows(policy, "internal.example", "10.9.9.9", 1));
    assert_false(allows(policy, "notinternal.example", "10.9.9.9", 1));
    assert_false(allows(policy, "a.internal.example.evil", "10.9.9.9", 1));
    assert_true(allows(policy, "db.example", "10.9.9.9", 5432));
    assert_false(allows(policy, "db.example", "10.9.9.9", 22));
    assert_false(allows(policy, "xdb.example", "10.9.9.9", 5432));
    assert_true(allows(policy, "x", "10.1.255.255", 7));
    assert_false(allows(policy, "x", "10.2.0.0", 7));
    assert_true(allows(policy, "x", "::1", 8080));
    assert_false(allows(policy, "x", "::1", 80));
    assert_true(allows(policy, "x", "fd12::1", 80));
    assert_false(allows(policy, "x", "fc12::1", 80));
    assert_true(allows(policy, "x", "192.169.1.1", 443)); /* public anyway */
    assert_true(allows(policy, "x", "192.168.1.1", 443));
    assert_false(allows(policy, "x", "192.168.1.1", 80));
    assert_false(allows(policy, "x", "::ffff:10.1.0.1", 7)); /* an IPv4 range does not open its IPv6 form */
    egress_policy_destroy(&policy);
}

static void
entries_that_mean_nothing_are_refused(void **state)
{
    static const char *const bad[] = {
        "", ".", ":80", "host:", "host:0", "host:65536", "host:80x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::1/129", "[::1", "[::1]x",
        "http://host", "*.example.com", "a b", "user@host", "host/8", "[]:80",
    };
    struct egress_policy *policy = NULL;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };
        if (egress_policy_create(&policy, false, &bad[i], 1, &err))
            fail_msg("'%s' is accepted", bad[i]);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.message, "allow: '"));
        assert_null(policy);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_addresses_are_not_public),
        cmocka_unit_test(neighbours_of_special_ranges_are_public),
        cmocka_unit_test(without_a_list_only_the_public_is_open),
        cmocka_unit_test(the_list_opens_what_it_names),
        cmocka_unit_test(entries_that_mean_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
