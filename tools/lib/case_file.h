/* SPDX-License-Identifier: MIT
 * Cases in files: what tests/golden/README.md describes, made into a problem. */
#ifndef DMATTN_TOOLS_CASE_FILE_H
#define DMATTN_TOOLS_CASE_FILE_H

#include "problem.h"
#include "safetensors.h"

/* Takes the inputs and parameters of a case of attention or of dynamic mask attention; lse is asked for, and all
 * gradients if there is a dout; the level is left at the best. Every other tensor and name is ignored. INVALID: the
 * file is not such a case, or its shapes do not fit. On failure *p is empty. */
dmattn_status case_file_read(const safetensors_file *file, const messenger *messenger, problem *p);

#endif
