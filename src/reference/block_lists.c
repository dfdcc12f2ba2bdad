/* SPDX-License-Identifier: MIT */
#include "block_lists.h"

static int64_t clamped(int64_t x, int64_t least, int64_t most)
{
    return x < least ? least : x > most ? most : x;
}

/* Element `place` of the list of query r of a row whose blocks are indices[begin] to indices[end - 1]. */
static int32_t number_at(const dmattn_block_lists_desc *d, const reference_block_inputs *in, int64_t begin, int64_t end,
                         uint32_t r, uint32_t place)
{
    const int64_t entry = begin + (d->bits ? place / d->block : place);
    const int64_t block = entry < end ? in->indices[entry] : -1;
    if (block < 0 || block > (d->keys - 1) / d->block)
        return -1;
    if (!d->bits)
        return (int32_t)block;
    const uint32_t c = place % d->block;
    const int64_t key = block * d->block + c;
    const uint64_t bit = ((uint64_t)entry * d->query_block + r) * d->block + c;
    return key < d->keys && in->bits[bit / 8] >> bit % 8 & 1 ? (int32_t)key : -1;
}

/* Whether a block of a row of a map, of all planes, is visible. */
static bool is_visible(const dmattn_block_lists_desc *d, const reference_block_inputs *in, uint64_t row, uint32_t block)
{
    const uint32_t blocks = (d->keys - 1) / d->block + 1, bytes = (blocks - 1) / 8 + 1;
    return d->form == DMATTN_BLOCK_FORM_BITMAP ? in->map[row * bytes + block / 8] >> block % 8 & 1
                                               : in->map[row * blocks + block] != 0;
}

void reference_block_list(const dmattn_block_lists_desc *d, const reference_block_inputs *in, uint64_t plane,
                          uint32_t query, int32_t *list)
{
    const uint32_t row = query / d->query_block, rows = (d->queries - 1) / d->query_block + 1;
    const uint32_t blocks = (d->keys - 1) / d->block + 1;
    uint32_t found = 0;
    if (d->form != DMATTN_BLOCK_FORM_ROWS) {
        for (uint32_t block = 0; block < blocks; block++)
            if (is_visible(d, in, plane * rows + row, block) && found < d->count)
                list[found++] = (int32_t)block;
        for (; found < d->count; found++)
            list[found] = -1;
        return;
    }
    const int32_t *indptr = in->indptr + plane * (rows + UINT64_C(1)) + row;
    const int64_t begin = clamped(indptr[0], 0, d->indices), end = clamped(indptr[1], begin, d->indices);
    for (uint32_t place = 0; place < d->count; place++)
        list[place] = number_at(d, in, begin, end, query % d->query_block, place);
}
