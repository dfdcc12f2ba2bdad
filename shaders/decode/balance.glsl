// SPDX-License-Identifier: MIT
// Balance between sequences of different lengths in a paged cache: which split of which sequence a workgroup computes
// (balance.h). Each workgroup reads the lengths of all sequences itself, so that no other dispatch comes first.
//
// Workgroup (x, y): kv head x % KV_HEADS; every ROW_BLOCKS-th block of rows from block x / KV_HEADS on; split y of all
// sequences, in their order. If there are fewer splits, it is idle. Idle workgroups begin last, so that no other one
// waits for them.
//
// No length may change while a workgroup still has to read it. So the last workgroup to have read them stores the new
// ones, for all sequences of its kv head. A counter in the first sequence's header says which workgroup this is.
#ifndef LIB_BALANCE_GLSL
#define LIB_BALANCE_GLSL

#include "balance.h"

BALANCE_CONSTANTS(DMATTN_CONSTANT)

const uint ALL_SPLITS = SHARES + BATCH - 1;
const uint LANE_SEQUENCES = (BATCH + WORKGROUP - 1) / WORKGROUP; // of an invocation

// Of this workgroup: sequence, tokens before the new ones, new tokens, first split of the sequence. An idle one has no
// new tokens. Compilers see that what they read here is the same for all invocations of a subgroup. Where they do not
// know that of the number of tokens, loops with matrices take longer.
shared uvec4 share;
shared uint longest; // the most keys of a sequence
shared bool is_last_reader;

uint sequence_splits, first_split; // the splits of the sequence, of all splits of the kv head
uint window_begin_, window_sinks;  // the first key of the window, and how many keys before it are visible
uint readers_before;               // in invocation 0: workgroups that had read all lengths before this one
uint flags;

// Of the sequence: the number of tokens before the new ones, and of new ones, not yet limited. -1 keeps all.
uvec2 load_tokens()
{
    const uint before = Words(header_of(sequence_state(p.state, sequence), kv_head)).w[HEADER_LENGTH];
    const uint tokens = word_of(p.counts, TOKENS), kept = word_of(p.keep, NONE);
    return uvec2(int(kept) < 0 ? before : min(before, kept), tokens);
}

// Limits the number of new tokens.
uvec2 limit_tokens(uvec2 tokens)
{
    return uvec2(tokens.x, min(min(tokens.y, TOKENS), CAPACITY - min(tokens.x, CAPACITY)));
}

// Stores the lengths after the step, in the last workgroup to have read those before.
void store_lengths()
{
    if (invocation == 0)
        is_last_reader = readers_before == ALL_SPLITS * ROW_BLOCKS - 1;
    barrier();
    if (!is_last_reader)
        return;
    const uint own = sequence;
    for (uint i = invocation; i < BATCH; i += WORKGROUP) {
        sequence = i;
        const uvec2 tokens = limit_tokens(load_tokens());
        Words(header_of(sequence_state(p.state, i), kv_head)).w[HEADER_LENGTH] = tokens.x + tokens.y;
    }
    if (invocation == 0)
        Words(header_of(p.state, kv_head)).w[HEADER_READERS] = 0;
    sequence = own;
}

// Finds the workgroup's part of the work. If there is none, `count` is 0.
void begin_share()
{
    invocation = ordered_invocation();
    kv_head = WORKGROUP_ID.x % KV_HEADS;
    row_block = WORKGROUP_ID.x / KV_HEADS;
    const uint number = WORKGROUP_ID.y, own = invocation * LANE_SEQUENCES;
    uvec2 tokens[LANE_SEQUENCES];
    uint keys[LANE_SEQUENCES], own_keys = 0, own_longest = 0, own_splits = 0, all_keys, all_splits;
    if (invocation == 0) {
        longest = 0;
        share = uvec4(0);
    }
    barrier();
    [[unroll]] for (uint i = 0; i < LANE_SEQUENCES; i++) {
        sequence = min(own + i, BATCH - 1);
        tokens[i] = load_tokens();
    }
    [[unroll]] for (uint i = 0; i < LANE_SEQUENCES; i++) {
        tokens[i] = limit_tokens(tokens[i]);
        const uint begin = window_begin(tokens[i].x, SLIDING);
        keys[i] = own + i < BATCH && tokens[i].y != 0 ? keys_in_window(tokens[i].x + tokens[i].y, begin, SINKS) : 0;
        own_keys += keys[i];
        own_longest = max(own_longest, keys[i]);
    }
    atomicMax(longest, own_longest);
    exclusive_scan(own_keys, all_keys); // it has a barrier
    const uint most = most_keys_of_split(all_keys, longest, BATCH, SPLITS, SHARES, LEAST_KEYS);
    [[unroll]] for (uint i = 0; i < LANE_SEQUENCES; i++)
        own_splits += splits_of_keys(keys[i], most);
    uint first = exclusive_scan(own_splits, all_splits);
    if (invocation == 0) // the scans have used all lengths, so they have been read
        readers_before = atomicAdd(SharedWords(header_of(p.state, kv_head)).w[HEADER_READERS], 1u);
    [[unroll]] for (uint i = 0; i < LANE_SEQUENCES; i++) {
        const uint splits = splits_of_keys(keys[i], most);
        if (number - first < splits)
            share = uvec4(own + i, tokens[i], first);
        first += splits;
    }
    barrier();
    const uvec4 own_share = share;
    sequence = own_share.x;
    length_ = own_share.y;
    count = own_share.z;
    first_split = own_share.w;
    split = number - first_split;
    window_begin_ = window_begin(length_, SLIDING);
    window_sinks = min(SINKS, window_begin_);
    sequence_splits = splits_of_keys(keys_in_window(length_ + count, window_begin_, SINKS), most);
    state = sequence_state(p.state, sequence);
    k_base = advance(advance(p.k, sequence, uvec2(K_BATCH_LOW, K_BATCH_HIGH)), kv_head, uvec2(K_HEAD_LOW, K_HEAD_HIGH));
    v_base = advance(advance(p.v, sequence, uvec2(V_BATCH_LOW, V_BATCH_HIGH)), kv_head, uvec2(V_HEAD_LOW, V_HEAD_HIGH));
}

void fetch_header()
{
    flags = Words(header_of(state, kv_head)).w[HEADER_FLAGS];
}

void begin_step()
{
    layout_seen = (flags & FLAG_LAYOUT) != 0;
    broken = false; // any number of tokens can be taken back
    went_back = false;
    floor_ = 0;
}

// The rest of the header. Its counters are 0 again.
void end_step()
{
    if (invocation >= HEADER_ARRIVED && invocation < HEADER_WORDS)
        Words(header_of(state, kv_head)).w[invocation] =
            invocation == HEADER_FLAGS && layout_seen ? FLAG_LAYOUT : 0;
}

#endif
