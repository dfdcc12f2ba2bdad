# SPDX-License-Identifier: MIT
# The ceiling kernels, which are in vkbench and not in the library. The columns are those of shaders/variants.cmake.
set(DMATTN_BENCH_VARIANTS
    "ceiling_copy        | portable | ceiling_copy.comp   | | vulkan1.2 | "
    "ceiling_fma         | portable | ceiling_fma.comp    | | vulkan1.2 | "
    "ceiling_matrix_f16  | matrix   | ceiling_matrix.comp | GL_KHR_cooperative_matrix | vulkan1.2 | "
    "ceiling_matrix_bf16 | matrix   | ceiling_matrix.comp | GL_KHR_cooperative_matrix GL_EXT_bfloat16 | vulkan1.2 | BF16"
)
