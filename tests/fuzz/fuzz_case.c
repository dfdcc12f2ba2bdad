/* SPDX-License-Identifier: MIT
 * Case files for `dmattn-run --cpu`: the reader of .safetensors files, the reader of cases, and the reference. */
#include "fuzz.h"

#include "case_file.h"
#include "gradients.h"

#include <stdlib.h>
#include <string.h>

/* The maximum number of multiplications: the reference is too slow for larger cases. */
#define MOST_WORK 3e5

typedef struct heard {
    unsigned errors;
} heard;

static void hear(void *user, dmattn_severity severity, const char *text)
{
    heard *h = user;
    FUZZ_CHECK(text && *text && !strchr(text, '\n'));
    h->errors += severity == DMATTN_SEVERITY_ERROR;
}

static void check_tensors(const safetensors_file *file, size_t size)
{
    uint64_t total = 0;
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const safetensors_tensor *t = &file->tensors[i];
        uint64_t bytes;
        FUZZ_CHECK(safetensors_bytes(t, &bytes) && bytes == t->bytes && t->data);
        FUZZ_CHECK(safetensors_find(file, t->name) == t);
        for (uint64_t k = 0; k < bytes; k++)
            sum = (uint8_t)(sum + ((const uint8_t *)t->data)[k]);
        total += bytes;
    }
    FUZZ_CHECK(total <= size);
}

static bool is_small(const problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const double documents = p->dma ? p->mask_desc.selection.documents + 1.0 : 1;
    return (double)d->batch * d->queries * d->heads * d->keys * (d->head_dim + d->value_dim) < MOST_WORK
           && (double)d->batch * d->keys * d->kv_heads * d->kv_heads * d->value_dim < MOST_WORK
           && (double)d->batch * d->kv_heads * d->queries * d->keys * documents < MOST_WORK;
}

static void run(problem *p)
{
    const size_t rows = (size_t)p->desc.batch * p->desc.queries * p->desc.heads;
    dmattn_status status = p->dma ? problem_make_mask(p) : DMATTN_SUCCESS;
    FUZZ_CHECK(!status || status == DMATTN_ERROR_INVALID);
    if (status)
        return;
    double *out = malloc(rows * p->desc.value_dim * sizeof *out), *lse = malloc(rows * sizeof *lse);
    const reference_inputs in = problem_inputs(p);
    FUZZ_CHECK(out && lse && !reference_attention(&p->desc, &in, out, lse));
    free(out);
    free(lse);
    gradients g = {0};
    if (p->backward.gradients)
        FUZZ_CHECK(!gradients_create(p, &g) && !gradients_on_cpu(p, &g));
    gradients_destroy(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    safetensors_file file;
    char why[SAFETENSORS_ERROR_SIZE];
    memset(why, 1, sizeof why);
    if (safetensors_read(fuzz_file(data, size), &file, why)) {
        FUZZ_CHECK(fuzz_is_sentence(why, sizeof why));
        return 0;
    }
    check_tensors(&file, size);
    heard h = {0};
    problem p;
    const dmattn_status status = case_file_read(&file, &(messenger){hear, &h}, &p);
    FUZZ_CHECK(h.errors == (status != DMATTN_SUCCESS));
    if (!status && is_small(&p))
        run(&p);
    problem_destroy(&p);
    safetensors_free(&file);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    return fuzz_mutate_safetensors(data, size, most, seed);
}
