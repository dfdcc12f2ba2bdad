# SPDX-License-Identifier: MIT
# Builds dmattn as KIND (STATIC or SHARED) from SOURCE, packs it, and builds and runs the consumers with the unpacked
# files, in WORK. The names that the shared library exports must be those of SYMBOLS. The static library is built from
# the archive of the sources that cpack makes in BUILD, the main build, with its compiled kernels. The other builds have
# no kernels, which take seconds to compile and which no consumer runs. For another system, nothing is packed: the
# library is installed and the files are moved; TOOLCHAIN is CMake's file for the system and EMULATOR the command that
# runs its programs.
file(REMOVE_RECURSE ${WORK})
set(shared OFF)
if(KIND STREQUAL SHARED)
  set(shared ON)
endif()
set(no_kernels ${WORK}/no_kernels.c)
file(WRITE ${no_kernels} "#include \"kernel.h\"\nconst kernel dmattn_kernels[1];\nconst size_t dmattn_kernel_count = 0;\n")
# Debug, because optimised code would take a minute more to compile, and nothing here depends on it.
set(configure ${CMAKE_COMMAND} -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM} -DCMAKE_BUILD_TYPE=Debug
  -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER})
if(TOOLCHAIN)
  list(APPEND configure -DCMAKE_TOOLCHAIN_FILE=${TOOLCHAIN})
endif()
separate_arguments(EMULATOR)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
endfunction()

# Makes archives with the cpack configuration CONFIG, checks their checksums and unpacks the one whose name matches the
# regular expression NAME. Sets RESULT to the folder in it.
function(pack CONFIG NAME RESULT)
  set(folder ${WORK}/${RESULT})
  run(${CPACK} --config ${CONFIG} -B ${folder})
  file(GLOB archives ${folder}/*.tar.gz ${folder}/*.deb)
  foreach(archive IN LISTS archives)
    file(SHA256 ${archive} sum)
    file(READ ${archive}.sha256 line)
    get_filename_component(name ${archive} NAME)
    if(NOT line STREQUAL "${sum}  ${name}\n")
      message(FATAL_ERROR "${archive}.sha256 is not the checksum: ${line}")
    endif()
  endforeach()
  list(FILTER archives INCLUDE REGEX "/${NAME}$")
  file(ARCHIVE_EXTRACT INPUT ${archives} DESTINATION ${folder}/unpacked)
  file(GLOB unpacked ${folder}/unpacked/*)
  set(${RESULT} ${unpacked} PARENT_SCOPE)
endfunction()

set(version "[0-9]+[.][0-9]+[.][0-9]+")
set(kernels -DDMATTN_KERNELS=${no_kernels})
if(NOT shared AND NOT TOOLCHAIN AND EXISTS ${SOURCE}/.git)
  # Neither shader compilers nor pkg-config: only a C compiler and the Vulkan headers.
  pack(${BUILD}/CPackSourceConfig.cmake "dmattn-${version}[.]tar[.]gz" source_archive)
  set(SOURCE ${source_archive})
  set(kernels -DDMATTN_GLSLANG= -DDMATTN_NEWER_GLSLANG= -DDMATTN_GLSLC= -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON)
endif()
run(${configure} -S ${SOURCE} -B ${WORK}/build ${kernels} -DBUILD_SHARED_LIBS=${shared} -DDMATTN_BUILD_TOOLS=OFF
  -DCMAKE_INSTALL_PREFIX=${WORK}/first)
run(${CMAKE_COMMAND} --build ${WORK}/build)
if(TOOLCHAIN)
  run(${CMAKE_COMMAND} --install ${WORK}/build)
  file(RENAME ${WORK}/first ${WORK}/second)
  set(installed ${WORK}/second)
else()
  pack(${WORK}/build/CPackConfig.cmake "dmattn-${version}-[a-z]+-[a-z0-9_]+[.]tar[.]gz" installed)
  file(GLOB deb ${WORK}/installed/*.deb)
  if(deb) # it must contain the same files
    execute_process(COMMAND ${DPKG_DEB} --contents ${deb} OUTPUT_VARIABLE in_deb COMMAND_ERROR_IS_FATAL ANY)
    file(GLOB_RECURSE files RELATIVE ${installed} ${installed}/*)
    foreach(file IN LISTS files)
      if(NOT in_deb MATCHES "/${file}")
        message(FATAL_ERROR "${file} is not in ${deb}")
      endif()
    endforeach()
  endif()
endif()

if(shared)
  # The import library of a DLL lists the exported names.
  file(GLOB_RECURSE library ${installed}/*/libdmattn.so ${installed}/*/libdmattn.dll.a)
  set(dynamic -D)
  set(name "[A-Za-z_0-9]+\n")
  if(library MATCHES "dll.a$")
    set(dynamic "")
    set(name " T [A-Za-z_0-9]+\n")
  endif()
  execute_process(COMMAND ${NM} ${dynamic} --defined-only ${library} OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "${name}" exported "${lines}")
  list(TRANSFORM exported REPLACE " T " "")
  list(TRANSFORM exported STRIP)
  list(SORT exported)
  file(STRINGS ${SYMBOLS} wanted)
  list(SORT wanted)
  if(NOT exported STREQUAL wanted)
    set(more ${exported})
    set(less ${wanted})
    list(REMOVE_ITEM more ${wanted})
    list(REMOVE_ITEM less ${exported})
    message(FATAL_ERROR "the library exports names that are not in ${SYMBOLS}: '${more}', or does not export names in it: '${less}'")
  endif()
endif()

set(ENV{WINEPATH} ${installed}/bin) # where Windows programs find DLLs
run(${configure} -S ${CONSUMERS}/find_package -B ${WORK}/find_package -DCMAKE_PREFIX_PATH=${installed})
run(${CMAKE_COMMAND} --build ${WORK}/find_package)
run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/find_package --output-on-failure)

# With pkg-config: only the compiler, without CMake.
file(GLOB_RECURSE pc ${installed}/*/dmattn.pc)
get_filename_component(folder ${pc} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${folder})
execute_process(COMMAND ${PKG_CONFIG} --cflags --libs dmattn OUTPUT_VARIABLE flags
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags)
run(${C_COMPILER} -std=c99 ${CONSUMERS}/app.c -isystem ${VULKAN} ${flags} -o ${WORK}/app.exe)
get_filename_component(libraries ${folder} DIRECTORY)
set(ENV{LD_LIBRARY_PATH} ${libraries}:$ENV{LD_LIBRARY_PATH})
run(${EMULATOR} ${WORK}/app.exe)

if(NOT shared)
  run(${configure} -S ${CONSUMERS}/subdirectory -B ${WORK}/subdirectory -DDMATTN_SOURCE=${SOURCE} ${kernels}
    -DDMATTN_KERNELS=${no_kernels})
  run(${CMAKE_COMMAND} --build ${WORK}/subdirectory)
  run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/subdirectory --output-on-failure)
endif()
