/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "options.h"

#include "cases/parse.h"
#include "check/threads.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* ---- the command line ---------------------------------------------------------------------------------------- */

enum {
    OPTION_N = 256,
    OPTION_QUERIES,
    OPTION_KEYS,
    OPTION_BATCH,
    OPTION_HEADS,
    OPTION_KV_HEADS,
    OPTION_D,
    OPTION_DV,
    OPTION_TYPE,
    OPTION_MASK,
    OPTION_LEVEL,
    OPTION_BIAS,
    OPTION_SINK,
    OPTION_SLOPES,
    OPTION_Q_F32,
    OPTION_KV_FORMAT,
    OPTION_PAGE_SIZE,
    OPTION_OTHER_KEYS,
    OPTION_OTHER_QUERIES,
    OPTION_PACKED,
    OPTION_PASS,
    OPTION_REUSE_MASK,
    OPTION_LENGTHS,
    OPTION_MODEL,
    OPTION_SHAPES,
    OPTION_SUITE,
    OPTION_FILTER,
    OPTION_DEVICE,
    OPTION_TIME,
    OPTION_SAMPLES,
    OPTION_REPEAT_RUN,
    OPTION_SEED,
    OPTION_COLD,
    OPTION_JSON,
    OPTION_CSV,
    OPTION_MARKDOWN,
    OPTION_TUNE,
    OPTION_PLANS,
    OPTION_PLAN_THREADS,
    OPTION_CEILINGS,
    OPTION_LIST,
    OPTION_LIST_CASES,
    OPTION_LIST_MODELS
};

static const struct option long_options[] = {
    {"n", required_argument, NULL, OPTION_N},
    {"queries", required_argument, NULL, OPTION_QUERIES},
    {"keys", required_argument, NULL, OPTION_KEYS},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"heads", required_argument, NULL, OPTION_HEADS},
    {"kv-heads", required_argument, NULL, OPTION_KV_HEADS},
    {"d", required_argument, NULL, OPTION_D},
    {"dv", required_argument, NULL, OPTION_DV},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"mask", required_argument, NULL, OPTION_MASK},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"bias", no_argument, NULL, OPTION_BIAS},
    {"sink", no_argument, NULL, OPTION_SINK},
    {"slopes", no_argument, NULL, OPTION_SLOPES},
    {"q-f32", no_argument, NULL, OPTION_Q_F32},
    {"kv-format", required_argument, NULL, OPTION_KV_FORMAT},
    {"page-size", required_argument, NULL, OPTION_PAGE_SIZE},
    {"other-keys", required_argument, NULL, OPTION_OTHER_KEYS},
    {"other-queries", required_argument, NULL, OPTION_OTHER_QUERIES},
    {"packed", no_argument, NULL, OPTION_PACKED},
    {"pass", required_argument, NULL, OPTION_PASS},
    {"reuse-mask", no_argument, NULL, OPTION_REUSE_MASK},
    {"lengths", required_argument, NULL, OPTION_LENGTHS},
    {"model", required_argument, NULL, OPTION_MODEL},
    {"shapes", required_argument, NULL, OPTION_SHAPES},
    {"suite", required_argument, NULL, OPTION_SUITE},
    {"filter", required_argument, NULL, OPTION_FILTER},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"time", required_argument, NULL, OPTION_TIME},
    {"samples", required_argument, NULL, OPTION_SAMPLES},
    {"repeat-run", required_argument, NULL, OPTION_REPEAT_RUN},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"cold", no_argument, NULL, OPTION_COLD},
    {"json", required_argument, NULL, OPTION_JSON},
    {"csv", required_argument, NULL, OPTION_CSV},
    {"markdown", required_argument, NULL, OPTION_MARKDOWN},
    {"tune", optional_argument, NULL, OPTION_TUNE},
    {"plans", optional_argument, NULL, OPTION_PLANS},
    {"plan-threads", required_argument, NULL, OPTION_PLAN_THREADS},
    {"ceilings", no_argument, NULL, OPTION_CEILINGS},
    {"list", no_argument, NULL, OPTION_LIST},
    {"list-cases", no_argument, NULL, OPTION_LIST_CASES},
    {"list-models", no_argument, NULL, OPTION_LIST_MODELS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static size_list *sizes_of(sweep *s, int option)
{
    size_list *const lists[] = {&s->n,     &s->queries,  &s->keys,     &s->batch,
                                &s->heads, &s->kv_heads, &s->head_dim, &s->value_dim};
    return option <= OPTION_DV ? lists[option - OPTION_N] : NULL;
}

static bool parse_number_option(int option, const char *name, bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    uint64_t value = 0;
    const char *end = "", *wanted = NULL;
    if (option == OPTION_TIME) {
        if (!parse_real(optarg, &o->seconds) || o->seconds <= 0 || o->seconds > 3600)
            wanted = "a number of seconds above 0, up to 3600";
    } else if (option == OPTION_SAMPLES) {
        if (!parse_digits(optarg, 10000, &value, &end) || *end || !value)
            wanted = "a number from 1 to 10000";
        o->max_samples = (uint32_t)value;
    } else if (option == OPTION_REPEAT_RUN) {
        if (!parse_digits(optarg, 1000, &value, &end) || *end || !value)
            wanted = "a number from 1 to 1000";
        o->repeats = (uint32_t)value;
    } else if (option == OPTION_PLANS || option == OPTION_PLAN_THREADS) {
        if (!parse_digits(optarg, MOST_THREADS, &value, &end) || *end || !value)
            wanted = "a number of threads from 1 to 16";
        *(option == OPTION_PLANS ? &o->plan_threads : &o->ahead) = (uint32_t)value;
    } else if (option == OPTION_PAGE_SIZE) {
        if (!parse_digits(optarg, 256, &value, &end) || *end || !value)
            wanted = "a number of tokens from 1 to 256";
        o->sweep.page_size = (uint32_t)value;
    } else if (option == OPTION_OTHER_KEYS) {
        if (!parse_size(optarg, &o->sweep.other_keys))
            wanted = "a size from 1 to 2^30 - 1";
    } else if (option == OPTION_OTHER_QUERIES) {
        if (!parse_size(optarg, &o->sweep.other_queries))
            wanted = "a size from 1 to 2^30 - 1";
    } else if (option == OPTION_LENGTHS) {
        if (!parse_size(optarg, &o->lengths))
            wanted = "a size from 1 to 2^30 - 1";
    } else if (!parse_digits(optarg, UINT64_MAX, &o->seed, &end) || *end)
        wanted = "a number from 0 to 2^64 - 1";
    if (wanted)
        snprintf(why, OPTIONS_WHY_SIZE, "--%s: '%.64s' is not %s", name, optarg, wanted);
    return !wanted;
}

static bool parse_pass_option(bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    if (parse_pass(optarg, &o->sweep.pass))
        return true;
    snprintf(why, OPTIONS_WHY_SIZE,
             "--pass: '%.64s' is not one of forward, backward, both, decode, prefill, mask, merge and select", optarg);
    return false;
}

static bool parse_formats_option(sweep *s, char why[OPTIONS_WHY_SIZE])
{
    if (parse_formats(optarg, &s->k_format, &s->v_format))
        return true;
    snprintf(why, OPTIONS_WHY_SIZE,
             "--kv-format: '%.64s' is not one of f32, f16, bf16, int8, e4m3, q8_0 and q4_0, or two of them, K+V",
             optarg);
    return false;
}

static bool parse_suite_option(bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    if (parse_suite(optarg, &o->suite))
        return true;
    snprintf(why, OPTIONS_WHY_SIZE,
             "--suite: '%.64s' is not one of quick, models, scaling, sparsity, decode, serving and full", optarg);
    return false;
}

static bool parse_option(int option, const char *name, bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    sweep *s = &o->sweep;
    size_list *sizes = sizes_of(s, option);
    if (sizes)
        return parse_list(LIST_SIZES, name, optarg, sizes->value, &sizes->count, why);
    switch (option) {
    case OPTION_TYPE: return parse_list(LIST_TYPES, name, optarg, s->type, &s->type_count, why);
    case OPTION_MASK: return parse_masks(optarg, s, why);
    case OPTION_LEVEL: return parse_list(LIST_LEVELS, name, optarg, s->level, &s->level_count, why);
    case OPTION_BIAS: s->bias = true; return true;
    case OPTION_SINK: s->sink = true; return true;
    case OPTION_SLOPES: s->slopes = true; return true;
    case OPTION_Q_F32: s->q_f32 = true; return true;
    case OPTION_PACKED: s->packed = true; return true;
    case OPTION_KV_FORMAT: return parse_formats_option(s, why);
    case OPTION_PASS: return parse_pass_option(o, why);
    case OPTION_REUSE_MASK: o->reuse_mask = true; return true;
    case OPTION_MODEL: o->models = optarg; return true;
    case OPTION_SHAPES: o->shapes = optarg; return true;
    case OPTION_SUITE: return parse_suite_option(o, why);
    case OPTION_FILTER: o->filter = optarg; return true;
    case OPTION_COLD: o->cold = true; return true;
    case OPTION_DEVICE: o->device = optarg; return true;
    case OPTION_JSON: o->json = optarg; return true;
    case OPTION_CSV: o->csv = optarg; return true;
    case OPTION_MARKDOWN: o->markdown = optarg; return true;
    case OPTION_TUNE:
        o->tune = true;
        o->tune_filter = optarg;
        return true;
    case OPTION_PLANS: o->plans = true; return !optarg || parse_number_option(option, name, o, why);
    case OPTION_CEILINGS: o->ceilings = true; return true;
    default: return parse_number_option(option, name, o, why);
    }
}

bool options_set_models(bench_options *o, const shape_list *shapes, char why[OPTIONS_WHY_SIZE])
{
    sweep *s = &o->sweep;
    for (const char *next = o->models; next;) {
        const char *comma = strchr(next, ',');
        const size_t length = comma ? (size_t)(comma - next) : strlen(next);
        const model_shape *model = shapes_find(shapes, next, length);
        if (!model) {
            snprintf(why, OPTIONS_WHY_SIZE, "--model: there is no model '%.*s'; see --list-models",
                     (int)(length < 64 ? length : 64), next);
            return false;
        }
        if (s->model_count == LIST_MAX) {
            snprintf(why, OPTIONS_WHY_SIZE, "--model has more than %d values", LIST_MAX);
            return false;
        }
        s->model[s->model_count++] = model;
        next = comma ? comma + 1 : NULL;
    }
    return true;
}

/* Two outputs need two files, and --tune and --plans have no results to write. */
static bool check_outputs(const bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    const char *const paths[] = {o->json, o->csv, o->markdown}, *const names[] = {"json", "csv", "markdown"};
    for (int i = 0; i < 3; i++)
        if ((o->tune || o->plans) && paths[i]) {
            snprintf(why, OPTIONS_WHY_SIZE, "--%s has no results for --%s", o->tune ? "tune" : "plans", names[i]);
            return false;
        }
    for (int i = 1; i < 3; i++)
        for (int k = 0; k < i; k++)
            if (paths[i] && paths[k] && !strcmp(paths[i], paths[k])) {
                snprintf(why, OPTIONS_WHY_SIZE, "--%s and --%s both write %.64s", names[k], names[i], paths[i]);
                return false;
            }
    return true;
}

/* Checks which options can be combined, and sets the default suite. */
static bool check_together(bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    const sweep *s = &o->sweep;
    const bool own = sweep_names_cases(s);
    if (o->tune && (s->pass & (PASS_MASK | PASS_MERGE | PASS_PREFILL | PASS_SELECT) || o->suite)) {
        snprintf(why, OPTIONS_WHY_SIZE,
                 "--tune times attention, gradients or decoding of a grid; it cannot be combined with --%s %s",
                 o->suite ? "suite" : "pass", o->suite ? suite_name(o->suite) : pass_name(s->pass));
        return false;
    }
    if (o->plans && (o->tune || o->ceilings)) {
        snprintf(why, OPTIONS_WHY_SIZE, "--plans times no kernels; it cannot be combined with --%s",
                 o->tune ? "tune" : "ceilings");
        return false;
    }
    if (o->suite && own) {
        snprintf(why, OPTIONS_WHY_SIZE,
                 "--suite %s defines its cases; only --model, --type, --level and --filter can be combined with it",
                 suite_name(o->suite));
        return false;
    }
    if (o->models && (s->heads.count || s->kv_heads.count || s->head_dim.count || s->value_dim.count)) {
        snprintf(why, OPTIONS_WHY_SIZE,
                 "--model defines heads and dimensions; it cannot be combined with --heads, --kv-heads, --d and --dv");
        return false;
    }
    o->ceilings_only = o->ceilings && !own && !o->suite && !o->models && !s->type_count && !s->level_count;
    if (!own && !o->tune && !o->ceilings_only && !o->suite)
        o->suite = SUITE_QUICK;
    return true;
}

bench_action options_parse(int argc, char **argv, bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    *o = (bench_options){.max_samples = 1000, .repeats = 1, .seed = 1};
    bench_action action = ACTION_RUN;
    optind = 0; /* resets getopt completely; 1 would keep its position within a word */
    opterr = 0; /* getopt's messages would start with the path of the program */
    for (int c, at = 0; (c = getopt_long(argc, argv, ":hV", long_options, &at)) != -1;) {
        switch (c) {
        case 'h': return ACTION_HELP;
        case 'V': return ACTION_VERSION;
        case OPTION_LIST: action = ACTION_LIST; break;
        case OPTION_LIST_CASES: action = ACTION_LIST_CASES; break;
        case OPTION_LIST_MODELS: action = ACTION_LIST_MODELS; break;
        case ':':
            if (!strchr(argv[optind - 1], '=')) {
                snprintf(why, OPTIONS_WHY_SIZE, "%.64s needs a value", argv[optind - 1]);
                return ACTION_BAD;
            }
            /* fall through - an unexpected value gives ':' on Windows and '?' elsewhere */
        case '?':
            if (optopt > 0 && optopt < OPTION_N && strncmp(argv[optind - 1], "--", 2))
                snprintf(why, OPTIONS_WHY_SIZE, "there is no option -%c; see --help", optopt);
            else
                snprintf(why, OPTIONS_WHY_SIZE,
                         optopt ? "%.64s takes no value" : "there is no option %.64s; see --help", argv[optind - 1]);
            return ACTION_BAD;
        default:
            if (!parse_option(c, long_options[at].name, o, why))
                return ACTION_BAD;
        }
    }
    if (optind < argc) {
        snprintf(why, OPTIONS_WHY_SIZE, "'%.64s' is not an option", argv[optind]);
        return ACTION_BAD;
    }
    return check_together(o, why) && check_outputs(o, why) ? action : ACTION_BAD;
}
