# SPDX-License-Identifier: MIT
# Fails if LIBRARY defines a global symbol that does not begin with dmattn_.
execute_process(COMMAND ${NM} -g --defined-only ${LIBRARY} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[0-9a-f]+ [A-Z] [^\n]+" lines "${symbols}")
list(LENGTH lines count)
list(FILTER lines EXCLUDE REGEX "^[0-9a-f]+ [A-Z] (dmattn_|__asan_|__odr_asan)")
if(count EQUAL 0 OR lines)
  message(FATAL_ERROR "${count} global symbols; these do not begin with dmattn_: ${lines}")
endif()
