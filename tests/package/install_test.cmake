# SPDX-License-Identifier: MIT
# Builds dmattn as KIND (STATIC or SHARED) from SOURCE, installs it, moves the installed files, and builds and runs the
# consumers with them, in WORK. The names that the shared library exports must be those of SYMBOLS. KERNELS is the
# kernels.c of the main build, which saves compiling the shaders again. For another system, TOOLCHAIN is CMake's file
# for it and EMULATOR the command that runs its programs.
file(REMOVE_RECURSE ${WORK})
set(shared OFF)
if(KIND STREQUAL SHARED)
  set(shared ON)
endif()
set(configure ${CMAKE_COMMAND} -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM} -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER})
if(TOOLCHAIN)
  list(APPEND configure -DCMAKE_TOOLCHAIN_FILE=${TOOLCHAIN})
endif()
separate_arguments(EMULATOR)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
endfunction()

# The static library is built as a user builds it, shaders included.
set(kernels -DDMATTN_KERNELS=${KERNELS})
set(first ${kernels})
if(NOT shared AND NOT TOOLCHAIN)
  set(first "")
endif()
run(${configure} -S ${SOURCE} -B ${WORK}/build ${first} -DBUILD_SHARED_LIBS=${shared} -DDMATTN_BUILD_TOOLS=OFF
  -DDMATTN_BUILD_TESTS=OFF -DCMAKE_INSTALL_PREFIX=${WORK}/first)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${CMAKE_COMMAND} --install ${WORK}/build)
file(RENAME ${WORK}/first ${WORK}/second)

# The packages must contain all installed files.
if(CPACK AND DPKG_DEB)
  execute_process(COMMAND ${CPACK} -B ${WORK}/packages WORKING_DIRECTORY ${WORK}/build COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
  file(GLOB deb ${WORK}/packages/*.deb)
  file(GLOB tarball ${WORK}/packages/*.tar.gz)
  file(GLOB_RECURSE installed RELATIVE ${WORK}/second ${WORK}/second/*)
  execute_process(COMMAND ${DPKG_DEB} --contents ${deb} OUTPUT_VARIABLE in_deb COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${CMAKE_COMMAND} -E tar tf ${tarball} OUTPUT_VARIABLE in_tarball COMMAND_ERROR_IS_FATAL ANY)
  foreach(file IN LISTS installed)
    string(FIND "${in_deb}" "/${file}" place_in_deb)
    string(FIND "${in_tarball}" "/${file}" place_in_tarball)
    if(place_in_deb EQUAL -1 OR place_in_tarball EQUAL -1)
      message(FATAL_ERROR "${file} is not in both ${deb} and ${tarball}")
    endif()
  endforeach()
endif()

if(shared)
  # The import library of a DLL lists the exported names.
  file(GLOB_RECURSE library ${WORK}/second/*/libdmattn.so ${WORK}/second/*/libdmattn.dll.a)
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

set(ENV{WINEPATH} ${WORK}/second/bin) # where Windows programs find DLLs
run(${configure} -S ${CONSUMERS}/find_package -B ${WORK}/find_package -DCMAKE_PREFIX_PATH=${WORK}/second)
run(${CMAKE_COMMAND} --build ${WORK}/find_package)
run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/find_package --output-on-failure)

# With pkg-config: only the compiler, without CMake.
file(GLOB_RECURSE pc ${WORK}/second/*/dmattn.pc)
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
  run(${configure} -S ${CONSUMERS}/subdirectory -B ${WORK}/subdirectory -DDMATTN_SOURCE=${SOURCE} ${kernels})
  run(${CMAKE_COMMAND} --build ${WORK}/subdirectory)
  run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/subdirectory --output-on-failure)
endif()
