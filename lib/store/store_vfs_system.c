/* store_vfs_system — what SQLite asks of the system besides files: whole paths, chance, time. Both VFSes have the same. */
#include <string.h>

#include "lib/store/store_file.h"
#include "lib/sys/sys.h"

int
vfs_full_path(sqlite3_vfs *vfs, const char *name, int out_bytes, char *out_path)
{
    size_t len = strlen(name);

    if (len + 1 > (size_t)out_bytes)
        return SQLITE_CANTOPEN;
    memcpy(out_path, name, len + 1);
    return SQLITE_OK;
}

int
vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
    rng_bytes(out, (size_t)len);
    return len;
}

int
vfs_sleep(sqlite3_vfs *vfs, int us)
{
    return 0;                              /* no busy handler is set: nobody to wait for */
}

/* Julian day in ms; 1970-01-01 is day 2440587.5. */
int
vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out_ms)
{
    *out_ms = clock_wall_ms() + 210866760000000LL;
    return SQLITE_OK;
}

int
vfs_time(sqlite3_vfs *vfs, double *out_days)
{
    sqlite3_int64 ms;

    (void)vfs_time_ms(vfs, &ms);           /* cannot fail */
    *out_days = (double)ms / 86400000.0;
    return SQLITE_OK;
}

int
vfs_get_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    return 0;                              /* errno is kept per database: vfs_last_errno() */
}
