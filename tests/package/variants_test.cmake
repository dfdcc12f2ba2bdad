# SPDX-License-Identifier: MIT
# A variant whose GLSL extension the shader compiler does not know is left out. One line names the extension, a verbose
# one the variant. The other variants are compiled, and dmattn_print_levels() says what is missing.
#   cmake -DSHADERS=… -DWORK=… -DGENERATOR=… -DMAKE_PROGRAM=… -P this
cmake_minimum_required(VERSION 3.22)
file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/CMakeLists.txt "
cmake_minimum_required(VERSION 3.22)
project(variants LANGUAGES NONE)
include(${SHADERS}/kernels.cmake)
set(variants
  \"plain   | portable | attention/mask_tiles.comp |                                                  | vulkan1.2 | \"
  \"known   | matrix   | attention/mask_tiles.comp | GL_KHR_shader_subgroup_basic GL_EXT_buffer_reference | vulkan1.2 | EXTRA=1\"
  \"unknown | matrix2  | attention/mask_tiles.comp | GL_KHR_shader_subgroup_basic GL_DMATTN_unknown    | vulkan1.2 | \")
dmattn_add_kernels(\"\${variants}\" kernels)
dmattn_print_levels(\"\${kernels_rows}\")
add_custom_target(kernels ALL DEPENDS \${kernels})
")

execute_process(
  COMMAND ${CMAKE_COMMAND} --log-level=VERBOSE -S ${WORK} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "configuring failed:\n${output}")
endif()
foreach(line "dmattn: 1 kernels are left out because [^\n]* does not know GL_DMATTN_unknown\n"
             "dmattn: left out unknown \\(matrix2\\)\n"
             "dmattn: kernels of the levels portable\n"
             "dmattn: the shader compiler is too old")
  if(NOT output MATCHES "${line}")
    message(SEND_ERROR "'${line}' is not in the output:\n${output}")
  endif()
endforeach()

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
