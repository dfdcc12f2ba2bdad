/* SPDX-License-Identifier: MIT
 * Estimates of the 32-bit registers that a lane of a kernel of scores by matrices needs. They are fitted to what
 * compilers reported (docs/notes/compilers.md). */
#include "desc.h"
#include "tile.h"

/* Of a lane. */
typedef struct lane {
    uint32_t head_blocks;
    uint32_t keys;  /* words of rows of k, if they are in registers */
    uint32_t loads; /* of 16 bytes of q, which are in flight while products are computed */
    bool uneven;    /* some lanes have one load less */
} lane;

static lane lane_of(const selector_tile *t, const dmattn_selector_desc *d)
{
    const uint32_t head_blocks = dmattn_ceil_div(d->head_dim, t->matrix.k);
    const uint32_t columns = t->keys * t->subgroup_size / t->workgroup;
    const uint32_t loads = t->steps * t->matrix.m * head_blocks * t->matrix.k / 8;
    return (lane){.head_blocks = head_blocks,
                  .keys = head_blocks * t->matrix.k * columns / 2 / t->subgroup_size,
                  .loads = dmattn_ceil_div(loads, t->workgroup),
                  .uneven = loads % t->workgroup != 0};
}

/* Each load of q has words, an address and what tells if its row exists. Two products in flight have operands and sums
 * of their own. */
static uint32_t shared_keys_registers(const capabilities *caps, const selector_tile *t, const dmattn_selector_desc *d,
                                      lane l)
{
    const bool pairs = l.loads <= 2 && l.head_blocks % 2 == 0; /* ROUND of score_keys_matrix.comp is 2 */
    return 76 + 13 * l.loads
           + (t->steps > 1 ? 20 * (t->steps - 1)
              : pairs      ? 16
                           : 0)
           + (l.uneven ? 2 : 0) + (dmattn_selector_is_aligned(d) ? 0 : 1)
           + (dmattn_capabilities_address_registers(caps) ? 9 : 0);
}

/* ANV: a sum and a product of each block of columns, and the rest. Up to 8 loads of k are in flight at a time, which
 * need registers before any sum does. If there are more, they are made in a loop; then, generations whose registers
 * hold addresses keep those of shared memory. With one turn, nothing is loaded ahead. */
#define LOADS_AT_A_TIME 8
static uint32_t intel_registers(const capabilities *caps, const selector_tile *t, const dmattn_selector_desc *d, lane l)
{
    const uint32_t sums = t->matrix.m * t->keys / t->workgroup;
    const bool in_loop = l.keys > 4 * LOADS_AT_A_TIME;
    const bool one_turn = d->heads / d->list_heads <= t->row_heads * t->steps;
    return 72 + l.keys + 2 * sums + 13 * (l.loads - 1) + (in_loop ? dmattn_capabilities_address_registers(caps) : 6)
           - (one_turn ? 27 : 0);
}

/* NVIDIA's own driver, and those that are not known, have tiles that were measured. */
uint32_t dmattn_selector_tile_registers(const capabilities *caps, const selector_tile *t, const dmattn_selector_desc *d)
{
    const lane l = lane_of(t, d);
    if (caps->driver == VK_DRIVER_ID_NVIDIA_PROPRIETARY || dmattn_capabilities_registers(caps) == ANY_REGISTERS)
        return 0;
    if (t->keys_shared)
        return shared_keys_registers(caps, t, d, l);
    if (dmattn_capabilities_is_intel(caps))
        return intel_registers(caps, t, d, l);
    return (dmattn_capabilities_holds_operands_twice(caps) ? 2 * l.keys : l.keys) + 4 * l.loads + 108;
}
