# SPDX-License-Identifier: MIT
# Every kernel variant there is, one a line:
#   name | level | source | GLSL extensions that the shader compiler must know | target environment | definitions
# A variant whose extensions the compiler at hand does not know is left out of the build, and configuring says so.
set(DMATTN_VARIANTS
    "mask_tiles        | portable | mask_tiles.comp        | | vulkan1.2 | "
    "attention_forward | portable | attention_forward.comp | | vulkan1.2 | "
    "importance        | portable | importance.comp        | | vulkan1.2 | "
    "sort_blocks       | portable | sort_blocks.comp       | | vulkan1.2 | "
    "merge_runs        | portable | merge_runs.comp        | | vulkan1.2 | "
    "intervals         | portable | intervals.comp         | | vulkan1.2 | "
    "lists             | portable | lists.comp             | | vulkan1.2 | "
)
