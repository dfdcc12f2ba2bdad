#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench/experiments/handover.py at a tiny size: it counts the hand-overs of a layer, times the work of Vulkan, leaves
the device as it was, and its file gets into a page. Runs like test_operators.py."""
import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "bench/experiments"
sys.path[:0] = [str(ROOT / "tools/python"), str(EXPERIMENTS)]
try:
    import torch
except ImportError as error:
    print("dmattn tests: no device: PyTorch is missing: %s" % error)
    sys.exit(0)
import fake_torch  # noqa: E402
import handover  # noqa: E402
from dmattn.device import device_at  # noqa: E402

RUNS = {"one run": (1, 2), "importance by PyTorch": (1, 2), "a run more": (2, 4)}


def check_figures(results):
    layer, = results["layers"]
    assert (layer["N"], layer["w"]) == (32, 16) and tuple(layer["ways"]) == handover.WAYS == tuple(RUNS)
    for way, runs in RUNS.items():
        forward, step = layer["ways"][way]["forward"], layer["ways"][way]["step"]
        assert (forward["runs"], step["runs"]) == runs, (way, forward, step)
        assert 0 < forward["vulkan_ms"] < step["vulkan_ms"] and min(forward["host_us"], step["host_us"]) > 0
    assert [row["work"] for row in results["between"]] == ["nothing", "a few large products", "many tiny sums"]


def main():
    if not torch.cuda.is_available():
        fake_torch.install()
    torch.set_num_threads(1)
    try:
        device = device_at(0)
    except (ImportError, RuntimeError) as error:
        if "libdmattn" in str(error):
            raise
        print("dmattn tests: no device: %s" % error)
        return
    with tempfile.TemporaryDirectory() as name:
        results, page = pathlib.Path(name) / "results.json", pathlib.Path(name) / "page.md"
        # kernels that a CPU's driver compiles quickly
        handover.HEADS, handover.KV_HEADS, handover.DIM, handover.TYPE = 1, 1, 8, torch.float32
        sys.argv = ["handover.py", "--quick", "--lengths", "32,64", "--json", str(results)]
        with contextlib.redirect_stdout(io.StringIO()) as out:
            handover.main()
        check_figures(json.loads(results.read_text()))
        assert "submit" not in vars(device)
        page.write_text("<!-- hand-overs -->\nold\n<!-- end of hand-overs -->\n")
        subprocess.run([sys.executable, "-B", str(EXPERIMENTS / "doge.py"), "--write", str(page), str(results)],
                       check=True)
        assert "old" not in page.read_text() and out.getvalue().split("\n\n")[1] in page.read_text()
    print("passed")


main()
