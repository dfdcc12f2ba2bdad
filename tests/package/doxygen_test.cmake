# SPDX-License-Identifier: MIT
# Runs DOXYGEN with CONFIG, which fails if something is undocumented or a reference is broken. Then checks the XML that
# it writes to XML: the functions are exactly those of SYMBOLS, and every value of an enumeration is documented. Older
# versions of Doxygen do not check the latter.
execute_process(COMMAND ${DOXYGEN} ${CONFIG} COMMAND_ERROR_IS_FATAL ANY)

file(READ ${XML}/index.xml index)
string(REGEX MATCHALL "kind=\"function\"><name>[a-z_]+" functions "${index}")
list(TRANSFORM functions REPLACE ".*>" "")
list(SORT functions)
file(STRINGS ${SYMBOLS} exported)
list(SORT exported)
if(NOT functions STREQUAL exported)
  message(FATAL_ERROR "'${functions}' are documented, but '${exported}' are exported")
endif()

set(undocumented "")
file(GLOB pages ${XML}/*_8h.xml)
foreach(page IN LISTS pages)
  file(READ ${page} text)
  string(REGEX MATCHALL "<name>[A-Z0-9_]+</name>\n *<initializer>[^\n]*\n *<briefdescription>\n *</briefdescription>" values "${text}")
  list(APPEND undocumented ${values})
endforeach()
if(undocumented)
  message(FATAL_ERROR "values without documentation: ${undocumented}")
endif()
