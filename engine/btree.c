#include "engine/btree.h"

#include <stdlib.h>

#include "engine/base/error.h"
#include "engine/base/mutant.h"

#define META_MAGIC      0xbeefc0deu
#define META_VERSION    1u
#define HEAD_BYTES      16u
#define NODE_BYTES      8u
#define PAGE_BYTES_MIN  512u
#define PAGE_BYTES_MAX  32768u
#define FIRST_PAGE      2u
#define NO_ROOT         UINT64_MAX
#define TABLE_NAMES_MAX 64u
#define TREE_NUMBERS    8u
#define TREE_NAMED      0x4000u /* of the free pages: the file was made under a name of its own */
#define BEYOND_MAX      (1u << 24) /* free pages that were never written, behind the file's end */

enum page_kind { KIND_BRANCH = 1, KIND_LEAF = 2, KIND_OVERFLOW = 4, KIND_META = 8 };
enum node_flag { NODE_OVERFLOW = 1, NODE_TABLE = 2 };

/* ---- one page -------------------------------------------------------------------------------- */

static unsigned page_kind(const uint8_t *page)
{
    return le16_get(page + 10);
}

static bool is_unused(const struct btree *s, uint64_t number)
{
    return s->unused && (s->unused[number / 8] >> (number % 8) & 1) && !MUTANT(free_pages_trusted);
}

/* The page that says to be this one, of that kind; NULL when it is not. */
static const uint8_t *page_at(const struct btree *s, uint64_t number, unsigned kind)
{
    if (number < FIRST_PAGE || number >= s->count || number >= s->held || is_unused(s, number))
        return NULL;
    const uint8_t *page = s->map + number * s->page_bytes;
    return le64_get(page) == number && page_kind(page) == kind ? page : NULL;
}

/* How many nodes; 0 when the bounds make no sense. */
static unsigned page_nodes(const struct btree *s, const uint8_t *page)
{
    unsigned lower = le16_get(page + 12), upper = le16_get(page + 14);
    return lower < HEAD_BYTES || lower > upper || upper > s->page_bytes ? 0
                                                                        : (lower - HEAD_BYTES) / 2;
}

struct node {
    struct slice key, value; /* of a branch no value; of an overflow: its number */
    uint64_t child;
    uint64_t value_bytes;
    unsigned flags;
};

/* The bytes of the page that a node takes; 0 when it does not lie in the page. */
static inline uint64_t node_span(const uint8_t *page, bool branch, unsigned offset,
                                 size_t page_bytes)
{
    if (offset < HEAD_BYTES || offset + NODE_BYTES > page_bytes)
        return 0;
    const uint8_t *at = page + offset;
    unsigned flags = branch ? 0 : le16_get(at + 4);
    uint64_t value = branch ? 0 : flags & NODE_OVERFLOW ? 8 : le32_get(at);
    uint64_t bytes = (NODE_BYTES + le16_get(at + 6) + value + 1) / 2 * 2;
    return bytes > page_bytes - offset || (flags & ~(unsigned)(NODE_OVERFLOW | NODE_TABLE)) ? 0
                                                                                            : bytes;
}

/* False when it does not lie in the page. */
static bool node_at(const struct btree *s, const uint8_t *page, unsigned i, struct node *n)
{
    unsigned offset = le16_get(page + HEAD_BYTES + 2 * i);
    const uint8_t *at = page + offset;
    bool branch = page_kind(page) == KIND_BRANCH;
    uint64_t bytes = node_span(page, branch, offset, s->page_bytes);
    if (bytes == 0)
        return false;
    unsigned key = le16_get(at + 6);
    n->flags = branch ? 0 : le16_get(at + 4);
    n->value_bytes = branch ? 0 : le32_get(at);
    n->key = slice_of(at + NODE_BYTES, key);
    n->value =
        slice_of(at + NODE_BYTES + key, n->flags & NODE_OVERFLOW ? 8 : (size_t)n->value_bytes);
    n->child = branch ? le32_get(at) | (uint64_t)le16_get(at + 4) << 32 : 0;
    return true;
}

/* Its nodes fill it from its upper bound to its end. Lengths and squares tell of any pointer or
 * length that is another one. */
static bool page_tiles(const struct btree *s, const uint8_t *page)
{
    uint64_t upper = le16_get(page + 14), end = s->page_bytes, bytes = 0, squares = 0;
    unsigned count = page_nodes(s, page);
    if (count < (page_kind(page) == KIND_BRANCH ? 2u : 1u) || le16_get(page + 12) % 2 != 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        unsigned offset = le16_get(page + HEAD_BYTES + 2 * i);
        uint64_t span = node_span(page, page_kind(page) == KIND_BRANCH, offset, s->page_bytes);
        if (span == 0)
            return false;
        bytes += span;
        squares += (2 * (uint64_t)offset + span) * span;
    }
    return bytes == end - upper && squares == end * end - upper * upper;
}

static uint64_t value_pages(const struct btree *s, const struct node *n)
{
    return (HEAD_BYTES - 1 + n->value_bytes) / s->page_bytes + 1;
}

/* The value itself: in the page, or in overflow pages that are what the node says. */
static bool value_of(const struct btree *s, const struct node *n, struct slice *value)
{
    *value = n->value;
    if (!(n->flags & NODE_OVERFLOW))
        return true;
    uint64_t first = le64_get(n->value.data), pages = value_pages(s, n);
    const uint8_t *page = page_at(s, first, KIND_OVERFLOW);
    /* More than it takes stand there where a value shrank within one write. */
    if (!page || le32_get(page + 12) < pages || le32_get(page + 12) > s->held - first)
        return false;
    *value = slice_of(page + HEAD_BYTES, (size_t)n->value_bytes);
    return true;
}

/* ---- a way down ------------------------------------------------------------------------------ */

struct level {
    const uint8_t *page;
    unsigned at, count;
};

/* From the root to a node of a leaf. */
struct way {
    const struct btree *s;
    unsigned levels, flags; /* flags of each node of a leaf, but for that of its overflow */
    bool numbers;           /* keys are u64 in the order of their worth */
    struct level level[BTREE_LEVELS_MAX];
};

/* As slice_compare: most keys differ in their first eight bytes. */
static inline int key_compare(struct slice a, struct slice b)
{
    if (a.bytes >= 8 && b.bytes >= 8) {
        uint64_t left = be64_get(a.data), right = be64_get(b.data);
        if (left != right)
            return left < right ? -1 : 1;
    }
    return slice_compare(a, b);
}

static inline int node_compare(bool numbers, struct slice a, struct slice b)
{
    if (!numbers || a.bytes != 8 || b.bytes != 8)
        return key_compare(a, b);
    uint64_t left = le64_get(a.data), right = le64_get(b.data);
    return left < right ? -1 : left > right;
}

static inline int way_compare(const struct way *w, struct slice a, struct slice b)
{
    return node_compare(w->numbers, a, b);
}

static bool way_begin(struct way *w, const struct btree *s, const struct btree_root *t)
{
    w->s = s;
    w->levels = t->levels;
    w->flags = t == &s->tables ? NODE_TABLE : 0;
    w->numbers = t->flags & TREE_NUMBERS;
    return t->levels >= 1 && t->levels <= BTREE_LEVELS_MAX;
}

/* The page of this number becomes the one of the level. */
static bool level_enter(struct way *w, unsigned depth, uint64_t number)
{
    struct level *l = &w->level[depth];
    l->page = page_at(w->s, number, depth + 1 < w->levels ? KIND_BRANCH : KIND_LEAF);
    l->count = l->page ? page_nodes(w->s, l->page) : 0;
    l->at = 0;
    return l->count > 0;
}

static bool level_child(const struct way *w, unsigned depth, uint64_t *child)
{
    struct node n;
    if (!node_at(w->s, w->level[depth].page, w->level[depth].at, &n))
        return false;
    *child = n.child;
    return true;
}

/* The key of node i alone; false when it does not lie in the page. */
static inline bool key_at(const struct btree *s, const uint8_t *page, unsigned i, struct slice *key)
{
    unsigned offset = le16_get(page + HEAD_BYTES + 2 * i);
    if (offset < HEAD_BYTES || offset + NODE_BYTES > s->page_bytes)
        return false;
    const uint8_t *at = page + offset;
    *key = slice_of(at + NODE_BYTES, le16_get(at + 6));
    return key->bytes <= s->page_bytes - offset - NODE_BYTES;
}

/* The search for a key among the nodes of a page, by the same steps as LMDB, which finds what is
 * found here. */
struct search {
    int low, high;
    bool equal;
};

static inline struct search search_begin(unsigned count, bool branch)
{
    return (struct search){.low = branch ? 1 : 0, .high = (int)count - 1};
}

static inline bool search_goes_on(const struct search *x)
{
    return x->low <= x->high && !x->equal;
}

/* The node that the next step looks at. */
static inline unsigned search_next(const struct search *x)
{
    return (unsigned)(x->low + x->high) / 2;
}

/* False when the node does not lie in the page. */
static inline bool search_step(struct search *x, const struct btree *s, const uint8_t *page,
                               bool numbers, struct slice key)
{
    int middle = (int)search_next(x);
    struct slice found;
    if (!key_at(s, page, (unsigned)middle, &found))
        return false;
    int order = node_compare(numbers, found, key);
    x->equal = order == 0;
    if (order <= 0)
        x->low = middle + 1;
    else
        x->high = middle - 1;
    return true;
}

/* When it has ended: the last node that is not above the key, or the first. */
static inline unsigned search_place(const struct search *x)
{
    return x->low > 0 ? (unsigned)x->low - 1 : 0;
}

/* *equal: the node is the key's. */
static bool level_search(struct way *w, unsigned depth, struct slice key, bool *equal)
{
    struct level *l = &w->level[depth];
    struct search x = search_begin(l->count, depth + 1 < w->levels);
    while (search_goes_on(&x))
        if (!search_step(&x, w->s, l->page, w->numbers, key))
            return false;
    *equal = x.equal;
    l->at = search_place(&x);
    return true;
}

/* Down to the leaf of a key. */
static bool way_find(struct way *w, const struct btree_root *t, struct slice key, bool *equal)
{
    uint64_t number = t->root;
    for (unsigned depth = 0; depth < w->levels; depth++) {
        if (!level_enter(w, depth, number) || !level_search(w, depth, key, equal))
            return false;
        if (depth + 1 < w->levels && !level_child(w, depth, &number))
            return false;
    }
    return true;
}

/* The entry at which the way stands. */
static bool leaf_value(const struct way *w, struct node *n, struct slice *value)
{
    const struct level *leaf = &w->level[w->levels - 1];
    return node_at(w->s, leaf->page, leaf->at, n) &&
           (n->flags & ~(unsigned)NODE_OVERFLOW) == w->flags && value_of(w->s, n, value);
}

/* What the parents of a level say of its keys: at least *low, below *high; without data: no bound.
 * `w` stands in a sound way down to there. */
static void way_bounds(const struct way *w, unsigned depth, struct slice *low, struct slice *high)
{
    struct node n;
    *low = *high = slice_of(NULL, 0);
    for (unsigned d = 0; d < depth; d++) {
        const struct level *l = &w->level[d];
        if (l->at > 0 && node_at(w->s, l->page, l->at, &n))
            *low = n.key;
        if (l->at + 1 < l->count && node_at(w->s, l->page, l->at + 1, &n))
            *high = n.key;
    }
}

static bool is_inside(const struct way *w, struct slice key, struct slice low, struct slice high)
{
    return (!low.data || way_compare(w, key, low) >= 0) &&
           (!high.data || way_compare(w, key, high) < 0);
}

/* The keys of a level rise and are inside its bounds. The first key of a branch counts for
 * nothing. */
static bool level_is_ordered(const struct way *w, unsigned depth)
{
    const struct level *l = &w->level[depth];
    struct slice low, high, last;
    struct node n;
    way_bounds(w, depth, &low, &high);
    last = low;
    for (unsigned i = depth + 1 < w->levels ? 1 : 0; i < l->count; i++) {
        if (!node_at(w->s, l->page, i, &n))
            return false;
        int order = last.data ? way_compare(w, last, n.key) : -1;
        if (order > 0 || (order == 0 && last.data != low.data))
            return false;
        last = n.key;
    }
    return !high.data || !last.data || way_compare(w, last, high) < 0;
}

static bool level_is_sound(const struct way *w, unsigned depth)
{
    return page_tiles(w->s, w->level[depth].page) && level_is_ordered(w, depth);
}

static bool way_is_ordered(const struct way *w)
{
    for (unsigned depth = 0; depth < w->levels; depth++)
        if (!level_is_sound(w, depth))
            return false;
    return true;
}

static struct btree_entry entry_at(const struct way *w, unsigned i, const struct node *n)
{
    const struct level *leaf = &w->level[w->levels - 1];
    struct btree_entry e = {.key = n->key};
    struct node beside;
    if (i > 0 && node_at(w->s, leaf->page, i - 1, &beside))
        e.before = beside.key;
    if (i + 1 < leaf->count && node_at(w->s, leaf->page, i + 1, &beside))
        e.after = beside.key;
    return e;
}

static bool entry_is_sound(const struct way *w, unsigned i, const struct node *n,
                           btree_sound_fn *sound)
{
    struct btree_entry e = entry_at(w, i, n);
    return value_of(w->s, n, &e.value) && sound(&e);
}

/* One key out of bounds is one that has rotted, when it is not sound. Otherwise the bounds are
 * wrong, or these are the keys of another page. */
static bool leaf_belongs(const struct way *w, btree_sound_fn *sound)
{
    const struct level *leaf = &w->level[w->levels - 1];
    struct slice low, high;
    struct node n;
    unsigned outside = 0;
    way_bounds(w, w->levels - 1, &low, &high);
    for (unsigned i = 0; i < leaf->count; i++) {
        if (!node_at(w->s, leaf->page, i, &n))
            return false;
        if (is_inside(w, n.key, low, high))
            continue;
        if (++outside > 1 || leaf->count == 1 || !sound || entry_is_sound(w, i, &n, sound))
            return false;
    }
    return true;
}

/* ---- to the sides ---------------------------------------------------------------------------- */

/* To the first or last node of the leaf on that side of the branch node at `depth`. */
static bool way_descend(struct way *w, unsigned depth, bool last)
{
    for (; depth + 1 < w->levels; depth++) {
        uint64_t child;
        if (!level_child(w, depth, &child) || !level_enter(w, depth + 1, child))
            return false;
        if (last)
            w->level[depth + 1].at = w->level[depth + 1].count - 1;
    }
    return true;
}

/* To the next or the last leaf: 1 there is none; 0; GT_ECORRUPT. */
static int way_aside(struct way *w, bool next)
{
    unsigned depth = w->levels - 1;
    while (depth > 0) {
        struct level *l = &w->level[--depth];
        if (next ? l->at + 1 >= l->count : l->at == 0)
            continue;
        l->at = next ? l->at + 1 : l->at - 1;
        return way_descend(w, depth, !next) ? 0 : GT_ECORRUPT;
    }
    return 1;
}

/* The nearest key on that side is inside the bounds that its parents set: had a bound between them
 * rotted, so that searches go to the wrong side of it, that key would be outside. */
static bool side_is_inside(const struct way *at, bool next)
{
    struct way w = *at;
    struct slice low, high;
    struct node n;
    int end = way_aside(&w, next);
    if (end != 0)
        return end > 0;
    const struct level *leaf = &w.level[w.levels - 1];
    way_bounds(&w, w.levels - 1, &low, &high);
    return node_at(w.s, leaf->page, leaf->at, &n) && is_inside(&w, n.key, low, high);
}

/* The leaf on that side is one that can be touched. */
static bool side_belongs(const struct way *at, bool next, btree_sound_fn *sound)
{
    struct way w = *at;
    int end = way_aside(&w, next);
    if (end != 0)
        return end > 0;
    return page_tiles(w.s, w.level[w.levels - 1].page) && leaf_belongs(&w, sound);
}

static bool entries_are_sound(const struct way *w, btree_sound_fn *sound)
{
    const struct level *leaf = &w->level[w->levels - 1];
    struct node n;
    for (unsigned i = 0; i < leaf->count; i++)
        if (!node_at(w->s, leaf->page, i, &n) || !entry_is_sound(w, i, &n, sound))
            return false;
    return true;
}

/* ---- finding --------------------------------------------------------------------------------- */

/* The way tiles, so that no node is left out, and the leaf is in order. That the branches are shows
 * at the sides. */
static bool absence_is_sound(const struct way *w)
{
    for (unsigned depth = 0; depth < w->levels; depth++)
        if (!page_tiles(w->s, w->level[depth].page))
            return false;
    return level_is_ordered(w, w->levels - 1);
}

int btree_find(const struct btree *s, const struct btree_root *t, struct slice key,
               btree_sound_fn *sound, struct slice *value)
{
    struct way w;
    struct node n;
    bool equal;
    if (t->root == NO_ROOT)
        return t->levels == 0 ? GT_ENOTFOUND : GT_ECORRUPT;
    if (!way_begin(&w, s, t) || !way_find(&w, t, key, &equal))
        return GT_ECORRUPT;
    if (equal)
        return leaf_value(&w, &n, value) ? 0 : GT_ECORRUPT;
    if (MUTANT(absence_believed))
        return GT_ENOTFOUND;
    return absence_is_sound(&w) && side_is_inside(&w, false) && side_is_inside(&w, true) &&
                   (!sound || entries_are_sound(&w, sound))
               ? GT_ENOTFOUND
               : GT_ECORRUPT;
}

/* ---- finding some ---------------------------------------------------------------------------- */

#define SIDE_BY_SIDE  16u
#define LINE_BYTES    64u
#define POINTER_LINES 4u /* of a page, with its head and most of its pointers */

/* A search that goes on with the others wherever it would wait. By the steps of way_find. */
struct probe {
    struct slice key;
    struct slice *value; /* the result */
    uint64_t number;     /* of the page */
    const uint8_t *page; /* NULL: not entered yet */
    unsigned depth;
    struct search search; /* in the page */
};

static void lines_fetch(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE_BYTES)
        __builtin_prefetch(at + i);
}

static void probe_descend(const struct btree *s, struct probe *p, uint64_t number)
{
    p->number = number;
    p->page = NULL;
    if (number < s->count && number < s->held)
        lines_fetch(s->map + number * s->page_bytes, (size_t)POINTER_LINES * LINE_BYTES);
}

static bool probe_enter(const struct btree *s, const struct btree_root *t, struct probe *p)
{
    bool branch = p->depth + 1 < t->levels;
    p->page = page_at(s, p->number, branch ? KIND_BRANCH : KIND_LEAF);
    unsigned count = p->page ? page_nodes(s, p->page) : 0;
    p->search = search_begin(count, branch);
    return count > 0;
}

/* The search of the page has ended. False: that was the leaf. */
static bool probe_leave(const struct btree *s, const struct btree_root *t, struct probe *p)
{
    struct node n;
    if (!node_at(s, p->page, search_place(&p->search), &n))
        return false;
    if (++p->depth < t->levels) {
        probe_descend(s, p, n.child);
        return true;
    }
    if (p->search.equal && n.flags == 0) {
        *p->value = n.value;
        lines_fetch(n.value.data, n.value.bytes);
    }
    return false;
}

/* One step, of which the memory is here by now; the next one's is asked for. False: it is over. */
static bool probe_step(const struct btree *s, const struct btree_root *t, struct probe *p)
{
    if (p->page ? !search_step(&p->search, s, p->page, false, p->key) : !probe_enter(s, t, p))
        return false;
    if (!search_goes_on(&p->search))
        return probe_leave(s, t, p);
    __builtin_prefetch(p->page + le16_get(p->page + HEAD_BYTES + 2 * search_next(&p->search)));
    return true;
}

static void probes_run(const struct btree *s, const struct btree_root *t, struct probe *probes,
                       unsigned count)
{
    while (count > 0)
        for (unsigned i = 0; i < count;)
            if (probe_step(s, t, &probes[i]))
                i++;
            else
                probes[i] = probes[--count];
}

void btree_find_some(const struct btree *s, const struct btree_root *t, const struct slice *keys,
                     unsigned count, struct slice *values)
{
    struct probe probes[SIDE_BY_SIDE];
    bool known = t->root != NO_ROOT && t->levels >= 1 && t->levels <= BTREE_LEVELS_MAX &&
                 !(t->flags & TREE_NUMBERS) && t != &s->tables;
    for (unsigned i = 0; i < count; i++)
        values[i] = slice_of(NULL, 0);
    for (unsigned done = 0; known && done < count;) {
        unsigned some = 0;
        for (; some < SIDE_BY_SIDE && done < count; some++, done++) {
            probes[some] = (struct probe){.key = keys[done], .value = &values[done]};
            probe_descend(s, &probes[some], t->root);
        }
        probes_run(s, t, probes, some);
    }
}

/* ---- before a write -------------------------------------------------------------------------- */

/* The children beside the way at that depth: one may be joined with its neighbour. */
static bool neighbours_tile(const struct way *w, unsigned depth)
{
    const struct level *l = &w->level[depth];
    unsigned kind = depth + 2 < w->levels ? KIND_BRANCH : KIND_LEAF;
    struct node n;
    for (unsigned i = l->at > 0 ? l->at - 1 : 0; i <= l->at + 1 && i < l->count; i++) {
        const uint8_t *page = node_at(w->s, l->page, i, &n) ? page_at(w->s, n.child, kind) : NULL;
        if (!page || !page_tiles(w->s, page))
            return false;
    }
    return true;
}

/* The branches of the way, and what stands beside it, but for what was looked at already. */
static bool branches_are_sound(const struct way *w, struct btree_guarded *last)
{
    for (unsigned depth = 0; depth + 1 < w->levels; depth++) {
        const struct level *l = &w->level[depth];
        bool known = last->branches[depth].page == l->page;
        if (!known && !level_is_sound(w, depth))
            return false;
        if (!(known && last->branches[depth].at == l->at) && !neighbours_tile(w, depth))
            return false;
        last->branches[depth].page = l->page;
        last->branches[depth].at = l->at;
    }
    return page_tiles(w->s, w->level[w->levels - 1].page);
}

/* All of the pages go when the value does, so there must be no more than it takes. */
static bool overflow_is_exact(const struct btree *s, const struct node *n)
{
    return !(n->flags & NODE_OVERFLOW) ||
           value_pages(s, n) == le32_get(s->map + le64_get(n->value.data) * s->page_bytes + 12);
}

int btree_guard(const struct btree *s, const struct btree_root *t, struct slice key,
                btree_sound_fn *sound, struct btree_guarded *last)
{
    struct way w;
    struct node n;
    struct slice value;
    bool equal;
    if (last->any && !last->overflows && slice_compare(key, last->low) >= 0 &&
        (!last->high.data || slice_compare(key, last->high) < 0))
        return 0;
    last->any = false;
    if (t->root == NO_ROOT)
        return t->levels == 0 ? 0 : GT_ECORRUPT;
    if (!way_begin(&w, s, t) || !way_find(&w, t, key, &equal) || !branches_are_sound(&w, last) ||
        !leaf_belongs(&w, sound) || !side_belongs(&w, false, sound) ||
        !side_belongs(&w, true, sound))
        return GT_ECORRUPT;
    if (equal && (!leaf_value(&w, &n, &value) || !overflow_is_exact(s, &n)))
        return GT_ECORRUPT;
    const struct level *leaf = &w.level[w.levels - 1];
    last->any = true;
    last->overflows = false;
    for (unsigned i = 0; i < leaf->count; i++)
        last->overflows |= node_at(s, leaf->page, i, &n) && (n.flags & NODE_OVERFLOW);
    way_bounds(&w, w.levels - 1, &last->low, &last->high);
    return 0;
}

/* ---- walking --------------------------------------------------------------------------------- */

struct walk {
    struct way way;
    struct btree_root found; /* what was met */
    btree_sound_fn *sound;
    int (*each)(void *arg, struct slice key, struct slice value);
    void *arg;
    struct btree *taken; /* each page is taken from it; NULL: none is */
};

/* From now on they are free ones to every reader. False: one of them is already. */
static bool pages_take(struct btree *s, uint64_t first, uint64_t count)
{
    if (!s)
        return true;
    for (uint64_t i = first; i < first + count; i++) {
        if (i >= s->count || is_unused(s, i))
            return false;
        s->unused[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    return true;
}

/* What lies below the level cannot be read. */
static int hole_at(const struct way *w, unsigned depth, struct btree_hole *hole)
{
    hole->met = true;
    way_bounds(w, depth, &hole->from, &hole->to);
    return GT_ECORRUPT;
}

/* The children of a branch that are leaves, and the overflow pages of a leaf, from the node on at
 * which the way stands. */
static void level_ahead(const struct way *w, unsigned depth)
{
    const struct btree *s = w->s;
    const struct level *l = &w->level[depth];
    struct node n;
    if (!s->ahead || depth + 2 < w->levels)
        return;
    for (unsigned i = l->at; i < l->count && node_at(s, l->page, i, &n); i++) {
        bool overflow = depth + 1 == w->levels && n.flags & NODE_OVERFLOW;
        if (overflow && le64_get(n.value.data) < s->held)
            s->ahead(s, le64_get(n.value.data), value_pages(s, &n));
        else if (depth + 1 < w->levels && n.child < s->held)
            s->ahead(s, n.child, 1);
    }
}

/* From the node at which the way stands to the last of its leaf. */
static int leaf_walk(struct walk *k, struct btree_hole *hole)
{
    struct way *w = &k->way;
    struct level *leaf = &w->level[w->levels - 1];
    struct node n;
    struct slice value;
    level_ahead(w, w->levels - 1);
    for (; leaf->at < leaf->count; leaf->at++) {
        if (!leaf_value(w, &n, &value))
            return hole_at(w, w->levels - 1, hole);
        k->found.entries++;
        if (n.flags & NODE_OVERFLOW) {
            k->found.overflows += value_pages(w->s, &n);
            if (!pages_take(k->taken, le64_get(n.value.data), value_pages(w->s, &n)))
                return hole_at(w, w->levels - 1, hole);
        }
        int result = k->each(k->arg, n.key, value);
        if (result != 0)
            return result;
    }
    return 0;
}

/* Into the subtree below the node of the way at depth, all of it. */
static int subtree_walk(struct walk *k, unsigned depth, uint64_t number, struct btree_hole *hole)
{
    struct way *w = &k->way;
    if (!level_enter(w, depth, number) || !page_tiles(w->s, w->level[depth].page) ||
        (depth + 1 < w->levels ? !level_is_ordered(w, depth) : !leaf_belongs(w, k->sound)) ||
        !pages_take(k->taken, number, 1)) {
        return hole_at(w, depth, hole);
    }
    if (depth + 1 == w->levels) {
        k->found.leaves++;
        return leaf_walk(k, hole);
    }
    k->found.branches++;
    struct level *l = &w->level[depth];
    level_ahead(w, depth);
    for (l->at = 0; l->at < l->count; l->at++) {
        uint64_t child = 0;
        if (!level_child(w, depth, &child))
            return hole_at(w, depth, hole);
        int result = subtree_walk(k, depth + 1, child, hole);
        if (result != 0)
            return result;
    }
    return 0;
}

/* To the node from which a walk from `from` on begins: the one of that key, or the first that is
 * not below. In the order in which they lie, since a key that has rotted misleads a search; and
 * back over those that are not sound, which may have stood behind. */
static void leaf_seek(struct way *w, struct slice from, btree_sound_fn *sound)
{
    struct level *leaf = &w->level[w->levels - 1];
    struct node n;
    unsigned first = leaf->count;
    for (unsigned i = leaf->count; i-- > 0;) {
        int order = node_at(w->s, leaf->page, i, &n) ? slice_compare(n.key, from) : 1;
        if (order >= 0)
            first = i;
        if (order == 0)
            break;
    }
    while (sound && first > 0 && node_at(w->s, leaf->page, first - 1, &n) &&
           !entry_is_sound(w, first - 1, &n, sound))
        first--;
    leaf->at = first;
}

static int walk_from(struct walk *k, unsigned depth, uint64_t number, struct slice from,
                     struct btree_hole *hole)
{
    struct way *w = &k->way;
    bool equal;
    if (!level_enter(w, depth, number) || !page_tiles(w->s, w->level[depth].page) ||
        (depth + 1 < w->levels ? !level_is_ordered(w, depth) : !leaf_belongs(w, k->sound)) ||
        !level_search(w, depth, from, &equal)) {
        return hole_at(w, depth, hole);
    }
    if (depth + 1 == w->levels) {
        leaf_seek(w, from, k->sound);
        return leaf_walk(k, hole);
    }
    struct level *l = &w->level[depth];
    uint64_t child = 0;
    level_ahead(w, depth);
    int result =
        level_child(w, depth, &child) ? walk_from(k, depth + 1, child, from, hole) : GT_ECORRUPT;
    for (l->at++; l->at < l->count && result == 0; l->at++)
        result =
            level_child(w, depth, &child) ? subtree_walk(k, depth + 1, child, hole) : GT_ECORRUPT;
    return result;
}

static int walk_all(struct walk *k, const struct btree_root *t, struct btree_hole *hole)
{
    int result = subtree_walk(k, 0, t->root, hole);
    /* All of it was met, or a page was missed. */
    if (result == 0 && (k->found.entries != t->entries || k->found.leaves != t->leaves ||
                        k->found.branches != t->branches || k->found.overflows > t->overflows))
        return hole_at(&k->way, 0, hole);
    return result;
}

static int walk_run(struct walk *k, const struct btree *s, const struct btree_root *t,
                    struct slice from, struct btree_hole *hole)
{
    *hole = (struct btree_hole){0};
    if (t->root == NO_ROOT)
        return t->levels == 0 ? 0 : hole_at(&k->way, 0, hole);
    if (!way_begin(&k->way, s, t))
        return hole_at(&k->way, 0, hole);
    return from.bytes > 0 ? walk_from(k, 0, t->root, from, hole) : walk_all(k, t, hole);
}

int btree_scan(const struct btree *s, const struct btree_root *t, struct slice from,
               btree_sound_fn *sound, int (*each)(void *arg, struct slice key, struct slice value),
               void *arg, struct btree_hole *hole)
{
    struct walk k = {.sound = sound, .each = each, .arg = arg};
    return walk_run(&k, s, t, from, hole);
}

static int taken_each(void *arg, struct slice key, struct slice value)
{
    (void)arg, (void)key, (void)value;
    return 0;
}

int btree_take(struct btree *s, const struct btree_root *t)
{
    struct btree_hole hole;
    struct walk k = {.each = taken_each, .taken = s};
    return walk_run(&k, s, t, slice_of(NULL, 0), &hole);
}

/* ---- the whole file -------------------------------------------------------------------------- */

static struct btree_root tree_read(const uint8_t *at)
{
    return (struct btree_root){.flags = le16_get(at + 4),
                               .levels = le16_get(at + 6),
                               .branches = le64_get(at + 8),
                               .leaves = le64_get(at + 16),
                               .overflows = le64_get(at + 24),
                               .entries = le64_get(at + 32),
                               .root = le64_get(at + 40)};
}

int btree_meta_read(const uint8_t *map, uint64_t bytes, unsigned which, struct btree *out)
{
    if (bytes < (uint64_t)FIRST_PAGE * PAGE_BYTES_MIN)
        return GT_ECORRUPT;
    /* The length of a page stands in both; where the second begins follows from it. */
    uint32_t page_bytes = le32_get(map + 40);
    for (uint32_t b = PAGE_BYTES_MIN; which == 1 && b <= PAGE_BYTES_MAX; b *= 2)
        if (bytes >= 2ull * b && le64_get(map + b) == 1 && le32_get(map + b + 40) == b)
            page_bytes = b;
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX ||
        (page_bytes & (page_bytes - 1)) || bytes < 2ull * page_bytes)
        return GT_ECORRUPT;
    const uint8_t *at = map + (size_t)which * page_bytes;
    *out = (struct btree){.map = map,
                          .page_bytes = page_bytes,
                          .count = le64_get(at + 136) + 1,
                          .held = bytes / page_bytes,
                          .commit = le64_get(at + 144),
                          .free = tree_read(at + 40),
                          .tables = tree_read(at + 88)};
    bool good = le64_get(at) == which && page_kind(at) == KIND_META &&
                le32_get(at + 16) == META_MAGIC && le64_get(at + 24) == 0 &&
                le32_get(at + 40) == page_bytes && le32_get(at + 88) == 0 &&
                (out->free.flags & ~TREE_NAMED) == TREE_NUMBERS && out->tables.flags == 0 &&
                out->count >= FIRST_PAGE && out->count <= out->held + BEYOND_MAX &&
                (out->commit % 2 == which || out->commit == 0);
    if (good && le32_get(at + 20) != META_VERSION)
        return GT_EFORMAT;
    return good ? 0 : GT_ECORRUPT;
}

/* ---- a commit and what it says --------------------------------------------------------------- */

struct unused {
    struct btree *s;
    uint8_t *bits;
    uint64_t count, last_commit;
    bool any;
};

static int free_each(void *arg, struct slice key, struct slice value)
{
    struct unused *u = arg;
    if (key.bytes != 8 || value.bytes < 8 || value.bytes % 8 != 0)
        return GT_ECORRUPT;
    uint64_t commit = le64_get(key.data), count = le64_get(value.data), last = u->s->count;
    if (commit > u->s->commit || (u->any && commit <= u->last_commit) ||
        count != value.bytes / 8 - 1)
        return GT_ECORRUPT;
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t number = le64_get(value.data + 8 * i);
        if (number < FIRST_PAGE || number >= last || (u->bits[number / 8] >> (number % 8) & 1))
            return GT_ECORRUPT;
        u->bits[number / 8] |= (uint8_t)(1u << (number % 8));
        last = number;
    }
    u->count += count;
    u->last_commit = commit;
    u->any = true;
    return 0;
}

struct tables {
    const struct btree *s;
    uint64_t pages;
};

static uint64_t tree_pages(const struct btree_root *t)
{
    return t->branches + t->leaves + t->overflows;
}

static int table_each(void *arg, struct slice name, struct slice value)
{
    struct tables *k = arg;
    struct way w;
    bool equal;
    if (name.bytes == 0 || name.bytes > TABLE_NAMES_MAX || value.bytes != BTREE_TREE_BYTES)
        return GT_ECORRUPT;
    struct btree_root t = tree_read(value.data);
    k->pages += tree_pages(&t);
    if (t.flags != 0)
        return GT_ECORRUPT;
    if (t.root == NO_ROOT)
        return t.levels == 0 && tree_pages(&t) == 0 && t.entries == 0 ? 0 : GT_ECORRUPT;
    return way_begin(&w, k->s, &t) && way_find(&w, &t, slice_of(NULL, 0), &equal) &&
                   way_is_ordered(&w)
               ? 0
               : GT_ECORRUPT;
}

int btree_check(struct btree *s)
{
    struct btree_hole hole;
    struct unused u = {.s = s, .bits = calloc((size_t)(s->count + 7) / 8, 1)};
    if (!u.bits)
        return GT_ENOMEM;
    btree_close(s);
    int error = btree_scan(s, &s->free, slice_of(NULL, 0), NULL, free_each, &u, &hole);
    s->freed = u.last_commit;
    if (error)
        free(u.bits);
    else
        s->unused = u.bits;
    struct tables tables = {.s = s, .pages = tree_pages(&s->free) + tree_pages(&s->tables)};
    int wrong = btree_scan(s, &s->tables, slice_of(NULL, 0), NULL, table_each, &tables, &hole);
    s->tables_sound = wrong == 0;
    if (!error && !wrong && tables.pages + u.count + FIRST_PAGE != s->count)
        return GT_ECORRUPT;
    return error ? error : wrong;
}

void btree_close(struct btree *s)
{
    free(s->unused);
    s->unused = NULL;
}

int btree_table(const struct btree *s, struct slice name, struct btree_root *out)
{
    struct slice value;
    int error = btree_find(s, &s->tables, name, NULL, &value);
    if (error)
        return error;
    if (value.bytes != BTREE_TREE_BYTES)
        return GT_ECORRUPT;
    *out = tree_read(value.data);
    return 0;
}
