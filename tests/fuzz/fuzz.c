/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_check(bool holds, const char *condition, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

bool fuzz_is_sentence(const char *why, size_t size)
{
    return memchr(why, 0, size) && *why;
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int descriptor = -1;
    static char path[64];
    if (descriptor < 0)
        descriptor = memfd_create("input", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    FUZZ_CHECK(descriptor >= 0 && !ftruncate(descriptor, 0));
    FUZZ_CHECK(pwrite(descriptor, data, size, 0) == (ssize_t)size);
    return path;
}

char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    FUZZ_CHECK(text);
    memcpy(text, data, size);
    text[size] = 0;
    return text;
}

size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    uint64_t length = 0;
    for (int i = 8; size >= 8 && i--;)
        length = length << 8 | data[i];
    if (seed % 8 == 0 || size < 10 || most < 16 || length > size - 8)
        return LLVMFuzzerMutate(data, size, most);
    const size_t begin = 8 + (size_t)length, rest = size - begin;
    if (seed % 8 == 1)
        return begin + LLVMFuzzerMutate(data + begin, rest, most - begin);
    uint8_t *behind = malloc(rest + 1);
    FUZZ_CHECK(behind);
    memcpy(behind, data + begin, rest);
    const size_t changed = LLVMFuzzerMutate(data + 8, (size_t)length, most - 8 - rest);
    memcpy(data + 8 + changed, behind, rest);
    free(behind);
    for (int i = 0; i < 8; i++)
        data[i] = (uint8_t)((uint64_t)changed >> 8 * i);
    return 8 + changed + rest;
}
