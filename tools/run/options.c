/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "options.h"

#include "complain.h"
#include "new_file.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "Usage: dmattn-run [options] IN.safetensors OUT.safetensors\n"
                            "       dmattn-run [options] --check IN.safetensors [OUT.safetensors]\n"
                            "\n"
                            "Computes the case in IN and writes the results to OUT: out and lse; for dynamic\n"
                            "mask attention also importance, begin and end. If IN contains dout, OUT also\n"
                            "contains the gradients of sum(out * dout): dq, dk and dv; d_bias if IN has a\n"
                            "bias; for dynamic mask attention d_dt_weight, d_a, and d_dt_bias if IN has a\n"
                            "dt_bias. IN may also hold two results of attention to merge, or the inputs of\n"
                            "a selector or of block lists, whose result is selected. docs/cases.md describes\n"
                            "the files.\n"
                            "\n"
                            "Options:\n"
                            "  --check        compare the results with those in IN\n"
                            "  --device D     Vulkan device: best (default), its index, or part of its name\n"
                            "  --level L      portable, matrix or matrix2 (default: the best of the device)\n"
                            "  --cpu          compute on the CPU in double precision, without Vulkan;\n"
                            "                 --device and --level are ignored\n"
                            "  -h, --help     print this text and exit\n"
                            "  -V, --version  print the version and exit\n"
                            "\n"
                            "Output:\n"
                            "  device: NAME            where it ran\n"
                            "  level: L                the level of attention; with gradients also a line\n"
                            "                          \"level of gradients: L\"\n"
                            "  why not higher: TEXT    why the levels above are not used; for gradients,\n"
                            "                          if it differs, \"why gradients not higher: TEXT\"\n"
                            "  out: ok, error E, allowed A\n"
                            "                          with --check, a line per result. E is the largest\n"
                            "                          difference, relative for importance. A is derived from\n"
                            "                          the rounding of the type.\n"
                            "  out: wrong, error E, allowed A, at [0, 1, 5, 3]: G instead of W\n"
                            "  dq: not in the file     there is nothing to compare with\n"
                            "  dq: not checked, because terms of it are beyond f32\n"
                            "                          so no error can be derived\n"
                            "\n"
                            "Warnings on stderr name the tensors and metadata of IN that are ignored.\n"
                            "\n"
                            "Exit status:\n"
                            "  0  success; with --check, all results in IN agree\n"
                            "  1  the machine failed, or --check found a wrong result\n"
                            "  2  the input or an option is wrong, or --check found no results in IN\n"
                            "\n"
                            "OUT changes only if the results were computed.\n";

int run_end_output(void)
{
    return fflush(stdout) || ferror(stdout) ? complain(RUN_FAILED, "the output cannot be written") : RUN_DONE;
}

enum { OPTION_DEVICE = 256, OPTION_LEVEL, OPTION_CPU, OPTION_CHECK };

static const struct option long_options[] = {
    {"check", no_argument, NULL, OPTION_CHECK},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"cpu", no_argument, NULL, OPTION_CPU},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static bool parse_level(const char *text, dmattn_level *level)
{
    for (*level = DMATTN_LEVEL_PORTABLE; *level <= DMATTN_LEVEL_MATRIX2; ++*level)
        if (!strcmp(text, dmattn_level_string(*level)))
            return true;
    return false;
}

static int parse_files(int argc, char **argv, run_options *o)
{
    const int count = argc - optind;
    if (count < 1 || count > 2 || (count == 1 && !o->check))
        return complain(RUN_BAD_INPUT, "%s, but %d were given; see --help",
                        o->check ? "an input and at most one output are needed"
                                 : "two files are needed, an input and an output",
                        count);
    o->in = argv[optind];
    o->out = count > 1 ? argv[optind + 1] : NULL;
    if (o->out && new_file_is_same(o->in, o->out))
        return complain(RUN_BAD_INPUT, "%s is the input; it is not replaced", o->out);
    return RUN_GO_ON;
}

int run_options_parse(int argc, char **argv, run_options *o)
{
    *o = (run_options){0};
    opterr = 0; /* the messages of getopt would begin with the path of the program */
    for (int c; (c = getopt_long(argc, argv, ":hV", long_options, NULL)) != -1;) {
        switch (c) {
        case OPTION_DEVICE: o->device = optarg; break;
        case OPTION_LEVEL:
            if (!parse_level(optarg, &o->level))
                return complain(RUN_BAD_INPUT, "level '%s' is not one of portable, matrix and matrix2", optarg);
            break;
        case OPTION_CPU: o->cpu = true; break;
        case OPTION_CHECK: o->check = true; break;
        case 'h': fputs(usage, stdout); return run_end_output();
        case 'V': {
            unsigned version = dmattn_version();
            printf("dmattn-run %u.%u.%u\n", version / 1000000, version / 1000 % 1000, version % 1000);
            return run_end_output();
        }
        case ':':
            if (!strchr(argv[optind - 1], '='))
                return complain(RUN_BAD_INPUT, "option '%s' needs a value", argv[optind - 1]);
            /* fall through - an option with an unwanted value gives ':' on Windows and '?' elsewhere */
        default:
            if (optopt > 0 && optopt < OPTION_DEVICE && strncmp(argv[optind - 1], "--", 2))
                return complain(RUN_BAD_INPUT, "unknown option '-%c'; see --help", optopt);
            return complain(RUN_BAD_INPUT, "%s '%s'; see --help",
                            optopt ? "no value is allowed for option" : "unknown option", argv[optind - 1]);
        }
    }
    return parse_files(argc, argv, o);
}
