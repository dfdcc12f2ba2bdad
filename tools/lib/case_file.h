/* SPDX-License-Identifier: MIT
 * Reads the case files that docs/cases.md describes. */
#ifndef DMATTN_TOOLS_CASE_FILE_H
#define DMATTN_TOOLS_CASE_FILE_H

#include "problem.h"
#include "safetensors.h"

/* Makes a problem from the inputs and parameters of a case of attention or dynamic mask attention. It requests lse, and
 * all gradients if the file has a dout; the level is the best. Other tensors and metadata are ignored. Errors: INVALID
 * if the file is not such a case or its shapes do not fit; OUT_OF_MEMORY. On failure *p is empty. */
dmattn_status case_file_read(const safetensors_file *file, const messenger *messenger, problem *p);

/* Whether a tensor or metadata of this name is an input of the problem that was read. */
bool case_file_takes_tensor(const problem *p, const char *name);
bool case_file_takes_metadata(const problem *p, const char *name);

#endif
