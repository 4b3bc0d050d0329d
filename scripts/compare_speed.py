#!/usr/bin/env python3
"""Times a step of training by the program on the CPU and by PyTorch, in turn, for networks, losses and optimizers.

    python3 scripts/compare_speed.py target/release/wgrad
    python3 scripts/compare_speed.py target/release/wgrad --other before/wgrad --shape mnist --case batch_norm --case lion

Needs numpy and torch from PyPI. Both sides take the same numbers of rows, layers and threads; a step is picking a batch,
forward, loss, backward and update. PyTorch runs eagerly, with its fused optimizers where it has them; those that
it lacks are written with its `_foreach` functions. Prints a line a case with medians over rounds of microseconds a step.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional as F

# Widths, rows of a batch, batches of an epoch.
SHAPES = {
    "tiny": ([64, 64, 64, 10], 32, 256),
    "mnist": ([784, 512, 256, 10], 128, 16),
    "wide": ([1024, 1024, 1024, 1024], 512, 4),
}


class Residual(nn.Module):
    """x + f(x)"""

    def __init__(self, *layers):
        super().__init__()
        self.inner = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.inner(x)


class SwiGlu(nn.Module):
    """a · b σ(b)"""

    def forward(self, x):
        a, b = x.chunk(2, dim=-1)
        return a * F.silu(b)


class ByHand(torch.optim.Optimizer):
    """Optimizers that PyTorch lacks, over all tensors of a kind at once."""

    def __init__(self, params, rule, lr):
        super().__init__(params, {"lr": lr})
        self.rule, self.params = rule, self.param_groups[0]["params"]
        self.m = [torch.zeros_like(p) for p in self.params]
        self.v = [torch.zeros_like(p) for p in self.params]
        self.steps = 0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        self.rule(self, self.params, [p.grad for p in self.params], self.param_groups[0]["lr"])


def lion(state, w, g, lr):
    update = torch._foreach_mul(state.m, 0.9)
    torch._foreach_add_(update, g, alpha=0.1)
    torch._foreach_sign_(update)
    torch._foreach_add_(w, update, alpha=-lr)
    torch._foreach_mul_(state.m, 0.99)
    torch._foreach_add_(state.m, g, alpha=0.01)


def lamb(state, w, g, lr):
    torch._foreach_lerp_(state.m, g, 0.1)
    torch._foreach_mul_(state.v, 0.999)
    torch._foreach_addcmul_(state.v, g, g, 0.001)
    correction1, correction2 = 1 - 0.9**state.steps, 1 - 0.999**state.steps
    divisor = torch._foreach_div(state.v, correction2)
    torch._foreach_sqrt_(divisor)
    torch._foreach_add_(divisor, 1e-6)
    update = torch._foreach_div(state.m, correction1)
    torch._foreach_div_(update, divisor)
    torch._foreach_add_(update, w, alpha=0.01)
    norms, sizes = torch._foreach_norm(w), torch._foreach_norm(update)
    for tensor, direction, norm, size in zip(w, update, norms, sizes):
        ratio = torch.where((norm > 0) & (size > 0), norm / size, torch.ones_like(norm))
        tensor.addcmul_(direction, ratio, value=-lr)


def mlp(*hidden):
    """The same few layers after each dense one."""
    return lambda w: [
        layer for i in (0, 1) for layer in [nn.Linear(w[i], w[i + 1]), *(make(w[i + 1]) for make in hidden)]
    ] + [nn.Linear(w[2], w[3])]


def text(after):
    return lambda w: f"dense({w[1]}), {after}, dense({w[2]}), {after}, dense"


def swiglu(w):
    return [nn.Linear(w[0], 2 * w[1]), SwiGlu(), nn.Linear(w[1], 2 * w[2]), SwiGlu(), nn.Linear(w[2], w[3])]


def residual(w):
    inner = lambda: Residual(nn.Linear(w[1], w[1]), nn.ReLU())
    return [nn.Linear(w[0], w[1]), nn.ReLU(), inner(), inner(), nn.Linear(w[1], w[3])]


def residual_text(w):
    inner = f"residual(dense({w[1]}), relu)"
    return f"dense({w[1]}), relu, {inner}, {inner}, dense"


def modern(w):
    inner = lambda: Residual(nn.LayerNorm(w[1]), nn.Linear(w[1], w[1]), nn.GELU(), nn.Dropout(0.1))
    return [nn.Linear(w[0], w[1]), inner(), inner(), nn.LayerNorm(w[1]), nn.Linear(w[1], w[3])]


def modern_text(w):
    inner = f"residual(layer_norm, dense({w[1]}), gelu, dropout(0.1))"
    return f"dense({w[1]}), {inner}, {inner}, layer_norm, dense"


def focal(logits, targets):
    surprise = F.cross_entropy(logits, targets, reduction="none")
    return ((1 - (-surprise).exp()) ** 2 * surprise).mean()


def fused(kind, **settings):
    return lambda p: kind(p, fused=True, **settings)


def each(kind, **settings):
    return lambda p: kind(p, foreach=True, **settings)


def by_hand(rule, lr):
    return lambda p: ByHand(p, rule, lr)


RELU = (text("relu"), mlp(lambda n: nn.ReLU()))
ADAMW = ("adamw", fused(torch.optim.AdamW, lr=1e-3))
CROSS_ENTROPY = ("cross-entropy", nn.CrossEntropyLoss())
O = torch.optim

# Name, layers, loss, optimizer (each as the program's text and PyTorch's), more options, what PyTorch does besides.
CASES = {
    "relu, adamw": (RELU, CROSS_ENTROPY, ADAMW),
    "batch_norm": ((text("batch_norm, relu"), mlp(nn.BatchNorm1d, lambda n: nn.ReLU())), CROSS_ENTROPY, ADAMW),
    "layer_norm": ((text("layer_norm, relu"), mlp(nn.LayerNorm, lambda n: nn.ReLU())), CROSS_ENTROPY, ADAMW),
    "rms_norm": ((text("rms_norm, relu"), mlp(nn.RMSNorm, lambda n: nn.ReLU())), CROSS_ENTROPY, ADAMW),
    "dropout": ((text("relu, dropout(0.1)"), mlp(lambda n: nn.ReLU(), lambda n: nn.Dropout(0.1))), CROSS_ENTROPY, ADAMW),
    "gelu": ((text("gelu"), mlp(lambda n: nn.GELU())), CROSS_ENTROPY, ADAMW),
    "mish": ((text("mish"), mlp(lambda n: nn.Mish())), CROSS_ENTROPY, ADAMW),
    "selu": ((text("selu"), mlp(lambda n: nn.SELU())), CROSS_ENTROPY, ADAMW),
    "swiglu": ((lambda w: f"swiglu({w[1]}), swiglu({w[2]}), dense", swiglu), CROSS_ENTROPY, ADAMW),
    "prelu": ((text("prelu"), mlp(lambda n: nn.PReLU())), CROSS_ENTROPY, ADAMW),
    "residual": ((residual_text, residual), CROSS_ENTROPY, ADAMW),
    "layer_norm, gelu, dropout, residual": ((modern_text, modern), CROSS_ENTROPY, ADAMW),
    "sgd": (RELU, CROSS_ENTROPY, ("sgd", fused(O.SGD, lr=1e-3))),
    "sgd, momentum": (RELU, CROSS_ENTROPY, ("sgd(momentum=0.9)", fused(O.SGD, lr=1e-3, momentum=0.9))),
    "adam": (RELU, CROSS_ENTROPY, ("adam", fused(O.Adam, lr=1e-3))),
    "adam, amsgrad": (RELU, CROSS_ENTROPY, ("adam(amsgrad=true)", fused(O.Adam, lr=1e-3, amsgrad=True))),
    "nadam": (RELU, CROSS_ENTROPY, ("nadam", each(O.NAdam, lr=1e-3))),
    "radam": (RELU, CROSS_ENTROPY, ("radam", each(O.RAdam, lr=1e-3))),
    "rmsprop": (RELU, CROSS_ENTROPY, ("rmsprop", each(O.RMSprop, lr=1e-3))),
    "adagrad": (RELU, CROSS_ENTROPY, ("adagrad", fused(O.Adagrad, lr=1e-3))),
    "lion": (RELU, CROSS_ENTROPY, ("lion", by_hand(lion, 1e-4))),
    "lamb": (RELU, CROSS_ENTROPY, ("lamb", by_hand(lamb, 1e-3))),
    "muon": (RELU, CROSS_ENTROPY, ("muon", None)),
    "adamw, clip_norm": (RELU, CROSS_ENTROPY, ADAMW, ["--clip-norm", "1"], "clip"),
    "adamw, no decay of biases": (RELU, CROSS_ENTROPY, ADAMW, ["--no-decay", "bias"], "groups"),
    "adamw, ema": (RELU, CROSS_ENTROPY, ADAMW, ["--average", "ema"], "ema"),
    "label smoothing": (
        RELU,
        ("cross-entropy(label-smoothing=0.1)", nn.CrossEntropyLoss(label_smoothing=0.1)),
        ADAMW,
    ),
    "focal": (RELU, ("focal", focal), ADAMW),
    "mse": (RELU, ("mse", nn.MSELoss()), ADAMW),
    "huber": (RELU, ("huber", nn.HuberLoss()), ADAMW),
    "log-cosh": (RELU, ("log-cosh", lambda p, y: (F.softplus(2 * (p - y)) - (p - y) - 0.6931471805599453).mean()), ADAMW),
}


def tables(folder, shape):
    """Two tables of a shape, made once: for classes and for numbers."""
    widths, batch, batches = SHAPES[shape]
    rows, rng = batch * batches, numpy.random.default_rng(1)
    found = {}
    x = rng.standard_normal((rows, widths[0])).astype(numpy.float32)
    classes = numpy.arange(rows) % widths[3]
    numbers = rng.standard_normal((rows, widths[3])).astype(numpy.float32)
    for task in ("classes", "numbers"):
        path = folder / f"{shape}-{task}.csv"
        found[task] = path
        if path.exists():
            continue
        targets = ["y"] if task == "classes" else [f"y{i}" for i in range(widths[3])]
        with path.open("w") as file:
            file.write(",".join([*(f"x{i}" for i in range(widths[0])), *targets]) + "\n")
            for row in range(rows):
                values = [f"{value:.3f}" for value in x[row]]
                values += [f"c{classes[row]:04}"] if task == "classes" else [f"{value:.3f}" for value in numbers[row]]
                file.write(",".join(values) + "\n")
    return found, torch.from_numpy(x), torch.from_numpy(classes), torch.from_numpy(numbers)


def processor_seconds(pid):
    """What a process has used, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def program(binary, table, shape, case, seconds, cpu_time):
    """Microseconds a step: the median over the epochs that fit, but for the first two."""
    widths, batch, batches = SHAPES[shape]
    (layers, _), (loss, _), (optimizer, _), *more = CASES[case]
    numbers = "numbers" in table.name
    target = ",".join(f"y{i}" for i in range(widths[3])) if numbers else "y"
    with tempfile.TemporaryDirectory() as out:
        command = [binary, "train", table, "--target", target, "--task", "regress" if numbers else "classify"]
        command += ["--layers", layers(widths), "--loss", loss, "--optimizer", optimizer, "--lr", "1e-4", *(more[0] if more else [])]
        command += ["--batch-size", str(batch), "--valid", "0", "--epochs", "1000000", "--checkpoint-every", "0"]
        command += ["--device", "cpu", "--json", "--quiet", "--out", out, "--force"]
        run = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        times, begun = [], None
        for line in run.stdout:
            event = json.loads(line)
            if event["event"] == "epoch":
                times.append(event["seconds"] / batches)
                begun = begun or time.monotonic()
                if len(times) == 2:
                    used = processor_seconds(run.pid)
            if begun and time.monotonic() - begun > seconds and len(times) >= 5:
                used = processor_seconds(run.pid) - used
                break
        run.kill()
        problem = run.stderr.read()
        run.wait()
    if len(times) < 5:
        sys.exit(f"{case}, {shape}: {problem}")
    if cpu_time:
        return 1e6 * used / batches / (len(times) - 2)
    return 1e6 * statistics.median(times[2:])


class Torch:
    """A case in PyTorch, ready to go on where it stopped."""

    def __init__(self, shape, case, x, y, compiled):
        widths, self.batch, self.batches = SHAPES[shape]
        (_, layers), (_, self.loss), (_, optimizer), *more = CASES[case]
        self.extra = more[1] if len(more) > 1 else ""
        torch.manual_seed(1)
        self.model = nn.Sequential(*layers(widths))
        params = list(self.model.parameters())
        if self.extra == "groups":
            params = [
                {"params": [p for p in params if p.dim() == 2]},
                {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0},
            ]
        if case == "muon":
            hidden = [p for p in params if p.dim() == 2]
            self.optimizers = [O.Muon(hidden, lr=1e-4), O.AdamW([p for p in params if p.dim() < 2], lr=1e-4, fused=True)]
        else:
            self.optimizers = [optimizer(params)]
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = 1e-4
        self.average = [p.detach().clone() for p in self.model.parameters()]
        self.x, self.y = x, y
        self.forward = torch.compile(lambda x, y: self.loss(self.model(x), y)) if compiled else (
            lambda x, y: self.loss(self.model(x), y)
        )

    def epoch(self):
        order = torch.randperm(len(self.x))
        for rows in order.split(self.batch):
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            self.forward(self.x[rows], self.y[rows]).backward()
            if self.extra == "clip":
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, foreach=True)
            for optimizer in self.optimizers:
                optimizer.step()
            if self.extra == "ema":
                torch._foreach_lerp_(self.average, [p.detach() for p in self.model.parameters()], 0.001)

    def time(self, seconds, cpu_time):
        self.epoch()
        times, begun, used = [], time.perf_counter(), time.process_time()
        while time.perf_counter() - begun < seconds or len(times) < 3:
            start = time.perf_counter()
            self.epoch()
            times.append((time.perf_counter() - start) / self.batches)
        if cpu_time:
            return 1e6 * (time.process_time() - used) / self.batches / len(times)
        return 1e6 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wgrad")
    parser.add_argument("--other", action="append", default=[], help="another build of the program, in turn with the first")
    parser.add_argument("--shape", action="append", choices=SHAPES)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each round of each side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of the clock's: for machines that do more")
    parser.add_argument("--compile", action="store_true", help="forward, loss and backward by torch.compile")
    parser.add_argument("--no-torch", action="store_true", help="only the program")
    parser.add_argument("--tables", type=Path, help="where tables are kept from run to run")
    parser.add_argument("--json", type=Path, help="a file to which a line a case is added")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        compare(args, args.tables or Path(folder))


def compare(args, folder):
    builds = [args.wgrad, *args.other]
    names = [*builds, *([] if args.no_torch else ["PyTorch"])]
    for shape in args.shape or SHAPES:
        paths, x, classes, numbers = tables(folder, shape)
        for case in args.case or CASES:
            (_, (loss, _), *_) = CASES[case]
            of_classes = loss.startswith(("cross-entropy", "focal"))
            table, y = (paths["classes"], classes) if of_classes else (paths["numbers"], numbers)
            rival = None if args.no_torch else Torch(shape, case, x, y, args.compile)
            found = [[] for _ in names]
            for _ in range(args.rounds):
                for times, build in zip(found, builds):
                    times.append(program(build, table, shape, case, args.seconds, args.cpu_time))
                if rival:
                    found[-1].append(rival.time(args.seconds, args.cpu_time))
            medians = [statistics.median(times) for times in found]
            print(f"{shape:6} {case:36}" + "".join(f"{median:12.1f}" for median in medians), flush=True)
            if args.json:
                with args.json.open("a") as file:
                    line = {"shape": shape, "case": case, "us": dict(zip(map(str, names), medians))}
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
