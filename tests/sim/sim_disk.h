/*
 * sim_disk — what is shared by the calls to the disk (sim_disk.c) and by what happens to it (sim_disk_cut.c).
 */
#ifndef DORMOUSE_SIM_DISK_H
#define DORMOUSE_SIM_DISK_H

#include "tests/sim/sim.h"

#define SECTOR    512
#define FD_FIRST  1000
#define FDS_MAX   4096
#define NAME_SIZE 96

enum sector_state { CLEAN, DIRTY, LOST };          /* LOST: dirty, but the kernel believes that it is not */

struct inode;
struct entry {
    char          name[NAME_SIZE];
    struct inode *inode;
};
struct entries {
    struct entry *at;
    size_t        count, cap;
};
enum change_kind { CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };
struct change {                                    /* of a folder, not durable yet */
    enum change_kind kind;
    uint64_t         when;
    char             name[NAME_SIZE], to[NAME_SIZE];
    struct inode    *inode;
};
struct inode {
    bool            is_folder;
    uint64_t        number;
    struct entries  names, disk_names;             /* folders */
    struct change  *changes;
    size_t          changes_count, changes_cap;
    uint8_t        *cache, *disk;                  /* files */
    size_t          size, disk_size, cap;
    uint8_t        *state;                         /* enum sector_state each */
    uint64_t       *when;                          /* dirty since */
    int             lock_fd;                       /* 0: nobody has it */
    struct inode   *next;
};
struct file {
    struct inode *inode;                           /* NULL: closed */
    const void   *owner;
    size_t        at;                              /* for write() */
    bool          is_segment, is_database;
};

extern struct inode *inodes;                       /* all there ever were */
extern uint64_t clock_writes;                      /* counts what is written */

void sector_flush(struct inode *inode, size_t s);
void file_sync(struct inode *inode);
void file_sync_badly(struct inode *inode, uint64_t until);
void entry_put(struct entries *names, const char *name, struct inode *inode);
void change_apply(struct entries *names, const struct change *change);
void folder_sync(struct inode *folder, uint64_t until);

#endif
