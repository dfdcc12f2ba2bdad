# SPDX-License-Identifier: MIT
# A variant whose GLSL extension the shader compiler does not know is left out, with one line that names both; the others
# stay. cmake -DSHADERS=… -DWORK=… -DGENERATOR=… -DMAKE_PROGRAM=… -P this
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/CMakeLists.txt "
cmake_minimum_required(VERSION 3.25)
project(variants LANGUAGES NONE)
include(${SHADERS}/kernels.cmake)
set(variants
  \"plain   | portable | attention/mask_tiles.comp |                                                  | vulkan1.2 | \"
  \"known   | matrix   | attention/mask_tiles.comp | GL_KHR_shader_subgroup_basic GL_EXT_buffer_reference | vulkan1.2 | EXTRA=1\"
  \"unknown | matrix2  | attention/mask_tiles.comp | GL_KHR_shader_subgroup_basic GL_DMATTN_unknown    | vulkan1.2 | \")
dmattn_add_kernels(\"\${variants}\" kernels)
add_custom_target(kernels ALL DEPENDS \${kernels})
")

execute_process(
  COMMAND ${CMAKE_COMMAND} -S ${WORK} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "configuring failed:\n${output}")
endif()
string(REGEX MATCHALL "[^\n]*left out[^\n]*" lines "${output}")
list(LENGTH lines count)
if(NOT count EQUAL 1 OR NOT lines MATCHES "unknown \\(matrix2\\).*GL_DMATTN_unknown"
   OR lines MATCHES "GL_KHR_shader_subgroup_basic")
  message(SEND_ERROR "not one line that names the variant and the extension it lacks:\n${output}")
endif()

execute_process(
  COMMAND ${CMAKE_COMMAND} --build ${WORK}/build
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "building failed:\n${output}")
endif()
file(READ ${WORK}/build/shaders/kernels.c generated)
foreach(row [[{"plain", DMATTN_LEVEL_PORTABLE,]] [[{"known", DMATTN_LEVEL_MATRIX,]])
  string(FIND "${generated}" "${row}" at)
  if(at LESS 0)
    message(SEND_ERROR "${row} is not in the generated table")
  endif()
endforeach()
if(generated MATCHES "unknown")
  message(SEND_ERROR "the variant that was left out is in the generated table")
endif()
