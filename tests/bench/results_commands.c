/* SPDX-License-Identifier: MIT
 * vkbench's commands compare, merge, table and plot: exit statuses and files. */
#define _POSIX_C_SOURCE 200809L /* symlink */
#include "commands/commands.h"
#include "result_documents.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run(const char *name, const char *a, const char *b, const char *c, const char *d)
{
    char *argv[] = {"vkbench", (char *)name, (char *)a, (char *)b, (char *)c, (char *)d, NULL};
    const command *found = command_find(name);
    cr_assert(found, "%s", name);
    return command_run(found, 2 + (a != NULL) + (b != NULL) + (c != NULL) + (d != NULL), argv);
}

static bool is_there(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    return file;
}

Test(commands, statuses)
{
    static const char *const a = "commands_a.json", *b = "commands_b.json", *other = "commands_c.json",
                             *out = "commands_out.json", *few = "commands_few.json", *bad = "commands_bad.json";
    make_file(a, HEAD DENSE(64, 4) "]}");
    make_file(b, HEAD DENSE(64, 4.2) "]}");
    make_file(other, HEAD DENSE(128, 4) "]}");
    make_file(bad, "{\"schema\":");
    cr_expect_eq(run("compare", a, a, NULL, NULL), 0);
    cr_expect_eq(run("compare", a, b, NULL, NULL), 1);
    cr_expect_eq(run("compare", b, a, NULL, NULL), 0);
    cr_expect_eq(run("compare", "--threshold", "6%", a, b), 0);
    cr_expect_eq(run("compare", a, "--threshold=6", b, NULL), 0);
    cr_expect_eq(run("compare", a, a, b, NULL), 1);
    cr_expect_eq(run("compare", a, other, NULL, NULL), 2);
    cr_expect_eq(run("compare", a, bad, NULL, NULL), 2);
    cr_expect_eq(run("compare", a, NULL, NULL, NULL), 2);
    cr_expect_eq(run("compare", a, b, "--threshold", NULL), 2);
    cr_expect_eq(run("compare", a, b, "--threshold=-1", NULL), 2);
    cr_expect_eq(run("compare", a, b, "-o", "x"), 2);
    cr_expect_eq(run("compare", "--help", NULL, NULL, NULL), 0);
    cr_expect_eq(run("compare", "-h", NULL, NULL, NULL), 0);
    /* one sample on each side: all is unclear */
    make_file(few, HEAD SPARSE(64, 4) "]}");
    cr_expect_eq(run("compare", few, few, NULL, NULL), 0);
    cr_expect_eq(run("compare", few, few, "--strict", NULL), 3);
    cr_expect_eq(run("compare", a, a, "--strict", NULL), 0);
    cr_expect_eq(run("compare", a, b, "--strict", NULL), 1);
    cr_expect_eq(run("table", a, "--strict", NULL, NULL), 2);
    cr_expect_eq(run("table", a, NULL, NULL, NULL), 0);
    remove(out);
    cr_expect_eq(run("merge", out, a, bad, NULL), 2);
    cr_expect_not(is_there(out));
    cr_expect_eq(run("merge", out, a, b, NULL), 0);
    cr_expect_eq(run("merge", out, a, b, NULL), 2); /* it exists */
    cr_expect_eq(run("merge", "commands_a.json/out", a, b, NULL), 1);
    cr_expect_eq(run("table", out, "--csv", "commands.csv", NULL), 0);
    cr_expect_eq(run("table", a, "--csv", a, NULL), 2);
    cr_expect_eq(run("plot", b, a, "-o", a), 2); /* it is an input */
    cr_expect_eq(run("table", a, b, NULL, NULL), 0);
    cr_expect_eq(run("plot", out, NULL, NULL, NULL), 2);
    cr_expect_eq(run("plot", out, bad, "-o", "commands.html"), 2);
    cr_expect_not(is_there("commands.html"));
    cr_expect_eq(run("plot", out, "-o", "commands.html", NULL), 0);
    cr_expect(is_there("commands.html") && is_there("commands.csv"));
    cr_expect(!command_find("comparison"));
    const char *const made[] = {a, b, few, other, out, bad, "commands.html", "commands.csv"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        remove(made[i]);
}

#if !defined(_WIN32)
/* The path exists but cannot be opened, like a file without read permission. */
Test(commands, merge_keeps_what_it_cannot_read)
{
    static const char *const a = "kept_a.json", *out = "kept_out.json";
    char target[32];
    make_file(a, HEAD DENSE(64, 4) "]}");
    remove(out);
    cr_assert_eq(symlink(out, out), 0);
    cr_expect_eq(run("merge", out, a, a, NULL), 1);
    cr_expect_eq(readlink(out, target, sizeof target), (ssize_t)strlen(out), "it was replaced");
    remove(out);
    remove(a);
}
#endif
