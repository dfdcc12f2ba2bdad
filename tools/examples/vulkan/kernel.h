/* SPDX-License-Identifier: MIT
 * The shaders of this app, embedded by the build function of dmattn, whose generated file includes this header. */
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
