/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include <setjmp.h>
#include <stdarg.h>

const struct minimal_test *criterion_current_test;
static struct minimal_test *first, **end = &first;
static bool failed, skipped;
static jmp_buf left;

void minimal_add(struct minimal_test *test)
{
    *end = test;
    end = &test->next;
}

void minimal_check(bool fatal, bool holds, const char *file, int line, const char *what, const char *format, ...)
{
    va_list arguments;
    if (holds)
        return;
    fprintf(stderr, "%s:%d: %s/%s: %s:", file, line, criterion_current_test->category, criterion_current_test->name,
            what);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    failed = true;
    if (fatal)
        longjmp(left, 1);
}

void minimal_skip(void)
{
    skipped = true;
    longjmp(left, 1);
}

static void call(void (*function)(void))
{
    if (function)
        function();
}

static void run(const struct minimal_test *test, const struct minimal_options *suite)
{
    criterion_current_test = test;
    failed = skipped = false;
    if (setjmp(left))
        return;
    call(suite->init);
    call(test->options.init);
    test->run();
    call(test->options.fini);
    call(suite->fini);
}

static const struct minimal_options *suite_of(const struct minimal_test *test)
{
    static const struct minimal_options none;
    const struct minimal_test *suite = first;
    while (suite && (suite->name || strcmp(suite->category, test->category)))
        suite = suite->next;
    return suite ? &suite->options : &none;
}

/* With --filter SUITE/TEST, runs only that test. */
int main(int argc, char **argv)
{
    unsigned count[3] = {0}; /* passed, failed, skipped */
    const char *filter = argc == 3 && !strcmp(argv[1], "--filter") ? argv[2] : NULL;
    char name[256];
    if (argc != 1 && !filter) {
        fprintf(stderr, "usage: %s [--filter SUITE/TEST]\n", argv[0]);
        return 2;
    }
    for (const struct minimal_test *test = first; test; test = test->next) {
        snprintf(name, sizeof name, "%s/%s", test->category, test->name ? test->name : "");
        if (!test->name || (filter && strcmp(filter, name)))
            continue;
        run(test, suite_of(test));
        count[failed ? 1 : skipped ? 2 : 0]++;
    }
    printf("%u passed, %u failed, %u skipped\n", count[0], count[1], count[2]);
    return count[1] || !(count[0] + count[2]);
}
