/* SPDX-License-Identifier: MIT
 * How a step with BALANCED divides the keys of all sequences among workgroups, for C and for GLSL.
 *
 * All splits have about a SHARES-th of the keys that all sequences see, or fewer: a long sequence has many splits, a
 * short one has one, and one without new tokens has none. If sequence s sees n(s) keys, it has ceil(n(s) / most)
 * splits, and most >= sum n(s) / SHARES. So there are fewer than SHARES + BATCH splits.
 *
 * But if no sequence is much longer than the average, each has at most SPLITS splits, as without balance. So there are
 * at most SPLITS * BATCH splits. */
#ifndef DMATTN_BALANCE_H
#define DMATTN_BALANCE_H

#include "../lib/shared.h"

#ifdef GL_core_profile
#define BALANCE_FUNCTION
#else
#define BALANCE_FUNCTION static inline
#endif

/* The first key of the sliding window of the first new token, before which there are `before` tokens. */
BALANCE_FUNCTION DMATTN_UINT window_begin(DMATTN_UINT before, DMATTN_UINT sliding)
{
    return sliding != 0 && before >= sliding ? before + 1 - sliding : 0;
}

/* The number of keys that the window does not hide, of `all` keys: from its begin on, and the first `sinks` ones. */
BALANCE_FUNCTION DMATTN_UINT keys_in_window(DMATTN_UINT all, DMATTN_UINT begin, DMATTN_UINT sinks)
{
    return all - begin + (sinks < begin ? sinks : begin);
}

/* The number of splits of a sequence that sees `keys` keys. */
BALANCE_FUNCTION DMATTN_UINT splits_of_keys(DMATTN_UINT keys, DMATTN_UINT most)
{
    return keys / most + (keys % most != 0 ? 1 : 0);
}

/* The most keys of a split, if the sequences see `total` keys together, and one of them `longest`. The longest sequence
 * has splits of nearly so many keys. `least`: as many are worth a workgroup. */
BALANCE_FUNCTION DMATTN_UINT most_keys_of_split(DMATTN_UINT total, DMATTN_UINT longest, DMATTN_UINT sequences,
                                                DMATTN_UINT splits, DMATTN_UINT shares, DMATTN_UINT least)
{
    const DMATTN_UINT share = total < 1 ? 1 : splits_of_keys(total, shares), rounded = (longest + share / 2) / share;
    if (longest - longest / 5 > total / sequences) {
        const DMATTN_UINT keys = splits_of_keys(longest, rounded < 1 ? 1 : rounded), most = keys < share ? share : keys;
        return most < least ? least : most;
    }
    const DMATTN_UINT even = splits_of_keys(longest, splits);
    return even < least ? least : even;
}

#endif
