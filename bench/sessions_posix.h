/*
 * The load itself: C sessions of the client library, each with up to P operations in flight.
 *
 * Closed loop (rate 0): the callback that ends an operation submits the next one, on the library's
 * own thread, so that no thread of ours stands in the path. Open loop (rate > 0): operation i of
 * session c falls due at (i * C + c) / rate seconds, whatever the answers do; the caller's thread
 * submits it then, or the callback does when P were in flight at that time. Its latency counts from
 * when it was due, so that a stall is charged to every operation that it held up (coordinated
 * omission, G. Tene).
 *
 *     sessions_begin -> { sessions_feed, sessions_collect, nap } until feed says it is over
 *
 * An operation that failed is not tried again. Its place in flight then rests until the next
 * sessions_feed, so that a cluster that refuses at once is not hammered in a loop.
 */
#ifndef GT_BENCH_SESSIONS_POSIX_H
#define GT_BENCH_SESSIONS_POSIX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench/report.h"
#include "bench/workload.h"
#include "client/gtstore.h"

#define SESSIONS_MAX           1024
#define SESSIONS_IN_FLIGHT_MAX 4096 /* the library's window */
#define SESSIONS_ERROR_BYTES   256

/* One stretch of work, the load or the run. */
struct phase {
    struct workload_settings workload; /* client is set for each session */
    uint64_t ops;                      /* of all sessions together; UINT64_MAX = until end_us */
    uint64_t end_us;                   /* nothing starts from here on; UINT64_MAX = no end */
    double rate;                       /* operations a second of all sessions; 0 = closed loop */
    uint32_t in_flight;                /* of each session, at most that of sessions_open */
};

struct session;

/* One place in flight. */
struct slot {
    struct session *session;
    struct slot *next_idle;
    struct workload_op op;
    uint64_t start_us;
    uint64_t value_hash; /* for the log of acknowledgements */
    bool writing;        /* rmw: the get is done, the put is out */
};

struct session {
    struct sessions *all;
    uint32_t index;
    bool open;
    gtstore_env env;
    struct slot *slots;
    uint8_t *scratch; /* a value on its way into the library; the library's thread alone uses it */
    pthread_mutex_t mutex; /* guards what follows */
    struct workload workload;
    uint64_t issued, quota, last_us;
    uint32_t in_flight;
    struct slot *idle;
    struct report_op *ops; /* [WORKLOAD_VERBS], since the last collect */
    char first_error[SESSIONS_ERROR_BYTES];
};

struct sessions {
    uint32_t count, in_flight;
    size_t value_bytes;
    FILE *ack_log; /* borrowed, or NULL */
    struct session *items;
    struct report_op *spare; /* empty: changes place with a session's when that is collected */
    uint8_t *scratch;        /* as a session's, for the thread that feeds */
    struct phase phase;
    uint64_t begin_us;
    atomic_uint_fast64_t keys; /* that exist or are being inserted */
    atomic_bool stopped;
};

uint64_t sessions_now_us(void);

/* Opens `count` sessions. 0, GT_ENOMEM, or what gtstore_init said. ack_log, unless NULL, gets a
 * line "KEY HASH" for each acknowledged put: HASH is the XXH64 of the value as 16 hexadecimal
 * digits. */
int sessions_open(struct sessions *s, const char *managers, uint32_t count, uint32_t in_flight,
                  size_t value_bytes, FILE *ack_log);
void sessions_close(struct sessions *s);
/* Nothing may be in flight. Keeps a copy of the phase; end_us is absolute. */
void sessions_begin(struct sessions *s, const struct phase *phase, uint64_t begin_us);
/* Submits what is due and has a place. False when all is issued and answered; otherwise next_us is
 * when the next operation falls due, UINT64_MAX when callbacks alone carry on. */
bool sessions_feed(struct sessions *s, uint64_t now_us, uint64_t *next_us);
/* Nothing new starts after this call. */
void sessions_stop(struct sessions *s);
/* Moves all figures since the last call into ops. */
void sessions_collect(struct sessions *s, struct report_op ops[WORKLOAD_VERBS]);
/* When the phase is over: the time of the last answer, and how many operations had fallen due
 * before the end but were never sent because all places were taken. */
uint64_t sessions_last_us(struct sessions *s);
uint64_t sessions_unsent(struct sessions *s);
/* The text of the first error that a session met, or NULL. */
const char *sessions_first_error(struct sessions *s);

#endif
