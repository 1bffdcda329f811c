/*
 * What the files of the manager share: its struct.
 */
#ifndef GT_MANAGER_PRIVATE_H
#define GT_MANAGER_PRIVATE_H

#include "manager/catalog.h"
#include "manager/manager.h"
#include "manager/status.h"

#define TAG_PORT             2
#define HEARTBEAT_US_DEFAULT 500000u
#define RETRY_US             1000000u /* after a map that could not be written */

/* An inbound connection whose HELLO was accepted. */
struct greeted {
    uint64_t link, node; /* node: 0 for a client */
    uint64_t incarnation;
    bool registered; /* gets pushed maps */
};

/* A REGISTER that waits for its map to be durable. A node waits once: a newer one replaces it. */
enum waiting_stage { WAITING_NOT, WAITING_IN_DRAFT, WAITING_IN_WRITE };
struct waiting {
    enum waiting_stage stage;
    uint64_t link, id;
};

/* Another life of a member says hello while one is linked: since when. */
struct rival {
    uint64_t incarnation, since_us;
};

struct manager {
    struct log *log;
    struct events *events;
    struct catalog catalog;
    struct engine_identity identity;
    struct settings settings;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    bool cluster_id_durable;
    uint64_t form_after_us, heartbeat_us, reap_wait_us;
    uint16_t port_to_store; /* 0: none */
    uint64_t start_us;      /* silence is counted from here */
    uint64_t last_join_us, retry_us;
    struct hlc clock;
    struct greeted *greeted;
    uint32_t greeted_count;
    /* By member index, which is the same in every map: members are only ever added at the end. */
    struct sighting sightings[MEMBERS_MAX];
    struct waiting waiting[MEMBERS_MAX];
    struct rival rivals[MEMBERS_MAX];
};

#endif
