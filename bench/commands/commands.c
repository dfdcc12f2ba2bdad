/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "complain.h"
#include "new_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const command *const commands[] = {&compare_command, &merge_command, &plot_command, &table_command};

const command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

/* "2%" and "2" are 0.02. */
static bool parse_threshold(const char *text, double *threshold)
{
    char *end;
    const double percent = strtod(text, &end);
    end += *end == '%';
    *threshold = percent / 100;
    return end != text && !*end && isfinite(percent) && percent >= 0;
}

/* Parses "--csv FILE" or "--csv=FILE" at argv[*i] and advances *i to its last word. False if argv[*i] is not this
 * option. *value is NULL if the value is missing. */
static bool option_value(const char *name, int argc, char **argv, int *i, const char **value)
{
    const size_t length = strlen(name);
    *value = NULL;
    if (strncmp(argv[*i], name, length) || (argv[*i][length] && argv[*i][length] != '='))
        return false;
    if (argv[*i][length])
        *value = argv[*i] + length + 1;
    else if (*i + 1 < argc)
        *value = argv[++*i];
    return true;
}

/* On a wrong option complains and returns COMMAND_BAD. */
static int parse_option(const command *c, int argc, char **argv, int *i, command_line *line)
{
    const struct {
        const char *name;
        unsigned kind;
        const char **value;
    } options[] = {{"-o", TAKES_OUTPUT, &line->output},
                   {"--csv", TAKES_TABLES, &line->csv},
                   {"--markdown", TAKES_TABLES, &line->markdown}};
    const char *option = argv[*i], *value;
    if ((c->options & TAKES_THRESHOLD) && !strcmp(option, "--strict")) {
        line->strict = true;
        return COMMAND_FINE;
    }
    if ((c->options & TAKES_THRESHOLD) && option_value("--threshold", argc, argv, i, &value))
        return value && parse_threshold(value, &line->threshold)
                   ? COMMAND_FINE
                   : complain(COMMAND_BAD, "--threshold needs a percentage such as 2%%, not '%s'", value ? value : "");
    for (size_t k = 0; k < sizeof options / sizeof *options; k++)
        if ((c->options & options[k].kind) && option_value(options[k].name, argc, argv, i, options[k].value))
            return *options[k].value && **options[k].value ? COMMAND_FINE
                                                           : complain(COMMAND_BAD, "%s needs a value", options[k].name);
    return complain(COMMAND_BAD, "%s has no option %.64s; see vkbench %s --help", c->name, option, c->name);
}

/* If an output is also an input, complains and returns COMMAND_BAD. */
static int check_outputs(const command_line *line)
{
    const char *const outputs[] = {line->output, line->csv, line->markdown};
    for (size_t o = 0; o < sizeof outputs / sizeof *outputs; o++)
        for (size_t i = 0; i < line->file_count && outputs[o]; i++)
            if (new_file_is_same(outputs[o], line->files[i]))
                return complain(COMMAND_BAD, "%s is an input; it is not replaced", outputs[o]);
    return COMMAND_FINE;
}

static int print_usage(const command *c)
{
    fputs(c->usage, stdout);
    return fflush(stdout) ? complain(COMMAND_FAILED, "the output cannot be written") : COMMAND_FINE;
}

int command_run(const command *c, int argc, char **argv)
{
    command_line line = {.files = calloc((size_t)argc, sizeof *line.files), .threshold = 0.02};
    int status = line.files ? COMMAND_FINE : complain(COMMAND_FAILED, "no memory");
    bool only_files = false, help = false;
    for (int i = 2; i < argc && !status; i++) {
        if (!only_files && !strcmp(argv[i], "--"))
            only_files = true;
        else if (!only_files && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")))
            help = true;
        else if (!only_files && argv[i][0] == '-' && argv[i][1])
            status = parse_option(c, argc, argv, &i, &line);
        else
            line.files[line.file_count++] = argv[i];
    }
    if (!status && help)
        status = print_usage(c);
    else if (!status && line.file_count < c->least_files)
        status = complain(COMMAND_BAD, "%s needs at least %zu files; see vkbench %s --help", c->name, c->least_files,
                          c->name);
    else if (!status && !(status = check_outputs(&line)))
        status = c->run(&line);
    free(line.files);
    return status;
}

int command_read(const command_line *line, size_t first, results *all)
{
    char why[RESULTS_WHY_SIZE];
    for (size_t i = first; i < line->file_count; i++)
        if (!results_read(all, line->files[i], why)) {
            const int status = complain(all->out_of_memory ? COMMAND_FAILED : COMMAND_BAD, "%s", why);
            results_destroy(all);
            return status;
        }
    return COMMAND_FINE;
}
