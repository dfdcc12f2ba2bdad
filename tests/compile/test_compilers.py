#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs compilers.py with statistics made here: it must find each kernel that got worse, and nothing else. loops.py, with a
driver's text made here."""
import contextlib
import copy
import io
import unittest

import compilers
import loops

COLUMNS = ["kernel", "level", "plan", "subgroup", "seconds", "registers", "spills", "fills", "scratch", "shared",
           "instructions", "code", "cycles", "resident"]


def survey(*rows):
    return {"name": "Card", "driver": "driver Mesa 1", "level": "matrix", "f16": "8x16x16", "bf16": None, "columns": COLUMNS,
            "rows": [list(row) for row in rows], "few": 1, "failed": []}


ATTENTION = ["attention", "portable", "forward, portable, f16, 64, all keys",
             32, 1.0, 128, 7, 9, None, 1024, 1000, 8000, 50000, 4]
LISTS = ["lists", "portable", "mask, f16", 32, 0.1, 32, 0, 0, None, 0, 100, 800, None, 16]


class Compilers(unittest.TestCase):
    def setUp(self):
        self.recorded = survey(ATTENTION, LISTS)
        self.measured = copy.deepcopy(self.recorded)

    def change(self, statistics, row, column, value):
        statistics["rows"][row][COLUMNS.index(column)] = value

    def compare(self):
        """Returns the number of worse kernels, and what was printed."""
        with contextlib.redirect_stdout(io.StringIO()) as text:
            return compilers.compare("card", self.measured, self.recorded), text.getvalue()

    def test_the_same(self):
        worse, text = self.compare()
        self.assertEqual(worse, 0)
        self.assertEqual(text, "card: 2 kernels; worse than recorded: 0; 1 s of CPU time\n")

    def test_lowered_ceilings(self):
        """Each ceiling alone, just below what the compiler says."""
        for column, ceiling in (("spills", 6), ("fills", 8), ("instructions", 909), ("cycles", 45454)):
            with self.subTest(column):
                self.setUp()
                self.change(self.recorded, 0, column, ceiling)
                worse, text = self.compare()
                self.assertEqual(worse, 1)
                self.assertIn("card: attention | portable | forward, portable, f16, 64, all keys: " + column, text)

    def test_a_tenth_more(self):
        self.change(self.measured, 0, "instructions", 1100)
        self.change(self.measured, 0, "cycles", 55000)
        self.assertEqual(self.compare()[0], 0)

    def test_scratch_that_was_not_reported_before(self):
        self.change(self.measured, 0, "scratch", 16)
        self.assertEqual(self.compare()[0], 1)

    def test_spills_that_are_not_reported(self):
        self.change(self.measured, 1, "spills", None)
        worse, text = self.compare()
        self.assertEqual(worse, 1)
        self.assertIn("does not report spills", text)

    def test_sweep(self):
        with contextlib.redirect_stdout(io.StringIO()) as text:
            self.assertEqual(compilers.print_spills("card", self.measured), 1)
        self.assertEqual(text.getvalue(),
                         "card: attention | portable | forward, portable, f16, 64, all keys: spills 7; fills 9\n"
                         "card: 2 kernels; 1 spill; the slowest takes 1.0 s to compile\n")

    def test_time_to_compile(self):
        self.change(self.measured, 0, "seconds", 10.0)
        self.assertEqual(self.compare()[0], 0)
        self.change(self.measured, 0, "seconds", 10.1)
        self.assertEqual(self.compare()[0], 1)

    def test_kernel_that_is_not_recorded(self):
        del self.recorded["rows"][1]
        self.assertEqual(self.compare()[0], 0)
        self.change(self.measured, 1, "spills", 1)
        self.assertEqual(self.compare()[0], 1)

    def test_device_that_is_not_recorded(self):
        self.recorded = None
        worse, text = self.compare()
        self.assertEqual(worse, 1)
        self.assertIn("spills 7, recorded 0; fills 9, recorded 0", text)

    def test_plan_that_cannot_be_made(self):
        self.measured["failed"].append("mask, f32")
        worse, text = self.compare()
        self.assertEqual(worse, 1)
        self.assertIn("card: mask, f32: the plan cannot be made", text)
        self.recorded["failed"].append("mask, f32")
        self.assertEqual(self.compare()[0], 0)
        self.assertIn("| card | mask, f32 |", "\n".join(compilers.page({"card": compilers.to_record(self.recorded)})))

    def test_another_driver(self):
        self.measured["driver"] = "driver Mesa 2"
        self.change(self.measured, 0, "spills", 8)
        self.assertIn("the driver is driver Mesa 2; recorded is driver Mesa 1", self.compare()[1])

    def test_kernel_twice_in_a_plan(self):
        """The larger values count, on both sides."""
        again = list(ATTENTION)
        again[COLUMNS.index("spills")] = 20
        self.recorded["rows"].append(again)
        self.measured["rows"].insert(0, list(again))
        self.assertEqual(self.compare()[0], 0)
        self.change(self.measured, 0, "spills", 23)
        self.assertEqual(self.compare()[0], 1)

    def test_recorded_rows(self):
        """The few plans' kernels, and of others those that spill."""
        others = [LISTS[:2] + [plan] + LISTS[3:] for plan in ("mask, bf16", "mask, f32")]
        others[1][COLUMNS.index("spills")] = 1
        self.measured["rows"] += others
        self.measured["few"] = 2
        recorded = compilers.to_record(self.measured)
        self.assertEqual(recorded["rows"], [ATTENTION, LISTS, others[1]])
        self.assertEqual(recorded["pipelines"], 4)

    def test_page(self):
        text = "\n".join(compilers.page({"card": compilers.to_record(self.recorded)}))
        self.assertIn("| card | Card | 8x16x16 | - | 2 | 1 | 1.0 |", text)
        self.assertIn("| card | 32 | 128; -; - | 7; -; - | 1000; -; - | 50; -; - | 1.0; -; - |", text)
        self.assertIn("| card | attention | forward, portable, f16, 64, all keys | 1 | 7 | 9 | - |", text)
        self.assertNotIn("level matrix", text.split("## Gradients")[0].split("## Attention at the level portable")[0])

    def test_page_is_that_of_the_ceilings(self):
        """If not: compilers.py --write"""
        self.assertEqual(compilers.PAGE.read_text(encoding="utf-8"), compilers.page_text())


TEXT = """SIMD16 shader: 90 instructions. 2 loops. 4000 cycles.
   START B0 (50 cycles)
mov(16)         g47<1>Q         g2<0,1,0>Q                      { align1 WE_all 1H };
   END B0 ->B1
   START B1 <-B0 <-B4 (300 cycles)
   END B1 ->B2
   START B2 <-B1 <-B2 (7000 cycles)
   END B2 ->B2
   START B4 (20 cycles)
   END B4 ->B1
   START B5 <-B4 (5 cycles)
   END B5
["attention", "portable", "forward", 16, 0.1]
SIMD16 shader: 3 instructions. 0 loops. 7 cycles.
   START B0 (7 cycles)
   END B0
,["lists", "portable", "mask", 16, 0.1]
"""


class Loops(unittest.TestCase):
    def test_rounds(self):
        found = [(kernel, plan, subgroup, list(loops.loops_of(blocks)))
                 for kernel, plan, subgroup, blocks in loops.kernels(TEXT.splitlines())]
        self.assertEqual(found, [
            ("attention", "forward", 16, [(0, 0, 5, 55), (1, 1, 4, 32), (2, 2, 2, 70)]),
            ("lists", "mask", 16, [(0, 0, 0, 7)])])


if __name__ == "__main__":
    unittest.main()
