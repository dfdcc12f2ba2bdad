# SPDX-License-Identifier: MIT
# Fails if one of FILES, a list of programs and shared libraries, was built without the flags of cmake/hardening.cmake.
# READELF reads the files. FORTIFIED says whether the C library's functions check sizes.
foreach(file IN LISTS FILES)
  execute_process(COMMAND ${READELF} --wide --file-header --program-headers --dynamic --dyn-syms ${file}
    OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
  # wanted: a property, and a regular expression for the line that shows it
  set(wanted
    "position-independent" " Type: +DYN "
    "read-only relocations" "\n +GNU_RELRO "
    "binding at the start" "\\(FLAGS_1\\) +Flags:[^\n]* NOW"
    "stack protector" " __stack_chk_fail")
  if(NOT file MATCHES "\\.so[.0-9]*$")
    list(APPEND wanted "position-independent program" "\\(FLAGS_1\\) +Flags:[^\n]* PIE")
  endif()
  if(FORTIFIED)
    list(APPEND wanted "functions that check sizes" " __[a-z]+_chk")
  endif()
  while(wanted)
    list(POP_FRONT wanted what line)
    if(NOT lines MATCHES "${line}")
      message(SEND_ERROR "${file}: no ${what}")
    endif()
  endwhile()
endforeach()
