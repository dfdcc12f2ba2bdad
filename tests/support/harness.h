/* SPDX-License-Identifier: MIT
 * For tests that need a device. Environment variables:
 *
 *     DMATTN_TEST_DEVICE          which device: an index, part of a name, or best (default)
 *     DMATTN_REQUIRE_DEVICE=1     fail, instead of skipping, if there is no device
 *     DMATTN_REQUIRE_VALIDATION=1 fail if the validation layer is not installed
 *     DMATTN_REQUIRE_GPU_VALIDATION=1
 *                                 the validation layer also checks all addresses that kernels access (from its version
 *                                 1.4 on); test_hostile fails if it cannot
 *     DMATTN_REQUIRE_LEVEL=matrix fail if the device or this build does not offer that level
 *     DMATTN_TEST_CASES=all       run every case of the large tables; default: a few that together have every option
 *     DMATTN_TEST_CASES=odd       run only the cases with this text in their names
 *     DMATTN_TEST_SHARE=2/4       run only the second of four shares of these cases
 *     DMATTN_TEST_LARGE=1         run the tests of tensors above 4 GiB (test_large.c)
 *
 * Criterion runs each test in its own process, so each test opens the device once and loops over its cases. */
#ifndef DMATTN_TESTS_HARNESS_H
#define DMATTN_TESTS_HARNESS_H

#include <dmattn/runtime.h>

#include "attention/tile.h"

#include <criterion/criterion.h>

typedef struct harness {
    dmattn_runtime *runtime;
    dmattn_device *device;
    dmattn_context *context; /* the device's */
    uint32_t index;
    dmattn_device_info info;
    bool validation;                      /* the validation layer is loaded */
    bool gpu_validation;                  /* it was asked to check addresses */
    const char *expected;                 /* NULL, or a part of the layer's findings that the test expects */
    unsigned expected_findings;           /* number of these */
    unsigned validation_errors;           /* number of other findings with severity ERROR */
    unsigned sentences;                   /* number of other messages with severity ERROR */
    char sentence[512];                   /* the last of these messages */
    char kernel[512];                     /* the last message with severity INFO */
    int offers[DMATTN_LEVEL_MATRIX2 + 1]; /* for each level: 0 not known yet, 1 no, 2 yes */
    int offers_backward[DMATTN_LEVEL_MATRIX2 + 1];
    bool gpu_tiles;                        /* for harness_decode_plan(), set by the test */
    unsigned runs, runs_asked, runs_taken; /* calls of harness_takes(); those DMATTN_TEST_CASES selects; those that
                                              returned true */
} harness;

extern harness h;

/* Opens the device; skips the test if there is none. */
void harness_begin(void);

/* Closes the device and fails if the validation layer reported errors. */
void harness_end(void);

/* Returns whether the device and this build support f16 at a level. Keeps no message of this. */
bool harness_offers(dmattn_level level);

/* The same for gradients. */
bool harness_offers_backward(dmattn_level level);

/* Returns whether forward attention has kernels for such dimensions at a level that the device supports. Without a
 * known fragment layout, matrix2 has none for wide heads. */
bool harness_has_kernels(const dmattn_attention_desc *desc, dmattn_level level);

/* Returns whether to run a case of a large table at one level. `chosen`: the case is run by default. Must be called in
 * the same order in each process, because shares are assigned in turn. harness_end() prints how many were left out. */
bool harness_takes(const char *name, bool chosen);

/* Returns whether DMATTN_TEST_CASES selects every case. */
bool harness_takes_all(void);

/* Returns whether gradients of many cases should use small tiles, which compile faster on a CPU. */
bool harness_small_tiles(void);

/* On a CPU, unless DMATTN_TEST_CASES selects every case: further plans are made as for a device that allows only 64
 * invocations. A CPU takes as long for idle invocations as for those that have work. */
void harness_small_workgroups(void);

/* The next offered level above a level; 0 if there is none. */
dmattn_level harness_next_level(dmattn_level level);

/* The tile for a case, whose descriptor must be resolved and have a level; NULL selects the default tile. A CPU takes
 * up to minutes to compile a matrix kernel with a large tile; there the tile is the one with the fewest keys that has
 * more than one matrix of them. At the level portable it has one row and two keys per invocation on a CPU, unless
 * DMATTN_TEST_CASES selects every case. */
const attention_tile *harness_tile(const dmattn_attention_desc *desc, attention_tile *tile);

/* dmattn_decode_plan() for a test of many cases, with a known level. On a CPU, the tile of a step has 64 invocations at
 * the level portable, unless DMATTN_TEST_CASES selects every case. Attention of chunks has the tile of harness_tile().
 * With h.gpu_tiles, a step has the loads in flight that it has on a GPU, and chunks have the library's tile. */
dmattn_status harness_decode_plan(const dmattn_decode_desc *desc, dmattn_plan **plan);

/* A dmattn_message_fn that counts messages and keeps the last; `user` is the harness. */
void harness_message(void *user, dmattn_severity severity, const char *text);

/* Expects `status`, and for an error exactly one message since the last call, which contains `part`. */
void harness_expect(const char *file, int line, dmattn_status got, dmattn_status want, const char *part);
#define EXPECT_FAILURE(call, status, part) \
    (h.sentences = 0, h.sentence[0] = 0, harness_expect(__FILE__, __LINE__, (call), (status), (part)))
#define ASSERT_OK(call)                                                                             \
    do {                                                                                            \
        dmattn_status status_ = (call);                                                             \
        cr_assert_eq(status_, DMATTN_SUCCESS, "%s: %s", dmattn_status_string(status_), h.sentence); \
    } while (0)

/* A test between harness_begin() and harness_end(). harness_end() is not in .fini, where a failure would not count. */
#define DEVICE_TEST(suite, test)             \
    static void suite##_##test##_body(void); \
    Test(suite, test)                        \
    {                                        \
        harness_begin();                     \
        suite##_##test##_body();             \
        harness_end();                       \
    }                                        \
    static void suite##_##test##_body(void)

#endif
