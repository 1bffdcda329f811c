/*
 * GTStore's client library.
 *
 *     gtstore_env env;
 *     gtstore_init(&env, "127.0.0.1:5000");
 *     gtstore_put(&env, "name", 4, "Ada", 3);
 *     gtstore_value v;
 *     if (gtstore_get(&env, "name", 4, &v) == 0) { use v.data, v.bytes; gtstore_value_free(&v); }
 *     gtstore_finalize(&env);
 *
 * The four calls suffice for a first program; everything else is options on them. One env is one
 * session with one loop thread inside the library. Blocking calls may come from any thread, not
 * from a callback. A session remembers (bounded) the contexts of what it wrote and read, so that
 * two puts in a row by one session never become siblings.
 *
 * Every call returns 0 or a negative GT_E*. A put that fails says whether it may exist: the result's
 * outcome is done, not applied (proved), or in doubt. Keys are 1..480 bytes, values 0..1 MiB unless
 * the cluster is configured otherwise.
 */
#ifndef GTSTORE_H
#define GTSTORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GTSTORE_API __attribute__((visibility("default")))

#ifndef GT_ERRORS_DEFINED
#define GT_ERRORS_DEFINED
enum gt_error {
    GT_EARG = -1,         /* invalid argument */
    GT_ELIMIT = -2,       /* key, value or state over the limit */
    GT_ENOTFOUND = -3,    /* no such key */
    GT_ECONFLICT = -4,    /* siblings, where one value was demanded */
    GT_EQUORUM = -5,      /* fewer owners answered than R or W asks for */
    GT_EUNREACHABLE = -6, /* nobody to ask */
    GT_EINDOUBT = -7,     /* the write may or may not exist */
    GT_ETIMEOUT = -8,     /* the deadline passed */
    GT_EBUSY = -9,        /* too much work in flight; try again later */
    GT_EFORMING = -10,    /* the cluster waits for its first nodes */
    GT_EIO = -11,
    GT_ENOSPACE = -12,
    GT_ECORRUPT = -13,
    GT_EFORMAT = -14,
    GT_ELOCKED = -15,
    GT_ECLUSTER = -16,
    GT_ELABEL = -17,
    GT_EPROTO = -18,
    GT_ESTALE = -19,
    GT_ENOTOWNER = -20,
    GT_ECONTEXT = -21, /* the context is damaged, of another key, or names an unknown actor */
    GT_ENOMEM = -22,
    GT_ECLOSED = -23, /* the session is finalized */
    GT_EINCARNATION = -24,
    GT_EUNSUPPORTED = -25,
    GT_ESETTINGS = -26,
    GT_EPOISONED = -27,
    GT_EADDRESS = -28,
    GT_EMISSING = -29,
    GT_EUNKNOWN = -30,
    GT_ECLOCK = -31,
    GT_EDESCRIPTORS = -32, /* the process may open no more files and sockets */
    GT_EFILLING = -33      /* catching up: it has no vote yet */
};
#endif

typedef struct {
    void *impl;
} gtstore_env;

/* A value and what the read was worth. Free with gtstore_value_free, also after an error. */
typedef struct {
    void *data; /* bytes of the value; a NUL byte follows, outside of `bytes` */
    size_t bytes;
    char coordinator[64]; /* label of the node that answered */
    unsigned siblings;    /* how many concurrent values the key has; 1 = no conflict */
    unsigned flags;       /* GTSTORE_DEGRADED, ... */
    void *context;        /* opaque; hand it to a put to replace exactly what was read */
    size_t context_bytes;
    void *impl;
} gtstore_value;

enum gtstore_reply_flag {
    GTSTORE_DEGRADED = 1,  /* get: fewer than R owners answered */
    GTSTORE_UNSETTLED = 2, /* get: not known to be at W owners; a later get may not find it */
    GTSTORE_OUTRANKED = 4, /* put: a concurrent one ranked above it; it was stored again, above */
    GTSTORE_WEAK = 8,
    GTSTORE_KNOWN = 16
};

enum gtstore_outcome { GTSTORE_DONE = 0, GTSTORE_NOT_APPLIED = 1, GTSTORE_IN_DOUBT = 2 };

enum gtstore_verb { GTSTORE_PUT = 1, GTSTORE_GET = 2, GTSTORE_DELETE = 3 };

enum gtstore_op_flag {
    GTSTORE_SLOPPY = 1,    /* put, delete: guests may stand in for owners out of reach */
    GTSTORE_AVAILABLE = 2, /* get: fewer than R owners may answer; the reply is then degraded */
    GTSTORE_ALL = 4,       /* get: every sibling, see gtstore_result_sibling */
    GTSTORE_BLOCKING = 8   /* get: answer when what is shown is at W owners, or fail */
};

/* One operation with all its options. Zero means default. Set `size` to sizeof(gtstore_op). */
typedef struct {
    size_t size;
    int verb; /* enum gtstore_verb */
    const void *key;
    size_t key_bytes;
    const void *value; /* put */
    size_t value_bytes;
    /* put, delete: replace exactly this, with 0 bytes nothing; NULL: what the session has seen */
    const void *context;
    size_t context_bytes;
    const void *min_context; /* get: demand a state at least this new */
    size_t min_context_bytes;
    unsigned flags;      /* enum gtstore_op_flag */
    unsigned quorum;     /* R or W for this request, 0 = the cluster's */
    uint32_t timeout_ms; /* 0 = the session's, 5000 */
} gtstore_op;

/* What an operation came to. Valid during the callback only, with all it points to. */
typedef struct {
    int error;
    int outcome;      /* put, delete: enum gtstore_outcome */
    const char *text; /* of an error: what failed, where, what to do; "" otherwise */
    const char *coordinator;
    const void *value; /* get: of the winner */
    size_t value_bytes;
    const void *context;
    size_t context_bytes;
    unsigned siblings; /* get */
    unsigned flags;    /* enum gtstore_reply_flag */
    unsigned owners, guests; /* that counted toward the quorum */
    uint64_t latency_us;
    void *impl;
} gtstore_result;

typedef void gtstore_done_fn(void *arg, const gtstore_result *result);

/* managers: "host:port[,host:port]", managers or storage nodes. Returns 0 when the map was had from
 * one of them; GT_EARG; GT_EUNREACHABLE after 5 s; GT_ENOMEM. */
GTSTORE_API int gtstore_init(gtstore_env *env, const char *managers);
GTSTORE_API int gtstore_init_timeout(gtstore_env *env, const char *managers, uint32_t timeout_ms);
/* Blocking; overwrites. 0, GT_ELIMIT, GT_EQUORUM, GT_EUNREACHABLE, GT_EINDOUBT, ... */
GTSTORE_API int gtstore_put(gtstore_env *env, const void *key, size_t key_bytes, const void *value,
                            size_t value_bytes);
/* Blocking. 0, GT_ENOTFOUND, GT_EQUORUM, GT_EUNREACHABLE, ... */
GTSTORE_API int gtstore_get(gtstore_env *env, const void *key, size_t key_bytes,
                            gtstore_value *out);
/* Blocking. 0 also when the key was absent. */
GTSTORE_API int gtstore_delete(gtstore_env *env, const void *key, size_t key_bytes);
GTSTORE_API void gtstore_value_free(gtstore_value *v);
/* Operations in flight end with GT_ECLOSED (puts: in doubt). */
GTSTORE_API void gtstore_finalize(gtstore_env *env);

/* Never blocks: 0 (then done is called exactly once, on the library's thread), GT_EARG, GT_ELIMIT,
 * GT_EBUSY when the window (4096) is full. What op points to may die after the call. done may
 * submit again. */
GTSTORE_API int gtstore_submit(gtstore_env *env, const gtstore_op *op, gtstore_done_fn *done,
                               void *arg);
/* Blocking form of gtstore_submit: done is called on the caller's thread before it returns. */
GTSTORE_API int gtstore_run(gtstore_env *env, const gtstore_op *op, gtstore_done_fn *done,
                            void *arg);

/* Sibling i of a get with GTSTORE_ALL, i < result->siblings. GT_EARG past the end. */
typedef struct {
    const void *value;
    size_t value_bytes;
    int deleted;       /* a tombstone: no value */
    uint64_t stamp_ms; /* when it was written, milliseconds since 1970 */
} gtstore_sibling;
GTSTORE_API int gtstore_result_sibling(const gtstore_result *result, unsigned i,
                                       gtstore_sibling *out);

/* The text of an error; the last failed call's full sentence on this env ("" when none; valid until
 * the next call on it from this thread). */
GTSTORE_API const char *gtstore_strerror(int error);
GTSTORE_API const char *gtstore_last_error(gtstore_env *env);
GTSTORE_API const char *gtstore_version(void);

#ifdef __cplusplus
}
#endif

#endif
