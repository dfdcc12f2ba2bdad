# SPDX-License-Identifier: MIT
# Installs headers, the library, a CMake package (find_package(dmattn), dmattn::dmattn) and a pkg-config file. None of
# them contains the path of the installation.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS dmattn EXPORT dmattn
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/dmattn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/dmattn)
install(EXPORT dmattn NAMESPACE dmattn:: FILE dmattn-targets.cmake DESTINATION ${package})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/dmattn-config.cmake.in ${PROJECT_BINARY_DIR}/dmattn-config.cmake
  INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/dmattn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/dmattn-config.cmake ${PROJECT_BINARY_DIR}/dmattn-config-version.cmake
  DESTINATION ${package})

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/dmattn)

# The path from the file's own folder to the prefix.
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
set(pc_libraries "")
set(pc_definition "")
if(BUILD_SHARED_LIBS)
  set(pc_definition " -DDMATTN_SHARED")
else() # the library is always static, so --static must not be needed
  foreach(library IN LISTS system_libraries)
    string(APPEND pc_libraries " -l${library}")
  endforeach()
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/dmattn.pc.in ${PROJECT_BINARY_DIR}/dmattn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/dmattn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
