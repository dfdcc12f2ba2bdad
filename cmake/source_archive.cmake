# SPDX-License-Identifier: MIT
# cpack runs this when it makes an archive. For the archive of the sources it copies all files of the clone that git
# tracks, and the C files with compiled kernels, so that building a release needs no shader compiler.
if(NOT CPACK_PACKAGE_FILE_NAME STREQUAL CPACK_SOURCE_PACKAGE_FILE_NAME)
  return()
endif()
if(NOT EXISTS ${CPACK_DMATTN_SOURCE}/.git)
  message(FATAL_ERROR "the archive of the sources can be made only in a clone")
endif()
find_program(git git REQUIRED)
set(folder ${CMAKE_INSTALL_PREFIX})

execute_process(COMMAND ${git} ls-files WORKING_DIRECTORY ${CPACK_DMATTN_SOURCE} OUTPUT_FILE ${folder}/files.txt
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -E tar cf ${folder}/files.tar --files-from=${folder}/files.txt
  WORKING_DIRECTORY ${CPACK_DMATTN_SOURCE} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -E tar xf ${folder}/files.tar WORKING_DIRECTORY ${folder}
  COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE ${folder}/files.txt ${folder}/files.tar)

file(MAKE_DIRECTORY ${folder}/shaders/compiled)
foreach(kernels IN LISTS CPACK_DMATTN_KERNELS)
  string(REPLACE "|" ";" kernels "${kernels}")
  list(GET kernels 0 prefix)
  list(GET kernels 1 file)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is missing: build everything first")
  endif()
  file(COPY_FILE ${file} ${folder}/shaders/compiled/${prefix}_kernels.c)
  file(STRINGS ${file} newest REGEX "_bf16\", DMATTN_LEVEL_MATRIX2,")
  if(prefix STREQUAL "dmattn" AND NOT newest)
    message(FATAL_ERROR "${file} lacks kernels, because the shader compiler is too old: run tools/glslang, then build again")
  endif()
endforeach()

# The commit, for vkbench.
execute_process(COMMAND ${git} describe --always --dirty --abbrev=12 WORKING_DIRECTORY ${CPACK_DMATTN_SOURCE}
  OUTPUT_FILE ${folder}/shaders/compiled/commit.txt COMMAND_ERROR_IS_FATAL ANY)
