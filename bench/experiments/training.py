# SPDX-License-Identifier: MIT
"""Training within a budget of time, and a file of results that a later call continues."""
import argparse
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

from model import Model, attend_dmattn, attend_torch

EVALUATIONS = 20  # during a run, which ends early if all seeds solve the task
SOLVED = 0.999
DEPTHS = 10


class Settings:
    """How to train: `lengths` are used one after the other, for equal parts of the run. `shrink`: the window begins as
    the whole length and falls to `window` in the middle half of the run."""

    def __init__(self, window, width, lengths, steps, tokens, rate, shrink=False):
        self.window, self.width, self.lengths, self.steps = window, width, lengths, steps  # at most
        self.tokens, self.rate, self.shrink = tokens, rate, shrink  # tokens of a batch, per seed

    def length_at(self, progress):
        return self.lengths[min(int(progress * len(self.lengths)), len(self.lengths) - 1)]

    def window_at(self, progress):
        """In 8 stages, because the kernels are planned for a window."""
        if not self.shrink:
            return self.window
        stage = min(max(int(progress * 16) - 4, 0), 8)
        return round(self.lengths[-1] * (self.window / self.lengths[-1]) ** (stage / 8))

    def rate_at(self, progress, step):
        return self.rate * min(1.0, (step + 1) / 50) * max(1 - progress, 0.02)


class Machine:
    """Where and how the attention runs: dmattn's kernels on CUDA, plain PyTorch on a CPU."""

    def __init__(self, device, dtype):
        self.device, self.cuda = torch.device(device), device != "cpu"
        self.attend, self.dtype = (attend_dmattn, dtype) if self.cuda else (attend_torch, torch.float32)
        if self.cuda:
            torch.backends.cuda.matmul.allow_tf32 = True

    def model(self, seeds, vocabulary, width, kind):
        return Model(seeds, vocabulary, width, kind, self.attend, self.dtype).to(self.device)

    def generator(self, seed):
        return torch.Generator(self.device).manual_seed(seed)

    def name(self):
        if not self.cuda:
            return "PyTorch %s on a CPU" % torch.__version__
        from dmattn.device import device_at
        return "%s; PyTorch %s" % (device_at(torch.cuda.current_device()).name, torch.__version__)


def evaluate(model, task, length, window, tokens, generator):
    """The rate of right answers: of each seed, and of each seed and tenth of the depth, or None without depths. At
    least `tokens` tokens per seed are tried."""
    seeds = model.embedding.shape[0]
    right, depths = [], []
    with torch.no_grad():
        for _ in range(max(tokens // 32768, 1)):
            batch = task.batch((seeds, max(min(tokens, 32768) // length, 1)), length, generator)
            logits = model(batch[0], batch[1], window)
            right.append((logits.argmax(-1) == batch[2].flatten(1)).float())
            depths.append(None if batch[3] is None else (batch[3].flatten(1) * DEPTHS).long())
    right = torch.cat(right, dim=1)
    accuracy = right.mean(1).tolist()
    if depths[0] is None:
        return accuracy, None
    depth = torch.cat(depths, dim=1)
    tenths = [((right * (depth == i)).sum(1) / (depth == i).sum(1).clamp(min=1)).tolist() for i in range(DEPTHS)]
    return accuracy, [list(row) for row in zip(*tenths)]


def train(machine, task, kind, settings, seeds, seconds, tell=print):
    """Trains models for `seeds` seeds. Returns them, and a record of the run."""
    model = machine.model(seeds, task.vocabulary, settings.width, kind)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1,
                                  **({"fused": True} if machine.cuda else {}))
    generator, began, step, curve = machine.generator(1), time.monotonic(), 0, []
    progress, checked, first = 0.0, 0, None
    while progress < 1:
        length, window = settings.length_at(progress), settings.window_at(progress)
        for group in optimizer.param_groups:
            group["lr"] = settings.rate_at(progress, step)
        tokens, places, answers, _ = task.batch((seeds, max(settings.tokens // length, 1)), length, generator)
        logits = model(tokens, places, window)
        loss = F.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="sum") / answers[0].numel()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step == 5:
            loss.item()  # waits for the device
            first = time.monotonic()  # plans and kernels are made by now
        progress = max(step / settings.steps, (time.monotonic() - began) / seconds)
        if int(progress * EVALUATIONS) > checked:
            checked = int(progress * EVALUATIONS)
            accuracy, _ = evaluate(model, task, length, window, settings.tokens, machine.generator(1000 + checked))
            curve.append([step, *accuracy])
            tell("  %5d steps, %3.0f s, N %d, w %d: %s %%" % (step, time.monotonic() - began, length, window,
                                                             ", ".join("%.1f" % (100 * a) for a in accuracy)))
            if min(accuracy) >= SOLVED and (length, window) == (settings.lengths[-1], settings.window):
                break
    loss.item()
    now = time.monotonic()
    record = {"steps": step, "seconds": now - began, "curve": curve}
    if first is not None and step > 5:
        record["step_ms"] = 1e3 * (now - first) / (step - 5)
    return model, record


# ---- the check of the kernels against plain PyTorch ------------------------------------------------------------------

def check(machine, task, kind, length, window, width, seeds=2):
    """Compares one step's loss and all gradients by dmattn's kernels with those by plain PyTorch. Returns the largest
    error, relative to the norm of each result."""
    batch = task.batch((seeds, 2), length, machine.generator(3))
    results = []
    for attend in (machine.attend, attend_torch):
        model = Model(seeds, task.vocabulary, width, kind, attend, machine.dtype)
        generator = torch.Generator().manual_seed(4)
        for parameter in model.parameters():  # taps that differ, so that only equal contexts are equally important
            parameter.data *= 1 + 0.2 * torch.randn(parameter.shape, generator=generator)
        model.to(machine.device)
        logits = model(batch[0], batch[1], window)
        loss = F.cross_entropy(logits.flatten(0, 1), batch[2].flatten())
        loss.backward()
        results.append({"loss": loss.detach(), **{name: p.grad for name, p in model.named_parameters()}})
    ours, plain = results
    errors = {name: ((ours[name] - want).norm() / want.norm()).item() for name, want in plain.items()}
    worst = max(errors, key=errors.get)
    print("%s, N = %d, w = %d, %s: largest error %.1e, of the gradient of %s; the loss's %.1e"
          % (kind, length, window, machine.dtype, errors[worst], worst, errors["loss"]))
    return errors[worst]


TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}  # bf16 rounds P, dS and the gradients of q, k and v


def check_all(machine, make_task, length, window, width):
    """Returns whether each kind agrees in f32 and in the type of the training."""
    torch.backends.cuda.matmul.allow_tf32 = False  # plain PyTorch would select other keys
    right = True
    for dtype in (torch.float32, machine.dtype):
        machine.dtype = dtype
        for kind in ("dense", "sliding", "dynamic"):
            error = check(machine, make_task(), kind, length, window, width)
            right = right and error <= TOLERANCE[dtype]
    print("check: %s" % ("passed" if right else "FAILED"))
    return right


# ---- results ---------------------------------------------------------------------------------------------------------

class Results:
    """Runs in a JSON file. Each has a "key", which says what was run."""

    def __init__(self, path):
        self.path = pathlib.Path(path) if path else None
        self.runs = json.loads(self.path.read_text())["runs"] if self.path and self.path.exists() else []

    def find(self, key):
        return next((run for run in self.runs if run["key"] == key), None)

    def add(self, run):
        self.runs.append(run)
        if self.path:
            self.path.write_text(json.dumps({"runs": self.runs}, indent=1) + "\n")


def run_all(jobs, results, minutes, run):
    """Calls run(job, seconds) for each job (key, ...) without a result, with an equal part of the time that is left."""
    end = time.monotonic() + 60 * minutes
    left = [job for job in jobs if not results.find(job[0])]
    for index, job in enumerate(left):
        seconds = (end - time.monotonic()) / (len(left) - index)
        print("%d of %d, at most %.0f s: %s" % (index + 1, len(left), seconds,
                                                ", ".join("%s %s" % item for item in job[0].items())), flush=True)
        if seconds < 1:
            sys.exit("the time is over; call the same command again for the other runs")
        results.add({"key": job[0], **run(job, seconds)})
        sys.stdout.flush()


def parse_options(about, minutes):
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--type", choices=("bf16", "f32"), default="bf16", help="of q, k and v on CUDA")
    parser.add_argument("--minutes", type=float, default=minutes, help="for all runs (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="at most so many steps for each run")
    parser.add_argument("--json", help="file of results; runs that it has are not repeated")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few steps, to try the script")
    parser.add_argument("--check", action="store_true", help="only compare dmattn's kernels with plain PyTorch")
    parser.add_argument("--write", metavar="PAGE", help="run nothing: put the results of --json into this page, "
                        "and draw the chart into the folder charts beside it")
    options = parser.parse_args()
    if options.write and not options.json:
        parser.error("--write needs --json")
    return options


def experiment(about, minutes, write, make_task, plan, run):
    """The main program: writes the page, checks the kernels with make_task(), or calls run(machine, options, key,
    seconds) for each key of plan(quick)."""
    options = parse_options(about, minutes)
    results = Results(options.json)
    if options.write:
        write(options.write, results.runs)
        return
    machine = Machine(options.device, torch.bfloat16 if options.type == "bf16" else torch.float32)
    print(machine.name(), flush=True)
    if options.check:
        sys.exit(0 if check_all(machine, make_task, 256, 64, 64) else 1)
    run_all([(key,) for key in plan(options.quick)], results, options.minutes,
            lambda job, seconds: run(machine, options, job[0], seconds))
    if options.json:
        print("results: %s" % options.json)
