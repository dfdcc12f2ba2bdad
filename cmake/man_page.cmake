# SPDX-License-Identifier: MIT
# dmattn_man_page(PROGRAM SUMMARY [COMMANDS...]): makes and installs PROGRAM.1 from what the program and its commands
# print with --help, so that the two cannot disagree. Installs the completion for bash, too. A program that cannot run
# here has neither.
function(dmattn_man_page PROGRAM SUMMARY)
  if(WIN32 OR (CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR))
    return()
  endif()
  set(page ${PROJECT_BINARY_DIR}/man/${PROGRAM}.1)
  list(JOIN ARGN "," commands)
  list(JOIN CMAKE_CROSSCOMPILING_EMULATOR "," emulator)
  add_custom_command(OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -DEMULATOR=${emulator} -DFILE=$<TARGET_FILE:${PROGRAM}> -DPROGRAM=${PROGRAM}
      -DSUMMARY=${SUMMARY} -DCOMMANDS=${commands} -DVERSION=${PROJECT_VERSION} -DOUTPUT=${page}
      -P ${PROJECT_SOURCE_DIR}/cmake/write_man_page.cmake
    DEPENDS ${PROGRAM} ${PROJECT_SOURCE_DIR}/cmake/write_man_page.cmake
    COMMENT "Writing man/${PROGRAM}.1" VERBATIM)
  add_custom_target(${PROGRAM}_man ALL DEPENDS ${page})
  if(DMATTN_INSTALL)
    include(GNUInstallDirs)
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${PROJECT_SOURCE_DIR}/tools/completion/dmattn.bash RENAME ${PROGRAM}
      DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions)
  endif()
endfunction()
