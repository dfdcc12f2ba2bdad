/* SPDX-License-Identifier: MIT
 * What the fuzz targets share. A target is a libFuzzer program: it runs on inputs that are changed so that they reach
 * new code. docs/testing.md says how to run them. */
#ifndef DMATTN_FUZZ_H
#define DMATTN_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Changes an input: libFuzzer's function, and the target's own one. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

/* If the condition does not hold, stops with a message. libFuzzer reports this as a finding. */
#define FUZZ_CHECK(condition) fuzz_check((condition), #condition, __FILE__, __LINE__)
void fuzz_check(bool holds, const char *condition, const char *file, int line);

/* Whether a buffer holds a message: it is terminated and not empty. */
bool fuzz_is_sentence(const char *why, size_t size);

/* The name of a file in memory that holds these bytes, until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* The bytes with a 0 after them. The caller frees them. */
char *fuzz_text(const uint8_t *data, size_t size);

/* Changes a .safetensors file: mostly its header, with the length before it kept right. */
size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t most, unsigned seed);

#endif
