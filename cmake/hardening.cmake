# SPDX-License-Identifier: MIT
# Protection against memory faults by compilers, the C library and linkers, for everything that the project builds.
# Flags that the compiler or the linker does not know are left out.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)
include(CheckPIESupported)

# Programs are loaded at random addresses.
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(MINGW)
  check_linker_flag(C "LINKER:--dynamicbase,--high-entropy-va,--nxcompat" DMATTN_HAS_DYNAMIC_BASE)
  if(DMATTN_HAS_DYNAMIC_BASE)
    add_link_options("LINKER:--dynamicbase,--high-entropy-va,--nxcompat")
  endif()
  # On this system, the other checks need libssp, which each app that links the library would have to link, too.
  return()
endif()

# Functions with arrays check, before they return, that nothing was written after the arrays.
check_c_compiler_flag(-fstack-protector-strong DMATTN_HAS_STACK_PROTECTOR)
if(DMATTN_HAS_STACK_PROTECTOR)
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fstack-protector-strong>)
endif()

# The C library's functions check the sizes of what they write to, in optimised code. Level 3 needs gcc 12 or clang 9;
# other compilers warn and use level 2. Left out if the flags or the compiler define another level, and with sanitizers,
# which know only the plain functions.
function(dmattn_find_fortify_level RESULT)
  set(CMAKE_TRY_COMPILE_CONFIGURATION Release)
  set(probe ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/fortify.c)
  file(WRITE ${probe} [[
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#error
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#error
#endif
#endif
#include <stdio.h>
int main(void) { return 0; }
]])
  set(${RESULT} 0 PARENT_SCOPE)
  foreach(level IN ITEMS 3 2)
    try_compile(dmattn_fortify_level_works ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/fortify ${probe}
      COMPILE_DEFINITIONS -D_FORTIFY_SOURCE=${level} -Werror)
    set(works ${dmattn_fortify_level_works})
    unset(dmattn_fortify_level_works CACHE) # the next level, or other flags, may have another result
    if(works)
      set(${RESULT} ${level} PARENT_SCOPE)
      break()
    endif()
  endforeach()
endfunction()
dmattn_find_fortify_level(fortified)
if(fortified)
  add_compile_options(
    $<$<AND:$<COMPILE_LANGUAGE:C,CXX>,$<CONFIG:Release,RelWithDebInfo,MinSizeRel>>:-D_FORTIFY_SOURCE=${fortified}>)
endif()

# When a program starts, all functions of other libraries are resolved. Afterwards, their table is read-only.
check_linker_flag(C "LINKER:-z,relro,-z,now" DMATTN_HAS_RELRO)
if(DMATTN_HAS_RELRO)
  add_link_options("LINKER:-z,relro,-z,now")
endif()
