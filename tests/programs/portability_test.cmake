# SPDX-License-Identifier: MIT
# Drivers that do not conform fully to Vulkan, such as MoltenVK, must be found, too. The loader shows portability drivers only
# to instances that request them. This test marks each driver of the machine as one in a copy of its manifest; the same
# devices must be listed.
#   cmake -DVKBENCH=PROGRAM -DWORK=FOLDER -P portability_test.cmake
cmake_minimum_required(VERSION 3.20)

set(manifests $ENV{VK_DRIVER_FILES})
if(NOT manifests)
  set(manifests $ENV{VK_ICD_FILENAMES})
endif()
string(REPLACE ":" ";" manifests "${manifests}")
if(NOT manifests)
  file(GLOB manifests /usr/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json)
endif()

file(REMOVE_RECURSE ${WORK})
set(copies "")
foreach(manifest IN LISTS manifests)
  file(READ ${manifest} json)
  string(JSON library GET "${json}" ICD library_path)
  if(library MATCHES "/" AND NOT IS_ABSOLUTE "${library}") # relative to the manifest
    cmake_path(GET manifest PARENT_PATH folder)
    cmake_path(ABSOLUTE_PATH library BASE_DIRECTORY ${folder} NORMALIZE)
    string(JSON json SET "${json}" ICD library_path "\"${library}\"")
  endif()
  string(JSON json SET "${json}" ICD is_portability_driver true)
  cmake_path(GET manifest FILENAME name)
  file(WRITE ${WORK}/${name} "${json}")
  list(APPEND copies ${WORK}/${name})
endforeach()

function(list_devices OUT FILES)
  list(JOIN FILES ":" files)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env VK_DRIVER_FILES=${files} VK_ICD_FILENAMES=${files} ${VKBENCH} --list
    OUTPUT_VARIABLE listed ERROR_VARIABLE errors RESULT_VARIABLE status)
  message("status ${status}\n${listed}${errors}")
  set(${OUT} "${listed}" PARENT_SCOPE)
endfunction()

list_devices(as_they_are "${manifests}")
if(as_they_are MATCHES "no Vulkan devices")
  message("dmattn tests: no device")
  return()
endif()
list_devices(as_portability_drivers "${copies}")
if(NOT as_portability_drivers STREQUAL as_they_are)
  message(FATAL_ERROR "the devices of portability drivers are not found")
endif()
