# SPDX-License-Identifier: MIT
# Every kernel variant there is, one a line:
#   name | level | source | GLSL extensions that the shader compiler must know | target environment | definitions
# A variant whose extensions the compiler at hand does not know is left out of the build, and configuring says so.
set(DMATTN_VARIANTS
    "mask_tiles        | portable | mask_tiles.comp        | | vulkan1.2 | "
    "attention_forward | portable | attention_forward.comp | | vulkan1.2 | "
    "join_splits       | portable | join_splits.comp       | | vulkan1.2 | "
    "backward_rows     | portable | backward_rows.comp     | | vulkan1.2 | "
    "backward_queries  | portable | backward_queries.comp  | | vulkan1.2 | "
    "backward_keys     | portable | backward_keys.comp     | | vulkan1.2 | "
    "backward_bias     | portable | backward_bias.comp     | | vulkan1.2 | "
    "life_codes        | portable | life_codes.comp        | | vulkan1.2 | "
    "sum_parts         | portable | sum_parts.comp         | | vulkan1.2 | "
    "importance        | portable | importance.comp        | | vulkan1.2 | "
    "importance_terms   | portable | importance.comp         | | vulkan1.2 | BACKWARD"
    "importance_values  | portable | importance_values.comp  | | vulkan1.2 | "
    "importance_weights | portable | importance_weights.comp | | vulkan1.2 | "
    "sum_keys          | portable | sum_keys.comp          | | vulkan1.2 | "
    "sort_blocks       | portable | sort_blocks.comp       | | vulkan1.2 | "
    "merge_runs        | portable | merge_runs.comp        | | vulkan1.2 | "
    "intervals         | portable | intervals.comp         | | vulkan1.2 | "
    "lists             | portable | lists.comp             | | vulkan1.2 | "
    "attention_shared_f16     | matrix  | attention_matrix.comp | GL_KHR_cooperative_matrix | vulkan1.2 | "
    "attention_shared_bf16    | matrix  | attention_matrix.comp | GL_KHR_cooperative_matrix GL_EXT_bfloat16 | vulkan1.2 | BF16"
    "attention_fragments_f16  | matrix  | attention_matrix.comp | GL_KHR_cooperative_matrix | vulkan1.2 | REGISTERS FRAGMENTS"
    "attention_fragments_bf16 | matrix  | attention_matrix.comp | GL_KHR_cooperative_matrix GL_EXT_bfloat16 | vulkan1.2 | REGISTERS FRAGMENTS BF16"
    "attention_reduced_f16    | matrix2 | attention_matrix.comp | GL_NV_cooperative_matrix2 | vulkan1.3 | REGISTERS MATRIX2"
    "attention_reduced_bf16   | matrix2 | attention_matrix.comp | GL_NV_cooperative_matrix2 GL_EXT_bfloat16 | vulkan1.3 | REGISTERS MATRIX2 BF16"
    "attention_fragments_f16  | matrix2 | attention_matrix.comp | GL_NV_cooperative_matrix2 | vulkan1.3 | REGISTERS FRAGMENTS MATRIX2"
    "attention_fragments_bf16 | matrix2 | attention_matrix.comp | GL_NV_cooperative_matrix2 GL_EXT_bfloat16 | vulkan1.3 | REGISTERS FRAGMENTS MATRIX2 BF16"
)
