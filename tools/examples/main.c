/* SPDX-License-Identifier: MIT
 * dmattn-generate: a small transformer with dynamic mask attention that generates text, as an example of an app that
 * has its own Vulkan instance and device. Read in this order:
 *
 *     vulkan_app.c   the app's instance, device and queues, and the dmattn context for them
 *     model.c        the plans, and command buffers with both the app's shaders and the kernels of dmattn
 *     pretrained.c   a model in the files of Hugging Face's transformers, with tokenizer/ and weights.c
 *     work.c, memory*.c, reference.c   the other parts that do not use dmattn */
#include "die.h"
#include "pretrained.h"
#include "reference.h"
#include "work.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] = "Usage: dmattn-generate [options]\n"
                            "\n"
                            "Continues a text with a transformer whose attention is computed by dmattn: Doge,\n"
                            "or a small random model whose tokens are bytes. It always takes the likeliest\n"
                            "token.\n"
                            "\n"
                            "Options:\n"
                            "  --prompt TEXT   the text to continue\n"
                            "  --tokens N      tokens to generate at most (default: 64)\n"
                            "  --window N      keys that each query sees (default: the model's, or 32)\n"
                            "  --weights PATH  a folder with a Doge model, as save_pretrained() writes it, or\n"
                            "                  a .safetensors file with the weights of one whose tokens are\n"
                            "                  bytes (default: random weights)\n"
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

enum { MOST_TOKENS = 100000 };

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

/* Prints text, but not what could control a terminal. `bytes`: nor bytes beyond ASCII, which need not be UTF-8. */
static void print_text(const char *text, size_t length, bool bytes)
{
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c >= ' ' && c < 0x7f) || c == '\n' || c == '\t' || (c >= 0x80 && !bytes))
            putchar(c);
        else
            printf("\\x%02x", c);
    }
}

static void print_token(const pretrained *p, uint32_t token)
{
    const char byte = (char)token;
    const token_bytes text = p->tokenizer ? tokenizer_decode(p->tokenizer, token) : (token_bytes){&byte, 1};
    print_text(text.data, text.length, !p->tokenizer);
    fflush(stdout);
}

/* The tokens of the prompt. The caller frees them. */
static uint32_t *prompt_tokens(const pretrained *p, const char *prompt, uint32_t *count)
{
    char error[TOKENIZER_ERROR_SIZE];
    uint32_t *tokens;
    size_t n = strlen(prompt);
    if (p->tokenizer) {
        if (!tokenizer_encode(p->tokenizer, prompt, &tokens, &n, error))
            refuse("--prompt: %s", error);
    } else {
        tokens = calloc(n, sizeof *tokens);
        for (size_t i = 0; tokens && i < n; i++)
            tokens[i] = (unsigned char)prompt[i];
    }
    if (!tokens)
        die("no host memory");
    if (!n || n > MOST_TOKENS)
        refuse("the prompt has %zu tokens, but must have 1 to %d", n, MOST_TOKENS);
    *count = (uint32_t)n;
    return tokens;
}

static bool is_end(const model_config *c, uint32_t token)
{
    for (uint32_t i = 0; i < c->end_count; i++)
        if (c->ends[i] == token)
            return true;
    return false;
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

static bool generate(app *a, const pretrained *p, const options *o)
{
    uint32_t prompt;
    uint32_t *tokens = prompt_tokens(p, o->prompt, &prompt);
    if (p->config.window && prompt + o->tokens - 1 > p->config.most_positions)
        refuse("%u tokens are more than the %u for which the model's rotation is known", prompt + o->tokens - 1,
               p->config.most_positions);
    model m;
    model_create(&m, a, &p->weights, o->window, prompt + o->tokens - 1);
    sequence *s = model_sequence(&m);
    s->position = 0;
    memcpy(s->token, tokens, prompt * sizeof *tokens);
    free(tokens);

    dmattn_plan *plan;
    const VkCommandBuffer prefill = model_record_prefill(&m, prompt, &plan), step = model_record_step(&m);
    run(a, prefill); /* not timed: the weights may still be uploading, and some drivers compile only now */
    s->position = 0;
    const double prefill_time = run(a, prefill);
    print_text(o->prompt, strlen(o->prompt), false);
    print_token(p, s->token[prompt]);
    double time = 0;
    uint32_t generated = 1;
    for (; generated < o->tokens && !is_end(&p->config, s->token[s->position]); generated++) {
        const double seconds = run(a, step);
        time += generated > 1 ? seconds : 0; /* the first step is not timed either */
        print_token(p, s->token[s->position]);
    }
    printf("\nprefill: %u tokens in %.2f ms, %.0f tokens/s\n", prompt, prefill_time * 1e3, prompt / prefill_time);
    if (generated > 2)
        printf("decoding: %.2f ms per token, %.0f tokens/s\n", time / (generated - 2) * 1e3, (generated - 2) / time);
    dmattn_plan_destroy(plan);
    const bool ok = !o->check || check(&m, o, prompt);
    model_destroy(&m);
    return ok;
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
    if (!o.window)
        o.window = p.config.window ? p.config.window : 32;
    if (o.save)
        weights_write(&p.weights, o.save);

    app a;
    app_open(&a, o.device, o.validation);
    printf("%s, %s, memory: %s\n", a.properties.deviceName,
           a.compute.queue == a.transfer.queue ? "one queue" : "separate queues for compute and copies", memory_name);
    bool ok = generate(&a, &p, &o);
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
