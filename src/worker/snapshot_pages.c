/* snapshot_pages — see snapshot_pages.h. A pack: header, what its pages are known by, page sets (lib/store/store_pages.h). */
#include "src/worker/snapshot_pages.h"

#include <assert.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc32c.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/worker_limits.h"

#define PACK_MAGIC   0x4b434150534d5244ull     /* "DRMSPACK" */
#define PACK_VERSION 1
#define HASH_BYTES   16                        /* of SHA-256: nobody finds two pages with the same by trying */

struct pack_header {
    uint64_t magic;
    uint32_t version;
    uint32_t head_check;               /* of what follows it, marks included */
    uint32_t sets_check;
    uint32_t count;                    /* of pages */
    uint64_t sets_bytes;
    uint8_t  id[SNAPSHOT_ID_BYTES], agent[32];
};

struct mark {                          /* of a page in a pack, in the order of the sets */
    uint32_t number;
    uint8_t  hash[HASH_BYTES];
};

struct snapshot_known {
    uint32_t pages_max;                /* numbers up to here have a place */
    uint64_t stored;                   /* pages in all packs, those that later ones replace too */
    uint8_t (*hash)[HASH_BYTES];       /* by number less 1; all zero: no pack has it */
};

static_assert(sizeof(struct pack_header) == 32 + SNAPSHOT_ID_BYTES + 32, "packs are written as they are");
static_assert(sizeof(struct mark) == 20, "marks are written as they are");

void
snapshot_known_free(struct snapshot_known **known)
{
    struct snapshot_known *k = STEAL(*known);

    if (k != NULL)
        free(k->hash);
    free(k);
}

static void
hash_page(const uint8_t *page, uint8_t out[HASH_BYTES])
{
    static EVP_MD *md;
    uint8_t whole[EVP_MAX_MD_SIZE];
    unsigned len;
    int ok;

    if (md == NULL)
        md = EVP_MD_fetch(NULL, "SHA256", NULL);       /* else each call looks it up */
    ok = md != NULL && EVP_Digest(page, STORE_PAGE_BYTES, whole, &len, md, NULL);
    assert(ok);                        /* memory and arithmetic */
    memcpy(out, whole, HASH_BYTES);
}

/* ---- reading ---- */

static bool
damaged(struct err *err, const char *why)
{
    return err_set(err, ERR_CORRUPT, 0, "the snapshot is damaged (its pages: %s)", why);
}

static uint32_t
head_check(const struct pack_header *h, const uint8_t *marks)
{
    const size_t from = offsetof(struct pack_header, sets_check);

    return crc32c(crc32c(0, (const uint8_t *)h + from, sizeof *h - from), marks, (size_t)h->count * sizeof(struct mark));
}

static int
pack_open(const struct snapshot_place *place, const struct snapshot_id *id, struct err *err)
{
    char path[4096 + SNAPSHOT_ID_HEX + 16], hex[SNAPSHOT_ID_HEX + 1];
    int fd;

    snapshot_id_to_hex(id, hex);
    (void)snprintf(path, sizeof path, "%s/%s" SNAPSHOT_PACK_SUFFIX, place->folder, hex);
    fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        (void)damaged(err, "some are missing");
    return fd;
}

/* The header and, in MARKS, what follows it. */
static bool
pack_head_read(int fd, const struct snapshot_place *place, const struct snapshot_id *id, struct pack_header *h, struct buf *marks, struct err *err)
{
    size_t len;

    if (sys_pread(fd, h, sizeof *h, 0) != (ssize_t)sizeof *h || h->magic != PACK_MAGIC)
        return damaged(err, "cut short");
    if (h->version != PACK_VERSION)
        return err_set(err, ERR_VERSION, 0, "the snapshot's pages are of version %u, this Dormouse reads version %u", h->version, PACK_VERSION);
    if (h->count > RESTORE_BYTES_MAX / STORE_PAGE_BYTES || h->sets_bytes > SNAPSHOT_FILE_BYTES_MAX)
        return damaged(err, "impossible sizes");
    len = (size_t)h->count * sizeof(struct mark);
    buf_clear(marks);
    buf_reserve(marks, len);
    if (sys_pread(fd, marks->data, len, sizeof *h) != (ssize_t)len)
        return damaged(err, "cut short");
    marks->len = len;
    if (head_check(h, marks->data) != h->head_check)
        return damaged(err, "wrong checksum");
    if (memcmp(h->id, id->bytes, sizeof h->id) != 0 || memcmp(h->agent, place->agent.bytes, sizeof h->agent) != 0)
        return damaged(err, "another snapshot's");
    return true;
}

static void
known_put(struct snapshot_known *k, const struct mark *m)
{
    if (m->number == 0 || m->number > RESTORE_BYTES_MAX / STORE_PAGE_BYTES)
        return;                        /* a page that no database has: to be overlooked */
    if (m->number > k->pages_max) {
        const uint32_t more = m->number + 256;

        k->hash = realloc(k->hash, (size_t)more * sizeof *k->hash);
        assert(k->hash != NULL);
        memset(k->hash + k->pages_max, 0, (size_t)(more - k->pages_max) * sizeof *k->hash);
        k->pages_max = more;
    }
    memcpy(k->hash[m->number - 1], m->hash, HASH_BYTES);
}

bool
snapshot_known_read(struct snapshot_known **out, const struct snapshot_place *place, const struct snapshot_chain *chain, struct err *err)
{
    struct snapshot_known *k = calloc(1, sizeof *k);
    struct buf marks = { 0 };
    bool ok = true;

    assert(k != NULL);
    for (size_t i = 0; ok && i < chain->count; i++) {
        int fd = pack_open(place, &chain->packs[i], err);
        struct pack_header h;

        ok = fd >= 0 && pack_head_read(fd, place, &chain->packs[i], &h, &marks, err);
        (void)sys_close(fd);
        for (size_t at = 0; ok && at < marks.len; at += sizeof(struct mark)) {
            struct mark m;

            memcpy(&m, marks.data + at, sizeof m);
            known_put(k, &m);
            k->stored++;
        }
    }
    buf_fini(&marks);
    if (!ok)
        snapshot_known_free(&k);
    *out = k;
    return ok;
}

static bool
sets_read(int fd, const struct pack_header *h, size_t at, struct buf *out, struct err *err)
{
    const size_t len = (size_t)h->sets_bytes;

    buf_reserve(out, len);
    if (sys_pread(fd, out->data + out->len, len, (off_t)at) != (ssize_t)len)
        return damaged(err, "cut short");
    if (crc32c(0, out->data + out->len, len) != h->sets_check)
        return damaged(err, "wrong checksum");
    out->len += len;
    return true;
}

bool
snapshot_pages_read(struct buf *out, const struct snapshot_place *place, const struct snapshot_chain *chain, struct err *err)
{
    struct buf marks = { 0 };
    bool ok = true;

    for (size_t i = 0; ok && i < chain->count; i++) {
        int fd = pack_open(place, &chain->packs[i], err);
        struct pack_header h;

        ok = fd >= 0 && pack_head_read(fd, place, &chain->packs[i], &h, &marks, err) && sets_read(fd, &h, sizeof h + marks.len, out, err);
        (void)sys_close(fd);
    }
    buf_fini(&marks);
    return ok;
}

/* ---- making ---- */

struct taking {
    const struct snapshot_known *known;        /* NULL: all pages are wanted */
    uint32_t                     count;
    struct buf                   marks, sets;
};

static bool
is_wanted(void *owner, uint32_t number, const uint8_t *page)
{
    struct taking *t = owner;
    struct mark m = { .number = number };

    hash_page(page, m.hash);
    if (t->known != NULL && number <= t->known->pages_max && memcmp(t->known->hash[number - 1], m.hash, HASH_BYTES) == 0)
        return false;
    buf_append(&t->marks, &m, sizeof m);
    t->count++;
    return true;
}

static void
take_set(void *owner, struct bytes set, bool more)
{
    struct taking *t = owner;

    buf_append_bytes(&t->sets, set);
}

static void
pack_build(struct buf *out, const struct taking *t, const struct snapshot_id *id, const struct agent_id *agent)
{
    struct pack_header h = { .magic = PACK_MAGIC, .version = PACK_VERSION, .count = t->count, .sets_bytes = t->sets.len };

    memcpy(h.id, id->bytes, sizeof h.id);
    memcpy(h.agent, agent->bytes, sizeof h.agent);
    h.sets_check = crc32c(0, t->sets.data, t->sets.len);
    h.head_check = head_check(&h, t->marks.data);
    buf_reserve(out, sizeof h + t->marks.len + t->sets.len);
    buf_append(out, &h, sizeof h);
    buf_append_bytes(out, buf_view(&t->marks));
    buf_append_bytes(out, buf_view(&t->sets));
}

/* Whether a restore may have to read twice the database, or too many files: then the next chain begins. */
static bool
is_too_long(const struct snapshot_chain *chain, const struct snapshot_known *known, uint64_t more, uint64_t size_pages)
{
    return chain->count >= SNAPSHOT_PACKS_MAX || known->stored + more > 2 * size_pages;
}

bool
snapshot_pages_take(struct store *store, const struct snapshot_id *id, const struct agent_id *agent, const struct snapshot_known *known,
                    struct snapshot_chain *chain, struct buf *out_pack, struct err *err)
{
    const uint64_t size_pages = (uint64_t)store_image_bytes(store) / STORE_PAGE_BYTES;
    struct taking t = { .known = known != NULL && !is_too_long(chain, known, 0, size_pages) ? known : NULL };
    bool ok = store_image_part(store, is_wanted, take_set, &t, err);

    if (ok && t.known != NULL && is_too_long(chain, known, t.count, size_pages)) {
        t.known = NULL;
        t.count = 0;
        buf_clear(&t.marks);
        buf_clear(&t.sets);
        ok = store_image_part(store, is_wanted, take_set, &t, err);
    }
    if (ok && t.known == NULL)
        chain->count = 0;
    if (ok && t.count > 0) {
        pack_build(out_pack, &t, id, agent);
        chain->packs[chain->count++] = *id;
    }
    buf_fini(&t.marks);
    buf_fini(&t.sets);
    return ok;
}
