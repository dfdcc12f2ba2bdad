# SPDX-License-Identifier: MIT
# Runs DOXYGEN by CONFIG, which fails on what is undocumented or broken, and looks into the XML that it writes to XML: its
# functions are those of SYMBOLS, and every value of an enumeration is documented, which older Doxygens do not ask for.
execute_process(COMMAND ${DOXYGEN} ${CONFIG} COMMAND_ERROR_IS_FATAL ANY)

file(READ ${XML}/index.xml index)
string(REGEX MATCHALL "kind=\"function\"><name>[a-z_]+" functions "${index}")
list(TRANSFORM functions REPLACE ".*>" "")
list(SORT functions)
file(STRINGS ${SYMBOLS} exported)
list(SORT exported)
if(NOT functions STREQUAL exported)
  message(FATAL_ERROR "documented are '${functions}', exported '${exported}'")
endif()

set(undocumented "")
file(GLOB pages ${XML}/*_8h.xml)
foreach(page IN LISTS pages)
  file(READ ${page} text)
  string(REGEX MATCHALL "<name>[A-Z0-9_]+</name>\n *<initializer>[^\n]*\n *<briefdescription>\n *</briefdescription>" values "${text}")
  list(APPEND undocumented ${values})
endforeach()
if(undocumented)
  message(FATAL_ERROR "values without a word: ${undocumented}")
endif()
