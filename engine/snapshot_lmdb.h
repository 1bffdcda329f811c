/*
 * What one commit of the index is: its pages, its tables, and which pages are free. Made once for
 * each commit, by whoever needs it first, and shared by the threads that read it. It also keeps
 * what the two pages say on which all else hangs, the meta page and that of the tables, so that
 * those are written anew when they have rotted under an open index.
 */
#ifndef GT_ENGINE_SNAPSHOT_LMDB_H
#define GT_ENGINE_SNAPSHOT_LMDB_H

#include <pthread.h>

#include "engine/index.h"
#include "engine/btree.h"

extern const char *const index_table_names[INDEX_TABLES];

/* Whether an entry of this table is what it should be; NULL: nothing can be said (btree.h). */
btree_sound_fn *index_sound(enum index_table table);

struct snapshot {
    unsigned references;
    struct btree pages;
    struct btree_root tables[INDEX_TABLES];
    uint8_t meta[BTREE_META_BYTES];
    uint8_t *table_page; /* a copy; NULL when there is more than one */
};

struct snapshots {
    pthread_mutex_t lock;
    const uint8_t *map;
    int file;
    struct log *log;
    struct snapshot *newest; /* may be NULL */
};

/* Has the system read these pages of the map while the caller goes on. */
void snapshot_ahead(const struct btree *s, uint64_t first, uint64_t count);
/* The same for some that lie about a place in the map: a cold file gets warm by what is asked for.
 */
void snapshot_around(const struct btree *s, const uint8_t *at);

/* `map` is that of the file, which stays open; both are borrowed. */
void snapshots_init(struct snapshots *all, const uint8_t *map, int file, struct log *log);
void snapshots_close(struct snapshots *all);
/* That of a commit that cannot change while it is used: one reference. 0; GT_ECORRUPT: what the
 * index says of it is damaged (logged); GT_ENOMEM, GT_EIO. */
int snapshots_take(struct snapshots *all, uint64_t commit, struct snapshot **out);
void snapshots_give(struct snapshots *all, struct snapshot *s);
/* Before a write after this commit, with nobody else writing: the two pages are what they were, or
 * are written anew (*mended: from now on), and so are the free pages. 0, GT_ECORRUPT, GT_EIO,
 * GT_ENOMEM. */
int snapshots_mend(struct snapshots *all, const struct snapshot *s, bool *mended);
/* The same for the newest that is known, when no write can begin. Its page is not the one that
 * another writer may be writing: that one began upon a newer commit, and that would be known. */
int snapshots_mend_newest(struct snapshots *all, bool *mended);

/*
 * Before LMDB opens the file: one of its two metas is bad. A bad one is written anew as the other
 * says, one commit older; was it the newer (*mended, also when that cannot be told), then the last
 * commit is lost, and what the log still has of it is replayed. 0, also without a file;
 * GT_ECORRUPT: neither is good; GT_EFORMAT, GT_EIO, GT_ENOMEM, GT_EDESCRIPTORS.
 */
int snapshot_mend_file(const char *path, struct log *log, bool *mended);
/* Where in the file the value of this table's name lies: LMDB tells where in memory. */
int snapshot_table_place(const char *path, enum index_table table, uint64_t *offset);

#endif
