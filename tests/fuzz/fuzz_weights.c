/* SPDX-License-Identifier: MIT
 * Weights of the example app. The app exits if it refuses a file. Here, its memory is freed instead. */
#include "fuzz.h"

#include "safetensors.h"

#include <setjmp.h>
#include <stdlib.h>

static jmp_buf refused;
static void *allocated[64];
static size_t allocated_count;
static safetensors_file file_read;

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

static safetensors_status tracked_read(const char *path, safetensors_file *file, char *error)
{
    const safetensors_status status = safetensors_read(path, file, error);
    file_read = *file;
    return status;
}

static void tracked_free_file(safetensors_file *file)
{
    file_read = (safetensors_file){0};
    safetensors_free(file);
}

#define calloc           tracked_calloc
#define free             tracked_free
#define safetensors_read tracked_read
#define safetensors_free tracked_free_file
#include "../../tools/examples/weights.c"
#undef calloc
#undef free
#undef safetensors_free

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
    allocated_count = 0;
    if (!setjmp(refused)) {
        weights w = weights_read(fuzz_file(data, size));
        FUZZ_CHECK(w.count && w.shape.layers <= MAX_LAYERS);
        volatile float sum = 0;
        for (size_t i = 0; i < w.count; i++)
            sum = sum + w.data[i];
        weights_free(&w);
    }
    for (size_t i = 0; i < allocated_count; i++)
        free(allocated[i]);
    safetensors_free(&file_read);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    return fuzz_mutate_safetensors(data, size, most, seed);
}
