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

# The C library's functions check the sizes of what they write to, in optimised code. Left out if the flags or the
# compiler already define a level, and with sanitizers, which know only the plain functions.
block(PROPAGATE fortified)
  set(CMAKE_TRY_COMPILE_CONFIGURATION Release)
  try_compile(fortified SOURCE_FROM_CONTENT fortify.c [[
#if defined _FORTIFY_SOURCE || defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#error
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#error
#endif
#endif
int main(void) { return 0; }
]] NO_CACHE)
endblock()
if(fortified)
  add_compile_options($<$<AND:$<COMPILE_LANGUAGE:C,CXX>,$<CONFIG:Release,RelWithDebInfo,MinSizeRel>>:-D_FORTIFY_SOURCE=3>)
endif()

# When a program starts, all functions of other libraries are resolved. Afterwards, their table is read-only.
check_linker_flag(C "LINKER:-z,relro,-z,now" DMATTN_HAS_RELRO)
if(DMATTN_HAS_RELRO)
  add_link_options("LINKER:-z,relro,-z,now")
endif()
