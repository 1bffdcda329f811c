/*
 * Metrics: one table of counters and gauges for each role, declared by X-macro, held in a plain
 * struct that only its owning thread writes. Names are snake_case with the unit last.
 */
#ifndef GT_ENGINE_BASE_METRICS_H
#define GT_ENGINE_BASE_METRICS_H

#include <stdint.h>

#define ENGINE_METRICS(X)                                                                          \
    X(puts_count, "puts minted here")                                                              \
    X(merges_count, "states merged from other replicas")                                           \
    X(clocks_merged_count, "clocks merged whole at the end of a pull")                             \
    X(reaped_count, "tombstones that every owner had, and that went")                              \
    X(floors_raised_count, "dot logs that were over their bound and started anew")                 \
    X(loads_count, "single-key reads")                                                             \
    X(loads_inline_count, "reads made on the loop thread, map resident")                           \
    X(loads_reader_count, "reads first warmed on the reader thread")                               \
    X(scans_count, "range reads")                                                                  \
    X(batches_count, "group commits")                                                              \
    X(batch_records_count, "records in group commits")                                             \
    X(seals_count, "empty batches that prove the one before, each after a pause")                  \
    X(log_bytes, "bytes written to the log, padding included")                                     \
    X(checkpoints_count, "checkpoints finished")                                                   \
    X(checkpoint_failures_count, "checkpoints that failed and will be tried again")                \
    X(checkpoint_records_count, "records moved into the index")                                    \
    X(parked_count, "requests that waited for log space or overlay room")                          \
    X(refused_count, "requests refused: limits, space, busy")                                      \
    X(bad_records_count, "records whose checksum failed")                                          \
    X(newer_records_count, "records of a newer format, which are left as they are")                \
    X(miscounts_count, "partitions found to hold other records than they counted")                 \
    X(fills_count, "times that a partition began to fill for a bad record or a miscount")          \
    X(records_mended_count, "bad records replaced by what other owners have")                      \
    X(drops_count, "partitions given up that are not owned any more")                              \
    X(segments_made_count, "log segments written with zeros")                                      \
    X(segments_recycled_count, "log segments used again")                                          \
    X(overlay_records, "records newer than the index (gauge)")                                     \
    X(overlay_bytes, "bytes of the overlay (gauge)")                                               \
    X(operations_count, "superseded operations that are still recognised (gauge)")                 \
    X(operations_bytes, "memory of the table of operations (gauge)")                               \
    X(operations_s, "seconds that the table surely reaches back (gauge)")

struct engine_metrics {
#define METRIC_FIELD(name, text) uint64_t name;
    ENGINE_METRICS(METRIC_FIELD)
#undef METRIC_FIELD
};

#define NODE_METRICS(X)                                                                            \
    X(client_puts_count, "puts and deletes coordinated")                                           \
    X(client_gets_count, "gets coordinated")                                                       \
    X(client_scans_count, "scan chunks coordinated")                                               \
    X(puts_outranked_count, "plain puts stored again above what outranked them")                   \
    X(repairs_count, "states of gets sent to owners that lacked them")                             \
    X(repairs_skipped_count, "such states not sent: one of the key under way, or the rate")        \
    X(settled_count, "gets that waited until what they show was at w owners")                      \
    X(unsettled_count, "gets answered although it was not known to be")                            \
    X(forwards_count, "requests passed on to an owner")                                            \
    X(replica_writes_count, "states received from coordinators")                                   \
    X(parcels_taken_count, "states taken to be kept for owners out of reach")                      \
    X(parcels_delivered_count, "parcels confirmed by whom they were for")                          \
    X(guests_asked_count, "guests asked to stand in for an owner")                                 \
    X(replica_reads_count, "states lent to coordinators")                                          \
    X(digests_equal_count, "large states that owners need not lend: digests are equal")            \
    X(digests_apart_count, "large states asked for whole after their digest")                      \
    X(quorum_failures_count, "requests that missed their quorum")                                  \
    X(deadlines_count, "requests that passed their deadline")                                      \
    X(busy_count, "requests refused because a table was full")                                     \
    X(stale_count, "requests that carried another epoch")                                          \
    X(expired_count, "replica work dropped after its deadline")                                    \
    X(pulls_count, "pulls that ended with the other's clock")                                      \
    X(pulls_broken_count, "pulls that broke and are made again")                                   \
    X(pulled_states_count, "states brought by pulls")                                              \
    X(pulled_bytes_count, "bytes brought by pulls")                                                \
    X(lives_closed_count, "partitions in which lives of nodes that are over were closed")          \
    X(partitions_differ_count, "comparisons with equal clocks and unequal records")                \
    X(filled_count, "partitions that got whole again and vote")                                    \
    X(scrubs_count, "rounds over all records at rest")

struct node_metrics {
#define METRIC_FIELD(name, text) uint64_t name;
    NODE_METRICS(METRIC_FIELD)
#undef METRIC_FIELD
};

#define NET_METRICS(X)                                                                             \
    X(frames_in_count, "frames received")                                                          \
    X(frames_out_count, "frames sent")                                                             \
    X(bytes_in, "bytes received")                                                                  \
    X(bytes_out, "bytes sent")                                                                     \
    X(writes_count, "write calls; frames_out_count over it is the coalescing")                     \
    X(links_in_count, "inbound links open (gauge)")                                                \
    X(links_refused_count, "inbound links refused: over the limit")                                \
    X(frames_bad_count, "links closed for a bad frame or message")                                 \
    X(sends_dropped_count, "messages dropped: peer not linked or queue full")

struct net_metrics {
#define METRIC_FIELD(name, text) uint64_t name;
    NET_METRICS(METRIC_FIELD)
#undef METRIC_FIELD
};

#endif
