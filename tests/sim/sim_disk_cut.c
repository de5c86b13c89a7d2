/*
 * sim_disk_cut — what happens to the disk without a program asking for it: writeback, the end of a syncfs(), a power cut.
 */
#include <string.h>

#include "tests/sim/sim_disk.h"

uint64_t
disk_now(void)
{
    return clock_writes;
}

void
disk_syncfs_end(uint64_t begun, bool is_ok)
{
    for (struct inode *inode = inodes; inode != NULL; inode = inode->next) {
        if (inode->is_folder)
            folder_sync(inode, begun);
        else if (!is_ok)
            file_sync_badly(inode, begun);
        else {
            for (size_t s = 0; s < inode->cap / SECTOR; s++)
                if (inode->state[s] == DIRTY && inode->when[s] <= begun)
                    sector_flush(inode, s);
            inode->disk_size = inode->size;
        }
    }
}

void
disk_writeback(void)
{
    for (struct inode *inode = inodes; inode != NULL; inode = inode->next) {
        if (sim_below(2) == 0)
            continue;
        if (inode->is_folder && inode->changes_count > 0)
            folder_sync(inode, inode->changes[sim_below((uint32_t)inode->changes_count)].when);
        for (size_t s = 0; s < inode->cap / SECTOR; s++)
            if (inode->state[s] == DIRTY && sim_below(2) == 0)
                sector_flush(inode, s);
        if (!inode->is_folder && sim_below(2) == 0)
            inode->disk_size = inode->size;
    }
}

/* KEPT of 16 sectors that are not synced reach the disk. Returns how many did not. */
static size_t
file_cut(struct inode *inode, uint32_t kept)
{
    size_t lost = 0;

    for (size_t s = 0; s < inode->cap / SECTOR; s++) {
        if (inode->state[s] == CLEAN)
            continue;
        if (inode->state[s] == DIRTY && sim_below(16) < kept) {
            sector_flush(inode, s);
            continue;
        }
        if (inode->state[s] == DIRTY && sim_below(8) == 0)     /* torn */
            memcpy(inode->disk + s * SECTOR, inode->cache + s * SECTOR, sim_below(SECTOR));
        lost++;
    }
    if (inode->size != inode->disk_size && sim_below(2) == 0)
        inode->disk_size = inode->size;
    memset(inode->disk + inode->disk_size, 0, inode->cap - inode->disk_size);
    if (inode->cap > 0)
        memcpy(inode->cache, inode->disk, inode->cap);
    inode->size = inode->disk_size;
    if (inode->cap > 0)
        memset(inode->state, CLEAN, inode->cap / SECTOR);
    return lost;
}

static void
names_copy(struct entries *to, const struct entries *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        entry_put(to, from->at[i].name, from->at[i].inode);
}

static void
folder_cut(struct inode *folder, uint32_t kept)
{
    bool is_over = false;

    for (size_t i = 0; i < folder->changes_count; i++) {
        bool is_kept = !is_over && sim_below(16) < kept;

        if (is_kept)
            change_apply(&folder->disk_names, &folder->changes[i]);
        else
            sim_saw(SAW_NAME_LOST);
        is_over = plan.names_in_order && !is_kept;
    }
    folder->changes_count = 0;
    names_copy(&folder->names, &folder->disk_names);
    for (size_t i = 0; i < folder->names.count; i++) {
        struct entry *entry = &folder->names.at[i];
        const size_t len = strlen(entry->name);

        if (entry->inode->is_folder || entry->inode->cap == 0)
            continue;
        if (file_cut(entry->inode, kept) == 0)
            continue;
        if (len > 4 && strcmp(entry->name + len - 4, ".seg") == 0)
            sim_saw(SAW_TORN_TAIL);
        else if (strcmp(entry->name, "db.sqlite") == 0)
            sim_saw(SAW_TORN_DATABASE);
    }
}

void
disk_power_cut(void)
{
    static const uint32_t kept[] = { 8, 1, 15, 0 };
    const uint32_t how = kept[sim_below(ARRAY_LEN(kept))];

    for (struct inode *inode = inodes; inode != NULL; inode = inode->next)
        if (inode->is_folder)
            folder_cut(inode, how);
}
