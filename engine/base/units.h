/*
 * Reading and writing what people type: sizes, durations, addresses, labels.
 */
#ifndef GT_ENGINE_BASE_UNITS_H
#define GT_ENGINE_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* "4096", "64KiB", "64MiB", "1GiB", "1TiB" (also k, M, G, T, kB, MB, GB, TB, all of them powers of
 * 1024, case ignored) to bytes. 0 or GT_EARG. */
int units_size(const char *text, uint64_t *bytes);
/* "5" and "5s" (seconds), "250ms", "100us", "10m", "2h", "7d", fractions allowed ("1.5s"), to
 * microseconds. 0 or GT_EARG. */
int units_duration(const char *text, uint64_t *us);
/* A whole decimal number in [low, high]. 0 or GT_EARG. */
int units_number(const char *text, uint64_t low, uint64_t high, uint64_t *number);
/* A decimal fraction in [low, high]. 0 or GT_EARG. */
int units_real(const char *text, double low, double high, double *number);

#define UNITS_HOST_BYTES 254 /* with the final NUL */

struct address {
    char host[UNITS_HOST_BYTES]; /* a name, an IPv4 or an IPv6 address without brackets */
    uint16_t port;
};

/* "host:port", "1.2.3.4:5", "[::1]:5" to an address. 0 or GT_EARG. Port 0 is allowed. */
int units_address(const char *text, struct address *address);
/* "host:port,host:port": at most `capacity` addresses; the count, or GT_EARG or GT_ELIMIT. */
int units_addresses(const char *text, struct address *addresses, size_t capacity);
#define UNITS_ADDRESS_BYTES (UNITS_HOST_BYTES + 10)
/* "host:port", with brackets around an IPv6 address. Returns text. */
const char *units_address_text(const struct address *address, char text[UNITS_ADDRESS_BYTES]);

/* 1..63 characters of [A-Za-z0-9._-], first one a letter or digit: 0, or GT_EARG. */
int units_label_check(const char *label);
#define UNITS_LABEL_BYTES 64 /* with the final NUL */

/* "1.5 MiB", "640 B". Returns text. */
const char *units_size_text(uint64_t bytes, char text[32]);

#endif
