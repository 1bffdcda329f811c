#include "engine/base/units.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/error.h"

/* A plain decimal number (no sign, no exponent, no hexadecimal) at the head of text. */
static int number_head(const char *text, double *value, const char **rest)
{
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits > 30 || !isdigit((unsigned char)text[0]))
        return GT_EARG;
    char copy[32], *end;
    memcpy(copy, text, digits);
    copy[digits] = 0;
    *value = strtod(copy, &end);
    if (*end)
        return GT_EARG;
    *rest = text + digits;
    return 0;
}

struct unit {
    const char *name;
    double factor;
};

static int with_unit(const char *text, const struct unit *units, uint64_t *result)
{
    double value;
    const char *rest;
    if (number_head(text, &value, &rest) != 0)
        return GT_EARG;
    for (const struct unit *u = units; u->name; u++)
        if (strcasecmp(u->name, rest) == 0) {
            double scaled = value * u->factor;
            /* A double would round a whole number above 2^53. */
            size_t digits = (size_t)(rest - text);
            if (u->factor == 1 && !memchr(text, '.', digits) && scaled < 0x1p63) {
                *result = strtoull(text, NULL, 10);
                return 0;
            }
            if (scaled >= 0x1p63)
                return GT_EARG;
            *result = (uint64_t)llround(scaled);
            return 0;
        }
    return GT_EARG;
}

int units_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},         {"b", 1},       {"k", 0x1p10},   {"kb", 0x1p10},  {"kib", 0x1p10},
        {"m", 0x1p20},   {"mb", 0x1p20}, {"mib", 0x1p20}, {"g", 0x1p30},   {"gb", 0x1p30},
        {"gib", 0x1p30}, {"t", 0x1p40},  {"tb", 0x1p40},  {"tib", 0x1p40}, {NULL, 0},
    };
    return with_unit(text, units, bytes);
}

int units_duration(const char *text, uint64_t *us)
{
    static const struct unit units[] = {
        {"", 1e6},   {"s", 1e6},    {"ms", 1e3},    {"us", 1},
        {"m", 60e6}, {"h", 3600e6}, {"d", 86400e6}, {NULL, 0},
    };
    return with_unit(text, units, us);
}

int units_number(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
    static const char highest[] = "18446744073709551615";
    size_t bytes = strlen(text), most = sizeof(highest) - 1;
    if (bytes == 0 || strspn(text, "0123456789") != bytes || bytes > most ||
        (bytes == most && strcmp(text, highest) > 0))
        return GT_EARG;
    uint64_t v = strtoull(text, NULL, 10);
    if (v < low || v > high)
        return GT_EARG;
    *number = v;
    return 0;
}

int units_real(const char *text, double low, double high, double *number)
{
    double v;
    const char *rest;
    if (number_head(text, &v, &rest) != 0 || *rest || v < low || v > high)
        return GT_EARG;
    *number = v;
    return 0;
}

static int address_from(const char *text, size_t bytes, struct address *address)
{
    const char *host = text, *host_end, *colon;
    if (bytes > 0 && text[0] == '[') {
        host = text + 1;
        host_end = memchr(text, ']', bytes);
        if (!host_end)
            return GT_EARG;
        colon = host_end + 1;
    } else {
        host_end = colon = memchr(text, ':', bytes);
        if (!colon)
            return GT_EARG;
    }
    size_t host_bytes = (size_t)(host_end - host);
    if (colon >= text + bytes || *colon != ':' || host_bytes == 0 || host_bytes >= UNITS_HOST_BYTES)
        return GT_EARG;
    for (size_t i = 0; i < host_bytes; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr(".-_:%", host[i]))
            return GT_EARG;
    char port_text[8] = {0};
    size_t port_bytes = (size_t)(text + bytes - colon - 1);
    uint64_t port;
    if (port_bytes == 0 || port_bytes >= sizeof(port_text))
        return GT_EARG;
    memcpy(port_text, colon + 1, port_bytes);
    if (units_number(port_text, 0, 65535, &port) != 0)
        return GT_EARG;
    memset(address, 0, sizeof(*address));
    memcpy(address->host, host, host_bytes);
    address->port = (uint16_t)port;
    return 0;
}

int units_address(const char *text, struct address *address)
{
    return address_from(text, strlen(text), address);
}

int units_addresses(const char *text, struct address *addresses, size_t capacity)
{
    size_t count = 0;
    for (;;) {
        size_t bytes = strcspn(text, ",");
        if (count == capacity)
            return GT_ELIMIT;
        if (address_from(text, bytes, &addresses[count]) != 0)
            return GT_EARG;
        count++;
        if (!text[bytes])
            return (int)count;
        text += bytes + 1;
    }
}

const char *units_address_text(const struct address *address, char text[UNITS_ADDRESS_BYTES])
{
    const char *format = strchr(address->host, ':') ? "[%s]:%u" : "%s:%u";
    snprintf(text, UNITS_ADDRESS_BYTES, format, address->host, address->port);
    return text;
}

int units_label_check(const char *label)
{
    size_t bytes = strlen(label);
    if (bytes == 0 || bytes >= UNITS_LABEL_BYTES || !isalnum((unsigned char)label[0]))
        return GT_EARG;
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)label[i]) && !strchr("._-", label[i]))
            return GT_EARG;
    return 0;
}

const char *units_size_text(uint64_t bytes, char text[32])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", value, names[unit]);
    return text;
}
