#include "bench/workload.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"

/* Shares in percent; what is neither a get nor an rmw is a put. */
struct mix {
    const char *name;
    unsigned gets, rmws;
    bool inserts;
    enum workload_distribution distribution;
};

static const struct mix mixes[] = {
    [WORKLOAD_PUT] = {"put", 0, 0, false, WORKLOAD_UNIFORM},
    [WORKLOAD_GET] = {"get", 100, 0, false, WORKLOAD_UNIFORM},
    [WORKLOAD_MIXED] = {"mixed", 50, 0, false, WORKLOAD_UNIFORM},
    [WORKLOAD_A] = {"a", 50, 0, false, WORKLOAD_ZIPFIAN},
    [WORKLOAD_B] = {"b", 95, 0, false, WORKLOAD_ZIPFIAN},
    [WORKLOAD_C] = {"c", 100, 0, false, WORKLOAD_ZIPFIAN},
    [WORKLOAD_D] = {"d", 95, 0, true, WORKLOAD_LATEST},
    [WORKLOAD_F] = {"f", 50, 50, false, WORKLOAD_ZIPFIAN},
};
#define MIX_COUNT (sizeof(mixes) / sizeof(mixes[0]))

static const char *const distributions[] = {
    [WORKLOAD_UNIFORM] = "uniform",
    [WORKLOAD_ZIPFIAN] = "zipfian",
    [WORKLOAD_LATEST] = "latest",
    [WORKLOAD_SEQUENTIAL] = "sequential",
};
#define DISTRIBUTION_COUNT (sizeof(distributions) / sizeof(distributions[0]))

static const char *const verbs[] = {
    [WORKLOAD_VERB_GET] = "get",
    [WORKLOAD_VERB_PUT] = "put",
    [WORKLOAD_VERB_RMW] = "rmw",
};

/* The sum up to here is added term by term; the rest by the Euler-Maclaurin formula, whose next
 * term is below 1e-9 from here on. */
#define ZETA_TERMS 1000

double zipf_zeta(uint64_t count)
{
    uint64_t head = count < ZETA_TERMS ? count : ZETA_TERMS;
    double sum = 0;
    for (uint64_t i = 1; i <= head; i++)
        sum += pow((double)i, -ZIPF_THETA);
    if (count == head)
        return sum;
    double a = (double)head, b = (double)count;
    double pa = pow(a, -ZIPF_THETA), pb = pow(b, -ZIPF_THETA);
    double integral = (b * pb - a * pa) / (1 - ZIPF_THETA);
    return sum + integral + (pb - pa) / 2 - ZIPF_THETA * (pb / b - pa / a) / 12;
}

void zipf_init(struct zipf *z, uint64_t count)
{
    gt_assert(count > 0);
    z->count = count;
    z->zeta = zipf_zeta(count);
    z->alpha = 1 / (1 - ZIPF_THETA);
    z->second = 1 + pow(0.5, ZIPF_THETA);
    /* With one or two ranks the first two cases of zipf_next are all there is. */
    z->eta = count <= 2
                 ? 0
                 : (1 - pow(2.0 / (double)count, 1 - ZIPF_THETA)) / (1 - zipf_zeta(2) / z->zeta);
}

uint64_t zipf_next(const struct zipf *z, struct prng *prng)
{
    double u = prng_unit(prng), scaled = u * z->zeta;
    uint64_t rank;
    if (scaled < 1)
        rank = 0;
    else if (scaled < z->second)
        rank = 1;
    else
        rank = (uint64_t)((double)z->count * pow(z->eta * u - z->eta + 1, z->alpha));
    return rank < z->count ? rank : z->count - 1;
}

/* Spreads the popular ranks over the keys. Two ranks may fall on one key, as in YCSB. */
static uint64_t scramble(uint64_t rank, uint64_t keys)
{
    uint8_t raw[8];
    le64_put(raw, rank);
    return hash_bytes(slice_of(raw, sizeof(raw))) % keys;
}

void workload_init(struct workload *w, const struct workload_settings *settings)
{
    gt_assert(settings->keys > 0 && settings->keys <= WORKLOAD_KEYS_MAX);
    gt_assert(settings->client < settings->clients);
    memset(w, 0, sizeof(*w));
    w->settings = *settings;
    /* Neighbouring seeds and clients must not share a sequence, so the two are hashed together. */
    uint8_t raw[12];
    le64_put(raw, settings->seed);
    le32_put(raw + 8, settings->client);
    prng_init(&w->prng, hash_bytes(slice_of(raw, sizeof(raw))));
    zipf_init(&w->zipf, settings->keys);
    w->position = settings->client % settings->keys;
}

static uint64_t key_next(struct workload *w, uint64_t keys)
{
    switch (w->settings.distribution) {
    case WORKLOAD_UNIFORM:
        return prng_below(&w->prng, keys);
    case WORKLOAD_ZIPFIAN:
        return scramble(zipf_next(&w->zipf, &w->prng), w->settings.keys);
    case WORKLOAD_LATEST:
        return keys - 1 - zipf_next(&w->zipf, &w->prng);
    case WORKLOAD_SEQUENTIAL: {
        uint64_t key = w->position;
        w->position = (key + w->settings.clients) % w->settings.keys;
        return key;
    }
    }
    gt_unreachable("distribution %d", w->settings.distribution);
}

void workload_next(struct workload *w, uint64_t keys, struct workload_op *op)
{
    gt_assert(keys >= w->settings.keys);
    const struct mix *mix = &mixes[w->settings.kind];
    uint64_t dice = prng_below(&w->prng, 100);
    op->verb = dice < mix->gets               ? WORKLOAD_VERB_GET
               : dice < mix->gets + mix->rmws ? WORKLOAD_VERB_RMW
                                              : WORKLOAD_VERB_PUT;
    op->insert = mix->inserts && op->verb == WORKLOAD_VERB_PUT;
    op->key = op->insert ? 0 : key_next(w, keys);
    op->value_seed = op->verb == WORKLOAD_VERB_GET ? 0 : prng_next(&w->prng);
}

int workload_kind_parse(const char *text, enum workload_kind *kind)
{
    for (size_t i = 0; i < MIX_COUNT; i++)
        if (strcmp(text, mixes[i].name) == 0) {
            *kind = (enum workload_kind)i;
            return 0;
        }
    return GT_EARG;
}

int workload_distribution_parse(const char *text, enum workload_distribution *distribution)
{
    for (size_t i = 0; i < DISTRIBUTION_COUNT; i++)
        if (strcmp(text, distributions[i]) == 0) {
            *distribution = (enum workload_distribution)i;
            return 0;
        }
    return GT_EARG;
}

const char *workload_kind_name(enum workload_kind kind)
{
    return mixes[kind].name;
}

const char *workload_distribution_name(enum workload_distribution distribution)
{
    return distributions[distribution];
}

const char *workload_verb_name(enum workload_verb verb)
{
    return verbs[verb];
}

enum workload_distribution workload_distribution_default(enum workload_kind kind)
{
    return mixes[kind].distribution;
}

bool workload_has(enum workload_kind kind, enum workload_verb verb)
{
    const struct mix *mix = &mixes[kind];
    switch (verb) {
    case WORKLOAD_VERB_GET:
        return mix->gets > 0;
    case WORKLOAD_VERB_RMW:
        return mix->rmws > 0;
    default:
        return mix->gets + mix->rmws < 100;
    }
}

bool workload_inserts(enum workload_kind kind)
{
    return mixes[kind].inserts;
}

size_t workload_key(uint64_t key, char text[WORKLOAD_KEY_BYTES])
{
    return (size_t)snprintf(text, WORKLOAD_KEY_BYTES, "key%012llu", (unsigned long long)key);
}

void workload_value(uint64_t seed, void *value, size_t bytes)
{
    struct prng prng;
    prng_init(&prng, seed);
    prng_fill(&prng, value, bytes);
}
