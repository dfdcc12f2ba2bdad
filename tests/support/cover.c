/* SPDX-License-Identifier: MIT */
#include "cover.h"

#include <stdlib.h>

#define VALUES   256
#define PAIRED   6
#define SINGLES  ((size_t)COVER_TRAITS * VALUES)
#define FEATURES (SINGLES + (size_t)PAIRED * PAIRED * 64 * 64)

void cover_add(cover_traits *t, unsigned value)
{
    if (t->count == COVER_TRAITS || value >= VALUES)
        abort();
    t->value[t->count++] = (uint8_t)value;
}

void cover_add_kernel(cover_traits *t, uint64_t value)
{
    t->kernel = (t->kernel ^ value) * 1099511628211u;
}

/* Calls `each` with the number of every value and pair of a case. Returns the sum of the results. */
static size_t each_feature(const cover_traits *t, size_t (*each)(unsigned char *covered), unsigned char *covered)
{
    size_t sum = 0;
    for (unsigned i = 0; i < t->count; i++)
        sum += each(&covered[i * VALUES + t->value[i]]);
    for (unsigned i = 0; i < t->paired; i++)
        for (unsigned j = 0; j < i; j++)
            sum += each(&covered[SINGLES + ((i * PAIRED + j) * 64 + t->value[i] % 64) * 64 + t->value[j] % 64]);
    return sum;
}

static size_t is_new(unsigned char *covered)
{
    return !*covered;
}

static size_t cover(unsigned char *covered)
{
    const size_t new = !*covered;
    *covered = 1;
    return new;
}

void cover_choose(const cover_traits *cases, size_t count, bool *chosen)
{
    unsigned char *covered = calloc(FEATURES, 1);
    if (!covered)
        abort();
    for (size_t i = 0; i < count; i++)
        chosen[i] = false;
    for (;;) {
        size_t best = count, most = 0;
        for (size_t i = 0; i < count; i++) {
            const size_t more = each_feature(&cases[i], is_new, covered);
            if (more > most) {
                most = more;
                best = i;
            }
        }
        if (best == count)
            break;
        chosen[best] = true;
        each_feature(&cases[best], cover, covered);
    }
    free(covered);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count && !chosen[i]; j++)
            chosen[i] = chosen[j] && cases[i].kernel == cases[j].kernel;
}

size_t cover_missing(const cover_traits *cases, size_t count, const bool *chosen)
{
    unsigned char *covered = calloc(FEATURES, 1);
    size_t missing = 0;
    if (!covered)
        abort();
    for (size_t i = 0; i < count; i++)
        if (chosen[i])
            each_feature(&cases[i], cover, covered);
    for (size_t i = 0; i < count; i++)
        missing += each_feature(&cases[i], cover, covered);
    free(covered);
    return missing;
}
