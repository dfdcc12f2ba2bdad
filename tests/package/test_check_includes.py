#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs check_includes.py on small trees made here. It must find each fault, and a tree without faults must pass."""
import pathlib
import tempfile
import unittest

import check_includes


class CheckIncludes(unittest.TestCase):
    def check(self, files):
        """Writes {path: text} to a new folder and returns what check() finds there."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return check_includes.check(root)

    def test_no_circle(self):
        self.assertEqual(self.check({
            "include/dmattn/dmattn.h": "",
            "src/a.h": "#include <dmattn/dmattn.h>\n#include <string.h>\n",
            "src/a.c": '#include "a.h"\n#include "x/b.h"\n',
            "src/x/b.h": '  # include "c.h"\n',
            "src/x/c.h": "",
            "shaders/k/k.comp": '#include "../lib/l.glsl"\n',
            "shaders/lib/l.glsl": "",
        }), [])

    def test_headers_that_include_each_other(self):
        self.assertEqual(self.check({"src/a.h": '#include "b.h"\n', "src/b.h": '#include "a.h"\n'}),
                         ["circle of includes: src/a -> src/b -> src/a"])

    def test_circle_through_sources(self):
        """No header includes another here, so a compiler sees no circle."""
        self.assertEqual(self.check({
            "src/a.h": "", "src/a.c": '#include "a.h"\n#include "b.h"\n',
            "src/b.h": "", "src/b.c": '#include "b.h"\n#include "c.h"\n',
            "src/c.h": "", "src/c.c": '#include "a.h"\n#include "c.h"\n',
        }), ["circle of includes: src/a -> src/b -> src/c -> src/a"])

    def test_circle_of_shaders(self):
        self.assertEqual(self.check({"shaders/a.glsl": '#include "b.glsl"\n', "shaders/b.glsl": '#include "a.glsl"\n'}),
                         ["circle of includes: shaders/a.glsl -> shaders/b.glsl -> shaders/a.glsl"])

    def test_circle_of_folders(self):
        files = {"src/x/a.c": '#include "y/b.h"\n', "src/y/b.h": "", "src/y/c.c": '#include "../x/d.h"\n', "src/x/d.h": ""}
        self.assertEqual(self.check(files), ["circle of folders: src/x -> src/y -> src/x", "  src/x/a includes src/y/b",
                                             "  src/y/c includes src/x/d"])

    def test_include_of_nothing(self):
        self.assertEqual(self.check({"src/a.c": '#include "nowhere.h"\n'}),
                         ['src/a.c: the include "nowhere.h" names no file'])

    def test_full_folder(self):
        most = check_includes.MOST_SOURCES
        files = {"tests/%02d.c" % i: "" for i in range(most)}
        files["tests/data.safetensors"] = ""
        self.assertEqual(self.check(files), [])
        files["tests/one_more.sh"] = ""
        self.assertEqual(self.check(files), ["tests holds %d sources, but at most %d are allowed" % (most + 1, most)])

    def test_no_sources(self):
        self.assertEqual(len(self.check({})), 1)


unittest.main()
