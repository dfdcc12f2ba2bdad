/* SPDX-License-Identifier: MIT
 * Parses the values of options. Pure functions. */
#ifndef DMATTN_BENCH_PARSE_H
#define DMATTN_BENCH_PARSE_H

#include "cases.h"

/* A decimal number from 0 to `limit`; *end receives the position after it. */
bool parse_digits(const char *text, uint64_t limit, uint64_t *value, const char **end);

/* A finite decimal number; the whole text. */
bool parse_real(const char *text, double *value);

/* One item of a list. */
bool parse_size(const char *text, uint32_t *size); /* 1 to 2^30 - 1; "16K" is 16384 */
bool parse_type(const char *text, dmattn_type *type);
bool parse_mask(const char *text, mask_choice *mask);
bool parse_level(const char *text, dmattn_level *level);

bool parse_formats(const char *text, dmattn_format *k, dmattn_format *v); /* "int8", or for k and v "q8_0+q4_0" */
bool parse_pass(const char *text, bench_pass *pass);

/* Lists, separated by commas, of at most LIST_MAX items. On false, `why` says what is wrong and names the option. */
#define PARSE_WHY_SIZE 256
typedef enum list_kind { LIST_SIZES, LIST_TYPES, LIST_MASKS, LIST_LEVELS } list_kind;
bool parse_list(list_kind kind, const char *option, const char *text, void *values, uint32_t *count,
                char why[PARSE_WHY_SIZE]);
bool parse_masks(const char *text, sweep *s, char why[PARSE_WHY_SIZE]);

#endif
