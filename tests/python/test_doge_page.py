#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tables and the chart that bench/experiments/doge.py puts into docs/doge.md. Needs no PyTorch and no device."""
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "bench/experiments"
sys.path.insert(0, str(EXPERIMENTS))
import doge  # noqa: E402

PAGE = "# Page\n\n<!-- training-step -->\nold\n<!-- end of training-step -->\n\nthe end\n"
STEPS = {"machine": "a card", "model": "1M parameters", "steps": {
    "2048": {"dmattn": {"ms": 12.6, "bytes": 3 << 30}, "eager": {"ms": 48.4, "bytes": 5 << 29},
             "sdpa": {"ms": 7, "bytes": 1 << 30}},
    "4096": {"dmattn": {"ms": 25, "bytes": 6 << 30}, "eager": None, "sdpa": None}}}


def run(folder, results):
    path = folder / "results.json"
    path.write_text(json.dumps(results))
    return subprocess.run([sys.executable, "-B", str(EXPERIMENTS / "doge.py"), "--write", str(folder / "page.md"),
                           str(path)], capture_output=True, text=True)


def check_steps(folder):
    page = folder / "page.md"
    page.write_text(PAGE)
    for _ in range(2):  # writing again changes nothing
        assert run(folder, STEPS).returncode == 0
        text = page.read_text()
        assert "| 2048 | 13 | 3.0 | 48 | 2.5 | 7 | 1.0 |\n" in text
        assert "| 4096 | 25 | 6.0 | out of memory |  | out of memory |  |\n" in text
        assert "old" not in text and "a card; 1M parameters" in text and text.endswith("the end\n")
        assert text.count("![A training step of a Doge](charts/training-step.svg)") == 1
    svg = (folder / "charts/training-step.svg").read_text()
    xml.dom.minidom.parseString(svg)
    # 4 points of time, 4 of memory; the axes end at 50 ms and 10 GiB
    assert svg.count("<title>dmattn: ") == 4 and svg.count("<title>eager: ") == svg.count("<title>sdpa: ") == 2
    assert ">50</text>" in svg and ">10</text>" in svg and "<title>eager: 48.4</title>" in svg


def check_layers(folder):
    one = lambda ms, vulkan, runs: {"ms": ms, "vulkan_ms": vulkan, "runs": runs, "host_us": 31.4}
    page = folder / "page.md"
    page.write_text("<!-- hand-overs -->\nold\n<!-- end of hand-overs -->\n")
    assert run(folder, {
        "machine": "a card", "between": [{"work": "nothing", "ms": 0.001, "with_run_ms": 0.331}],
        "layers": [{"N": 64, "w": 32, "ways": {"one run": {"forward": one(0.5, 0.1, 1), "step": one(2, 2.02, 2)}}}],
    }).returncode == 0
    text = page.read_text()
    assert "| 64 | 32 | one run | 1 | 0.50 | 0.10 | 80 | 31 | 2 | 2.00 | 2.02 | 0 | 31 |" in text
    assert "| nothing | 0.001 | 0.331 | 0.330 |" in text and "old" not in text and "svg" not in text


def check_axis():
    assert [doge.round_up(value) for value in (0.4, 5, 6, 50, 51, 489.6, 501)] == [5, 5, 10, 50, 100, 500, 1000]


def check_refused(folder):
    result = run(folder, {"unknown": 1})
    assert result.returncode == 2 and "results.json has none of" in result.stderr, result


with tempfile.TemporaryDirectory() as name:
    check_steps(pathlib.Path(name))
    check_layers(pathlib.Path(name))
    check_axis()
    check_refused(pathlib.Path(name))
print("passed")
