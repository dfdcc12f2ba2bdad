/* SPDX-License-Identifier: MIT
 * What the tests that need a device share. In the environment:
 *
 *     DMATTN_TEST_DEVICE          which device: an index, part of a name, or best (default)
 *     DMATTN_REQUIRE_DEVICE=1     it is a failure, not a reason to skip, if there is none
 *     DMATTN_REQUIRE_VALIDATION=1 likewise, if the validation layer is not there
 *     DMATTN_REQUIRE_LEVEL=matrix likewise, if the device and this build do not offer that level
 *     DMATTN_TEST_SHARE=2/4       the second of four shares of the cases of the large tables
 *
 * Criterion runs each test in a process of its own, so each opens the device once and walks through its cases. */
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
    bool validation;                      /* the layer is loaded */
    unsigned validation_errors;           /* its findings of severity ERROR */
    unsigned sentences;                   /* other messages of severity ERROR */
    char sentence[512];                   /* the last of them */
    char kernel[512];                     /* the last message of severity INFO */
    int offers[DMATTN_LEVEL_MATRIX2 + 1]; /* of each level: 0 not known yet, 1 no, 2 yes */
    int offers_backward[DMATTN_LEVEL_MATRIX2 + 1];
    unsigned runs, runs_taken; /* that harness_takes() was asked for, and those of the share */
} harness;

extern harness h;

/* Opens the device; skips the test if there is none. */
void harness_begin(void);

/* Closes it; the validation layer must have found nothing. */
void harness_end(void);

/* Whether the device and this build can do f16 at a level: tests try all of them. Leaves no sentence behind. */
bool harness_offers(dmattn_level level);

/* Likewise gradients. */
bool harness_offers_backward(dmattn_level level);

/* Whether the share that is to be run holds number `i`: that of a case in its table or, where a case is run at several
 * levels, that plus the level, so that halves are not of cases but of each case's levels. How many are left out is said
 * when the test ends. */
bool harness_takes(size_t i);

/* Whether gradients of many cases are to be computed in small tiles, which a CPU compiles sooner. */
bool harness_small_tiles(void);

/* The next one that is offered above a level; 0 if there is none. */
dmattn_level harness_next_level(dmattn_level level);

/* The tile to try a case with, its descriptor being resolved and of a level; NULL: the one that is chosen anyway. On a
 * CPU compiling a kernel takes much longer than running it, up to minutes for one by matrices with a large tile: there
 * it is the one with the fewest keys that are more than one matrix. */
const attention_tile *harness_tile(const dmattn_attention_desc *desc, attention_tile *tile);

/* A dmattn_message_fn that counts and keeps; `user` is the harness. */
void harness_message(void *user, dmattn_severity severity, const char *text);

/* Expects `status`, and for an error exactly one sentence, since the last call, that contains `part`. */
void harness_expect(const char *file, int line, dmattn_status got, dmattn_status want, const char *part);
#define EXPECT_FAILURE(call, status, part) \
    (h.sentences = 0, h.sentence[0] = 0, harness_expect(__FILE__, __LINE__, (call), (status), (part)))
#define ASSERT_OK(call)                                                                             \
    do {                                                                                            \
        dmattn_status status_ = (call);                                                             \
        cr_assert_eq(status_, DMATTN_SUCCESS, "%s: %s", dmattn_status_string(status_), h.sentence); \
    } while (0)

/* A test between harness_begin() and harness_end(), which is called in its body: a failure in .fini would not count. */
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
