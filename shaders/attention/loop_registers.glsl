// SPDX-License-Identifier: MIT
// The loop over tiles of keys, with scores and probabilities in registers (softmax_registers.glsl). Included by
// attention_matrix.comp.
//
// Scores are one tile ahead. So all loads have a whole turn of the loop to arrive, all stores to shared memory are in
// one place, and the two products follow each other without a barrier. A turn attends to `now`, whose scores are in
// registers. Shared memory holds v of `now` and k of `next`:
//
//     ask for v of `next` and k of `after`
//     raise the maxima if a score of `now` is much larger than its row's; this is rare
//     P = exp(S - maximum)
//     O = O + P v
//     S = q k^T of `next`
//     barrier; store v of `next` and k of `after`; barrier
//
// Unless GUARDED is 1, the last turn loads a tile that does not exist and computes its scores, which are not used. A
// branch around this costs more (docs/notes/experiments.md).

DEFINE_SUM(add_pv, VALUE_BLOCKS, VALUE_PITCH)

// Stores the output like DEFINE_STORE_ROWS, but all loops are unrolled. Neither is faster for all dimensions
// (docs/notes/experiments.md); this one is at D = 64 and 256.
void store_o(const OUTPUTS)
{
    const uint block = MATRIX_N / 4, most = (SLICE_UNITS / MATRIX_M - 1) / block;
    const uint at_once = most < VALUE_BLOCKS ? most : VALUE_BLOCKS, pitch = at_once * block + 1;
    const uint slice = gl_SubgroupID * SLICE_UNITS, columns = at_once * MATRIX_N / 8, units = MATRIX_M * columns;
    barrier(); // from here on, shared memory holds slices
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint first = 0; first < VALUE_BLOCKS; first += at_once) {
            [[unroll]] for (uint b = 0; b < at_once; b++)
                if (first + b < VALUE_BLOCKS)
                    coopMatStore(o[m][first + b], staged, slice + b * block, pitch, BY_ROWS);
            subgroup_sync();
            [[unroll]] for (uint step = 0; step < units; step += SUBGROUP) {
                const uint i = step + gl_SubgroupInvocationID, r = i / columns, c = i % columns;
                const uint at = slice + r * pitch + 2 * c;
                if (units % SUBGROUP == 0 || i < units)
                    put_output(tile_row_of(m, r), first * MATRIX_N / 8 + c, uintBitsToFloat(staged[at]),
                               uintBitsToFloat(staged[at + 1]));
            }
            subgroup_sync();
        }
}

// Attends to `now`. ATTEND(0) is right for all tiles. ATTEND(1) has less code: `next` must be full and, if PLAIN_ROWS
// is 1, all keys of `after` must exist. If FULL_TO_THE_END is 1, this is asked only of tiles that exist, and there must
// be at least TILE_KEYS keys.
#define ATTEND(in_full)                                                                     \
    if (in_full * PLAIN_ROWS != 0) {                                                        \
        fetch_plain_values(next, coming_values);                                            \
        fetch_plain_keys(after, coming_keys);                                               \
    } else {                                                                                \
        if (GUARDED == 0 || next.exists)                                                    \
            fetch_values(next, coming_values);                                              \
        if (GUARDED == 0 || after.exists)                                                   \
            fetch_keys(after, coming_keys);                                                 \
    }                                                                                       \
    fetch_slot(later, coming_slot);                                                         \
    find_maxima(score, tile_max);                                                           \
    if (exceed(tile_max, row_max))                                                          \
        raise_maxima(tile_max, row_max, row_sum, o);                                        \
    find_probabilities(score, row_max, probability, row_sum);                               \
    add_pv(probability, VALUES, o);                                                         \
    if (GUARDED == 0 || next.exists) {                                                      \
        begin_scores(next, score);                                                          \
        add_q(q, 0, score);                                                                 \
        finish_scores(next, in_full == 0 && next.partial, score);                           \
    }                                                                                       \
    barrier();                                                                              \
    if (GUARDED == 0 || next.exists) {                                                      \
        store_values(coming_values);                                                        \
        if (in_full == 0 && HAS_HIDDEN_KEYS(next))                                          \
            hide_values(next);                                                              \
    }                                                                                       \
    if (GUARDED == 0 || after.exists)                                                       \
        store_keys(coming_keys);                                                            \
    store_slot(later, coming_slot);                                                         \
    barrier();                                                                              \
    go_on(now, next, after, later);                                                         \
    fetch_slot_key(later, coming_slot);

// Goes on to the next tile. The slots of the new `now` are not read any more, so the new `later` gets them. Without a
// bitmap, all four tiles are computed from the first key of one of them, which needs fewer registers than copies.
void go_on(inout key_tile now, inout key_tile next, inout key_tile after, inout key_tile later)
{
    const uint free_slots = next.slots;
    if (WALKS_BITMAP) {
        now = next;
        next = after;
        after = later;
        later = next_tile(free_slots);
    } else {
        const uint first = now.first + TILE_KEYS;
        now = tile_at(first, free_slots);
        next = tile_at(first + TILE_KEYS, after.slots);
        after = tile_at(first + 2 * TILE_KEYS, later.slots);
        later = tile_at(first + 3 * TILE_KEYS, free_slots);
    }
}

void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    begin_units();
    begin_tile();
#ifdef PACKED
    if (splits == 0)
        return;
#endif
#ifdef ADDITIVE_ROWS
    if (!row_is_ours())
        return;
#endif
    QUERIES;
    SCORES;
    PROBABILITIES;
    OUTPUTS;
    ROW_MAXIMA;
    ROW_SUMS;
    TILE_MAXIMA;
    COMING_KEYS;
    COMING_VALUES;
    begin_walk();
    begin_output(o);

    // Four tiles are in progress: the slots of the first three are in shared memory, those of `later` are being loaded.
    // At the start, as many loads as possible are issued together.
    key_tile now = next_tile(0), next = next_tile(TILE_KEYS), after = next_tile(2 * TILE_KEYS), later = next_tile(0);
    slot first, second, third, coming_slot;
    fetch_slot_key(now, first);
    fetch_slot_key(next, second);
    fetch_slot_key(after, third);
    fetch_slot_key(later, coming_slot);
    begin_rows(row_max, row_sum);
    COMING_QUERIES;
    fetch_q(coming_queries);
    if (!LISTED) {
        fetch_keys(now, coming_keys);
        fetch_values(now, coming_values);
    }
    fetch_slot(now, first);
    fetch_slot(next, second);
    fetch_slot(after, third);
    store_slot(now, first);
    store_slot(next, second);
    store_slot(after, third);
    if (LISTED) { // the slots tell which keys these are
        barrier();
        fetch_keys(now, coming_keys);
        fetch_values(now, coming_values);
    }
    place_q(coming_queries, q);
    barrier(); // shared memory held slices before, and holds keys from here on
    store_keys(coming_keys);
    fetch_keys(next, coming_keys);
    store_values(coming_values);
    if (HAS_HIDDEN_KEYS(now))
        hide_values(now);
    barrier();
    begin_scores(now, score);
    add_q(q, 0, score);
    finish_scores(now, now.partial, score);
    barrier();
    store_keys(coming_keys);
    barrier();

#ifdef FRAGMENTS // here, a separate loop without the code for partial tiles is faster
    while (FULL_TO_THE_END != 0 ? now.exists && !(next.exists && next.partial)
                                      && (PLAIN_ROWS == 0
                                          || p.keys >= TILE_KEYS
                                                 && (!after.exists || after.first + TILE_KEYS <= p.keys))
                                : next.exists && !next.partial
                                      && (PLAIN_ROWS == 0 || after.first + TILE_KEYS <= KEYS_HERE)) {
        ATTEND(1)
    }
#endif
    while (now.exists) {
        ATTEND(0)
    }
    finish_rows(row_max, row_sum, o);
    store_o(o);
}
