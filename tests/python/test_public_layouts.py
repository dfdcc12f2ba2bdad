#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/layouts.py finds every structure and member of the headers, and the package's ctypes structures have these
layouts. In C++20, {} initialises every structure without a warning.

    test_public_layouts.py ROOT VULKAN_INCLUDES C_COMPILER [C++_COMPILER]"""
import ctypes
import pathlib
import re
import subprocess
import sys

root, vulkan, compiler, cxx = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
sys.path[:0] = [str(root / "tools"), str(root / "tools/python/dmattn")]
import layouts  # noqa: E402
import native  # noqa: E402

failures = []


def expect(condition, text):
    if not condition:
        failures.append(text)


printed = layouts.read_layouts(root / "include", [vulkan], [compiler])
structures = printed["structures"]

# Nothing is missed: the documented structures, and no hole between members that a member would fit in.
headers = "".join(path.read_text(encoding="utf-8") for path in (root / "include/dmattn").glob("*.h"))
expect(len(structures) == len(re.findall(r"typedef struct dmattn_\w+ \{", headers)), "the number of structures")
expect(len(printed["enumerations"]) == len(re.findall(r"typedef enum dmattn_\w+ \{", headers)), "the number of enumerations")
for name, layout in structures.items():
    at = 0
    for member in layout["members"] + [{"name": "the end", "offset": layout["size"]}]:
        expect(at <= member["offset"] < at + layout["alignment"], "%s: a hole before %s" % (name, member["name"]))
        at = member["offset"] + member.get("size", 0)
    expect(len({member["name"] for member in layout["members"]}) == len(layout["members"]), "%s: names" % name)
values = printed["enumerations"]["dmattn_status"]
expect(values["DMATTN_ERROR_VULKAN"] == -4 and values["DMATTN_STATUS_MAX_ENUM"] == 0x7fffffff, "values of dmattn_status")

# The structures of ctypes have the same members in the same order, not only the same size.
for kind in native.STRUCTURES:
    mirrored = [(name, getattr(kind, name).offset, getattr(kind, name).size) for name, *_ in kind._fields_]
    wanted = [(member["name"], member["offset"], member["size"]) for member in structures[kind.c_name]["members"]]
    expect(mirrored == wanted, "%s: %s instead of %s" % (kind.c_name, mirrored, wanted))
    expect(ctypes.sizeof(kind) == structures[kind.c_name]["size"], "%s: size" % kind.c_name)

for program in cxx:
    source = "#include <dmattn/runtime.h>\n" + "".join(
        "%s from_%s();\n%s from_%s() { return {}; }\n" % (name, name, name, name) for name in structures)
    result = subprocess.run([program, "-std=c++20", "-x", "c++", "-", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                             "-Wmissing-field-initializers", "-I", str(root / "include"), "-isystem", vulkan],
                            input=source, text=True)
    expect(result.returncode == 0, "{} does not initialise every structure in C++20 without a warning")

if failures:
    sys.exit("\n".join(failures))
print("%d structures" % len(structures))
