/* SPDX-License-Identifier: MIT
 * dmattn-generate: a small transformer with dynamic mask attention that generates text, as an example of an app that
 * has its own Vulkan instance and device. Read in this order:
 *
 *     vulkan_app.c   the app's instance, device and queues, and the dmattn context for them
 *     model.c        the plans, and command buffers with both the app's shaders and the kernels of dmattn
 *     work.c, memory*.c, weights.c, reference.c   the parts that do not use dmattn */
#include "die.h"
#include "reference.h"
#include "work.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] = "Usage: dmattn-generate [options]\n"
                            "\n"
                            "Continues a text with a small byte-level transformer whose attention is computed\n"
                            "by dmattn.\n"
                            "\n"
                            "Options:\n"
                            "  --prompt TEXT   the text to continue\n"
                            "  --tokens N      bytes to generate (default: 64)\n"
                            "  --window N      keys that each query sees (default: 32)\n"
                            "  --weights FILE  a .safetensors file of a model with 256 tokens and tensor\n"
                            "                  names as in Doge (default: random weights)\n"
                            "  --seed N        seed of the random weights (default: 1)\n"
                            "  --layers N      layers of the random model (default: 4)\n"
                            "  --save FILE     write the weights to a file\n"
                            "  --device D      Vulkan device: best, its index, or part of its name (default:\n"
                            "                  a discrete GPU, or else the first device)\n"
                            "  --check         compare logits and tokens with a reference on the CPU\n"
                            "  --validation    load the Khronos validation layer if it is installed; its\n"
                            "                  errors are failures\n"
                            "  -h, --help      print this text and exit\n"
                            "  -V, --version   print the version and exit\n"
                            "\n"
                            "Exit status:\n"
                            "  0  success\n"
                            "  1  a failure of the machine or of a check\n"
                            "  2  a wrong option or file\n";

typedef struct options {
    const char *prompt, *weights, *save, *device;
    uint32_t tokens, window, seed, layers;
    bool check, validation;
} options;

static uint32_t number(const char *name, const char *text, uint32_t least, uint32_t most)
{
    char *end;
    const unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || !isdigit((unsigned char)*text) || *end || n < least || n > most)
        refuse("%s must be a number from %u to %u", name, least, most);
    return (uint32_t)n;
}

static options read_options(char **arguments)
{
    options o = {.prompt =
                     "Every key is seen by one interval of queries: it begins with the key itself, and ends where "
                     "more important keys have come.",
                 .tokens = 64,
                 .window = 32,
                 .seed = 1,
                 .layers = 4};
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
            o.tokens = number(name, value, 1, 100000);
        else if (!strcmp(name, "--window"))
            o.window = number(name, value, 1, 100000);
        else if (!strcmp(name, "--seed"))
            o.seed = number(name, value, 0, UINT32_MAX);
        else if (!strcmp(name, "--layers"))
            o.layers = number(name, value, 1, MAX_LAYERS);
        else if (value && !strcmp(name, "--device"))
            o.device = value;
        else if (value && !strcmp(name, "--prompt"))
            o.prompt = value;
        else if (value && !strcmp(name, "--weights"))
            o.weights = value;
        else if (value && !strcmp(name, "--save"))
            o.save = value;
        else
            refuse("%s is not an option or lacks its value; --help lists the options", name);
        a++;
    }
    if (!*o.prompt)
        refuse("the prompt is empty");
    return o;
}

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double run(app *a, VkCommandBuffer commands)
{
    const double start = now();
    app_submit(a, &a->compute, commands);
    app_wait(a);
    return now() - start;
}

static void print_byte(uint32_t byte)
{
    if (byte < 256 && (isprint((int)byte) || byte == '\n'))
        putchar((int)byte);
    else
        printf("\\x%02x", byte);
    fflush(stdout);
}

/* Downloads the logits of all tokens so far; the caller frees them. */
static float *logits(const model *m)
{
    float *to = malloc(m->logits.size);
    if (!to)
        die("no host memory");
    app_download(m->app, &m->logits, to, m->logits.size);
    return to;
}

/* Compares with the reference, and with a prefill of the whole sequence at once. */
static bool check(model *m, const options *o, uint32_t prompt)
{
    sequence *s = model_sequence(m);
    const uint32_t n = s->position;
    uint32_t *tokens = malloc((n + 1) * sizeof *tokens);
    if (!tokens)
        die("no host memory");
    memcpy(tokens, s->token, (n + 1) * sizeof *tokens);
    float *stepwise = logits(m);
    dmattn_plan *plan;
    s->position = 0;
    run(m->app, model_record_prefill(m, n, &plan));
    dmattn_plan_destroy(plan);
    float *whole = logits(m);
    const bool ok = reference_check(m->weights, o->window, tokens, n, prompt, stepwise, whole);
    free(whole);
    free(stepwise);
    free(tokens);
    return ok;
}

static bool generate(app *a, const weights *w, const options *o)
{
    const uint32_t prompt = (uint32_t)strlen(o->prompt);
    model m;
    model_create(&m, a, w, o->window, prompt + o->tokens - 1);
    sequence *s = model_sequence(&m);
    s->position = 0;
    for (uint32_t i = 0; i < prompt; i++)
        s->token[i] = (unsigned char)o->prompt[i];

    dmattn_plan *plan;
    const VkCommandBuffer prefill = model_record_prefill(&m, prompt, &plan), step = model_record_step(&m);
    run(a, prefill); /* not timed: the weights may still be uploading, and some drivers compile only now */
    s->position = 0;
    const double prefill_time = run(a, prefill);
    printf("%s", o->prompt);
    print_byte(s->token[prompt]);
    double time = 0;
    for (uint32_t i = 1; i < o->tokens; i++) {
        const double seconds = run(a, step);
        time += i > 1 ? seconds : 0; /* the first step is not timed either */
        print_byte(s->token[s->position]);
    }
    printf("\nprefill: %u tokens in %.2f ms, %.0f tokens/s\n", prompt, prefill_time * 1e3, prompt / prefill_time);
    if (o->tokens > 2)
        printf("decoding: %.2f ms per token, %.0f tokens/s\n", time / (o->tokens - 2) * 1e3, (o->tokens - 2) / time);
    dmattn_plan_destroy(plan);
    const bool ok = !o->check || check(&m, o, prompt);
    model_destroy(&m);
    return ok;
}

int main(int argc, char **argv)
{
    (void)argc;
    const options o = read_options(argv + 1);
    const model_shape shape = {
        .layers = o.layers, .hidden = 128, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 256};
    weights w = o.weights ? weights_read(o.weights) : weights_random(&shape, o.seed);
    if (o.save)
        weights_write(&w, o.save);

    app a;
    app_open(&a, o.device, o.validation);
    printf("%s, %s, memory: %s\n", a.properties.deviceName,
           a.compute.queue == a.transfer.queue ? "one queue" : "separate queues for compute and copies", memory_name);
    bool ok = generate(&a, &w, &o);
    app_close(&a);
    if (a.findings) {
        fprintf(stderr, "dmattn-generate: the validation layer reported %u errors\n", a.findings);
        ok = false;
    }
    weights_free(&w);
    if (fflush(stdout) || ferror(stdout))
        die("the output cannot be written");
    return ok ? 0 : 1;
}
