# SPDX-License-Identifier: MIT
# Writes the C file OUTPUT that holds the kernels of LIST, whose lines are `name|level|SPIR-V file`, in a table called
# PREFIX_kernels, in the order of their names.
file(STRINGS ${LIST} rows)
list(TRANSFORM rows REPLACE "[|]" " ") # which comes before all characters of names, so that a name's end does, too
list(SORT rows)
set(arrays "")
set(table "")
foreach(row IN LISTS rows)
  string(REGEX REPLACE "^([^ ]+) ([^ ]+) " "\\1;\\2;" row "${row}")
  list(GET row 0 name)
  list(GET row 1 level)
  list(GET row 2 binary)
  file(READ ${binary} hex HEX)
  # SPIR-V has the byte order of the machine that compiled it. All machines with Vulkan are little-endian.
  string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
  string(REPEAT "0x[0-9a-f]+," 8 eight_words)
  string(REGEX REPLACE "(${eight_words})" "\\1\n" words "${words}")
  string(TOUPPER ${level} level_name)
  string(APPEND arrays "static const uint32_t ${name}_${level}[] = {\n${words}};\n\n")
  string(APPEND table "    {\"${name}\", DMATTN_LEVEL_${level_name}, ${name}_${level}, sizeof ${name}_${level}},\n")
endforeach()
file(WRITE ${OUTPUT} "/* Generated from a table of kernel variants. */
#include \"kernel.h\"

${arrays}const kernel ${PREFIX}_kernels[] = {
${table}};

const size_t ${PREFIX}_kernel_count = sizeof ${PREFIX}_kernels / sizeof *${PREFIX}_kernels;
")
