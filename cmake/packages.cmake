# SPDX-License-Identifier: MIT
# `cpack --config BUILD/CPackConfig.cmake` makes archives of what is installed: a tarball, on Debian and similar systems
# also a package, for Windows a ZIP file. `cpack --config BUILD/CPackSourceConfig.cmake` makes the archive of the sources,
# which contains the compiled kernels (source_archive.cmake). Each file gets a file with its SHA256.
string(TOLOWER ${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR} system)
set(CPACK_PACKAGE_NAME dmattn)
set(CPACK_PACKAGE_FILE_NAME dmattn-${PROJECT_VERSION}-${system})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Sparse attention as Vulkan compute kernels")
set(CPACK_PACKAGE_VENDOR dmattn)
set(CPACK_PACKAGE_CONTACT "the dmattn developers")
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)

find_program(DMATTN_DPKG_DEB dpkg-deb DOC "dpkg-deb; if there is one, cpack also makes a package for Debian")
set(CPACK_GENERATOR TGZ)
if(WIN32)
  set(CPACK_GENERATOR ZIP)
elseif(DMATTN_DPKG_DEB AND NOT CMAKE_CROSSCOMPILING)
  list(APPEND CPACK_GENERATOR DEB)
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_DEPENDS libvulkan-dev) # its headers
if(DMATTN_BUILD_TOOLS AND NOT TARGET dmattn_cjson)
  string(APPEND CPACK_DEBIAN_PACKAGE_DEPENDS ", libcjson1") # vkbench and dmattn-run
endif()

set(CPACK_SOURCE_GENERATOR TGZ)
set(CPACK_SOURCE_PACKAGE_FILE_NAME dmattn-${PROJECT_VERSION})
set(CPACK_SOURCE_INSTALLED_DIRECTORIES "") # the script below puts all files there
set(CPACK_INSTALL_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/source_archive.cmake)
# For the script:
set(CPACK_DMATTN_SOURCE ${PROJECT_SOURCE_DIR})
get_property(CPACK_DMATTN_KERNELS GLOBAL PROPERTY DMATTN_KERNEL_FILES)
include(CPack)
