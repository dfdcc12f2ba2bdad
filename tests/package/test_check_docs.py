#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs check_docs.py on small trees made here. It must find each fault, and a page without faults must pass."""
import pathlib
import tempfile
import unittest

import check_docs


class CheckDocs(unittest.TestCase):
    def check(self, text, name="docs/page.md"):
        """Returns the lines with findings in a page with this text, in a tree with src/a.c and docs/other.md."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            for path, content in (("src/a.c", ""), ("docs/other.md", "# A `b`, c\n\n## A b c\n"), (name, text)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content, encoding="utf-8")
            return [number for number, _ in check_docs.check(root, root / name)]

    def test_right(self):
        self.assertEqual(self.check("# Here\n\n[a](other.md) [b](other.md#a-b-c) [c](#here) [d](../src/a.c) <https://x.org>\n"
                                    "`src/a.c` `src/*.c` `build/none` [e](https://x.org/#y)\n\n    [f](none.md) `src/none.c`\n"),
                         [])

    def test_line(self):
        self.assertEqual(self.check("a " * 60 + "a\n" + "b\n"), [1])
        self.assertEqual(self.check("a \n"), [1])

    def test_shader(self):
        self.assertEqual(self.check("// `src/none.c` [a](none.md)\n", "shaders/a.comp"), [])
        self.assertEqual(self.check("b\n" + "// " + "a " * 60 + "a\n", "shaders/lib/a.glsl"), [2])
        self.assertEqual(self.check("b \n", "bench/shaders/a.h"), [1])

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name in ("shaders/lib/a.glsl", "bench/shaders/b.comp", "shaders/c.h", "docs/d.md", "src/e.h", "build/f.md"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("a\n", encoding="utf-8")
            self.assertEqual([path.name for path in check_docs.files_of(root)], ["b.comp", "d.md", "c.h", "a.glsl"])

    def test_link(self):
        self.assertEqual(self.check("[a](none.md)\n\n[two\nlines](none.md) ![c](none.svg)\n"), [1, 3, 4])
        self.assertEqual(self.check("[a](#none) [b](other.md#none)\n"), [1, 1])
        self.assertEqual(self.check("[a](../..)\n"), [1])

    def test_path(self):
        self.assertEqual(self.check("`src/none.c` and `src/*.h`\n"), [1, 1])
        self.assertEqual(self.check("`src/none.c`\n", "CHANGELOG.md"), [])


if __name__ == "__main__":
    unittest.main()
