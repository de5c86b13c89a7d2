/* The template of a bundle that does nothing, for fuzzers of what lies in heaps. */
#ifndef DORMOUSE_TESTS_FUZZ_TEMPLATE_H
#define DORMOUSE_TESTS_FUZZ_TEMPLATE_H

#include <assert.h>
#include <sys/mman.h>

#include "lib/sys/sys.h"
#include "src/worker/heap_internal.h"

/* RUNTIME must be static: the template refers to it. */
static struct template *
fuzz_template(struct bytes runtime)
{
    struct template_source source = { runtime, BYTES_LIT("export default 1;"), BYTES_LIT("fuzz") };
    struct template_error error = { 0 };
    struct template *t = NULL;
    struct err err = { 0 };
    int fd = memfd_create("template", MFD_CLOEXEC);
    bool ok;

    engine_init();
    ok = template_build(fd, &source, &error, &err) && template_open(&t, fd, runtime, &err);
    assert(ok);
    (void)sys_close(fd);
    return t;
}

#endif
