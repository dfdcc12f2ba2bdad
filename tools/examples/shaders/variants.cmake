# SPDX-License-Identifier: MIT
# The app's own shaders; the columns are those of shaders/variants.cmake.
set(DMATTN_EXAMPLE_VARIANTS
    "embed  | portable | embed.comp  | | vulkan1.2 | "
    "norm   | portable | norm.comp   | | vulkan1.2 | "
    "matmul | portable | matmul.comp | | vulkan1.2 | "
    "rope   | portable | rope.comp   | | vulkan1.2 | "
    "gate   | portable | gate.comp   | | vulkan1.2 | "
    "argmax | portable | argmax.comp | | vulkan1.2 | "
)
