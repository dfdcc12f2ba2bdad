/* SPDX-License-Identifier: MIT */
#include "parse.h"

#include "descriptors/format.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- items --------------------------------------------------------------------------------------------------- */

bool parse_digits(const char *text, uint64_t limit, uint64_t *value, const char **end)
{
    if (!isdigit((unsigned char)*text)) /* strtoull accepts signs and blanks */
        return false;
    char *stop;
    errno = 0;
    unsigned long long number = strtoull(text, &stop, 10);
    *end = stop;
    *value = number;
    return !errno && number <= limit;
}

bool parse_size(const char *text, uint32_t *size)
{
    const uint64_t most = (UINT64_C(1) << 30) - 1;
    uint64_t value;
    const char *end;
    if (!parse_digits(text, most, &value, &end))
        return false;
    if (*end == 'K' || *end == 'k') {
        value *= 1024;
        end++;
    }
    *size = (uint32_t)value;
    return !*end && value && value <= most;
}

bool parse_real(const char *text, double *value)
{
    char *end;
    if (text[strspn(text, "0123456789.e-")] || *text == '-') /* strtod also accepts blanks, "inf" and "0x10" */
        return false;
    *value = strtod(text, &end);
    return !*end && end != text && isfinite(*value);
}

bool parse_type(const char *text, dmattn_type *type)
{
    for (int t = DMATTN_TYPE_F32; t <= DMATTN_TYPE_BF16; t++)
        if (!strcmp(text, dmattn_type_string((dmattn_type)t))) {
            *type = (dmattn_type)t;
            return true;
        }
    return false;
}

/* "K" or "K:random" */
static bool parse_list_length(const char *text, mask_choice *mask)
{
    static const char random[] = ":random";
    const char *colon = strchr(text, ':');
    char length[16] = "";
    mask->mask = DMATTN_MASK_SELECTED;
    mask->causal = true;
    mask->random = colon && !strcmp(colon, random);
    const size_t size = colon ? (size_t)(colon - text) : strlen(text);
    if ((colon && !mask->random) || size >= sizeof length)
        return false;
    snprintf(length, sizeof length, "%.*s", (int)size, text);
    return parse_size(length, &mask->window);
}

/* "B:K" or "B:K:random" */
static bool parse_blocks(const char *text, mask_choice *mask)
{
    uint64_t block;
    const char *end;
    if (!parse_digits(text, 4096, &block, &end) || *end != ':' || block < 2 || block & (block - 1))
        return false;
    mask->block = (uint32_t)block;
    return parse_list_length(end + 1, mask);
}

bool parse_mask(const char *text, mask_choice *mask)
{
    static const char causal[] = "causal+", dense[] = "dense:", interval[] = "interval:", topw[] = "topw:",
                      paged[] = "paged:", sliding[] = "sliding:", tokens[] = "tokens:", blocks[] = "blocks:";
    *mask = (mask_choice){0};
    if (!strcmp(text, "none"))
        return true;
    mask->causal = !strcmp(text, "causal");
    if (mask->causal)
        return true;
    if (!strcmp(text, "additive")) {
        mask->mask = DMATTN_MASK_ADDITIVE;
        return true;
    }
    mask->paged = !strcmp(text, "paged") || !strncmp(text, paged, strlen(paged));
    mask->plain = !strcmp(text, "paged:plain");
    if (mask->paged)
        return !text[strlen("paged")] || mask->plain
               || (parse_real(text + strlen(paged), &mask->fraction) && mask->fraction > 0 && mask->fraction < 1);
    mask->dynamic = !strcmp(text, "topw") || !strncmp(text, topw, strlen(topw));
    if (mask->dynamic)
        return !text[strlen("topw")] || parse_size(text + strlen(topw), &mask->window);
    mask->sliding = !strncmp(text, sliding, strlen(sliding));
    if (mask->sliding) {
        mask->mask = DMATTN_MASK_INTERVALS;
        return parse_size(text + strlen(sliding), &mask->window);
    }
    if (!strncmp(text, tokens, strlen(tokens)))
        return parse_list_length(text + strlen(tokens), mask);
    if (!strncmp(text, blocks, strlen(blocks)))
        return parse_blocks(text + strlen(blocks), mask);
    if (!strncmp(text, causal, strlen(causal))) {
        mask->causal = true;
        text += strlen(causal);
    }
    if (!strncmp(text, dense, strlen(dense))) {
        mask->mask = DMATTN_MASK_DENSE;
        return parse_real(text + strlen(dense), &mask->fraction) && mask->fraction <= 1;
    }
    mask->mask = DMATTN_MASK_INTERVALS;
    if (!strcmp(text, "interval"))
        return true;
    return !strncmp(text, interval, strlen(interval)) && parse_size(text + strlen(interval), &mask->window);
}

bool parse_level(const char *text, dmattn_level *level)
{
    for (int l = DMATTN_LEVEL_BEST; l <= DMATTN_LEVEL_MATRIX2; l++)
        if (!strcmp(text, l ? dmattn_level_string((dmattn_level)l) : "best")) {
            *level = (dmattn_level)l;
            return true;
        }
    return false;
}

static bool parse_format(const char *text, size_t length, dmattn_format *format)
{
    for (int f = DMATTN_FORMAT_F32; f <= DMATTN_FORMAT_Q4_0; f++) {
        const char *name = dmattn_format_string((dmattn_format)f);
        if (strlen(name) == length && !memcmp(name, text, length)) {
            *format = (dmattn_format)f;
            return true;
        }
    }
    return false;
}

bool parse_formats(const char *text, dmattn_format *k, dmattn_format *v)
{
    const char *plus = strchr(text, '+'), *second = plus ? plus + 1 : text;
    return parse_format(text, plus ? (size_t)(plus - text) : strlen(text), k)
           && parse_format(second, strlen(second), v);
}

bool parse_pass(const char *text, bench_pass *pass)
{
    static const bench_pass passes[] = {PASS_FORWARD, PASS_BACKWARD, PASS_BOTH,    PASS_DECODE,
                                        PASS_MASK,    PASS_MERGE,    PASS_PREFILL, PASS_SELECT};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (!strcmp(text, pass_name(passes[i]))) {
            *pass = passes[i];
            return true;
        }
    return false;
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

static bool parse_item(list_kind kind, const char *text, void *values, uint32_t index)
{
    switch (kind) {
    case LIST_SIZES: return parse_size(text, (uint32_t *)values + index);
    case LIST_TYPES: return parse_type(text, (dmattn_type *)values + index);
    case LIST_MASKS: return parse_mask(text, (mask_choice *)values + index);
    default: return parse_level(text, (dmattn_level *)values + index);
    }
}

bool parse_list(list_kind kind, const char *option, const char *text, void *values, uint32_t *count,
                char why[PARSE_WHY_SIZE])
{
    static const char *const wanted[] = {
        [LIST_SIZES] = "a size from 1 to 2^30 - 1",
        [LIST_TYPES] = "one of f32, f16 and bf16",
        [LIST_MASKS] =
            ("none, causal, additive, dense:F with F from 0 to 1, interval:W, sliding:W, topw:W, tokens:K, blocks:B:K "
             "with B a power of 2 up to 4096, paged, paged:plain or paged:F"),
        [LIST_LEVELS] = "one of best, portable, matrix and matrix2",
    };
    *count = 0;
    for (const char *next = text; next;) {
        const char *comma = strchr(next, ',');
        size_t length = comma ? (size_t)(comma - next) : strlen(next);
        char item[64];
        const size_t kept = length < sizeof item ? length : sizeof item - 1;
        memcpy(item, next, kept);
        item[kept] = '\0';
        if (*count == LIST_MAX) {
            snprintf(why, PARSE_WHY_SIZE, "--%s has more than %d values", option, LIST_MAX);
            return false;
        }
        if (length >= sizeof item || !parse_item(kind, item, values, *count)) {
            snprintf(why, PARSE_WHY_SIZE, "--%s: '%s' is not %s", option, item, wanted[kind]);
            return false;
        }
        ++*count;
        next = comma ? comma + 1 : NULL;
    }
    return true;
}

bool parse_masks(const char *text, sweep *s, char why[PARSE_WHY_SIZE])
{
    return parse_list(LIST_MASKS, "mask", text, s->mask, &s->mask_count, why);
}
