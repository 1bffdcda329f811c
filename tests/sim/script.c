#include "tests/sim/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/engine.h"

/*
 * The sentences. A slot in braces takes:
 *   {host}  manager, node1 ..     {who}   a client's name: small letters
 *   {any}   a host or a client    {key}   characters other than space, comma and equals sign
 *   {n}     a number              {text}  anything, up to what follows it
 * a|b is either word. The first sentence that fits is meant, so longer ones stand first.
 */
static const struct sentence {
    const char *pattern;
    enum verb verb;
} sentences[] = {
    {"seed {n}", VERB_SEED},
    {"states above {n} bytes go in pieces", VERB_PIECES},
    {"there are {n} managers", VERB_MANAGERS},
    {"cluster of {n} node|nodes, {n} copy|copies, R={n}, W={n}", VERB_CLUSTER},
    {"cluster of {n} node|nodes, {n} copy|copies, R={n}, W={n}, {n} partition|partitions",
     VERB_CLUSTER},
    {"cluster of {n} node|nodes, {n} copy|copies, profile course", VERB_CLUSTER},
    {"{host} is killed when its next write is synced, before it says so", VERB_KILL_AFTER_SYNC},
    {"{host} is killed", VERB_KILL},
    {"{host} loses power", VERB_POWER},
    {"{host} is stopped", VERB_STOP},
    {"{host} starts", VERB_START},
    {"{host} stands still", VERB_STAND_STILL},
    {"{host} goes on", VERB_GO_ON},
    {"all nodes lose power", VERB_POWER_ALL},
    {"all nodes start", VERB_START_ALL},
    {"nobody reaches {any}", VERB_NOBODY_REACHES},
    {"{any} does not hear {any}", VERB_DEAF},
    {"{any} and {any} are cut off from one another", VERB_CUT},
    {"{any} is cut off from everybody", VERB_ALONE},
    {"the network heals", VERB_HEAL},
    {"{any} hears of no new map", VERB_MAP_DEAF},
    {"{any} hears of maps again", VERB_MAP_HEARS},
    {"a person drains {host}", VERB_DRAIN},
    {"a person sets the capacity of {host} to {n} percent", VERB_CAPACITY},
    {"a person begins a rebalance", VERB_REBALANCE},
    {"a person cancels the rebalance", VERB_REBALANCE_END},
    {"copies of what {host} sends to {host} are kept", VERB_COPIES_KEEP},
    {"no more copies are kept", VERB_COPIES_END},
    {"the copies arrive", VERB_COPIES_ARRIVE},
    {"the disk of {host} is full", VERB_DISK_FULL},
    {"the disk of {host} has room", VERB_DISK_ROOM},
    {"the next sync of {host} fails", VERB_SYNC_FAILS},
    {"the disk of {host} is copied", VERB_DISK_COPIED},
    {"the disk of {host} is put back as it was copied", VERB_DISK_PUT_BACK},
    {"the disk of {host} is lost", VERB_DISK_LOST},
    {"the end of the log of {host} is damaged", VERB_LOG_END_BAD},
    {"a bit of {key} flips at {host}", VERB_FLIP},
    {"the record of {key} is gone at {host}", VERB_RECORD_GONE},
    {"the clock of {host} is {n} s behind", VERB_CLOCK_BEHIND},
    {"the clock of {host} is {n} s ahead", VERB_CLOCK_AHEAD},
    {"the clock of {host} is right", VERB_CLOCK_RIGHT},
    {"{who} puts {key} = {text}, {n} times, having seen what she|he|they read", VERB_PUT_TIMES},
    {"{who} puts {key} = {text}, with guests, {n} times", VERB_PUT_TIMES},
    {"{who} puts {key} = {text}, with guests", VERB_PUT},
    {"{who} puts {key} = {text}, {n} times", VERB_PUT_TIMES},
    {"{who} puts {key} = {text}, having seen what she|he|they read", VERB_PUT},
    {"{who} puts {key} = {text}", VERB_PUT},
    {"{who} deletes {key}, having seen what she|he|they read", VERB_DELETE},
    {"{who} deletes {key}, with guests", VERB_DELETE},
    {"{who} deletes {key}", VERB_DELETE},
    {"{who} begins to put {key} = {text}, having seen what she|he|they read", VERB_BEGIN_PUT},
    {"{who} begins to put {key} = {text}, with guests", VERB_BEGIN_PUT},
    {"{who} begins to put {key} = {text}", VERB_BEGIN_PUT},
    {"{who} begins to delete {key}, having seen what she|he|they read", VERB_BEGIN_DELETE},
    {"{who} begins to delete {key}", VERB_BEGIN_DELETE},
    {"{who} begins to get {key}", VERB_BEGIN_GET},
    {"{who} hears", VERB_HEAR},
    {"{who} gets all of {key}", VERB_GET_ALL},
    {"{who} gets {key} from whoever answers", VERB_GET_AVAILABLE},
    {"{who} gets {key} from one owner", VERB_GET_ONE},
    {"{who} gets {key}", VERB_GET},
    {"wait {n} s", VERB_WAIT_S},
    {"wait {n} ms", VERB_WAIT_MS},
    {"wait until all is quiet", VERB_WAIT_QUIET},
    {"what is where: {key}", VERB_WHERE},
    {"all owners of {key} are equal", VERB_EQUAL},
    {"who owns {key}", VERB_OWNERS},
    {"who keeps parcels", VERB_PARCELS},
    {"{who}'s map", VERB_MAP},
    {"status", VERB_STATUS},
    {"who leads", VERB_LEADER},
    {"verify", VERB_VERIFY},
    {"what is in quarantine", VERB_QUARANTINE},
};

/* ---- matching -------------------------------------------------------------------------------- */

/* What the slots of a sentence took, in order. */
struct match {
    struct slice names[2]; /* host, who, any */
    uint32_t name_count;
    uint64_t numbers[5];
    uint32_t number_count;
    struct slice key, text;
};

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool in_name(char c)
{
    return is_small(c) || is_digit(c);
}

static bool in_key(char c)
{
    return c != ' ' && c != ',' && c != '=' && (unsigned char)c > 0x20;
}

static size_t run_of(const char *at, const char *end, bool (*in)(char c))
{
    size_t bytes = 0;
    while (at + bytes < end && in(at[bytes]))
        bytes++;
    return bytes;
}

static bool matches(const char *pattern, const char *at, const char *end, struct match *m);

/* The text ends where what follows it fits, as late as possible. */
static bool text_matches(const char *rest, const char *at, const char *end, struct match *m)
{
    for (const char *to = end; to > at; to--) {
        struct match trial = *m;
        trial.text = slice_of(at, (size_t)(to - at));
        if (matches(rest, to, end, &trial)) {
            *m = trial;
            return true;
        }
    }
    return false;
}

/* Nine digits are more than any number here may have. */
static bool number_take(struct match *m, const char *at, size_t bytes)
{
    uint64_t number = 0;
    if (bytes > 9 || m->number_count == 5)
        return false;
    for (size_t i = 0; i < bytes; i++)
        number = number * 10 + (uint64_t)(at[i] - '0');
    m->numbers[m->number_count++] = number;
    return true;
}

static bool slot_matches(const char *slot, const char *rest, const char *at, const char *end,
                         struct match *m)
{
    bool (*in)(char c) = *slot == 'k' ? in_key : *slot == 'n' ? is_digit : in_name;
    if (*slot == 't')
        return text_matches(rest, at, end, m);
    size_t bytes = run_of(at, end, in);
    if (bytes == 0 || (*slot == 'n' && !number_take(m, at, bytes)))
        return false;
    if (*slot == 'k')
        m->key = slice_of(at, bytes);
    else if (*slot != 'n')
        m->names[m->name_count++] = slice_of(at, bytes);
    return matches(rest, at + bytes, end, m);
}

/* One of the words of a|b, with whatever follows them. */
static bool word_matches(const char *words, const char *rest, const char *at, const char *end,
                         struct match *m)
{
    while (words < rest) {
        size_t bytes = strcspn(words, "| ,");
        if ((size_t)(end - at) >= bytes && memcmp(words, at, bytes) == 0) {
            struct match trial = *m;
            if (matches(rest, at + bytes, end, &trial)) {
                *m = trial;
                return true;
            }
        }
        words += bytes + 1;
    }
    return false;
}

static bool matches(const char *pattern, const char *at, const char *end, struct match *m)
{
    if (*pattern == 0)
        return at == end;
    if (*pattern == '{')
        return slot_matches(pattern + 1, strchr(pattern, '}') + 1, at, end, m);
    if (is_small(*pattern)) {
        size_t bytes = strcspn(pattern, " ,{:=");
        if (memchr(pattern, '|', bytes))
            return word_matches(pattern, pattern + bytes, at, end, m);
    }
    return at < end && *at == *pattern && matches(pattern + 1, at + 1, end, m);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    struct script *script;
    struct script_error *error;
    uint32_t nodes; /* of the cluster; 0 before there is one */
    uint32_t managers;
    bool command_above;
    bool waits[SCRIPT_CLIENTS_MAX]; /* has begun a call and not heard of it */
    /* What each client has read all of, to be seen by a write: keys in the text. */
    struct slice read[SCRIPT_CLIENTS_MAX][32];
    uint32_t read_count[SCRIPT_CLIENTS_MAX];
};

__attribute__((format(printf, 2, 3))) static int wrong(struct reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->error->text, sizeof(r->error->text), format, args);
    va_end(args);
    return GT_EARG;
}

static const char *name_of(const struct reading *r, uint32_t client)
{
    return r->script->clients[client];
}

static bool slice_is(struct slice s, const char *text)
{
    return slice_equal(s, slice_text(text));
}

/* The slot's kind says what may stand there. */
static int client_find(struct reading *r, struct slice name, struct who *out)
{
    struct script *s = r->script;
    static const char *const taken[] = {"manager", "nobody", "everybody", "all",
                                        "the",     "status", "verify"};
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        if (slice_is(name, taken[i]))
            return wrong(r, "\"%s\" is no name for a client", taken[i]);
    if (name.bytes >= sizeof(s->clients[0]) ||
        run_of((const char *)name.data, (const char *)name.data + name.bytes, is_small) !=
            name.bytes)
        return wrong(r, "\"%.*s\" is no name for a client: up to 15 small letters",
                     (int)(name.bytes < 40 ? name.bytes : 40), (const char *)name.data);
    out->kind = WHO_CLIENT;
    for (out->number = 0; out->number < s->client_count; out->number++)
        if (slice_is(name, s->clients[out->number]))
            return 0;
    if (s->client_count == SCRIPT_CLIENTS_MAX)
        return wrong(r, "%.*s is one client too many: %d are possible", (int)name.bytes,
                     (const char *)name.data, SCRIPT_CLIENTS_MAX);
    memcpy(s->clients[s->client_count++], name.data, name.bytes);
    return 0;
}

static bool is_node(struct slice name)
{
    return name.bytes > 4 && memcmp(name.data, "node", 4) == 0 && is_digit((char)name.data[4]);
}

static int host_find(struct reading *r, struct slice name, struct who *out)
{
    *out = (struct who){WHO_MANAGER, 0};
    if (slice_is(name, "manager"))
        return 0;
    if (slice_is(name, "manager2") && r->managers == 2) {
        out->number = 1;
        return 0;
    }
    if (!is_node(name))
        return wrong(r, "\"%.*s\" is neither the manager nor a node",
                     (int)(name.bytes < 40 ? name.bytes : 40), (const char *)name.data);
    out->kind = WHO_NODE;
    out->number = name.bytes == 5 ? (uint32_t)(name.data[4] - '0') : 0;
    if (out->number < 1 || out->number > r->nodes)
        return wrong(r, "there is no %.*s: the cluster has node1 to node%u",
                     (int)(name.bytes < 40 ? name.bytes : 40), (const char *)name.data, r->nodes);
    return 0;
}

/* The names of a match, by the slots of its sentence. */
static int names_find(struct reading *r, const char *pattern, const struct match *m,
                      struct command *c)
{
    uint32_t count = 0;
    for (const char *slot = strchr(pattern, '{'); slot; slot = strchr(slot + 1, '{')) {
        int error = 0;
        if (strncmp(slot, "{n}", 3) == 0 || slot[1] == 'k' || slot[1] == 't')
            continue;
        struct slice name = m->names[count];
        bool host = slot[1] == 'h' ||
                    (slot[1] == 'a' &&
                     (slice_is(name, "manager") || slice_is(name, "manager2") || is_node(name)));
        error = host ? host_find(r, name, &c->who[count]) : client_find(r, name, &c->who[count]);
        if (error)
            return error;
        count++;
    }
    return 0;
}

static int cluster_check(struct reading *r, const struct match *m, struct command *c)
{
    char why[128];
    if (r->nodes > 0)
        return wrong(r, "the cluster is there already");
    if (m->numbers[0] < 1 || m->numbers[0] > SCRIPT_NODES_MAX)
        return wrong(r, "a cluster has 1 to %d nodes", SCRIPT_NODES_MAX);
    if (m->numbers[1] > m->numbers[0])
        return wrong(r, "%llu copies need as many nodes", (unsigned long long)m->numbers[1]);
    c->nodes = r->nodes = (uint32_t)m->numbers[0];
    uint64_t partitions = m->number_count > 4 ? m->numbers[4] : 16;
    if (partitions < 1 || partitions > PARTITIONS_MAX)
        return wrong(r, "a cluster has 1 to %u partitions", PARTITIONS_MAX);
    c->settings = (struct settings){.replicas = (uint32_t)m->numbers[1],
                                    .read_quorum = (uint32_t)m->numbers[2],
                                    .write_quorum = (uint32_t)m->numbers[3],
                                    .partitions = (uint32_t)partitions,
                                    .form_nodes = r->nodes,
                                    .value_bytes_max = VALUE_BYTES_DEFAULT};
    if (m->number_count == 2) { /* profile course */
        c->settings.profile = PROFILE_COURSE;
        c->settings.read_quorum = 1;
        c->settings.write_quorum = c->settings.replicas;
    }
    return settings_check(&c->settings, why) == 0 ? 0 : wrong(r, "%s", why);
}

static bool has_read(const struct reading *r, uint32_t client, struct slice key)
{
    for (uint32_t i = 0; i < r->read_count[client]; i++)
        if (slice_equal(r->read[client][i], key))
            return true;
    return false;
}

static int read_note(struct reading *r, uint32_t client, struct slice key)
{
    if (has_read(r, client, key))
        return 0;
    if (r->read_count[client] == sizeof(r->read[0]) / sizeof(*r->read[0]))
        return wrong(r, "%s has read too many keys", name_of(r, client));
    r->read[client][r->read_count[client]++] = key;
    return 0;
}

/* One call at a time; what was seen must have been read. */
static int call_check(struct reading *r, const struct command *c)
{
    uint32_t client = c->who[0].number;
    const char *name = name_of(r, client);
    if (c->verb == VERB_HEAR && !r->waits[client])
        return wrong(r, "%s has begun nothing to hear of", name);
    if (c->verb != VERB_HEAR && r->waits[client])
        return wrong(r, "%s waits for an answer: \"%s hears\" comes first", name, name);
    if (c->seen && !has_read(r, client, c->key))
        return wrong(r, "%s has not read all of %.*s before", name, (int)c->key.bytes,
                     (const char *)c->key.data);
    r->waits[client] =
        c->verb == VERB_BEGIN_PUT || c->verb == VERB_BEGIN_DELETE || c->verb == VERB_BEGIN_GET;
    return c->verb == VERB_GET_ALL ? read_note(r, client, c->key) : 0;
}

static int command_check(struct reading *r, const struct match *m, struct command *c)
{
    if (c->key.bytes > KEY_BYTES_MAX)
        return wrong(r, "a key of %zu bytes; the limit is %d", c->key.bytes, KEY_BYTES_MAX);
    if (c->verb == VERB_SEED)
        return r->nodes > 0 ? wrong(r, "the seed comes before the cluster") : 0;
    if (c->verb == VERB_MANAGERS) {
        r->managers = (uint32_t)c->number;
        return r->nodes > 0 || c->number < 1 || c->number > 2
                   ? wrong(r, "1 or 2 managers are possible, before the cluster")
                   : 0;
    }
    if (c->verb == VERB_PIECES)
        return r->nodes > 0 ? wrong(r, "how large pieces are comes before the cluster") : 0;
    if (c->verb == VERB_CLUSTER)
        return cluster_check(r, m, c);
    if (r->nodes == 0)
        return wrong(r, "a story begins with its cluster: \"cluster of 3 nodes, 3 copies, R=2, "
                        "W=2\"");
    if ((c->verb == VERB_CUT || c->verb == VERB_DEAF || c->verb == VERB_COPIES_KEEP) &&
        c->who[0].kind == c->who[1].kind && c->who[0].number == c->who[1].number)
        return wrong(r, "one and the same");
    if (c->verb == VERB_PUT_TIMES && (c->number < 1 || c->number > 1000))
        return wrong(r, "1 to 1000 times are possible");
    if (c->verb >= VERB_CLOCK_BEHIND && c->number > SCRIPT_WAIT_S_MAX * 1000ull)
        return wrong(r, "so long a time is not possible");
    return c->verb >= VERB_PUT && c->verb <= VERB_HEAR ? call_check(r, c) : 0;
}

static int command_read(struct reading *r, struct line *line)
{
    const char *at = (const char *)line->text.data, *end = at + line->text.bytes;
    for (size_t i = 0; i < sizeof(sentences) / sizeof(*sentences); i++) {
        const struct sentence *sentence = &sentences[i];
        struct match m = {0};
        if (!matches(sentence->pattern, at, end, &m))
            continue;
        struct command *c = &line->command;
        *c = (struct command){.verb = sentence->verb,
                              .key = m.key,
                              .value = m.text,
                              .number = m.numbers[0],
                              .seen = strstr(sentence->pattern, "having seen"),
                              .guests = strstr(sentence->pattern, "with guests")};
        int error = 0;
        if (m.name_count > 0 && r->nodes > 0)
            error = names_find(r, sentence->pattern, &m, c);
        return error ? error : command_check(r, &m, c);
    }
    return wrong(r, "this is no command: %.*s",
                 (int)(line->text.bytes < 100 ? line->text.bytes : 100), at);
}

static int line_read(struct reading *r, struct line *line)
{
    struct slice t = line->text;
    if (t.bytes == 0 || t.data[0] == '#') {
        line->kind = LINE_PLAIN;
        return 0;
    }
    if (t.bytes > 2 && t.data[0] == ' ' && t.data[1] == ' ' && t.data[2] != ' ') {
        line->kind = LINE_EXPECTED;
        return r->command_above ? 0 : wrong(r, "what happened stands below a command");
    }
    if (t.data[0] == ' ' || t.data[0] == '\t')
        return wrong(r, "a command begins in the first column, what happened behind two spaces");
    line->kind = LINE_COMMAND;
    r->command_above = true;
    return command_read(r, line);
}

int script_read(struct script *s, struct slice text, struct script_error *error)
{
    struct reading r = {.script = s, .error = error};
    *s = (struct script){0};
    const uint8_t *at = text.data, *end = at + text.bytes;
    int result = 0;
    error->line = 1;
    if (text.bytes > SCRIPT_BYTES_MAX || (text.bytes && memchr(at, 0, text.bytes)))
        result = wrong(&r, "this is no story: too long, or no text");
    for (uint32_t capacity = 0; !result && at < end; s->line_count++) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *to = newline ? newline : end;
        if (s->line_count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            s->lines = realloc(s->lines, capacity * sizeof(*s->lines));
            gt_assert(s->lines);
        }
        s->lines[s->line_count] = (struct line){.text = slice_of(at, (size_t)(to - at))};
        error->line = s->line_count + 1;
        result = line_read(&r, &s->lines[s->line_count]);
        at = newline ? newline + 1 : end;
    }
    if (!result && r.nodes == 0)
        result = wrong(&r, "the story has no cluster");
    if (result)
        script_close(s);
    return result;
}

void script_close(struct script *s)
{
    free(s->lines);
    *s = (struct script){0};
}
