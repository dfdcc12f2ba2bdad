#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks how the sources depend on each other: no circle of includes, no folder with too many sources.

usage: check_includes.py ROOT

A .c file and the .h file of the same name in the same folder count as one module; every other source is a module of its
own. A module depends on the modules whose files it includes. The script fails if modules depend on each other in a
circle, if folders do (a folder depends on another if one of its modules does), if an include in quotes names no file, or
if a folder holds more than MOST_SOURCES sources.
"""
import pathlib
import re
import sys

# Folders of ROOT with sources, and the folders in which an include is searched after the folder of the including file.
TREES = {
    "include": ("include",),
    "src": ("include", "src"),
    "shaders": (),
    "tools": ("include", "src", "tools/lib", "tools/examples"),
    "bench": ("include", "src", "tools/lib", "bench"),
    "tests": ("include", "src", "tools/lib", "bench", "tests", "tests/minimal"),
}
INCLUDING = {".c", ".h", ".cpp", ".comp", ".glsl"}
SOURCES = INCLUDING | {".py", ".sh", ".cmake"}
MOST_SOURCES = 25
GENERATED = {"doc_fragments.h"}  # headers that the build makes

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def find_sources(root):
    """All source files of the trees, relative to the root, in a fixed order."""
    files = []
    for tree in TREES:
        files += [path.relative_to(root) for path in (root / tree).rglob("*")
                  if path.suffix in SOURCES and path.is_file() and "__pycache__" not in path.parts]
    return sorted(files)


def module_of(path):
    """The name of the module that a file belongs to."""
    return str(path.with_suffix("") if path.suffix in (".c", ".h", ".cpp") else path)


def resolve(root, source, quoted, name):
    """The file of this project that an include means, or None."""
    folders = [source.parent] if quoted else []
    folders += [pathlib.Path(folder) for folder in TREES[source.parts[0]]]
    for folder in folders:
        path = root / folder / name
        if path.is_file():
            return path.resolve().relative_to(root)
    return None


def read_graph(root, files):
    """Returns ({module: {the modules it includes}}, [messages about includes that name no file])."""
    graph, messages = {}, []
    for source in files:
        if source.suffix not in INCLUDING:
            continue
        used = graph.setdefault(module_of(source), set())
        for mark, name in INCLUDE.findall((root / source).read_text(encoding="utf-8")):
            target = resolve(root, source, mark == '"', name)
            if target:
                used.add(module_of(target))
            elif mark == '"' and name not in GENERATED:
                messages.append('%s: the include "%s" names no file' % (source, name))
    for module, used in graph.items():
        used.discard(module)
    return graph, messages


def find_circle(graph):
    """One circle as [a, b, ..., a], or None."""
    done = set()

    def walk(path):
        for used in sorted(graph.get(path[-1], ())):
            if used in path:
                return path[path.index(used):] + [used]
            if used not in done:
                circle = walk(path + [used])
                if circle:
                    return circle
        done.add(path[-1])
        return None

    for module in sorted(graph):
        circle = None if module in done else walk([module])
        if circle:
            return circle
    return None


def folder_of(module):
    return str(pathlib.PurePath(module).parent)


def folder_graph(graph):
    """The same graph among folders."""
    folders = {}
    for module, used in graph.items():
        folders.setdefault(folder_of(module), set()).update(folder_of(other) for other in used)
    for folder, used in folders.items():
        used.discard(folder)
    return folders


def describe_circle(what, circle, graph):
    """The circle, and for folders the includes that make it."""
    lines = ["circle of %s: %s" % (what, " -> ".join(circle))]
    for folder, other in zip(circle, circle[1:]):
        lines += ["  %s includes %s" % (module, used) for module in sorted(graph) for used in sorted(graph[module])
                  if folder_of(module) == folder and folder_of(used) == other]
    return lines


def check(root):
    """Returns messages about what it finds."""
    root = root.resolve()
    files = find_sources(root)
    if not files:
        return ["%s holds no sources" % root]
    graph, messages = read_graph(root, files)
    for what, dependencies in (("includes", graph), ("folders", folder_graph(graph))):
        circle = find_circle(dependencies)
        if circle:
            messages += describe_circle(what, circle, graph)
    counts = {}
    for path in files:
        counts[str(path.parent)] = counts.get(str(path.parent), 0) + 1
    messages += ["%s holds %d sources, but at most %d are allowed" % (folder, count, MOST_SOURCES)
                 for folder, count in sorted(counts.items()) if count > MOST_SOURCES]
    return messages


if __name__ == "__main__":
    findings = check(pathlib.Path(sys.argv[1]))
    print("\n".join(findings) or "no circles")
    sys.exit(bool(findings))
