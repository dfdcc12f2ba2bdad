# SPDX-License-Identifier: MIT
# The kernels of vkbench's own, in vkbench and not in the library; columns as in shaders/variants.cmake.
set(DMATTN_BENCH_VARIANTS
    "peak_copy        | portable | peak_copy.comp   | | vulkan1.2 | "
    "peak_fma         | portable | peak_fma.comp    | | vulkan1.2 | "
    "peak_matrix_f16  | matrix   | peak_matrix.comp | GL_KHR_cooperative_matrix | vulkan1.2 | "
    "peak_matrix_bf16 | matrix   | peak_matrix.comp | GL_KHR_cooperative_matrix GL_EXT_bfloat16 | vulkan1.2 | BF16"
)
