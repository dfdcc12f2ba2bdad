/* SPDX-License-Identifier: MIT */
#include "choices.h"

#include <math.h>

static const uint8_t *input;
static size_t input_left;
static uint64_t random_state;

void choices_begin(const uint8_t *data, size_t bytes)
{
    input = data;
    input_left = bytes;
    random_state = bytes;
    for (size_t i = 0; i < bytes; i++)
        random_state = (random_state ^ data[i]) * UINT64_C(0x100000001b3);
    const uint32_t choice = below(10);
    size_kind = choice < 5 ? SIZES_SMALL : choice < 8 ? SIZES_LARGE : SIZES_WILD;
}

/* After the input's end, returns pseudorandom numbers that follow from the input. */
static uint64_t bits(unsigned bytes)
{
    uint64_t value = 0;
    if (input_left >= bytes) {
        for (unsigned i = 0; i < bytes; i++)
            value = value << 8 | input[i];
        input += bytes;
        input_left -= bytes;
        return value;
    }
    random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    value = (random_state ^ random_state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint32_t below(uint32_t n)
{
    return (uint32_t)(bits(n <= 256 ? 1 : 4) % n);
}

bool once_in(uint32_t n)
{
    return below(n) == 0;
}

bool flip(void)
{
    return below(2);
}

size_kinds size_kind;

uint32_t wild_32(void)
{
    static const uint32_t edges[] = {0,
                                     1,
                                     31,
                                     32,
                                     255,
                                     256,
                                     4096,
                                     65535,
                                     65536,
                                     1u << 24,
                                     (1u << 28) - 1,
                                     1u << 28,
                                     (1u << 30) - 1,
                                     1u << 30,
                                     0x7fffffff,
                                     0x80000000u,
                                     0xffffffffu};
    switch (below(3)) {
    case 0: return (uint32_t)bits(4);
    case 1: return 1u << below(32);
    default: return edges[below(COUNT(edges))];
    }
}

uint64_t wild_64(void)
{
    static const uint64_t edges[] = {
        0, 1, 8, 1ull << 31, 1ull << 32, 1ull << 58, 1ull << 60, (1ull << 60) - 8, 1ull << 62, 1ull << 63, ~0ull};
    switch (below(3)) {
    case 0: return bits(8);
    case 1: return 1ull << below(64);
    default: return edges[below(COUNT(edges))];
    }
}

float wild_float(void)
{
    static const float edges[] = {0, -0.0f, 1, -1, 0.5f, 1e-30f, 1e30f, 3.4e38f, 1e-45f, INFINITY, -INFINITY, NAN};
    return edges[below(COUNT(edges))];
}

uint32_t small_size(void)
{
    return 1 + below(once_in(3) ? 200 : 9);
}

uint32_t any_size(void)
{
    if (size_kind == SIZES_WILD)
        return wild_32();
    if (size_kind == SIZES_SMALL || flip())
        return small_size();
    const uint32_t power = 1u << below(30);
    return once_in(3) ? power + ((uint32_t)bits(4) & (power - 1)) : power;
}

uint32_t dimension(void)
{
    return once_in(size_kind == SIZES_WILD ? 2 : 40) ? wild_32() : 8 * (1 + below(32));
}

int value_of(int count)
{
    static const int wrong[] = {-1, 3, 4, 5, 99, 0x7fffffff, (int)0x80000000};
    return once_in(size_kind == SIZES_WILD ? 4 : 60) ? wrong[below(COUNT(wrong))] : (int)below((uint32_t)count);
}

dmattn_strides any_strides(uint32_t sequence, uint32_t heads, uint32_t dim)
{
    const uint64_t s = sequence, h = heads, d = dim;
    dmattn_strides contiguous = {s * h * d, h * d, d};
    switch (below(8)) {
    case 0: contiguous.batch += below(64); return contiguous;
    case 1:
        contiguous.sequence += 8 * below(16);
        return (dmattn_strides){contiguous.sequence * s, contiguous.sequence, d};
    case 2: return (dmattn_strides){h * s * d, d, s * d};
    case 3: return (dmattn_strides){flip() ? 0 : d, flip() ? d : 0, flip() ? d : 0};
    case 4: return (dmattn_strides){wild_64(), wild_64(), wild_64()};
    default: return (dmattn_strides){0};
    }
}
