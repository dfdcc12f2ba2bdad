# SPDX-License-Identifier: MIT
# Fails if INDEX does not list exactly the functions of SYMBOLS, each once.
file(READ ${INDEX} text)
string(REGEX MATCHALL "\\| dmattn_[a-z_]+\\(\\)" listed "${text}")
list(TRANSFORM listed REPLACE "[|() ]" "")
list(SORT listed)
file(STRINGS ${SYMBOLS} exported)
list(SORT exported)
if(NOT listed STREQUAL exported)
  message(FATAL_ERROR "${INDEX} lists '${listed}', but '${exported}' are exported")
endif()
