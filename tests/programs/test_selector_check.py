#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/make_selector_case.py, tools/make_block_lists_case.py, the golden cases of both, and dmattn-run --check with them.

    test_selector_check.py PATH_TO_DMATTN_RUN [ARGUMENTS OF DMATTN_RUN...]
"""
import pathlib
import subprocess
import sys
import tempfile

from test_case_check import ROOT, Runner, check_wrong_results, read_header, write_with_header

MAKE = ROOT / "tools" / "make_selector_case.py"
MAKE_BLOCKS = ROOT / "tools" / "make_block_lists_case.py"
CASES = [
    "--relu --weights --type bf16 --batch 2 --queries 9 --keys 30 --head-dim 16 --count 9",
    "--kv-heads 2 --list-heads 4 --block 8 --recent 1 --keys 70 --count 4 --type f16",
    "--kv-heads 2 --block 4 --first 1 --recent 2 --counts --batch 3",
    "--causal 0 --repeat 5 --weights",
]
BLOCK_CASES = ["", "--map --heads 3 --count 5 --keys 77", "--packed --keys 90 --count 20",
               "--bits --query-block 16 --block 2 --count 8"]


def check_block_files(runner, case, folder):
    """Block lists with a wrong list, without a tensor, with tensors of other shapes, and with wrong metadata."""
    other, data = folder / "other.safetensors", case.read_bytes()
    header, start = read_header(data)
    if check_wrong_results(runner, case, folder) != 1:
        runner.failures += 1
        print("FAILED: block lists have one result")

    def expect(what, status, text, changed):
        write_with_header(other, changed, data[start:])
        runner.expect(what, status, "dmattn-run: %s%s: %s" % ("warning: " if status == 0 else "", other, text), other)

    def with_metadata(name, value):
        return {**header, "__metadata__": {**header["__metadata__"], name: value}}

    def renamed(name):
        return {"x" + key if key == name else key: value for key, value in header.items()}

    for name in ("indptr", "indices"):
        expect("no " + name, 2, "either the tensors", renamed(name))
        expect("another type", 2, name + " must be I32", {**header, name: {**header[name], "dtype": "F32"}})
    for name, value, text in (("count", "0x", "count is '0x'"), ("block", "3", "block is 3"), ("queries", "0", "queries is 0"),
                              ("query_block", "32", "indptr has"), ("query_block", "3", "a block has"),
                              ("count", "7", "count is 7")):
        expect(name, 2, text, with_metadata(name, value))
    expect("unknown metadata", 0, "the metadata 'window' is ignored", with_metadata("window", "3"))


def check_files(runner, case, folder):
    """Files with a wrong list, without a tensor, with tensors of other shapes, and with wrong metadata."""
    other, data = folder / "other.safetensors", case.read_bytes()
    header, start = read_header(data)
    if check_wrong_results(runner, case, folder) != 1:
        runner.failures += 1
        print("FAILED: a selector has one result")

    def expect(what, status, text, changes, metadata=None):
        changed = {**header, **changes, "__metadata__": {**header["__metadata__"], **(metadata or {})}}
        write_with_header(other, changed, data[start:])
        runner.expect(what, status, "dmattn-run: %s%s: %s" % ("warning: " if status == 0 else "", other, text), other)

    for name in "qk":
        renamed = {"x" + key if key == name else key: value for key, value in header.items()}
        write_with_header(other, renamed, data[start:])
        runner.expect("no " + name, 2, "dmattn-run: %s: there is no tensor '%s'" % (other, name), other)
    for name, text in (("weights", "weights must be F32"), ("q", "k must be"), ("selected", "selected must be I32")):
        expect("another shape", 2, text, {name: {**header[name], "shape": header[name]["shape"][::-1]}})
    for name, value, text in (("count", "0", "count is 0"), ("count", "-1", "count is '-1'"), ("relu", "2", "relu is 2"),
                              ("block", "3", "block is 3"), ("first", "99", "first (99)"), ("recent", "x", "recent is"),
                              ("list_heads", "3", "list_heads is 3")):
        expect(name, 2, text, {}, {name: value})
    expect("unknown metadata", 0, "the metadata 'window' is ignored", {}, {"window": "3"})
    write_with_header(other, {"x" + key if key == "weights" else key: value for key, value in header.items()}, data[start:])
    runner.expect("unknown tensor", 1, "dmattn-run: warning: %s: the tensor 'xweights' is ignored" % other, other)


def main():
    on_device = len(sys.argv) > 2
    runner = Runner(sys.argv[1:] if on_device else [sys.argv[1], "--cpu"])
    golden = sorted((ROOT / "tests" / "golden").glob("selector_*.safetensors"))
    golden += sorted((ROOT / "tests" / "golden").glob("block_lists_*.safetensors"))
    if len(golden) < 7:
        runner.failures += 1
        print("FAILED: only %d golden cases" % len(golden))
    for case in golden:
        runner.expect(case.name, 0, "selected: ok, ", case)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        case = folder / "case.safetensors"
        for options in CASES if not on_device else ():
            subprocess.run([sys.executable, MAKE, str(case), *options.split()], check=True)
            runner.expect(options, 0, "selected: ok, ", case)
        if not on_device:
            subprocess.run([sys.executable, MAKE, str(case), *CASES[0].split()], check=True)
            check_files(runner, case, folder)
            for options in BLOCK_CASES:
                subprocess.run([sys.executable, MAKE_BLOCKS, str(case), *options.split()], check=True)
                runner.expect(options, 0, "selected: ok, ", case)
            check_block_files(runner, case, folder)
    print("%d failures" % runner.failures)
    return runner.failures > 0


if __name__ == "__main__":
    sys.exit(main())
