# SPDX-License-Identifier: MIT
# Compiles a table of kernel variants (variants.cmake) to SPIR-V and embeds them in one C file. In the archive of a
# release, the folder compiled/ holds these files.
option(DMATTN_COMPILE_SHADERS "Compile the shaders also in the archive of a release, which has compiled ones" OFF)

# Sets RESULT to the folder in which tools/glslang puts a newer glslang than the system's.
function(dmattn_newer_tools RESULT)
  set(cache $ENV{XDG_CACHE_HOME})
  if(NOT cache)
    set(cache $ENV{HOME}/.cache)
  endif()
  set(${RESULT} ${cache}/dmattn/glslang/bin PARENT_SCOPE)
endfunction()

dmattn_newer_tools(newer_tools)
find_program(DMATTN_GLSLANG NAMES glslang glslangValidator DOC "glslang, the shader compiler")
find_program(DMATTN_NEWER_GLSLANG NAMES glslang PATHS ${newer_tools} NO_DEFAULT_PATH
             DOC "glslang that tools/glslang unpacked")
find_program(DMATTN_GLSLC NAMES glslc DOC "glslc, the shader compiler if there is no glslang")

# Sets RESULT to the command with which COMPILER (glslang, newer_glslang or glslc) compiles a shader and writes
# OUTPUT.d, a list of what it includes. No optimiser is used: drivers have their own, and spirv-opt has broken
# cooperative matrices before.
function(dmattn_shader_command COMPILER SOURCE OUTPUT ENVIRONMENT DEFINITIONS RESULT)
  list(TRANSFORM DEFINITIONS PREPEND -D)
  string(TOUPPER DMATTN_${COMPILER} program)
  if(COMPILER MATCHES glslang)
    set(command ${${program}} --quiet -V --target-env ${ENVIRONMENT} -S comp ${DEFINITIONS}
                --depfile ${OUTPUT}.d -o ${OUTPUT} ${SOURCE})
  else()
    set(command ${${program}} --target-env=${ENVIRONMENT} -fshader-stage=compute -O0 ${DEFINITIONS}
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

# Sets RESULT to the compiler that knows most of EXTENSIONS, and UNKNOWN to the extensions that it does not know. The
# first one is preferred.
function(dmattn_choose_compiler EXTENSIONS RESULT UNKNOWN)
  set(best "")
  foreach(compiler IN ITEMS glslang newer_glslang glslc)
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
# this file), the table in C is called PREFIX_kernels (default: dmattn_kernels). COMPILED, if not empty, is such a C
# file of another build, which is used instead.
function(dmattn_add_kernels VARIANTS RESULT)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "COMPILED;DIRECTORY;PREFIX" "")
  set(script_dir ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(prefix dmattn)
  if(arg_PREFIX)
    set(prefix ${arg_PREFIX})
  endif()
  set(compiled "${arg_COMPILED}")
  set(released ${script_dir}/compiled/${prefix}_kernels.c)
  if(NOT compiled AND NOT DMATTN_COMPILE_SHADERS AND EXISTS ${released})
    set(compiled ${released})
  endif()
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/shaders/kernels.c)
  if(compiled)
    set(generated ${compiled})
  endif()
  set(${RESULT} ${generated} PARENT_SCOPE)
  set_property(GLOBAL APPEND PROPERTY DMATTN_KERNEL_FILES "${prefix}|${generated}") # for packages.cmake
  if(compiled)
    file(STRINGS ${compiled} rows REGEX "DMATTN_LEVEL_")
    set(${RESULT}_rows "${rows}" PARENT_SCOPE) # for dmattn_print_levels()
    return()
  endif()

  if(NOT DMATTN_GLSLANG AND NOT DMATTN_NEWER_GLSLANG AND NOT DMATTN_GLSLC)
    message(FATAL_ERROR "dmattn: no shader compiler found; install glslang-tools (tools/setup does) or glslc")
  endif()
  set(shader_dir ${script_dir})
  if(arg_DIRECTORY)
    set(shader_dir ${arg_DIRECTORY})
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
  set(left_out "")
  set(left_out_for "")
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
      list(APPEND left_out "${name} (${level})")
      list(APPEND left_out_for ${missing})
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

  if(left_out)
    list(REMOVE_DUPLICATES left_out_for)
    list(LENGTH left_out count)
    list(JOIN left_out ", " left_out)
    list(JOIN left_out_for ", " left_out_for)
    string(TOUPPER DMATTN_${compiler} program)
    message(STATUS "${prefix}: ${count} kernels are left out because ${${program}} does not know ${left_out_for}")
    message(VERBOSE "${prefix}: left out ${left_out}")
  endif()

  list(JOIN rows "\n" rows)
  file(GENERATE OUTPUT ${out_dir}/kernels.txt CONTENT "${rows}\n")
  add_custom_command(
    OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} -DLIST=${out_dir}/kernels.txt -DPREFIX=${prefix} -DOUTPUT=${generated}
            -P ${script_dir}/embed.cmake
    DEPENDS ${binaries} ${out_dir}/kernels.txt ${script_dir}/embed.cmake
    COMMENT "Embedding the kernels"
    VERBATIM)
  set(${RESULT}_rows "${rows}" PARENT_SCOPE) # for dmattn_print_levels()
endfunction()

# Prints which levels a build has. ROWS: lines that name a kernel and its level, from dmattn_add_kernels() or from a
# kernels.c.
function(dmattn_print_levels ROWS)
  set(levels "portable")
  foreach(level IN ITEMS matrix matrix2)
    set(types "")
    foreach(type IN ITEMS f16 bf16)
      string(TOUPPER ${level} name)
      if("${ROWS}" MATCHES "_${type}[|]${level}[|]|_${type}\", DMATTN_LEVEL_${name},")
        list(APPEND types ${type})
      endif()
    endforeach()
    if(types)
      list(JOIN types ", " types)
      string(APPEND levels "; ${level} (${types})")
    endif()
    if(NOT types MATCHES "bf16")
      set(missing TRUE)
    endif()
  endforeach()
  message(STATUS "dmattn: kernels of the levels ${levels}")
  if(missing)
    message(STATUS "dmattn: the shader compiler is too old for the other kernels, which are the fast ones on GPUs with "
                   "cooperative matrices; on Debian and Ubuntu run tools/glslang, then configure again; "
                   "elsewhere install glslang 15.4 or newer")
  endif()
endfunction()
