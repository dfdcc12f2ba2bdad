# SPDX-License-Identifier: MIT
# Every kernel variant has one row:
#   name | level | source | GLSL extensions that the shader compiler must know | target environment | definitions
# Configuring leaves out a variant whose extensions the compiler does not know, and says so.

# ---- one kernel, one variant -----------------------------------------------------------------------------------------

set(DMATTN_VARIANTS
    "mask_tiles          | portable | attention/mask_tiles.comp          | | vulkan1.2 | "
    "mask_tiles_additive | portable | attention/mask_tiles.comp          | | vulkan1.2 | ADDITIVE_ROWS"
    "attention           | portable | attention/attention.comp           | | vulkan1.2 | "
    "attention_selected  | portable | attention/attention.comp           | | vulkan1.2 | SELECTED_KEYS"
    "attention_additive  | portable | attention/attention.comp           | | vulkan1.2 | ADDITIVE_ROWS"
    "attention_counted   | portable | attention/attention.comp           | | vulkan1.2 | COUNTED"
    "attention_selected_counted | portable | attention/attention.comp    | | vulkan1.2 | SELECTED_KEYS COUNTED"
    "attention_packed    | portable | attention/attention.comp           | | vulkan1.2 | COUNTED PACKED"
    "schedule_items      | portable | attention/schedule_items.comp      | | vulkan1.2 | "
    "combine_splits      | portable | attention/combine_splits.comp      | | vulkan1.2 | "
    "combine_packed      | portable | attention/combine_packed.comp      | | vulkan1.2 | "
    "unpack              | portable | attention/unpack.comp              | | vulkan1.2 | "
    "unpack_packed       | portable | attention/unpack.comp              | | vulkan1.2 | PACKED"
    "merge_results       | portable | attention/merge_results.comp       | | vulkan1.2 | "
    "backward_preprocess | portable | backward/backward_preprocess.comp  | | vulkan1.2 | "
    "backward_queries    | portable | backward/backward_queries.comp     | | vulkan1.2 | "
    "backward_keys       | portable | backward/backward_keys.comp        | | vulkan1.2 | "
    "backward_queries_selected | portable | backward/backward_queries.comp | | vulkan1.2 | SELECTED_KEYS"
    "backward_keys_selected    | portable | backward/backward_keys.comp    | | vulkan1.2 | SELECTED_KEYS"
    "sink_gradient       | portable | backward/sink_gradient.comp        | | vulkan1.2 | "
    "backward_bias       | portable | backward/backward_bias.comp        | | vulkan1.2 | "
    "key_lists           | portable | backward/key_lists.comp            | | vulkan1.2 | "
    "key_ranges          | portable | backward/key_ranges.comp           | | vulkan1.2 | "
    "key_ranges_selected | portable | backward/key_ranges.comp           | | vulkan1.2 | SELECTED_KEYS"
    "schedule_keys       | portable | backward/schedule_keys.comp        | | vulkan1.2 | "
    "combine_keys        | portable | backward/combine_keys.comp         | | vulkan1.2 | "
    "range_codes         | portable | backward/range_codes.comp          | | vulkan1.2 | "
    "sum_partials        | portable | lib/sum_partials.comp              | | vulkan1.2 | "
    "importance          | portable | mask/importance.comp               | | vulkan1.2 | "
    "importance_terms    | portable | mask/importance.comp               | | vulkan1.2 | BACKWARD"
    "importance_values   | portable | mask/importance_values.comp        | | vulkan1.2 | "
    "importance_weights  | portable | mask/importance_weights.comp       | | vulkan1.2 | "
    "sum_keys            | portable | mask/sum_keys.comp                 | | vulkan1.2 | "
    "sort_blocks         | portable | mask/sort_blocks.comp              | | vulkan1.2 | "
    "merge_runs          | portable | mask/merge_runs.comp               | | vulkan1.2 | "
    "intervals           | portable | mask/intervals.comp                | | vulkan1.2 | "
    "intervals_cached    | portable | mask/intervals.comp                | | vulkan1.2 | CACHED"
    "lists               | portable | mask/lists.comp                    | | vulkan1.2 | "
    "union_lists         | portable | mask/union_lists.comp              | | vulkan1.2 | "
    "block_rows          | portable | mask/block_rows.comp               | | vulkan1.2 | "
    "block_map           | portable | mask/block_map.comp                | | vulkan1.2 | "
    "pool_keys           | portable | selector/pool_keys.comp            | | vulkan1.2 | "
    "pool_keys_paged     | portable | selector/pool_keys.comp            | | vulkan1.2 | PAGED"
    "score_keys          | portable | selector/score_keys.comp           | | vulkan1.2 | "
    "score_keys_paged    | portable | selector/score_keys.comp           | | vulkan1.2 | PAGED"
    "select_numbers      | portable | selector/select_numbers.comp       | | vulkan1.2 | "
    "decode_bounded      | portable | decode/decode.comp                 | | vulkan1.2 | "
    "decode_paged        | portable | decode/decode.comp                 | | vulkan1.2 | PAGED"
    "decode_bounded_formats | portable | decode/decode.comp              | | vulkan1.2 | FORMATS"
    "decode_bounded_tree | portable | decode/decode.comp                 | | vulkan1.2 | TREE"
    "decode_bounded_formats_tree | portable | decode/decode.comp         | | vulkan1.2 | FORMATS TREE"
    "decode_paged_formats | portable | decode/decode.comp                | | vulkan1.2 | FORMATS PAGED"
    "decode_balanced     | portable | decode/decode.comp                 | | vulkan1.2 | PAGED BALANCED"
    "decode_balanced_formats | portable | decode/decode.comp             | | vulkan1.2 | FORMATS PAGED BALANCED"
    "decode_selected     | portable | decode/decode.comp                 | | vulkan1.2 | PAGED SELECTED_KEYS"
    "decode_selected_formats | portable | decode/decode.comp             | | vulkan1.2 | FORMATS PAGED SELECTED_KEYS"
    "cache_length        | portable | decode/cache_length.comp           | | vulkan1.2 | "
    "cache_select        | portable | decode/cache_select.comp           | | vulkan1.2 | "
    "cache_copy_bounded  | portable | decode/cache_copy.comp             | | vulkan1.2 | "
    "cache_copy_paged    | portable | decode/cache_copy.comp             | | vulkan1.2 | PAGED"
    "cache_copy_bounded_formats | portable | decode/cache_copy.comp      | | vulkan1.2 | FORMATS"
    "cache_copy_paged_formats | portable | decode/cache_copy.comp        | | vulkan1.2 | FORMATS PAGED"
    "chunk_keys          | portable | chunk/chunk_keys.comp              | | vulkan1.2 | "
    "chunk_keys_formats  | portable | chunk/chunk_keys.comp              | | vulkan1.2 | FORMATS"
    "chunk_broken        | portable | chunk/chunk_broken.comp            | | vulkan1.2 | "
    "copy_state          | portable | decode/copy_state.comp             | | vulkan1.2 | "
)

# ---- cooperative matrices: each kernel in each form, at each level, for each type ------------------------------------

# form | level | definitions. docs/architecture.md says what the forms are.
set(matrix_forms
    "shared    | matrix  | "
    "fragments | matrix  | REGISTERS FRAGMENTS"
    "reduced   | matrix2 | REGISTERS MATRIX2"
    "fragments | matrix2 | REGISTERS FRAGMENTS MATRIX2"
)
# kernel | source | the form | the level | definitions. Decoding has no form at matrix2.
set(matrix_kernels "")
foreach(row IN LISTS matrix_forms)
  foreach(kernel IN ITEMS attention/attention backward/backward_queries backward/backward_keys)
    cmake_path(GET kernel FILENAME name)
    list(APPEND matrix_kernels "${name} | ${kernel}_matrix.comp | ${row}")
  endforeach()
  foreach(kernel IN ITEMS attention/attention backward/backward_queries backward/backward_keys)
    cmake_path(GET kernel FILENAME name)
    list(APPEND matrix_kernels "${name}_selected | ${kernel}_matrix.comp | ${row} SELECTED_KEYS")
  endforeach()
  list(APPEND matrix_kernels "attention_additive | attention/attention_matrix.comp | ${row} ADDITIVE_ROWS")
  list(APPEND matrix_kernels "attention_counted | attention/attention_matrix.comp | ${row} COUNTED")
  list(APPEND matrix_kernels
      "attention_selected_counted | attention/attention_matrix.comp | ${row} SELECTED_KEYS COUNTED")
  list(APPEND matrix_kernels "attention_packed | attention/attention_matrix.comp | ${row} COUNTED PACKED")
endforeach()
list(APPEND matrix_kernels
    "decode_bounded | decode/decode.comp | shared    | matrix | MATRIX"
    "decode_bounded | decode/decode.comp | fragments | matrix | MATRIX FRAGMENTS"
    "decode_paged   | decode/decode.comp | fragments | matrix | MATRIX FRAGMENTS PAGED"
    "decode_balanced | decode/decode.comp | fragments | matrix | MATRIX FRAGMENTS PAGED BALANCED"
    "decode_selected | decode/decode.comp | fragments | matrix | MATRIX FRAGMENTS PAGED SELECTED_KEYS"
)

list(APPEND matrix_kernels "score_keys | selector/score_keys_matrix.comp | shared | matrix | ")
list(APPEND matrix_kernels "score_keys_paged | selector/score_keys_matrix.comp | shared | matrix | PAGED")
list(APPEND matrix_kernels "score_keys_few | selector/score_keys_matrix.comp | shared | matrix | FEW_REGISTERS")
list(APPEND matrix_kernels "score_keys_paged_few | selector/score_keys_matrix.comp | shared | matrix | PAGED FEW_REGISTERS")

# Formats of 8 and 4 bits have operands of f16, whatever the type is.
set(formats "matrix | decode/decode.comp | GL_KHR_cooperative_matrix | vulkan1.2 | MATRIX FRAGMENTS FORMATS")
list(APPEND DMATTN_VARIANTS
    "decode_bounded_formats_fragments_f16 | ${formats}"
    "decode_paged_formats_fragments_f16 | ${formats} PAGED"
    "decode_balanced_formats_fragments_f16 | ${formats} PAGED BALANCED"
    "decode_selected_formats_fragments_f16 | ${formats} PAGED SELECTED_KEYS"
    "decode_paged_blocks_fragments_f16 | ${formats} BLOCKS PAGED"
    "decode_balanced_blocks_fragments_f16 | ${formats} BLOCKS PAGED BALANCED"
    "decode_selected_blocks_fragments_f16 | ${formats} BLOCKS PAGED SELECTED_KEYS"
)

foreach(row IN LISTS matrix_kernels)
  string(REPLACE "|" ";" columns "${row}")
  list(TRANSFORM columns STRIP)
  list(GET columns 0 name)
  list(GET columns 1 source)
  list(GET columns 2 form)
  list(GET columns 3 level)
  list(GET columns 4 definitions)
  if(level STREQUAL matrix2)
    set(needs "GL_NV_cooperative_matrix2 | vulkan1.3")
    set(bf16_needs "GL_NV_cooperative_matrix2 GL_EXT_bfloat16 | vulkan1.3")
  else()
    set(needs "GL_KHR_cooperative_matrix | vulkan1.2")
    set(bf16_needs "GL_KHR_cooperative_matrix GL_EXT_bfloat16 | vulkan1.2")
  endif()
  list(APPEND DMATTN_VARIANTS
    "${name}_${form}_f16  | ${level} | ${source} | ${needs} | ${definitions}"
    "${name}_${form}_bf16 | ${level} | ${source} | ${bf16_needs} | ${definitions} BF16")
endforeach()
