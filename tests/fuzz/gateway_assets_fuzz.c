/*
 * gateway_assets_fuzz — hostile paths and rules: a path never leaves the folder, what is served exists, a redirect of
 * ours stays on this host. The input is "RULES 0xFE PATH"; its first byte chooses the handling.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/gateway/asset_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Any file exists whose name has an even sum of bytes: both answers are common. */
static bool
exists(void *files, const char *file)
{
    unsigned sum = 0;

    assert(file[0] != 0 && file[0] != '/');
    assert(strstr(file, "/../") == NULL && strncmp(file, "../", 3) != 0 && strcmp(file, "..") != 0);
    assert(strlen(file) < ASSET_PATH_BYTES_MAX + 16);
    for (; *file != 0; file++)
        sum += (uint8_t)*file;
    return sum % 2 == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *middle = len > 1 ? memchr(data + 1, 0xfe, len - 1) : NULL;
    struct asset_config c;
    struct asset_answer a = { 0 };
    struct bytes rules, path;

    if (middle == NULL)
        return 0;
    rules = bytes_from(data + 1, (size_t)(middle - data - 1));
    path = bytes_from(middle + 1, len - (size_t)(middle + 1 - data));
    asset_config_init(&c);
    c.html = (enum html_handling)(data[0] % 4);
    c.not_found = (enum not_found)(data[0] / 4 % 3);
    asset_redirects_parse(&c, rules);
    asset_headers_parse(&c, rules);
    switch (asset_decide(&c, path, data[0] / 16 % 2 != 0, exists, NULL, &a)) {
    case ASSET_NONE:
        break;
    case ASSET_FILE:
        assert(exists(NULL, a.file) && !asset_is_hidden(a.file));
        break;
    case ASSET_REDIRECT:
        assert(a.location.len > 0);
        assert(a.location.data[0] == '/' || c.redirect_count > 0);
        assert(a.location.len < 2 || a.location.data[0] != '/' || a.location.data[1] != '/');
        break;
    }
    for (size_t i = 0; i < c.header_rule_count; i++)
        (void)asset_pattern_match(c.header_rules[i].pattern, path, NULL, NULL); /* must only not crash, and end */
    buf_fini(&a.location);
    asset_config_fini(&c);
    return 0;
}
