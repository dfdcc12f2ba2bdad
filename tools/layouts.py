#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the memory layout of every public structure, and the values of every enumeration, as JSON: for bindings of
other languages.

usage: layouts.py [--include FOLDER]... [--compiler COMMAND]

The names come from the headers, the numbers from a C compiler, for the machine that it compiles for; it must be able to
run the program. Example of a structure:

    "dmattn_buffer": {"size": 24, "alignment": 8, "members": [
        {"name": "buffer", "type": "VkBuffer", "offset": 0, "size": 8}, ...
"""
import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

HEADERS = pathlib.Path(__file__).resolve().parent.parent / "include"
STRUCT = re.compile(r"typedef struct (dmattn_\w+)\s*\{([^{}]*)\}\s*(\w+);")
ENUM = re.compile(r"typedef enum (dmattn_\w+)\s*\{([^{}]*)\}\s*(\w+);")
MEMBER = re.compile(r"^(.*?)(\w+)((?:\[[^\]]*\])*)$", re.DOTALL)  # type, name, extents of an array


def strip(text):
    """The declarations of a header: without comments and preprocessor lines."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", "", text, flags=re.MULTILINE)


def read_headers(folder):
    """Returns ({structure: [(type, member)]}, {enumeration: [value]}) in the order of their names."""
    structures, enumerations = {}, {}
    for header in sorted(folder.glob("dmattn/*.h")):
        text = strip(header.read_text(encoding="utf-8"))
        for name, body, _ in STRUCT.findall(text):
            members = [MEMBER.match(" ".join(one.split())) for one in body.split(";") if one.strip()]
            structures[name] = [((m.group(1) + m.group(3)).strip(), m.group(2)) for m in members]
        for name, body, _ in ENUM.findall(text):
            enumerations[name] = re.findall(r"(\w+)\s*=", body)
    return structures, enumerations


def program(structures, enumerations):
    """A C program that prints one line for each structure, member and value."""
    lines = ["#include <dmattn/runtime.h>", "#include <stddef.h>", "#include <stdio.h>", "int main(void)", "{"]
    for name, members in structures.items():
        lines.append('printf("%%zu %%zu\\n", sizeof(%s), _Alignof(%s));' % (name, name))
        lines += ['printf("%%zu %%zu\\n", offsetof(%s, %s), sizeof(((%s *)0)->%s));' % (name, member, name, member)
                  for _, member in members]
    lines += ['printf("%%d 0\\n", (int)%s);' % value for values in enumerations.values() for value in values]
    return "\n".join(lines + ["return 0;", "}", ""])


def read_layouts(folder, includes, compiler):
    structures, enumerations = read_headers(folder)
    with tempfile.TemporaryDirectory() as work:
        run = str(pathlib.Path(work) / "layouts")
        command = compiler + ["-std=c11", "-x", "c", "-", "-o", run, "-I", str(folder)]
        for include in includes:
            command += ["-isystem", include]
        subprocess.run(command, input=program(structures, enumerations), text=True, check=True)
        output = subprocess.run([run], capture_output=True, text=True, check=True).stdout
    numbers = iter([int(word) for word in line.split()] for line in output.splitlines())
    layouts = {}
    for name, members in structures.items():
        size, alignment = next(numbers)
        layouts[name] = {"size": size, "alignment": alignment, "members": []}
        for kind, member in members:
            offset, bytes_ = next(numbers)
            layouts[name]["members"].append({"name": member, "type": kind, "offset": offset, "size": bytes_})
    values = {name: {value: next(numbers)[0] for value in of} for name, of in enumerations.items()}
    return {"structures": layouts, "enumerations": values}


def main():
    parser = argparse.ArgumentParser(description="Prints the layouts of dmattn's public structures as JSON.")
    parser.add_argument("--include", action="append", default=[], metavar="FOLDER",
                        help="where the compiler finds <vulkan/vulkan_core.h>, if it does not know")
    parser.add_argument("--compiler", default="cc", metavar="COMMAND", help="the C compiler (default: cc)")
    options = parser.parse_args()
    print(json.dumps(read_layouts(HEADERS, options.include, shlex.split(options.compiler)), indent=1))


if __name__ == "__main__":
    sys.exit(main())
