#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes unicode.h, kinds of characters of Unicode, by Python's tables: make_unicode.py >unicode.h"""
import textwrap
import unicodedata


POINTS = [chr(c) for c in range(0x110000)]


def composing():
    """Characters that normalisation to NFC may change: text without them is the same after it."""
    pairs = [unicodedata.decomposition(c).split() for c in POINTS]
    seconds = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}
    hangul = {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11a8, 0x11c3))}
    return [c for c in POINTS if c in seconds | hangul or unicodedata.combining(c)
            or unicodedata.normalize("NFC", c) != c]


def ranges(characters):
    """First and last code points of ranges."""
    points = [ord(c) for c in characters]
    first = [c for c, before in zip(points, [-1] + points) if c != before + 1]
    last = [c for c, after in zip(points, points[1:] + [-1]) if c != after - 1]
    return list(zip(first, last))


print("""/* SPDX-License-Identifier: MIT
 * Written by make_unicode.py: letters (L) and numbers (N) of Unicode %s, and characters that normalisation
 * to NFC may change, as first and last code points of ranges. */
#ifndef EXAMPLE_UNICODE_H
#define EXAMPLE_UNICODE_H

#include <stdint.h>

/* clang-format off */""" % unicodedata.unidata_version)
letters, numbers = ([c for c in POINTS if unicodedata.category(c)[0] == category] for category in "LN")
for name, characters in (("letters", letters), ("numbers", numbers), ("composing", composing())):
    text = ", ".join("{0x%x, 0x%x}" % pair for pair in ranges(characters))
    lines = textwrap.fill(text.replace(", 0x", ",_0x"), 116).replace("_", " ")  # a pair stays on one line
    print("static const uint32_t %s[][2] = {\n%s\n};" % (name, textwrap.indent(lines, "    ")))
print("/* clang-format on */\n\n#endif")
