#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the Markdown files and the shaders of a tree: check_docs.py ROOT

- Lines have at most 120 columns and do not end in spaces. For shaders, this is all: clang-format checks other sources.
- Relative links and images lead to files that exist; #anchors lead to headings.
- Paths of the repository in `code` exist, for example `src/plan.c` or `tests/*/test_dma.c`. CHANGELOG.md may name old
  paths.

Prints one line for each finding, FILE:LINE: ..., and exits with 1 if there are findings.
"""
import pathlib
import re
import sys

COLUMNS = 120
SHADERS = (".comp", ".glsl", ".h")
FOLDERS = ("bench", "cmake", "docs", "include", "shaders", "src", "tests", "tools", ".ci", ".github")
FENCE = re.compile(r"\s*```")
HEADING = re.compile(r"#{1,6} +(.*?)\s*$")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
PATH = re.compile(r"(?:%s)/[\w.*/-]*" % "|".join(re.escape(folder) for folder in FOLDERS))


def files_of(root):
    """The Markdown files, and the files of folders called shaders: GLSL, and headers that C and GLSL share."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if any(part.startswith("build") or part in (".git", "__pycache__") for part in parts):
            continue
        if path.suffix == ".md" or "shaders" in parts and path.suffix in SHADERS:
            yield path


def lines_of(path):
    """Yields (number, line, whether it is in a block of code)."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        yield number, line, fenced or bool(fence) or line.startswith("    ")
        if fence:
            fenced = not fenced


def anchors_of(path, known={}):
    """The anchors that GitHub makes for the headings of a file."""
    if path not in known:
        anchors = {}
        for _, line, code in lines_of(path):
            heading = HEADING.match(line)
            if code or not heading:
                continue
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            count = anchors.get(slug, 0)
            anchors[slug] = count + 1
            if count:
                anchors["%s-%d" % (slug, count)] = 1
        known[path] = set(anchors)
    return known[path]


def check_link(root, path, target):
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    file = (path.parent / name).resolve() if name else path
    if not file.exists():
        return "no such file: " + target
    if not file.is_relative_to(root):
        return "the link leads out of the repository: " + target
    if anchor and file.suffix == ".md" and anchor not in anchors_of(file):
        return "no such heading: " + target
    return None


def check(root, path):
    text = ""  # without blocks of code, but with all line breaks
    for number, line, code in lines_of(path):
        if len(line) > COLUMNS and " " in line.strip():
            yield number, "%d columns, but at most %d are allowed" % (len(line), COLUMNS)
        if line != line.rstrip():
            yield number, "spaces at the end of the line"
        text += ("" if code else line) + "\n"
    if path.suffix != ".md":
        return
    for span in CODE.finditer(text) if path.name != "CHANGELOG.md" else ():
        name = span.group(1)
        if PATH.fullmatch(name) and not list(root.glob(name.rstrip("/"))):
            yield text.count("\n", 0, span.start()) + 1, "no such path: " + name
    text = CODE.sub(lambda span: "\n" * span.group().count("\n"), text)
    for link in LINK.finditer(text):
        finding = check_link(root, path, link.group(1))
        if finding:
            yield text.count("\n", 0, link.start()) + 1, finding


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = list(files_of(root))
    findings = 0
    for path in files:
        for number, finding in check(root, path):
            print("%s:%d: %s" % (path.relative_to(root), number, finding))
            findings += 1
    print("%d files, %d findings" % (len(files), findings))
    return 1 if findings or not files else 0


if __name__ == "__main__":
    sys.exit(main())
