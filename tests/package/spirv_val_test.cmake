# SPDX-License-Identifier: MIT
# Checks every kernel that was built: cmake -DSPIRV_VAL=… -DTABLE=…/variants.cmake -DBUILT=…/kernels.txt -P this
cmake_minimum_required(VERSION 3.22)
include(${TABLE})
foreach(variant IN LISTS DMATTN_VARIANTS DMATTN_BENCH_VARIANTS DMATTN_EXAMPLE_VARIANTS)
  string(REPLACE "|" ";" columns "${variant}")
  list(TRANSFORM columns STRIP)
  list(GET columns 0 name)
  list(GET columns 1 level)
  list(GET columns 4 environment_of_${name}_${level})
endforeach()

file(STRINGS ${BUILT} rows)
if(NOT rows)
  message(SEND_ERROR "no kernel was built")
endif()
foreach(row IN LISTS rows)
  string(REPLACE "|" ";" row "${row}")
  list(GET row 0 name)
  list(GET row 1 level)
  list(GET row 2 binary)
  execute_process(
    COMMAND ${SPIRV_VAL} --target-env ${environment_of_${name}_${level}} ${binary}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(SEND_ERROR "${name} (${level}): ${output}")
  endif()
endforeach()
