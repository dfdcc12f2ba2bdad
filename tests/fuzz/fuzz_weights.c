/* SPDX-License-Identifier: MIT
 * Weights of the example app. The app exits if it refuses a file. Here, its memory is freed instead. */
#include "fuzz.h"

#include "safetensors.h"

#include <setjmp.h>
#include <stdlib.h>

static jmp_buf refused;
static void *allocated[64];
static size_t allocated_count;

static void *tracked_calloc(size_t count, size_t size)
{
    FUZZ_CHECK(allocated_count < 64);
    return allocated[allocated_count++] = calloc(count, size);
}

static void tracked_free(void *memory)
{
    for (size_t i = 0; i < allocated_count; i++)
        if (allocated[i] == memory)
            allocated[i] = NULL;
    free(memory);
}

#define calloc tracked_calloc
#define free   tracked_free
#include "../../tools/examples/model/weights.c"
#undef calloc
#undef free

void refuse(const char *format, ...)
{
    FUZZ_CHECK(format && *format);
    longjmp(refused, 1);
}

void die(const char *format, ...)
{
    FUZZ_CHECK(format && *format);
    longjmp(refused, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[SAFETENSORS_ERROR_SIZE];
    safetensors_file file;
    allocated_count = 0;
    if (!safetensors_read(fuzz_file(data, size), &file, error) && !setjmp(refused)) {
        weights w = weights_from_files(&file, 1);
        FUZZ_CHECK(w.count && w.shape.layers <= MAX_LAYERS);
        volatile float sum = 0;
        for (size_t i = 0; i < w.count; i++)
            sum = sum + w.data[i];
        weights_free(&w);
    }
    for (size_t i = 0; i < allocated_count; i++)
        free(allocated[i]);
    safetensors_free(&file);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    return fuzz_mutate_safetensors(data, size, most, seed);
}
