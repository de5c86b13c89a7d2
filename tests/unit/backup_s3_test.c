/*
 * backup_s3_test — requests to a store as they leave: their signatures against the ones that Amazon published ("Signature Version 4 test suite", and
 * "Authenticating Requests: Using the Authorization Header" for S3), credentials, names in URLs, pages of listings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/backup/backup_s3.h"

#define HEAD_BYTES_MAX 8192

static CURL *curl;

static int
setup(void **state)
{
    curl = curl_easy_init();
    return curl == NULL;
}

static int
teardown(void **state)
{
    curl_easy_cleanup(curl);
    return 0;
}

/* ---- a server for one request -------------------------------------------------------------------------------------------- */

struct server {
    int   port;
    int   said;                            /* the head that it got comes here */
    pid_t pid;
};

static void
serve_one(int listener, int tell, const char *answer)
{
    int fd = accept(listener, NULL, NULL);
    char head[HEAD_BYTES_MAX + 1] = "";
    size_t len = 0;

    alarm(20);                             /* a hang fails the test */
    while (fd >= 0 && len < HEAD_BYTES_MAX && strstr(head, "\r\n\r\n") == NULL) {
        const ssize_t got = read(fd, head + len, HEAD_BYTES_MAX - len);

        if (got <= 0)
            break;
        len += (size_t)got;
        head[len] = '\0';
    }
    if (write(fd, answer, strlen(answer)) < 0 || write(tell, head, len) < 0)
        _exit(1);
    _exit(0);
}

static void
server_start(struct server *server, const char *answer)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t address_len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int tell[2];

    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &address_len), 0);
    assert_int_equal(pipe(tell), 0);
    server->port = ntohs(address.sin_port);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0)
        serve_one(listener, tell[1], answer);
    close(listener);
    close(tell[1]);
    server->said = tell[0];
}

/* The head of the request; the caller frees. */
static char *
server_end(struct server *server)
{
    char *head = calloc(1, HEAD_BYTES_MAX + 1);
    size_t len = 0;
    ssize_t got;
    int status;

    assert_non_null(head);
    while ((got = read(server->said, head + len, HEAD_BYTES_MAX - len)) > 0)
        len += (size_t)got;
    close(server->said);
    assert_int_equal(waitpid(server->pid, &status, 0), server->pid);
    assert_int_equal(status, 0);
    return head;
}

/* ---- signatures ------------------------------------------------------------------------------------------------------------ */

struct vector {
    const char *host, *path, *service, *range, *signature;
};

static void
assert_signed(const struct vector *vector)
{
    static char s3_id[] = "AKIAIOSFODNN7EXAMPLE", s3_secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    static char suite_id[] = "AKIDEXAMPLE", suite_secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const bool is_s3 = strcmp(vector->service, "s3") == 0;
    const struct s3_keys keys = { is_s3 ? s3_id : suite_id, is_s3 ? s3_secret : suite_secret, NULL };
    char url[256], connect_to[128], wanted[128];
    struct s3_request request = { .method = "GET", .url = url, .region = "us-east-1", .service = vector->service, .range = vector->range,
                                  .date = is_s3 ? "20130524T000000Z" : "20150830T123600Z", .connect_to = connect_to, .bytes_max = 100 };
    struct server server;
    struct s3_answer answer;
    struct err err = { 0 };
    char *head;

    server_start(&server, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine");
    (void)snprintf(url, sizeof url, "http://%s%s", vector->host, vector->path);
    (void)snprintf(connect_to, sizeof connect_to, "%s:80:127.0.0.1:%d", vector->host, server.port);
    assert_true(s3_ask(curl, &keys, &request, &answer, &err));
    head = server_end(&server);
    assert_int_equal(answer.status, 200);
    assert_false(answer.is_broken);
    assert_true(bytes_equal_str(buf_view(&answer.body), "fine"));
    (void)snprintf(wanted, sizeof wanted, "Signature=%s\r\n", vector->signature);
    if (strstr(head, wanted) == NULL)
        fail_msg("%s%s: signed otherwise:\n%s", vector->host, vector->path, head);
    s3_answer_fini(&answer);
    free(head);
}

static void
signatures_are_those_that_amazon_published(void **state)
{
    static const struct vector vectors[] = {
        { "examplebucket.s3.amazonaws.com", "/test.txt", "s3", "bytes=0-9", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
        { "examplebucket.s3.amazonaws.com", "/?lifecycle=", "s3", NULL, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
        { "examplebucket.s3.amazonaws.com", "/?max-keys=2&prefix=J", "s3", NULL, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
        { "example.amazonaws.com", "/", "service", NULL, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "example.amazonaws.com", "/?Param1=value1&Param2=value2", "service", NULL, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
        { "example.amazonaws.com", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "service", NULL,
          "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
    };

    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        assert_signed(&vectors[i]);
}

static void
what_goes_wrong_is_told_apart(void **state)
{
    static char id[] = "i", secret[] = "s";
    const struct s3_keys keys = { id, secret, NULL };
    static const struct { const char *answer; bool is_broken, is_too_large; long status; } cases[] = {
        { "HTTP/1.1 503 Slow Down\r\ncontent-length: 2\r\n\r\nno", false, false, 503 },
        { "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf", true, false, 200 },
        { "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nmore than was wanted", false, true, 200 },
        { "nonsense\r\n\r\n", true, false, 0 },
    };
    struct err err = { 0 };
    struct s3_answer answer;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char url[64];
        struct s3_request request = { .method = "GET", .url = url, .region = "r", .service = "s3", .bytes_max = 10 };
        struct server server;

        server_start(&server, cases[i].answer);
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/b/k", server.port);
        assert_true(s3_ask(curl, &keys, &request, &answer, &err));
        assert_int_equal(answer.is_broken, cases[i].is_broken);
        assert_int_equal(answer.is_too_large, cases[i].is_too_large);
        assert_int_equal(answer.status, cases[i].status);
        s3_answer_fini(&answer);
        free(server_end(&server));
    }
    assert_false(s3_ask(curl, &keys, &(struct s3_request){ .method = "GET", .url = "file:///etc/passwd", .region = "r", .service = "s3" }, &answer, &err));
    assert_int_equal(err.code, ERR_USAGE);
}

/* ---- credentials ------------------------------------------------------------------------------------------------------------- */

static void
credentials_come_from_the_environment_or_a_file(void **state)
{
    char path[] = "/tmp/dormouse-backup-keys-XXXXXX";
    static const char text[] = "# mine\n[default]\naws_access_key_id=one\naws_secret_access_key = two\n\n[work]\n aws_access_key_id = three \r\n"
                               "aws_secret_access_key=a=b c\naws_session_token=four\naws_access_key_identity = no\n";
    const int fd = mkstemp(path);
    struct s3_keys keys;
    struct err err = { 0 };

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    unsetenv("AWS_PROFILE");
    setenv("AWS_ACCESS_KEY_ID", "e1", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "e2", 1);
    assert_true(s3_keys_read(&keys, NULL, &err));
    assert_string_equal(keys.id, "e1");
    assert_string_equal(keys.secret, "e2");
    assert_null(keys.token);
    s3_keys_fini(&keys);
    assert_true(s3_keys_read(&keys, path, &err));      /* a file that was named comes first */
    assert_string_equal(keys.id, "one");
    assert_string_equal(keys.secret, "two");
    assert_null(keys.token);
    s3_keys_fini(&keys);
    setenv("AWS_PROFILE", "work", 1);
    assert_true(s3_keys_read(&keys, path, &err));
    assert_string_equal(keys.id, "three");
    assert_string_equal(keys.secret, "a=b c");
    assert_string_equal(keys.token, "four");
    s3_keys_fini(&keys);
    setenv("AWS_PROFILE", "absent", 1);
    assert_false(s3_keys_read(&keys, path, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, "[absent]"));
    unlink(path);
}

/* ---- names and pages -------------------------------------------------------------------------------------------------------------- */

static void
names_are_encoded_as_signatures_want_them(void **state)
{
    struct buf out = { 0 };

    s3_encode(&out, "a b/c+d&e=\xc3\xa4~._-9", S3_KEEP_SLASH);
    assert_true(bytes_equal_str(buf_view(&out), "a%20b/c%2Bd%26e%3D%C3%A4~._-9"));
    buf_clear(&out);
    s3_encode(&out, "a/b", S3_ENCODE_SLASH);
    assert_true(bytes_equal_str(buf_view(&out), "a%2Fb"));
    buf_fini(&out);
}

static char seen[256];

static void
on_object(void *owner, const char *key, uint64_t bytes)
{
    const size_t len = strlen(seen);

    (void)snprintf(seen + len, sizeof seen - len, "%s:%llu;", key, (unsigned long long)bytes);
}

static bool
page(const char *xml, char **out_next)
{
    struct err err = { 0 };

    seen[0] = '\0';
    return s3_page_read(bytes_of(xml), on_object, NULL, out_next, &err);
}

static void
pages_of_listings_are_read(void **state)
{
    char *next;

    assert_true(page("<?xml?><ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated><Contents><Key>a&amp;b/c</Key><Size>5</Size></Contents>"
                     "<Contents><Size>6</Size><Key>d</Key></Contents><NextContinuationToken>1&lt;2==</NextContinuationToken></ListBucketResult>", &next));
    assert_string_equal(seen, "a&b/c:5;d:6;");
    assert_string_equal(next, "1<2==");
    free(next);
    assert_true(page("<ListBucketResult><Contents><Key>&#x01;&#228;&#x65E5;&#x1f400;&#65;</Key><Size>1</Size></Contents>"
                     "<Contents><Key>&#0;&#x110000;&#;&#xG;&#A;&#99999999999;&#1&amp;#65;</Key><Size>2</Size></Contents></ListBucketResult>", &next));
    assert_string_equal(seen, "\x01\xc3\xa4\xe6\x97\xa5\xf0\x9f\x90\x80" "A:1;&#0;&#x110000;&#;&#xG;&#A;&#99999999999;&#1&#65;:2;");
    assert_true(page("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", &next));
    assert_string_equal(seen, "");
    assert_null(next);
    assert_true(page("<ListBucketResult><Contents><Key>cut off</Ke", &next));
    assert_string_equal(seen, "");
    assert_false(page("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", &next));
    assert_false(page("<html>hello</html>", &next));
    assert_false(page("", &next));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signatures_are_those_that_amazon_published, setup, teardown),
        cmocka_unit_test_setup_teardown(what_goes_wrong_is_told_apart, setup, teardown),
        cmocka_unit_test(credentials_come_from_the_environment_or_a_file),
        cmocka_unit_test(names_are_encoded_as_signatures_want_them),
        cmocka_unit_test(pages_of_listings_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
