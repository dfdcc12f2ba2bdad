/* SPDX-License-Identifier: MIT
 * Numbers in the metadata of a case. */
#ifndef DMATTN_RUN_METADATA_H
#define DMATTN_RUN_METADATA_H

#include "safetensors.h"

#include <stdbool.h>
#include <stdint.h>

/* Reads a number from 0 to 2^31 - 1, or a flag of 0 or 1. A missing one does not change the value. Returns RUN_DONE, or
 * complains and returns RUN_BAD_INPUT (options.h). */
int metadata_number(const safetensors_file *file, const char *path, const char *name, uint32_t *number);
int metadata_flag(const safetensors_file *file, const char *path, const char *name, bool *flag);

/* Warns of tensors and metadata that are not in these lists, which end with NULL. */
void warn_of_others(const safetensors_file *file, const char *path, const char *const *tensors,
                    const char *const *metadata);

#endif
