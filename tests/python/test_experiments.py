#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The experiments of bench/experiments: masks and batches against their definitions, dmattn's kernels against plain
PyTorch, training at tiny sizes, files of results, pages and charts. Runs like test_operators.py; without a device, or
with --no-device, all but the kernels."""
import contextlib
import io
import json
import pathlib
import sys
import tempfile
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPERIMENTS = ROOT / "bench/experiments"
sys.path[:0] = [str(ROOT / "tools/python"), str(EXPERIMENTS)]
try:
    import torch
except ImportError as error:
    print("dmattn tests: no device: PyTorch is missing: %s" % error)
    sys.exit(0)
import model  # noqa: E402
import needle  # noqa: E402
import recall  # noqa: E402
import reference  # noqa: E402
import report  # noqa: E402
import tasks  # noqa: E402
import training  # noqa: E402

CUDA = torch.cuda.is_available()


def check_masks():
    generator = torch.Generator().manual_seed(1)
    importance = torch.randint(4, (2, 3, 24), generator=generator).float()  # many are equal
    dense, sliding, dynamic = (model.visible_keys(kind, 5, importance) for kind in model.KINDS)
    place = torch.arange(24)
    assert torch.equal(dense, place[:, None] >= place)
    assert torch.equal(sliding, (place[:, None] >= place) & (place[:, None] - place < 5))
    assert torch.equal(dynamic, reference.visible_of(importance, 24, 5))
    assert dynamic.sum(-1).eq(torch.clamp(place + 1, max=5)).all()


def answers_by_search(tokens, places):
    """The token after the first place of the token that is asked for."""
    found = [[[row[row.index(row[place]) + 1] for place in asked] for row, asked in zip(rows, all_asked)]
             for rows, all_asked in zip(tokens.tolist(), places.tolist())]
    return torch.tensor(found)


def check_tasks():
    generator = torch.Generator().manual_seed(2)
    length = 40
    for task in (tasks.Recall(6, questions=4, vocabulary=64), tasks.Needles(count=3, vocabulary=64)):
        tokens, places, answers, depths = task.batch((2, 50), length, generator)
        assert tokens.shape == (2, 50, length) and places.shape == answers.shape and tokens.max() < task.vocabulary
        assert torch.equal(answers_by_search(tokens, places), answers)
        if depths is not None:
            first = (tokens[:, :, None, :] == tokens.gather(2, places)[..., None]).int().argmax(-1)
            assert (depths * (length - 2 * task.count) - first).abs().max() < 1e-3
            assert depths.min() < 0.1 and depths.max() > 0.9


def check_seeds_are_apart():
    """A seed's result does not depend on the other seeds."""
    task = tasks.Recall(4, vocabulary=32)
    tokens, places, _, _ = task.batch((2, 3), 32, torch.Generator().manual_seed(3))
    for kind in model.KINDS:
        both = model.Model(2, 32, 16, kind)(tokens, places, 8)
        one = model.Model(1, 32, 16, kind)(tokens[:1], places[:1], 8)
        assert torch.allclose(both[:1], one, atol=1e-5) and not torch.allclose(both[0], both[1], atol=0.1)


def check_settings():
    settings = training.Settings(64, 128, [256, 1024], 100, 1024, 1e-3)
    assert [settings.length_at(p) for p in (0, 0.49, 0.51, 1)] == [256, 256, 1024, 1024]
    settings = training.Settings(64, 128, [1024], 100, 1024, 1e-3, shrink=True)
    windows = [settings.window_at(p / 100) for p in range(101)]
    assert windows[0] == windows[24] == 1024 and windows[76] == windows[100] == 64 and len(set(windows)) == 9
    assert windows == sorted(windows, reverse=True)


def check_kernels():
    """One step by dmattn's kernels against plain PyTorch, in f32."""
    machine = training.Machine("cuda" if CUDA else "cpu", torch.float32)
    machine.attend = model.attend_dmattn
    for kind in model.KINDS:
        error = training.check(machine, tasks.Recall(4, vocabulary=32), kind, length=40, window=10, width=16)
        assert error < training.TOLERANCE[torch.float32], (kind, error)


def call(script, *arguments):
    """What the script prints."""
    out, before = io.StringIO(), sys.argv
    sys.argv = [script.__name__, "--quick", "--device", "cpu", "--seeds", "1", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out):
            script.main()
    finally:
        sys.argv = before
    return out.getvalue()


PAGE = "# Page\n\n<!-- recall -->\nold\n<!-- end of recall -->\n\n<!-- needle -->\n<!-- end of needle -->\nthe end\n"


def check_recall(folder):
    """At a tiny size, dense attention and dynamic masks learn, and the window does not. A second call runs nothing."""
    results, page = folder / "recall.json", folder / "page.md"
    out = call(recall, "--minutes", 5, "--json", results)
    runs = {run["key"]["attention"]: run for run in json.loads(results.read_text())["runs"]}
    rates = {kind: run["accuracy"][0] for kind, run in runs.items()}
    print("recall: %s" % rates)
    assert rates["dense"] > 0.95 and rates["dynamic"] > 0.95 and rates["sliding"] < 0.6, rates
    assert "1 of 3" in out and "1 of" not in call(recall, "--json", results)
    page.write_text(PAGE)
    call(recall, "--json", results, "--write", page)
    text = page.read_text()
    assert "old" not in text and "better than the window's best one in 1 of 1" in text and text.endswith("the end\n")
    assert "| 32 | 32 | 8 | 4 | %s |" % report.cell(runs["dense"]) in text and max(map(len, text.split("\n"))) <= 120
    again = page.read_text()
    call(recall, "--json", results, "--write", page)
    assert page.read_text() == again
    svg = (folder / "charts/recall.svg").read_text()
    xml.dom.minidom.parseString(svg)
    assert svg.count("dynamic:") == svg.count("dense:") >= 1


def check_needle(folder):
    """The script runs within its time, and its results by depth and length are written."""
    results, page = folder / "needle.json", folder / "needle.md"
    call(needle, "--steps", 20, "--json", results)
    runs = json.loads(results.read_text())["runs"]
    assert [run["key"]["attention"] for run in runs] == list(model.KINDS)
    for run in runs:
        assert set(run["lengths"]) == {"64", "128"} and len(run["lengths"]["64"]["depths"][0]) == 10
    page.write_text(PAGE)
    call(needle, "--json", results, "--write", page)
    assert "| 128 | " + report.cell(runs[0]["lengths"]["128"]) in page.read_text()
    xml.dom.minidom.parseString((folder / "charts/needle.svg").read_text())


def has_device():
    if "--no-device" in sys.argv:
        return False
    if not CUDA:
        import fake_torch
        fake_torch.install()
    from dmattn.device import device_at
    try:
        print(device_at(0).name)
    except (ImportError, RuntimeError) as error:
        print("without the kernels: %s" % error)
        return False
    return True


def main():
    torch.set_num_threads(1)  # the tensors are tiny
    checks = [check_masks, check_tasks, check_seeds_are_apart, check_settings]
    if has_device():
        checks.append(check_kernels)
    with tempfile.TemporaryDirectory() as folder:
        for check in checks:
            check()
            print("%s: passed" % check.__name__[6:], flush=True)
        for check in (check_recall, check_needle):
            check(pathlib.Path(folder))
            print("%s: passed" % check.__name__[6:], flush=True)


main()
