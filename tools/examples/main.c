/* SPDX-License-Identifier: MIT
 * dmattn-generate: a small transformer with dynamic mask attention that generates text, as an example of an app that
 * has its own Vulkan instance and device. Read in this order:
 *
 *     vulkan_app.c   the app's instance, device and queues, and the dmattn context for them
 *     model.c        one sequence: the plans, and command buffers with the app's shaders and the kernels of dmattn
 *     server.c, server_run.c   many sequences with one cache, and
 *     scheduler.c    their scheduler, as docs/serving.md explains it
 *     layers.c       the parts of the model that are not attention
 *     pretrained.c   a model in the files of Hugging Face's transformers, with tokenizer/ and weights.c
 *     generate.c, serve.c, work.c, memory*.c, pages.c, reference.c, text.c   the other parts that do not use dmattn */
#include "model/text.h"
#include "options.h"
#include "vulkan/die.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "Usage: dmattn-generate [options]\n"
                            "\n"
                            "Continues a text with a transformer whose attention is computed by dmattn: Doge,\n"
                            "or a small random model whose tokens are bytes. It always takes the likeliest\n"
                            "token.\n"
                            "\n"
                            "Options:\n"
                            "  --prompt TEXT   the text to continue; up to 64 of these are served at once\n"
                            "  --tokens N      tokens to generate at most (default: 64)\n"
                            "  --window N      keys that each query sees (default: the model's, or 32)\n"
                            "  --cache C       serve the prompts from one cache: paged (default of several\n"
                            "                  prompts) keeps all keys, bounded those of the window\n"
                            "  --format F      of keys and values in that cache: f32, f16, bf16, int8\n"
                            "                  (default), e4m3, q8_0 or q4_0\n"
                            "  --sequences N   prompts that are served at the same time (default: all, up to\n"
                            "                  8); the others wait\n"
                            "  --weights PATH  a folder with a Doge model, as save_pretrained() writes it, or\n"
                            "                  a .safetensors file with the weights of one whose tokens are\n"
                            "                  bytes (default: random weights)\n"
                            "  --seed N        seed of the random weights (default: 1)\n"
                            "  --layers N      layers of the random model (default: 4)\n"
                            "  --save FILE     write the weights to a file\n"
                            "  --device D      Vulkan device: best, its index, or part of its name (default:\n"
                            "                  a discrete GPU, or else the first device)\n"
                            "  --check         compare logits and tokens with a reference on the CPU; if\n"
                            "                  prompts are served, each text with that of its prompt alone\n"
                            "  --validation    load the Khronos validation layer if it is installed; its\n"
                            "                  errors are failures\n"
                            "  -h, --help      print this text and exit\n"
                            "  -V, --version   print the version and exit\n"
                            "\n"
                            "Exit status:\n"
                            "  0  success\n"
                            "  1  a failure of the machine or of a check\n"
                            "  2  a wrong option or file\n";

static uint32_t number(const char *name, const char *text, uint32_t least, uint32_t most)
{
    char *end;
    const unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || !isdigit((unsigned char)*text) || *end || n < least || n > most)
        refuse("%s must be a number from %u to %u", name, least, most);
    return (uint32_t)n;
}

static void add_prompt(options *o, const char *prompt)
{
    if (!*prompt)
        refuse("the prompt is empty");
    if (o->prompt_count == MOST_PROMPTS)
        refuse("there are more than %d prompts", MOST_PROMPTS);
    o->prompts[o->prompt_count++] = prompt;
}

static void choose_cache(options *o, const char *cache)
{
    o->serves = true;
    o->bounded = !strcmp(cache, "bounded");
    if (!o->bounded && strcmp(cache, "paged"))
        refuse("--cache must be paged or bounded, not '%s'", cache);
}

static void choose_format(options *o, const char *name)
{
    static const struct {
        const char *name;
        dmattn_format format;
    } formats[] = {{"f32", DMATTN_FORMAT_F32},   {"f16", DMATTN_FORMAT_F16},   {"bf16", DMATTN_FORMAT_BF16},
                   {"int8", DMATTN_FORMAT_INT8}, {"e4m3", DMATTN_FORMAT_E4M3}, {"q8_0", DMATTN_FORMAT_Q8_0},
                   {"q4_0", DMATTN_FORMAT_Q4_0}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(name, formats[i].name)) {
            o->format = formats[i].format;
            return;
        }
    refuse("--format must be f32, f16, bf16, int8, e4m3, q8_0 or q4_0, not '%s'", name);
}

static options read_options(char **arguments)
{
    options o = {.tokens = 64, .seed = 1, .layers = 4};
    for (char **a = arguments; *a; a++) {
        const char *name = *a;
        if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
            fputs(usage, stdout);
            exit(0);
        }
        if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
            const unsigned version = dmattn_version();
            printf("dmattn-generate %u.%u.%u\n", version / 1000000, version / 1000 % 1000, version % 1000);
            exit(0);
        }
        if (!strcmp(name, "--check") || !strcmp(name, "--validation")) {
            *(name[2] == 'c' ? &o.check : &o.validation) = true;
            continue;
        }
        const char *value = a[1];
        if (!strcmp(name, "--tokens"))
            o.tokens = number(name, value, 1, MOST_TOKENS);
        else if (!strcmp(name, "--window"))
            o.window = number(name, value, 1, 100000);
        else if (!strcmp(name, "--seed"))
            o.seed = number(name, value, 0, UINT32_MAX);
        else if (!strcmp(name, "--layers"))
            o.layers = number(name, value, 1, MAX_LAYERS);
        else if (value && !strcmp(name, "--device"))
            o.device = value;
        else if (value && !strcmp(name, "--prompt"))
            add_prompt(&o, value);
        else if (value && !strcmp(name, "--cache"))
            choose_cache(&o, value);
        else if (value && !strcmp(name, "--format"))
            choose_format(&o, value);
        else if (!strcmp(name, "--sequences"))
            o.sequences = number(name, value, 1, MOST_PROMPTS);
        else if (value && !strcmp(name, "--weights"))
            o.weights = value;
        else if (value && !strcmp(name, "--save"))
            o.save = value;
        else
            refuse("%s is not an option or lacks its value; --help lists the options", name);
        a++;
    }
    if (!o.prompt_count)
        add_prompt(&o, "Every key is seen by one interval of queries: it begins with the key itself, and ends where "
                       "more important keys have come.");
    o.serves = o.serves || o.prompt_count > 1;
    if ((o.sequences || o.format) && !o.serves)
        refuse("--sequences and --format need several prompts, or --cache");
    o.format = o.format ? o.format : DMATTN_FORMAT_INT8;
    return o;
}

int main(int argc, char **argv)
{
    (void)argc;
    options o = read_options(argv + 1);
    const model_shape shape = {
        .vocabulary = 256, .layers = o.layers, .hidden = 128, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 256};
    pretrained p = {0};
    if (o.weights)
        p = pretrained_read(o.weights);
    else
        p.weights = weights_random(&shape, o.seed);
    if (!o.window) /* a random model may see all keys of a paged cache */
        o.window = p.config.window ? p.config.window : o.serves && !o.bounded ? UINT32_MAX : 32;
    if (o.save)
        weights_write(&p.weights, o.save);

    app a;
    app_open(&a, o.device, o.validation);
    printf("%s, %s, memory: %s\n", a.properties.deviceName,
           a.compute.queue == a.transfer.queue ? "one queue" : "separate queues for compute and copies", memory_name);
    bool ok = o.serves ? serve(&a, &p, &o) : generate(&a, &p, &o);
    app_close(&a);
    if (a.findings) {
        fprintf(stderr, "dmattn-generate: the validation layer reported %u errors\n", a.findings);
        ok = false;
    }
    pretrained_free(&p);
    if (fflush(stdout) || ferror(stdout))
        die("the output cannot be written");
    return ok ? 0 : 1;
}
