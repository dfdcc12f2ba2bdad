/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char bench_usage[] =
    "Usage: vkbench [options]\n"
    "\n"
    "Times attention on a Vulkan device and checks it against the CPU. Without options it runs a sweep of forward\n"
    "attention that suits the device. Lists are separated by commas; the sweep is their product. Sizes may end in K\n"
    "(16K is 16384).\n"
    "\n"
    "  --n LIST          queries and keys alike\n"
    "  --queries LIST    queries, instead of n\n"
    "  --keys LIST       keys, instead of n\n"
    "  --batch LIST      batch items (default: 1)\n"
    "  --heads LIST      query heads\n"
    "  --kv-heads LIST   key and value heads (default: as many as query heads)\n"
    "  --d LIST          dimension of q and k\n"
    "  --dv LIST         dimension of v (default: that of q)\n"
    "  --type LIST       f32, f16, bf16\n"
    "  --mask LIST       none, causal, dense:F, interval:W, topw:W; causal+ before dense and interval combines\n"
    "                      dense:F     a byte for each pair: 64 x 64 tiles, a fraction F on, the diagonal's always\n"
    "                      interval:W  each key is seen from its own position on by 1 to 2 W queries, at random\n"
    "                      topw:W      dynamic mask attention, everything from the values on: each query sees the W "
    "most\n"
    "                                  important keys at or before it\n"
    "                                  (without :W it is 1024 or keys / 8, whichever is smaller)\n"
    "                      paged, paged:F  decoding: all keys, in pages; a fraction F is above the threshold\n"
    "  --bias            add an f32 bias for each kv head and key\n"
    "  --level LIST      best, portable, matrix, matrix2 (default: best)\n"
    "  --pass P          forward (default); backward: all gradients, after a forward run that is not timed; both: one\n"
    "                    after the other, as in a step of training; decode: a step of decoding, in which each of\n"
    "                    --batch sequences gets --queries (1) new tokens and then has --keys. With topw:W it has a\n"
    "                    bounded cache, with paged pages; with none its keys lie side by side, and nothing is added\n"
    "  --reuse-mask      time runs that reuse the bitmap of the mask's tiles; otherwise each run makes it\n"
    "\n"
    "  --device D        best (default), an index, or part of a name\n"
    "  --time SECONDS    limit of each case's timing (default: 2, on a CPU 1)\n"
    "  --samples N       limit of each case's samples (default: 1000)\n"
    "  --seed S          of the random numbers (default: 1)\n"
    "  --json FILE       also write all results and samples to FILE\n"
    "\n"
    "  --tune[=PART]     instead of timing each case with the tile that the library chooses, time attention alone "
    "with\n"
    "                    every tile of cooperative matrices that fits (whose line has PART in it) and print the "
    "lines,\n"
    "                    the fastest first, as the tables of src/attention/tile.c hold them\n"
    "  --peak            measure the device's own ceilings: the rates of copying memory, of f32 multiply-adds and of\n"
    "                    products of cooperative matrices; with cases, each is compared with what they allow\n"
    "  --list            list the devices and exit\n"
    "  --help            print this and exit\n"
    "  --version         print the version and exit\n"
    "\n";

const char bench_usage_notes[] =
    "Columns: ms is the median time of a run on the device, +-% half the range of the middle half of the samples,\n"
    "as a part of the median. TFLOP/s counts 2 (D + Dv) for each pair of query and key that the mask leaves\n"
    "visible, backward 6 D + 4 Dv, and nothing for hidden pairs, whatever the kernel does; vis.% is their share of\n"
    "Sq x Sk. GB/s counts every input of a pass read once and every output written once.\n"
    "\n"
    "With topw a second line splits forward's time, importance and the rest being run by themselves, and says how\n"
    "many times faster than causal it is, where a case of the same sizes with --mask causal came before it.\n"
    "\n"
    "After a step of decoding a second line has the tokens a second, and the memory of a sequence's cache.\n"
    "\n"
    "With --peak, of bound is the least time that the ceilings allow, as a part of the time that was taken: the\n"
    "visible pairs' arithmetic at the rate of f32 multiply-adds or of matrices, whichever the level uses, or the\n"
    "bytes at the rate of a copy, whichever takes longer. Data that stays in caches is read faster than that.\n"
    "\n"
    "Every case is checked on sampled rows before and after it is timed; a wrong one shows WRONG and no time. With\n"
    "gradients a second line says what was checked: gradients of keys of all of them where that takes the CPU about\n"
    "a second, and only then those of dt_weight and a.\n"
    "\n"
    "Exit status: 0 all is well, 1 a wrong result or a failure of the machine, 2 an option is wrong.\n";

/* ---- items --------------------------------------------------------------------------------------------------- */

/* A decimal number from 0 to `limit` that ends where *end points afterwards. */
static bool parse_digits(const char *text, uint64_t limit, uint64_t *value, const char **end)
{
    if (!isdigit((unsigned char)*text)) /* strtoull takes signs and blanks */
        return false;
    char *stop;
    errno = 0;
    unsigned long long number = strtoull(text, &stop, 10);
    *end = stop;
    *value = number;
    return !errno && number <= limit;
}

bool parse_size(const char *text, uint32_t *size)
{
    const uint64_t most = (UINT64_C(1) << 30) - 1;
    uint64_t value;
    const char *end;
    if (!parse_digits(text, most, &value, &end))
        return false;
    if (*end == 'K' || *end == 'k') {
        value *= 1024;
        end++;
    }
    *size = (uint32_t)value;
    return !*end && value && value <= most;
}

/* A decimal number that is finite. */
static bool parse_real(const char *text, double *value)
{
    char *end;
    if (!isdigit((unsigned char)*text) && *text != '.') /* nor "inf" */
        return false;
    *value = strtod(text, &end);
    return !*end && end != text && isfinite(*value);
}

bool parse_type(const char *text, dmattn_type *type)
{
    for (int t = DMATTN_TYPE_F32; t <= DMATTN_TYPE_BF16; t++)
        if (!strcmp(text, dmattn_type_string((dmattn_type)t))) {
            *type = (dmattn_type)t;
            return true;
        }
    return false;
}

bool parse_mask(const char *text, mask_choice *mask)
{
    static const char causal[] = "causal+",
                      dense[] = "dense:", interval[] = "interval:", topw[] = "topw:", paged[] = "paged:";
    *mask = (mask_choice){0};
    if (!strcmp(text, "none"))
        return true;
    mask->causal = !strcmp(text, "causal");
    if (mask->causal)
        return true;
    mask->paged = !strcmp(text, "paged") || !strncmp(text, paged, strlen(paged));
    if (mask->paged)
        return !text[strlen("paged")]
               || (parse_real(text + strlen(paged), &mask->fraction) && mask->fraction > 0 && mask->fraction < 1);
    mask->dynamic = !strcmp(text, "topw") || !strncmp(text, topw, strlen(topw));
    if (mask->dynamic)
        return !text[strlen("topw")] || parse_size(text + strlen(topw), &mask->window);
    if (!strncmp(text, causal, strlen(causal))) {
        mask->causal = true;
        text += strlen(causal);
    }
    if (!strncmp(text, dense, strlen(dense))) {
        mask->mask = DMATTN_MASK_DENSE;
        return parse_real(text + strlen(dense), &mask->fraction) && mask->fraction <= 1;
    }
    mask->mask = DMATTN_MASK_INTERVALS;
    if (!strcmp(text, "interval"))
        return true;
    return !strncmp(text, interval, strlen(interval)) && parse_size(text + strlen(interval), &mask->window);
}

bool parse_level(const char *text, dmattn_level *level)
{
    for (int l = DMATTN_LEVEL_BEST; l <= DMATTN_LEVEL_MATRIX2; l++)
        if (!strcmp(text, l ? dmattn_level_string((dmattn_level)l) : "best")) {
            *level = (dmattn_level)l;
            return true;
        }
    return false;
}

bool parse_pass(const char *text, bench_pass *pass)
{
    static const bench_pass passes[] = {PASS_FORWARD, PASS_BACKWARD, PASS_BOTH, PASS_DECODE, PASS_MASK};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (!strcmp(text, pass_name(passes[i]))) {
            *pass = passes[i];
            return true;
        }
    return false;
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

typedef enum list_kind { LIST_SIZES, LIST_TYPES, LIST_MASKS, LIST_LEVELS } list_kind;

static bool parse_item(list_kind kind, const char *text, void *values, uint32_t index)
{
    switch (kind) {
    case LIST_SIZES: return parse_size(text, (uint32_t *)values + index);
    case LIST_TYPES: return parse_type(text, (dmattn_type *)values + index);
    case LIST_MASKS: return parse_mask(text, (mask_choice *)values + index);
    default: return parse_level(text, (dmattn_level *)values + index);
    }
}

static bool parse_list(list_kind kind, const char *option, const char *text, void *values, uint32_t *count,
                       char why[OPTIONS_WHY_SIZE])
{
    static const char *const wanted[] = {
        [LIST_SIZES] = "a size from 1 to 2^30 - 1",
        [LIST_TYPES] = "one of f32, f16 and bf16",
        [LIST_MASKS] = "one of none, causal, dense:F with F from 0 to 1, interval:W, topw:W, paged and paged:F",
        [LIST_LEVELS] = "one of best, portable, matrix and matrix2",
    };
    *count = 0;
    for (const char *next = text; next;) {
        const char *comma = strchr(next, ',');
        size_t length = comma ? (size_t)(comma - next) : strlen(next);
        char item[64];
        snprintf(item, sizeof item, "%.*s", (int)(length < sizeof item ? length : sizeof item), next);
        if (*count == LIST_MAX) {
            snprintf(why, OPTIONS_WHY_SIZE, "--%s has more than %d values", option, LIST_MAX);
            return false;
        }
        if (length >= sizeof item || !parse_item(kind, item, values, *count)) {
            snprintf(why, OPTIONS_WHY_SIZE, "--%s: '%s' is not %s", option, item, wanted[kind]);
            return false;
        }
        ++*count;
        next = comma ? comma + 1 : NULL;
    }
    return true;
}

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
    OPTION_PASS,
    OPTION_REUSE_MASK,
    OPTION_DEVICE,
    OPTION_TIME,
    OPTION_SAMPLES,
    OPTION_SEED,
    OPTION_JSON,
    OPTION_TUNE,
    OPTION_PEAK,
    OPTION_LIST,
    OPTION_HELP,
    OPTION_VERSION
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
    {"pass", required_argument, NULL, OPTION_PASS},
    {"reuse-mask", no_argument, NULL, OPTION_REUSE_MASK},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"time", required_argument, NULL, OPTION_TIME},
    {"samples", required_argument, NULL, OPTION_SAMPLES},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"json", required_argument, NULL, OPTION_JSON},
    {"tune", optional_argument, NULL, OPTION_TUNE},
    {"peak", no_argument, NULL, OPTION_PEAK},
    {"list", no_argument, NULL, OPTION_LIST},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
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
    snprintf(why, OPTIONS_WHY_SIZE, "--pass: '%.64s' is not one of forward, backward, both, decode and mask", optarg);
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
    case OPTION_MASK: return parse_list(LIST_MASKS, name, optarg, s->mask, &s->mask_count, why);
    case OPTION_LEVEL: return parse_list(LIST_LEVELS, name, optarg, s->level, &s->level_count, why);
    case OPTION_BIAS: s->bias = true; return true;
    case OPTION_PASS: return parse_pass_option(o, why);
    case OPTION_REUSE_MASK: o->reuse_mask = true; return true;
    case OPTION_DEVICE: o->device = optarg; return true;
    case OPTION_JSON: o->json = optarg; return true;
    case OPTION_TUNE:
        o->tune = true;
        o->tune_filter = optarg;
        return true;
    case OPTION_PEAK: o->peak = true; return true;
    default: return parse_number_option(option, name, o, why);
    }
}

bench_action options_parse(int argc, char **argv, bench_options *o, char why[OPTIONS_WHY_SIZE])
{
    *o = (bench_options){.max_samples = 1000, .seed = 1};
    bench_action action = ACTION_RUN;
    optind = 0; /* afresh, even after a word of which getopt did not read every letter; 1 would not do */
    opterr = 0; /* getopt's own complaints begin with the path of the program */
    for (int c, at = 0; (c = getopt_long(argc, argv, ":", long_options, &at)) != -1;) {
        switch (c) {
        case OPTION_HELP: return ACTION_HELP;
        case OPTION_VERSION: return ACTION_VERSION;
        case OPTION_LIST: action = ACTION_LIST; break;
        case ':':
            if (!strchr(argv[optind - 1], '=')) {
                snprintf(why, OPTIONS_WHY_SIZE, "%.64s needs a value", argv[optind - 1]);
                return ACTION_BAD;
            }
            /* fall through - what takes no value but got one is a colon on Windows, a question mark elsewhere */
        case '?':
            if (optopt > 0 && optopt < OPTION_N)
                snprintf(why, OPTIONS_WHY_SIZE, "there is no option -%c; --help lists those that there are", optopt);
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
    if (o->tune && o->sweep.pass > PASS_FORWARD) {
        snprintf(why, OPTIONS_WHY_SIZE, "--tune is for the tiles of the forward pass, so --pass must not be %s",
                 pass_name(o->sweep.pass));
        return ACTION_BAD;
    }
    o->peak_alone = o->peak && sweep_is_empty(&o->sweep);
    return action;
}
