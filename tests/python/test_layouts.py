#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the declarations in tools/python with the headers, with a C compiler.

    test_layouts.py ROOT VULKAN_INCLUDES COMPILER..."""
import ctypes
import pathlib
import subprocess
import sys

root, vulkan, compiler = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
sys.path.insert(0, str(root / "tools/python/dmattn"))  # imports single modules, because the package needs PyTorch
import cuda  # noqa: E402
import native  # noqa: E402

C_NAMES = {ctypes.c_bool: "bool", ctypes.c_int: "int", ctypes.c_uint: "unsigned", ctypes.c_uint32: "uint32_t",
           ctypes.c_uint64: "uint64_t", ctypes.c_double: "double", ctypes.c_char_p: "const char *",
           ctypes.c_void_p: "void *", None: "void"}


def c_name(kind):
    if kind in C_NAMES:
        return C_NAMES[kind]
    if hasattr(kind, "c_name"):
        return kind.c_name
    return c_name(kind._type_) + " *"  # a pointer


def check_structure(kind):
    yield "_Static_assert(sizeof(%s) == %d, \"size\");" % (kind.c_name, ctypes.sizeof(kind))
    for name, member in kind._fields_:
        yield ("_Static_assert(offsetof(%s, %s) == %d && sizeof(((%s *)0)->%s) == %d, \"%s.%s\");"
               % (kind.c_name, name, getattr(kind, name).offset, kind.c_name, name, ctypes.sizeof(member), kind.c_name, name))


def check_function(name, result, parameters):
    # Arguments of exactly these types. With -Wconversion and similar warnings, the compiler accepts no other types. The
    # functions are never called.
    arguments = ", ".join("*(%s *)p" % c_name(kind) for kind in parameters)
    call = "dmattn_%s(%s)" % (name, arguments)
    if result is None:
        yield "static void check_%s(void *p) { (void)p; %s; }" % (name, call)
    else:
        yield "static %s check_%s(void *p) { (void)p; return %s; }" % (c_name(result), name, call)


CONSTANTS = ("TYPE_", "LEVEL_", "GRADIENT_", "ACTIVATION_", "SELECT_", "SEVERITY_", "TIE_BREAK_")
lines = ["#include <dmattn/runtime.h>", "#include <stddef.h>", "#include \"cuda_driver.h\""]
for name, value in vars(native).items():
    if name.startswith(CONSTANTS):
        lines.append("_Static_assert(DMATTN_%s == %d, \"%s\");" % (name, value, name))
lines.append("_Static_assert(DMATTN_VERSION_MAJOR == %d && DMATTN_VERSION_MINOR == %d, \"version\");" % native.VERSION)
lines.append("_Static_assert(CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD == %d && CUDA_EXTERNAL_MEMORY_DEDICATED == %d "
             "&& CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD == %d, \"CUDA\");"
             % (cuda.EXTERNAL_MEMORY_OPAQUE_FD, cuda.EXTERNAL_MEMORY_DEDICATED, cuda.EXTERNAL_SEMAPHORE_TIMELINE_FD))
for kind in native.STRUCTURES + cuda.STRUCTURES:
    lines.extend(check_structure(kind))
for name, parameters in native.FALLIBLE.items():
    lines.extend(check_function(name, ctypes.c_int, parameters))
for name, (result, *parameters) in native.OTHERS.items():
    lines.extend(check_function(name, result, parameters))
source = "\n".join(lines) + "\n"
# Unused functions are no fault, and for ctypes, enumerations are int.
result = subprocess.run(compiler + ["-std=c11", "-x", "c", "-", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wconversion",
                                    "-Wno-unused-function", "-Wno-sign-conversion", "-I", str(root / "include"),
                                    "-I", str(root / "tools/cuda"), "-isystem", vulkan], input=source, text=True)
if result.returncode:
    sys.exit("tools/python/dmattn does not mirror the headers; see the compiler's messages")
print("%d structures and %d functions agree with the headers"
      % (len(native.STRUCTURES) + len(cuda.STRUCTURES), len(native.FALLIBLE) + len(native.OTHERS)))
