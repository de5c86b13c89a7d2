# The only user of SQLite. The amalgamation is npm better-sqlite3's, patched (sqlite.patch says why) and compiled once for all flavours.
uses   := lib/sys lib/base
libs   := -lm -llz4
cflags := -isystem $(NPM)/better-sqlite3/deps/sqlite3
extra  := $(ENGINE)/sqlite3.o

.DEFAULT_GOAL := all

# As workerd builds it (FTS5 … PRINTF_PRECISION_LIMIT), then for one thread, one owner per database and little memory per database.
# OS_OTHER leaves SQLite's own system layer out: nothing can reach the kernel but through lib/sys.
SQLITE_FLAGS := -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_UPDATE_DELETE_LIMIT \
    -DSQLITE_DEFAULT_FOREIGN_KEYS=1 -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_MAX_ALLOCATION_SIZE=16777216 \
    -DSQLITE_PRINTF_PRECISION_LIMIT=100000 \
    -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_STMTJRNL_SPILL=-1 -DSQLITE_USE_URI=0 -DSQLITE_OMIT_LOAD_EXTENSION \
    -DSQLITE_DEFAULT_LOCKING_MODE=1 -DSQLITE_DEFAULT_SYNCHRONOUS=2 -DSQLITE_DEFAULT_WAL_SYNCHRONOUS=2 \
    -DSQLITE_DEFAULT_CACHE_SIZE=-512 -DSQLITE_DEFAULT_PCACHE_INITSZ=0 -DSQLITE_DEFAULT_LOOKASIDE=0,0 -DHASHTABLE_NPAGE=512 \
    -DSQLITE_MAX_MMAP_SIZE=0 -DSQLITE_MAX_PAGE_COUNT=2621440 -DSQLITE_DEFAULT_JOURNAL_SIZE_LIMIT=1048576 -DSQLITE_MAX_WORKER_THREADS=0

# Built beside its name and moved, because several makes may share this folder.
$(ENGINE)/sqlite3.o: lib/store/room.mk lib/store/sqlite.patch $(NPM)/better-sqlite3/deps/sqlite3/sqlite3.c
	@mkdir -p $(@D) && rm -rf $@.$$$$ && mkdir $@.$$$$ && echo "  CC sqlite3.c" && \
	cp $(NPM)/better-sqlite3/deps/sqlite3/sqlite3.c $@.$$$$/ && patch -s -p1 -d $@.$$$$ < lib/store/sqlite.patch && \
	$(CC) -std=gnu17 -O2 -g -fPIE -w $(SQLITE_FLAGS) -c $@.$$$$/sqlite3.c -o $@.$$$$/sqlite3.o && \
	mv $@.$$$$/sqlite3.o $@ && rm -rf $@.$$$$
