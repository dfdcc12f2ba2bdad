# SPDX-License-Identifier: MIT
# The app in each language, linked to dmattn::dmattn.
enable_testing()
foreach(standard IN ITEMS 99 11)
  add_executable(app_c${standard} ${CMAKE_CURRENT_LIST_DIR}/app.c)
  set_target_properties(app_c${standard} PROPERTIES C_STANDARD ${standard} C_EXTENSIONS OFF)
  target_link_libraries(app_c${standard} PRIVATE dmattn::dmattn)
  add_test(NAME app_c${standard} COMMAND app_c${standard})
endforeach()
configure_file(${CMAKE_CURRENT_LIST_DIR}/app.c ${CMAKE_CURRENT_BINARY_DIR}/app.cpp COPYONLY)
add_executable(app_cxx17 ${CMAKE_CURRENT_BINARY_DIR}/app.cpp)
set_target_properties(app_cxx17 PROPERTIES CXX_STANDARD 17 CXX_EXTENSIONS OFF)
target_link_libraries(app_cxx17 PRIVATE dmattn::dmattn)
add_test(NAME app_cxx17 COMMAND app_cxx17)
