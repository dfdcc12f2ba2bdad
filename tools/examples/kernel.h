/* SPDX-License-Identifier: MIT
 * What the generated file of this app's shaders needs; dmattn's build function embeds them, its types stay dmattn's. */
#ifndef EXAMPLE_KERNEL_H
#define EXAMPLE_KERNEL_H

#include <dmattn/dmattn.h>
#include <stddef.h>

typedef struct kernel {
    const char *name;
    dmattn_level level;
    const uint32_t *code; /* SPIR-V */
    size_t size;          /* bytes */
} kernel;

extern const kernel example_kernels[];
extern const size_t example_kernel_count;

#endif
