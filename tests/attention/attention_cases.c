/* SPDX-License-Identifier: MIT
 * Cases without masks: types, sizes, strides, scores. */
#include "attention_cases.h"

/* All dimensions with several types. There are three kinds of tiles: for more than 128 values, for few queries, for the
 * rest. */
static const attention_case dims[] = {
    {.name = "f32 d8", .desc = {F32, SIZE(1, 33, 40, 2, 1, 8, 0), LSE}},
    {.name = "f16 d8", .desc = {F16, SIZE(1, 70, 40, 2, 2, 8, 0), LSE, CAUSAL}},
    {.name = "bf16 d8 few queries", .desc = {BF16, SIZE(2, 5, 77, 2, 1, 8, 0), LSE}},
    {.name = "f32 d16", .desc = {F32, SIZE(1, 65, 70, 2, 1, 16, 0), CAUSAL}},
    {.name = "f16 d24", .desc = {F16, SIZE(1, 13, 90, 3, 1, 24, 0), LSE}},
    {.name = "bf16 d40", .desc = {BF16, SIZE(1, 16, 40, 2, 1, 40, 0), LSE}},
    {.name = "f32 d48", .desc = {F32, SIZE(2, 30, 65, 2, 1, 48, 0), LSE, CAUSAL}},
    {.name = "f32 d64", .desc = {F32, SIZE(1, 129, 128, 2, 1, 64, 0), LSE}},
    {.name = "f16 d64", .desc = {F16, SIZE(1, 128, 130, 2, 1, 64, 0), LSE, CAUSAL}},
    {.name = "bf16 d64", .desc = {BF16, SIZE(1, 100, 100, 2, 1, 64, 0), LSE, CAUSAL}},
    {.name = "f16 d72", .desc = {F16, SIZE(1, 11, 63, 2, 2, 72, 0), LSE}},
    {.name = "f32 d96", .desc = {F32, SIZE(1, 40, 33, 2, 1, 96, 0), LSE}},
    {.name = "f16 d128", .desc = {F16, SIZE(1, 67, 69, 2, 1, 128, 0), LSE, CAUSAL}},
    {.name = "bf16 d128", .desc = {BF16, SIZE(1, 64, 96, 1, 1, 128, 0), LSE}},
    {.name = "f32 d128 few queries", .desc = {F32, SIZE(1, 16, 130, 2, 1, 128, 0), LSE, CAUSAL}},
    {.name = "bf16 d160", .desc = {BF16, SIZE(1, 35, 50, 2, 1, 160, 0), LSE, CAUSAL}},
    {.name = "f32 d192", .desc = {F32, SIZE(1, 66, 70, 1, 1, 192, 0), LSE}},
    {.name = "f16 d256", .desc = {F16, SIZE(1, 70, 66, 2, 1, 256, 0), LSE, CAUSAL}},
    {.name = "bf16 d256 few queries", .desc = {BF16, SIZE(2, 3, 90, 2, 1, 256, 0), LSE, CAUSAL}},
    {.name = "f32 d8 dv256", .desc = {F32, SIZE(1, 40, 50, 2, 1, 8, 256), LSE}},
    {.name = "f16 d256 dv8", .desc = {F16, SIZE(1, 40, 50, 2, 1, 256, 8), LSE, CAUSAL}},
    {.name = "bf16 d24 dv40", .desc = {BF16, SIZE(1, 40, 50, 2, 1, 24, 40), LSE}},
    {.name = "f32 d40 dv24", .desc = {F32, SIZE(1, 15, 50, 2, 1, 40, 24), LSE, CAUSAL}},
    {.name = "f16 d64 dv136", .desc = {F16, SIZE(1, 65, 40, 2, 1, 64, 136), LSE}},
    {.name = "f32 d192 dv128", .desc = {F32, SIZE(1, 65, 66, 2, 1, 192, 128), LSE, CAUSAL}},
    {.name = "f16 d192 dv128 few queries", .desc = {F16, SIZE(2, 1, 66, 4, 2, 192, 128), LSE, CAUSAL}},
};
GROUP(dims, dims);

/* The output, or a gradient, is made in bands. In the cases of multi-head latent attention, v has the strides of k. */
#define LATENT .k_strides = {0, 576, 576}, .v_strides = {0, 576, 576}
static const attention_case wide[] = {
    {.name = "f32 d320 dv256", .desc = {F32, SIZE(1, 33, 40, 2, 1, 320, 256), LSE, CAUSAL}},
    {.name = "f16 d512", .desc = {F16, SIZE(1, 20, 70, 2, 1, 512, 0), LSE, SINK}},
    {.name = "f16 latent prefill", .desc = {F16, SIZE(1, 9, 50, 6, 1, 576, 512), LSE, CAUSAL, LATENT}},
    {.name = "bf16 latent, a group of 128", .desc = {BF16, SIZE(1, 1, 230, 128, 1, 576, 512), LSE, LATENT}},
    {.name = "f32 latent, one query in splits", .desc = {F32, SIZE(1, 1, 700, 4, 1, 576, 512), LSE, CAUSAL, LATENT}},
    {.name = "bf16 d24 dv264", .desc = {BF16, SIZE(2, 17, 30, 2, 2, 24, 264), CAUSAL}},
    {.name = "f16 d264 dv40", .desc = {F16, SIZE(1, 40, 50, 2, 1, 264, 40), LSE}},
    {.name = "f32 d328 dv392, dense",
     .desc = {F32, SIZE(1, 17, 35, 2, 1, 328, 392), LSE, DENSE(.queries = 17), BIAS(F32, .heads = 2)}},
    {.name = "f16 d320, lists",
     .desc = {F16, SIZE(1, 20, 70, 4, 2, 320, 0), LSE, CAUSAL, INTERVALS(.heads = 2), BIAS(F32, .heads = 2)}},
    {.name = "f16 d288, odd rows",
     .desc = {F16, SIZE(2, 9, 33, 2, 1, 288, 0), LSE, .q_strides = {9 * 579, 579, 289}, .k_strides = {0, 291, 0},
              .v_strides = {0, 293, 0}, .out_strides = {9 * 581, 581, 291}}},
    {.name = "f16 d512 dv320, q and out f32",
     .desc = {F16, .q_f32 = true, .out_f32 = true, SIZE(1, 3, 40, 8, 2, 512, 320), LSE, CAUSAL}},
};
GROUP(wide, wide);

/* Lengths near those of tiles, one key, one query. Causal with more queries than keys: some queries see no key. */
static const attention_case sizes[] = {
    {.name = "1 x 1", .desc = {F32, SIZE(1, 1, 1, 1, 1, 16, 0), LSE}},
    {.name = "1 x 1 causal", .desc = {F16, SIZE(3, 1, 1, 2, 1, 16, 0), LSE, CAUSAL}},
    {.name = "1 x 3", .desc = {BF16, SIZE(2, 1, 3, 2, 1, 32, 0), LSE}},
    {.name = "1 x 300 causal", .desc = {F32, SIZE(2, 1, 300, 4, 2, 32, 0), LSE, CAUSAL}},
    {.name = "300 x 1", .desc = {F32, SIZE(1, 300, 1, 2, 1, 32, 0), LSE}},
    {.name = "300 x 1 causal", .desc = {F32, SIZE(1, 300, 1, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "3 x 17 causal", .desc = {F32, SIZE(1, 3, 17, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "17 x 3 causal", .desc = {F32, SIZE(1, 17, 3, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "16 x 64", .desc = {F32, SIZE(1, 16, 64, 2, 1, 32, 0)}},
    {.name = "17 x 63 causal", .desc = {F32, SIZE(1, 17, 63, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "63 x 17 causal", .desc = {F16, SIZE(1, 63, 17, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "63 x 65", .desc = {F32, SIZE(1, 63, 65, 2, 1, 32, 0), LSE}},
    {.name = "64 x 64 causal", .desc = {F32, SIZE(2, 64, 64, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "65 x 64 causal", .desc = {F32, SIZE(1, 65, 64, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "64 x 65 causal", .desc = {F32, SIZE(1, 64, 65, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "113 x 203 causal", .desc = {F32, SIZE(1, 113, 203, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "203 x 113 causal", .desc = {F32, SIZE(1, 203, 113, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "203 x 113", .desc = {F32, SIZE(1, 203, 113, 2, 1, 32, 0), LSE}},
    {.name = "127 x 129 causal", .desc = {F16, SIZE(1, 127, 129, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "129 x 127 causal", .desc = {F16, SIZE(1, 129, 127, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "200 x 5 causal wide", .desc = {F16, SIZE(1, 200, 5, 2, 1, 160, 0), LSE, CAUSAL}},
    {.name = "2 x 1000 causal", .desc = {F32, SIZE(1, 2, 1000, 2, 1, 32, 0), LSE, CAUSAL}},
};
GROUP(sizes, sizes);

/* q or out is f32, and the rest has 16 bits. */
static const attention_case types[] = {
    {.name = "q f16", .desc = {F16, .q_f32 = true, SIZE(2, 70, 90, 4, 2, 64, 0), LSE, CAUSAL}},
    {.name = "out bf16", .desc = {BF16, .out_f32 = true, SIZE(1, 66, 70, 4, 1, 24, 40), LSE}},
    {.name = "q and out f16", .desc = {F16, .q_f32 = true, .out_f32 = true, SIZE(1, 130, 140, 2, 1, 128, 0), LSE}},
    {.name = "q and out bf16, odd rows",
     .desc = {BF16, .q_f32 = true, .out_f32 = true, SIZE(2, 33, 65, 2, 1, 24, 0), LSE, CAUSAL,
              .q_strides = {33 * 51, 51, 25}, .k_strides = {65 * 27, 27, 24}, .out_strides = {33 * 53, 53, 27}}},
    {.name = "q at 16 bytes, k not",
     .desc = {F16, .q_f32 = true, .out_f32 = true, SIZE(1, 40, 50, 2, 2, 40, 0), LSE, .q_strides = {0, 84, 44},
              .k_strides = {0, 84, 44}}},
    {.name = "one query in splits",
     .desc = {F16, .q_f32 = true, .out_f32 = true, SIZE(2, 1, 700, 8, 2, 64, 0), LSE, CAUSAL}},
    {.name = "additive mask",
     .desc = {F16, .q_f32 = true, .out_f32 = true, SIZE(1, 70, 90, 4, 2, 32, 0), LSE, SINK,
              ADDITIVE(F16, .queries = 70)}},
    {.name = "lists", .desc = {BF16, .q_f32 = true, SIZE(1, 70, 140, 4, 2, 32, 0), LSE, INTERVALS(.heads = 2)}},
    {.name = "f32 in all",
     .desc = {F32, .q_f32 = true, .out_f32 = true, SIZE(1, 20, 30, 2, 1, 16, 0), LSE, .scale = -1}},
};
GROUP(types, types);

/* k and v are stored in another way. Strides of blocks are multiples of 32; others may be odd. */
static const attention_case formats[] = {
    {.name = "k q8_0", .desc = {F16, FORMATS(Q8_0, TYPE), SIZE(2, 70, 90, 4, 2, 64, 0), LSE, CAUSAL}},
    {.name = "v q4_0", .desc = {BF16, FORMATS(TYPE, Q4_0), SIZE(1, 66, 70, 4, 1, 24, 32), LSE}},
    {.name = "q8_0, [B, H, S, D]",
     .desc = {F16, FORMATS(Q8_0, Q8_0), SIZE(2, 40, 70, 4, 2, 128, 64), LSE, CAUSAL,
              .k_strides = {2 * 70 * 128, 128, 70 * 128}, .v_strides = {2 * 70 * 64, 64, 70 * 64}}},
    {.name = "q4_0 and q8_0, gaps, f32",
     .desc = {F32, FORMATS(Q4_0, Q8_0), SIZE(3, 33, 65, 2, 1, 32, 96), LSE, .k_strides = {65 * 64 + 32, 64, 0},
              .v_strides = {65 * 128, 128, 96}}},
    {.name = "q8_0, repeated items",
     .desc = {BF16, FORMATS(Q8_0, Q4_0), SIZE(2, 20, 50, 4, 2, 32, 0), LSE, CAUSAL, .k_strides = {0, 64, 32},
              .v_strides = {0, 64, 32}}},
    {.name = "int8, odd rows",
     .desc = {F16, FORMATS(INT8, INT8), SIZE(2, 33, 65, 2, 1, 24, 0), LSE, CAUSAL, .k_strides = {65 * 27, 27, 24},
              .v_strides = {65 * 25, 25, 24}}},
    {.name = "e4m3 and int8, f32", .desc = {F32, FORMATS(E4M3, INT8), SIZE(2, 33, 65, 6, 3, 40, 8), LSE}},
    {.name = "e4m3, bf16", .desc = {BF16, FORMATS(E4M3, E4M3), SIZE(1, 70, 130, 2, 2, 64, 0), LSE, CAUSAL}},
    {.name = "f32 k and bf16 v in f16", .desc = {F16, FORMATS(F32, BF16), SIZE(2, 40, 50, 2, 1, 40, 24), LSE}},
    {.name = "f16 k and f32 v in bf16, odd rows",
     .desc = {BF16, FORMATS(F16, F32), SIZE(2, 33, 65, 2, 1, 16, 0), LSE, CAUSAL, .k_strides = {65 * 17, 17, 16},
              .v_strides = {65 * 19, 19, 17}}},
    {.name = "bf16 and f16 in f32", .desc = {F32, FORMATS(BF16, F16), SIZE(1, 20, 70, 4, 2, 32, 0), LSE, CAUSAL}},
    {.name = "q8_0 and f16, q and out f32",
     .desc = {F16, FORMATS(Q8_0, F16), .q_f32 = true, .out_f32 = true, SIZE(1, 35, 60, 4, 2, 64, 0), LSE}},
    {.name = "q4_0, one query in splits",
     .desc = {F16, FORMATS(Q4_0, Q4_0), SIZE(2, 1, 700, 8, 2, 64, 0), LSE, CAUSAL, SINK}},
    {.name = "q8_0, dense", .desc = {F32, FORMATS(Q8_0, Q8_0), SIZE(1, 40, 70, 2, 1, 32, 0), LSE, DENSE(.queries = 1)}},
    {.name = "int8, lists",
     .desc = {F16, FORMATS(INT8, E4M3), SIZE(1, 70, 140, 4, 2, 32, 0), LSE, INTERVALS(.heads = 2)}},
    {.name = "q8_0, additive mask",
     .desc = {F16, FORMATS(Q8_0, Q8_0), SIZE(1, 70, 90, 4, 2, 32, 0), LSE, ADDITIVE(F16, .queries = 70)}},
    {.name = "q8_0, latent", .desc = {F16, FORMATS(Q8_0, Q8_0), SIZE(1, 9, 50, 6, 1, 576, 512), LSE, CAUSAL, LATENT}},
};
GROUP(formats, formats);

/* k and v are in pages. In some cases there are fewer pages than keys need, so that items share them. */
static const attention_case pages[] = {
    {.name = "pages of 16", .desc = {F16, PAGES(16, 20), SIZE(2, 70, 90, 4, 2, 64, 0), LSE, CAUSAL}},
    {.name = "pages of 1, f32", .desc = {F32, PAGES(1, 150), SIZE(2, 33, 65, 2, 1, 24, 40), LSE}},
    {.name = "pages of 256, bf16", .desc = {BF16, PAGES(256, 3), SIZE(2, 40, 300, 2, 2, 32, 0), LSE, CAUSAL}},
    {.name = "pages of 8, q8_0 and q4_0",
     .desc = {F16, FORMATS(Q8_0, Q4_0), PAGES(8, 40), SIZE(2, 66, 70, 4, 2, 32, 64), LSE, CAUSAL}},
    {.name = "pages of 2, int8 and e4m3, d8",
     .desc = {F32, FORMATS(INT8, E4M3), PAGES(2, 70), SIZE(2, 33, 65, 3, 1, 8, 24), LSE}},
    {.name = "pages of 48, v int8, larger pages",
     .desc = {BF16, FORMATS(TYPE, INT8), PAGES(48, 7), .page_bytes = 30000, SIZE(3, 20, 90, 4, 2, 40, 0), LSE}},
    {.name = "shared pages", .desc = {F16, PAGES(16, 7), SIZE(3, 20, 90, 4, 2, 32, 0), LSE, CAUSAL, SLOPES}},
    {.name = "one query in splits, e4m3",
     .desc = {F16, FORMATS(E4M3, E4M3), PAGES(64, 30), SIZE(2, 1, 700, 8, 2, 64, 0), LSE, CAUSAL, SINK}},
    {.name = "pages of 4, dense",
     .desc = {F32, PAGES(4, 50), SIZE(2, 40, 70, 2, 1, 32, 0), LSE, DENSE(.batch = 2, .queries = 40)}},
    {.name = "pages of 128, lists",
     .desc = {F16, PAGES(128, 5), SIZE(2, 70, 140, 4, 2, 32, 0), LSE, INTERVALS(.batch = 2, .heads = 2)}},
};
GROUP(pages, pages);

/* Batch items have their own numbers of queries and keys; some have none. What they do not have is NaN. */
#define COUNTS .counts = true
static const attention_case counts[] = {
    {.name = "f32", .desc = {F32, COUNTS, SIZE(6, 70, 130, 4, 2, 32, 0), LSE}},
    {.name = "f16, causal", .desc = {F16, COUNTS, SIZE(6, 70, 130, 4, 2, 64, 0), LSE, CAUSAL}},
    {.name = "bf16, causal, more queries than keys",
     .desc = {BF16, COUNTS, SIZE(5, 90, 40, 2, 2, 24, 40), LSE, CAUSAL}},
    {.name = "one query in splits", .desc = {F16, COUNTS, SIZE(5, 1, 700, 8, 2, 64, 0), LSE, CAUSAL, SINK}},
    {.name = "ALiBi, soft cap", .desc = {F32, COUNTS, SIZE(5, 40, 60, 4, 2, 16, 0), LSE, SLOPES, .soft_cap = 3}},
    {.name = "dense", .desc = {F16, COUNTS, SIZE(5, 70, 90, 4, 2, 32, 0), LSE, DENSE(.batch = 5, .queries = 70)}},
    {.name = "additive, causal",
     .desc = {F32, COUNTS, SIZE(4, 70, 140, 2, 1, 16, 0), LSE, CAUSAL, ADDITIVE(F32, .queries = 70)}},
    {.name = "pages, int8",
     .desc = {F16, COUNTS, FORMATS(INT8, INT8), PAGES(16, 60), SIZE(6, 70, 130, 4, 2, 32, 0), LSE, CAUSAL}},
    {.name = "bias of keys",
     .desc = {BF16, COUNTS, SIZE(4, 20, 90, 4, 2, 32, 0), LSE, BIAS(F32, .batch = 4, .heads = 2)}},
    {.name = "selected keys, causal",
     .desc = {F16, COUNTS, SIZE(6, 70, 130, 4, 2, 64, 0), LSE, CAUSAL,
              SELECTED(17, 1, .batch = 6, .heads = 2, .queries = 70)}},
    {.name = "blocks, distances, more queries than keys",
     .desc = {F32, COUNTS, SIZE(5, 90, 70, 2, 2, 16, 0), LSE, CAUSAL, SLOPES,
              SELECTED(2, 16, .batch = 5, .queries = 90)}},
    {.name = "the same lists for all items",
     .desc = {BF16, COUNTS, SIZE(5, 40, 100, 4, 1, 24, 0), LSE, CAUSAL, SINK, SELECTED(20, 1, .queries = 40)}},
    {.name = "selected keys in pages",
     .desc = {F16, COUNTS, FORMATS(INT8, INT8), PAGES(16, 60), SIZE(6, 40, 130, 4, 2, 32, 0), LSE,
              SELECTED(3, 32, .batch = 6, .queries = 40)}},
};
GROUP(counts, counts);

/* The rows of all items follow each other, also of fewer queries and keys than there is room for, or of more. In the
 * cases with splits, the keys of long items are divided among several workgroups. */
#define PACKED(queries, keys) .counts = true, .total_queries = (queries), .total_keys = (keys)
static const attention_case packed[] = {
    {.name = "f32", .desc = {F32, PACKED(420, 0), SIZE(6, 70, 130, 4, 2, 32, 0), LSE}},
    {.name = "f16, causal, all packed", .desc = {F16, PACKED(420, 780), SIZE(6, 70, 130, 4, 2, 64, 0), LSE, CAUSAL}},
    {.name = "bf16, too many, more queries than keys",
     .desc = {BF16, PACKED(150, 100), SIZE(5, 90, 40, 2, 2, 24, 40), LSE, CAUSAL}},
    {.name = "long items in splits",
     .desc = {F16, PACKED(60, 5000), SIZE(9, 20, 2100, 2, 1, 64, 0), LSE, CAUSAL, SINK}},
    {.name = "one query in splits", .desc = {F32, PACKED(7, 0), SIZE(5, 1, 1500, 8, 2, 16, 24), LSE, SINK}},
    {.name = "ALiBi, soft cap, odd rows",
     .desc = {F32, PACKED(130, 200), SIZE(5, 40, 60, 4, 2, 16, 0), LSE, SLOPES, .soft_cap = 3, .q_strides = {0, 67, 16},
              .out_strides = {0, 69, 17}, .k_strides = {0, 35, 17}}},
    {.name = "dense",
     .desc = {F16, PACKED(300, 0), SIZE(5, 70, 90, 4, 2, 32, 0), LSE, DENSE(.batch = 5, .queries = 70)}},
    {.name = "additive in splits",
     .desc = {F32, PACKED(70, 3000), SIZE(4, 30, 1200, 2, 1, 16, 0), LSE, CAUSAL, ADDITIVE(F32, .queries = 30)}},
    {.name = "pages, int8",
     .desc = {F16, PACKED(300, 0), FORMATS(INT8, INT8), PAGES(16, 60), SIZE(6, 70, 130, 4, 2, 32, 0), LSE, CAUSAL}},
    {.name = "pages, few keys, splits",
     .desc = {BF16, PACKED(90, 3000), PAGES(32, 200), SIZE(12, 20, 1300, 4, 1, 32, 0), LSE, CAUSAL}},
    {.name = "q8_0 and int8",
     .desc = {F16, PACKED(200, 300), FORMATS(Q8_0, INT8), SIZE(4, 70, 130, 4, 2, 32, 64), LSE, CAUSAL}},
    {.name = "int8, keys apart",
     .desc = {F32, PACKED(200, 0), FORMATS(INT8, E4M3), SIZE(4, 70, 130, 4, 2, 32, 0), LSE}},
    {.name = "bias of keys, q and out f32",
     .desc = {BF16, PACKED(60, 0), .q_f32 = true, .out_f32 = true, SIZE(4, 20, 90, 4, 2, 32, 0), LSE,
              BIAS(F32, .batch = 4, .heads = 2)}},
    {.name = "130 items", .desc = {F16, PACKED(400, 900), SIZE(130, 5, 12, 3, 1, 16, 0), LSE, CAUSAL}},
};
GROUP(packed, packed);

static const attention_case heads[] = {
    {.name = "1 head", .desc = {F32, SIZE(5, 15, 30, 1, 0, 16, 0), LSE}},
    {.name = "7 heads", .desc = {F16, SIZE(2, 15, 30, 7, 0, 16, 0), LSE, CAUSAL}},
    {.name = "2 of 1", .desc = {BF16, SIZE(3, 15, 30, 2, 1, 16, 0), LSE}},
    {.name = "6 of 3", .desc = {F32, SIZE(2, 15, 30, 6, 3, 16, 0), LSE, CAUSAL}},
    {.name = "9 of 3", .desc = {F16, SIZE(2, 15, 30, 9, 3, 24, 0), LSE}},
    {.name = "8 of 2", .desc = {F32, SIZE(2, 15, 30, 8, 2, 16, 0), LSE, CAUSAL}},
    {.name = "5 of 1", .desc = {F16, SIZE(4, 15, 30, 5, 1, 16, 0), LSE, CAUSAL}},
    {.name = "12 of 2", .desc = {BF16, SIZE(1, 15, 30, 12, 2, 16, 0), LSE}},
    {.name = "7 of 1", .desc = {F32, SIZE(1, 70, 70, 7, 1, 16, 0), LSE}},
    {.name = "16 of 2", .desc = {F32, SIZE(2, 1, 66, 16, 2, 64, 0), LSE, CAUSAL}},
};
GROUP(heads, heads);

static const attention_case scores[] = {
    {.name = "scale 0.5", .desc = {F32, SIZE(1, 16, 66, 2, 1, 32, 0), LSE, .scale = 0.5f}},
    {.name = "scale -1", .desc = {F16, SIZE(1, 65, 66, 2, 1, 32, 0), LSE, CAUSAL, .scale = -1}},
    {.name = "scale 1e-6", .desc = {BF16, SIZE(1, 16, 66, 2, 1, 32, 0), LSE, .scale = 1e-6f}},
    {.name = "large scores", .desc = {F32, SIZE(1, 16, 66, 2, 1, 32, 0), LSE}, .data = DATA_LARGE},
    {.name = "large scores f16", .desc = {F16, SIZE(1, 65, 166, 2, 1, 64, 0), LSE, CAUSAL}, .data = DATA_LARGE},
    {.name = "soft cap 0.3", .desc = {F32, SIZE(1, 16, 66, 2, 1, 32, 0), LSE, .soft_cap = 0.3f}},
    {.name = "soft cap 5", .desc = {F32, SIZE(1, 65, 66, 2, 1, 64, 0), LSE, CAUSAL, .soft_cap = 5}},
    {.name = "soft cap 30 f16", .desc = {F16, SIZE(1, 65, 66, 2, 1, 64, 0), LSE, CAUSAL, .soft_cap = 30}},
    {.name = "soft cap 1e4", .desc = {F32, SIZE(1, 16, 66, 2, 1, 64, 0), LSE, .soft_cap = 1e4f}},
    {.name = "soft cap 20, large scores",
     .desc = {F32, SIZE(1, 16, 66, 2, 1, 32, 0), LSE, .soft_cap = 20},
     .data = DATA_LARGE},
    {.name = "soft cap and scale", .desc = {BF16, SIZE(1, 20, 90, 4, 2, 40, 0), LSE, .soft_cap = 2, .scale = 1}},
    {.name = "soft cap and bias",
     .desc = {F32, SIZE(1, 65, 66, 2, 1, 32, 0), LSE, .soft_cap = 2, BIAS(F32, .queries = 65)}},
};
GROUP(scores, scores);

/* Rows begin at multiples of 16 bytes. */
static const attention_case layouts[] = {
    {.name = "[B, H, S, D]",
     .desc = {F32, SIZE(2, 65, 50, 3, 1, 32, 0), LSE, CAUSAL, .q_strides = {3 * 65 * 32, 32, 65 * 32},
              .k_strides = {50 * 32, 32, 50 * 32}, .v_strides = {50 * 32, 32, 50 * 32},
              .out_strides = {3 * 65 * 32, 32, 65 * 32}}},
    {.name = "[B, H, S, D] f16",
     .desc = {F16, SIZE(2, 40, 70, 4, 2, 64, 40), LSE, .q_strides = {4 * 40 * 64, 64, 40 * 64},
              .k_strides = {2 * 70 * 64, 64, 70 * 64}, .v_strides = {2 * 70 * 40, 40, 70 * 40},
              .out_strides = {4 * 40 * 40, 40, 40 * 40}}},
    {.name = "[H, B, S, D]",
     .desc = {BF16, SIZE(2, 40, 70, 4, 2, 16, 0), LSE, CAUSAL, .q_strides = {40 * 16, 16, 2 * 40 * 16},
              .k_strides = {70 * 16, 16, 2 * 70 * 16}, .v_strides = {70 * 16, 16, 2 * 70 * 16},
              .out_strides = {40 * 16, 16, 2 * 40 * 16}}},
    {.name = "[S, B, H, D]",
     .desc = {F32, SIZE(3, 40, 70, 4, 2, 16, 0), LSE, .q_strides = {4 * 16, 3 * 4 * 16, 16},
              .k_strides = {2 * 16, 3 * 2 * 16, 16}, .v_strides = {2 * 16, 3 * 2 * 16, 16},
              .out_strides = {4 * 16, 3 * 4 * 16, 16}}},
    {.name = "q, k and v in one row",
     .desc = {F16, SIZE(2, 66, 66, 4, 4, 32, 0), LSE, CAUSAL, .q_strides = {66 * 384, 384, 32},
              .k_strides = {66 * 384, 384, 32}, .v_strides = {66 * 384, 384, 32}}},
    {.name = "gaps between heads",
     .desc = {F32, SIZE(2, 33, 65, 4, 2, 24, 40), LSE, .q_strides = {33 * 112, 112, 28}, .k_strides = {65 * 64, 64, 32},
              .v_strides = {65 * 92, 92, 44}, .out_strides = {33 * 176, 176, 44}}},
    {.name = "gaps between rows",
     .desc = {F16, SIZE(2, 33, 65, 4, 2, 24, 40), LSE, CAUSAL, .q_strides = {33 * 104, 104, 24},
              .k_strides = {65 * 56, 56, 24}, .v_strides = {65 * 88, 88, 40}, .out_strides = {33 * 168, 168, 40}}},
    {.name = "gaps between items",
     .desc = {BF16, SIZE(3, 33, 65, 4, 2, 24, 40), LSE, .q_strides = {33 * 96 + 64, 96, 24},
              .k_strides = {65 * 48 + 8, 48, 24}, .v_strides = {65 * 80 + 200, 80, 40},
              .out_strides = {33 * 160 + 80, 160, 40}}},
    {.name = "gaps everywhere",
     .desc = {F32, SIZE(3, 15, 20, 4, 2, 256, 0), .q_strides = {70 * 1100 + 40, 1100, 264},
              .k_strides = {20 * 600 + 8, 600, 280}, .v_strides = {20 * 532 + 12, 532, 260},
              .out_strides = {70 * 1060 + 16, 1060, 264}}},
    {.name = "gaps in out only",
     .desc = {F16, SIZE(2, 70, 20, 4, 2, 64, 0), LSE, .out_strides = {70 * 320 + 800, 320, 72}}},
    {.name = "unlike layouts",
     .desc = {F32, SIZE(2, 30, 20, 4, 2, 16, 0), LSE, CAUSAL, .q_strides = {4 * 30 * 16, 16, 30 * 16},
              .v_strides = {2 * 16, 2 * 2 * 16, 16}, .out_strides = {16, 2 * 4 * 16, 2 * 16}}},
};
GROUP(layouts, layouts);

/* Rows begin at any element: rows of 16-bit elements may share a word with other data. */
static const attention_case odd_layouts[] = {
    {.name = "odd rows f32",
     .desc = {F32, SIZE(2, 33, 65, 2, 1, 24, 0), LSE, .q_strides = {33 * 51, 51, 25}, .k_strides = {65 * 27, 27, 24},
              .v_strides = {65 * 25, 25, 24}, .out_strides = {33 * 53, 53, 27}}},
    {.name = "odd rows f16",
     .desc = {F16, SIZE(2, 33, 65, 2, 1, 24, 0), LSE, CAUSAL, .q_strides = {33 * 51, 51, 25},
              .k_strides = {65 * 27, 27, 24}, .v_strides = {65 * 25, 25, 24}, .out_strides = {33 * 49, 49, 24}}},
    {.name = "odd rows bf16",
     .desc = {BF16, SIZE(2, 66, 65, 2, 1, 16, 32), LSE, .q_strides = {66 * 33, 33, 17}, .k_strides = {65 * 17, 17, 16},
              .v_strides = {65 * 33, 33, 32}, .out_strides = {66 * 67, 67, 33}}},
    {.name = "odd items f16",
     .desc = {F16, SIZE(3, 7, 9, 2, 1, 16, 0), LSE, .q_strides = {7 * 32 + 1, 32, 16},
              .k_strides = {9 * 16 + 3, 16, 16}, .v_strides = {9 * 16 + 5, 16, 16},
              .out_strides = {7 * 32 + 7, 32, 16}}},
    {.name = "odd heads bf16",
     .desc = {BF16, SIZE(1, 70, 30, 3, 3, 8, 0), LSE, CAUSAL, .q_strides = {0, 27, 9}, .k_strides = {0, 33, 11},
              .v_strides = {0, 39, 13}, .out_strides = {0, 29, 9}}},
    {.name = "rows at 4 bytes f16",
     .desc = {F16, SIZE(1, 40, 50, 2, 2, 40, 0), LSE, .q_strides = {0, 82, 40}, .k_strides = {0, 86, 42},
              .v_strides = {0, 90, 44}, .out_strides = {0, 82, 40}}},
    {.name = "rows at 8 bytes f32",
     .desc = {F32, SIZE(1, 40, 50, 2, 2, 40, 0), LSE, CAUSAL, .q_strides = {0, 82, 40}, .k_strides = {0, 86, 42},
              .v_strides = {0, 90, 44}, .out_strides = {0, 82, 40}}},
    {.name = "only out is odd f16", .desc = {F16, SIZE(2, 70, 20, 3, 1, 24, 0), LSE, .out_strides = {70 * 75, 75, 25}}},
    {.name = "only out is odd bf16 wide",
     .desc = {BF16, SIZE(1, 70, 20, 2, 1, 136, 0), LSE, .out_strides = {0, 275, 137}}},
    {.name = "only k is odd f16", .desc = {F16, SIZE(2, 20, 70, 3, 1, 24, 0), LSE, .k_strides = {70 * 25, 25, 0}}},
    {.name = "[B, H, S, D] odd bf16",
     .desc = {BF16, SIZE(2, 33, 65, 2, 1, 24, 0), .q_strides = {2 * 33 * 25, 25, 33 * 25},
              .k_strides = {65 * 27, 27, 0}, .v_strides = {65 * 29, 29, 0}, .out_strides = {2 * 33 * 25, 25, 33 * 25}}},
    {.name = "odd with soft cap and bias",
     .desc = {F16, SIZE(1, 33, 65, 2, 1, 24, 0), LSE, CAUSAL, .soft_cap = 3, .q_strides = {0, 49, 24},
              .v_strides = {0, 25, 0}, BIAS(F16, .heads = 2, .queries = 33)}},
};
GROUP(odd_layouts, odd_layouts);

/* Strides of 0: several rows are the same row in memory. */
static const attention_case repeats[] = {
    {.name = "k and v for all items",
     .desc = {F32, SIZE(3, 14, 65, 4, 2, 16, 0), LSE, .k_strides = {0, 32, 16}, .v_strides = {0, 32, 16}}},
    {.name = "k and v for all heads",
     .desc = {F16, SIZE(2, 14, 65, 4, 2, 16, 0), LSE, CAUSAL, .k_strides = {65 * 16, 16, 0},
              .v_strides = {65 * 16, 16, 0}}},
    {.name = "q for all items and heads", .desc = {BF16, SIZE(2, 14, 65, 4, 2, 16, 0), LSE, .q_strides = {0, 16, 0}}},
    {.name = "one q", .desc = {F32, SIZE(2, 14, 65, 4, 2, 16, 0), LSE, CAUSAL, .q_strides = {64, 0, 16}}},
    {.name = "one key", .desc = {F32, SIZE(2, 14, 65, 4, 2, 16, 0), LSE, CAUSAL, .k_strides = {32, 0, 16}}},
    {.name = "one value for an item", .desc = {F16, SIZE(2, 14, 65, 4, 2, 16, 0), LSE, .v_strides = {16, 0, 0}}},
    {.name = "k odd, for all items", .desc = {F16, SIZE(2, 14, 65, 4, 2, 16, 0), LSE, .k_strides = {0, 35, 17}}},
};
GROUP(repeats, repeats);
