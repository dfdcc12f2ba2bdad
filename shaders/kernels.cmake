# SPDX-License-Identifier: MIT
# Compiles a table of kernel variants (variants.cmake) to SPIR-V and embeds them in one C file.

find_program(DMATTN_GLSLANG NAMES glslang glslangValidator DOC "glslang, the shader compiler")
find_program(DMATTN_GLSLC NAMES glslc DOC "glslc, the shader compiler if there is no glslang")
if(NOT DMATTN_GLSLANG AND NOT DMATTN_GLSLC)
  message(FATAL_ERROR "dmattn: no shader compiler found; install glslang-tools (tools/setup does) or glslc")
endif()

# Sets RESULT to the command with which COMPILER (glslang or glslc) compiles a shader and writes OUTPUT.d, a list of
# what it includes. No optimiser: drivers have their own, and spirv-opt has broken cooperative matrices before.
function(dmattn_shader_command COMPILER SOURCE OUTPUT ENVIRONMENT DEFINITIONS RESULT)
  list(TRANSFORM DEFINITIONS PREPEND -D)
  if(COMPILER STREQUAL glslang)
    set(command ${DMATTN_GLSLANG} --quiet -V --target-env ${ENVIRONMENT} -S comp ${DEFINITIONS}
                --depfile ${OUTPUT}.d -o ${OUTPUT} ${SOURCE})
  else()
    set(command ${DMATTN_GLSLC} --target-env=${ENVIRONMENT} -fshader-stage=compute -O0 ${DEFINITIONS}
                -MD -MF ${OUTPUT}.d -o ${OUTPUT} ${SOURCE})
  endif()
  set(${RESULT} "${command}" PARENT_SCOPE)
endfunction()

# Sets RESULT to those of EXTENSIONS that COMPILER does not know.
function(dmattn_unknown_extensions COMPILER EXTENSIONS RESULT)
  set(unknown "")
  set(probe ${CMAKE_CURRENT_BINARY_DIR}/shaders/probe.comp)
  foreach(extension IN LISTS EXTENSIONS)
    file(WRITE ${probe} "#version 460\n#extension ${extension} : require\nvoid main() {}\n")
    dmattn_shader_command(${COMPILER} ${probe} ${probe}.spv vulkan1.3 "" command)
    execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(NOT status EQUAL 0)
      list(APPEND unknown ${extension})
    endif()
  endforeach()
  set(${RESULT} "${unknown}" PARENT_SCOPE)
endfunction()

# Sets RESULT to the compiler that knows more of EXTENSIONS, and UNKNOWN to those that it does not; glslang if both are
# equal.
function(dmattn_choose_compiler EXTENSIONS RESULT UNKNOWN)
  set(best "")
  foreach(compiler IN ITEMS glslang glslc)
    string(TOUPPER DMATTN_${compiler} program)
    if(NOT ${program})
      continue()
    endif()
    dmattn_unknown_extensions(${compiler} "${EXTENSIONS}" unknown)
    list(LENGTH unknown count)
    if(NOT best OR count LESS best_count)
      set(best ${compiler})
      set(best_count ${count})
      set(best_unknown "${unknown}")
    endif()
  endforeach()
  set(${RESULT} ${best} PARENT_SCOPE)
  set(${UNKNOWN} "${best_unknown}" PARENT_SCOPE)
endfunction()

# Adds the variants to the build; sets RESULT to the generated C file. The shaders are in DIRECTORY (default: the one of
# this file), the table in C is called PREFIX_kernels (default: dmattn_kernels).
function(dmattn_add_kernels VARIANTS RESULT)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "DIRECTORY;PREFIX" "")
  set(script_dir ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(shader_dir ${script_dir})
  set(prefix dmattn)
  if(arg_DIRECTORY)
    set(shader_dir ${arg_DIRECTORY})
  endif()
  if(arg_PREFIX)
    set(prefix ${arg_PREFIX})
  endif()
  set(out_dir ${CMAKE_CURRENT_BINARY_DIR}/shaders)
  file(MAKE_DIRECTORY ${out_dir})
  set(all_extensions "")
  foreach(variant IN LISTS VARIANTS)
    string(REGEX MATCHALL "GL_[A-Za-z0-9_]+" extensions "${variant}")
    list(APPEND all_extensions ${extensions})
  endforeach()
  list(REMOVE_DUPLICATES all_extensions)
  dmattn_choose_compiler("${all_extensions}" compiler unknown)

  set(binaries "")
  set(rows "")
  foreach(variant IN LISTS VARIANTS)
    string(REPLACE "|" ";" columns "${variant}")
    list(TRANSFORM columns STRIP)
    list(GET columns 0 name)
    list(GET columns 1 level)
    list(GET columns 2 source)
    list(GET columns 3 extensions)
    list(GET columns 4 environment)
    list(GET columns 5 definitions)
    separate_arguments(extensions)
    separate_arguments(definitions)

    set(missing "")
    foreach(extension IN LISTS extensions)
      if(extension IN_LIST unknown)
        list(APPEND missing ${extension})
      endif()
    endforeach()
    if(missing)
      message(STATUS "dmattn: left out ${name} (${level}): ${compiler} does not know ${missing}")
      continue()
    endif()

    set(binary ${out_dir}/${name}.${level}.spv)
    dmattn_shader_command(${compiler} ${shader_dir}/${source} ${binary} ${environment} "${definitions}" command)
    add_custom_command(
      OUTPUT ${binary}
      COMMAND ${command}
      DEPENDS ${shader_dir}/${source}
      DEPFILE ${binary}.d
      COMMENT "Compiling shader ${name} (${level})"
      VERBATIM)
    list(APPEND binaries ${binary})
    list(APPEND rows "${name}|${level}|${binary}")
  endforeach()

  set(generated ${out_dir}/kernels.c)
  list(JOIN rows "\n" rows)
  file(GENERATE OUTPUT ${out_dir}/kernels.txt CONTENT "${rows}\n")
  add_custom_command(
    OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} -DLIST=${out_dir}/kernels.txt -DPREFIX=${prefix} -DOUTPUT=${generated}
            -P ${script_dir}/embed.cmake
    DEPENDS ${binaries} ${out_dir}/kernels.txt ${script_dir}/embed.cmake
    COMMENT "Embedding the kernels"
    VERBATIM)
  set(${RESULT} ${generated} PARENT_SCOPE)
endfunction()
