/* SPDX-License-Identifier: MIT
 * The input of a fuzz target as a source of choices: numbers, sizes and strides. */
#ifndef DMATTN_FUZZ_CHOICES_H
#define DMATTN_FUZZ_CHOICES_H

#include <dmattn/dmattn.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* How the sizes of a descriptor are chosen. */
typedef enum size_kinds { SIZES_SMALL, SIZES_LARGE, SIZES_WILD } size_kinds;
extern size_kinds size_kind;

/* Makes `data` the source, and chooses size_kind. When the data is used up, pseudorandom numbers follow from it. */
void choices_begin(const uint8_t *data, size_t bytes);

/* A number from 0 to n - 1. */
uint32_t below(uint32_t n);

/* True with a probability of 1 / n. */
bool once_in(uint32_t n);
bool flip(void);

/* Any number, often one near a limit. */
uint32_t wild_32(void);
uint64_t wild_64(void);
float wild_float(void);

/* A size; one from 1 to 200; a head_dim or value_dim, which is seldom invalid. */
uint32_t any_size(void);
uint32_t small_size(void);
uint32_t dimension(void);

/* A value of an enum with `count` values, or an invalid value. */
int value_of(int count);

/* Strides of a tensor with these extents: contiguous, with gaps, in another order, or any. */
dmattn_strides any_strides(uint32_t sequence, uint32_t heads, uint32_t dim);

#endif
