#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests tools/make_case.py and `dmattn-run --check`: they agree, and --check finds a wrong value in every result.

    test_case_check.py DMATTN_RUN [options]

The options, such as `--device llvmpipe`, replace --cpu; then only one case runs. DMATTN_EMULATOR may hold a command that
runs the program.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAKE = str(ROOT / "tools" / "make_case.py")
CASES = [
    "--gradients --type f16 --queries 12 --keys 30 --heads 4 --kv-heads 2 --dt-bias --padding --batch 2",
    "--gradients --type bf16 --selection topw_shared --causal 0 --soft-cap 3",
    "--gradients --selection threshold --threshold 1.2 --activation softplus --sinks 2 --sliding 9",
    "--queries 5 --keys 40 --sinks 2 --recent 3",
    "--queries 40 --tokens 5 --tie-break earlier --window 9",
    "--queries 40 --tokens 5 --window 9 --selection topw_shared",
    "--op attention --gradients --mask dense --bias --causal 0 --soft-cap 2 --value-dim 16",
    "--op attention --gradients --mask intervals --bias --type f16 --causal 0",
    "--op attention --scale 0.7 --queries 5 --keys 17",
    "--op attention --gradients --sink --dlse --bias --queries 9 --keys 7",
    "--op attention --gradients --mask additive --type bf16 --heads 4 --kv-heads 2 --causal 0",
    "--op attention --q-f32 --type f16 --heads 4 --kv-heads 2 --queries 5 --keys 30",
    "--op attention --kv-format q8_0+q4_0 --type f16 --q-f32 --head-dim 64 --value-dim 32 --keys 30 --queries 5",
    "--kv-format int8+e4m3 --type bf16 --head-dim 16 --value-dim 24 --kv-heads 2 --batch 2",
    "--op attention --kv-format e4m3+int8 --mask dense --heads 4 --kv-heads 2 --queries 6 --keys 9",
    "--op attention --gradients --slopes --heads 4 --queries 7 --keys 12",
    "--op merge --type bf16 --queries 9 --heads 3 --batch 2 --value-dim 24",
    "--gradients --sink --dt-bias --type f16 --heads 4 --kv-heads 2",
]


class Runner:
    def __init__(self, arguments):
        self.command = os.environ.get("DMATTN_EMULATOR", "").split() + arguments
        self.failures = 0

    def expect(self, what, status, text, *arguments):
        """The program exits with the status, and a line of its output begins with the text."""
        done = subprocess.run(self.command + ["--check", *map(str, arguments)], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != status or not any(line.startswith(text) for line in done.stdout.splitlines()):
            self.failures += 1
            print("FAILED: %s: status %d instead of %d, or no line '%s' in:\n%s"
                  % (what, done.returncode, status, text, done.stdout))


def read_header(data):
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), 8 + length


def write_with_header(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def check_wrong_results(runner, case, folder):
    """One element of each result in turn becomes larger by a half of the largest, or by 1."""
    data = case.read_bytes()
    header, start = read_header(data)
    inputs = {"__metadata__", "q", "k", "v", "mask", "bias", "dout", "dt_weight", "a", "dt_bias", "key_valid",
              "sink", "dlse", "slopes", "out_a", "lse_a", "out_b", "lse_b", "weights", "counts",
              "indptr", "indices", "bits", "map"}
    if header["__metadata__"]["op"] == "attention":
        inputs |= {"begin", "end"}
    names = [name for name in header if name not in inputs]
    for name in names:
        first, end = header[name]["data_offsets"]
        kind = "<%d%s" % ((end - first) // 4, "i" if header[name]["dtype"] == "I32" else "f")
        values = list(struct.unpack(kind, data[start + first:start + end]))
        middle = len(values) // 2
        values[middle] += 1 if kind.endswith("i") else 0.5 * max(map(abs, values))
        wrong = folder / "wrong.safetensors"
        wrong.write_bytes(data[:start + first] + struct.pack(kind, *values) + data[start + end:])
        runner.expect("wrong %s" % name, 1, name + ": wrong, ", wrong)
    return len(names)


def check_files(runner, case, folder):
    """Files without results, with a result of another shape, and with names that are ignored."""
    data = case.read_bytes()
    header, start = read_header(data)
    body, other = data[start:], folder / "other.safetensors"

    renamed = {"q": header["q"], "k": header["k"], "v": header["v"]}
    renamed.update({"x" + name: header[name] for name in header if name not in renamed and name != "__metadata__"})
    write_with_header(other, {"__metadata__": {"op": "attention", "causal": "1"}, **renamed}, body)
    runner.expect("no results", 2, "dmattn-run: %s has no results" % other, other)
    runner.expect("unknown tensor", 2, "dmattn-run: warning: %s: the tensor 'xout' is ignored" % other, other)

    flat = {**header["out"], "shape": [(header["out"]["data_offsets"][1] - header["out"]["data_offsets"][0]) // 4]}
    write_with_header(other, {**header, "out": flat}, body)
    runner.expect("another shape", 2, "dmattn-run: %s: out must be F32" % other, other)

    metadata = {**header["__metadata__"], "tiebreak": "earlier"}
    write_with_header(other, {**header, "__metadata__": metadata}, body)
    runner.expect("unknown metadata", 0, "dmattn-run: warning: %s: the metadata 'tiebreak' is ignored" % other, other)

    part = {**header, "xout": header["out"]}
    del part["out"]
    write_with_header(other, part, body)
    runner.expect("one result is missing", 0, "out: not in the file", other)


def check_merges(runner, folder):
    """A merge with a wrong value in each result, without a tensor, and with a tensor of another shape."""
    case, other = folder / "merge.safetensors", folder / "other.safetensors"
    subprocess.run([sys.executable, MAKE, str(case), "--op", "merge", "--queries", "5"], check=True)
    if check_wrong_results(runner, case, folder) != 2:
        runner.failures += 1
        print("FAILED: a merge has two results")
    data = case.read_bytes()
    header, start = read_header(data)
    for name, text in (("lse_b", "there is no tensor 'lse_b'"), ("out_a", "there is no tensor 'out_a'")):
        renamed = {"x" + key if key == name else key: value for key, value in header.items()}
        write_with_header(other, renamed, data[start:])
        runner.expect("no " + name, 2, "dmattn-run: %s: %s" % (other, text), other)
    batch, heads, queries = header["lse_a"]["shape"]
    changed = {**header, "lse_a": {**header["lse_a"], "shape": [batch, queries, heads]}}
    write_with_header(other, changed, data[start:])
    runner.expect("lse_a of another shape", 2, "dmattn-run: %s: lse_a must be F32" % other, other)
    shape = header["out_b"]["shape"]
    write_with_header(other, {**header, "out_b": {**header["out_b"], "shape": shape[::-1]}}, data[start:])
    runner.expect("out_b of another shape", 2, "dmattn-run: %s: out_b must have" % other, other)
    write_with_header(other, {"xout" if key == "out" else key: value for key, value in header.items()}, data[start:])
    runner.expect("unknown tensor", 0, "dmattn-run: warning: %s: the tensor 'xout' is ignored" % other, other)


def check_docs(runner, folder):
    """The block of Python in docs/cases.md writes a case that agrees."""
    text = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    subprocess.run([sys.executable, "-B", "-c", code], check=True, cwd=folder,
                   env={**os.environ, "PYTHONPATH": str(ROOT / "tools")})
    runner.expect("docs/cases.md", 0, "out: ok, ", folder / "mine.safetensors")


def main():
    on_device = len(sys.argv) > 2
    runner = Runner(sys.argv[1:] if on_device else [sys.argv[1], "--cpu"])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        case = folder / "case.safetensors"
        for options in CASES[:1] if on_device else CASES:
            subprocess.run([sys.executable, MAKE, str(case), *options.split()], check=True)
            runner.expect(options, 0, "out: ok, ", case)
            if not on_device and ("--dt-bias" in options or "--bias" in options):
                found = check_wrong_results(runner, case, folder)
                if found < 6:
                    runner.failures += 1
                    print("FAILED: %s: only %d results" % (options, found))
        if not on_device:
            check_files(runner, case, folder)
            check_merges(runner, folder)
            check_docs(runner, folder)
    print("%d failures" % runner.failures)
    return runner.failures > 0


if __name__ == "__main__":
    sys.exit(main())
