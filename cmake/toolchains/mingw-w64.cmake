# SPDX-License-Identifier: MIT
# 64-bit Windows, with mingw-w64. Wine runs the programs.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/../../tools/wine)

# Nothing of the build machine can be used…
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# …except the Vulkan headers, without the C library's headers in the same folder.
foreach(folder IN ITEMS vulkan vk_video)
  if(EXISTS /usr/include/${folder})
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/headers)
    file(CREATE_LINK /usr/include/${folder} ${CMAKE_BINARY_DIR}/headers/${folder} SYMBOLIC)
    set(Vulkan_INCLUDE_DIR ${CMAKE_BINARY_DIR}/headers CACHE PATH "The Vulkan headers")
  endif()
endforeach()
