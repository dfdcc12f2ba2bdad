/* SPDX-License-Identifier: MIT
 * The part of Criterion that the tests use, for systems without it: Windows, and emulators, in which a program cannot
 * start itself again. Tests run one after another in one process. */
#ifndef DMATTN_TESTS_CRITERION_H
#define DMATTN_TESTS_CRITERION_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct minimal_options {
    int none; /* a structure needs a member to be initialised */
    void (*init)(void);
    void (*fini)(void);
};

struct minimal_test {
    const char *category, *name; /* the suite and the test; without a name, options of the suite */
    void (*run)(void);
    struct minimal_options options;
    struct minimal_test *next;
};

extern const struct minimal_test *criterion_current_test;

void minimal_add(struct minimal_test *test);

/* If a condition does not hold, prints the place and the message; if `fatal`, ends the test. */
#if defined(__MINGW32__)
__attribute__((format(gnu_printf, 6, 7)))
#else
__attribute__((format(printf, 6, 7)))
#endif
void minimal_check(bool fatal, bool holds, const char *file, int line, const char *what, const char *format, ...);

_Noreturn void minimal_skip(void);

#define MINIMAL_ADD(id, suite, test, function, ...)                                          \
    __attribute__((constructor)) static void id##_add(void)                                  \
    {                                                                                        \
        static struct minimal_test to_add = {suite, test, function, {0, __VA_ARGS__}, NULL}; \
        minimal_add(&to_add);                                                                \
    }

#define TestSuite(suite, ...) MINIMAL_ADD(suite##_suite, #suite, NULL, NULL, __VA_ARGS__) struct minimal_test

#define Test(suite, test, ...)                                                     \
    static void suite##_##test##_test(void);                                       \
    MINIMAL_ADD(suite##_##test, #suite, #test, suite##_##test##_test, __VA_ARGS__) \
    static void suite##_##test##_test(void)

#define MINIMAL_CHECK(fatal, holds, ...) minimal_check(fatal, holds, __FILE__, __LINE__, #holds, " " __VA_ARGS__)

#define cr_assert(a, ...)              MINIMAL_CHECK(true, (a), __VA_ARGS__)
#define cr_assert_eq(a, b, ...)        MINIMAL_CHECK(true, (a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...)       MINIMAL_CHECK(true, (a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...)        MINIMAL_CHECK(true, (a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...)       MINIMAL_CHECK(true, (a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...)        MINIMAL_CHECK(true, (a) > (b), __VA_ARGS__)
#define cr_assert_null(a, ...)         MINIMAL_CHECK(true, (a) == NULL, __VA_ARGS__)
#define cr_assert_not_null(a, ...)     MINIMAL_CHECK(true, (a) != NULL, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) MINIMAL_CHECK(true, !memcmp(a, b, n), __VA_ARGS__)
#define cr_expect(a, ...)              MINIMAL_CHECK(false, (a), __VA_ARGS__)
#define cr_expect_not(a, ...)          MINIMAL_CHECK(false, !(a), __VA_ARGS__)
#define cr_expect_eq(a, b, ...)        MINIMAL_CHECK(false, (a) == (b), __VA_ARGS__)
#define cr_expect_neq(a, b, ...)       MINIMAL_CHECK(false, (a) != (b), __VA_ARGS__)
#define cr_expect_lt(a, b, ...)        MINIMAL_CHECK(false, (a) < (b), __VA_ARGS__)
#define cr_expect_leq(a, b, ...)       MINIMAL_CHECK(false, (a) <= (b), __VA_ARGS__)
#define cr_expect_gt(a, b, ...)        MINIMAL_CHECK(false, (a) > (b), __VA_ARGS__)
#define cr_expect_geq(a, b, ...)       MINIMAL_CHECK(false, (a) >= (b), __VA_ARGS__)
#define cr_expect_null(a, ...)         MINIMAL_CHECK(false, (a) == NULL, __VA_ARGS__)
#define cr_expect_not_null(a, ...)     MINIMAL_CHECK(false, (a) != NULL, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) MINIMAL_CHECK(false, !memcmp(a, b, n), __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)    MINIMAL_CHECK(false, !strcmp(a, b), __VA_ARGS__)
#define cr_expect_str_empty(a, ...)    MINIMAL_CHECK(false, !*(a), __VA_ARGS__)
#define cr_expect_float_eq(a, b, e, ...) \
    MINIMAL_CHECK(false, fabs((double)(a) - (double)(b)) <= (double)(e), __VA_ARGS__)
#define cr_log_info(...)  (printf(__VA_ARGS__), puts(""))
#define cr_skip_test(...) (printf(__VA_ARGS__), puts(""), minimal_skip())

#endif
